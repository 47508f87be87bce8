"""What `diten doctor` asks of an edge's or the cloud's HTTP: there, ready, of the same time."""

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from deploy.doctor_finding import Finding

SKEW_S_MAX = 5.0  # HTTP says the time in seconds
ANSWERED_S = 5.0
SAID_BYTES_MAX = 200


def check_api(url: str) -> list[Finding]:
    """An edge or the cloud: there, ready, and of the same time as this machine."""
    try:
        status, said, date = asked(f"{url}/readyz")
    except (OSError, ValueError, HTTPException) as error:
        do = "start it; see `[http]` in its configuration, and the firewall between"
        return [Finding(url, str(error) or type(error).__name__, "wrong", "nobody reads twins", do)]
    return [_ready(url, status, said), *_skew(url, date)]


def asked(url: str) -> tuple[int, str, str | None]:
    """Status, text and date of an answer, whatever it is. The standard library will do: a
    device's install has nothing else."""
    opener = build_opener(ProxyHandler({}))  # reached directly, whatever the environment names
    try:
        with opener.open(url, timeout=ANSWERED_S) as answer:
            return answer.status, _text(answer), answer.headers["date"]
    except HTTPError as refused:
        with refused:
            return refused.code, _text(refused), refused.headers["date"]


def _text(answer: IO[bytes]) -> str:
    return answer.read(SAID_BYTES_MAX).decode(errors="replace").strip()


def _ready(url: str, status: int, said: str) -> Finding:
    if status == HTTPStatus.OK:
        return Finding(url, "ready")
    costs = "it acknowledges nothing while it is not"
    return Finding(url, f"not ready ({status}): {said}", "wrong", costs, "see its log")


def _skew(url: str, date: str | None) -> list[Finding]:
    if date is None:
        return []
    skew_s = time.time() - parsedate_to_datetime(date).timestamp()
    found = f"this machine's is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) <= SKEW_S_MAX:
        return [Finding(f"clock of {url}", "the same as this machine's")]
    costs = "ages and charts of twins are wrong by as much; no promise of diten depends on it"
    return [Finding(f"clock of {url}", found, "warning", costs, "synchronize both (NTP)")]
