"""Kill -9 before and after each step of a move, at whoever takes that step. Each twin has a
blob, which is copied ahead of it."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

import httpx
import pytest

from tests.system import history
from tests.system.mines import Mine
from tests.system.moving import SETTLED_S, ask, await_settled, ended_well, placements
from tests.system.rig import HEALED_S, Process, Rig, get, started, wait_for
from twin_runtime.core.limits import CHUNK_BYTES_MAX, PRECOPY_S

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

KILLED = -9
PERIOD_S = 0.5
ALL_GONE_S = 4 * HEALED_S  # processes die and start all the time: 15 s on an idle machine
ARRIVED_S = PRECOPY_S + SETTLED_S  # a copy whose time is up, and then the move
BLOB_BYTES = 2 * CHUNK_BYTES_MAX + 1

Moment = Literal["before", "after"]


class Step(NamedTuple):
    """One thing that a party does for a move, and how to know it: `old` and `new` are the
    epochs of the twin's two owners."""

    party: Literal["cloud", "source", "target", "d-agent"]
    what: Literal["commit", "send"]
    pattern: str

    @property
    def moments(self) -> tuple[Moment, ...]:
        """Before a message is sent is after the commit that allows it."""
        return ("before", "after") if self.what == "commit" else ("after",)


STEPS = (
    Step("cloud", "send", r'/order/{target} .*"fetch".*"{twin}"'),
    Step("source", "send", r"/blob/{target}/{source}/{sha256}/0 "),
    Step("target", "send", r'/event/{target} .*"fetched".*"{twin}"'),
    Step("cloud", "commit", r'^placement {twin} .*"sealing".*"epoch":{old}\b'),
    Step("cloud", "send", r'/order/{source} .*"seal".*"{twin}".*"epoch":{old}\b'),
    Step("source", "commit", r'^sealed {twin} .*"epoch":{old}\b'),
    Step("source", "send", r'/event/{source} .*"sealed".*"{twin}"[^{{]*"epoch":{old}\b'),
    Step("cloud", "commit", r'^placement {twin} .*"activating".*"epoch":{new}\b'),
    Step("cloud", "send", r'/order/{target} .*"activate".*"{twin}".*"epoch":{new}\b'),
    Step("target", "commit", r'^twin {twin} .*"epoch":{new}\b'),
    Step("target", "send", r'/event/{target} .*"activated".*"{twin}".*"epoch":{new}\b'),
    Step("cloud", "commit", r'^placement {twin} .*"owned".*"epoch":{new}\b'),
    Step("cloud", "send", r'/assign/{twin} .*"epoch":{new}\b'),
    Step("cloud", "send", r'/order/{source} .*"release".*"{twin}".*"epoch":{new}\b'),
    Step("source", "commit", r"^absent {twin} {new}\b"),
    Step("d-agent", "send", r'/up/{target}/{twin}/report .*"epoch":{new}\b'),
    Step("d-agent", "commit", r'^device {twin} .*"route":\["{target}",{new}\]'),
    Step("target", "send", r'/down/{twin}/{target}/ack .*"epoch":{new}\b'),
)


MOMENTS = [(step, when) for step in STEPS for when in step.moments]


class Killing(NamedTuple):
    """A move of a twin in which one mine lies in the way of one party."""

    twin: str
    target: str
    victim: Process
    mine: Mine

    @property
    def has_happened(self) -> bool:
        return Path(self.mine.gone_off).exists()


@contextmanager
def mined(folder: Path) -> Iterator[Rig]:
    """A rig whose processes may find a plan of mines, a twin with a blob for each."""
    rig = Rig(folder, devices=len(MOMENTS), period_s=PERIOD_S)
    for process in processes(rig):
        process.runs_in = ("tests.system.mines", str(plan_of(process)))
    with started(rig):
        for twin, place in placements(rig).items():
            attach_blob(named(rig, place["owner"]), twin)
        wait_for(
            "the cloud has all blobs", lambda: all(has_blob(rig.cloud, t) for t in rig.devices)
        )
        yield rig


def processes(rig: Rig) -> list[Process]:
    return [rig.cloud, *rig.edges, rig.agent]


def named(rig: Rig, name: str) -> Process:
    return next(process for process in processes(rig) if process.name == name)


