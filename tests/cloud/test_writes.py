"""What the cloud knows for writes: where owners serve HTTP, and twins of devices to come."""

from tests.cloud.a_directory import World, orders
from twin_runtime.core.effects import Effects, Now
from twin_runtime.core.orders import Hello, Release

API = "http://10.0.0.1:8421"


def reach(world: World, edge: str, api: str | None) -> Effects:
    fx = Effects()
    world.directory.edges.heard(edge, Hello(store=f"s-{edge}", api=api), fx)
    return world.settle(fx)


def test_where_an_edge_serves_is_remembered_and_may_change() -> None:
    world = World("e-1")
    reach(world, "e-1", API)
    world.start()
    assert world.directory.edges.api_of("e-1") == API
    assert reach(world, "e-1", API).writes == []
    reach(world, "e-1", None)
    assert world.directory.edges.api_of("e-1") is None
    assert world.directory.edges.store_of("e-1") is not None


def test_an_edge_that_never_said_hello_serves_nowhere() -> None:
    world = World()
    assert reach(world, "e-9", API).writes == []
    assert world.directory.edges.api_of("e-9") is None


def test_a_twin_is_made_for_a_device_that_will_come_once() -> None:
    world = World("e-1")
    fx = Effects()
    assert world.directory.create("d-9", Now(0.0, 0), fx) is None
    assert world.directory.create("d-9", Now(0.0, 0), fx) is None
    world.settle(fx)
    assert world.directory.placements["d-9"].owner == "e-1"
    assert len([each for each in world.events if each["kind"] == "created"]) == 1


def test_without_an_edge_no_twin_is_made_until_there_is_one() -> None:
    world = World()
    refused = world.directory.create("d-9", Now(0.0, 0), Effects())
    assert refused is not None
    assert refused.code == "no_edge"
    world.hello("e-1")
    assert "d-9" in world.directory.placements


def test_who_lets_go_of_a_twin_is_told_where_its_owner_serves() -> None:
    world = World("e-1", "e-2")
    reach(world, "e-2", "http://10.0.0.2:8421")
    world.directory.create("d-9", Now(0.0, 0), fx := Effects())
    world.settle(fx)
    owner = world.directory.placements["d-9"].owner
    other = "e-2" if owner == "e-1" else "e-1"
    reach(world, owner, API)
    fx = Effects()
    world.directory._depose(other, "d-9", fx)
    (release,) = [order for order in orders(fx, other) if isinstance(order, Release)]
    assert release.api == API
