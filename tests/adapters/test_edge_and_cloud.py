"""What an edge and the cloud show of one twin is the same: document, tags, held values."""

import pytest

from cloud import machine as cloud
from edge_node.thing import NOT_LIVE, Thing
from twin_runtime.core import messages
from twin_runtime.core.etag import part_tag, thing_tag
from twin_runtime.core.features import Feature, features_of
from twin_runtime.core.ids import TwinId
from twin_runtime.core.look import in_state, state_of
from twin_runtime.core.messages import DesiredState, FeatureSpec
from twin_runtime.core.shape import shape_of
from twin_runtime.core.thing import part_of, path_of, thing_of
from twin_runtime.core.twin import Twin

SHAPE = shape_of(
    {
        "level_m": FeatureSpec(type="number"),
        "mode": FeatureSpec(type="string", writable=True),
        "never": FeatureSpec(type="number"),
        "wave": FeatureSpec(type="number", live=True),
    }
)
TWIN = Twin(
    twin=TwinId("d-1"),
    epoch=3,
    revision=12,
    reported_wall_ms=1_763_728_000_123,
    attributes={"at": {"x": 1e22, "y": -0.0}, "name": "Größe", "tags": ["a", 1]},
    title="Tank",
    shape=SHAPE,
    features=features_of(SHAPE, {"level_m": (2.0, 5, "good"), "mode": ("on", 6, "uncertain")}),
    desired={"features/mode/value": DesiredState(number=11, value="off")},
)
PATHS = """
    thingId epoch revision _revision _modified attributes/at attributes/at/x attributes/name
    features/level_m/properties/value features/mode/properties/quality
    features/never/properties/value features/wave/properties/value features/none/properties/value
    features/mode/desiredProperties/value features/level_m/desiredProperties/value
"""


@pytest.mark.parametrize("live", [NOT_LIVE, {"wave": (0.5, 7, "live")}])
def test_an_edge_and_the_cloud_show_the_same(live: dict[str, Feature]) -> None:
    owner = Thing(TWIN, live, TWIN.reported_wall_ms, None)
    encoded = owner.encode()
    held = state_of(messages.parse(messages.DOCUMENT, encoded))
    follower = cloud.Thing(TWIN.epoch, TWIN.revision, TWIN.reported_wall_ms, 1, encoded, held)
    things = [thing_of(shown.document(), "home") for shown in (owner, follower)]
    assert thing_tag(owner.document()) == thing_tag(follower.document())
    assert [part_tag(part) for part in things[0].values()] == [
        part_tag(part) for part in things[1].values()
    ]
    for path in map(path_of, PATHS.split()):
        look = in_state("home", path)
        assert look is not None
        assert look(owner.state()) == look(follower.state()) == part_of(things[0], path)
