"""How twins leave an edge: one that drains hands them over, one that is lost, or has lost its
store, has lost them.

A twin that is left alone (`claims`) stays where it is until somebody decides.
"""

from typing import TYPE_CHECKING

from twin_runtime.core import ownership
from twin_runtime.core.effects import Effects, Note, Now
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.limits import MOVES_AT_ONCE_MAX, ORDERS_MAX, REPUBLISH_PAUSE_S

if TYPE_CHECKING:
    from cloud.directory import Directory


def depart(directory: "Directory", now: Now, fx: Effects) -> None:
    """Let some twins leave the edges that they are to leave."""
    for edge in directory.departures.edges():
        target = directory.edges.least_loaded()
        if target is None:
            continue  # there is nowhere to go; a `hello` may change that
        if directory.edges.state_of(edge) == "draining":
            _drain(directory, edge, now, fx)
        else:
            for twin in directory.departures.of(edge, ORDERS_MAX):
                _leave_lost(directory, twin, edge, now, fx)
            fx.wake_by(REPUBLISH_PAUSE_S)


def recover(directory: "Directory", edge: str, now: Now, fx: Effects) -> None:
    """An edge has a new store: its twins return to it, or go where they were about to."""
    directory.claims.without(edge)
    at = (twin for twin, placed in directory.placements.items() if placed.owner == edge)
    lost = [twin for twin in at if not directory.claims.holds(twin)]
    for twin in lost:
        target = directory.placements[twin].target or EdgeId(edge)
        _fail_over(directory, twin, target, now, fx)
    text = f"{edge} has a new store: {len(lost)} twins return from their checkpoints"
    fx.notes.append(Note("warning", text, edge=edge))


def _fail_over(directory: "Directory", twin: str, target: EdgeId, now: Now, fx: Effects) -> None:
    placed = directory.placements[twin]
    if directory.moves.end(twin) is not None:
        fx.count("moves_total", "failed_over")
    directory.give(twin, ownership.reassign(placed, target), now, fx)
    if placed.owner != target:
        directory.release(placed.owner, twin, fx)  # should it be there after all
    fx.count("failovers_total")
    about: dict[str, str | float] = {"from": placed.owner, "to": target, "cut": placed.epoch}
    directory.events.add("failover", now, fx, twin=twin, **about)


def _drain(directory: "Directory", edge: str, now: Now, fx: Effects) -> None:
    placements, precopy = directory.placements, directory.precopy
    # Those that wait for an edge that is gone may wait for long: others go meanwhile.
    moving = sum(directory.edges.is_there(placements[twin].owner) for twin in directory.moves)
    begun = 0
    for twin in directory.departures.of(edge, ORDERS_MAX):
        if moving + len(precopy) + begun >= MOVES_AT_ONCE_MAX:
            return
        placed = placements[twin]
        if (placed.phase == "sealing" and placed.target != edge) or twin in directory.claims:
            directory.departures.settled(edge, twin)  # it is going already, or left alone
        elif placed.phase == "activating" or twin in precopy:
            continue  # its turn comes when it has arrived, or may go
        else:
            _retarget(directory, twin, now, fx)
            begun += twin not in precopy


def _leave_lost(directory: "Directory", twin: str, edge: str, now: Now, fx: Effects) -> None:
    placed = directory.placements[twin]
    if directory.claims.holds(twin):
        directory.departures.settled(edge, twin)
    elif placed.owner == edge:
        serving = placed.target in directory.edges.serving()
        target = placed.target if serving else directory.edges.least_loaded()
        assert target is not None, f"{twin} has nowhere to go"
        _fail_over(directory, twin, target, now, fx)
    else:
        _retarget(directory, twin, now, fx)


def _retarget(directory: "Directory", twin: str, now: Now, fx: Effects) -> None:
    """Let a twin go elsewhere that is at an edge it is to leave, or on its way there."""
    target = directory.edges.least_loaded()
    assert target is not None, f"{twin} has nowhere to go"
    placed = directory.placements[twin]
    moving = ownership.move(placed, target)
    assert moving is not None, f"{twin} is being activated"
    if not directory.precopy.begins(twin, placed, target, "", now.monotonic_s):
        directory.seal(twin, moving, now, fx)
