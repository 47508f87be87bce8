"""One builder per topic, one parser for all, and nothing else is a topic."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin_runtime.core import topics
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.topics import BlobTopic, Topic

WORDS = ["up", "down", "assign", "order", "event", "twin", "status", "report", "ack", "live"]
NAMES = ["d-1", "e-1", "cloud", "", "+", "#", "d-", "E-1", "x"]
SEGMENTS = st.sampled_from([*WORDS, *NAMES])
BUILT = [
    (topics.report("e-1", "d-1"), Topic("up", "d-1", "e-1", "report")),
    (topics.live("e-1", "d-1"), Topic("up", "d-1", "e-1", "live")),
    (topics.down("d-1", "e-1", "ack"), Topic("down", "d-1", "e-1", "ack")),
    (topics.down("d-1", "e-1", "command"), Topic("down", "d-1", "e-1", "command")),
    (topics.down("d-1", "e-1", "desired"), Topic("down", "d-1", "e-1", "desired")),
    (topics.down("d-1", "e-1", "error"), Topic("down", "d-1", "e-1", "error")),
    (topics.assign("d-1"), Topic("assign", "d-1")),
    (topics.twin("d-1"), Topic("twin", "d-1")),
    (topics.order("e-1"), Topic("order", edge="e-1")),
    (topics.event("e-1"), Topic("event", edge="e-1")),
    (topics.status("d-1"), Topic("status", "d-1")),
    (topics.status("e-1"), Topic("status", edge="e-1")),
    (topics.status("cloud"), Topic("status")),
]


def matches(pattern: str, topic: str) -> bool:
    """Whether an MQTT filter with `+` alone matches."""
    wanted, found = pattern.split("/"), topic.split("/")
    pairs = zip(wanted, found, strict=False)
    return len(wanted) == len(found) and all(w in ("+", f) for w, f in pairs)


@pytest.mark.parametrize("topic, parsed", BUILT)
def test_what_a_builder_builds_the_parser_takes_apart(topic: str, parsed: Topic) -> None:
    assert topics.parse(topic) == parsed


@given(st.text() | st.lists(SEGMENTS, max_size=6).map(lambda each: "dt/v1/" + "/".join(each)))
@example("dt/v1/")
@example("dt/v1/status/")
def test_any_text_is_a_topic_or_refused(text: str) -> None:
    try:
        kind = topics.parse(text).kind
    except MalformedMessage as error:
        kind = error.code
    assert kind in {"bad_topic", "bad_id", *(parsed.kind for _, parsed in BUILT)}


@pytest.mark.parametrize(
    "topic",
    [
        "dt/v2/assign/d-1",
        "dt/v1/up/d-1/e-1/report",
        "dt/v1/up/e-1/d-1/ack",
        "dt/v1/down/d-1/e-1/report",
        "dt/v1/assign/e-1",
        "dt/v1/order/d-1",
        "dt/v1/status/cloud/x",
        "/dt/v1/assign/d-1",
        "dt/v1/assign/d-1/",
    ],
)
def test_a_topic_that_is_nearly_right_is_refused(topic: str) -> None:
    with pytest.raises(MalformedMessage):
        topics.parse(topic)


@pytest.mark.parametrize(
    "filters, heard",
    [
        (topics.device_filters("d-1"), ["down/d-1/e-1/ack", "down/d-1/e-1/command", "assign/d-1"]),
        (topics.edge_filters("e-1"), ["up/e-1/d-1/report", "order/e-1", "status/cloud"]),
        (topics.cloud_filters(), ["event/e-1", "twin/d-1", "status/d-1"]),
    ],
)
def test_a_role_hears_each_of_its_topics_through_one_filter(
    filters: list[str], heard: list[str]
) -> None:
    for topic in heard:
        assert sum(matches(each, topics.PREFIX + topic) for each in filters) == 1


def test_a_device_does_not_hear_what_another_is_told() -> None:
    others = [topics.down("d-2", "e-1", "ack"), topics.assign("d-2")]
    filters = topics.device_filters("d-1")
    assert not any(matches(each, topic) for each in filters for topic in others)


@pytest.mark.parametrize("verb", ["want", "lack", "0", "511"])
@pytest.mark.parametrize("to, source", [("e-1", "cloud"), ("cloud", "e-2")])
def test_a_topic_of_a_blob_is_taken_apart_and_reaches_whom_it_is_for(
    to: str, source: str, verb: str
) -> None:
    topic = topics.blob(to, source, "ab" * 32, verb)
    assert topics.parse_blob(topic) == BlobTopic(to, source, "ab" * 32, verb)
    for identity, filters in (
        ("cloud", topics.cloud_filters()),
        ("e-1", topics.edge_filters("e-1")),
    ):
        assert sum(matches(each, topic) for each in filters) == (identity == to)


@given(
    st.lists(st.sampled_from(["e-1", "cloud", "ab" * 32, "want", "7", "d-1", ""]), max_size=6).map(
        "/".join
    )
    | st.text()
)
def test_any_other_topic_of_a_blob_is_refused(rest: str) -> None:
    try:
        parsed = topics.parse_blob(topics.BLOB_PREFIX + rest)
    except MalformedMessage as error:
        assert error.code in {"bad_topic", "bad_id"}  # noqa: PT017 - either is fine
    else:
        assert topics.blob(*parsed) == topics.BLOB_PREFIX + rest
