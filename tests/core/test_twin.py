"""The twin is the fold of its device's reports: each once, in order, whatever arrives."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core import messages
from twin_runtime.core import twin as core
from twin_runtime.core.features import NONE, features_of
from twin_runtime.core.ids import TwinId
from twin_runtime.core.messages import (
    Description,
    DesiredState,
    FeatureSpec,
    Outcome,
    Place,
    Snapshot,
    StateReport,
    Window,
)
from twin_runtime.core.shape import shape_of
from twin_runtime.core.twin import Applied, Phase, Twin

D1 = TwinId("d-1")
DESCRIPTION = Description(
    title="Tank 1",
    features={
        "level_m": FeatureSpec(type="number", unit="m"),
        "open": FeatureSpec(type="boolean", writable=True),
        "state": FeatureSpec(type="string"),
        "running": FeatureSpec(type="boolean"),
    },
    position=Place(x_m=1.0, y_m=2.0),
)
ONE_MINUTE_MS = 60_000


def report(seq: int, **features: Any) -> StateReport:
    described = DESCRIPTION if seq == 1 else None
    return StateReport(seq=seq, observed_ms=1_000 * seq, features=features, description=described)


def window(session: int, *reports: StateReport) -> Window:
    return Window(epoch=1, session=session, reports=reports)


def apply(twin: Twin, *reports: StateReport, session: int = 7) -> Applied:
    return core.apply_window(twin, window(session, *reports), ONE_MINUTE_MS)


def fresh() -> Twin:
    return Twin(twin=D1, epoch=1)


def described(**features: Any) -> Twin:
    return apply(fresh(), report(1, **features)).twin


# --- order ------------------------------------------------------------------------------


def test_reports_in_order_are_applied_and_each_is_one_revision() -> None:
    outcome = apply(fresh(), report(1, level_m=1.0), report(2, level_m=2.0), report(3, open=True))
    twin = outcome.twin
    assert (twin.session, twin.last_seq, twin.revision) == (7, 3, 3)
    assert twin.features == {"level_m": (2.0, 2_000, "good"), "open": (True, 3_000, "good")}
    assert twin.reported_wall_ms == ONE_MINUTE_MS
    assert [each.seq for each in outcome.applied] == [1, 2, 3]
    assert (outcome.duplicates, outcome.gaps, outcome.faults) == (0, 0, ())


def test_a_duplicate_report_changes_nothing_and_is_counted() -> None:
    twin = described(level_m=1.0)
    outcome = apply(twin, report(1, level_m=9.0))
    assert outcome == Applied(twin, (), 1, 0, ())


def test_a_report_after_a_gap_is_left_for_later() -> None:
    twin = described(level_m=1.0)
    assert apply(twin, report(3, level_m=3.0)) == Applied(twin, (), 0, 1, ())


def test_a_window_that_overlaps_is_applied_from_where_the_twin_stands() -> None:
    outcome = apply(described(), report(1), report(2, level_m=2.0), report(4, level_m=4.0))
    assert [each.seq for each in outcome.applied] == [2]
    assert (outcome.duplicates, outcome.gaps) == (1, 1)
    assert outcome.twin.last_seq == 2


def test_a_larger_session_begins_with_its_first_report_only() -> None:
    twin = described(level_m=1.0)._replace(stable_seq=1)
    assert apply(twin, report(2), session=8).gaps == 1
    begun = apply(twin, report(1, level_m=8.0), session=8).twin
    assert (begun.session, begun.last_seq, begun.revision) == (8, 1, 2)
    assert begun.stable_seq == 0


def test_a_twin_knows_where_the_session_before_ended() -> None:
    twin = fresh()
    twin = apply(twin, report(1), report(2), session=7).twin
    assert twin.former is None
    assert apply(twin, report(1), report(2), session=8).twin.former == (7, 2)
    assert apply(apply(twin, report(1), session=8).twin, report(1), session=9).twin.former == (8, 1)


def test_a_smaller_session_belongs_to_a_device_that_lost_its_memory() -> None:
    twin = described(level_m=1.0)
    assert apply(twin, report(1, level_m=0.0), session=6) == Applied(twin, (), 1, 0, ())


def test_what_is_stable_stays_so_within_a_session() -> None:
    twin = described()._replace(stable_seq=1)
    assert apply(twin, report(2)).twin.stable_seq == 1


@pytest.mark.parametrize("phase", [Phase.SEALED, Phase.ABSENT])
def test_only_an_active_twin_applies_reports(phase: Phase) -> None:
    with pytest.raises(AssertionError, match="nothing may be applied"):
        apply(fresh()._replace(phase=phase), report(1))


class Fold(NamedTuple):
    """The naive model: where the fold stands and every value it has taken in."""

    session: int = 0
    last_seq: int = 0
    taken: tuple[tuple[int, int, int], ...] = ()


def fold(model: Fold, session: int, seq: int, value: int) -> Fold:
    begins = session > model.session and seq == 1
    follows = session == model.session and seq == model.last_seq + 1
    if begins or follows:
        return Fold(session, seq, (*model.taken, (session, seq, value)))
    return model


WINDOWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.lists(st.tuples(st.integers(1, 6), st.integers(0, 99)), min_size=1, max_size=8),
    ),
    max_size=12,
)


@given(WINDOWS)
def test_g2_any_windows_fold_as_the_naive_model_says(
    windows: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    twin, model, taken = fresh(), Fold(), 0
    for session, reports in windows:
        rows = [
            StateReport(
                seq=seq, observed_ms=0, features={"level_m": value}, description=DESCRIPTION
            )
            for seq, value in reports
        ]
        outcome = apply(twin, *rows, session=session)
        for seq, value in reports:
            model = fold(model, session, seq, value)
        new = model.taken[taken:]
        assert [(each.seq, each.features["level_m"]) for each in outcome.applied] == [
            (seq, value) for _, seq, value in new
        ]
        assert len(outcome.applied) + outcome.duplicates + outcome.gaps == len(rows)
        twin, taken = outcome.twin, len(model.taken)
        assert (twin.session, twin.last_seq) == (model.session, model.last_seq)
        assert twin.revision == taken
        if taken:
            assert twin.features["level_m"][0] == model.taken[-1][2]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 8)), max_size=12))
def test_g2_saying_a_window_again_changes_nothing(windows: list[tuple[int, int, int]]) -> None:
    twin = fresh()
    for session, first, count in windows:
        rows = [StateReport(seq=seq, observed_ms=0) for seq in range(first, first + count)]
        twin = apply(twin, *rows, session=session).twin
        assert apply(twin, *rows, session=session).twin is twin


# --- values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, code",
    [
        ("depth_m", 1.0, "unknown_feature"),
        ("level_m", "high", "bad_feature"),
        ("level_m", True, "bad_feature"),
        ("level_m", float("nan"), "not_finite"),
        ("level_m", float("inf"), "not_finite"),
        ("level_m", 2**60, "bad_feature"),
        ("open", 1, "bad_feature"),
        ("state", "x" * 257, "bad_feature"),
        ("state", {"deep": [1]}, "bad_feature"),
    ],
)
def test_an_unusable_value_is_left_out_and_the_fold_goes_on(
    name: str, value: Any, code: str
) -> None:
    outcome = apply(described(level_m=1.0), report(2, **{name: value, "running": False}))
    (fault,) = outcome.faults
    assert (fault.code, fault.pointer) == (code, f"/reports/0/features/{name}")
    assert len(fault.message) < 200
    assert outcome.twin.last_seq == 2
    assert outcome.twin.features == {
        "level_m": (1.0, 1_000, "good"),
        "running": (False, 2_000, "good"),
    }


def test_a_fault_in_an_odd_name_still_points_at_it() -> None:
    (fault,) = apply(described(), report(2), report(3, **{"a/b~c": 1})).faults
    assert fault.pointer == "/reports/1/features/a~1b~0c"


def test_values_before_any_description_are_all_unknown() -> None:
    bare = StateReport(seq=1, observed_ms=0, features={"level_m": 1.0})
    outcome = apply(fresh(), bare)
    assert [fault.code for fault in outcome.faults] == ["unknown_feature"]
    assert outcome.twin.description is None
    assert outcome.twin.last_seq == 1


def test_a_sensor_that_does_not_answer_leaves_the_last_value_uncertain() -> None:
    twin = apply(described(level_m=1.0), report(2, level_m=None)).twin
    assert twin.features["level_m"] == (1.0, 1_000, "uncertain")
    assert apply(twin, report(3, level_m=2.0)).twin.features["level_m"] == (2.0, 3_000, "good")


def test_a_sensor_that_never_answered_has_no_value_and_is_uncertain() -> None:
    assert described(level_m=None).features["level_m"] == (None, 1_000, "uncertain")


def test_a_new_description_drops_what_it_no_longer_declares_or_declares_otherwise() -> None:
    twin = described(level_m=1.0, open=True, state="idle")
    changed = Description(
        features={"level_m": FeatureSpec(type="number"), "state": FeatureSpec(type="integer")}
    )
    told = StateReport(seq=2, observed_ms=0, features={"state": 3}, description=changed)
    after = apply(twin, told).twin
    assert after.description == changed
    assert after.features == {"level_m": (1.0, 1_000, "good"), "state": (3, 0, "good")}


def test_a_description_too_large_for_a_snapshot_is_refused_and_the_old_one_stays() -> None:
    large = Description(
        features={f"f{number}": FeatureSpec(type="string") for number in range(100)}
    )
    told = StateReport(seq=2, observed_ms=0, features={"level_m": 2.0}, description=large)
    outcome = apply(described(level_m=1.0), told)
    (fault,) = outcome.faults
    assert (fault.code, fault.pointer) == ("description_too_large", "/reports/0/description")
    assert outcome.twin.description == DESCRIPTION
    assert outcome.twin.features["level_m"] == (2.0, 0, "good")


# --- desired ----------------------------------------------------------------------------


def test_an_outcome_settles_the_wish_it_answers_and_no_other() -> None:
    wished = {
        "features/open/value": DesiredState(number=4, value=True),
        "features/level_m/value": DesiredState(number=5, value=2.0),
    }
    twin = described()._replace(desired=wished)
    done = Outcome(number=4, outcome="done", reason="opened")
    told = StateReport(seq=2, observed_ms=0, outcomes={"features/open/value": done})
    desired = apply(twin, told).twin.desired
    assert desired["features/open/value"].state == "done"
    assert desired["features/open/value"].reason == "opened"
    assert desired["features/level_m/value"] == wished["features/level_m/value"]


@pytest.mark.parametrize("path, number", [("features/open/value", 3), ("commands/stop", 4)])
def test_an_outcome_of_a_superseded_or_unknown_wish_is_old_news(path: str, number: int) -> None:
    wished = {"features/open/value": DesiredState(number=4, value=True)}
    twin = described()._replace(desired=wished)
    told = StateReport(
        seq=2, observed_ms=0, outcomes={path: Outcome(number=number, outcome="done")}
    )
    assert apply(twin, told).twin.desired == wished


# --- ownership ---------------------------------------------------------------------------


def snapshot_of(twin: Twin) -> Snapshot:
    return messages.parse(messages.SNAPSHOT, core.encode(twin))


def test_a_new_twin_is_activated_empty() -> None:
    assert core.activate(None, D1, 1, None) == Twin(twin=D1, epoch=1)


def test_an_activation_takes_the_snapshot_which_is_stable_and_forgets_what_was_held() -> None:
    snapshot = snapshot_of(described(level_m=1.0))
    held = fresh()._replace(epoch=2, session=9, last_seq=99, revision=99)
    twin = core.activate(held, D1, 3, snapshot)
    assert twin is not None
    assert (twin.epoch, twin.phase, twin.session) == (3, Phase.ACTIVE, 7)
    assert (twin.last_seq, twin.stable_seq, twin.revision) == (1, 1, 1)


@pytest.mark.parametrize("epoch", [1, 4, 5])
def test_an_activation_at_an_epoch_already_seen_is_ignored(epoch: int) -> None:
    for phase in Phase:
        held = fresh()._replace(epoch=5, phase=phase)
        assert core.activate(held, D1, epoch, None) is None


def test_a_release_forgets_the_twin_and_keeps_the_epoch() -> None:
    absent = Twin(twin=D1, epoch=4, phase=Phase.ABSENT)
    assert core.release(described(), D1, 4) == absent
    assert core.release(None, D1, 4) == absent


def test_a_release_of_the_past_or_of_an_absent_twin_is_ignored() -> None:
    held = described()._replace(epoch=4)
    assert core.release(held, D1, 4) is None
    assert core.release(held, D1, 3) is None
    assert core.release(held._replace(phase=Phase.ABSENT), D1, 9) is None


def test_the_cloud_makes_reports_stable_and_never_takes_it_back() -> None:
    twin = described()._replace(last_seq=5)
    stable = core.stabilise(twin, 1, 7, 4)
    assert stable == twin._replace(stable_seq=4)
    assert core.stabilise(stable, 1, 7, 4) is None
    assert core.stabilise(stable, 1, 7, 3) is None


@pytest.mark.parametrize("epoch, session", [(2, 7), (0, 7), (1, 6), (1, 8)])
def test_what_is_stable_at_another_epoch_or_session_says_nothing(epoch: int, session: int) -> None:
    assert core.stabilise(described(), epoch, session, 1) is None


def test_only_an_active_twin_can_become_stable() -> None:
    assert core.stabilise(described()._replace(phase=Phase.SEALED), 1, 7, 1) is None


# --- rows and documents --------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1e300, 1e300) | st.text("aü\0")
NUMBERS = st.integers(0, 2**53 - 1)


@st.composite
def any_twin(draw: st.DrawFn) -> Twin:
    specs = draw(st.dictionaries(NAMES, st.just(FeatureSpec(type="string", unit="µ")), max_size=3))
    shape = shape_of(specs) if draw(st.booleans()) else None
    qualities = st.sampled_from(["good", "uncertain"])
    states = st.tuples(st.none() | st.text("aü\0"), NUMBERS, qualities)
    reported = st.dictionaries(st.sampled_from([*specs, "undeclared"]), states)
    return Twin(
        twin=D1,
        epoch=draw(st.integers(1, 9)),
        session=draw(NUMBERS),
        last_seq=draw(NUMBERS),
        former=draw(st.none() | st.tuples(NUMBERS, NUMBERS)),
        revision=draw(NUMBERS),
        reported_wall_ms=draw(NUMBERS),
        written_wall_ms=draw(NUMBERS),
        attributes=draw(st.dictionaries(NAMES, VALUES, max_size=2)),
        title=draw(st.text("aü", max_size=9)) if shape else "",
        position=draw(st.none() | st.just(Place(x_m=1.5, y_m=-2.0))) if shape else None,
        shape=shape,
        features=features_of(shape, draw(reported)) if shape else NONE,
        desired=draw(
            st.dictionaries(
                st.text("a/~", max_size=9),
                st.builds(DesiredState, number=st.integers(1, 9), value=VALUES),
                max_size=2,
            )
        ),
    )


@given(any_twin())
def test_a_twin_comes_back_from_its_row_as_it_was_except_for_what_is_stable(twin: Twin) -> None:
    row = core.encode(twin._replace(stable_seq=5))
    assert core.restore(messages.parse(messages.SNAPSHOT, row)) == twin._replace(stable_seq=0)


@given(any_twin())
def test_a_document_is_the_twin_without_its_delivery(twin: Twin) -> None:
    document = messages.parse(messages.DOCUMENT, core.encode_document(twin, {}))
    snapshot = snapshot_of(twin).model_dump(exclude={"session", "last_seq", "former"})
    assert document.model_dump(exclude={"v"}) == snapshot


def test_live_values_stand_in_the_document_and_never_in_the_row() -> None:
    twin = described(level_m=1.0)
    document = json.loads(core.encode_document(twin, {"open": (True, 5, "live")}))
    assert document["features"]["open"] == {"value": True, "observed_ms": 5, "quality": "live"}
    assert document["features"]["level_m"]["value"] == 1.0
    assert "open" not in json.loads(core.encode(twin))["features"]
    assert "open" not in twin.features
