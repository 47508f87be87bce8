"""What `diten doctor` says of versions: of what diten is built on, and of a Mosquitto.

pip keeps to what diten asks for; a distribution's packages, `--no-deps` and a shared
environment do not. A device's install has nothing that reads requirements, so the few
forms that diten's own take are read here.
"""

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

from deploy.doctor_finding import Finding
from twin_runtime.adapters.sqlite_store import SQLITE_VERSION

SQLITE_MIN = (3, 35)  # `ON CONFLICT` without a target
# 2.0: queue limits count QoS 0, too. 2.0.9: QoS 0 is delivered where `max_queued_bytes` is set.
MOSQUITTO_BOUNDED, MOSQUITTO_DELIVERS = (2, 0, 0), (2, 0, 9)
_RUNNING = (None, "edge", "cloud")  # the extras that processes run with
_EXTRA = re.compile(r"extra == '(\w+)'")
_BOUND = re.compile(r"(>=|<)([\d.]+)")

Numbers = tuple[int, ...]


def check_versions() -> list[Finding]:
    """Of diten, Python and SQLite, and of the libraries that are not as diten asks."""
    here = f"diten {version('diten')}, Python {platform.python_version()}, {platform.machine()}"
    return [Finding("versions", here), _sqlite(SQLITE_VERSION), _libraries()]


def check_mosquitto(said: str) -> list[Finding]:
    """Judge `mosquitto version 2.0.11`, as it says itself. What a distribution mended in an old
    version does not show there, so holes in its security are not judged."""
    numbers = _numbers(said)
    if not said.startswith("mosquitto") or numbers >= MOSQUITTO_DELIVERS:
        return []
    do = "one from 2.0.11 on, which Debian 12 has"
    if numbers >= MOSQUITTO_BOUNDED:
        costs = "where max_queued_bytes is set, as in diten.conf, it delivers no QoS 0: nothing"
        return [Finding("broker's version", said, "wrong", costs, do)]
    costs = "its queue limits do not count diten's messages (QoS 0): a client that hangs takes all"
    return [Finding("broker's version", said, "warning", costs, do)]


def _sqlite(here: str) -> Finding:
    if _numbers(here) >= SQLITE_MIN:
        return Finding("SQLite", here)
    costs = "no process can store anything: each ends at its first commit"
    return Finding("SQLite", here, "wrong", costs, "a Python built with SQLite 3.35 or newer")


def _libraries() -> Finding:
    here = {each: found for each in _requirements() if (found := _installed(_name(each)))}
    unfit = [each for each, found in here.items() if not _fits(each, _numbers(found))]
    if not unfit:
        return Finding("libraries", f"{len(here)}, each of a version that diten asks for")
    found = ", ".join(f"{_name(each)} {here[each]}" for each in unfit)
    costs = "diten was never tried with that; what fails is found out at work"
    do = f"pip install {' '.join(repr(each) for each in unfit)}"
    return Finding("libraries", found, "warning", costs, do)


def _requirements() -> list[str]:
    """`aiomqtt<3,>=2.5` and the like, each once, of whatever may run here."""
    lines = requires("diten") or []
    extras = {line: _EXTRA.search(line) for line in lines}
    running = [line for line, extra in extras.items() if (extra and extra[1]) in _RUNNING]
    return list(dict.fromkeys(line.partition(";")[0].strip() for line in running))


def _installed(name: str) -> str:
    """Its version; empty: it is not there, as a device lacks what an edge has."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _name(requirement: str) -> str:
    return re.split(r"[<>]", requirement, maxsplit=1)[0]


def _fits(requirement: str, found: Numbers) -> bool:
    bounds = _BOUND.findall(requirement)
    return all((found >= _numbers(at)) == (sign == ">=") for sign, at in bounds)


def _numbers(text: str) -> Numbers:
    """The first version in a text; of 45.0.0rc1 the part before the letters."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
