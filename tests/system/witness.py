"""A witness on the bus: an MQTT client of another make than the one under test."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

Position = tuple[int, int, int]

PREFIX = "dt/v1/"
CONNECTED_S = 10.0


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


def close(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()
