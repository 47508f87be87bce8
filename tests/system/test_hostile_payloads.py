"""Nonsense on every topic: answered, counted, and survived by every process."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.system.rig import Rig, get, metric, running
from tests.system.witness import PREFIX

pytestmark = pytest.mark.system

ROUNDS = 20  # of all payloads on all topics
GROWTH_BYTES_MAX = 32 * 1024 * 1024


def report(**fields: Any) -> bytes:
    """A window of one report that nobody can have sent before; `fields` spoil it."""
    row = {"seq": 2**40, "observed_ms": 1, "features": {"temperature_c": 1.0}}
    window = {"v": 1, "epoch": 1, "session": 1, "reports": [{**row, **fields}]}
    return json.dumps(window).encode()


TOO_MANY = b'{"v":1,"epoch":1,"session":1,"reports":[%b]}' % b",".join([b"{}"] * 10_000)
UNKNOWN_TYPE = report(description={"features": {"a": {"type": "quaternion"}}})
NAME_AS_PATH = report(description={"features": {"../a": {"type": "number"}}})


def respelt(old: bytes, new: bytes) -> bytes:
    """That report with `old` written as `new`: what no encoder would write."""
    assert old in report()
    return report().replace(old, new)


# What is said on `up/.../report`, and the codes one of which it is refused with.
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not_json"),
    "no JSON": (b"temperature=20", "not_json"),
    "half of it": (report()[:-5], "not_json"),
    "random bytes": (random.Random(1).randbytes(500), "not_json"),
    "wrong UTF-8": (respelt(b"temperature_c", b"\xff\xfe\xfa"), "not_json"),
    "deep nesting": (b"[" * 30_000 + b"]" * 30_000, "not_json"),
    "deep inside": (b'{"v":1,"epoch":1,"session":1,"reports":' + b"[" * 30_000, "not_json"),
    "no number for a time": (respelt(b'ms": 1', b'ms": NaN'), "bad_value not_finite"),
    "infinite time": (respelt(b'ms": 1', b'ms": 1e999'), "bad_value not_finite"),
    "huge integer": (report(seq=10**300), "bad_value"),
    "huge session": (respelt(b'"session": 1', b'"session": 1' + b"0" * 400), "bad_value"),
    "negative": (report(seq=-1), "bad_value"),
    "another version": (respelt(b'"v": 1', b'"v": 2'), "unknown_version"),
    "a list": (b"[1, 2, 3]", "bad_value"),
    "null": (b"null", "bad_value"),
    "no reports": (b'{"v":1,"epoch":1,"session":1,"reports":[]}', "bad_value"),
    "too many reports": (TOO_MANY, "bad_value"),
    "unknown type": (UNKNOWN_TYPE, "unknown_type"),
    "a name as a path": (NAME_AS_PATH, "bad_value"),
}
TOO_LARGE = b'{"v":1,"epoch":1,"session":1,"reports":["' + b"x" * 70_000 + b'"]}'


def topics_of(rig: Rig) -> list[str]:
    """One topic of each kind, real and made-up speakers."""
    twin = rig.devices[0]
    return [
        f"{PREFIX}{rest}"
        for rest in (
            f"up/e-1/{twin}/live", "up/e-1/d-stranger/report", "up/e-1/D-Bad!/report",
            f"up/e-1/{twin}/nothing", "order/e-1", "event/e-1", "event/e-unknown",
            f"assign/{twin}", f"down/{twin}/e-1/ack", f"down/{twin}/e-1/command",
            f"down/{twin}/e-1/desired", f"down/{twin}/e-1/error", f"twin/{twin}", "twin/d-stranger",
            f"status/{twin}", "status/cloud", "status/e-1", "status/nobody",
        )
    ]  # fmt: skip


def test_g9_a_report_that_cannot_be_used_is_answered_once_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, devices=len(REFUSED), period_s=0.5, edges=1) as rig:
        addressed = dict(zip(rig.devices, REFUSED, strict=True))
        edge = rig.edges[0]
        before = metric(edge, "diten_rejects_total")
        for twin, name in addressed.items():
            rig.witness.publish(f"{PREFIX}up/e-1/{twin}/report", REFUSED[name][0])
        rig.await_progress()
        answers = {
            addressed[error.topic.split("/")[3]]: json.loads(error.payload)["code"]
            for error in rig.witness.errors
        }
        assert set(REFUSED) - set(answers) == set()
        assert {name: code for name, code in answers.items() if code not in REFUSED[name][1]} == {}
        assert set(Counter(error.topic for error in rig.witness.errors).values()) == {1}
        assert metric(edge, "diten_rejects_total") == before + len(REFUSED)
        rig.drain()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def test_g9_nonsense_on_every_topic_ends_no_process_and_makes_none_grow(tmp_path: Path) -> None:
    payloads = [TOO_LARGE, *(payload for payload, _ in REFUSED.values())]
    with running(tmp_path, devices=8, period_s=0.5, edges=1) as rig:
        processes = {part.name: part for part in (rig.agent, *rig.edges, rig.cloud)}
        pids = {name: process.pid for name, process in processes.items()}
        say_all(rig, payloads, rounds=1)
        sizes = {name: resident_bytes(pid) for name, pid in pids.items()}
        say_all(rig, payloads, rounds=ROUNDS)
        grown = {name: resident_bytes(pid) - sizes[name] for name, pid in pids.items()}
        assert {name: process.pid for name, process in processes.items()} == pids
        assert {name: size for name, size in grown.items() if size > GROWTH_BYTES_MAX} == {}
        for server in (rig.edges[0], rig.cloud):
            assert metric(server, "diten_rejects_total") > ROUNDS * len(payloads)
            assert 'diten_queue_backlog{kind="events"}' in get(server, "/metrics").text
        counts = rig.drain()
        found = rig.stop()
        said = "".join(process.said() for process in processes.values())
    assert sum(n for name, n in counts.items() if name.startswith("rejects_total/")) > ROUNDS
    assert "Traceback" not in said
    assert (found.lost, found.twice) == (0, 0), found.examples


def say_all(rig: Rig, payloads: list[bytes], rounds: int) -> None:
    """Everything on every topic, and then wait until real reports get through again."""
    for _ in range(rounds):
        for topic in topics_of(rig):
            for payload in payloads:
                rig.witness.publish(topic, payload)
    rig.await_progress()


def resident_bytes(pid: int | None) -> int:
    size: int = psutil.Process(pid).memory_info().rss
    return size
