"""Every benchmark runs, in its smallest form. How fast it was is not looked at here."""

import asyncio
import json
import math
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.runtime import (
    ack,
    api,
    blob_moves,
    decide,
    disk,
    footprint,
    ingest,
    move,
    watch,
)
from benchmarks.runtime.target import Bar, Flow, Target, middle
from deploy.bench_command import line
from deploy.cli import main
from tests.system.rig import wait_for
from twin_runtime.adapters.bench_figures import kept

SMALL_INGEST = ingest.Scale(repeats=1, devices=20, reports=5, peer_reports=5)
SMALL_ACK = ack.Scale(
    devices=10,
    warm_up_s=3.0,
    measured_s=1.0,
    killed_devices=20,
    killed_reports=200,
    kills=1,
    naive_reports=20,
    burst_reports=20,
)
SMALL_FOOTPRINT = footprint.Scale(
    twins=50, scrapes=1, imports=1, settled_s=2.0, idle_s=1.0, emulated=20, starts=1
)
SMALL_API = api.Scale(
    edits=2,
    pause_s=0.1,
    read_turns=1,
    reads=500,  # CPU time is counted in ticks of 10 ms
    devices=3,
    readers=20,
    measured_s=1.5,
    shown=5,
    loads=1,
    look_ms=50,
    searched=25,
    settled_s=0.0,
    searches=2,
)
SMALL_MOVE = move.Scale(
    residents=10, resident_period_s=1.0, movers=2, moves=6, moves_per_s=5.0, kills=1,
    blobs=blob_moves.Scale(twins=1, rounds=1, blob_bytes=100_000),
)  # fmt: skip
SMALL_DECIDE = decide.Scale(
    instances=1, repeats=1, devices=60, scheduled=6, twins=8, edges=3, servers=8,
    participants=(6,), programme_s=2.0, worlds=2, steps=1,
)  # fmt: skip
KEYS = {"name", "value", "unit", "bar", "met", "against"}

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_sub") is None, reason="no mosquitto_sub (mosquitto-clients)"
)


def test_a_target_is_met_on_its_bar_and_not_beyond_it() -> None:
    assert Target("a", 5.0, "ms", Bar("<=", 5.0), "").met
    assert not Target("a", 5.1, "ms", Bar("<=", 5.0), "").met
    assert Target("a", 0.7, "ratio", Bar(">=", 0.7), "").met
    assert not Target("a", 0.69, "ratio", Bar(">=", 0.7), "").met


def test_a_target_that_could_not_be_measured_is_not_met() -> None:
    assert not Target("a", math.nan, "ms", Bar("<=", 5.0), "").met
    assert not Target("a", math.nan, "ratio", Bar(">=", 0.7), "").met


def test_the_repeat_with_the_median_rate_speaks_for_all() -> None:
    fast, usual, slow = (Flow(100, wall_s, 0.5) for wall_s in (1.0, 2.0, 4.0))
    assert middle([slow, fast, usual]) == usual


def test_the_median_of_a_histogram_lies_within_its_bucket() -> None:
    text = 'x_bucket{le="1.0"} 2.0\nx_bucket{le="2.0"} 6.0\nx_bucket{le="+Inf"} 6.0\nx_count 6.0\n'
    assert ack.median_of_buckets(text, "x") == pytest.approx(1.25)


@pytest.mark.system
@needs_mosquitto
def test_ingest_is_measured_against_each_peer(tmp_path: Path) -> None:
    targets = asyncio.run(ingest.run(tmp_path, SMALL_INGEST))
    assert [target.name for target in targets] == [
        "ingest/mosquitto_sub",
        "ingest/mosquitto_sub at QoS 1",
        "ingest/aiomqtt",
        "ingest/naive",
    ]
    assert_well_formed(targets)


@pytest.mark.slow
@pytest.mark.system
@needs_mosquitto
def test_nothing_acknowledged_is_lost_in_the_measurement_either(tmp_path: Path) -> None:
    targets = {target.name: target for target in asyncio.run(ack.run(tmp_path, SMALL_ACK))}
    assert set(targets) == {
        "ack/p50",
        "ack/p99",
        "kill/acknowledged reports lost",
        "burst/reports not applied",
    }
    assert_well_formed(list(targets.values()))
    assert targets["kill/acknowledged reports lost"].value == 0
    assert targets["burst/reports not applied"].value == 0


@pytest.mark.slow
@pytest.mark.system
@needs_mosquitto
def test_a_footprint_has_a_figure_for_each_role(tmp_path: Path) -> None:
    targets = asyncio.run(footprint.run(tmp_path, SMALL_FOOTPRINT))
    roles = {target.name.split("/")[0] for target in targets}
    assert roles == {"edge", "agent", "fleet", "up"}
    assert_well_formed(targets)


