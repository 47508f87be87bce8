"""Edits of a twin: what people may write, what they may not, and what is no change."""

from typing import Any, Literal

import pytest

from twin_runtime.core import messages
from twin_runtime.core import twin as core
from twin_runtime.core.desired import edited_bytes
from twin_runtime.core.edit import edit
from twin_runtime.core.effects import Edit, Guard, Refused
from twin_runtime.core.guard import tag_of, unmet
from twin_runtime.core.ids import TwinId
from twin_runtime.core.limits import (
    ATTRIBUTE_DEPTH_MAX,
    ATTRIBUTES_MAX,
    DESIRED_PER_TWIN_MAX,
    EDITED_BYTES_MAX,
    STRING_CHARS_MAX,
)
from twin_runtime.core.messages import (
    Description,
    DesiredState,
    FeatureSpec,
    Outcome,
    StateReport,
    Window,
)
from twin_runtime.core.twin import Twin

WALL_MS = 1_750_000_000_000
Method = Literal["put", "patch", "delete"]

DESCRIPTION = Description(
    features={
        "level_m": FeatureSpec(type="number"),
        "period_s": FeatureSpec(type="number", writable=True),
        "mode": FeatureSpec(type="string", writable=True),
    }
)
PERIOD = "features/period_s/value"


def reported(twin: Twin, **content: Any) -> Twin:
    """The twin after its device's next report."""
    report = StateReport(seq=twin.last_seq + 1, observed_ms=5, **content)
    return core.apply_window(twin, Window(epoch=1, session=7, reports=(report,)), 5).twin


def described() -> Twin:
    """A twin whose device reports a level and takes a period and a mode, at revision 1."""
    features = {"level_m": 1.5, "period_s": 1.0}
    return reported(Twin(TwinId("d-1"), epoch=1), description=DESCRIPTION, features=features)


def edited(twin: Twin, method: Method, path: str, value: Any = None) -> Twin:
    names = tuple(path.split("/")) if path else ()
    outcome = edit(twin, Edit("d-1", method, names, value), WALL_MS)
    assert isinstance(outcome, Twin), outcome
    return outcome


def refused(twin: Twin, method: Method, path: str, value: Any = None) -> str:
    names = tuple(path.split("/")) if path else ()
    outcome = edit(twin, Edit("d-1", method, names, value), WALL_MS)
    assert isinstance(outcome, Refused), outcome
    assert len(outcome.message) < 300
    return outcome.code


def test_an_attribute_is_put_merged_and_deleted_each_at_the_next_revision() -> None:
    twin = edited(described(), "put", "attributes/place", {"room": "north", "floor": 2})
    assert (twin.revision, twin.attributes) == (2, {"place": {"room": "north", "floor": 2}})
    twin = edited(twin, "patch", "attributes", {"place": {"room": "south"}, "owner": ["a", None]})
    place = {"room": "south", "floor": 2}
    assert (twin.revision, twin.attributes) == (3, {"place": place, "owner": ["a", None]})
    twin = edited(twin, "delete", "attributes/place/floor")
    assert (twin.revision, twin.attributes["place"]) == (4, {"room": "south"})
    twin = edited(twin, "patch", "", {"attributes": {"owner": None}})
    assert twin.attributes == {"place": {"room": "south"}}


def test_objects_on_the_way_to_an_attribute_are_made() -> None:
    assert edited(described(), "put", "attributes/a/b/c", 1).attributes == {"a": {"b": {"c": 1}}}


def test_a_desired_value_is_numbered_by_the_revision_that_set_it() -> None:
    twin = edited(described(), "put", "features/period_s/desiredProperties/value", 2)
    assert twin.desired == {PERIOD: DesiredState(number=2, value=2, wanted_ms=WALL_MS)}
    again = edited(twin, "put", "features/period_s/desiredProperties", {"value": 3.5})
    assert again.desired == {PERIOD: DesiredState(number=3, value=3.5, wanted_ms=WALL_MS)}
    patched = edited(again, "patch", "features", {"mode": {"desiredProperties": {"value": "eco"}}})
    assert patched.desired["features/mode/value"].number == 4
    assert patched.desired[PERIOD].number == 3
    assert edited(patched, "delete", "features/mode/desiredProperties").desired == again.desired


