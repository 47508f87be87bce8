"""Effects add up: counts are summed, the earliest wish to be woken wins."""

import pytest

from twin_runtime.core import topics
from twin_runtime.core.effects import Effects
from twin_runtime.core.errors import MalformedMessage


def test_counts_of_one_label_add_up_and_others_stay_apart() -> None:
    fx = Effects()
    fx.count("reports_total", "applied", 2)
    fx.count("reports_total", "applied")
    fx.count("reports_total", "gap")
    fx.count("failovers_total")
    assert fx.counts == {
        ("reports_total", "applied"): 3,
        ("reports_total", "gap"): 1,
        ("failovers_total", ""): 1,
    }


def test_the_earliest_wake_wins_and_is_never_in_the_past() -> None:
    fx = Effects()
    assert fx.wake_in_s is None
    fx.wake_by(5.0)
    fx.wake_by(7.0)
    assert fx.wake_in_s == 5.0
    fx.wake_by(-1.0)
    assert fx.wake_in_s == 0.0


def test_g7_a_flood_of_refused_messages_is_counted_and_logged_in_a_line_for_each_code() -> None:
    fx = Effects()
    for code in ("not_json", "bad_id", "not_json", "not_json"):
        fx.refuse("dt/v1/" + "x" * 65_000, MalformedMessage(code, "it is wrong", "/a"))
    assert fx.counts == {("rejects_total", "not_json"): 3, ("rejects_total", "bad_id"): 1}
    assert [note.text.partition(": ")[2] for note in fx.notes] == [
        "it is wrong at /a (not_json)",
        "it is wrong at /a (bad_id)",
    ]
    assert max(len(note.text) for note in fx.notes) < 250


@pytest.mark.parametrize(
    "topic, twin, edge",
    [
        (topics.report("e-1", "d-1"), "d-1", "e-1"),
        (topics.twin("d-1"), "d-1", ""),
        (topics.status("d-1"), "d-1", ""),
        (topics.event("e-1"), "", "e-1"),
        ("dt/v1/up/e-1/../report", "", ""),
    ],
)
def test_the_note_of_a_refused_message_is_about_whom_its_topic_names(
    topic: str, twin: str, edge: str
) -> None:
    fx = Effects()
    fx.refuse(topic, MalformedMessage("not_json", "it is wrong"))
    assert [(note.twin, note.edge) for note in fx.notes] == [(twin, edge)]
