"""Commands: numbered on disk before they are sent, sent until answered, given up in time."""

from typing import Any

from tests.edge_node.an_edge import Edge, owning
from tests.edge_node.test_desires import reports
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Append, Asked, Disconnected, Effects, Instruct, Refused
from twin_runtime.core.limits import COMMAND_RETRY_S, COMMANDS_WAITING_MAX
from twin_runtime.core.messages import Command


def blink(number: int = 7, valid_for_s: float = 10.0, **arguments: Any) -> Asked:
    return Asked(number, Instruct("d-1", "blink", arguments, valid_for_s))


def sent(fx: Effects) -> list[Command]:
    return [
        messages.parse(messages.COMMAND, send.payload)
        for send in fx.sends
        if topics.parse(send.topic).verb == "command"
    ]


def instructed() -> Edge:
    edge = owning("d-1")
    edge.handle(reports(1))
    fx = edge.handle(blink(times=3))
    (command,) = sent(fx)
    assert (command.epoch, command.number, command.kind) == (1, 2, "blink")
    assert (command.arguments, command.valid_for_s) == ({"times": 3}, 10.0)
    assert messages.load(edge.disk["twin", "d-1"])["revision"] == 2, "the number is on the disk"
    entry = next(write for write in fx.writes if isinstance(write, Append))
    assert messages.load(entry.value)["command"] == {"kind": "blink", "arguments": {"times": 3}}
    assert fx.answers == []
    return edge


def test_its_end_is_answered_to_who_waits() -> None:
    edge = instructed()
    (answer,) = edge.handle(reports(2, "commands/blink", number=2, outcome="done")).answers
    assert (answer.number, answer.value.outcome) == (7, "done")
    edge.now_s += COMMAND_RETRY_S
    assert sent(edge.handle()) == []


def test_it_is_sent_again_with_what_is_left_of_its_time() -> None:
    edge = instructed()
    edge.now_s += COMMAND_RETRY_S
    (again,) = sent(edge.handle())
    assert (again.number, again.valid_for_s) == (2, 10.0 - COMMAND_RETRY_S)


def test_commands_are_sent_again_in_their_order() -> None:
    edge = instructed()
    edge.handle(blink(8), blink(9))
    edge.now_s += COMMAND_RETRY_S
    assert [command.number for command in sent(edge.handle())] == [2, 3, 4]


def test_who_waits_is_told_when_nobody_knows() -> None:
    edge = instructed()
    edge.handle(Disconnected())
    edge.now_s += 10.0
    (answer,) = edge.handle().answers
    assert isinstance(answer.refused, Refused)
    assert (answer.number, answer.refused.code) == (7, "no_answer")


def test_the_outcome_of_another_command_is_not_its_own() -> None:
    edge = instructed()
    assert edge.handle(reports(2, "commands/beep", number=2, outcome="done")).answers == []
    assert edge.handle(reports(3, "commands/blink", number=1, outcome="done")).answers == []


def test_a_restart_sends_no_command_again() -> None:
    edge = instructed()
    edge.start()
    edge.now_s += COMMAND_RETRY_S
    assert sent(edge.handle()) == []


def test_g7_no_more_commands_wait_than_an_edge_keeps() -> None:
    edge = instructed()
    fx = edge.handle(*(blink(number) for number in range(8, 8 + COMMANDS_WAITING_MAX)))
    (answer,) = fx.answers
    assert answer.refused is not None
    assert answer.refused.code == "busy"
