"""A network namespace: a machine of its own as far as the network goes, and its cable."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

IP = shutil.which("ip", path=os.defpath + ":/usr/sbin:/sbin") or "ip"
PREFIX_BITS = 30  # two machines


@dataclass(frozen=True, slots=True)
class Namespace:
    """`host` is our address at the cable, as the other end sees it; `enter` runs what follows
    it at the other end."""

    host: str
    enter: tuple[str, ...]
    cable: str

    def pull(self) -> None:
        """Pull the cable at our end: nobody is told."""
        run("link", "set", self.cable, "down")

    def plug(self) -> None:
        run("link", "set", self.cable, "up")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace that nobody else uses. Where none can be made the test is skipped, and in CI
    it fails."""
    own = os.getpid()
    name, cable = f"diten-{own}", f"dt{own}"
    # Of the addresses that stand for nobody (RFC 5737), four for each test process.
    net = f"198.51.100.{own % 64 * 4}".rpartition(".")
    host, other = (f"{net[0]}.{int(net[2]) + end}" for end in (1, 2))
    try:
        run("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        cannot = pytest.fail if os.environ.get("CI") else pytest.skip
        cannot(f"no network namespace can be made here (root may): {error}")
    try:
        run("link", "add", cable, "type", "veth", "peer", "name", "up0", "netns", name)
        run("address", "add", f"{host}/{PREFIX_BITS}", "dev", cable)
        run("link", "set", cable, "up")
        run("-n", name, "address", "add", f"{other}/{PREFIX_BITS}", "dev", "up0")
        for device in ("lo", "up0"):
            run("-n", name, "link", "set", device, "up")
        yield Namespace(host, (IP, "netns", "exec", name), cable)
    finally:
        run("netns", "delete", name)  # and the cable with it


def run(*words: str) -> None:
    subprocess.run([IP, *words], check=True, capture_output=True, text=True)
