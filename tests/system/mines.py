"""A role that kills itself at a step of the protocol: `kill -9`, there and then.

    python -m tests.system.mines PLAN MODULE CONFIG

runs MODULE as it always runs, but its two ports to the world, `SqliteStore.commit` and
`MqttBus.publish`, first look into the file PLAN, once there is one: a JSON list of mines.
A mine goes off once, whether its process is started again or not: its file `gone_off`
is there before the process is dead.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.adapters.sqlite_store import SqliteStore
from twin_runtime.core.effects import Append, Put, Send, Write


class Mine(NamedTuple):
    """Kill the process `when` (before or after) it commits, or sends, what is like `pattern`:
    of a row `kind key value`, of a message `topic payload`."""

    what: Literal["commit", "send"]
    when: Literal["before", "after"]
    pattern: str
    gone_off: str

    def is_hit(self, what: str, when: str, texts: Sequence[str]) -> bool:
        return (self.what, self.when) == (what, when) and any(
            re.search(self.pattern, text) for text in texts
        )


class Minefield:
    """The mines that have not gone off yet."""

    def __init__(self, plan: Path) -> None:
        self._plan = plan
        self._mines: list[Mine] | None = None

    def tread(self, what: str, when: str, texts: Sequence[str]) -> bool:
        """Whether a mine goes off; then end this process by `die`."""
        for mine in self._left():
            if mine.is_hit(what, when, texts):
                Path(mine.gone_off).touch()
                return True
        return False

    def _left(self) -> list[Mine]:
        if self._mines is None and self._plan.exists():
            planned = [Mine(*fields) for fields in json.loads(self._plan.read_text())]
            self._mines = [mine for mine in planned if not Path(mine.gone_off).exists()]
        return self._mines or []


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def mined_commit(field: Minefield) -> Callable[[SqliteStore, Sequence[Write]], None]:
    plain = SqliteStore.commit

    def commit(store: SqliteStore, writes: Sequence[Write]) -> None:
        texts = list(_rows(writes))
        if field.tread("commit", "before", texts):
            die()
        plain(store, writes)
        if field.tread("commit", "after", texts):
            die()

    return commit


def _rows(writes: Sequence[Write]) -> Iterator[str]:
    for write in writes:
        match write:
            case Put(kind, key, value):
                yield f"{kind} {key} {value.decode()}"
            case Append(log, key, number, _):
                yield f"{log} {key} {number}"


def mined_publish(field: Minefield) -> Callable[[MqttBus, Sequence[Send]], Awaitable[None]]:
    plain = MqttBus.publish

    async def publish(bus: MqttBus, sends: Sequence[Send]) -> None:
        for number, send in enumerate(sends):
            text = f"{send.topic} {send.payload.decode(errors='replace')}"
            for sent, when in enumerate(("before", "after")):
                if field.tread("send", when, [text]):
                    await plain(bus, sends[: number + sent])
                    die()
        await plain(bus, sends)

    return publish


def main(plan: str, module: str, config: str) -> Any:
    field = Minefield(Path(plan))
    SqliteStore.commit = mined_commit(field)  # type: ignore[assignment,method-assign]
    MqttBus.publish = mined_publish(field)  # type: ignore[assignment,method-assign]
    return import_module(f"{module}.__main__").start(Path(config))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
