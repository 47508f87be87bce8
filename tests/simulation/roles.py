"""What each process of a run is: the production machines, and what they hear."""

from collections.abc import Sequence
from functools import partial

from cloud.events import EVENTS
from cloud.machine import CloudMachine
from cloud.snapshots import CHECKPOINTS
from device_agent.fleet import FleetMachine
from device_agent.machine import DeviceMachine
from edge_node.history import HISTORY
from edge_node.machine import EdgeMachine
from tests.simulation.processes import HISTORY_BOUND, Role, Sampler
from twin_runtime.core import topics
from twin_runtime.core.messages import Description, FeatureSpec

DESCRIPTION = Description(
    features={"token": FeatureSpec(type="integer"), "level": FeatureSpec(type="number")}
)


def cloud() -> Role:
    logs = {EVENTS: HISTORY_BOUND, CHECKPOINTS: HISTORY_BOUND}
    return Role(lambda _: CloudMachine(), topics.cloud_filters(), logs=logs)


def edge(name: str) -> tuple[str, Role]:
    filters = topics.edge_filters(name)
    return name, Role(partial(EdgeMachine, name), filters, logs={HISTORY: HISTORY_BOUND})


def fleet(name: str, twins: Sequence[str], reports_max: int, sampler: Sampler) -> Role:
    def device(twin: str, store_id: str) -> DeviceMachine:
        return DeviceMachine(
            twin,
            DESCRIPTION,
            via=name,
            store_id=store_id,
            outbox_reports_max=reports_max,
        )

    def build(store_id: str) -> FleetMachine:
        return FleetMachine([device(twin, store_id) for twin in twins])

    filters = [each for twin in twins for each in topics.device_filters(twin)]
    return Role(build, filters, twins=twins, sampler=sampler)
