"""Metrics of one service, in Prometheus' text format.

Theory of operation. A machine counts by name in its effects, and the shell hands over
one dictionary per commit: `record` adds a few integers and that is all a message ever
costs. Nothing is looked up per label and nothing is kept per twin. At scrape time the
collector turns the integers into samples, calls the readings (a gauge is a function that
knows the present value) and takes the ages of all twins in one pass over an array.

`METRICS` declares every metric there is; what is not in it cannot be counted, and a label
value outside its vocabulary is counted as `other`, so that the number of series has a
bound that no peer can move. The documentation is tested against the same table.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from twin_runtime.adapters.log import log_notes
from twin_runtime.core.effects import Note

PREFIX = "diten_"
OTHER = "other"
_VERSION = version("diten")

# From a warm page cache (0.1 ms) to an SD card under load (1 s).
_COMMIT_S = (0.0001, 0.0003, 0.001, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0)
# The target is 15 ms at the median and 60 ms at the 99th percentile; retries start at 0.5 s.
_LATENCY_S = (0.001, 0.003, 0.005, 0.01, 0.015, 0.03, 0.06, 0.1, 0.3, 1.0, 3.0, 10.0)
# From a sensor at 1 Hz to a device that has been away for a day.
_AGE_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0)


class Declared(NamedTuple):
    """One metric as it is documented; `name` carries no prefix, as machines count it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    label: str = ""
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    # Counted by devices: it reaches us on their `status` and is exported as a reading.
    by_devices: bool = False


def _by_devices(name: str, text: str) -> Declared:
    return Declared(name, "counter", text, by_devices=True)


