"""Home Assistant: what edges announce to it on a real broker, and its own word on that.

The whole of Home Assistant does not run here: its newest version needs a newer Python. Its
schemas and templates of a version that knows no devices as a whole judge each entity every
night; the form of a whole device is in tests/core/test_home_assistant.py.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.clients.node import HERE
from tests.system.rig import Rig, started, wait_for
from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.mqtt_session import Subscriber
from twin_runtime.core import home_assistant
from twin_runtime.core.effects import Message
from twin_runtime.core.home_assistant import Device, discovery
from twin_runtime.core.messages import FeatureSpec

pytestmark = [pytest.mark.system, pytest.mark.clients]

ITS_PYTHON = HERE / "home_assistant/.venv/bin/python"
ASKED_S = 60.0
RETAINED_S = 2.0  # what a broker keeps comes at once


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, devices=2, period_s=0.5)
    for edge in rig.edges:
        edge.settings["home_assistant"] = {"enabled": True}
    with started(rig):
        yield rig


def retained(rig: Rig, *topics: str) -> dict[str, Any]:
    """What the broker keeps on each of these topics, as far as it keeps anything."""
    found: dict[str, Any] = {}

    async def listen() -> None:
        is_all = asyncio.Event()

        def deliver(message: Message) -> None:
            found[message.topic] = json.loads(message.payload)
            if len(found) == len(topics):
                is_all.set()

        listener = Subscriber("127.0.0.1", rig.broker.port, "homeassistant", topics)
        async with aiomqtt_session(listener, deliver), asyncio.timeout(RETAINED_S):
            await is_all.wait()

    with suppress(TimeoutError):
        asyncio.run(listen())
    return found


def rendered(template: str, message: Any) -> str:
    return ImmutableSandboxedEnvironment().from_string(template).render(value_json=message)


def presence(rig: Rig, announced: dict[str, Any]) -> set[str]:
    """What the topics say from which Home Assistant takes whether a twin is there."""
    templates = {each["topic"]: each["value_template"] for each in announced["availability"]}
    said = retained(rig, *templates)
    return {rendered(templates[topic], status) for topic, status in said.items()}


def test_it_shows_what_a_device_reports_as_long_as_it_is_there(rig: Rig) -> None:
    topics = {home_assistant.discovery_topic("diten", twin): twin for twin in rig.devices}

    def all_are_announced() -> bool:
        """Each with its own presence and that of the agent, which may be heard of later."""
        said = retained(rig, *topics).values()
        return [len(announced["availability"]) for announced in said] == [2, 2]

    wait_for("both are announced", all_are_announced)
    for topic, announced in retained(rig, *topics).items():
        document = retained(rig, announced["state_topic"])[announced["state_topic"]]
        assert document["twin"] == topics[topic]
        for feature, entity in announced["components"].items():
            value = document["features"][feature]["value"]
            assert rendered(entity["value_template"], document) == str(value)
        assert presence(rig, announced) == {"online"}
    rig.kill("d-agent")
    wait_for("it is seen to be lost", lambda: "offline" in presence(rig, announced))


def test_what_was_announced_is_taken_back_by_an_edge_that_is_told_to(rig: Rig) -> None:
    topics = [home_assistant.discovery_topic("diten", twin) for twin in rig.devices]
    wait_for("both are announced", lambda: len(retained(rig, *topics)) == len(topics))
    for edge in rig.edges:
        assert edge.stop() == 0
        edge.settings["home_assistant"] = {"enabled": False}
        edge.start()
    wait_for("nothing is announced", lambda: retained(rig, *topics) == {})


@pytest.mark.nightly
def test_its_own_schemas_and_templates_take_each_entity(tmp_path: Path) -> None:
    if not ITS_PYTHON.exists():
        pytest.skip("clients are not installed: run scripts/clients nightly")
    measured = {
        f"in_{number}": FeatureSpec(type="number", unit=unit)
        for number, unit in enumerate(["", "%", "mm[Hg]", *home_assistant._UNITS])
    }
    others = {"on": FeatureSpec(type="boolean"), "mode": FeatureSpec(type="string", title="Mode")}
    announced = discovery("plant-7.example", Device("d-7", "Host", measured | others, "d-agent"))
    values = {**dict.fromkeys(measured, 1.5), "on": True, "mode": "a {{ b }}"}
    features = {name: {"value": value, "quality": "good"} for name, value in values.items()}
    statuses = [{"state": state} for state in ("online", "sleeping", "offline", "lost")]
    asked = {
        "announced": announced,
        "documents": [{"features": features}, {"features": {}}],
        "statuses": statuses,
        "available": ["online", "online", "offline", "offline"],
    }
    command = [str(ITS_PYTHON), str(HERE / "home_assistant"), str(tmp_path)]
    ended = subprocess.run(
        command,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=ASKED_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    states = {name: [str(value), "None"] for name, value in values.items()}
    assert json.loads(ended.stdout) == states