def test_a_whole_thing_is_put_as_far_as_it_may_be_written() -> None:
    twin = edited(described(), "put", "attributes/old", 1)
    wanted = {"features": {"mode": {"desiredProperties": {"value": "eco"}}, "level_m": {}}}
    after = edited(twin, "put", "", {"attributes": {"new": 1}, **wanted})
    assert after.attributes == {"new": 1}
    assert list(after.desired) == ["features/mode/value"]
    assert after.features == twin.features


@pytest.mark.parametrize("method, path, value", [
    ("put", "attributes/a", 1),
    ("put", "attributes", {"a": 1}),
    ("patch", "attributes", {"b": None}),
    ("patch", "", {}),
    ("put", "features/period_s/desiredProperties/value", 2.0),
])  # fmt: skip
def test_writing_what_is_written_is_no_change(method: Method, path: str, value: Any) -> None:
    twin = edited(described(), "put", "attributes/a", 1)
    twin = edited(twin, "put", "features/period_s/desiredProperties/value", 2.0)
    assert edited(twin, method, path, value) is twin


def test_true_is_not_one() -> None:
    twin = edited(described(), "put", "attributes/a", 1)
    assert edited(twin, "put", "attributes", {"a": True}).attributes == {"a": True}


def test_a_value_that_was_rejected_may_be_wanted_again_and_only_where_it_is_named() -> None:
    twin = edited(described(), "put", "features/period_s/desiredProperties/value", 2.0)
    outcome = Outcome(number=2, outcome="rejected", reason="too long")
    twin = reported(twin, outcomes={PERIOD: outcome})
    assert twin.desired[PERIOD].state == "rejected"
    aside = edited(twin, "patch", "", {"attributes": {"a": 1}})
    assert aside.desired == twin.desired
    again = edited(twin, "put", "features/period_s/desiredProperties/value", 2.0)
    assert again.desired[PERIOD] == DesiredState(number=4, value=2.0, wanted_ms=WALL_MS)


def test_a_value_that_is_done_is_wanted_again_once_the_device_reports_another() -> None:
    twin = edited(described(), "put", "features/period_s/desiredProperties/value", 2.0)
    done = Outcome(number=2, outcome="done")
    twin = reported(twin, outcomes={PERIOD: done}, features={"period_s": 2.0})
    assert edited(twin, "put", "features/period_s/desiredProperties/value", 2.0) is twin
    twin = reported(twin, features={"period_s": 9.0})
    again = edited(twin, "put", "features/period_s/desiredProperties/value", 2.0)
    assert again.desired[PERIOD].state == "pending"


@pytest.mark.parametrize("method, path, value, code", [
    ("put", "features/level_m/properties/value", 2.0, "read_only"),
    ("put", "features/level_m/desiredProperties/value", 2.0, "read_only"),
    ("put", "features/level_m", {}, "read_only"),
    ("delete", "features", None, "read_only"),
    ("put", "attributes/description", {}, "read_only"),
    ("put", "attributes", {"description": {}}, "read_only"),
    ("patch", "", {"features": {"level_m": {"properties": {"value": 1}}}}, "read_only"),
    ("patch", "", {"_revision": 3}, "read_only"),
    ("put", "", {"policyId": "p"}, "invalid"),
    ("put", "", [1], "invalid"),
    ("put", "attributes", 7, "invalid"),
    ("put", "attributes/a/b\x00", 7, "invalid"),
    ("put", "attributes/a", float("inf"), "invalid"),
    ("put", "attributes/a", 2**53, "invalid"),
    ("put", "attributes/a", "\ud800", "invalid"),
    ("put", "attributes/" + "n" * 65, 1, "invalid"),
    ("put", "attributes/" + "/".join("a" * (ATTRIBUTE_DEPTH_MAX + 1)), 1, "invalid"),
    ("put", "attributes", {str(n): 1 for n in range(ATTRIBUTES_MAX + 1)}, "invalid"),
    ("put", "attributes/a", "x" * EDITED_BYTES_MAX, "too_large"),
    ("put", "features/mode/desiredProperties/value", 3, "invalid"),
    ("put", "features/mode/desiredProperties/value", None, "invalid"),
    ("put", "features/mode/desiredProperties/value", {"a": 1}, "invalid"),
    ("put", "features/mode/desiredProperties/value", "x" * (STRING_CHARS_MAX + 1), "invalid"),
    ("put", "features/mode/desiredProperties", {"other": 3}, "invalid"),
    ("put", "features/mode/desiredProperties/value/x", 3, "not_found"),
    ("patch", "features", {"mode": 3}, "invalid"),
    ("patch", "features", {"mode": {"x": 3}}, "invalid"),
    ("put", "features/pressure/desiredProperties/value", 3, "no_feature"),
    ("delete", "features/pressure/desiredProperties/value", None, "no_feature"),
    ("delete", "features/mode/desiredProperties", None, "not_found"),
    ("delete", "attributes/a", None, "not_found"),
    ("put", "policyId", "p", "not_found"),
])  # fmt: skip
def test_what_may_not_be_written_is_refused(
    method: Method, path: str, value: Any, code: str
) -> None:
    assert refused(described(), method, path, value) == code