METRICS: tuple[Declared, ...] = (
    Declared("build_info", "gauge", "Always 1; the label is diten's version.", "version"),
    Declared("ready", "gauge", "1 while the process can store what it takes on."),
    Declared("disk_free_bytes", "gauge", "What is free on the disk of the data directory."),
    Declared("bus_connected", "gauge", "1 while the broker has granted every subscription."),
    Declared("bus_drops_total", "counter", "Messages not sent: there was no connection."),
    Declared("bus_reconnects_total", "counter", "Connections to the broker after the first."),
    Declared("inbox_drops_total", "counter", "Messages received and dropped: the inbox was full."),
    Declared(
        "queue_backlog",
        "gauge",
        "What waits here for its turn, by what it is.",
        "kind",
        ("requests", "jobs", "events"),
    ),
    Declared("stream_readers", "gauge", "Readers that follow changes as they happen."),
    Declared(
        "twins",
        "gauge",
        "Twins known here, by phase.",
        "phase",
        ("active", "sealed", "absent", "activating", "owned", "sealing"),
    ),
    Declared(
        "devices",
        "gauge",
        "Devices of the twins in the directory, by what the broker last said of them.",
        "presence",
        ("online", "offline", "lost", "sleeping", "unknown"),
    ),
    Declared(
        "twin_age_seconds",
        "histogram",
        "Time since each twin's last report, at this scrape (not accumulated: no rate()).",
        bounds=_AGE_S,
    ),
    Declared(
        "reports_total",
        "counter",
        "Reports received, by what became of them.",
        "outcome",
        ("applied", "duplicate", "gap"),
    ),
    Declared(
        "rejects_total",
        "counter",
        "Inputs refused, by code.",
        "reason",
        (
            "bad_feature",
            "bad_id",
            "bad_topic",
            "bad_value",
            "corrupt",
            "description_too_large",
            "not_finite",
            "not_json",
            "not_owner",
            "too_large",
            "unknown_feature",
            "unknown_kind",
            "unknown_type",
            "unknown_version",
        ),
    ),
    Declared(
        "fenced_total",
        "counter",
        "Messages refused for an epoch or a store that is not the current one.",
        "kind",
        (
            "ack",
            "activate",
            "command",
            "desired",
            "document",
            "event",
            "hello",
            "live",
            "order",
            "release",
            "report",
            "seal",
            "stable",
        ),
    ),
    Declared(
        "checkpoints_total",
        "counter",
        "Twins in checkpoints the cloud received, by what became of them.",
        "outcome",
        ("stored", "known", "behind"),
    ),
    Declared(
        "moves_total",
        "counter",
        "Moves of twins between edges, by how far they came.",
        "result",
        ("begun", "done", "failed_over"),
    ),
    Declared(
        "move_pause_seconds",
        "histogram",
        "Time from asking a twin's owner to seal it to the confirmation by the next owner.",
        bounds=_LATENCY_S,
    ),
    Declared(
        "decisions_total",
        "counter",
        "Decisions of the association, by whether one was made in time.",
        "outcome",
        ("decided", "failed"),
    ),
    Declared(
        "edits_total",
        "counter",
        "Edits of twins that were asked for, by what became of them.",
        "outcome",
        ("changed", "unchanged", "refused"),
    ),
    Declared(
        "commands_total",
        "counter",
        "Commands to devices whose end was waited for, by their end.",
        "outcome",
        ("accepted", "done", "rejected", "expired", "no_answer"),
    ),
    Declared("failovers_total", "counter", "Twins restored from checkpoints: an edge lost them."),
    Declared("twins_adopted_total", "counter", "Twins taken over as edges say: the store is old."),
    Declared(
        "twins_left_alone",
        "gauge",
        "Twins that the cloud gives no epoch until somebody asks: its store is an older copy.",
        "reason",
        ("disputed", "handed_over"),
    ),
    Declared("twins_refused_total", "counter", "Devices not taken on: the cloud is full."),
    Declared("store_full_total", "counter", "Commits that found the disk full."),
    Declared("blobs_held", "gauge", "Blobs on the disk here."),
    Declared("blobs_lacking", "gauge", "Blobs that twins refer to and that have yet to come."),
    Declared("blob_bytes_held", "gauge", "Bytes of the disk that blobs take, or will take."),
    Declared(
        "blob_bytes_total",
        "counter",
        "Bytes of blobs that crossed the bus.",
        "direction",
        ("received", "sent"),
    ),
    Declared("move_bytes_total", "counter", "Bytes of blobs copied here ahead of moves."),
    Declared(
        "blob_chunks_refused_total",
        "counter",
        "Messages about blobs that were not taken.",
        "reason",
        ("unwanted", "crc", "length", "bad_topic", "bad_id", "bad_value", "not_json"),
    ),
    Declared("blob_digests_wrong_total", "counter", "Blobs fetched anew: the SHA-256 was wrong."),
    Declared(
        "blob_failures_total",
        "counter",
        "Blobs that could not be fetched or deleted for now, or were found damaged.",
        "reason",
        ("lacking", "silent", "digest", "full", "disk", "busy", "damaged"),
    ),
    Declared("blob_wants_dropped_total", "counter", "Chunks not sent: too much is wanted at once."),
    Declared("outbox_rows", "gauge", "Reports that devices keep until they are stable."),
    _by_devices("reports_produced_total", "Reports written to an outbox."),
    _by_devices("reports_coalesced_total", "Reports merged into an unsent one: outbox full."),
    _by_devices("reports_unprotected_total", "Applied reports dropped unstable: full, overtaken."),
    _by_devices("samples_refused_total", "Samples that could not become a report."),
    _by_devices("retransmissions_total", "Windows sent again: no acknowledgement came in time."),
    _by_devices("refusals_heard_total", "Refusals that devices received."),
    _by_devices("rejects_by_devices_total", "Messages that devices could not use."),
    _by_devices("fenced_by_devices_total", "Messages that devices found old, or not their edge's."),
    _by_devices("sessions_opened_total", "Sessions that devices began."),
    Declared("commit_seconds", "histogram", "Time one commit to the store took.", bounds=_COMMIT_S),
    Declared(
        "ack_latency_seconds",
        "histogram",
        "Time from taking a batch of reports to sending its acknowledgements: commit included.",
        bounds=_LATENCY_S,
    ),
)
_DECLARED = {metric.name: metric for metric in METRICS}

# Every counter at 0: a series that appears with its first failure hides it from `rate()`.
_ZEROS = {
    (metric.name, value): 0
    for metric in METRICS
    if metric.kind == "counter" and not metric.by_devices
    for value in ((*metric.values, OTHER) if metric.label else ("",))
}

Reading = Callable[[], float | Mapping[str, float]]


