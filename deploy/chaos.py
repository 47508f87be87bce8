"""`diten chaos run`: break a running system on purpose, heal it, and say what became of it.

    observe ─► break, by a schedule, while twins move ─► heal ─► converge ─► check ─► report
    └────────────── the observer listens all the time ──────────────┘

The system is somebody else's `diten up`, found by its data directory. It is not prepared
for this: its supervisor starts what is killed, its roles find each other again. Nothing
is healed for it but what only we can heal: stopped processes, cut links, filled disks.

Converged means: all roles run, and of every twin there was news (`chaos_observer`) after
the last fault's end. A twin whose device has nothing to report, or is no more, is left out
of that, as soon as the devices' stores show that nothing of it waits (`quiet`). All waiting
is bounded.
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.chaos_check import Verdict, check, devices_in, quiet, stores_in
from deploy.chaos_faults import Choice, Fault, schedule
from deploy.chaos_guard import Guard
from deploy.chaos_observer import FILTER, Observer, Watch
from deploy.chaos_strikes import POLL_S, Hand, Strike
from deploy.system_file import System, read_system, runs
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core.errors import Unavailable

CLIENT_ID = "diten-chaos"
FIRST_NEWS_S = 20.0  # to hear of the first twin: devices report every second or so
CONVERGED_S = 90.0  # three of the longest back-offs
QUIET_S = 10.0  # without news, before a device is asked whether it has anything to say
QUIET_PAUSE_S = 2.0
UP_PERIOD_S = 0.5
MOVE_S = 2.0  # a cloud that answers later is as good as down; the next move comes anyway


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `faults` is drawn from the seed."""

    folder: Path
    duration_s: float
    every_s: float
    moves_per_s: float
    seed: int
    choice: Choice

    def faults(self) -> list[Fault]:
        rng = random.Random(self.seed)
        return schedule(rng, self.choice, duration_s=self.duration_s, every_s=self.every_s)


@dataclass(slots=True)
class Outcome:
    """All that is known in the end; times are seconds since the beginning."""

    plan: Plan
    system: System
    strikes: list[Strike]
    observer: Observer
    healed_s: float = 0.0
    converged_s: float | None = None
    moves_asked: int = 0
    moves_refused: int = 0
    missing: list[str] = field(default_factory=list)  # no news, though there should be
    quiet: list[str] = field(default_factory=list)
    restarts: dict[str, int] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def is_good(self) -> bool:
        return self.converged_s is not None and not self.verdict.lost and not self.verdict.twice


