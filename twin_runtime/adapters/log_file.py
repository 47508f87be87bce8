"""What a child process says, kept in a file of bounded size beside one older file.

It is opened anew for each addition: these are rare, and nothing is left to close, flush or
lose when a disk is full. A line that finds no room is lost; whoever said it goes on.
"""

from contextlib import suppress
from pathlib import Path


def append(path: Path, said: bytes, bytes_max: int) -> None:
    """Add to the file `path`; before it outgrows `bytes_max` it becomes `path.1`."""
    with suppress(OSError):
        if path.exists() and path.stat().st_size + len(said) > bytes_max:
            path.replace(path.with_name(f"{path.name}.1"))
        with path.open("ab", buffering=0) as log:
            log.write(said)
