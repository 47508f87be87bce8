"""A feature's value on the wire: a JSON scalar that every reader can hold."""

from math import isfinite
from typing import Annotated, Any, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from twin_runtime.core.limits import STRING_CHARS_MAX

# JSON numbers beyond 2^53 do not survive every reader.
INTEGER_MAX: Final = 2**53 - 1


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: what an operating system calls a name may not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scalar(value: Any) -> Any:
    """`value`, if it is finite, exact and no longer than a string may be."""
    found = type(value)
    if found is float and not isfinite(value):
        raise PydanticCustomError("finite_number", "Input should be a finite number")
    if found is int and not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise PydanticCustomError("too_large", "Input should be between -(2^53 - 1) and 2^53 - 1")
    if found is str and len(value) > STRING_CHARS_MAX:
        raise PydanticCustomError("too_long", "Input should be a shorter string")
    if found is dict or found is list:
        raise PydanticCustomError("not_scalar", "Input should be a number, text, true, false, null")
    return value


# One check with one error; a union of types would find four errors for each bad value.
Scalar = Annotated[Any, AfterValidator(_scalar)]
