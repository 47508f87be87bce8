"""The past of a twin, rebuilt from what the edge has logged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.history import HISTORY
from edge_node.recall import Recall
from edge_node.thing import Thing
from tests.edge_node.an_edge import WALL_MS, Edge, activate, release, report
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core import topics
from twin_runtime.core import twin as core
from twin_runtime.core.effects import Asked, Attach, Edit, Effects, Message
from twin_runtime.core.limits import HISTORY_STATE_REVISIONS
from twin_runtime.core.messages import SNAPSHOT, BlobRef, parse
from twin_runtime.core.recorded import Position

BLOB = BlobRef(sha256="a" * 64, bytes=7)
AN_HOUR_MS = 3_600_000


class LoggedEdge(Edge):
    """An edge whose log is a real one; `seen` has every document that readers saw."""

    def __init__(self, folder: Path, rows_max: int = 10_000) -> None:
        self.store = SqliteStore(folder / "edge.sqlite", {HISTORY: LogBound(rows_max, 2**30)})
        self.view: dict[str, Thing] = {}
        self.seen: dict[int, dict[str, Any]] = {}
        super().__init__()
        self.recall = Recall(lambda key, after, limit: self.store.scan(HISTORY, key, after, limit))

    def commit(self, fx: Effects) -> Effects:
        self.store.commit(fx.writes)
        for twin, thing in fx.shown:
            self.view[twin] = thing
            if thing is not None:
                document = thing._replace(live={}).document()
                self.seen[document["revision"]] = document
        return super().commit(fx)

    @property
    def thing(self) -> Thing:
        return self.view["d-1"]


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[LoggedEdge]:
    edge = LoggedEdge(tmp_path)
    edge.own("d-1")
    yield edge
    edge.store.close()


def live_a_little(edge: LoggedEdge, first: int, last: int) -> None:
    """Reports, a second apart, with edits and an attachment in between."""
    for seq in range(first, last + 1):
        edge.now_s += 1.0
        edge.handle(report(seq, epoch=edge.thing.twin.epoch, level_m=seq / 4))
        if seq % 50 == 25:
            edge.handle(Asked(1, Edit("d-1", "put", ("attributes",), {"room": f"r-{seq}"})))
        if seq % 90 == 30:
            edge.handle(Asked(2, Attach("d-1", "model", BLOB)))


def test_every_revision_is_rebuilt_as_readers_saw_it(edge: LoggedEdge) -> None:
    live_a_little(edge, 1, 3 * HISTORY_STATE_REVISIONS)
    assert len(edge.seen) > 3 * HISTORY_STATE_REVISIONS
    for revision, document in edge.seen.items():
        if revision:
            assert edge.recall.at_revision(edge.thing, revision) == document, revision


def test_a_value_that_was_left_out_is_left_out_of_the_past(edge: LoggedEdge) -> None:
    edge.handle(report(1, level_m=1.5))
    window = b'{"epoch":1,"session":7,"reports":[%b]}'
    said = b'{"seq":2,"observed_ms":2,"features":{"level_m":NaN}}'
    edge.handle(Message(topics.report("e-1", "d-1"), window % said))
    edge.handle(report(3, other=1.0))
    for revision in (2, 3):
        assert edge.recall.at_revision(edge.thing, revision) == edge.seen[revision]
    pages = list(edge.recall.values(edge.thing, "level_m", 0, Position(0, 0)))
    assert [row.value for page in pages for row in page.rows] == [1.5]


def test_a_revision_inside_a_batch_is_rebuilt_too(edge: LoggedEdge) -> None:
    edge.handle(report(1, 2, 3, level_m=1.0), report(4, 5, level_m=2.0))
    document = edge.recall.at_revision(edge.thing, 3)
    assert document is not None
    assert (document["revision"], document["features"]["level_m"]["observed_ms"]) == (3, 3)


def test_a_time_gives_what_was_committed_by_then(edge: LoggedEdge) -> None:
    live_a_little(edge, 1, 100)
    document = edge.recall.at_time(edge.thing, WALL_MS + 40_500)
    assert document is not None
    assert document["features"]["level_m"]["value"] == 10.0
    assert edge.recall.at_time(edge.thing, WALL_MS + 500) is None
    last = edge.recall.at_time(edge.thing, WALL_MS + AN_HOUR_MS)
    assert last == edge.thing.document()


def test_what_is_not_yet_or_no_more_is_none(tmp_path: Path) -> None:
    edge = LoggedEdge(tmp_path, rows_max=200)
    edge.own("d-1")
    live_a_little(edge, 1, 400)
    newest = edge.thing.twin.revision
    assert edge.recall.at_revision(edge.thing, newest + 1) is None
    assert edge.recall.at_revision(edge.thing, 3) is None
    first = edge.recall.first_revision(edge.thing)
    assert newest - 200 < first <= newest - 190
    kept = range(first + HISTORY_STATE_REVISIONS, newest)
    assert all(edge.recall.at_revision(edge.thing, revision) is not None for revision in kept)
    edge.store.close()


def test_a_twin_that_came_from_elsewhere_is_known_from_its_first_report_here(
    tmp_path: Path,
) -> None:
    (tmp_path / "other").mkdir()
    other = LoggedEdge(tmp_path / "other")
    other.own("d-1")
    live_a_little(other, 1, 10)
    snapshot = parse(SNAPSHOT, core.encode(other.thing.twin))
    edge = LoggedEdge(tmp_path)
    edge.handle(activate("d-1", epoch=2, snapshot=snapshot))
    live_a_little(edge, 11, 20)
    came = snapshot.revision
    assert edge.recall.first_revision(edge.thing) == came + 1
    for revision in range(came + 1, edge.thing.twin.revision + 1):
        assert edge.recall.at_revision(edge.thing, revision) == edge.seen[revision]
    assert edge.recall.at_revision(edge.thing, came - 1) is None
    for each in (other, edge):
        each.store.close()


def test_a_twin_that_was_away_is_known_at_both_stays_and_not_in_between(edge: LoggedEdge) -> None:
    live_a_little(edge, 1, 10)
    left = parse(SNAPSHOT, core.encode(edge.thing.twin))
    edge.handle(release("d-1", epoch=2))
    edge.now_s = 100.0
    back = left.model_copy(update={"revision": 50, "last_seq": 50, "epoch": 2})
    edge.handle(activate("d-1", epoch=3, snapshot=back))
    live_a_little(edge, 51, 60)
    recall, thing = edge.recall, edge.thing
    assert [recall.at_revision(thing, n) is not None for n in (5, 10, 11, 49, 51, 60)] == [
        *(True, True, False, False),
        *(True, True),
    ]
    assert recall.at_time(thing, WALL_MS + 5_000) is not None
    assert recall.at_time(thing, WALL_MS + 50_000) is None
    rows = [row for page in recall.values(thing, "level_m", 0, Position(0, 0)) for row in page.rows]
    assert [row.value for row in rows] == [seq / 4 for seq in (*range(1, 11), *range(51, 61))]


def test_values_begin_where_they_are_asked_for(edge: LoggedEdge) -> None:
    live_a_little(edge, 1, 300)
    pages = edge.recall.values(edge.thing, "level_m", WALL_MS + 250_000, Position(0, 0))
    first = next(pages).rows[0]
    assert first.value * 4 == 191, "a minute before it, since clocks differ"
    after = edge.recall.values(edge.thing, "level_m", 0, first.at)
    assert next(after).rows[0].value == first.value + 0.25


def test_values_that_were_refused_were_never_the_twins(edge: LoggedEdge) -> None:
    edge.handle(report(1, level_m=1.0), report(2, level_m="high"), report(3, level_m=None))
    pages = edge.recall.values(edge.thing, "level_m", 0, Position(0, 0))
    rows = [(row.value, row.quality) for page in pages for row in page.rows]
    assert rows == [(1.0, "good"), (None, "uncertain")]
    assert list(edge.recall.values(edge.thing, "depth_m", 0, Position(0, 0))) == []
