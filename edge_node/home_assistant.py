"""What Home Assistant is told of this edge's twins, if it is to be told anything.

As with their Thing Descriptions, that is said when a device describes itself anew and after each
reconnect; and also when another process begins to speak for it. A twin that leaves is announced
by its next owner, in the same words. To take it all back is a level too: an edge that is told to
(`enabled = false`) says so of each of its twins after each reconnect.
"""

from typing import NamedTuple

from twin_runtime.core import messages
from twin_runtime.core.effects import Effects, Note, Send
from twin_runtime.core.home_assistant import Device, discovery, discovery_topic
from twin_runtime.core.limits import FEATURES_MAX, PACKET_BYTES_MAX, TWINS_PER_EDGE_MAX
from twin_runtime.core.shape import Shape
from twin_runtime.core.twin import Twin


class _About(NamedTuple):
    """What was announced; `retired` are features that it had before."""

    shape: Shape
    title: str
    via: str
    retired: tuple[str, ...] = ()


class HomeAssistant:
    """The announcements of one edge's twins, or their withdrawal."""

    def __init__(self, site: str, *, enabled: bool) -> None:
        self._site = site
        self._enabled = enabled
        self._via: dict[str, str] = {}
        self._announced: dict[str, _About] = {}
        self._told: set[str] = set()  # of these twins, on this connection

    def say(self, twin: Twin, fx: Effects) -> None:
        """Announce the twin, or take it back, unless that was said."""
        if not self._enabled:
            if twin.twin not in self._told:
                self._tell(twin.twin, b"", fx)
        elif twin.shape is not None:
            before = self._announced.get(twin.twin)
            about = _now(before, twin.shape, twin.title, self._via.get(twin.twin, ""))
            if about != before or twin.twin not in self._told:
                self._announced[twin.twin] = about
                self._announce(twin.twin, about, fx)

    def carried(self, twin_id: str, via: str) -> None:
        """The process `via` speaks for the device (empty: it does so itself), which may be said
        before its twin is owned."""
        if self._enabled and (twin_id in self._via or len(self._via) < TWINS_PER_EDGE_MAX):
            self._via[twin_id] = via

    def begin_again(self) -> None:
        """Say all of it again: the broker may have forgotten it."""
        self._told.clear()

    def forget(self, twin_id: str) -> None:
        """The twin is owned elsewhere."""
        self._via.pop(twin_id, None)
        self._announced.pop(twin_id, None)
        self._told.discard(twin_id)

    def _announce(self, twin_id: str, about: _About, fx: Effects) -> None:
        device = Device(twin_id, about.title, about.shape.features, about.via, about.retired)
        payload = messages.dump(discovery(self._site, device))
        if len(payload) <= PACKET_BYTES_MAX:
            self._tell(twin_id, payload, fx)
        else:
            text = f"{twin_id} is too large for Home Assistant: {len(payload)} bytes to announce it"
            fx.notes.append(Note("warning", text, twin=twin_id))
            self._told.add(twin_id)

    def _tell(self, twin_id: str, payload: bytes, fx: Effects) -> None:
        fx.sends.append(Send(discovery_topic(self._site, twin_id), payload, retain=True))
        self._told.add(twin_id)


def _now(before: _About | None, shape: Shape, title: str, via: str) -> _About:
    """What is to be announced, where `before` was."""
    if before is None:
        return _About(shape, title, via)
    if before.shape is shape:
        return _About(shape, title, via, before.retired)
    had = (*before.shape.features, *before.retired)
    retired = [name for name in dict.fromkeys(had) if name not in shape.features]
    return _About(shape, title, via, tuple(retired[:FEATURES_MAX]))
