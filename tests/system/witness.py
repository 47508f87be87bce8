"""A witness on the bus: an MQTT client of another make than the one under test."""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

Position = tuple[int, int, int]

PREFIX = "dt/v1/"
CONNECTED_S = 60.0
POLL_S = 0.01


class Heard(NamedTuple):
    """One message, as it was delivered."""

    topic: str
    payload: bytes


class Witness:
    """Hears what edges tell devices; comes back by itself when the broker does.

    `told` has, per twin, the largest `(epoch, session, applied)` of any acknowledgement;
    `errors` every refusal.
    """

    def __init__(self, port: int) -> None:
        self.told: dict[str, Position] = {}
        self.errors: list[Heard] = []
        self._client = connect(port, [f"{PREFIX}down/+/+/ack", f"{PREFIX}down/+/+/error"], self._on)

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Say something, and return when it is on its way."""
        await_connected(self._client)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(CONNECTED_S)

    def close(self) -> None:
        close(self._client)

    def _on(self, heard: Heard) -> None:
        twin = heard.topic.split("/")[3]
        if heard.topic.endswith("/error"):
            self.errors.append(heard)
            return
        position = _position(heard.payload)
        if position is not None:
            self.told[twin] = max(position, self.told.get(twin, position))


def _position(ack: bytes) -> Position | None:
    """What an acknowledgement says; None where a test let somebody else speak."""
    try:
        said: dict[str, Any] = json.loads(ack)
        return said["epoch"], said["session"], said["applied"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def connect(port: int, filters: list[str], heard: Callable[[Heard], None]) -> paho.Client:
    """A client that subscribes on each connect, in a thread of its own."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(min_delay=1, max_delay=1)

    def on_connect(*_: Any) -> None:
        client.subscribe([(each, 0) for each in filters])

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        heard(Heard(message.topic, bytes(message.payload)))

    client.on_connect = on_connect
    client.on_message = on_message
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    return client


def await_connected(client: paho.Client) -> None:
    """Return when it can say something: what it says before is refused."""
    deadline_s = time.monotonic() + CONNECTED_S
    while not client.is_connected():
        assert time.monotonic() < deadline_s, f"not connected within {CONNECTED_S:g} s"
        time.sleep(POLL_S)


def close(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()
