"""Reading a query from left to right, with the position of whatever is wrong in it."""

import re

from twin_runtime.core.errors import MalformedMessage

_SPACE = re.compile(r"\s*")
_SHOWN_CHARS_MAX = 20  # of what was found instead
_WORD = re.compile(r"[^\s(),]+|.", re.DOTALL)


class Scanner:
    """A text and the `place` that reading has come to. Space between its parts is skipped."""

    def __init__(self, text: str, code: str, chars_max: int) -> None:
        """`code` is that of every `MalformedMessage` which is raised."""
        self._text = text
        self._code = code
        self.place = 0
        if len(text) > chars_max:
            raise MalformedMessage(code, f"{len(text)} characters; at most {chars_max} are read")

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """What `pattern` matches here, and go on behind it; None where it does not match."""
        found = pattern.match(self._text, self._skip())
        if found is None:
            return None
        self.place = found.end()
        return found[0]

    def took(self, sign: str) -> bool:
        """Whether `sign` is next; if so, go on behind it."""
        found = self._text.startswith(sign, self._skip())
        self.place += len(sign) * found
        return found

    def expect(self, sign: str, or_else: str = "") -> None:
        """Go on behind `sign`; `or_else` is what could have stood here as well."""
        if not self.took(sign):
            raise self.mistake(f"{or_else}{sign!r}")

    def end(self) -> None:
        """Nothing may follow."""
        if self._skip() < len(self._text):
            raise self.mistake("the end")

    def mistake(self, expected: str, place: int | None = None) -> MalformedMessage:
        """What to raise where something else stands than what is expected, here or at `place`."""
        place = self._skip() if place is None else place
        found = _WORD.match(self._text, place)
        shown = repr(found[0][:_SHOWN_CHARS_MAX]) if found else "the end"
        return MalformedMessage(
            self._code, f"position {place + 1}: expected {expected}, found {shown}"
        )

    def _skip(self) -> int:
        space = _SPACE.match(self._text, self.place)
        self.place = space.end() if space else self.place
        return self.place