def blob_of(twin: str) -> bytes:
    return random.Random(twin).randbytes(BLOB_BYTES)


def attach_blob(owner: Process, twin: str) -> None:
    url = f"http://127.0.0.1:{owner.settings['http']['port']}{blob_path(twin)}"
    httpx.put(url, content=blob_of(twin), verify=False).raise_for_status()


def has_blob(process: Process, twin: str) -> bool:
    answer = get(process, blob_path(twin))
    assert not answer.is_success or answer.content == blob_of(twin), "it is another blob"
    return answer.is_success


def blob_path(twin: str) -> str:
    return f"/api/v1/twins/{twin}/blobs/model"


def plan_of(process: Process) -> Path:
    return process.folder.with_suffix(".mines")


def lay_mines(rig: Rig, moments: list[tuple[Step, Moment]]) -> list[Killing]:
    """So many twins are to move to the other edge; on the way of each lies a mine of its own."""
    placed = placements(rig)
    killings = []
    for twin, (step, when) in zip(rig.devices, moments, strict=False):
        source, old = placed[twin]["owner"], placed[twin]["epoch"]
        target = "e-2" if source == "e-1" else "e-1"
        words = {"twin": twin, "source": source, "target": target, "old": old, "new": old + 1}
        words["sha256"] = sha256(blob_of(twin)).hexdigest()
        gone_off = rig.folder / f"{twin}-{old}.gone"
        mine = Mine(step.what, when, step.pattern.format(**words), str(gone_off))
        name = {"source": source, "target": target}.get(step.party, step.party)
        killings.append(Killing(twin, target, named(rig, name), mine))
    for process in processes(rig):
        mines = [killing.mine for killing in killings if killing.victim is process]
        draft = plan_of(process).with_suffix(".draft")
        draft.write_text(json.dumps(mines))
        draft.replace(plan_of(process))  # whole at once: it may look at any time
    return killings


def await_there(rig: Rig, killings: list[Killing]) -> None:
    """Ask again for moves that died with a cloud before it had them on disk."""

    def are_there() -> bool:
        start_the_dead(rig)  # a mine is known to have gone off just before its process is dead
        placed = placements(rig)
        late = [each for each in killings if placed[each.twin]["owner"] != each.target]
        return not [ask(rig, each.twin, each.target) for each in late]

    wait_for("each twin is where it was to be", are_there, ARRIVED_S)
    await_settled(rig)
    wait_for(
        "its blob is with it",
        lambda: all(has_blob(named(rig, each.target), each.twin) for each in killings),
        ARRIVED_S,
    )


def have_gone_off(rig: Rig, killings: list[Killing]) -> bool:
    """Ask for the moves that have killed nobody yet; whether there are none."""
    left = [killing for killing in killings if not killing.has_happened]
    for killing in left:
        ask(rig, killing.twin, killing.target)
    start_the_dead(rig)
    return not left


def start_the_dead(rig: Rig) -> None:
    for process in processes(rig):
        if process.pid is None:
            assert process.ended() == KILLED
            process.start()


def test_g1_a_move_survives_kill_9_before_and_after_each_step(tmp_path: Path) -> None:
    with mined(tmp_path) as rig:
        killings = lay_mines(rig, MOMENTS)
        for killing in killings:
            wait_for(
                f"{killing.victim.name} dies {killing.mine}",
                lambda each=killing: each.has_happened or ask(rig, each.twin, each.target) is None,  # type: ignore[misc]
            )
            assert killing.victim.ended() == KILLED
            assert rig.told_but_not_stored() == []
            killing.victim.start()
        await_there(rig, killings)
        ended_well(rig)
        assert history.out_of_order(rig.edge_stores()) == []


def test_g5_moves_end_though_each_of_their_steps_kills_someone(tmp_path: Path) -> None:
    with mined(tmp_path) as rig:
        killings = lay_mines(rig, [(step, when) for step, when in MOMENTS if when == "after"])
        wait_for("all mines have gone off", lambda: have_gone_off(rig, killings), ALL_GONE_S)
        assert rig.told_but_not_stored() == []
        await_there(rig, killings)
        ended_well(rig)
        assert history.out_of_order(rig.edge_stores()) == []
