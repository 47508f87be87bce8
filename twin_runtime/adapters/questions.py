"""Requests on their way to a machine, and who waits for their answers.

A request is an event among others; its answer comes once what was decided is on disk. A
machine that is too busy, or whose disk is full, answers late or never: nobody waits longer
than it said. What was not taken up by then is withdrawn, what was may still happen. So a
request must be one that can be repeated.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

from twin_runtime.core.effects import Answer, Asked, Event, Request
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import ANSWER_S, QUESTIONS_MAX


class Questions:
    """Asks by `push`, which puts events before the machine, and takes back by `withdraw` what
    is late; `answer` is where it answers."""

    def __init__(
        self, push: Callable[[Sequence[Event]], None], withdraw: Callable[[Event], None]
    ) -> None:
        self._push = push
        self._withdraw = withdraw
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait for their answers."""
        return len(self._waiting)

    async def ask(self, request: Request, within_s: float = ANSWER_S) -> Answer:
        """The answer, once it is done or under way, durably, or refused.

        Raises:
            Unavailable: too many wait already, or no answer came in time.
        """
        if len(self._waiting) >= QUESTIONS_MAX:
            raise Unavailable(f"{QUESTIONS_MAX} requests wait already: ask again later")
        number = next(self._numbers)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        asked = Asked(number, request)
        try:
            self._push((asked,))
            async with asyncio.timeout(within_s):
                return await answered
        except TimeoutError:
            raise Unavailable(
                f"no answer within {within_s:g} s: ask again, it does no harm"
            ) from None
        finally:
            del self._waiting[number]
            if answered.cancelled():
                self._withdraw(asked)

    def answer(self, answer: Answer) -> None:
        """Give an answer to whoever still waits for it."""
        waiting = self._waiting.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
