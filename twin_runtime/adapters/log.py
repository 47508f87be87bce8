"""Log lines on stderr, one event a line, as a supervisor's journal wants them."""

import logging
import sys
import time
from collections.abc import Iterable

from twin_runtime.core.effects import Note

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_log = logging.getLogger("diten")


def configure_log(identity: str) -> None:
    """Send this process's log to stderr; `identity` (`e-1`, `cloud`) marks its lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(identity))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def log_notes(notes: Iterable[Note]) -> None:
    """Write what a machine had to say."""
    for note in notes:
        _log.log(_LEVELS[note.level], "%s", note.text)


class _OneLine(logging.Formatter):
    """`2030-01-01T12:00:00.123Z e-1 warning: text`; a line break inside becomes ` | `, a
    traceback is kept as it is, below its line.

    A machine names the device it speaks of, one of many or its process's only one; that
    name is left out where it marks the line already."""

    def __init__(self, identity: str) -> None:
        super().__init__()
        self._identity = identity

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said = record.getMessage().removeprefix(f"{self._identity}: ")
        text = " | ".join(said.splitlines())
        level = record.levelname.lower()
        return f"{moment}.{int(record.msecs):03d}Z {self._identity} {level}: {text}"
