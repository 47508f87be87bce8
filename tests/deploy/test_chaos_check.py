"""The check can fail: what is wrong with hand-made stores is found, and only that."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from deploy.chaos_check import (
    READINGS_MAX,
    Place,
    Verdict,
    check,
    devices_in,
    look,
    quiet,
    stores_in,
)
from deploy.chaos_observer import Claims, Span
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core.effects import Append, Put, Write

TWIN = "d-1"
SESSION = 7
TOLD = 5

Applied = tuple[int, int, int, float]  # epoch, revision, seq, value


def report(seq: int, value: float) -> dict[str, Any]:
    return {"seq": seq, "observed_ms": 1000 * seq, "features": {"t": value}}


def write(path: Path, writes: Iterable[Write], rows_max: int = 100) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    store = SqliteStore(path, {"history": LogBound(rows_max=rows_max, bytes_max=100_000)})
    for each in writes:
        store.commit([each])
    store.close()


class Site:
    """One twin of five reports on one edge, as an observer heard of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.claims: Claims = {TWIN: {SESSION: Span(1, TOLD)}}
        self.edges: dict[str, list[Applied]] = {
            "e-1": [(1, seq, seq, float(seq)) for seq in range(1, TOLD + 1)]
        }
        self.reached = TOLD
        self.rows_max = 100
        self.device(told=TOLD)

    def device(self, told: int) -> None:
        mark = {"session": SESSION, "stable": 0, "told_epoch": 1, "told_applied": told}
        rows: list[Write] = [Put("device", TWIN, json.dumps({"mark": mark}).encode())]
        rows += (
            Put("outbox", f"{TWIN}/{SESSION}/{seq}", json.dumps(report(seq, float(seq))).encode())
            for seq in range(1, TOLD + 1)
        )
        write(self.folder / "d-fleet" / "device.sqlite", rows)

    def store(self) -> None:
        for edge, entries in self.edges.items():
            epoch = max(entry[0] for entry in entries)
            twin = {"epoch": epoch, "session": SESSION, "last_seq": self.reached}
            rows: list[Write] = [Put("twin", TWIN, json.dumps(twin).encode())]
            for at, revision, seq, value in entries:
                entry = {"session": SESSION, "wall_ms": 0, "reports": [report(seq, value)]}
                rows.append(Append("history", f"{TWIN}/{at}", revision, json.dumps(entry).encode()))
            write(self.folder / edge / "edge.sqlite", rows, self.rows_max)

    def look(self) -> Verdict:
        self.store()
        return look(self.claims, stores_in(self.folder))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def seqs(places: Iterable[Place]) -> list[int]:
    return sorted(place.seq for place in places)


def test_claims_that_the_stores_answer_for_are_found_without_fault(site: Site) -> None:
    found = site.look()
    assert (found.lost, found.twice, found.unseen) == (set(), set(), 0)
    assert (found.looked_up, found.compared) == (TOLD, TOLD)


def test_an_acknowledged_report_that_is_in_no_history_is_lost(site: Site) -> None:
    del site.edges["e-1"][2]
    found = site.look()
    assert found.lost == {Place(TWIN, SESSION, 3)}
    assert found.why[Place(TWIN, SESSION, 3)] == "is in no edge's history"


def test_the_oldest_claims_are_not_excused_where_no_history_was_pruned(site: Site) -> None:
    del site.edges["e-1"][:2]
    found = site.look()
    assert (seqs(found.lost), found.unseen) == ([1, 2], 0)


def test_what_a_history_was_pruned_of_is_unseen_and_not_lost(site: Site) -> None:
    site.rows_max = 3
    found = site.look()
    assert (found.lost, found.unseen, found.looked_up) == (set(), 2, 3)


def test_a_twin_behind_what_was_acknowledged_has_lost_the_rest(site: Site) -> None:
    site.reached = 3
    found = site.look()
    assert seqs(found.lost) == [4, 5]
    assert found.why[Place(TWIN, SESSION, 5)] == "the owner's twin has come to 3 only"


def test_a_claim_of_a_twin_that_nobody_has_is_lost(site: Site) -> None:
    site.edges = {}
    assert seqs(site.look().lost) == [1, 2, 3, 4, 5]


def test_an_observer_s_record_that_says_more_than_the_stores_is_a_loss(site: Site) -> None:
    site.claims[TWIN][SESSION].last += 1
    assert seqs(site.look().lost) == [TOLD + 1]


def test_a_report_that_says_something_else_than_its_device_is_lost(site: Site) -> None:
    site.edges["e-1"][1] = (1, 2, 2, 99.0)
    found = site.look()
    assert (seqs(found.lost), found.twice) == ([2], set())


def test_a_report_applied_again_by_the_next_owner_is_found(site: Site) -> None:
    site.edges["e-2"] = [(2, 6, 5, 5.0)]
    found = site.look()
    assert (found.lost, found.twice) == (set(), {Place(TWIN, SESSION, 5)})


def test_what_a_deposed_owner_went_on_with_is_no_part_of_the_twin(site: Site) -> None:
    site.edges["e-2"] = [(2, 4, 4, 4.0), (2, 5, 5, 5.0)]  # from the checkpoint at 3
    found = site.look()
    assert (found.lost, found.twice) == (set(), set())


def test_reports_of_a_session_that_its_device_left_behind_are_looked_up_all_the_same(
    site: Site,
) -> None:
    site.claims[TWIN] = {SESSION - 1: Span(3, 4), SESSION: Span(1, TOLD)}
    found = site.look()
    assert found.lost == {Place(TWIN, SESSION - 1, 3), Place(TWIN, SESSION - 1, 4)}


def test_what_a_later_reading_finds_was_on_its_way_and_not_lost(site: Site) -> None:
    entry = site.edges["e-1"].pop()
    site.store()

    def arrive(_: float) -> None:
        if len(site.edges["e-1"]) < TOLD:
            site.edges["e-1"].append(entry)
        site.store()

    assert check(site.claims, stores_in(site.folder), arrive).lost == set()


def test_what_every_reading_misses_is_lost(site: Site) -> None:
    del site.edges["e-1"][2]
    site.store()
    pauses: list[float] = []
    found = check(site.claims, stores_in(site.folder), pauses.append)
    assert seqs(found.lost) == [3]
    assert len(pauses) == READINGS_MAX - 1


def test_a_device_is_quiet_once_it_was_told_of_all_it_produced(site: Site) -> None:
    assert quiet({TWIN, "d-2"}, stores_in(site.folder), {TWIN}) == {TWIN}
    assert quiet({"d-2"}, stores_in(site.folder), {TWIN}) == set()
    site.device(told=TOLD - 1)
    assert quiet({TWIN}, stores_in(site.folder), {TWIN}) == set()


def test_a_device_that_its_agent_forgot_is_quiet_and_one_that_was_never_here_is_not(
    site: Site,
) -> None:
    stores = stores_in(site.folder)
    before = devices_in(stores)
    assert before == {TWIN}
    for path in stores.devices:
        path.unlink()
    forgotten = stores_in(site.folder)
    assert quiet({TWIN, "d-elsewhere"}, forgotten, before) == {TWIN}
