"""The audit can fail: what is wrong with hand-made stores is found, and only that."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.audit import Audit, audit
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core.effects import Append, Put, Write

TWIN = "d-1"
SESSION = 7
REPORTS = 5
LOGS = {"history": LogBound(rows_max=100, bytes_max=100_000)}

Applied = tuple[int, int, int, float]  # epoch, revision, seq (0: it is an edit), value


def report(seq: int, value: float | None = None) -> dict[str, Any]:
    return {"seq": seq, "observed_ms": 1000 * seq, "features": {"t": value or float(seq)}}


def write(path: Path, writes: Sequence[Write]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    store = SqliteStore(path, LOGS if path.name == "edge.sqlite" else {})
    store.commit(writes)
    store.close()


class System:
    """Stores of one twin that measured five reports; `find` audits them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = REPORTS
        self.sent = [report(seq) for seq in range(1, REPORTS + 1)]
        self.edges: dict[str, list[Applied]] = {
            "e-1": [(1, seq, seq, float(seq)) for seq in range(1, REPORTS + 1)]
        }
        self.reached: dict[str, int] = {}
        self.checkpoint = REPORTS
        self.forgotten = False  # by the edge, which still has the history
        self.placement: dict[str, Any] = {"phase": "owned", "epoch": 1}

    def find(self) -> Audit:
        self._device()
        for edge, entries in self.edges.items():
            self._edge(edge, entries)
        snapshot = {"session": SESSION, "last_seq": self.checkpoint}
        cloud = self.folder / "cloud" / "cloud.sqlite"
        placement = {"owner": "e-2", **self.placement}
        rows = (("snapshot", snapshot), ("placement", placement))
        write(cloud, [Put(kind, TWIN, json.dumps(row).encode()) for kind, row in rows])
        edges = sorted(self.folder.glob("e-*/edge.sqlite"))
        return audit([self.folder / "d-1" / "device.sqlite"], edges, cloud)

    def _device(self) -> None:
        mark = {"session": SESSION, "stable": 0, "told_epoch": 1, "told_applied": self.told}
        rows: list[Write] = [Put("device", TWIN, json.dumps({"mark": mark}).encode())]
        for row in self.sent:
            key = f"{TWIN}/{SESSION}/{row['seq']}"
            rows.append(Put("outbox", key, json.dumps(row).encode()))
        write(self.folder / "d-1" / "device.sqlite", rows)

    def _edge(self, edge: str, entries: list[Applied]) -> None:
        epoch = max(entry[0] for entry in entries)
        last_seq = self.reached.get(edge, max(seq for at, _, seq, _ in entries if at == epoch))
        twin = {"epoch": epoch, "session": SESSION, "last_seq": last_seq}
        rows: list[Write] = [Put("twin", TWIN, json.dumps(twin).encode())]
        if self.forgotten:
            rows = [Put("absent", TWIN, b"2")]
        for at, revision, seq, value in entries:
            entry: dict[str, Any] = {"wall_ms": 0, "edit": {"attributes": {}, "desired": {}}}
            if seq:
                entry = {"session": SESSION, "wall_ms": 0, "reports": [report(seq, value)]}
            key = f"{TWIN}/{at}"
            rows.append(Append("history", key, revision, json.dumps(entry).encode()))
        write(self.folder / edge / "edge.sqlite", rows)


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_stores_that_agree_are_found_without_fault(system: System) -> None:
    found = system.find()
    assert (found.twins, found.produced, found.applied, found.stable) == (1, 5, 5, 5)
    assert (found.lost, found.twice, found.compared) == (0, 0, 5)
    assert found.examples == []


def test_a_report_missing_from_the_history_is_lost(system: System) -> None:
    del system.edges["e-1"][2]
    found = system.find()
    assert (found.lost, found.twice) == (1, 0)
    assert "d-1: report 7/3" in found.examples[0]


def test_a_twin_behind_what_its_device_was_told_has_lost_the_rest(system: System) -> None:
    del system.edges["e-1"][3:]
    found = system.find()
    assert (found.applied, found.lost) == (3, 2)
    assert found.examples == ["d-1: told 5 are applied, the twin has 3"]


