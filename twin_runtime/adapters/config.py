"""Configuration: one TOML file per process into one frozen pydantic model.

Four layers are laid over each other, key by key: flags > environment > file > defaults.
Every value remembers where it came from, so that a mistake is one sentence that names
the place, the dotted key, the value and what is allowed. Unknown keys are mistakes too:
a misspelt key that is silently ignored is a default that nobody chose.

The environment spells the key `bus.host` of an edge `DITEN_EDGE__BUS__HOST`.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from twin_runtime.core.errors import InvalidConfiguration

_SHOWN_CHARS_MAX = 80  # of a refused value
_SECRETS = frozenset({"token", "password"})  # are not shown, refused or not

Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, Field(min_length=1, max_length=255)]


class Configuration(BaseModel):
    """What every configuration and its sections share: immutable, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BusConfig(Configuration):
    """Where the MQTT broker listens. With a `ca_file` TLS is spoken, and the broker proves its
    name; with a certificate this process proves its own (`bus_tls.py`), or with a `password`:
    the user's name is its identity."""

    host: Host = "127.0.0.1"
    port: Port = 1883
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024)] | None = None

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together: set both, or neither")
        if self.certificate_file is not None and self.ca_file is None:
            raise ValueError("certificate_file is for TLS: set ca_file, too")
        return self

    @property
    def scheme(self) -> str:
        """That of a URL of the broker."""
        return "mqtt" if self.ca_file is None else "mqtts"


class HttpConfig(Configuration):
    """Where this process serves HTTP; port 0 takes any free one.

    `advertise` is its address as others reach it, if that is another one. With a `token` every
    write needs it (`tokens.py`); the cloud and its edges share one.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    advertise: Annotated[str, Field(max_length=255, pattern=r"^https?://[!-~]+[^/]$")] | None = None
    token: Annotated[SecretStr, Field(min_length=16)] | None = None

    def address(self, port: int) -> str | None:
        """How others reach this process, that listens on `port`; None: nobody has said, and a
        wildcard is no address."""
        if self.advertise is not None or self.host in ("0.0.0.0", "::"):  # noqa: S104 - not bound
            return self.advertise
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"

    @property
    def secret(self) -> str | None:
        """The token; None: everybody may write."""
        return None if self.token is None else self.token.get_secret_value()


class _Setting(NamedTuple):
    value: Any
    origin: str


_Path = tuple[str, ...]
_Settings = dict[_Path, _Setting]
M = TypeVar("M", bound=BaseModel)


def load_config(
    model: type[M],
    role: str,
    path: Path | None,
    overrides: Mapping[str, Any],
    environ: Mapping[str, str],
) -> M:
    """Return the configuration of a process of `role`, or raise `InvalidConfiguration`.

    `overrides` are the flags given, by dotted key (`bus.host`); None: not given.
    """
    settings = _section_defaults(model)
    if path is not None:
        settings = _overlaid(settings, _flat(_read_toml(path), str(path)))
    settings = _overlaid(settings, _from_environment(role, environ))
    settings = _overlaid(settings, _from_flags(overrides))
    try:
        return model.model_validate(_nested(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fallback = str(path) if path is not None else "the configuration"
        raise InvalidConfiguration(_sentence(first, model, role, settings, fallback)) from None


def _section_defaults(model: type[BaseModel]) -> _Settings:
    """The defaults of whole sections, key by key: `[http] host = ...` alone keeps the
    role's own default port."""
    settings: _Settings = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and isinstance(field.default, BaseModel):
            settings |= _flat({name: field.default.model_dump()}, "the defaults")
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfiguration(f"{path} is not TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(
            f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from None
    except OSError as error:
        raise InvalidConfiguration(
            f"{path} cannot be read ({error.strerror}): give the path of a TOML file"
        ) from None


def _from_environment(role: str, environ: Mapping[str, str]) -> _Settings:
    prefix = _variable(role, ())
    return {
        tuple(name[len(prefix) :].lower().split("__")): _Setting(value, name)
        for name, value in environ.items()
        if name.startswith(prefix)
    }


def _from_flags(overrides: Mapping[str, Any]) -> _Settings:
    return {
        tuple(key.split(".")): _Setting(value, "the command line")
        for key, value in overrides.items()
        if value is not None
    }


def _overlaid(below: _Settings, above: _Settings) -> _Settings:
    """`below` where `above` sets neither the same key nor, to a value, a section around it."""
    replaced = {path for path, setting in above.items() if setting.value != {}}
    kept = {
        path: setting
        for path, setting in below.items()
        if not any(path[:length] in replaced for length in range(1, len(path)))
    }
    return kept | above


def _variable(role: str, path: _Path) -> str:
    return f"DITEN_{role.upper()}__" + "__".join(path).upper()


def _flat(table: Mapping[str, Any], origin: str, above: _Path = ()) -> _Settings:
    """The leaves of a TOML table by path; an empty table is a leaf, or it would vanish."""
    settings: _Settings = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            settings |= _flat(value, origin, (*above, key))
        else:
            settings[*above, key] = _Setting(value, origin)
    return settings


def _nested(settings: _Settings) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, setting in sorted(settings.items(), key=lambda item: item[0]):
        table = root
        for depth, key in enumerate(path[:-1], start=1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                above = ".".join(path[:depth])
                raise InvalidConfiguration(
                    f"{setting.origin}: {'.'.join(path)} cannot be set, since {above} is set "
                    f"to {table!r}: remove one of them"
                )
        table[path[-1]] = {} if setting.value == {} else setting.value
    return root


def _sentence(
    error: ErrorDetails, model: type[BaseModel], role: str, settings: _Settings, fallback: str
) -> str:
    key = ".".join(str(part) for part in error["loc"])
    path = tuple(str(part) for part in error["loc"])
    origin = _origin(path, settings) or fallback
    if error["type"] == "extra_forbidden":
        return f"{origin}: {key} is not a known key; {_nearest(key, model)}"
    if error["type"] == "missing":
        # A variable cannot reach into an array.
        in_array = any(isinstance(part, int) for part in error["loc"])
        elsewhere = "" if in_array else f" or as {_variable(role, path)}"
        return f"{origin}: {key} is missing; set it there{elsewhere}"
    allowed = error["msg"].removeprefix("Value error, ")
    allowed = allowed[:1].lower() + allowed[1:]
    if path and path[-1] in _SECRETS:
        return f"{origin}: {key} is refused: {allowed}"
    return f"{origin}: {key or 'the file'} = {_shown(error['input'])} is refused: {allowed}"


def _origin(path: _Path, settings: _Settings) -> str:
    """Where the value at `path` was set: at the path itself, or above it for an array, or
    below it for a table."""
    for length in range(len(path), 0, -1):
        if path[:length] in settings:
            return settings[path[:length]].origin
    below = [setting for key, setting in settings.items() if key[: len(path)] == path]
    return below[0].origin if path and below else ""


def _nearest(key: str, model: type[BaseModel]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - 0.1 MB for a mistake

    known = sorted(set(_known_keys(model)))
    if near := get_close_matches(key, known, n=1):
        return f"did you mean {near[0]}?"
    section = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == section]
    return f"known keys are {', '.join(siblings or known)}"


def _known_keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield above + name
        for section in _sections(field.annotation):
            yield from _known_keys(section, f"{above}{name}.")


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, through `X | None`, `tuple[X, ...]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[: _SHOWN_CHARS_MAX - 3] + "..."
