"""The device's recorder: counts by name, keeps a bounded number of observations."""

import logging

import pytest

from twin_runtime.adapters.tally import TallyRecorder
from twin_runtime.core.effects import Note
from twin_runtime.core.limits import LATENCIES_KEPT_MAX


def test_counts_add_up_over_commits() -> None:
    recorder = TallyRecorder()
    recorder.record({("reports_total", "applied"): 2, ("failures_total", ""): 1}, (), ())
    recorder.record({("reports_total", "applied"): 3}, (), ())
    assert recorder.counts == {("reports_total", "applied"): 5, ("failures_total", ""): 1}


def test_the_newest_observations_are_kept_and_never_too_many() -> None:
    recorder = TallyRecorder()
    observed = [("ack_latency_seconds", float(i)) for i in range(LATENCIES_KEPT_MAX + 1)]
    recorder.record({}, observed, ())
    kept = recorder.observed["ack_latency_seconds"]
    assert len(kept) == LATENCIES_KEPT_MAX // 2 + 1
    assert kept[-1] == LATENCIES_KEPT_MAX


def test_notes_reach_the_log_at_their_level(caplog: pytest.LogCaptureFixture) -> None:
    TallyRecorder().record({}, (), (Note("warning", "100% of the disk is full"),))
    [line] = caplog.records
    assert (line.levelno, line.getMessage()) == (logging.WARNING, "100% of the disk is full")