def test_a_twin_that_nobody_has_has_lost_all_that_was_told(system: System) -> None:
    system.edges = {}
    found = system.find()
    assert (found.twins, found.lost) == (0, REPORTS)


def test_a_twin_that_only_the_cloud_holds_between_two_owners_is_not_lost(system: System) -> None:
    system.forgotten = True
    system.placement = {"phase": "activating", "epoch": 2}
    found = system.find()
    assert (found.twins, found.applied, found.lost, found.compared) == (1, 5, 0, 5)


def test_a_twin_that_the_cloud_would_hand_over_without_its_last_report_is_a_loss(
    system: System,
) -> None:
    system.forgotten = True
    system.placement = {"phase": "activating", "epoch": 2}
    system.checkpoint = REPORTS - 1
    assert system.find().lost == 1


def test_an_owner_has_gone_on_from_the_cloud_s_snapshot(system: System) -> None:
    system.placement = {"phase": "activating", "epoch": 1}
    system.checkpoint = 3
    assert system.find().lost == 0


def test_a_report_applied_twice_is_found(system: System) -> None:
    system.edges["e-1"].append((1, 6, 3, 3.0))
    system.reached["e-1"] = REPORTS
    found = system.find()
    assert (found.lost, found.twice) == (0, 1)
    assert found.examples == ["d-1: report 7/3 was applied again"]


def test_a_report_applied_by_two_owners_in_turn_is_found(system: System) -> None:
    system.edges["e-2"] = [(2, 6, 5, 5.0), (2, 7, 6, 6.0)]
    found = system.find()
    assert (found.lost, found.twice) == (0, 1)


def test_what_a_deposed_owner_went_on_with_is_no_part_of_the_twin(system: System) -> None:
    system.edges["e-2"] = [(2, 4, 4, 4.0), (2, 5, 5, 5.0)]  # from the checkpoint at 3
    found = system.find()
    assert (found.lost, found.twice, found.compared) == (0, 0, 5)


def test_what_the_next_owner_began_with_may_be_an_edit(system: System) -> None:
    system.edges["e-2"] = [(2, 4, 0, 0.0), (2, 5, 4, 4.0), (2, 6, 5, 5.0)]  # from the one at 3
    found = system.find()
    assert (found.lost, found.twice, found.compared) == (0, 0, 5)


def test_an_edit_at_one_owner_and_a_report_at_another_are_a_fork(system: System) -> None:
    system.edges["e-1"] = [(1, seq, seq, float(seq)) for seq in range(1, 5)]
    system.edges["e-2"] = [(2, 5, 5, 5.0), (2, 6, 0, 0.0)]
    system.edges["e-3"] = [(2, 5, 0, 0.0)]  # which owned it at that epoch, too
    system.reached["e-3"] = 5
    found = system.find()
    assert (found.lost, found.twice) == (0, 1)
    assert found.examples == ["d-1: revision 5 was made by two owners"]


def test_a_report_that_says_something_else_than_was_measured_is_lost(system: System) -> None:
    epoch, revision, seq, _ = system.edges["e-1"][1]
    system.edges["e-1"][1] = (epoch, revision, seq, 99.0)
    found = system.find()
    assert (found.lost, found.twice) == (1, 0)
    assert "d-1: report 7/2" in found.examples[0]


def test_what_was_never_told_may_be_missing(system: System) -> None:
    del system.edges["e-1"][4:]
    system.told = 4
    found = system.find()
    assert (found.produced, found.applied, found.lost) == (5, 4, 0)


def test_checkpoints_count_as_far_as_they_reach(system: System) -> None:
    system.checkpoint = 3
    assert system.find().stable == 3


def test_a_system_that_was_stopped_before_it_began_has_lost_nothing(tmp_path: Path) -> None:
    found = audit([], [], tmp_path / "cloud.sqlite")
    assert found == Audit()


def test_a_store_that_was_never_created_holds_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    assert audit([empty], [empty], empty) == Audit()
