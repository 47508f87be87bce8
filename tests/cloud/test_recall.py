"""The past of a twin at the cloud: the last checkpoint until then, a minute apart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.machine import Thing
from cloud.recall import Recall
from cloud.snapshots import CHECKPOINTS, Snapshots
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core import messages
from twin_runtime.core.effects import Append, Effects
from twin_runtime.core.messages import Snapshot

T_MS = 1_750_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """With the checkpoints of ten minutes, one each 5 s: ten revisions apart."""
    store = SqliteStore(tmp_path / "cloud.sqlite", {CHECKPOINTS: LogBound(1_000, 2**20)})
    snapshots = Snapshots()
    for n in range(1, 121):
        fx = Effects()
        wall_ms = T_MS + 5_000 * n
        snapshot = Snapshot(twin="d-1", epoch=1, revision=10 * n, reported_wall_ms=wall_ms)
        snapshots.accept("e-1", snapshot, fx)
        store.commit([write for write in fx.writes if isinstance(write, Append)])
    yield store
    store.close()


def shown() -> Thing:
    document = Snapshot(twin="d-1", epoch=1, revision=1_205, reported_wall_ms=T_MS + 602_000)
    return Thing(1, 1_205, document.reported_wall_ms, 0, messages.encode(document))


def test_an_edit_makes_a_checkpoint_of_the_past_too(store: SqliteStore) -> None:
    snapshots, an_hour_ms = Snapshots(), 3_600_000
    fx = Effects()
    for n, written_ms in enumerate((T_MS, T_MS + an_hour_ms)):
        attributes = {"room": n}
        edited = Snapshot(
            twin="d-2", epoch=1, revision=n, written_wall_ms=written_ms, attributes=attributes
        )
        snapshots.accept("e-1", edited, fx)
    store.commit([write for write in fx.writes if isinstance(write, Append)])
    now = Snapshot(twin="d-2", epoch=1, revision=9, written_wall_ms=T_MS + 2 * an_hour_ms)
    shown = Thing(1, 9, 0, 0, messages.encode(now))
    found = recall(store).at_time(shown, T_MS + an_hour_ms - 1)
    assert found is not None
    assert found["attributes"] == {"room": 0}


def recall(store: SqliteStore) -> Recall:
    return Recall(lambda key, after, limit: store.scan(CHECKPOINTS, key, after, limit))


def test_one_checkpoint_a_minute_goes_into_the_log(store: SqliteStore) -> None:
    logged = [entry.number for entry in store.scan(CHECKPOINTS, "d-1")]
    assert logged == list(range(10, 1_200, 120))


def test_g14_a_past_is_kept_of_a_twin_whose_next_owner_has_a_clock_decades_behind() -> None:
    snapshots, fx, decades_ms = Snapshots(), Effects(), 10**12
    for n in range(4):
        wall_ms = T_MS + 120_000 * n - decades_ms * (n // 2)
        moved = Snapshot(twin="d-2", epoch=1 + n // 2, revision=n, reported_wall_ms=wall_ms)
        snapshots.accept("e-1", moved, fx)
    logged = [write.number for write in fx.writes if isinstance(write, Append)]
    assert logged == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "revision, found", [(10, 10), (129, 10), (130, 130), (700, 610), (1_204, 1_090), (1_205, 1_205)]
)
def test_a_revision_gives_the_last_checkpoint_until_it(
    store: SqliteStore, revision: int, found: int
) -> None:
    document = recall(store).at_revision(shown(), revision)
    assert document is not None
    assert document["revision"] == found


@pytest.mark.parametrize("revision", [0, 9, 1_206])
def test_what_is_before_all_checkpoints_or_yet_to_come_is_none(
    store: SqliteStore, revision: int
) -> None:
    assert recall(store).at_revision(shown(), revision) is None


def test_a_time_gives_the_last_checkpoint_until_then(store: SqliteStore) -> None:
    document = recall(store).at_time(shown(), T_MS + 300_000)
    assert document is not None
    assert document["revision"] == 490
    assert recall(store).at_time(shown(), T_MS) is None
