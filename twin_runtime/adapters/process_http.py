"""HTTP for supervisors and Prometheus.

GET /healthz    200 as long as the event loop turns
GET /readyz     200 while the process can do its work, else 503 with the reason
GET /metrics    Prometheus' text format
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Response
from pydantic_core import to_json

from twin_runtime.adapters.ditto_http import Json, Said, read
from twin_runtime.ports import Health

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add_process(router: APIRouter, health: Health, render_metrics: Callable[[], bytes]) -> None:
    """Serve what every process serves."""
    process = _Process(health, render_metrics)
    read(router, "/healthz", process.alive)
    unready: Said = {503: {"description": "Not ready; `reason` says why."}}
    read(router, "/readyz", process.ready, unready)
    read(router, "/metrics", process.metrics, kind=PlainText)


class PlainText(Response):
    """What Prometheus reads."""

    media_type = METRICS_TYPE


@dataclass(frozen=True, slots=True)
class _Process:
    """What supervisors and Prometheus ask."""

    health: Health
    render_metrics: Callable[[], bytes]

    async def alive(self) -> Response:
        """200 as long as the event loop turns."""
        return Json(to_json({"alive": True}))

    async def ready(self) -> Response:
        """200 while the process can do its work, else 503 with the reason."""
        if self.health.ready:
            return Json(to_json({"ready": True}))
        return Json(to_json({"ready": False, "reason": self.health.reason}), status_code=503)

    async def metrics(self) -> Response:
        """Prometheus' text format."""
        return PlainText(self.render_metrics())