def test_nothing_is_put_below_a_value() -> None:
    twin = edited(described(), "put", "attributes/a", 1)
    assert refused(twin, "put", "attributes/a/b", 2) == "invalid"


def test_what_a_device_that_has_yet_to_come_takes_is_not_known() -> None:
    twin = Twin(TwinId("d-1"), epoch=1)
    path = "features/anything/desiredProperties/value"
    assert edited(twin, "put", path, "x").desired["features/anything/value"].value == "x"
    assert refused(twin, "put", path, []) == "invalid"
    assert refused(twin, "put", "features/A b/desiredProperties/value", 1) == "invalid"


def test_a_wish_for_a_feature_that_a_device_may_have_is_taken_back() -> None:
    path = "features/anything/desiredProperties"
    twin = edited(Twin(TwinId("d-1"), epoch=1), "put", f"{path}/value", "x")
    assert not edited(twin, "delete", path).desired
    assert refused(twin, "delete", "features/other/desiredProperties") == "no_feature"


def test_no_more_is_wanted_of_a_device_at_one_time_than_it_keeps() -> None:
    twin = Twin(TwinId("d-1"), epoch=1)
    wishes = {f"f{n}": {"desiredProperties": {"value": n}} for n in range(DESIRED_PER_TWIN_MAX)}
    twin = edited(twin, "patch", "features", wishes)
    assert refused(twin, "put", "features/more/desiredProperties/value", 1) == "too_many"


def test_what_becomes_of_wishes_never_outgrows_the_row() -> None:
    twin = Twin(TwinId("d-1"), epoch=1)
    wishes = {f"f{n}": {"desiredProperties": {"value": n}} for n in range(DESIRED_PER_TWIN_MAX)}
    twin = edited(twin, "patch", "features", wishes)
    for path in twin.desired:
        said = Outcome(number=1, outcome="rejected", reason="\x01" * STRING_CHARS_MAX)
        twin = reported(twin, outcomes={path: said})
    assert all(entry.state == "rejected" for entry in twin.desired.values())
    assert any(entry.reason for entry in twin.desired.values())
    assert edited_bytes(twin.attributes, twin.desired) <= EDITED_BYTES_MAX


def test_conditions_are_checked_on_the_part_that_is_written() -> None:
    twin = edited(described(), "put", "attributes/a", 1)
    document = messages.load(core.encode_document(twin, {}))
    thing = {"attributes": {"a": 1}, "features": {}}
    assert tag_of(document, thing, ()) == '"rev:1.2"'
    tag = tag_of(document, thing, ("attributes", "a"))
    assert tag is not None
    assert tag_of(document, thing, ("attributes", "b")) is None
    assert unmet(thing, tag, Guard(if_match=tag)) is None
    assert unmet(thing, None, Guard(if_none_match="*")) is None
    for held, guard in (
        (tag, Guard(if_match='"hash:0"')),
        (None, Guard(if_match="*")),
        (tag, Guard(if_none_match="*")),
        (tag, Guard(if_none_match=tag)),
        (tag, Guard(holds=lambda each: each["attributes"]["a"] == 2)),
    ):
        assert isinstance(unmet(thing, held, guard), Refused)
