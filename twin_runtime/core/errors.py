"""The exception tree: the kinds of failure a caller can act on.

    DitenError
    ├── MalformedMessage      the peer sent nonsense: refuse, answer, count
    ├── InvalidConfiguration  an operator's file, flag or variable is wrong: say which, exit 2
    └── Unavailable           cannot be done now: wait or report, the input was fine
        ├── StoreFull         the disk is full: not ready, retry the same commit
        └── BlobsFull         there is no room for a blob: do without it, or try later

Everything else is our own mistake and stays an assertion.
"""


class DitenError(Exception):
    """Root of every error diten raises on purpose."""


class MalformedMessage(DitenError):
    """The peer sent something that cannot be used.

    `code` is a stable, countable reason (`not_json`, `too_large`, ...); `pointer` is the
    JSON pointer (RFC 6901) of the value refused, empty for the whole message.
    """

    def __init__(self, code: str, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.pointer = pointer


class InvalidConfiguration(DitenError):
    """A configuration key or value is wrong; the message names it and says what to do."""


class Unavailable(DitenError):
    """It cannot be done now, though the request was fine."""


class StoreFull(Unavailable):
    """The store's disk (or its page limit) is full; the same commit may succeed later."""


class BlobsFull(Unavailable):
    """The disk, or the part of it that blobs may take, is full."""
