"""What every body of `ports.Bus` does: one suite for the wire in memory and the real ones.

`CASES` are coroutines that take a `Rig`: a fresh broker and a way to make clients and
to break things. A test runs each case on each rig; a case that fails says what it heard.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from twin_runtime.core.effects import Connected, Disconnected, Message, Send
from twin_runtime.core.limits import PACKET_BYTES_MAX
from twin_runtime.testing.listening import CountingBus, Heard, cancel, eventually, listening

FIGHT_S = 1.5
FIGHT_RECONNECTS_MAX = 12  # without a back-off it is hundreds
BURST = 20_000
TELLINGS_MAX = 10
END = Message("end", b"")


class Rig(Protocol):
    """A broker that nobody else uses."""

    def bus(
        self,
        client_id: str,
        filters: Sequence[str] = (),
        *,
        will: Send | None = None,
        inbox_events_max: int = 65_536,
    ) -> CountingBus:
        """Make a client; it connects when it is iterated."""
        ...

    async def kill_a_client_with(self, will: Send) -> None:
        """Let a client connect with this will, and kill its process without a goodbye."""
        ...

    async def kill_broker(self) -> None:
        """End the broker without warning; it forgets everything."""
        ...

    async def restart_broker(self) -> None:
        """Let it run again where it ran before."""
        ...


# --- delivery -----------------------------------------------------------------------------


async def a_message_reaches_its_subscriber_as_it_was_sent(rig: Rig) -> None:
    async with listening(rig.bus("a", ["t/x"])) as a, listening(rig.bus("b")) as b:
        await b.bus.publish([Send("t/x", b'{"v":1}'), Send("t/x", bytes(range(256)))])
        await a.messages_come(2)
        assert a.messages == [Message("t/x", b'{"v":1}'), Message("t/x", bytes(range(256)))]


async def the_first_thing_heard_is_connected(rig: Rig) -> None:
    """Also where messages arrive before the last of many filters is granted."""
    filters = ["t/x", *(f"s/{number}" for number in range(2_000))]
    async with listening(rig.bus("b")) as b:
        kept = Send("t/x", b"kept", retain=True)
        await b.bus.publish([kept])
        async with listening(rig.bus("a", filters)) as a:
            await b.bus.publish([kept])
            await a.messages_come(1)
            assert a.events[:2] == [Connected(), Message("t/x", b"kept")]


async def connected_means_that_subscriptions_work(rig: Rig) -> None:
    """A client that sends to itself on `Connected` hears it, at every filter."""
    filters = [f"t/{number}/+" for number in range(50)]
    async with listening(rig.bus("a", filters)) as a:
        await a.bus.publish([Send(f"t/{number}/x", b"%d" % number) for number in range(50)])
        await a.messages_come(50)
        assert a.payloads == [b"%d" % number for number in range(50)]


async def two_thousand_filters_are_all_granted(rig: Rig) -> None:
    async with listening(rig.bus("a", [f"t/{number}" for number in range(2_000)])) as a:
        await a.bus.publish([Send("t/0", b"first"), Send("t/1999", b"last")])
        await a.messages_come(2)
        assert a.payloads == [b"first", b"last"]


async def a_plus_matches_exactly_one_level(rig: Rig) -> None:
    topics = ["t/a/x", "t/b/x", "t/x", "t/a/b/x", "t/a/y", "s/a/x", "t//x", "end"]
    async with listening(rig.bus("a", ["t/+/x", "end"])) as a:
        await a.bus.publish([Send(topic, b"m") for topic in topics])
        await a.until(lambda: bool(a.messages) and a.messages[-1].topic == "end")
        assert [each.topic for each in a.messages] == ["t/a/x", "t/b/x", "t//x", "end"]


async def a_hash_matches_everything_below(rig: Rig) -> None:
    topics = ["t/a", "s/t", "t/a/b/c", "tt/a", "t", "end"]
    async with listening(rig.bus("a", ["t/#", "end"])) as a:
        await a.bus.publish([Send(topic, b"m") for topic in topics])
        await a.until(lambda: bool(a.messages) and a.messages[-1].topic == "end")
        assert [each.topic for each in a.messages] == ["t/a", "t/a/b/c", "t", "end"]


async def each_publishers_messages_keep_their_order(rig: Rig) -> None:
    numbers = [b"%d" % number for number in range(1_000)]
    async with (
        listening(rig.bus("a", ["t/+"])) as a,
        listening(rig.bus("b")) as b,
        listening(rig.bus("c")) as c,
    ):
        for start in range(0, 1_000, 100):
            await b.bus.publish([Send("t/b", each) for each in numbers[start : start + 100]])
            await c.bus.publish([Send("t/c", each) for each in numbers[start : start + 100]])
        await a.messages_come(2_000)
        for topic in ("t/b", "t/c"):
            assert [each.payload for each in a.messages if each.topic == topic] == numbers


async def payloads_up_to_the_limit_arrive_whole(rig: Rig) -> None:
    sizes = [0, 1, 100, 127, 128, 16_383, 16_384, PACKET_BYTES_MAX]
    async with listening(rig.bus("a", ["t"])) as a:
        await a.bus.publish(
            [Send("t", bytes([number]) * size) for number, size in enumerate(sizes)]
        )
        await a.messages_come(len(sizes))
        assert a.payloads == [bytes([number]) * size for number, size in enumerate(sizes)]


async def a_burst_arrives_whole_and_in_order(rig: Rig) -> None:
    async with listening(rig.bus("a", ["t/+"])) as a, listening(rig.bus("b")) as b:
        await b.bus.publish([Send("t/b", b"%0177d" % number) for number in range(BURST)])
        await a.messages_come(BURST)
        assert [int(each) for each in a.payloads] == list(range(BURST))
        assert a.bus.inbox_drops == b.bus.sends_dropped == 0


# --- retained topics ----------------------------------------------------------------------


async def a_retained_topic_reaches_a_late_subscriber(rig: Rig) -> None:
    levels = [Send(f"t/{number}", b"%d" % number, retain=True) for number in range(300)]
    async with listening(rig.bus("b")) as b:
        tell = b.bus.publish
        await late_ones_hear(rig, tell, levels, {Message(each[0], each[1]) for each in levels})


async def what_is_not_retained_reaches_no_late_subscriber(rig: Rig) -> None:
    levels = [Send("t/x", b"kept", retain=True), Send("t/x", b"passing"), Send("t/y", b"passing")]
    async with listening(rig.bus("b")) as b:
        await late_ones_hear(rig, b.bus.publish, levels, {Message("t/x", b"kept")})


async def a_retained_topic_keeps_its_newest_payload(rig: Rig) -> None:
    levels = [Send("t/x", b"old", retain=True), Send("t/x", b"new", retain=True)]
    async with listening(rig.bus("b")) as b:
        await late_ones_hear(rig, b.bus.publish, levels, {Message("t/x", b"new")})


async def an_empty_retained_payload_clears_the_topic(rig: Rig) -> None:
    levels = [Send("t/x", b"old", retain=True), Send("t/x", b"", retain=True)]
    levels.append(Send("t/y", b"kept", retain=True))
    async with listening(rig.bus("b")) as b:
        await late_ones_hear(rig, b.bus.publish, levels, {Message("t/y", b"kept")})


async def late_ones_hear(
    rig: Rig,
    tell: Callable[[Sequence[Send]], Awaitable[None]],
    levels: Sequence[Send],
    wanted: set[Message],
) -> None:
    """Tell `levels` and let a subscriber come late, until one hears exactly what is wanted.

    Whoever publishes a level repeats it, and has to: a NATS server passes a retained
    message on before it has stored it, and whoever subscribes in between misses it.
    """
    heard: set[Message] = set()
    for number in range(TELLINGS_MAX):
        await tell(levels)
        async with listening(rig.bus(f"late-{number}", ["t/+", "end"])) as late:
            await tell([Send(*END)])
            await late.until(partial(late.has_heard, END))
            heard = set(late.messages) - {END}
        if heard == wanted:
            return
    missed, unwanted = sorted(wanted - heard)[:3], sorted(heard - wanted)[:3]
    raise AssertionError(f"heard {len(heard)}, missed {missed}, did not want {unwanted}")


# --- connections --------------------------------------------------------------------------


async def a_will_is_told_when_its_client_is_killed(rig: Rig) -> None:
    async with listening(rig.bus("a", ["t/+"])) as a:
        await rig.kill_a_client_with(Send("t/b", b"lost", retain=True))
        await a.messages_come(1)
        assert a.messages == [Message("t/b", b"lost")]
        await late_ones_hear(rig, a.bus.publish, [], {Message("t/b", b"lost")})


async def a_will_is_not_told_after_a_clean_close(rig: Rig) -> None:
    async with listening(rig.bus("a", ["status/+"])) as a:
        async with listening(rig.bus("b", will=Send("status/b", b"lost"))) as b:
            await b.bus.publish([Send("status/b", b"goodbye")])
        assert not b.bus.connected
        async with listening(rig.bus("c")) as c:
            await c.bus.publish([Send("status/c", b"end")])
            await a.messages_come(2)
        assert a.payloads == [b"goodbye", b"end"]


async def a_killed_broker_is_told_and_found_again(rig: Rig) -> None:
    async with listening(rig.bus("a", ["t/+"])) as a:
        await rig.kill_broker()
        await a.disconnections_come(1)
        assert not a.bus.connected
        await rig.restart_broker()
        await a.connections_come(2)
        await a.bus.publish([Send("t/x", b"after")])
        await a.messages_come(1)
        assert a.events == [Connected(), Disconnected(), Connected(), Message("t/x", b"after")]
        assert a.bus.reconnects == 1


async def a_killed_broker_forgets_what_was_retained(rig: Rig) -> None:
    async with listening(rig.bus("b", ["t/x"])) as b:
        await b.bus.publish([Send("t/x", b"old", retain=True)])
        await b.messages_come(1)
        await rig.kill_broker()
        await rig.restart_broker()
        async with listening(rig.bus("a", ["t/+"])) as a:
            await b.connections_come(2)
            await b.bus.publish([Send("t/y", b"end")])
            await a.messages_come(1)
            assert a.messages == [Message("t/y", b"end")]


async def a_broker_that_is_down_at_the_start_is_waited_for(rig: Rig) -> None:
    await rig.kill_broker()
    bus = rig.bus("a", ["t"])
    heard = Heard(bus)
    task = asyncio.create_task(heard.listen(), name="listener")
    try:
        await asyncio.sleep(0.05)
        await rig.restart_broker()
        await heard.connections_come(1)
        assert heard.events == [Connected()]
        assert bus.reconnects == 0
    finally:
        await cancel(task)


async def publishing_while_disconnected_drops_and_counts(rig: Rig) -> None:
    bus = rig.bus("a", ["t"])
    await bus.publish([Send("t", b"too early")])
    async with listening(bus) as a:
        await rig.kill_broker()
        await a.disconnections_come(1)
        before = bus.sends_dropped
        await bus.publish([Send("t", b"lost"), Send("t", b"lost")])
        assert [before, bus.sends_dropped] == [1, 1 + 2]
        await rig.restart_broker()
        await a.connections_come(2)
        await bus.publish([Send("t", b"end")])
        await a.messages_come(1)
        assert a.payloads == [b"end"]


async def a_full_inbox_drops_the_newest_and_counts(rig: Rig) -> None:
    kept, dropped = 10, 90
    bus = rig.bus("a", ["t/+"], inbox_events_max=kept)
    async with listening(bus) as a, listening(rig.bus("b")) as b:
        a.running.clear()
        await b.bus.publish([Send("t/x", b"seen")])
        await a.messages_come(1)  # and now it takes no more
        await b.bus.publish([Send("t/x", b"%d" % number) for number in range(kept + dropped)])
        await eventually(lambda: bus.inbox_drops == dropped)
        a.running.set()
        await a.messages_come(1 + kept)
        assert a.payloads == [b"seen", *(b"%d" % number for number in range(kept))]


async def a_full_inbox_still_tells_of_the_connection(rig: Rig) -> None:
    bus = rig.bus("a", ["t"], inbox_events_max=1)
    async with listening(bus) as a:
        a.running.clear()
        await bus.publish([Send("t", b"seen")])
        await a.messages_come(1)
        await bus.publish([Send("t", b"kept"), Send("t", b"dropped")])
        await eventually(lambda: bus.inbox_drops == 1)
        await rig.kill_broker()
        await eventually(lambda: not bus.connected)
        await rig.restart_broker()
        await eventually(lambda: bus.connected)
        a.running.set()
        await a.connections_come(2)
        assert a.events[2:] == [Message("t", b"kept"), Disconnected(), Connected()]


async def a_cancelled_iteration_leaves_nothing_behind(rig: Rig) -> None:
    before = asyncio.all_tasks()
    bus = rig.bus("a", ["t"])
    async with listening(bus):
        assert bus.connected
    assert not bus.connected
    await bus.publish([Send("t", b"too late")])
    assert bus.sends_dropped == 1
    assert asyncio.all_tasks() <= before, asyncio.all_tasks() - before


async def an_iteration_cancelled_while_it_connects_leaves_nothing_behind(rig: Rig) -> None:
    before = asyncio.all_tasks()
    for turns in range(8):
        task = asyncio.create_task(Heard(rig.bus("a", ["t"])).listen(), name="listener")
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancel(task)
    assert asyncio.all_tasks() <= before, asyncio.all_tasks() - before


async def a_second_client_with_the_same_id_is_no_fight_at_full_speed(rig: Rig) -> None:
    async with listening(rig.bus("twin")) as a, listening(rig.bus("twin")) as b:
        await a.disconnections_come(1)
        await asyncio.sleep(FIGHT_S)
        assert a.bus.reconnects + b.bus.reconnects <= FIGHT_RECONNECTS_MAX, (
            a.bus.reconnects,
            b.bus.reconnects,
        )


CASES: Sequence[Callable[[Rig], Awaitable[None]]] = (
    a_message_reaches_its_subscriber_as_it_was_sent,
    the_first_thing_heard_is_connected,
    connected_means_that_subscriptions_work,
    two_thousand_filters_are_all_granted,
    a_plus_matches_exactly_one_level,
    a_hash_matches_everything_below,
    each_publishers_messages_keep_their_order,
    payloads_up_to_the_limit_arrive_whole,
    a_burst_arrives_whole_and_in_order,
    a_retained_topic_reaches_a_late_subscriber,
    what_is_not_retained_reaches_no_late_subscriber,
    a_retained_topic_keeps_its_newest_payload,
    an_empty_retained_payload_clears_the_topic,
    a_will_is_told_when_its_client_is_killed,
    a_will_is_not_told_after_a_clean_close,
    a_killed_broker_is_told_and_found_again,
    a_killed_broker_forgets_what_was_retained,
    a_broker_that_is_down_at_the_start_is_waited_for,
    publishing_while_disconnected_drops_and_counts,
    a_full_inbox_drops_the_newest_and_counts,
    a_full_inbox_still_tells_of_the_connection,
    a_cancelled_iteration_leaves_nothing_behind,
    an_iteration_cancelled_while_it_connects_leaves_nothing_behind,
    a_second_client_with_the_same_id_is_no_fight_at_full_speed,
)
