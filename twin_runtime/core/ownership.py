"""The directory's transition table: who owns a twin, at which epoch.

    phase        on                                    becomes
    -----------  ------------------------------------  ----------------------------------
    (none)       a device is heard of      `create`    activating(edge, known epoch + 1)
    owned        a move is asked for       `move`      sealing(target)
    sealing      another target            `move`      sealing(target)
    sealing      the owner has sealed      `sealed`    activating(target, epoch + 1)
    activating   `activated` at my epoch   `activated` owned
    any          the owner is lost         `reassign`  activating(edge, epoch + 1)

An epoch is issued to one edge, once, and committed before anybody hears of it. Every
path goes forward through a fresh epoch: there is no undo, and a move is cancelled by a
move back. A checkpoint is accepted only from the owner at the current epoch, once its
activation is confirmed; what a sealing owner hands over is one, too, and the last.
"""

from dataclasses import dataclass, replace
from typing import Literal

from twin_runtime.core.ids import EdgeId


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one twin is: `owner` has been given `epoch`; `owned` once it confirmed;
    `sealing` while it is asked to hand the twin over for `target`."""

    phase: Literal["activating", "owned", "sealing"]
    owner: EdgeId
    epoch: int
    target: EdgeId | None = None


def create(owner: EdgeId, known_epoch: int = 0) -> Placement:
    """A new twin, given to `owner` with an empty snapshot (C5), at the epoch after the one that
    its device knows: 1, unless it comes from another site."""
    return Placement("activating", owner, known_epoch + 1)


def move(placement: Placement, target: EdgeId) -> Placement | None:
    """Begin to move an owned twin, or send one that is being sealed elsewhere (C1); None while
    its activation is not confirmed. Moving it back to its owner is a move like any other."""
    if placement.phase == "activating":
        return None
    return replace(placement, phase="sealing", target=target)


def sealed(placement: Placement, edge: str, epoch: int) -> Placement | None:
    """The owner applies nothing more at its epoch: the target's begins (C2); None where this
    is not what is waited for."""
    if placement.phase != "sealing" or placement.target is None:
        return None
    return reassign(placement, placement.target) if is_current(placement, edge, epoch) else None


def activated(placement: Placement, edge: str, epoch: int) -> Placement | None:
    """The owner confirmed its epoch (C3); None where this is not news."""
    if placement.phase != "activating" or not is_current(placement, edge, epoch):
        return None
    return replace(placement, phase="owned")


def reassign(placement: Placement, owner: EdgeId) -> Placement:
    """Give the twin to `owner` at the next epoch, from the last snapshot (C5)."""
    return Placement("activating", owner, placement.epoch + 1)


def is_current(placement: Placement, edge: str, epoch: int) -> bool:
    """Whether `edge` speaks as the owner at the current epoch (else C6: it must let go)."""
    return (edge, epoch) == (placement.owner, placement.epoch)
