"""Requests wait for their answers, for a while, and not too many of them."""

import asyncio
from collections.abc import Sequence

import pytest

from twin_runtime.adapters import questions
from twin_runtime.adapters.questions import Questions
from twin_runtime.core.effects import Answer, Asked, Event, Move, Refused
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import BATCH_EVENTS_MAX
from twin_runtime.shell import Inbox

MOVE = Move("d-1", "e-2")


class Machine:
    """Hears questions, and answers when it is told to."""

    def __init__(self) -> None:
        self.heard: list[Asked] = []
        self.questions = Questions(self.hear, lambda _: None)

    def hear(self, events: Sequence[Event]) -> None:
        self.heard += [event for event in events if isinstance(event, Asked)]


def test_each_gets_the_answer_to_its_own_question() -> None:
    async def body() -> None:
        machine = Machine()
        asked = [asyncio.create_task(machine.questions.ask(MOVE)) for _ in range(2)]
        await asyncio.sleep(0)
        first, second = (asked.number for asked in machine.heard)
        assert machine.questions.waiting == 2
        machine.questions.answer(Answer(second, Refused("busy", "later")))
        machine.questions.answer(Answer(first))
        answers = await asyncio.gather(*asked)
        assert [answer.refused for answer in answers] == [None, ("busy", "later")]
        assert machine.questions.waiting == 0

    asyncio.run(body())


def test_an_answer_that_nobody_waits_for_is_let_go() -> None:
    Machine().questions.answer(Answer(7, None))


def test_nobody_waits_for_ever() -> None:
    machine = Machine()
    with pytest.raises(Unavailable, match=r"no answer within 0\.01 s: ask again"):
        asyncio.run(machine.questions.ask(MOVE, within_s=0.01))
    machine.questions.answer(Answer(machine.heard[0].number, None))


def test_g7_only_so_many_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "QUESTIONS_MAX", 1)

    async def body() -> None:
        machine = Machine()
        first = asyncio.create_task(machine.questions.ask(MOVE))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="1 requests wait already"):
            await machine.questions.ask(MOVE)
        machine.questions.answer(Answer(machine.heard[0].number, None))
        assert (await first).refused is None

    asyncio.run(body())


def test_g7_what_nobody_waits_for_any_more_does_not_pile_up_before_a_machine_that_is_held_up() -> (
    None
):
    """As long as the disk is full, no event is taken, and each request waits in vain."""

    async def body() -> None:
        inbox = Inbox()
        questions = Questions(inbox.push, inbox.withdraw)
        waiting = asyncio.create_task(questions.ask(MOVE))
        await asyncio.sleep(0)
        for _ in range(10):
            with pytest.raises(Unavailable):
                await questions.ask(MOVE, within_s=0.001)
        (still_asked,) = inbox.take(BATCH_EVENTS_MAX)
        assert still_asked == Asked(1, MOVE)
        questions.answer(Answer(1))
        await waiting

    asyncio.run(body())
