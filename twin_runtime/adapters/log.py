"""Log lines on stderr, one event a line: for a person's terminal, or as JSON for a journal.

`DITEN_LOG=json` in the environment makes each line one JSON object, as services are run:
`ts`, `level`, `service` and `message`, and of what it speaks, where that is known: `twin`,
`edge`, `epoch`. Otherwise a line reads `2030-01-01T12:00:00.123Z e-1 warning: text`.

The standard library does this: a structured logger to import takes 15 MB and 0.1 s of a
board whose agent has 42 MB and starts in half a second.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable

from twin_runtime.core.effects import Note
from twin_runtime.core.limits import LOG_TEXT_CHARS_MAX
from twin_runtime.core.printable import printable

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_ABOUT = ("twin", "edge", "epoch")
_log = logging.getLogger("diten")


def configure_log(identity: str) -> None:
    """Send this process's log to stderr; `identity` (`e-1`, `cloud`) marks its lines."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = os.environ.get("DITEN_LOG") == "json"
    handler.setFormatter(_Json(identity) if as_json else _OneLine(identity))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request otherwise


def log_notes(notes: Iterable[Note]) -> None:
    """Write what a machine had to say."""
    for note in notes:
        about = {name: value for name in _ABOUT if (value := getattr(note, name))}
        _log.log(_LEVELS[note.level], "%s", note.text, extra=about)


class _Json(logging.Formatter):
    """One object a line; a traceback is in `traceback`."""

    def __init__(self, identity: str) -> None:
        super().__init__()
        self._identity = identity
        self._own = {"edge": identity} if identity.startswith("e-") else {}

    def format(self, record: logging.LogRecord) -> str:
        about = {name: vars(record)[name] for name in _ABOUT if name in vars(record)}
        line = {
            "ts": _moment(record),
            "level": record.levelname.lower(),
            "service": self._identity,
            **self._own,
            **about,
            "message": _said(record, self._identity)[:LOG_TEXT_CHARS_MAX],
        }
        if record.exc_info:  # its end says most
            line["traceback"] = self.formatException(record.exc_info)[-LOG_TEXT_CHARS_MAX:]
        return json.dumps(line, ensure_ascii=False)


class _OneLine(logging.Formatter):
    """A line break inside becomes ` | `; a traceback is kept as it is, below its line."""

    def __init__(self, identity: str) -> None:
        super().__init__()
        self._identity = identity

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        lines = _said(record, self._identity)[:LOG_TEXT_CHARS_MAX].splitlines()
        text = " | ".join(map(printable, lines))
        return f"{_moment(record)} {self._identity} {record.levelname.lower()}: {text}"


def _said(record: logging.LogRecord, identity: str) -> str:
    """A machine names the device it speaks of, one of many or its process's only one; that
    name is left out where it marks the line already."""
    return record.getMessage().removeprefix(f"{identity}: ")


def _moment(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"
