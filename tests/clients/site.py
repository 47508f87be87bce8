"""Where foreign clients find the site that they are tested on."""

from dataclasses import dataclass
from typing import Any

from tests.system.rig import Process, Rig, get

TOKEN = "let-me-write-to-twins"


@dataclass(frozen=True, slots=True)
class Site:
    """Addresses as clients are told them, and what our own eyes see there."""

    rig: Rig

    def at(self, server: Process) -> str:
        return f"127.0.0.1:{server.settings['http']['port']}"

    @property
    def cloud(self) -> str:
        return self.at(self.rig.cloud)

    def thing(self, twin: str) -> dict[str, Any]:
        """A thing as the cloud shows it now."""
        found: dict[str, Any] = get(self.rig.cloud, f"/api/2/things/{twin}").json()
        return found

    def is_described(self, twin: str) -> bool:
        """Whether the cloud knows what the device is."""
        return "description" in self.thing(twin)["attributes"]

    def owner(self, twin: str) -> Process:
        """The edge that has a twin."""
        place = get(self.rig.cloud, f"/api/v1/twins/{twin}").json()
        return next(edge for edge in self.rig.edges if edge.name == place["owner"])
