"""An edge's disk is full: nothing is acknowledged that is not stored, and it recovers alone."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.system.rig import Rig, get, running, wait_for
from tests.system.small_disk import fill, small_disk

pytestmark = pytest.mark.system

DEVICES = 8
PERIOD_S = 0.2
UNHEARD = 10  # so many reports of each device stay unanswered before we believe it


@pytest.fixture
def edge_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB for the edge `e-1` of a rig in `tmp_path`."""
    with small_disk(tmp_path / "e-1", "4m") as disk:
        yield disk


class Silence:
    """Whether an edge whose disk is kept full has been silent for long enough."""

    def __init__(self, rig: Rig, disk: Path) -> None:
        self._rig = rig
        self._filler = disk / "filler"
        self._begin()

    def lasts(self) -> bool:
        """Fill the disk; whether the edge is not ready and `UNHEARD` reports of each device
        are unanswered since its last acknowledgement."""
        fill(self._filler)
        if self._rig.told() != self._told:
            self._begin()
        produced = self._produced()
        return get(
            self._rig.edges[0], "/readyz"
        ).status_code == HTTPStatus.SERVICE_UNAVAILABLE and (
            all(produced[twin] - was >= UNHEARD for twin, was in self._since.items())
        )

    def end(self) -> None:
        self._filler.unlink()

    def _begin(self) -> None:
        self._told = self._rig.told()
        self._since = self._produced()

    def _produced(self) -> dict[str, int]:
        return {twin: max(reports) for twin, reports in self._rig.outbox().items()}


def test_g8_a_full_disk_silences_an_edge_until_there_is_room(
    edge_disk: Path, tmp_path: Path
) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S, edges=1) as rig:
        edge = rig.edges[0]
        pid = edge.pid
        silence = Silence(rig, edge_disk)
        wait_for("the edge is not ready and acknowledges nothing", silence.lasts)
        assert rig.told_but_not_stored() == []
        assert "free some space" in get(edge, "/readyz").text
        assert get(edge, "/healthz").is_success
        silence.end()
        wait_for("the edge is ready again", lambda: get(edge, "/readyz").is_success)
        rig.await_progress()
        assert edge.pid == pid
        rig.drain()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.produced == found.applied == found.stable
    assert edge.said().count("nothing is acknowledged until there is room") >= 1
