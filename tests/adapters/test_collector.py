import gc
from collections.abc import Iterator

import pytest

from twin_runtime.adapters import collector


@pytest.fixture
def thresholds() -> Iterator[None]:
    """What the other tests run with, afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("thresholds")
def test_what_has_grown_old_is_not_collected_by_itself() -> None:
    collector.spare_the_old()
    full = gc.get_stats()[2]["collections"]
    many: list[list[list[int]]] = [[[]] for _ in range(20 * collector.YOUNG_OBJECTS_MAX)]
    assert gc.get_stats()[1]["collections"] > 0
    assert gc.get_stats()[2]["collections"] == full
    assert len(many) == 20 * collector.YOUNG_OBJECTS_MAX


@pytest.mark.usefixtures("thresholds")
def test_a_young_collection_looks_at_a_bounded_number_of_objects() -> None:
    collector.spare_the_old()
    looked_at: list[int] = []

    def watch(phase: str, about: dict[str, int]) -> None:
        if phase == "start" and about["generation"] == 1:
            looked_at.append(len(gc.get_objects(0)) + len(gc.get_objects(1)))

    gc.callbacks.append(watch)
    many: list[list[list[int]]] = [[[]] for _ in range(20 * collector.YOUNG_OBJECTS_MAX)]
    gc.callbacks.remove(watch)
    assert many
    assert looked_at
    # One collection more than the bound says: it is made when the bound is passed.
    assert max(looked_at) <= collector.YOUNG_OBJECTS_MAX * (collector.YOUNG_COLLECTIONS + 2) * 1.1