class Campaign:
    """One run. `say` gets a line for each thing that happens."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._say = say
        self._began_s = 0.0
        self._interrupted = asyncio.Event()
        self._watches: list[tuple[Strike, Watch]] = []
        self._devices = devices_in(stores_in(plan.folder))
        system = read_system(plan.folder)
        self.outcome = Outcome(plan, system, [], Observer())

    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    async def run(self) -> Outcome:
        """Run to the end, or to Ctrl-C: then heal, converge and check all the same."""
        loop = asyncio.get_running_loop()
        self._began_s = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(), name="observer")
            watching = group.create_task(self._watch_up(), name="up")
            await self._hear_first()
            await self._break()
            await self._converge()
            listening.cancel()
            watching.cancel()
        self._say("comparing what devices were told with what is on disk")
        await asyncio.to_thread(self._check)
        return self.outcome

    def broken(self) -> list[str]:
        """What is broken right now, in words."""
        return [str(strike.fault) for strike in self.outcome.strikes
                if strike.ended_s is None and not strike.why_not]  # fmt: skip

    def _interrupt(self) -> None:
        """Ctrl-C: heal, and report all the same. Once more: heal, and end."""
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        self._interrupted.set()

    # --- observe ------------------------------------------------------------------------

    async def _listen(self) -> None:
        system = self.outcome.system
        bus = MqttBus(system.bus_host, system.bus_port, client_id=CLIENT_ID, filters=[FILTER])
        async with aclosing(bus.messages()) as messages:
            async for events in messages:
                self.outcome.observer.hear(events, self.now_s())
                self._note_recovered()

    async def _watch_up(self) -> None:
        """Give up as soon as the system has ended, on purpose or not: that is not ours to heal."""
        while True:
            if not runs(self.outcome.system.up):
                raise Unavailable(f"the `diten up` in {self.outcome.plan.folder} ended")
            await asyncio.sleep(UP_PERIOD_S)

    async def _hear_first(self) -> None:
        """Wait until a device is told something; else there is nothing to watch."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_NEWS_S):
                while True:
                    if self.outcome.observer.twins() or self._interrupted.is_set():
                        return
                    await asyncio.sleep(POLL_S)
        raise Unavailable(
            f"no device was acknowledged within {FIRST_NEWS_S:g} s: let devices report first"
        )

    def _note_recovered(self) -> None:
        after = []
        for strike, watch in self._watches:
            if strike.recovered_s is None and not watch.missing:
                strike.recovered_s = watch.last_s
                after.append(f"{watch.last_s - (strike.ended_s or 0):.1f} s after {strike.fault}")
        if after:
            self._say(f"all twins are acknowledged again, {', '.join(after)}")

    # --- break --------------------------------------------------------------------------

    async def _break(self) -> None:
        plan = self.outcome.plan
        with Guard() as guard:
            hand = Hand(plan.folder, guard, self.now_s)
            async with asyncio.TaskGroup() as group:
                for fault in plan.faults():
                    group.create_task(self._strike(hand, fault), name=str(fault))
                moving = group.create_task(self._move(), name="moves")
                await self._until(plan.duration_s)
                moving.cancel()
        self.outcome.healed_s = self.now_s()

    async def _until(self, at_s: float) -> None:
        """Wait for a moment, or for Ctrl-C."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_s - self.now_s()):
                await self._interrupted.wait()

    async def _strike(self, hand: Hand, fault: Fault) -> None:
        await self._until(fault.at_s)
        if self._interrupted.is_set():
            return
        strike = Strike(fault, self.now_s())
        self.outcome.strikes.append(strike)
        self._say(f"{fault} for {fault.lasts_s:.1f} s" if fault.has_length else str(fault))
        if fault.has_length:
            await _until_set(self._interrupted, hand.carry_out(strike))
        else:
            await hand.carry_out(strike)
        if strike.ended_s is not None:
            self._watches.append((strike, self.outcome.observer.watch(self.now_s())))
        elif strike.why_not:
            self._say(f"{fault} was not done: {strike.why_not}")

    async def _move(self) -> None:
        """Let twins move between edges, at random, until cancelled."""
        outcome = self.outcome
        edges = [part.id for part in outcome.system.parts if part.module == "edge_node"]
        rate = outcome.plan.moves_per_s
        rng = random.Random(outcome.plan.seed)
        url = f"http://127.0.0.1:{outcome.system.api_port}"
        async with httpx.AsyncClient(base_url=url, timeout=MOVE_S, trust_env=False) as client:
            while rate and len(edges) > 1:
                await asyncio.sleep(rng.expovariate(rate))
                twin = rng.choice(outcome.observer.twins())
                to = rng.choice([edge for edge in edges if edge != outcome.observer.owner(twin)])
                if await _asked(client, twin, to):
                    outcome.moves_asked += 1
                else:
                    outcome.moves_refused += 1

    # --- heal and look ------------------------------------------------------------------

    async def _converge(self) -> None:
        """Wait until all roles run and there was news of every twin, or for long enough."""
        outcome = self.outcome
        self._say("all faults are over; waiting for every twin")
        watch = outcome.observer.watch(self.now_s())
        due_s = outcome.healed_s + CONVERGED_S
        while self.now_s() < due_s:
            if self._all_run() and (not watch.missing or await self._are_quiet(watch.missing)):
                outcome.converged_s = watch.last_s
                break
            await asyncio.sleep(POLL_S)
        outcome.missing = sorted(watch.missing - set(outcome.quiet))
        for strike, own in self._watches:
            if own.missing <= set(outcome.quiet):
                strike.recovered_s = own.last_s

    def _all_run(self) -> bool:
        parts = read_system(self.outcome.plan.folder).parts
        return all(part.process is not None for part in parts)

    async def _are_quiet(self, missing: set[str]) -> bool:
        """Whether those who are missing have nothing to say; looked up once they were silent
        for a while, since it means to read what devices keep."""
        outcome = self.outcome
        if outcome.observer.silent(missing, self.now_s() - QUIET_S) != missing:
            return False
        stores = stores_in(outcome.plan.folder)
        found = await asyncio.to_thread(quiet, missing.copy(), stores, self._devices)
        outcome.quiet = sorted(found)
        await asyncio.sleep(QUIET_PAUSE_S)
        return missing <= found

    def _check(self) -> None:
        outcome = self.outcome
        outcome.verdict = check(outcome.observer.claims, stores_in(outcome.plan.folder))
        before = {part.id: part.restarts for part in outcome.system.parts}
        after = read_system(outcome.plan.folder).parts
        outcome.restarts = {part.id: part.restarts - before[part.id] for part in after}


async def _until_set(event: asyncio.Event, body: Coroutine[Any, Any, None]) -> None:
    """Run `body` to its end, or cancel it when the event comes."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(body, name="working")
        waiting = group.create_task(event.wait(), name="waiting")
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        waiting.cancel()


async def _asked(client: httpx.AsyncClient, twin: str, to: str) -> bool:
    """Whether the cloud agreed to the move."""
    try:
        answer = await client.post("/api/v1/moves", json={"twin": twin, "to": to})
    except httpx.TransportError:
        return False
    return answer.is_success
