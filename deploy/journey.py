"""What happens to one twin as it moves, as the cloud tells it.

An edge knows its own twins only; asked there, a journey is silent.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from deploy.api import send

if TYPE_CHECKING:
    import httpx

_PAGE = 1_000
_PAGES_MAX = 20  # in one look: a busy directory's, of a second; what is left comes with the next

Event = dict[str, Any]


class Journey:
    """Looks at one twin through the API of `client`."""

    def __init__(self, client: "httpx.Client", twin: str) -> None:
        self._client = client
        self._twin = twin
        self._after: int | None = None  # the last event seen; None: not looked yet
        self._phase = ""

    def news(self) -> list[Event]:
        """What happened since the last look, in order; at first, where the twin is."""
        placed = self._asked(f"/api/v1/twins/{self._twin}")
        if placed is None:
            return []
        events = self._events()
        turned = placed["phase"] != self._phase and (not self._phase or placed["phase"] != "owned")
        self._phase = placed["phase"]
        return [*events, {"kind": "placed", **placed}] if turned else events

    def _events(self) -> list[Event]:
        mine: list[Event] = []
        for _ in range(_PAGES_MAX):
            since = "limit=1" if self._after is None else f"after={self._after}&limit={_PAGE}"
            page = self._asked(f"/api/v1/events?{since}")
            if page is None:
                break
            if self._after is not None:
                mine += [event for event in page["events"] if event.get("twin") == self._twin]
            self._after = page["next"]
            if len(page["events"]) < _PAGE:
                break
        return mine

    def _asked(self, path: str) -> Any:
        """What the API answers; None where it cannot, or not now."""
        response = send(self._client, "GET", path)
        return response.json() if response.is_success else None


def in_words(event: Event) -> str:
    """One line of a journey, with its own time."""
    at_ms = event.get("at_ms")
    moment = datetime.fromtimestamp(at_ms / 1000) if at_ms else datetime.now()  # noqa: DTZ005, DTZ006 - for people, in their own time
    return f"{moment:%H:%M:%S}  {_sentence(event)}"


def _sentence(event: Event) -> str:
    match event:
        case {"kind": "placed", "phase": "owned", "owner": owner, "epoch": epoch}:
            return f"is owned by {owner} at epoch {epoch}"
        case {"kind": "placed", "phase": "sealing", "owner": owner, "to": target}:
            return f"sealing at {owner}, to go to {target}"
        case {"kind": "placed", "phase": phase, "owner": owner, "epoch": epoch}:
            return f"{phase} at {owner}, epoch {epoch}"
        case {"kind": "move", "from": source, "to": target}:
            return f"moves from {source} to {target}"
        case {"kind": "failover", "from": source, "to": target}:
            return f"fails over from {source} to {target}"
        case {"kind": "adopted", "to": owner, "epoch": epoch}:
            return f"is owned by {owner} at epoch {epoch}, as it says: the cloud's store is old"
        case {"kind": "owned", "to": owner, "epoch": epoch, **about}:
            came = f", from {about['from']}" if "from" in about else ""
            paused = f", paused {1000 * about['pause_s']:.0f} ms" if "pause_s" in about else ""
            return f"owned by {owner} at epoch {epoch}{came}{paused}"
    return str(event["kind"])
