"""Replay: a trace comes out as it was recorded, once, at the chosen pace."""

import asyncio
import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agent.choice import open_source
from device_agent.config import SourceConfig
from device_agent.replay import ReplaySource
from device_agent.trace import Trace, load_trace
from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import BATCH_EVENTS_MAX
from twin_runtime.core.shape import accepts

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("DITEN_DATA_DIR", ROOT / ".." / "shared" / "data")) / "ulb_library"
needs_real = pytest.mark.skipif(
    not REAL.exists(), reason="needs the folder ulb_library: set DITEN_DATA_DIR"
)

START_MS = 1_700_000_000_000
READINGS = """\
time_s,part,node,seq,internal_temperature_c,supply_voltage_v,relative_humidity_pct,temperature_c,par_raw,tsr_raw
0.000,1,1,7,20.5,3,50.1,21.0,4,5
0.250,1,2,7,20.6,2.9,50.2,21.1,4,5
60.250,1,2,8,20.7,2.9,50.2,21.1,4,5
60.000,1,1,8,20.5,3,50.1,21.2,4,5
60.000,1,1,8,20.5,3,50.1,21.2,4,5
600.000,2,1,1,20.5,3,50.1,21.3,0,0
"""
LINKS = """\
time_s,part,seq,node,source,rssi_dbm,lqi_raw
-5.000,1,0,1,2,-71,240
-2.000,1,0,1,2,-72,-9
0.000,1,0,1,3,-80,200
0.001,1,0,1,2,-73,239
59.000,1,0,1,2,-75,237
58.000,1,0,1,2,-74,238
60.000,1,0,2,1,-60,250
660.500,1,0,2,1,-61,251
"""
POSITIONS = "node,x_m,y_m\n2,0,0.9\n9,1,1\n"

Run = Callable[[Any], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "tiny_readings.csv.gz", READINGS)
    write(tmp_path / "tiny_links.csv.gz", LINKS)
    (tmp_path / "positions.csv").write_text(POSITIONS)
    return tmp_path


@pytest.fixture
def tiny(folder: Path) -> Trace:
    return load_trace(folder, "tiny")


@pytest.fixture(scope="module")
def library1() -> Trace:
    return load_trace(REAL, "library1")


