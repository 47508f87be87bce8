"""Blobs under every fault: in the end each owner and the cloud have what their twins refer to."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

import cloud.blobs
from edge_node.blobs import EdgeBlobs
from tests.simulation.faults import draw
from tests.simulation.world import Outcome, simulate
from twin_runtime.core.blobs import Blobs

SEEDS = range(30)
CANARY_SEEDS = range(60)


def with_blobs(seed: int) -> Outcome:
    """The run of a seed, in which blobs are attached in any case."""
    faults = draw(Random(f"{seed}/faults"))
    return simulate(seed, replace(faults, blob_per_s=Random(seed).uniform(0.1, 1.0)))


def test_g3_whatever_happens_owners_and_the_cloud_end_with_every_blob() -> None:
    failed = {seed: failure for seed in SEEDS if (failure := with_blobs(seed).failure)}
    assert failed == {}


def test_a_run_with_blobs_can_be_repeated() -> None:
    assert with_blobs(5).digest == with_blobs(5).digest


def nothing(*_: Any, **__: Any) -> None:
    pass


def only_the_owner(owner: str, _edges: Sequence[str], _attempt: int) -> list[str]:
    return [owner]


def found() -> bool:
    return any(with_blobs(seed).failure for seed in CANARY_SEEDS)


def test_a_blob_that_is_asked_for_only_once_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blobs, "failed", nothing)
    assert found()


def test_an_edge_that_fetches_nothing_for_its_new_twins_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EdgeBlobs, "settle", nothing)
    assert found()


def test_a_cloud_that_asks_owners_only_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.blobs, "sources", only_the_owner)
    monkeypatch.setattr(EdgeBlobs, "_sources_of", lambda *_: ("cloud",))
    assert found()
