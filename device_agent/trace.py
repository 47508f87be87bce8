"""A recorded field deployment, read from files.

A trace NAME is three files in one directory:

    NAME_readings.csv.gz   what each mote measured: one row is one report
    NAME_links.csv.gz      what each mote heard of the others: RSSI and LQI, row by row
    positions.csv          where the motes are, as far as it is known

A link row belongs to the first reading its mote took at or after it; of several rows for
one link the latest counts. (The links carry a part and a sequence number too, but not
the readings': only the times tie the two together.) What a mote heard after its last
reading comes in one last report without a reading.

The trace is kept as it was: gaps, restarts of the motes' own sequence numbers and rows
recorded twice. Rows are put in the order of their times, and where a mote has two rows in
one millisecond the second is put one later: a report's time names it among its mote's.
"""

import csv
import gzip
import math
import zlib
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast

from device_agent.sources import Device
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import DEVICES_PER_PROCESS_MAX, FEATURES_MAX
from twin_runtime.core.messages import Description, FeatureSpec, Place
from twin_runtime.core.scalar import INTEGER_MAX

TRACE_ROWS_MAX = 5_000_000  # ten times the largest trace known; 100 MB of RAM
NODE_MAX = 65_535  # a mote's address has 16 bits
REGISTER_MAX = 32_767  # and so has a register

READING_FEATURES: Mapping[str, FeatureSpec] = {
    "internal_temperature_c": FeatureSpec(
        type="number", unit="Cel", title="Temperature inside the mote"
    ),
    "supply_voltage_v": FeatureSpec(type="number", unit="V", title="Battery voltage"),
    "relative_humidity_pct": FeatureSpec(type="number", unit="%", title="Relative humidity"),
    "temperature_c": FeatureSpec(type="number", unit="Cel", title="Air temperature"),
    "par_raw": FeatureSpec(type="integer", title="Photosynthetically active light, as read"),
    "tsr_raw": FeatureSpec(type="integer", title="Total solar light, as read"),
    "mote_seq": FeatureSpec(type="integer", title="The mote's own count; it restarts"),
    "part": FeatureSpec(type="integer", title="Part of the recording"),
}
LINK_RSSI = FeatureSpec(type="integer", unit="dBm")
LINK_LQI = FeatureSpec(type="integer")


class Report(NamedTuple):
    """One report to come: the reading of `node`, and the links heard after `heard_after_ms`
    and up to `heard_until_ms`. No `values`: there was no reading, only links."""

    at_ms: int  # since the trace's first reading; unique for its node
    node: int
    heard_after_ms: int
    heard_until_ms: int
    values: tuple[float, ...]  # in the order of READING_FEATURES


@dataclass(frozen=True, slots=True)
class Links:
    """What one mote heard, in the order of time: 14 bytes a row."""

    times_ms: "array[int]" = field(default_factory=lambda: array("q"))
    sources: "array[int]" = field(default_factory=lambda: array("H"))
    rssi_dbm: "array[int]" = field(default_factory=lambda: array("h"))
    lqi_raw: "array[int]" = field(default_factory=lambda: array("h"))

    def features(self, after_ms: int, until_ms: int) -> dict[str, int]:
        """The latest of each link heard in `(after_ms, until_ms]`."""
        features: dict[str, int] = {}
        start = bisect_right(self.times_ms, after_ms)
        for row in range(start, bisect_right(self.times_ms, until_ms)):
            link = f"link_{self.sources[row]}"
            features[f"{link}_rssi_dbm"] = self.rssi_dbm[row]
            features[f"{link}_lqi_raw"] = self.lqi_raw[row]
        return features

    def in_order(self) -> "Links":
        """The same rows by time; rows of one time stay as they were."""
        order = sorted(range(len(self.times_ms)), key=self.times_ms.__getitem__)
        columns = (self.times_ms, self.sources, self.rssi_dbm, self.lqi_raw)
        return Links(*(array(c.typecode, map(c.__getitem__, order)) for c in columns))


@dataclass(frozen=True, slots=True)
class Trace:
    """A recorded deployment: its reports in the order of time, and what they refer to."""

    reports: Sequence[Report]
    links: Mapping[int, Links]
    devices: Mapping[int, Device]

    def features(self, report: Report) -> dict[str, float]:
        """What `report` says: its reading, if it has one, and the links heard before it."""
        features: dict[str, float] = dict(zip(READING_FEATURES, report.values, strict=False))
        if heard := self.links.get(report.node):
            features |= heard.features(report.heard_after_ms, report.heard_until_ms)
        return features


class Reading(NamedTuple):
    """One row of the readings."""

    time_ms: int
    node: int
    values: tuple[float, ...]


def load_trace(directory: str | Path, name: str) -> Trace:
    """Read trace `name` of `directory`.

    Raises:
        InvalidConfiguration: a file or a column is missing or a value is no number; the
            message names the file, the line and the column.
    """
    folder = Path(directory)
    readings = _load_readings(folder / f"{name}_readings.csv.gz")
    links = _load_links(folder / f"{name}_links.csv.gz")
    places = _load_places(folder / "positions.csv")
    nodes = sorted({reading.node for reading in readings} | links.keys())
    if len(nodes) > DEVICES_PER_PROCESS_MAX:
        raise InvalidConfiguration(
            f"{folder}: trace {name} has {len(nodes)} nodes; at most {DEVICES_PER_PROCESS_MAX} fit"
        )
    devices = {node: _device(node, links.get(node), places.get(node)) for node in nodes}
    return Trace(_reports(readings, links), links, devices)


