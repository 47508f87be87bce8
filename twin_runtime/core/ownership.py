"""The directory's transition table: who owns a twin, at which epoch.

    phase        on                                    becomes
    -----------  ------------------------------------  --------------------------------
    (none)       a device is heard of      `create`    activating(edge, epoch 1)
    activating   `activated` at my epoch   `activated` owned
    owned        the owner has a new store `reassign`  activating(edge, epoch + 1)
    activating   the same                  `reassign`  activating(edge, epoch + 1)

An epoch is issued to one edge, once, and committed before anybody hears of it. Every
path goes forward through a fresh epoch: there is no undo. A checkpoint is accepted only
from the owner, at the current epoch, once the activation is confirmed. Planned moves
add a `sealing` phase in front of `reassign`.
"""

from dataclasses import dataclass, replace
from typing import Literal

from twin_runtime.core.ids import EdgeId


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one twin is: `owner` has been given `epoch`; `owned` once it confirmed."""

    phase: Literal["activating", "owned"]
    owner: EdgeId
    epoch: int


def create(owner: EdgeId) -> Placement:
    """A new twin, given to `owner` at epoch 1 with an empty snapshot (C5)."""
    return Placement("activating", owner, 1)


def activated(placement: Placement, edge: str, epoch: int) -> Placement | None:
    """The owner confirmed its epoch (C3); None where this is not news."""
    if (edge, epoch) != (placement.owner, placement.epoch) or placement.phase == "owned":
        return None
    return replace(placement, phase="owned")


def reassign(placement: Placement, owner: EdgeId) -> Placement:
    """Give the twin to `owner` at the next epoch, from the last snapshot (C5)."""
    return Placement("activating", owner, placement.epoch + 1)


def is_current(placement: Placement, edge: str, epoch: int) -> bool:
    """Whether `edge` speaks as the owner at the current epoch (else C6: it must let go)."""
    return (edge, epoch) == (placement.owner, placement.epoch)
