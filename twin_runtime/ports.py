"""The seams: everything a machine's shell needs from the world, and no more.

Each contract is deliberately the weakest that works; `twin_runtime.testing` has one
contract suite per port, which the production body and the test body both pass.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from twin_runtime.core.effects import (
    Act,
    Answer,
    Effects,
    Event,
    FetchBlob,
    Job,
    Note,
    Now,
    Row,
    Send,
    Write,
)
from twin_runtime.core.ids import StoreId


class Bus(Protocol):
    """A wire that may lose, duplicate, delay and reorder anything at any time."""

    async def publish(self, sends: Sequence[Send]) -> None:
        """Hand over messages, in order. Never waits for a delivery, never fails: while
        disconnected they are dropped and counted."""
        ...

    def messages(self) -> AsyncGenerator[list[Event], None]:
        """Yield what has arrived since the last list (`Message`s in order), `Connected`
        after each (re)connect once every subscription is granted, `Disconnected` when
        the connection is lost. A full inbox drops the newest and counts. Used once; it
        connects when iterated and disconnects cleanly when closed."""
        ...


class LogEntry(NamedTuple):
    """An entry of a bounded log, as `Store.scan` yields it."""

    key: str
    number: int
    value: bytes


class Store(Protocol):
    """Durable rows `(kind, key) -> bytes` and bounded, append-only logs."""

    @property
    def store_id(self) -> StoreId:
        """The random id written when this store was created."""
        ...

    def load(self) -> Iterator[Row]:
        """Yield every row, ordered by kind and key. Logs are never loaded."""
        ...

    def commit(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable, atomically, in order; logs are pruned to their
        bounds in the same transaction.

        Raises:
            StoreFull: the disk is full; nothing was written; the same commit may be retried.
            OSError: anything else; whether it was written is unknown; do not go on.
        """
        ...

    def scan(self, log: str, key: str, after: int = -1, limit: int = 1000) -> list[LogEntry]:
        """Entries of one key with `number > after`, ascending, at most `limit`."""
        ...

    def close(self) -> None: ...


class Clock(Protocol):
    """`monotonic_s` for waiting, `wall_ms` for labels."""

    def now(self) -> Now: ...


class Recorder(Protocol):
    """Where counts, observations and log lines go, after the commit."""

    def record(
        self,
        counts: Mapping[tuple[str, str], int],
        observed: Sequence[tuple[str, float]],
        notes: Sequence[Note],
    ) -> None: ...


_STARTING = "starting"


@dataclass(slots=True)
class Health:
    """Whether the process can do its work now; `reason` says why not."""

    ready: bool = False
    reason: str = _STARTING

    @property
    def is_starting(self) -> bool:
        """Whether the store is not loaded yet."""
        return self.reason == _STARTING


def _nobody(_: object) -> None:
    """What is done where nothing can act, and nobody waits for an answer."""


@dataclass(slots=True)
class Ports:
    """What one machine is run with. `view` is the committed state, for readers."""

    bus: Bus
    store: Store
    clock: Clock
    recorder: Recorder
    health: Health = field(default_factory=Health)
    view: dict[str, Any] = field(default_factory=dict)
    act: Callable[[Act], None] = _nobody
    answer: Callable[[Answer], None] = _nobody
    fetch: Callable[[FetchBlob], None] = _nobody
    begin: Callable[[Job], None] = _nobody
    committed: Callable[[Effects], None] = _nobody  # what is on disk and in the view now
