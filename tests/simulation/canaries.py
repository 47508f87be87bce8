"""Mistakes that one could make, each patched into the production code while it runs.

If the simulation does not find a mistake within `SEEDS_MAX` seeds, it is the simulation
that is not good enough.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from cloud.directory import Directory
from cloud.reminders import Reminders
from cloud.snapshots import Snapshots
from device_agent.duties import Duties
from device_agent.machine import DeviceMachine
from edge_node.checkpoints import packets
from edge_node.machine import EdgeMachine
from edge_node.twins import SEALED_ROW, TWIN_ROW, Twins
from twin_runtime import shell
from twin_runtime.core import messages, orders, ownership, twin
from twin_runtime.core.effects import Act, Acted, Effects, Row, Send
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.messages import ReportAck, Snapshot, Window
from twin_runtime.core.outbox import Appended, Outbox
from twin_runtime.core.ownership import Placement
from twin_runtime.core.twin import Applied, Phase, Twin

SEEDS_MAX = 500

Canary = Callable[[], AbstractContextManager[Any]]

_settle = shell._Shell._settle
_commit = shell._Shell._commit
_apply_window = twin.apply_window
_activate = twin.activate
_restore_twin = twin.restore
_restore_directory = Directory.restore
_acknowledge = DeviceMachine._acknowledge
_obey = EdgeMachine._obey
_hear_ack = Outbox.acknowledge
_append = Outbox.append
_command = Duties.command
_seal = twin.seal
_sealed = Directory.sealed
_checkpoint = Twins._checkpoint
_restore_twins = Twins.restore


@contextmanager
def _both(one: AbstractContextManager[Any], other: AbstractContextManager[Any]) -> Iterator[None]:
    with one, other:
        yield


def publish_before_commit() -> AbstractContextManager[Any]:
    async def settle(self: shell._Shell, fx: Effects, taken_s: float) -> None:
        await self._ports.bus.publish(fx.sends)
        fx.sends = []
        await _settle(self, fx, taken_s)

    return patch.object(shell._Shell, "_settle", settle)


def go_on_after_a_failed_commit() -> AbstractContextManager[Any]:
    async def commit(self: shell._Shell, fx: Effects) -> None:
        with suppress(OSError):
            await _commit(self, fx)

    return patch.object(shell._Shell, "_commit", commit)


def apply_a_duplicate() -> AbstractContextManager[Any]:
    def apply_window(held: Twin, window: Window, wall_ms: int) -> Applied:
        first = window.reports[0].seq
        if window.session == held.session and first <= held.last_seq:
            held = held._replace(last_seq=first - 1)
        return _apply_window(held, window, wall_ms)

    return patch.object(twin, "apply_window", apply_window)


def apply_what_comes_too_early() -> AbstractContextManager[Any]:
    def apply_window(held: Twin, window: Window, wall_ms: int) -> Applied:
        first = window.reports[0].seq
        if window.session == held.session and first > held.last_seq:
            held = held._replace(last_seq=first - 1)
        return _apply_window(held, window, wall_ms)

    return patch.object(twin, "apply_window", apply_window)


def activate_without_the_epoch_check() -> AbstractContextManager[Any]:
    def activate(
        _: Twin | None, twin_id: Any, epoch: int, snapshot: Snapshot | None
    ) -> Twin | None:
        return _activate(None, twin_id, epoch, snapshot)

    return patch.object(twin, "activate", activate)


def obey_orders_to_another_store() -> AbstractContextManager[Any]:
    def obey(self: EdgeMachine, payload: bytes, *rest: Any) -> None:
        own = self._store_id
        self._store_id = getattr(messages.parse(orders.ORDER, payload), "store", own)
        _obey(self, payload, *rest)
        self._store_id = own

    return patch.object(EdgeMachine, "_obey", obey)


def call_everything_stable_after_a_restart() -> AbstractContextManager[Any]:
    def restore(snapshot: Snapshot) -> Twin:
        return _restore_twin(snapshot)._replace(stable_seq=snapshot.last_seq)

    return patch.object(twin, "restore", restore)


def reuse_an_epoch() -> AbstractContextManager[Any]:
    def reassign(placement: Placement, owner: EdgeId) -> Placement:
        return Placement("activating", owner, placement.epoch)

    return patch.object(ownership, "reassign", reassign)


def forget_the_epochs_on_restart() -> AbstractContextManager[Any]:
    def restore(self: Directory, rows: Any) -> None:
        _restore_directory(self, rows)
        for name, placement in self.placements.items():
            self.placements[name] = replace(placement, epoch=1)

    return patch.object(Directory, "restore", restore)


def restart_without_resending() -> AbstractContextManager[Any]:
    def restore(self: Directory, rows: Any) -> None:
        _restore_directory(self, rows)
        self._orders = Reminders()

    return patch.object(Directory, "restore", restore)


def go_on_applying_after_a_seal() -> AbstractContextManager[Any]:
    def seal(held: Twin | None, epoch: int) -> Twin | None:
        sealed = _seal(held, epoch)
        return held if sealed is not None and held is not None else None

    def packet(self: Twins, now: Any, fx: Effects) -> None:
        asked = [self._twins[each] for each in self._checkpoints._asked]
        _checkpoint(self, now, fx)
        rows = (twin.encode(each) for each in asked if each.phase is Phase.ACTIVE)
        fx.sends += (Send(self._event, packet) for packet in packets("sealed", rows))

    return _both(patch.object(twin, "seal", seal), patch.object(Twins, "_checkpoint", packet))


def go_on_after_a_restart_of_a_sealed_edge() -> AbstractContextManager[Any]:
    def restore(self: Twins, rows: Any, *rest: Any) -> None:
        active = (Row(TWIN_ROW if row.kind == SEALED_ROW else row.kind, *row[1:]) for row in rows)
        _restore_twins(self, active, *rest)

    return patch.object(Twins, "restore", restore)


def drop_what_is_handed_over() -> AbstractContextManager[Any]:
    def sealed(self: Directory, *event: Any) -> None:
        with patch.object(Snapshots, "store", lambda *_: None):
            _sealed(self, *event)

    return patch.object(Directory, "sealed", sealed)


def take_checkpoints_of_any_epoch() -> AbstractContextManager[Any]:
    return patch.object(ownership, "is_current", lambda *_: True)


def drop_what_is_only_applied() -> AbstractContextManager[Any]:
    def acknowledge(self: DeviceMachine, ack: ReportAck, *rest: Any) -> None:
        _acknowledge(self, ack.model_copy(update={"stable": ack.applied}), *rest)

    return patch.object(DeviceMachine, "_acknowledge", acknowledge)


def believe_a_deposed_owner() -> AbstractContextManager[Any]:
    def acknowledge(self: DeviceMachine, ack: ReportAck, *rest: Any) -> None:
        assigned = {"edge": self._edge, "epoch": self._epoch}
        _acknowledge(self, ack.model_copy(update=assigned), *rest)

    return patch.object(DeviceMachine, "_acknowledge", acknowledge)


def renumber_on_a_stale_acknowledgement() -> AbstractContextManager[Any]:
    def acknowledge(self: Outbox, ack: ReportAck) -> str:
        stable = self.mark.stable
        self.mark = replace(self.mark, stable=0, told_epoch=0, told_applied=0)
        heard = _hear_ack(self, ack)
        self.mark = replace(self.mark, stable=stable)
        return heard

    return patch.object(Outbox, "acknowledge", acknowledge)


def overwrite_a_row_that_was_sent() -> AbstractContextManager[Any]:
    def append(self: Outbox, *content: Any) -> Appended:
        self.sent = 0
        return _append(self, *content)

    return patch.object(Outbox, "append", append)


def begin_every_store_with_the_same_session() -> AbstractContextManager[Any]:
    return patch("device_agent.machine.first_session", lambda *_: 1)


def obey_commands_without_the_fence() -> AbstractContextManager[Any]:
    def command(self: Duties, *event: Any) -> Act | Acted | None:
        self.obeyed = (0, 0)
        return _command(self, *event)

    return patch.object(Duties, "command", command)


CANARIES: tuple[Canary, ...] = (
    publish_before_commit,
    go_on_after_a_failed_commit,
    apply_a_duplicate,
    apply_what_comes_too_early,
    activate_without_the_epoch_check,
    obey_orders_to_another_store,
    call_everything_stable_after_a_restart,
    reuse_an_epoch,
    forget_the_epochs_on_restart,
    restart_without_resending,
    take_checkpoints_of_any_epoch,
    go_on_applying_after_a_seal,
    go_on_after_a_restart_of_a_sealed_edge,
    drop_what_is_handed_over,
    drop_what_is_only_applied,
    believe_a_deposed_owner,
    renumber_on_a_stale_acknowledgement,
    overwrite_a_row_that_was_sent,
    begin_every_store_with_the_same_session,
    obey_commands_without_the_fence,
)
