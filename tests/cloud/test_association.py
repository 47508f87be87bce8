"""The association: a policy of [P3] decides over what the cloud has, and twins move for it."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from cloud import decision
from cloud.association import ALL, DECISIONS, Association, Device, Observed
from cloud.config import AssociationConfig
from cloud.decision import EXACT_TWINS_MAX, compare, decide, state_of
from cloud.machine import CloudMachine
from device_agent import walkers
from twin_runtime.adapters.job_process import inline
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    Append,
    Connected,
    Delete,
    Disconnected,
    Effects,
    Event,
    Job,
    JobEnded,
    Message,
    Now,
    Put,
    Row,
    SetEdge,
)
from twin_runtime.core.limits import (
    ASSOCIATION_PAIRS_MAX,
    DECISION_S_MIN,
    MOVES_AT_ONCE_MAX,
    SITE_M_MAX,
)
from twin_runtime.core.messages import BlobRef, FeatureState, Place, Snapshot, Status, TwinDocument
from twin_runtime.core.orders import (
    ORDER,
    Activate,
    Activated,
    Checkpoint,
    Hello,
    Seal,
    Sealed,
)
from twin_runtime.problems import association, association_policies
from twin_runtime.problems.association_state import Action, slot_of
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.walking_site import walking_site
from twin_runtime.solvers.association_bounds import gain_bound

PERIOD_S = 10.0
EAST, WEST, NORTH = Place(x_m=100.0, y_m=20.0), Place(x_m=20.0, y_m=20.0), Place(x_m=60, y_m=110)
Features = dict[str, Any]


class Cloud:
    """A cloud with its disk, two edges that obey at once, and twins that say where they are."""

    def __init__(self, policy: str = "nearest", **edges: Place | None) -> None:
        self.disk: dict[tuple[str, str], bytes] = {}
        self.receipts: list[dict[str, Any]] = []
        self.jobs: list[Job] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.seals: list[str] = []
        self.owner: dict[str, str] = {}
        self.now_s = 0.0
        self.policy = policy
        self.edges = edges or {"e_1": WEST, "e_2": EAST}
        self.obeying = True
        self.start()

    def start(self) -> None:
        """Begin anew, from the disk alone."""
        chosen = Association(self.policy, PERIOD_S, decide, compare)
        self.machine = CloudMachine(chosen)
        rows = [Row(kind, key, value) for (kind, key), value in sorted(self.disk.items())]
        self.machine.restore(rows, self.now)
        self.handle(Connected())
        for name, position in self.edges.items():
            edge = name.replace("_", "-")
            self.handle(self.said(edge, Hello(store=f"s-{edge}", position=position)))

    @property
    def now(self) -> Now:
        return Now(self.now_s, round(1000 * self.now_s))

    def handle(self, *events: Event) -> Effects:
        fx = self.machine.handle(events, self.now)
        for write in fx.writes:
            match write:
                case Put(kind, key, value):
                    self.disk[kind, key] = value
                case Delete(kind, key):
                    del self.disk[kind, key]
                case Append(log, key, _, value) if log == DECISIONS:
                    assert key == ALL
                    self.receipts.append(messages.load(value))
        for name, count in fx.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.jobs += fx.jobs
        self.obey(fx)
        return fx

    def obey(self, fx: Effects) -> None:
        """The edges do as they are told."""
        for send in fx.sends:
            if not send.topic.startswith(topics.order("")):
                continue
            edge = topics.parse(send.topic).edge
            match messages.parse(ORDER, send.payload):
                case Activate() as order:
                    self.owner[order.twin] = edge
                    self.handle(self.said(edge, Activated(twin=order.twin, epoch=order.epoch)))
                case Seal() as order:
                    self.seals.append(order.twin)
                    if self.obeying:
                        snapshot = Snapshot(twin=order.twin, epoch=order.epoch)
                        self.handle(self.said(edge, Sealed(twins=(snapshot,))))

    def said(self, edge: str, event: orders.EdgeEvent) -> Message:
        return Message(topics.event(edge), orders.encode(event))

    def reports(self, twin: str, revision: int = 1, **features: Any) -> None:
        """A device says something; its twin is created where it is not there yet."""
        self.handle(Message(topics.status(twin), messages.encode(Status(state="online"))))
        epoch = self.machine.directory.placements[twin].epoch
        states = {name: FeatureState(value=v, observed_ms=1) for name, v in features.items()}
        document = TwinDocument(twin=twin, epoch=epoch, revision=revision, features=states)
        self.handle(Message(topics.twin(twin), messages.encode(document)))

    def a_period_later(self) -> None:
        """Time passes, and jobs are done where they are asked for."""
        self.now_s += PERIOD_S
        self.handle()
        self.work()

    def work(self) -> None:
        while self.jobs:
            self.handle(inline(self.jobs.pop(0)))

    @property
    def decided(self) -> list[dict[str, Any]]:
        return [receipt for receipt in self.receipts if receipt["kind"] == "decided"]


def walking(cloud: Cloud, **eastings_m: float) -> None:
    for number, (name, x_m) in enumerate(eastings_m.items()):
        cloud.reports(name.replace("_", "-"), x_m=x_m, y_m=20.0, samples=600 + number)


# --- one function, two uses -----------------------------------------------------------------


def test_the_live_loop_and_a_paper_run_reach_the_same_functions() -> None:
    reached = vars(decision)
    assert reached["PROBLEM"] is association.PROBLEM is vars(walkers)["PROBLEM"]
    assert reached["POLICIES"] is association_policies.POLICIES
    assert reached["finish"] is association.finish
    assert (
        Environment(association.PROBLEM, walking_site(5, 2), seed=0).problem is reached["PROBLEM"]
    )


def test_a_live_state_that_was_recorded_gives_the_same_decision_in_the_problem() -> None:
    cloud = Cloud("pack_and_hold")
    walking(cloud, d_1=15.0, d_2=90.0, d_3=95.0, d_4=30.0, d_5=60.0)
    cloud.now_s += PERIOD_S
    cloud.handle()
    (job,) = cloud.jobs
    observed, policy, _ = job.arguments
    cloud.work()
    state = state_of(observed)
    action = association_policies.POLICIES[policy](state, np.random.default_rng(99))
    chosen = dict(zip(observed.twins, action.edge[0], strict=True))
    receipt = cloud.decided[0]
    assert {move["twin"]: move["to"] for move in receipt["moves"]} == {
        twin: observed.edges[edge]
        for twin, edge, host in zip(observed.twins, action.edge[0], observed.hosts, strict=True)
        if edge != host
    }
    assert set(chosen) == {f"d-{n}" for n in range(1, 6)}
    cost = float(association.PROBLEM.cost(state, action).total[0])
    assert receipt["cost"] == pytest.approx(cost, abs=1e-6)
    assert receipt["spec"] == association.SPEC.digest
    # And as an environment would do it: the state steps, and its cost is the same.
    environment = Environment(association.PROBLEM, state.scenario, seed=0)
    environment.state = state
    assert float(environment.step(action).cost.total[0]) == cost


def test_a_world_of_the_problem_survives_the_way_through_the_cloud() -> None:
    scenario = walking_site(6, 3)
    world = association.begin(scenario, 1, np.random.default_rng(4))
    hosts = np.array([[0, 1, 2, 0, 1, 2]])
    observed = Observed(
        ("e-1", "e-2", "e-3"),
        tuple((float(x), float(y)) for x, y in world.edge_m[0]),
        tuple(f"d-{n}" for n in range(6)),
        tuple(
            Device(float(x), float(y), float(samples), int(bits))
            for (x, y), samples, bits in zip(
                world.walk.position_m[0], world.new_samples[0], world.twin_bits[0], strict=True
            )
        ),
        (0.0,) * 6,
        (0, 1, 2, 0, 1, 2),
    )
    recorded, expected = state_of(observed), replace(world, host=hosts)
    seen, there = (association.PROBLEM.observe(state) for state in (recorded, expected))
    assert all((seen[name] == there[name]).all() for name in there)
    action = Action(hosts, np.zeros((1, 6)))
    costs = [association.cost(state, action).total for state in (recorded, expected)]
    assert costs[0] == costs[1]


def test_every_policy_that_may_be_configured_is_one_of_the_problems() -> None:
    names = set(get_args(AssociationConfig.model_fields["policy"].annotation))
    assert names < set(association_policies.POLICIES)
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0, d_3=95.0)
    cloud.now_s += PERIOD_S
    cloud.handle()
    observed = cloud.jobs[0].arguments[0]
    for name in names:
        assert len(decide(observed, name, 1).hosts) == 3


# --- what is observed, and what comes of it -------------------------------------------------


def test_twins_follow_their_devices() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0, d_3=95.0, d_4=30.0)
    cloud.a_period_later()
    assert cloud.owner == {"d-1": "e-1", "d-2": "e-2", "d-3": "e-2", "d-4": "e-1"}
    for twin, x_m in (("d-1", 99.0), ("d-2", 19.0)):
        cloud.reports(twin, revision=2, x_m=x_m, y_m=20.0, samples=500)
    cloud.a_period_later()
    assert cloud.owner == {"d-1": "e-2", "d-2": "e-1", "d-3": "e-2", "d-4": "e-1"}
    assert cloud.counts["decisions_total", "decided"] == 2
    moves = {(move["twin"], move["from"], move["to"]) for move in cloud.decided[1]["moves"]}
    assert moves == {("d-1", "e-1", "e-2"), ("d-2", "e-2", "e-1")}


def test_a_decision_leaves_a_receipt_and_the_optimum_beside_it() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0, d_3=95.0)
    cloud.a_period_later()
    decided, compared = cloud.receipts
    assert (decided["number"], decided["kind"], decided["policy"]) == (1, "decided", "nearest")
    assert (decided["twins"], decided["left_out"], decided["edges"]) == (3, 0, ["e-1", "e-2"])
    assert decided["cost"] < decided["cost_if_all_stay"]
    assert len(decided["observation"]) == 64
    assert (compared["number"], compared["of"]) == (2, 1)
    assert compared["reference"] == "optimum"
    assert compared["cost"] <= decided["cost"]


def test_beyond_a_few_twins_a_bound_stands_in_for_the_optimum() -> None:
    devices = tuple(Device(10.0 * n, 20.0, 500.0, 4500) for n in range(EXACT_TWINS_MAX + 1))
    count = len(devices)
    observed = Observed(
        ("e-1", "e-2"), ((20.0, 20.0), (100.0, 20.0)), tuple(f"d-{n}" for n in range(count)),
        devices, (0.0,) * count, (0,) * count,
    )  # fmt: skip
    bound = compare(observed)
    assert bound.kind == "bound"
    assert bound.cost == pytest.approx(-gain_bound(slot_of(state_of(observed)))[0], abs=1e-6)
    for policy in ("nearest", "pack_and_hold", "greedy"):
        assert bound.cost <= decide(observed, policy, 1).cost
    fewer = observed._replace(
        twins=observed.twins[:3], devices=devices[:3], old_samples=(0.0,) * 3, hosts=(0,) * 3
    )
    assert compare(fewer).kind == "optimum"


def test_a_twin_that_never_said_where_it_is_is_left_alone() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0)
    unplaced: list[Features] = [
        {"level_m": 1.0},
        {"x_m": 90.0},
        {"x_m": True, "y_m": 20.0},
        {"x_m": "90", "y_m": 20.0},
        {"x_m": None, "y_m": 20.0},
        {"x_m": 2 * SITE_M_MAX, "y_m": 20.0},
    ]
    for number, features in enumerate(unplaced):
        cloud.reports(f"d-other-{number}", **features)
    before = dict(cloud.owner)
    cloud.a_period_later()
    assert cloud.decided[0]["twins"] == 2
    assert {twin: edge for twin, edge in cloud.owner.items() if "other" in twin} == {
        twin: edge for twin, edge in before.items() if "other" in twin
    }


def test_what_a_device_does_not_announce_is_the_middle_of_the_range() -> None:
    observed = Observed(
        ("e-1", "e-2"), ((0.0, 0.0), (9.0, 9.0)), ("d-1", "d-2"),
        (Device(1.0, 1.0, None, 4500), Device(1.0, 1.0, 250.0, 4500)), (0.0, 7.0), (0, 1),
    )  # fmt: skip
    state = state_of(observed)
    assert state.new_samples.tolist() == [[600.0, 250.0]]
    assert state.old_samples.tolist() == [[0.0, 7.0]]


def test_what_was_new_in_one_decision_is_history_in_the_next() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0)
    cloud.a_period_later()
    cloud.now_s += PERIOD_S
    cloud.handle()
    assert cloud.jobs[0].arguments[0].old_samples == (600.0, 601.0)


@pytest.mark.parametrize("state", ["draining", "lost"])
def test_edges_that_do_not_serve_take_no_part(state: Any) -> None:
    cloud = Cloud(e_1=WEST, e_2=EAST, e_3=NORTH)
    walking(cloud, d_1=15.0, d_2=90.0, d_3=95.0)
    cloud.machine.directory.set_edge(SetEdge("e-2", state), cloud.now, Effects())
    cloud.a_period_later()
    assert cloud.decided[0]["edges"] == ["e-1", "e-3"]


def test_an_edge_that_does_not_say_where_it_is_takes_no_part() -> None:
    cloud = Cloud(e_1=WEST, e_2=EAST, e_3=None, e_4=Place(x_m=1e9, y_m=0.0))
    walking(cloud, d_1=15.0, d_2=90.0, d_3=95.0, d_4=10.0)
    cloud.a_period_later()
    assert cloud.decided[0]["edges"] == ["e-1", "e-2"]
    assert cloud.decided[0]["twins"] == 2  # the others live on the edges that do not say


def test_an_edge_that_no_longer_says_where_it_is_is_forgotten() -> None:
    cloud = Cloud(e_1=WEST, e_2=EAST, e_3=NORTH)
    walking(cloud, d_1=15.0, d_2=90.0)
    cloud.handle(cloud.said("e-3", Hello(store="s-e-3")))
    cloud.edges = {}
    for _ in range(2):
        cloud.start()
        walking(cloud, d_1=15.0, d_2=90.0)
        cloud.a_period_later()
        assert cloud.decided[-1]["edges"] == ["e-1", "e-2"]


def test_with_one_edge_or_no_device_there_is_nothing_to_decide() -> None:
    alone = Cloud(e_1=WEST)
    walking(alone, d_1=15.0)
    alone.a_period_later()
    empty = Cloud()
    empty.a_period_later()
    assert (alone.receipts, empty.receipts) == ([], [])


def test_a_disconnected_cloud_decides_nothing() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0)
    cloud.handle(Disconnected())
    cloud.a_period_later()
    assert cloud.receipts == []


def test_a_restarted_cloud_decides_from_its_rows_and_goes_on_numbering() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0)
    cloud.a_period_later()
    cloud.edges = {}  # nobody says hello again
    cloud.start()
    walking(cloud, d_1=15.0, d_2=90.0)
    cloud.a_period_later()
    assert [receipt["number"] for receipt in cloud.receipts] == [1, 2, 3, 4]


# --- slow, failed, many ---------------------------------------------------------------------


def test_while_a_decision_is_under_way_no_other_begins() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0)
    for _ in range(3):
        cloud.now_s += PERIOD_S
        cloud.handle()
    assert [job.name for job in cloud.jobs] == ["decide"]
    assert cloud.jobs[0].deadline_s == DECISION_S_MIN


def test_a_decision_that_fails_is_counted_moves_nobody_and_the_next_one_is_made() -> None:
    cloud = Cloud()
    walking(cloud, d_1=99.0, d_2=90.0)
    cloud.now_s += PERIOD_S
    cloud.handle()
    cloud.jobs.clear()
    fx = cloud.handle(JobEnded("decide", failure="not done within 30 s"))
    assert "not done within 30 s" in fx.notes[0].text
    assert cloud.counts["decisions_total", "failed"] == 1
    assert cloud.receipts[0]["reason"] == "not done within 30 s"
    assert cloud.seals == []
    cloud.a_period_later()
    assert len(cloud.decided) == 1


def test_a_comparison_that_fails_is_in_the_receipts_only() -> None:
    cloud = Cloud()
    walking(cloud, d_1=15.0, d_2=90.0)
    cloud.now_s += PERIOD_S
    cloud.handle()
    cloud.handle(inline(cloud.jobs.pop(0)))
    fx = cloud.handle(JobEnded("compare", failure="not done within 30 s"))
    assert (cloud.receipts[-1]["kind"], cloud.receipts[-1]["job"]) == ("failed", "compare")
    assert fx.notes == []


def test_only_so_many_twins_move_at_one_time_and_the_others_follow() -> None:
    cloud = Cloud()
    many = MOVES_AT_ONCE_MAX + 8
    for number in range(2 * many):
        cloud.reports(f"d-{number}", x_m=100.0, y_m=20.0)
    wrong = {twin for twin, edge in cloud.owner.items() if edge == "e-1"}
    assert len(wrong) == many
    cloud.obeying = False
    cloud.a_period_later()
    assert len(cloud.seals) == MOVES_AT_ONCE_MAX
    cloud.obeying = True
    cloud.now_s += 1.0  # the orders are repeated, and obeyed
    cloud.handle()
    cloud.now_s += 1.0
    cloud.handle()
    assert wrong <= set(cloud.seals)
    assert set(cloud.owner.values()) == {"e-2"}


def test_only_so_many_twins_whose_blobs_are_copied_ahead_move_at_one_time() -> None:
    cloud = Cloud()
    many = 2 * (MOVES_AT_ONCE_MAX + 8)
    for number in range(many):
        cloud.reports(f"d-{number}", x_m=100.0, y_m=20.0)
    for twin, edge in cloud.owner.items():
        blobs = {"model": BlobRef(sha256="a" * 64, bytes=1)}
        snapshot = Snapshot(twin=twin, epoch=1, revision=2, blobs=blobs)
        cloud.handle(cloud.said(edge, Checkpoint(twins=(snapshot,))))
    cloud.a_period_later()
    assert len(cloud.machine.directory.precopy) == MOVES_AT_ONCE_MAX
    cloud.handle()
    assert len(cloud.machine.directory.precopy) == MOVES_AT_ONCE_MAX


def test_a_twin_that_was_moved_meanwhile_stays_where_it_was_put() -> None:
    cloud = Cloud(e_1=WEST, e_2=EAST, e_3=NORTH)
    walking(cloud, d_1=100.0)
    cloud.now_s += PERIOD_S
    cloud.handle()
    fx = Effects()
    assert cloud.machine.directory.move("d-1", "e-3", cloud.now, fx) is None
    cloud.handle()
    cloud.work()
    assert cloud.owner == {"d-1": "e-3"}


def test_more_twins_than_one_decision_may_have_are_left_out_and_counted() -> None:
    cloud = Cloud()
    twins_max = ASSOCIATION_PAIRS_MAX // 2
    placements = cloud.machine.directory.placements
    cloud.reports("d-0", x_m=1.0, y_m=1.0)
    association_ = cloud.machine._association
    assert association_ is not None
    for number in range(1, twins_max + 5):
        placements[f"d-{number}"] = placements["d-0"]
        association_._devices[f"d-{number}"] = association_._devices["d-0"]
    observed = association_._observe(cloud.machine.directory)
    assert observed is not None
    assert len(observed.twins) == twins_max
    assert association_._left_out == 5
