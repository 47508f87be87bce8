"""What every diten process does around its shell: clock, signals, errors, exit codes.

A process ends in one of three ways: asked to (SIGTERM, SIGINT: `Stopping` is its machine's
last event), by its own word (`Stopped`), or cut off. The first two end here with an exit
code; the third needs no code, for that is what the stores are for. `Stopped` ends with the
code for usage: a machine stops itself when its process must not run as it is configured,
and a supervisor that started it again would only bring the trouble back.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from twin_runtime.adapters.log import log_notes
from twin_runtime.adapters.systemd import STOPPING, Systemd
from twin_runtime.core.effects import Machine, Note, Now, Stopping
from twin_runtime.core.errors import DitenError, InvalidConfiguration, Unavailable
from twin_runtime.ports import Ports
from twin_runtime.shell import Inbox, Stopped, run

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Now:
        return Now(time.monotonic(), time.time_ns() // 1_000_000)


async def run_process(
    machine: Machine,
    ports: Ports,
    inbox: Inbox,
    beside: Mapping[str, Coroutine[Any, Any, None]],
) -> None:
    """Run `machine` until it has handled `Stopping`; what runs `beside` it, by the names of
    the tasks, ends with it."""
    loop, systemd = asyncio.get_running_loop(), Systemd(os.environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, inbox.push, (Stopping(),))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each, name=name) for name, each in beside.items()]
        if systemd.listens:
            tasks.append(group.create_task(systemd.follow(ports.health), name="systemd"))
        await run(machine, ports, inbox)
        systemd.say(STOPPING)
        for task in tasks:
            task.cancel()


def exit_code(body: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run an async `body` to its end; every error a caller can act on is one line."""
    code = EXIT_OK
    try:
        asyncio.run(body())
    except* Stopped:
        code = EXIT_USAGE  # its machine has said why
    except* InvalidConfiguration as errors:
        code = _said(errors, EXIT_USAGE)
    except* Unavailable as errors:
        code = _said(errors, EXIT_UNREACHABLE)
    except* (DitenError, OSError) as errors:
        code = _said(errors, EXIT_FAILED)
    return code


def _said(errors: BaseExceptionGroup[BaseException], code: int) -> int:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _said(error, code)
        else:
            log_notes((Note("error", str(error) or repr(error)),))
    return code