def write(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


async def play(
    trace: Trace, clock: Any, resume: Mapping[str, int], speed: float = 1e6
) -> list[Sample]:
    source = ReplaySource(trace, clock, start_ms=START_MS, speed=speed)
    return [sample async for batch in source.samples(resume) for sample in batch]


def newest(samples: list[Sample]) -> dict[str, int]:
    return {sample.twin: sample.observed_ms for sample in samples}


def of(samples: list[Sample], twin: str) -> list[Sample]:
    return [sample for sample in samples if sample.twin == twin]


def test_every_reading_is_one_report_in_the_order_of_time(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    samples = run_virtual(play(tiny, clock, {}))
    assert [(s.twin, s.observed_ms - START_MS) for s in samples] == [
        ("d-mote-1", 0),
        ("d-mote-2", 250),
        ("d-mote-1", 60_000),
        ("d-mote-1", 60_001),
        ("d-mote-2", 60_250),
        ("d-mote-1", 600_000),
        ("d-mote-2", 660_500),
    ]


def test_a_reading_is_reported_with_the_motes_own_sequence_and_part(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    samples = of(run_virtual(play(tiny, clock, {})), "d-mote-1")
    assert [(s.features["part"], s.features["mote_seq"]) for s in samples] == [
        (1, 7),
        (1, 8),
        (1, 8),
        (2, 1),
    ]
    assert samples[0].features == {
        "internal_temperature_c": 20.5,
        "supply_voltage_v": 3.0,
        "relative_humidity_pct": 50.1,
        "temperature_c": 21.0,
        "par_raw": 4,
        "tsr_raw": 5,
        "mote_seq": 7,
        "part": 1,
        "link_2_rssi_dbm": -72,
        "link_2_lqi_raw": -9,
        "link_3_rssi_dbm": -80,
        "link_3_lqi_raw": 200,
    }


def test_a_link_belongs_to_the_next_reading_and_its_latest_row_counts(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    samples = of(run_virtual(play(tiny, clock, {})), "d-mote-1")
    heard = [sample.features.get("link_2_rssi_dbm") for sample in samples]
    assert heard == [-72, -75, None, None]
    assert "link_3_rssi_dbm" not in samples[1].features


def test_links_heard_after_the_last_reading_come_in_a_last_report(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    last = run_virtual(play(tiny, clock, {}))[-1]
    assert last.features == {"link_1_rssi_dbm": -61, "link_1_lqi_raw": 251}


def test_a_mote_is_where_the_positions_say_or_nowhere(tiny: Trace) -> None:
    place = tiny.devices[2].description.position
    assert place is not None
    assert (place.x_m, place.y_m) == (0.0, 0.9)
    assert tiny.devices[1].description.position is None
    assert list(tiny.devices) == [1, 2]


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_anywhere_and_resumed_the_replay_repeats_and_skips_nothing(
    tiny: Trace, clock: Any, run_virtual: Run, data: st.DataObject
) -> None:
    whole = run_virtual(play(tiny, clock, {}))
    stored = {
        twin: data.draw(st.integers(0, len(of(whole, twin))), label=twin)
        for twin in ("d-mote-1", "d-mote-2")
    }
    before = [s for twin, count in stored.items() for s in of(whole, twin)[:count]]
    after = run_virtual(play(tiny, clock, newest(before)))
    for twin in stored:
        assert of(before, twin) + of(after, twin) == of(whole, twin)
    assert [s.observed_ms for s in after] == sorted(s.observed_ms for s in after)


def test_a_minute_of_the_trace_takes_a_second_at_speed_60(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    async def arrivals() -> list[tuple[float, int]]:
        source = ReplaySource(tiny, clock, start_ms=START_MS, speed=60)
        return [
            (clock.now().monotonic_s, s.observed_ms - START_MS)
            async for batch in source.samples({})
            for s in batch
        ]

    for arrived_s, trace_ms in run_virtual(arrivals()):
        assert 0 <= arrived_s - trace_ms / 60_000 <= 0.021


def test_a_resumed_replay_waits_for_the_rest_only(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    async def first_s() -> float:
        stored = {"d-mote-1": START_MS + 60_001, "d-mote-2": START_MS + 60_250}
        source = ReplaySource(tiny, clock, start_ms=START_MS)
        async for batch in source.samples(stored):
            assert batch[0].observed_ms == START_MS + 600_000
            break
        now_s: float = clock.now().monotonic_s
        return now_s

    assert run_virtual(first_s()) == pytest.approx(539.75, abs=0.03)


def test_a_mote_that_lags_behind_the_others_catches_up_at_once(
    tiny: Trace, clock: Any, run_virtual: Run
) -> None:
    async def first() -> list[Sample]:
        source = ReplaySource(tiny, clock, start_ms=START_MS)
        async for batch in source.samples({"d-mote-1": START_MS + 600_000}):
            assert clock.now().monotonic_s == 0.0
            return batch
        return []

    assert [s.observed_ms - START_MS for s in run_virtual(first())] == [250, 60_250]


def test_a_slow_consumer_gets_everything(tiny: Trace, clock: Any, run_virtual: Run) -> None:
    async def batches() -> list[int]:
        sizes = []
        source = ReplaySource(tiny, clock, start_ms=START_MS)
        async for batch in source.samples({}):
            sizes.append(len(batch))
            await asyncio.sleep(500)
        return sizes

    assert run_virtual(batches()) == [1, 4, 2]


def test_what_is_recorded_cannot_be_written(tiny: Trace, clock: Any) -> None:
    source = ReplaySource(tiny, clock, start_ms=START_MS)
    for path in ("features/sample_period_s/value", "commands/sample_now"):
        assert "trace" in source.act("d-mote-1", path, 5)
    assert "d-mote-3" in source.act("d-mote-3", "commands/sample_now", None)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(tiny: Trace, clock: Any, speed: float) -> None:
    with pytest.raises(InvalidConfiguration, match="speed"):
        ReplaySource(tiny, clock, start_ms=START_MS, speed=speed)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "tiny_links.csv.gz").unlink()
    with pytest.raises(InvalidConfiguration, match=r"tiny_links\.csv\.gz"):
        load_trace(folder, "tiny")


def test_a_file_cut_off_in_the_middle_is_named(folder: Path) -> None:
    path = folder / "tiny_readings.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InvalidConfiguration, match=r"tiny_readings\.csv\.gz"):
        load_trace(folder, "tiny")


def test_a_missing_column_is_named(folder: Path) -> None:
    write(folder / "tiny_links.csv.gz", LINKS.replace("lqi_raw", "lqi"))
    with pytest.raises(InvalidConfiguration, match=r"tiny_links\.csv\.gz, line 1.*'lqi_raw'"):
        load_trace(folder, "tiny")


@pytest.mark.parametrize(
    "bad,line,column",
    [
        ("x,1,0,1,2,-75,237", 10, "time_s"),
        ("nan,1,0,1,2,-75,237", 10, "time_s"),
        ("1e300,1,0,1,2,-75,237", 10, "time_s"),
        ("1,1,0,-1,2,-75,237", 10, "node"),
        ("1,1,0,1,70000,-75,237", 10, "source"),
        ("1,1,0,1,2,-75.5,237", 10, "rssi_dbm"),
        ("1,1,0,1,2,-75,", 10, "lqi_raw"),
        ("1,1,0,1", 10, "source"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_line_and_column(
    folder: Path, bad: str, line: int, column: str
) -> None:
    write(folder / "tiny_links.csv.gz", LINKS + bad + "\n")
    where = rf"tiny_links\.csv\.gz, line {line}, column {column}"
    with pytest.raises(InvalidConfiguration, match=where):
        load_trace(folder, "tiny")


def test_a_node_that_hears_more_than_a_twin_can_hold_is_refused(folder: Path) -> None:
    rows = "".join(f"1,1,0,1,{source},-70,1\n" for source in range(200))
    write(folder / "tiny_links.csv.gz", LINKS + rows)
    with pytest.raises(InvalidConfiguration, match="node 1 heard 200"):
        load_trace(folder, "tiny")


@needs_real
@pytest.mark.parametrize("name,readings,motes", [("library1", 29_702, 19), ("library2", 7_114, 20)])
def test_the_real_trace_comes_out_whole_declared_and_unambiguous(
    clock: Any, run_virtual: Run, name: str, readings: int, motes: int
) -> None:
    trace = load_trace(REAL, name)
    samples = run_virtual(play(trace, clock, {}, speed=1e9))
    assert len(trace.devices) == motes
    assert sum("mote_seq" in sample.features for sample in samples) == readings
    assert len({(sample.twin, sample.observed_ms) for sample in samples}) == len(samples)
    specs = {d.twin: d.description.features for d in trace.devices.values()}
    for sample in samples:
        for feature, value in sample.features.items():
            assert accepts(specs[sample.twin][feature].type, value)
    assert trace.devices[1].description.position is None
    assert trace.devices[2].description.position is not None


@needs_real
def test_the_real_trace_keeps_its_restarts_and_gaps(
    library1: Trace, clock: Any, run_virtual: Run
) -> None:
    samples = run_virtual(play(library1, clock, {}, speed=1e9))
    by_mote = defaultdict(list)
    for sample in samples:
        if "mote_seq" in sample.features:
            by_mote[sample.twin].append(sample)
    steps = Counter(
        (
            b.features["mote_seq"] - a.features["mote_seq"] > 0,
            b.observed_ms - a.observed_ms > 90_000,
        )
        for mote in by_mote.values()
        for a, b in pairwise(mote)
    )
    assert steps[False, False] + steps[False, True] == 120  # as counted over the file's rows
    assert steps[True, True] > 0


@needs_real
@pytest.mark.parametrize("cut", [1, 6_000, 29_000])
def test_the_real_trace_resumes_where_it_was_cut(
    library1: Trace, clock: Any, run_virtual: Run, cut: int
) -> None:
    whole = run_virtual(play(library1, clock, {}, speed=1e9))
    after = run_virtual(play(library1, clock, newest(whole[:cut]), speed=1e9))
    assert whole[:cut] + after == whole


@needs_real
def test_a_replay_is_chosen_by_its_directory_and_yields_bounded_lists(
    clock: Any, run_virtual: Run
) -> None:
    async def sizes() -> list[int]:
        choice = SourceConfig(kind=f"replay:{REAL}", trace="library2", speed=1e9)
        return [
            len(batch)
            async for batch in open_source(choice, "d-agent", START_MS, clock).samples({})
        ]

    assert max(run_virtual(sizes())) == BATCH_EVENTS_MAX