def _reports(readings: Sequence[Reading], links: Mapping[int, Links]) -> Sequence[Report]:
    reports: list[Report] = []
    last: dict[int, Report] = {}

    def add(node: int, time_ms: int, values: tuple[float, ...]) -> None:
        before = last.get(node, Report(-INTEGER_MAX, node, -INTEGER_MAX, -INTEGER_MAX, ()))
        at_ms = max(time_ms, before.at_ms + 1)
        last[node] = Report(at_ms, node, before.heard_until_ms, time_ms, values)
        reports.append(last[node])

    for reading in readings:
        add(reading.node, reading.time_ms, reading.values)
    for node, heard in links.items():
        if node not in last or heard.times_ms[-1] > last[node].heard_until_ms:
            add(node, heard.times_ms[-1], ())
    return sorted(reports, key=lambda report: report.at_ms)


def _device(node: int, heard: Links | None, place: Place | None) -> Device:
    features = dict(READING_FEATURES)
    for source in sorted(set(heard.sources)) if heard else ():
        features[f"link_{source}_rssi_dbm"] = LINK_RSSI
        features[f"link_{source}_lqi_raw"] = LINK_LQI
    if len(features) > FEATURES_MAX:
        raise InvalidConfiguration(
            f"node {node} heard {len(set(heard.sources)) if heard else 0} others:"
            f" its {len(features)} features are more than {FEATURES_MAX}"
        )
    description = Description(title=f"Mote {node}", features=features, position=place)
    return Device(f"d-mote-{node}", description)


def _load_readings(path: Path) -> list[Reading]:
    rows = _rows(path, READING_COLUMNS)
    readings = [Reading(time_ms, node, tuple(values)) for time_ms, node, *values in rows]
    return sorted(readings, key=lambda reading: reading.time_ms)


def _load_links(path: Path) -> dict[int, Links]:
    links: defaultdict[int, Links] = defaultdict(Links)
    for time_ms, node, source, rssi_dbm, lqi_raw in _rows(path, LINK_COLUMNS):
        heard = links[node]
        heard.times_ms.append(time_ms)
        heard.sources.append(source)
        heard.rssi_dbm.append(rssi_dbm)
        heard.lqi_raw.append(lqi_raw)
    return {node: heard.in_order() for node, heard in links.items()}


def _load_places(path: Path) -> dict[int, Place]:
    return {node: Place(x_m=x_m, y_m=y_m) for node, x_m, y_m in _rows(path, PLACE_COLUMNS)}


def _time_ms(text: str) -> int:
    time_ms = round(float(text) * 1000)
    if abs(time_ms) >= INTEGER_MAX:
        raise ValueError
    return time_ms


@lru_cache(maxsize=8192)  # sensors have few distinct values: parse and hold each one once
def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


@lru_cache(maxsize=8192)
def _node(text: str) -> int:
    if not 0 <= (node := int(text)) <= NODE_MAX:
        raise ValueError
    return node


@lru_cache(maxsize=8192)
def _register(text: str) -> int:
    if not -REGISTER_MAX <= (register := int(text)) <= REGISTER_MAX:
        raise ValueError
    return register


@lru_cache(maxsize=8192)
def _count(text: str) -> int:
    if not 0 <= (count := int(text)) <= INTEGER_MAX:
        raise ValueError
    return count


Columns = Sequence[tuple[str, Callable[[str], float]]]

READING_COLUMNS: Columns = (
    ("time_s", _time_ms),
    ("node", _node),
    ("internal_temperature_c", _number),  # from here on in the order of READING_FEATURES
    ("supply_voltage_v", _number),
    ("relative_humidity_pct", _number),
    ("temperature_c", _number),
    ("par_raw", _count),
    ("tsr_raw", _count),
    ("seq", _count),
    ("part", _count),
)
LINK_COLUMNS: Columns = (
    ("time_s", _time_ms),
    ("node", _node),
    ("source", _node),
    ("rssi_dbm", _register),
    ("lqi_raw", _register),
)
PLACE_COLUMNS: Columns = (("node", _node), ("x_m", _number), ("y_m", _number))


def _rows(path: Path, columns: Columns) -> Iterator[list[Any]]:
    """Yield the values of `columns`, row by row."""
    with _text(path) as file:
        rows = csv.reader(file)
        header = next(rows, [])
        plan = [(_position(path, header, name), parse) for name, parse in columns]
        for count, row in enumerate(rows, start=1):
            if count > TRACE_ROWS_MAX:
                raise InvalidConfiguration(f"{path}: more than {TRACE_ROWS_MAX} rows; cut it")
            try:
                values = [parse(row[position]) for position, parse in plan]
            except (ValueError, OverflowError, IndexError):
                raise _refusal(f"{path}, line {rows.line_num}", row, header, columns) from None
            yield values


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    try:
        with (
            gzip.open(path, "rt", newline="", encoding="utf-8")
            if path.suffix == ".gz"
            else (path.open(newline="", encoding="utf-8")) as file
        ):
            yield cast("TextIO", file)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise InvalidConfiguration(
            f"{path} cannot be read ({why}): give a directory with a whole trace"
        ) from None


def _position(path: Path, header: Sequence[str], column: str) -> int:
    if column in header:
        return header.index(column)
    raise InvalidConfiguration(
        f"{path}, line 1: there is no column {column!r}, only {', '.join(header) or 'nothing'}"
    )


def _refusal(
    where: str, row: Sequence[str], header: Sequence[str], columns: Columns
) -> InvalidConfiguration:
    """Say which of `columns` made `row` unusable."""
    cells = dict(zip(header, row, strict=False))
    for name, parse in columns:
        try:
            parse(cells[name])
        except KeyError:
            return InvalidConfiguration(f"{where}, column {name}: the row ends before it")
        except (ValueError, OverflowError):
            return InvalidConfiguration(
                f"{where}, column {name}: {cells[name][:80]!r} is not a number in its range"
            )
    raise AssertionError(f"{where}: every column is good")