@pytest.mark.slow
@pytest.mark.system
@needs_mosquitto
def test_moves_are_timed_as_devices_see_them_and_edges_that_die(tmp_path: Path) -> None:
    targets = asyncio.run(move.run(tmp_path, SMALL_MOVE))
    assert [target.name for target in targets] == [
        *("move/pause p50", "move/pause p99", "move/rate asked", "move/rate drained"),
        "move/pause with blobs",
        *("recovery/started again", "recovery/called lost"),
    ]
    assert_well_formed(targets)
    assert re.search(r"\b[4-6] moves", targets[0].against), "a pause may span two moves"


@pytest.mark.slow
@pytest.mark.system
@needs_mosquitto
def test_the_api_is_timed_from_edit_to_search(tmp_path: Path) -> None:
    targets = {target.name: target for target in asyncio.run(api.run(tmp_path, SMALL_API))}
    assert list(targets) == [
        *("api/edit, edge", "api/edit, cloud", "api/reads", "api/fan-out"),
        *("api/fan-out heard", "api/page"),
        *("api/search, edge", "api/search, cloud"),
        *("api/search sorted, edge", "api/search sorted, cloud"),
    ]
    if shutil.which("chromium") is None:
        assert math.isnan(targets.pop("api/page").value)
    else:
        assert "with 5 twins" in targets["api/page"].against
    assert_well_formed(list(targets.values()))
    assert re.match(r"[1-9]\d* events/s to 20 readers", targets["api/fan-out"].against)
    assert "among 25 twins" in targets["api/search, cloud"].against


def test_what_could_not_be_measured_is_not_met_and_has_no_figure() -> None:
    missing = Target("x", math.nan, "s", Bar("<=", 1.0), "needs Chromium")
    assert not missing.met
    assert missing.as_json()["value"] is None
    assert "not measured" in line(missing)


def test_the_steps_of_a_move_begin_with_the_last_acknowledgement_before_it() -> None:
    said = ("ack", "seal", "ack", "sealed", "activate", "ack", "activated", "assign", "ack", "seal")
    at_s = (1.0, 2.0, 3.0, 5.0, 8.0, 8.5, 12.0, 17.0, 23.0, 30.0)
    moves = list(watch.moves_s(zip(said, at_s, strict=True)))
    assert moves == [(3.0, 5.0, 8.0, 12.0, 17.0, 23.0)]


def test_the_disk_is_asked_for_bare_syncs_while_something_is_measured(tmp_path: Path) -> None:
    with disk.syncing(tmp_path) as syncs:
        wait_for("three syncs", lambda: len(syncs.took) > 2)
    took_s = [took_s for _, took_s in syncs.took]
    assert syncs.quantile_s(1.0) == max(took_s) > 0
    (began_s, first_s), *_ = syncs.took
    assert syncs.longest_s(began_s, began_s + first_s) == first_s
    assert syncs.longest_s(began_s - 1, began_s) == 0.0


def test_every_decision_is_timed_beside_what_else_one_would_use() -> None:
    targets = list(decide.run(SMALL_DECIDE))
    assert [target.name.removeprefix("decide/") for target in targets] == [
        *("access certified", "access sweep", "access frequencies"),
        *("association shares", "subchannels 6", "subchannels 6 gap", "cooperation search"),
        *("steps access", "steps subchannels", "steps association"),
        *("steps edge association", "steps cooperation"),
    ]
    assert_well_formed(targets)


def test_bench_refuses_a_name_that_is_no_benchmark() -> None:
    result = CliRunner().invoke(main, ["bench", "everything"])
    assert result.exit_code == 2
    assert "'ingest', 'ack', 'footprint'" in result.output


@pytest.mark.system
@needs_mosquitto
def test_bench_prints_one_json_object_per_target_and_keeps_it_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ingest, "Scale", lambda: SMALL_INGEST)
    result = CliRunner().invoke(main, ["bench", "ingest", "--json", "--keep", str(tmp_path)])
    assert result.exit_code == 0, result.output
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(printed) == 4
    assert all(set(each) == KEYS for each in printed)
    assert [figure.model_dump(exclude={"measured_ms"}) for figure in kept(tmp_path)] == printed


def assert_well_formed(targets: list[Target]) -> None:
    for target in targets:
        assert set(target.as_json()) == KEYS
        assert math.isfinite(target.value), target
        assert target.against, target
