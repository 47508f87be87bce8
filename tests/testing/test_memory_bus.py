"""The wire in memory: it keeps the bus contract, and its faults are what they say."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random

import pytest

from twin_runtime.core.effects import Connected, Disconnected, Message, Send
from twin_runtime.testing.bus_contract import CASES, Rig
from twin_runtime.testing.listening import listening
from twin_runtime.testing.memory_bus import NO_FAULTS, Faults, MemoryBroker, MemoryBus, matches
from twin_runtime.testing.virtual_loop import VirtualLoop


class MemoryRig:
    def __init__(self, faults: Faults = NO_FAULTS, seed: int = 1) -> None:
        self.broker = MemoryBroker(Random(seed), faults)

    def bus(
        self,
        client_id: str,
        filters: Sequence[str] = (),
        *,
        will: Send | None = None,
        inbox_events_max: int = 65_536,
    ) -> MemoryBus:
        return MemoryBus(
            self.broker,
            client_id=client_id,
            filters=filters,
            will=will,
            inbox_events_max=inbox_events_max,
        )

    async def kill_a_client_with(self, will: Send) -> None:
        async with listening(self.bus("victim", will=will)):
            self.broker.kill("victim")

    async def kill_broker(self) -> None:
        self.broker.fail()

    async def restart_broker(self) -> None:
        self.broker.recover()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_memory_bus_keeps_the_contract(case: Callable[[Rig], Awaitable[None]]) -> None:
    async def run() -> None:
        await case(MemoryRig())

    asyncio.run(run())


async def heard_with(faults: Faults, seed: int, number: int = 400) -> list[bytes]:
    """Send `number` messages through a faulty broker, and wait until all is quiet."""
    rig = MemoryRig(faults, seed)
    async with listening(rig.bus("a", ["t"])) as a, listening(rig.bus("b")) as b:
        await b.bus.publish([Send("t", b"%d" % each) for each in range(number)])
        await asyncio.sleep(30 * faults.delay_mean_s)
        return a.payloads


def run_virtually(run: Coroutine[None, None, list[bytes]]) -> list[bytes]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run)


def test_the_same_seed_gives_the_same_run_in_virtual_time() -> None:
    faults = Faults(loss=0.1, duplication=0.1, delay_mean_s=1.0)
    first, again, other = (run_virtually(heard_with(faults, seed)) for seed in (7, 7, 8))
    assert len(first) > 300
    assert first == again
    assert first != other


def test_loss_takes_its_share_on_both_links() -> None:
    heard = asyncio.run(heard_with(Faults(loss=0.2), 1, number=4_000))
    assert len(heard) == len(set(heard)) == pytest.approx(4_000 * 0.8 * 0.8, rel=0.1)


def test_duplication_doubles_its_share_on_both_links() -> None:
    heard = asyncio.run(heard_with(Faults(duplication=0.2), 1, number=4_000))
    assert len(heard) == pytest.approx(4_000 * 1.2 * 1.2, rel=0.1)
    assert len(set(heard)) == 4_000


def test_delayed_messages_overtake_each_other() -> None:
    heard = asyncio.run(heard_with(Faults(delay_mean_s=0.003), 1))
    assert len(heard) == 400
    assert heard != sorted(heard, key=int)


@pytest.mark.parametrize("cut,arrives", [("up", []), ("down", [b"to b"])])
def test_a_link_cut_one_way_works_the_other_way(cut: str, arrives: list[bytes]) -> None:
    async def run() -> None:
        rig = MemoryRig()
        async with listening(rig.bus("a", ["a"])) as a, listening(rig.bus("b", ["b"])) as b:
            rig.broker.cut("a", "up" if cut == "up" else "down")
            await a.bus.publish([Send("b", b"to b")])
            await b.bus.publish([Send("a", b"to a")])
            rig.broker.heal()
            await a.bus.publish([Send("b", b"end")])
            await b.bus.publish([Send("a", b"end")])
            await b.messages_come(len(arrives) + 1)
            await a.until(lambda: a.payloads[-1:] == [b"end"])
            assert b.payloads == [*arrives, b"end"]
            assert a.payloads == ([b"to a", b"end"] if cut == "up" else [b"end"])
            assert a.bus.connected

    asyncio.run(run())


def test_a_clogged_link_loses_nothing_and_is_late() -> None:
    async def run() -> None:
        rig = MemoryRig()
        clock = asyncio.get_running_loop().time
        async with listening(rig.bus("a", ["t"])) as a, listening(rig.bus("b")) as b:
            started_s = clock()
            rig.broker.clog("a", 0.1)
            await b.bus.publish([Send("t", b"late")])
            await a.messages_come(1)
            assert clock() - started_s >= 0.1

    asyncio.run(run())


def test_what_is_in_flight_when_a_connection_ends_is_lost() -> None:
    async def run() -> None:
        rig = MemoryRig()
        async with listening(rig.bus("a", ["t"])) as a, listening(rig.bus("b")) as b:
            rig.broker.clog("a", 0.05)
            await b.bus.publish([Send("t", b"in flight")])
            rig.broker.disconnect("a")
            rig.broker.heal()
            await a.connections_come(2)
            await b.bus.publish([Send("t", b"end")])
            await a.messages_come(1)
            await asyncio.sleep(0.1)
            assert a.events == [Connected(), Disconnected(), Connected(), Message("t", b"end")]

    asyncio.run(run())


def test_a_wiped_broker_forgets_and_everyone_comes_back() -> None:
    async def run() -> None:
        rig = MemoryRig()
        async with listening(rig.bus("a", ["t"])) as a, listening(rig.bus("b", ["u"])) as b:
            await b.bus.publish([Send("t", b"kept", retain=True)])
            await a.messages_come(1)
            rig.broker.wipe()
            await a.connections_come(2)
            await b.connections_come(2)
            assert rig.broker.retained == {}
            assert a.payloads == [b"kept"]

    asyncio.run(run())


def test_a_killed_client_can_say_nothing_more() -> None:
    async def run() -> None:
        rig = MemoryRig()
        async with listening(rig.bus("a", ["t"])) as a, listening(rig.bus("b")) as b:
            rig.broker.kill("b")
            await b.bus.publish([Send("t", b"from beyond")])
            async with listening(rig.bus("c")) as c:
                await c.bus.publish([Send("t", b"end")])
                await a.messages_come(1)
            assert a.payloads == [b"end"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "pattern,topic,expected",
    [
        ("t/x", "t/x", True),
        ("t/x", "t/x/y", False),
        ("t/+/x", "t/a/x", True),
        ("t/+", "t", False),
        ("t/#", "t", True),
        ("#", "t/a", True),
        ("+", "t/a", False),
    ],
)
def test_filters_match_as_mqtt_says(pattern: str, topic: str, expected: bool) -> None:  # noqa: FBT001
    assert matches(pattern.split("/"), topic.split("/")) is expected
