"""What each twin is, for whoever knows only the Web of Things: retained beside its document.

A Thing Description changes when the device describes itself anew, so it is published then,
and after each reconnect, since the broker may have forgotten it. With it goes what Home
Assistant is told, if it is told anything.
"""

from typing import NamedTuple

from edge_node.home_assistant import HomeAssistant
from twin_runtime.core import messages, topics
from twin_runtime.core import twin as core
from twin_runtime.core.effects import Effects, Note, Send
from twin_runtime.core.limits import PACKET_BYTES_MAX
from twin_runtime.core.shape import Shape
from twin_runtime.core.thing_description import Access, thing_description
from twin_runtime.core.twin import Twin


class _About(NamedTuple):
    """What was described; the shape of twins alike is one object."""

    shape: Shape
    title: str


class Descriptions:
    """The descriptions of one edge's twins; without `access` nobody could use them."""

    def __init__(
        self,
        site: str = "",
        access: Access | None = None,
        home_assistant: HomeAssistant | None = None,
    ) -> None:
        self._site = site
        self._access = access
        self._home_assistant = home_assistant
        self._said: dict[str, _About] = {}

    def say(self, twin: Twin, fx: Effects) -> None:
        """Publish what the twin is, unless that was said."""
        if self._home_assistant is not None:
            self._home_assistant.say(twin, fx)
        if self._access is None or twin.shape is None:
            return
        said = self._said.get(twin.twin)
        if said is not None and said.shape is twin.shape and said.title == twin.title:
            return
        self._said[twin.twin] = _About(twin.shape, twin.title)
        document = messages.load(core.encode_document(twin, {}))
        payload = messages.dump(thing_description(document, self._site, self._access))
        if len(payload) <= PACKET_BYTES_MAX:
            fx.sends.append(Send(topics.thing_description(twin.twin), payload, retain=True))
        else:
            text = (
                f"the Thing Description of {twin.twin} has {len(payload)} bytes: only HTTP has it"
            )
            fx.notes.append(Note("warning", text, twin=twin.twin))

    def begin_again(self) -> None:
        """Say all of it again."""
        self._said.clear()
        if self._home_assistant is not None:
            self._home_assistant.begin_again()

    def carried(self, twin_id: str, via: str) -> None:
        """The process `via` speaks for the device (empty: it does so itself)."""
        if self._home_assistant is not None:
            self._home_assistant.carried(twin_id, via)

    def forget(self, twin_id: str) -> None:
        """The twin is owned elsewhere."""
        self._said.pop(twin_id, None)
        if self._home_assistant is not None:
            self._home_assistant.forget(twin_id)