class ServiceMetrics:
    """Body of `ports.Recorder` for a service, with a registry of its own.

    `readings` gives, by metric name, the function that knows the present value; one with
    a label returns a mapping from label value to number. `view` holds the committed twins
    (`reported_wall_ms`; 0: it never reported), and `wall_ms` is the clock for their ages.
    """

    def __init__(
        self,
        readings: Mapping[str, Reading],
        view: Mapping[str, Any],
        wall_ms: Callable[[], int],
    ) -> None:
        for name in readings:
            assert name in _DECLARED, f"{name} is read but not declared in METRICS"
        self._readings = {"build_info": lambda: {_VERSION: 1}, **readings}
        self._view = view
        self._wall_ms = wall_ms
        self._totals = dict(_ZEROS)
        self._histograms = {
            metric.name: _Histogram(metric.bounds)
            for metric in METRICS
            if metric.kind == "histogram" and metric.name != "twin_age_seconds"
        }
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # CPU time, memory, open files, start

    def record(
        self,
        counts: Mapping[tuple[str, str], int],
        observed: Sequence[tuple[str, float]],
        notes: Sequence[Note],
    ) -> None:
        """Take what one commit counted, observed and had to say."""
        for key, by in counts.items():
            self._totals[key if key in _ZEROS else _as_other(*key)] += by
        for metric, value in observed:
            self._histograms[metric].observe(value)
        log_notes(map(self._with_epoch, notes))

    def render(self) -> bytes:
        """Everything, as Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The samples of this moment, for the registry."""
        for metric in METRICS:
            if metric.kind == "histogram":
                yield _histogram_family(metric, self._histogram(metric.name))
            elif metric.name in self._readings:
                yield _family(metric, _bounded(metric, self._readings[metric.name]()))
            elif metric.kind == "counter" and not metric.by_devices:
                yield _family(metric, self._counted(metric.name))

    def _with_epoch(self, note: Note) -> Note:
        """What is said of a twin that is here belongs to its epoch, whether the machine says
        so or not: by twin and epoch, a story is found on all machines that took part."""
        shown = self._view.get(note.twin)
        if note.epoch or shown is None:
            return note
        return note._replace(epoch=shown.state().epoch)

    def _counted(self, metric: str) -> dict[str, float]:
        return {value: total for (name, value), total in self._totals.items() if name == metric}

    def _histogram(self, name: str) -> "_Histogram":
        if name == "twin_age_seconds":
            return _ages(self._view, self._wall_ms())
        return self._histograms[name]


class _Histogram:
    """Counts per bucket (`value <= bound`), the last one for what lies above all bounds."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def _ages(view: Mapping[str, Any], wall_ms: int) -> _Histogram:
    """Ages of all twins that ever reported; one in the future (a clock was set) is 0 s old."""
    histogram = _Histogram(_DECLARED["twin_age_seconds"].bounds)
    reported_ms = np.fromiter(map(attrgetter("reported_wall_ms"), view.values()), dtype=np.int64)
    reported_ms = reported_ms[reported_ms > 0]
    ages_s = np.maximum(wall_ms - reported_ms, 0) / 1000
    buckets = np.searchsorted(histogram.bounds, ages_s, side="left")
    histogram.counts = np.bincount(buckets, minlength=len(histogram.counts)).tolist()
    histogram.sum = float(ages_s.sum())
    return histogram


def _as_other(name: str, value: str) -> tuple[str, str]:
    """The series for a label value outside the vocabulary."""
    key = (name, OTHER)
    assert key in _ZEROS, f"{name}{{{value}}} was counted, but METRICS declares no such counter"
    return key


def _bounded(metric: Declared, value: float | Mapping[str, float]) -> dict[str, float]:
    """A reading by label value, those outside the vocabulary summed up as `other`."""
    if not isinstance(value, Mapping):
        return {"": value}
    bounded: dict[str, float] = dict.fromkeys(metric.values, 0)
    for key, number in value.items():
        series = key if key in bounded or not metric.values else OTHER
        bounded[series] = bounded.get(series, 0) + number
    return bounded


def _family(metric: Declared, values: Mapping[str, float]) -> Metric:
    family = Metric(PREFIX + metric.name.removesuffix("_total"), metric.help, metric.kind)
    suffix = "_total" if metric.kind == "counter" else ""
    for value, number in values.items():
        labels = {metric.label: value} if metric.label else {}
        family.add_sample(family.name + suffix, labels, number)
    return family


def _histogram_family(metric: Declared, histogram: _Histogram) -> HistogramMetricFamily:
    names = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(names, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(
        PREFIX + metric.name, metric.help, buckets=buckets, sum_value=histogram.sum
    )
