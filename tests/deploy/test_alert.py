"""The newcomer's alert: devices that stand still are an alert, as shipped, in two minutes.

Prometheus itself, the committed rules with their waits, and a broker that gives devices up by
its keepalive: nothing is made shorter but how often Prometheus looks.
"""

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.an_up import up
from tests.deploy.test_grafana import Watched, address, scraping

pytestmark = [pytest.mark.system, pytest.mark.nightly, pytest.mark.timeout(500)]

ALERT = "DitenDevicesLost"
FIRED_S = 200.0  # 45 s of keepalive and half as much again, and a minute as the rule has it
DEVICES = 3


def alerts(watched: Watched) -> dict[str, dict[str, Any]]:
    """What is pending or fires, by name."""
    found = watched.prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
    return {each["labels"]["alertname"]: each for each in found}


def state(watched: Watched) -> str:
    return str(alerts(watched).get(ALERT, {}).get("state", "silent"))


def is_watched(watched: Watched) -> bool:
    online = watched.ask('diten_devices{presence="online"}')
    return [float(each["value"][1]) for each in online] == [DEVICES]


def test_devices_that_stand_still_are_an_alert_until_they_are_back(tmp_path: Path) -> None:
    options = ("--edges", "1", "--source", "none", "--devices", str(DEVICES), "--api-port", "0")
    with up(tmp_path / "data", *options) as system:
        system.await_twins(DEVICES)
        cloud = address(system, "cloud")
        agent = system.pid_of("d-emulated-fleet-1")
        with (
            scraping(tmp_path, {"cloud": cloud}, {"e-1": address(system, "e-1")}) as prometheus,
            httpx.Client(base_url=prometheus, timeout=10) as asked,
            httpx.Client(base_url=f"http://{cloud}", timeout=10) as api,
        ):
            watched = Watched(asked, api)
            watched.wait_for("a healthy system", lambda: is_watched(watched))
            assert state(watched) == "silent"
            os.kill(agent, signal.SIGSTOP)
            try:
                watched.wait_for("the alert", lambda: state(watched) == "firing", FIRED_S)
                fired = alerts(watched)[ALERT]
                assert float(fired["value"]) == DEVICES
                assert fired["labels"]["severity"] == "warning"
                assert f"{DEVICES} devices are cut off" in fired["annotations"]["summary"]
                assert fired["annotations"]["runbook"] == "docs/alerts.md#ditendeviceslost"
                lost = api.get("/api/v1/twins?limit=10").json()["twins"]
                assert [twin["presence"] for twin in lost] == ["lost"] * DEVICES
            finally:
                os.kill(agent, signal.SIGCONT)
            watched.wait_for("its end", lambda: state(watched) == "silent")
