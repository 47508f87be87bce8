"""A device's outbox against a perfect edge and a network that loses, repeats and reorders.

The device may crash before or after any commit; what is volatile is then gone. Windows and
acknowledgements stay in the air for ever and arrive at any time, any number of times. An
owner may be deposed at any moment: the next one begins from the cloud's checkpoint, and the
old one goes on acknowledging whoever still speaks to it.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from twin_runtime.core import messages
from twin_runtime.core import twin as core
from twin_runtime.core.effects import Delete, Put, Write
from twin_runtime.core.ids import TwinId
from twin_runtime.core.messages import ReportAck
from twin_runtime.core.outbox import Mark, Outbox
from twin_runtime.core.twin import Twin

SLACK_BYTES = 400  # one report more than the bound in bytes
ROUNDS_MAX = 500  # deliveries until everything has arrived


class Owner:
    """An edge that owns the twin at one epoch, and the numbers of the reports it applied."""

    def __init__(self, twin: Twin, applied: tuple[int, ...]) -> None:
        self.twin = twin
        self.applied = applied

    def hear(self, payload: bytes) -> None:
        outcome = core.apply_window(self.twin, messages.parse(messages.WINDOW, payload), 0)
        self.twin = outcome.twin
        self.applied += tuple(report.features["n"] for report in outcome.applied)

    def ack(self) -> ReportAck:
        twin = self.twin
        return ReportAck(
            edge="e-1",
            epoch=twin.epoch,
            session=twin.session,
            applied=twin.last_seq,
            stable=twin.stable_seq,
        )


class Delivery(RuleBasedStateMachine):
    @initialize(
        reports_max=st.integers(1, 8),
        bytes_max=st.sampled_from([300, 600, 10_000]),
        keep_stable=st.integers(0, 3),
    )
    def begin(self, reports_max: int, bytes_max: int, keep_stable: int) -> None:
        self.bounds = {
            "reports_max": reports_max,
            "bytes_max": bytes_max,
            "keep_stable": keep_stable,
        }
        self.disk: dict[str, bytes] = {}
        self.mark: Mark | None = None
        self.number = 0
        self.stored: list[int] = []  # the number of each stored report, in order
        self.unprotected: set[int] = set()
        self.owners = {1: Owner(Twin(TwinId("d-1"), epoch=1), ())}
        self.checkpoint = self.owners[1].twin, self.owners[1].applied
        self.epoch = self.route = 1
        self.windows: list[tuple[int, bytes]] = []  # in the air: to the owner at which epoch
        self.acks: list[ReportAck] = []
        self.outbox = Outbox("d-1", 100, **self.bounds)

    # --- the device --------------------------------------------------------------------

    def commit(self, writes: list[Write]) -> None:
        for write in writes:
            match write:
                case Put(_, key, value):
                    self.disk[key] = value
                case Delete(_, key):
                    self.disk.pop(key, None)

    def numbers(self) -> list[int]:
        return [messages.load(row)["features"]["n"] for row in self.outbox.rows.values()]

    @rule(padding=st.sampled_from([0, 0, 0, 200]))
    def measure(self, padding: int) -> None:
        self.number += 1
        before = self.numbers()
        content = {"features": {"n": self.number, "text": "x" * padding}}
        writes, outcome, given_up = self.outbox.append(0, content)
        self.commit(writes)
        if outcome == "coalesced":
            assert self.stored.pop() == before.pop()
        if outcome != "held":
            self.stored.append(self.number)
            self.mark = self.outbox.mark  # it rides on the append
            assert self.numbers() == [*before[given_up:], self.number]
        self.unprotected.update(before[:given_up])

    @rule()
    def crash_before_the_commit(self) -> None:
        self.outbox.append(0, {"features": {"n": -1}})
        self.restart()

    @rule()
    def restart(self) -> None:
        self.outbox = Outbox("d-1", 100, **self.bounds)
        self.outbox.restore(sorted(self.disk.items()), self.mark)

    @rule(again=st.booleans())
    def send(self, again: bool) -> None:  # noqa: FBT001 - drawn by name
        rows = self.outbox.window(again=again)
        if rows:
            payload = messages.encode_window(self.route, self.outbox.mark.session, rows)
            self.windows.append((self.route, payload))

    @rule()
    def learn_who_owns_the_twin(self) -> None:
        if self.route != self.epoch:
            self.route = self.epoch
            self.outbox.reassigned()

    # --- the network and the edges ---------------------------------------------------------

    @precondition(lambda self: self.windows)
    @rule(data=st.data())
    def a_window_arrives(self, data: st.DataObject) -> None:
        epoch, payload = data.draw(st.sampled_from(self.windows[-12:]))
        self.owners[epoch].hear(payload)
        self.acks.append(self.owners[epoch].ack())

    @precondition(lambda self: self.acks)
    @rule(data=st.data())
    def an_acknowledgement_arrives(self, data: st.DataObject) -> None:
        self.acknowledged(data.draw(st.sampled_from(self.acks[-12:])))

    @rule(again=st.booleans(), stable=st.booleans(), reports=st.integers(0, 5))
    def nothing_is_lost_for_a_while(self, again: bool, stable: bool, reports: int) -> None:  # noqa: FBT001
        for _ in range(reports):
            self.measure(0)
        sent = len(self.windows)
        self.send(again)
        for epoch, payload in self.windows[sent:]:
            self.owners[epoch].hear(payload)
        if stable:
            self.the_cloud_stores_a_checkpoint()
        self.acks.append(self.owners[self.route].ack())
        self.acknowledged(self.acks[-1])

    def acknowledged(self, ack: ReportAck) -> None:
        before = self.numbers()
        self.outbox.stabilise(ack.session, ack.stable)
        kept = self.numbers()
        assert set(before) - set(kept) <= set(self.checkpoint[1])
        if ack.epoch == self.route and self.outbox.acknowledge(ack) == "renumber":
            session = max(ack.session, self.outbox.mark.session) + 1
            self.commit(self.outbox.renumber(session, {"features": {}}))
            self.mark = self.outbox.mark
            assert self.numbers() == kept
            assert list(self.outbox.rows) == list(range(1, len(kept) + 1))

    @rule()
    def the_cloud_stores_a_checkpoint(self) -> None:
        owner = self.owners[self.epoch]
        self.checkpoint = owner.twin, owner.applied
        owner.twin = owner.twin._replace(stable_seq=owner.twin.last_seq)
        self.acks.append(owner.ack())

    @rule()
    def the_owner_is_deposed(self) -> None:
        twin, applied = self.checkpoint
        self.epoch += 1
        twin = twin._replace(epoch=self.epoch, stable_seq=twin.last_seq)
        self.owners[self.epoch] = Owner(twin, applied)

    # --- what holds at any time -------------------------------------------------------------

    @invariant()
    def rows_have_no_gaps_and_memory_and_disk_stay_within_their_bounds(self) -> None:
        seqs = list(self.outbox.rows)
        if seqs:
            assert seqs == list(range(seqs[0], self.outbox.last_seq + 1))
        assert self.outbox.bytes == sum(map(len, self.outbox.rows.values()))
        assert self.outbox.bytes < self.bounds["bytes_max"] + SLACK_BYTES * (
            1 + self.bounds["keep_stable"]
        )
        assert len(self.disk) <= self.bounds["reports_max"] + self.bounds["keep_stable"]
        assert len({key.split("/")[1] for key in self.disk}) <= 1

    @invariant()
    def an_owner_has_applied_stored_reports_each_once_and_in_order(self) -> None:
        for owner in self.owners.values():
            assert list(owner.applied) == sorted(set(owner.applied))
            assert set(owner.applied) <= set(self.stored)

    @invariant()
    def nothing_is_dropped_that_is_neither_stable_nor_counted(self) -> None:
        safe = set(self.checkpoint[1]) | self.unprotected | set(self.numbers())
        assert set(self.stored) <= safe

    # --- and in the end ---------------------------------------------------------------------

    def teardown(self) -> None:
        """Every report arrives once nothing is lost any more."""
        if not hasattr(self, "outbox"):
            return
        self.learn_who_owns_the_twin()
        owner = self.owners[self.epoch]
        for _ in range(ROUNDS_MAX):
            rows = self.outbox.window(again=True)
            if not rows and self.outbox.held_ms is None:
                break
            if self.outbox.held_ms is not None:
                self.measure(0)
                continue
            owner.hear(messages.encode_window(self.route, self.outbox.mark.session, rows))
            self.acknowledged(owner.ack())
        missing = set(self.stored) - set(owner.applied)
        assert missing <= self.unprotected
        assert self.outbox.applied is None or not self.outbox.outstanding


@pytest.mark.timeout(300)  # 10 s of CPU time
def test_g2_every_stored_report_arrives_once_and_in_order() -> None:
    run_state_machine_as_test(Delivery, settings=settings(max_examples=500, stateful_step_count=60))
