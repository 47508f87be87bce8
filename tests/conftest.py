"""What holds for every test: no guarantee goes untested in CI, no process is left behind."""

import os
import re
from collections.abc import Generator

import hypothesis
import psutil
import pytest

GUARANTEE = re.compile(r"test_g\d+_")
COMPONENT = re.compile(r"(?i)mosquitto|embedded broker|clients")  # which the set-up installs
LEFT_BEHIND_S = 2.0  # what a process that was just told to end may still need

# Shared machines are noisy: a slow example says nothing about the code.
hypothesis.settings.register_profile("diten", deadline=None, print_blob=True)
hypothesis.settings.load_profile("diten")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a test of a guarantee, or one that lacks a component, fails where it is skipped: a
    promise is not kept by not looking."""
    report = yield
    needed = GUARANTEE.match(item.name) or COMPONENT.search(str(report.longrepr))
    if os.environ.get("CI") == "true" and report.skipped and needed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must not be skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a process that it started is still there."""
    _, alive = psutil.wait_procs(started(), timeout=LEFT_BEHIND_S)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    for process in alive:
        line = f"left behind: pid {process.pid}: {' '.join(process.cmdline())[:200]}"
        if reporter is not None:
            reporter.write_line(line, red=True)
        process.kill()
    if alive:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def started() -> list[psutil.Process]:
    """Live descendants, without the servants that multiprocessing keeps until the very end."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            ended = process.status() == psutil.STATUS_ZOMBIE
            servant = any("multiprocessing" in word for word in process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if not ended and not servant:
            found.append(process)
    return found
