"""What must be true after every commit, every acknowledgement and every lost disk.

The checkers see what each store commits and what each device hears, and keep a model of
the whole beside it. Its heart is the *lineage*: the reports folded into a twin along its
ownership, from its creation over every activation to now. `lineages[twin, epoch]` grows
with the commits of the one store that holds the epoch and begins with what the cloud's
snapshot held when the epoch was issued. Every sample carries a token, a number unique to
its device, so a report is known again wherever it turns up and however it is numbered.

    G1  a token whose acknowledgement was heard is durable at the edge that said so, and
        from then on in the owner's lineage, on the device's disk or in the snapshot
    G2  a lineage takes a session's reports from 1 without gap, each token once, with the
        content the device stored; the twin's row is the fold of its lineage. A device that
        was overtaken by a larger session states its newest state again, at 1 of the next
    G3  what a device deletes, or marks as stable, is in the cloud's snapshot; what it
        gives up for want of room is at its owner's, and counted
    G4  an epoch is issued once, to one edge, and held by one store; a snapshot comes from
        the owner at the current epoch, and continues the one before; what is handed over in
        a move is all there is, and stays so
    G5  once all faults have ended, every twin is owned, by an edge it need not leave
    G6  and its owner and the cloud have all that its device measured
    G7  a device's outbox stays within its bound

Excused, and only here: tokens whose device gave them up or lost its disk ("unsheltered")
may end with the disk of the one edge that had them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cloud.directory import PLACEMENT_ROW
from cloud.edges import EDGE_ROW
from cloud.events import EVENTS
from cloud.snapshots import SNAPSHOT_ROW
from device_agent.machine import DEVICE_ROW
from edge_node.history import HISTORY
from edge_node.twins import SEALED_ROW, TWIN_ROW
from tests.simulation.lineage import (
    UNKNOWN,
    Device,
    Entry,
    Lineage,
    Violation,
    blobs_of,
    check_row,
    entry_of,
    follows,
    position_of,
)
from twin_runtime.core import messages
from twin_runtime.core.effects import Append, Put, Write
from twin_runtime.core.outbox import ROWS


class Checkers:
    """The model, and the comparison of each step with it."""

    def __init__(self, twins: Sequence[str], outbox_reports_max: int) -> None:
        self.devices = {twin: Device() for twin in twins}
        self.lineages: dict[tuple[str, int], Lineage] = {}
        self.placements: dict[str, dict[str, Any]] = {}
        self.snapshots: dict[str, list[Entry]] = {twin: [] for twin in twins}
        self._in_snapshot: dict[str, set[int]] = {twin: set() for twin in twins}
        self._bases: dict[tuple[str, int], list[Entry]] = {}
        self._edges: dict[str, str] = {}  # the state of each, as the cloud knows it
        self._outbox_reports_max = outbox_reports_max
        self._lost_stores: set[str] = set()

    # --- devices ------------------------------------------------------------------------

    def device_committed(self, writes: Sequence[Write], unprotected: int) -> None:
        """A device process stored rows, `unprotected` of which replace rows given up."""
        touched = {write.key.split("/")[0]: None for write in writes}
        before = {twin: dict(self.devices[twin].rows) for twin in touched}
        coalesced = self._store_rows(writes)
        epochs: dict[str, list[int]] = {}
        for write in writes:
            if isinstance(write, Put) and write.kind == DEVICE_ROW:
                row = messages.load(write.value)
                epochs.setdefault(write.key, []).append(row["route"][1])
                self._check_mark(write.key, row["mark"])
        for twin in touched:
            gone = {entry.token for entry in before[twin].values()} - coalesced[twin]
            gone -= self.devices[twin].tokens() | self._in_snapshot[twin]
            unprotected -= len(gone)
            if unprotected < 0:
                raise Violation(f"G3: {twin} deletes {sorted(gone)}, not in the cloud's snapshot")
            if gone:
                self._give_up(twin, gone, epochs[twin], min(before[twin])[0])
            if len(self.devices[twin].rows) > self._outbox_reports_max:
                raise Violation(f"G7: {twin} keeps {len(self.devices[twin].rows)} reports")
            self._check_promises(twin)

    def _store_rows(self, writes: Sequence[Write]) -> dict[str, set[int]]:
        """Model the disk; return the tokens whose row was overwritten, by device."""
        coalesced: dict[str, set[int]] = {twin: set() for twin in self.devices}
        for write in writes:
            if isinstance(write, Append) or write.kind != ROWS:
                continue
            twin, position = write.key.split("/")[0], position_of(write.key)
            held = self.devices[twin].rows.pop(position, None)
            if isinstance(write, Put):
                coalesced[twin] |= {held.token} if held else set()
                self.devices[twin].rows[position] = entry_of(position, messages.load(write.value))
        return coalesced

    def _check_mark(self, twin: str, mark: Mapping[str, int]) -> None:
        stable = {
            entry.token
            for (session, seq), entry in self.devices[twin].rows.items()
            if session == mark["session"] and seq <= mark["stable"]
        }
        if not stable <= self._in_snapshot[twin]:
            missing = sorted(stable - self._in_snapshot[twin])
            raise Violation(f"G3: {twin} believes {missing} stable; the snapshot lacks them")

    def _give_up(self, twin: str, gone: set[int], epochs: Sequence[int], session: int) -> None:
        """Of the owners it had in this batch, the device names each when it gives rows up."""
        owned = [self.lineages[twin, epoch] for epoch in epochs if (twin, epoch) in self.lineages]
        if not gone <= set[int]().union(*(lineage.tokens for lineage in owned)):
            raise Violation(f"G3: {twin} gives up {sorted(gone)}, not applied at epochs {epochs}")
        device = self.devices[twin]
        device.unsheltered |= gone
        device.gave_up_in = session if device.gave_up_in is None else device.gave_up_in

    def device_heard(self, twin: str, ack: messages.ReportAck) -> None:
        """An acknowledgement reached its device: a promise, wherever it comes from."""
        device, owned = self.devices[twin], self.lineages.get((twin, ack.epoch))
        if ack.session > max(device.rows, default=(ack.session, 0))[0]:
            device.overtaken_by = ack.session
        for (session, seq), entry in device.rows.items():
            if session == ack.session and seq <= ack.applied:
                if owned is None or entry.token not in owned.tokens:
                    raise Violation(
                        f"G1: {twin} is told that token {entry.token} at {session}/{seq} is"
                        f" applied at epoch {ack.epoch}; no store holds it there"
                    )
                if entry.token not in self._in_snapshot[twin]:
                    device.promised[entry.token] = None

    def device_said(self, twin: str, status: messages.Status) -> None:
        device = self.devices[twin]
        device.known_epoch, device.rows_left = status.epoch, status.counters["outbox_rows"]

    def device_disk_lost(self, twin: str) -> None:
        device = self.devices[twin]
        device.unsheltered |= device.tokens()
        device.rows = {}
        self._check_promises(twin)

    # --- edges --------------------------------------------------------------------------

    def edge_committed(self, edge: str, store: str, writes: Sequence[Write]) -> None:
        """An edge stored twins, with the reports that it applied to them."""
        for write in writes:
            if isinstance(write, Put) and write.kind in (TWIN_ROW, SEALED_ROW):
                row = messages.load(write.value)
                lineage = self._lineage(edge, store, write.key, row["epoch"])
                if write.kind == TWIN_ROW and lineage.sealed:
                    raise Violation(f"G4: {edge} goes on with {write.key}, which it has sealed")
                lineage.sealed = write.kind == SEALED_ROW
                key = f"{write.key}/{row['epoch']}"
                for entry in writes:
                    if isinstance(entry, Append) and (entry.log, entry.key) == (HISTORY, key):
                        self._take(write.key, lineage, entry)
                self._take_changes(write.key, lineage, row)
                check_row(write.key, row, lineage.entries)
                self._check_promises(write.key)

    def edge_disk_lost(self, store: str) -> None:
        self._lost_stores.add(store)
        for twin in self.devices:
            self._check_promises(twin)

    def _lineage(self, edge: str, store: str, twin: str, epoch: int) -> Lineage:
        base = self._bases.get((twin, epoch))
        if base is None:
            raise Violation(f"G4: {edge} owns {twin} at epoch {epoch}, which was never issued")
        held = self.lineages.get((twin, epoch))
        if held is None:
            held = Lineage(epoch, store, base[:], {entry.token for entry in base})
            self.lineages[twin, epoch] = held
        if held.store != store:
            raise Violation(f"G4: stores {held.store} and {store} both own {twin} at epoch {epoch}")
        return held

    def _take(self, twin: str, lineage: Lineage, append: Append) -> None:
        applied = messages.load(append.value)
        reports = applied.get("reports", ())  # other changes have none
        self._change(twin, lineage, append.number - len(reports))
        for report in reports:
            self._fold(twin, lineage, entry_of((applied["session"], report["seq"]), report))
        if append.number != len(lineage.entries):
            raise Violation(f"G2: {twin} skips to revision {append.number}")

    def _take_changes(self, twin: str, lineage: Lineage, row: Mapping[str, Any]) -> None:
        """What is new since the last commit and no report; the row says what came of it."""
        self._change(twin, lineage, row["revision"])
        changes = [n for n, entry in enumerate(lineage.entries) if entry.blobs is not None]
        if changes and lineage.entries[changes[-1]].blobs == UNKNOWN:
            known = lineage.entries[changes[-1]]._replace(blobs=row.get("blobs", {}))
            lineage.entries[changes[-1]] = known

    def _change(self, twin: str, lineage: Lineage, revision: int) -> None:
        """Every revision up to here that is no report's is a change that was asked for."""
        while len(lineage.entries) < revision:
            last = lineage.entries[-1] if lineage.entries else Entry(0, 0, {})
            lineage.entries.append(Entry(last.session, last.seq, {}, UNKNOWN))
        changes = sum(entry.blobs is not None for entry in lineage.entries)
        if changes > self.devices[twin].changes_asked:
            raise Violation(f"G2: {twin} skips to revision {revision}")

    def _fold(self, twin: str, lineage: Lineage, entry: Entry) -> None:
        position = entry.session, entry.seq
        if lineage.closed:
            raise Violation(f"G4: {twin} takes {position} though it was handed over")
        last = lineage.entries[-1] if lineage.entries else Entry(0, 0, {})
        begins = entry.session > last.session and entry.seq == 1
        follows = entry.session == last.session and entry.seq == last.seq + 1
        if not (begins or follows):
            raise Violation(f"G2: {twin} takes {position} after {last.session}/{last.seq}")
        # A deposed owner may take a report again that its device has numbered anew for the
        # next one: its branch of the lineage ends here (`_keep` sees to that).
        deposed = lineage.epoch < self.placements[twin]["epoch"]
        restated = begins and 0 < self.devices[twin].overtaken_by < entry.session
        again = entry.token in lineage.tokens and not deposed and not restated
        # What ended of a command may be told twice: by a device that lost its disk meanwhile.
        if entry.token > 0 and again:
            raise Violation(f"G2: {twin} takes token {entry.token} twice, now as {position}")
        lineage.entries.append(entry)
        lineage.tokens.add(entry.token)

    # --- the cloud ----------------------------------------------------------------------

    def cloud_committed(self, writes: Sequence[Write]) -> None:
        logged = (write for write in writes if isinstance(write, Append) and write.log == EVENTS)
        events = [messages.load(write.value) for write in logged]
        failovers = {event["twin"] for event in events if event["kind"] == "failover"}
        for write in writes:
            if not isinstance(write, Put):
                continue
            if write.kind == EDGE_ROW:
                self._edges[write.key] = messages.load(write.value)["state"]
            elif write.kind == PLACEMENT_ROW:
                placement = messages.load(write.value)
                self._place(write.key, placement, failover=write.key in failovers)
            elif write.kind == SNAPSHOT_ROW:
                self._keep(write.key, messages.load(write.value))
            if write.kind in (PLACEMENT_ROW, SNAPSHOT_ROW):
                self._check_promises(write.key)

    def _place(self, twin: str, placement: dict[str, Any], *, failover: bool) -> None:
        before, epoch = self.placements.get(twin), placement["epoch"]
        if before and before["phase"] == "sealing" and epoch > before["epoch"] and not failover:
            self._hand_over(twin, before["epoch"])
        if placement["phase"] == "activating":
            if (twin, epoch) in self._bases or (before and epoch <= before["epoch"]):
                raise Violation(f"G4: epoch {epoch} of {twin} is issued again")
            self._bases[twin, epoch] = self.snapshots[twin]
        elif before is None or not follows(before, placement):
            raise Violation(f"G4: {twin} is placed as {placement} after {before}")
        self.placements[twin] = placement

    def _hand_over(self, twin: str, epoch: int) -> None:
        """A planned move takes all of the twin along, and nothing is added behind it."""
        lineage, snapshot = self.lineages[twin, epoch], self.snapshots[twin]
        if lineage.entries != snapshot:
            have, has = len(lineage.entries), len(snapshot)
            raise Violation(f"G1: {twin} is handed over with {has} of its {have} revisions")
        lineage.closed = True

    def _keep(self, twin: str, row: dict[str, Any]) -> None:
        placement, kept = self.placements[twin], self.snapshots[twin]
        if placement["phase"] == "activating" or row["epoch"] != placement["epoch"]:
            raise Violation(f"G4: a snapshot at epoch {row['epoch']} is taken at {placement}")
        lineage = self.lineages.get((twin, row["epoch"]))
        if lineage is None or len(lineage.entries) < row["revision"]:
            raise Violation(f"G1: the snapshot of {twin} is ahead of its owner's store")
        entries = lineage.entries[: row["revision"]]
        check_row(twin, row, entries)
        if entries[: len(kept)] != kept:
            raise Violation(f"G3: the snapshot of {twin} forgets what it held")
        self.snapshots[twin] = entries
        self._in_snapshot[twin] |= {entry.token for entry in entries}

    # --- together -----------------------------------------------------------------------

    def _owned(self, twin: str) -> Lineage | None:
        """The lineage in the owner's store, if that store still exists."""
        placement = self.placements.get(twin)
        owned = self.lineages.get((twin, placement["epoch"])) if placement else None
        return owned if owned is not None and owned.store not in self._lost_stores else None

    def _check_promises(self, twin: str) -> None:
        device, owned = self.devices[twin], self._owned(twin)
        for token in self._in_snapshot[twin] & device.promised.keys():
            del device.promised[token]
        held = device.tokens() | (owned.tokens if owned is not None else set())
        lost = [token for token in device.promised if token not in held]
        for token in lost:
            if token not in device.unsheltered:
                raise Violation(f"G1: {twin} was told that token {token} is applied; it is lost")
            del device.promised[token]

    def unsettled(self) -> list[str]:
        """What is not yet as it must become once every fault has ended, G5 first."""
        placed = [self._unplaced(twin) for twin in self.devices]
        return [*filter(None, placed)] or [*filter(None, map(self._behind, self.devices))]

    def epoch_at(self, store: str, twin: str) -> int:
        """The epoch at which a store believes to own a twin; 0: at none."""
        held = [
            epoch
            for (of, epoch), lineage in self.lineages.items()
            if (of, lineage.store, lineage.sealed) == (twin, store, False)
        ]
        return max(held, default=0)

    @property
    def has_lost_disks(self) -> bool:
        """Whether any edge has lost its disk for good."""
        return bool(self._lost_stores)

    def blobs(self, twin: str) -> Mapping[str, Any]:
        """What the owner's twin refers to."""
        owned = self._owned(twin)
        return blobs_of(owned.entries) if owned is not None else {}

    def _unplaced(self, twin: str) -> str:
        placement, known = self.placements.get(twin), self.devices[twin].known_epoch
        if placement is None or placement["phase"] != "owned" or self._owned(twin) is None:
            return f"G5: {twin} has no owner: {placement}"
        if self._edges[placement["owner"]] != "serving" and "serving" in self._edges.values():
            return f"G5: {twin} stays at {placement['owner']}, which it is to leave"
        return "" if known == placement["epoch"] else f"G5: {twin} knows {known}, not {placement}"

    def _behind(self, twin: str) -> str:
        device, owned, snapshot = self.devices[twin], self._owned(twin), self.snapshots[twin]
        entries = owned.entries if owned is not None else []
        newest = next((entry.token for entry in reversed(entries) if entry.token > 0), 0)
        if (newest, snapshot, device.rows_left) == (device.newest, entries, 0):
            return ""
        return (
            f"G6: {twin} measured {device.newest}, its twin has {newest}, the snapshot"
            f" {len(snapshot)} of {len(entries)} revisions, the outbox {device.rows_left} reports"
        )
