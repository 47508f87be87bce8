"""The report: what it says of a run, and that its page needs nothing but itself."""

import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deploy.chaos import Outcome, Plan
from deploy.chaos_check import Place
from deploy.chaos_faults import Choice, Fault
from deploy.chaos_observer import Moved, Observer
from deploy.chaos_page import page
from deploy.chaos_report import as_json, print_report
from deploy.chaos_strikes import Strike
from deploy.system_file import Part, ProcessName, System

VOID = {"meta", "br"}
CHOICE = Choice({"kill": ("e-1",)}, ("fill needs a disk",))


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    parts = (Part("e-1", "edge_node", "", 0, None), Part("cloud", "cloud", "", 0, None))
    nobody = ProcessName(1, 1, "")
    system = System("", nobody, "", 0, 0, links=False, parts=parts)
    plan = Plan(tmp_path, 10.0, 2.0, 1.0, 7, CHOICE)
    strikes = [
        Strike(Fault("kill", "e-1", 1.0, 1.0), 1.0, 2.0, 3.5),
        Strike(Fault("pause", "cloud", 4.0, 1.0), 4.0, 5.0, 5.5),
        Strike(Fault("kill", "cloud", 6.0, 1.0), 6.0, why_not="cloud was not running"),
    ]
    observer = Observer(acknowledged=120)
    observer.per_second.update(dict.fromkeys(range(12), 10))
    rng = random.Random(1)
    observer.moves.append(Moved("d-1", "e-1", "e-2", 3.0, 1.5))
    observer.moves.append(Moved("d-2", "e-1", "e-2", 7.0, 0.25))
    observer.gaps_s.extend(rng.uniform(0.9, 1.1) for _ in range(50))
    found = Outcome(plan, system, strikes, observer, healed_s=10.0, converged_s=11.0)
    found.restarts = {"e-1": 1, "cloud": 0}
    return found


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag


def bad(outcome: Outcome) -> dict[str, Any]:
    place = Place("d-<1>", 7, 3)
    outcome.verdict.lose(place, "is in no edge's history")
    outcome.verdict.twice.add(place)
    outcome.converged_s = None
    outcome.missing = ["d-9"]
    return as_json(outcome)


def test_a_good_run_is_reported_with_its_figures(outcome: Outcome) -> None:
    found = as_json(outcome)
    assert (found["verdict"], found["lost"], found["twice"]) == ("good", 0, 0)
    assert found["recovery_s"]["kill"] == {"count": 1, "p50": 1.5, "p99": 1.5, "max": 1.5}
    assert (found["pause_s"]["count"], found["pause_s"]["max"]) == (2, 1.5)
    assert len(found["acknowledged_per_s"]) == 12
    assert found["problems"] == []


def test_a_report_names_the_command_that_repeats_its_faults(outcome: Outcome) -> None:
    assert as_json(outcome)["command"] == (
        "diten chaos run --seed 7 --duration 10s --every 2s --moves-per-s 1 --faults kill"
        " --roles e-1"
    )
    assert as_json(outcome)["command"] in page(as_json(outcome))


def test_a_pause_that_no_fault_touched_is_told_apart(outcome: Outcome) -> None:
    assert as_json(outcome)["undisturbed_pause_s"] == {
        "count": 1, "p50": 0.25, "p99": 0.25, "max": 0.25,
    }  # fmt: skip


def test_a_loss_makes_a_run_bad_and_is_named(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    found = bad(outcome)
    assert found["verdict"] == "bad"
    assert found["problems"] == [
        "after 10 s of faults it did not recover; no news of d-9",
        "lost: report d-<1> 7/3 is in no edge's history",
        "applied twice: report d-<1> 7/3",
    ]
    print_report(found)
    assert "lost 1, applied twice 1\n" in capsys.readouterr().out


def test_what_never_recovered_is_said_in_the_table(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome.strikes[0].recovered_s = None
    print_report(as_json(outcome))
    said = capsys.readouterr().out
    assert re.search(r"kill +e-1 +1\.0 +1\.0 +never", said)
    assert re.search(r"kill +cloud +6\.0 +– +not done", said)


def test_the_page_is_whole_and_needs_nothing_else(outcome: Outcome) -> None:
    html = page(as_json(outcome))
    parser = Balanced()
    parser.feed(html)
    assert parser.opened == []
    assert "Nothing was lost" in html
    assert html.count("<svg") == 6  # three plots, each for a wide and a narrow page
    named = set(re.findall(r"https?://[^\s\"']+", html))
    assert {url for url in named if not url.startswith("http://www.w3.org/")} == set()
    assert re.search(r"<script|<link|@import|src=", html) is None


def test_every_colour_of_the_page_follows_light_and_dark(outcome: Outcome) -> None:
    html = page(as_json(outcome))
    plots = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert re.findall(r"#[0-9a-f]{6}\b", plots) == []
    used = set(re.findall(r"var\((--\w+)\)", html))
    declared = re.findall(r"(--\w+): #", html)
    assert used <= set(declared)
    assert all(declared.count(name) == 2 for name in used)


def test_names_from_outside_cannot_break_the_page(outcome: Outcome) -> None:
    html = page(bad(outcome))
    assert "d-&lt;1&gt; 7/3" in html
    assert "d-<1>" not in html


def test_a_run_in_which_nothing_happened_has_a_page_too(outcome: Outcome) -> None:
    outcome.strikes.clear()
    outcome.observer.moves.clear()
    html = page(as_json(outcome))
    assert html.count("<svg") == 2
