"""What an edge keeps of the past: every report it applied, under the twin and its epoch."""

import json

from tests.edge_node.an_edge import owning, report
from twin_runtime.core import topics
from twin_runtime.core.effects import Append, Message
from twin_runtime.core.limits import HISTORY_REPORTS_MAX


def test_history_gets_one_entry_per_twin_and_commit_with_every_report_that_was_applied() -> None:
    edge = owning("d-1")
    fx = edge.handle(report(1, 2, level_m=1.5), report(2, 3))
    (entry,) = (write for write in fx.writes if isinstance(write, Append))
    assert (entry.log, entry.key, entry.number) == ("history", "d-1/1", 3)
    past = json.loads(entry.value)
    assert (past["session"], past["wall_ms"]) == (7, edge.now.wall_ms)
    assert [each["seq"] for each in past["reports"]] == [1, 2, 3]
    assert past["reports"][0]["features"] == {"level_m": 1.5}


def test_a_history_entry_holds_one_session_and_so_many_reports_only() -> None:
    edge = owning("d-1")
    many = range(1, 2 * HISTORY_REPORTS_MAX + 2)
    fx = edge.handle(*map(report, many), report(1, session=8))
    entries = [write for write in fx.writes if isinstance(write, Append)]
    assert [entry.number for entry in entries] == [
        HISTORY_REPORTS_MAX,
        2 * HISTORY_REPORTS_MAX,
        len(many),
        len(many) + 1,
    ]
    assert [json.loads(entry.value)["session"] for entry in entries] == [7, 7, 7, 8]


def test_history_stays_json_whatever_a_device_reports() -> None:
    fx = owning("d-1").handle(
        Message(
            topics.report("e-1", "d-1"),
            b'{"epoch":1,"session":7,"reports":[{"seq":1,"observed_ms":1,"features":{"level_m":NaN}}]}',
        )
    )
    (entry,) = (write for write in fx.writes if isinstance(write, Append))
    assert json.loads(entry.value)["reports"][0]["features"] == {}, "null would be a value"
