"""A device obeys its edge: once, in time, and it reports what became of it."""

import json
from typing import Any

import pytest

from device_agent.machine import DeviceMachine
from tests.device_agent.a_device import (
    DESCRIPTION,
    VALVE,
    online,
    outcomes,
    windows,
)
from twin_runtime.core.effects import (
    Act,
    Acted,
    Connected,
    Put,
)
from twin_runtime.core.limits import (
    COMMANDS_OBEYING_MAX,
    DESIRED_PER_TWIN_MAX,
    STRING_CHARS_MAX,
)
from twin_runtime.core.messages import (
    Desired,
    DesiredValue,
)


def test_a_command_is_marked_obeyed_in_the_commit_before_the_act() -> None:
    device = online()
    fx = device.command(3, arguments={"speed": 1.5}, valid_for_s=4.0)
    assert fx.acts == [Act("d-1", "commands/stop", 3, {"speed": 1.5}, device.now_s + 4.0)]
    (put,) = fx.writes
    assert isinstance(put, Put)
    assert json.loads(put.value)["obeyed"] == [1, 3]


def test_a_command_is_obeyed_once_even_across_a_restart() -> None:
    device = online()
    device.command(3)
    assert device.command(3).acts == []
    assert device.command(2).acts == []
    device.start()
    device.handle(Connected())
    fx = device.command(3)
    assert fx.acts == []
    assert fx.counts[("fenced_total", "command")] == 1
    assert len(device.command(4).acts) == 1


@pytest.mark.parametrize("edge, epoch", [("e-2", 1), ("e-1", 2), ("e-2", 2)])
def test_only_the_assigned_edge_at_its_epoch_is_obeyed(edge: str, epoch: int) -> None:
    device = online()
    assert device.command(1, edge=edge, epoch=epoch).acts == []
    assert device.desire(1, value=True, edge=edge, epoch=epoch).acts == []


def test_numbers_of_commands_begin_again_with_an_epoch() -> None:
    device = online()
    device.command(9)
    device.assign("e-2", 2)
    assert len(device.command(1, edge="e-2", epoch=2).acts) == 1


def test_what_became_of_a_command_is_reported_with_its_number() -> None:
    device = online()
    device.command(3)
    fx = device.handle(Acted("d-1", "commands/stop", 3, "done"))
    assert outcomes(fx) == [("commands/stop", "done", "")]
    assert windows(fx)[0].reports[0].obeyed == (1, 3)
    assert outcomes(device.start()) == []


def test_a_command_that_a_crash_cut_off_is_reported_as_interrupted_and_not_repeated() -> None:
    device = online()
    device.command(3)
    fx = device.start()
    ((path, outcome, reason),) = outcomes(fx)
    assert (path, outcome) == ("commands/stop", "rejected")
    assert "interrupted by a restart" in reason
    assert fx.acts == []
    assert outcomes(device.start()) == []


def test_a_command_beyond_the_bound_is_rejected_with_the_reason_and_never_carried_out() -> None:
    device = online()
    for number in range(1, COMMANDS_OBEYING_MAX + 1):
        device.command(number)
    fx = device.command(number := COMMANDS_OBEYING_MAX + 1)
    reason = f"{COMMANDS_OBEYING_MAX} commands are unfinished: wait until one has ended"
    assert fx.acts == []
    assert outcomes(fx) == [("commands/stop", "rejected", reason)]
    assert windows(fx)[0].reports[0].obeyed == (1, number)
    again = device.command(number)
    assert (again.acts, outcomes(again)) == ([], [])
    device.handle(Acted("d-1", "commands/stop", 7, "done"))
    assert len(device.command(number + 1).acts) == 1
    cut_off = outcomes(device.start())
    assert len(cut_off) == COMMANDS_OBEYING_MAX
    assert all("interrupted by a restart" in why for _, _, why in cut_off)


def test_an_answer_to_an_earlier_command_leaves_the_current_one_open() -> None:
    device = online()
    device.command(3)
    device.command(4)
    device.handle(Acted("d-1", "commands/stop", 3, "done"))
    ((_, outcome, _),) = outcomes(device.start())
    assert outcome == "rejected"


def test_a_reason_longer_than_a_text_may_be_does_not_block_the_reports() -> None:
    device = online()
    fx = device.handle(Acted("d-1", "commands/stop", 1, "rejected", "x" * 1_000))
    (window,) = windows(fx)
    assert window.reports[0].outcomes["commands/stop"].reason == "x" * STRING_CHARS_MAX


def test_a_desired_value_is_carried_out_once_and_again_after_every_start() -> None:
    device = online()
    act = Act("d-1", VALVE, 5, value=True)
    assert device.desire(5, value=True).acts == [act]
    assert device.desire(5, value=True).acts == []
    assert device.desire(4, value=False).acts == []
    assert device.start().acts == [act]


def test_a_new_owner_is_obeyed_though_its_revisions_are_lower() -> None:
    device = online()
    device.desire(20, value=True)
    device.assign("e-2", 2)
    fx = device.desire(15, value=False, edge="e-2", epoch=2)
    assert fx.acts == [Act("d-1", VALVE, 15, value=False)]


def test_a_device_remembers_a_bounded_number_of_desired_values() -> None:
    device = online()
    for number in range(1, DESIRED_PER_TWIN_MAX + 10):
        entries = {f"features/f{number}/value": DesiredValue(number=number, value=1)}
        device.hear("desired", Desired(edge="e-1", epoch=1, entries=entries))
    remembered = json.loads(device.disk["device", "d-1"])["desired"]
    assert len(remembered) == DESIRED_PER_TWIN_MAX
    assert f"features/f{DESIRED_PER_TWIN_MAX + 9}/value" in remembered


@pytest.mark.parametrize(
    "path, value, reason",
    [
        (VALVE, True, ""),
        (VALVE, 1, "takes a boolean"),
        ("features/level_m/value", 1.0, "not writable"),
        ("features/gone/value", 1.0, "not writable"),
        ("commands/stop", {}, ""),
        ("attributes/site", "x", "not a desired path"),
    ],
)
def test_what_no_source_could_do_is_refused(path: str, value: Any, reason: str) -> None:
    assert reason in DeviceMachine("d-1", DESCRIPTION).refuse(Act("d-1", path, 1, value))
