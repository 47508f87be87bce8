"""Commands on their way to devices, and who waits for what becomes of them.

A command's number is the revision of the twin that was committed for it, before it is sent.
It is sent again until the device reports its end or its time is up; a device obeys a number
at most once, and none below one that it has obeyed. So a command may be carried out once,
or never, and then its sender is told that nobody knows. After a restart nobody waits for it
any more, and it is not sent again.
"""

from collections.abc import Iterable
from typing import NamedTuple

from twin_runtime.core import messages, topics
from twin_runtime.core.agenda import Agenda
from twin_runtime.core.effects import Answer, Effects, Instruct, Refused, Send
from twin_runtime.core.limits import COMMAND_RETRY_S, COMMANDS_WAITING_MAX
from twin_runtime.core.messages import Command, StateReport
from twin_runtime.core.twin import Twin


class _Sent(NamedTuple):
    question: int
    twin: Twin
    wanted: Instruct
    expires_s: float


class Commands:
    """The commands whose end is not reported yet, by twin and number."""

    def __init__(self, edge: str) -> None:
        self._edge = edge
        self._sent: dict[str, _Sent] = {}
        self._due = Agenda()
        self.connected = False

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def is_full(self) -> bool:
        """Whether no more can be waited for."""
        return len(self._sent) >= COMMANDS_WAITING_MAX

    def begin(self, question: int, twin: Twin, wanted: Instruct, now_s: float) -> None:
        """Send a command with the number of the twin's revision, once that is committed."""
        key = f"{twin.twin}/{twin.revision}"
        self._sent[key] = _Sent(question, twin, wanted, now_s + wanted.valid_for_s)
        self._due.set(key, now_s)

    def ended(self, twin_id: str, reports: Iterable[StateReport], fx: Effects) -> None:
        """A device reports what became of commands: tell who waits."""
        for report in reports:
            for path, outcome in report.outcomes.items():
                key = f"{twin_id}/{outcome.number}"
                sent = self._sent.get(key)
                if sent is not None and path == f"commands/{sent.wanted.kind}":
                    fx.count("commands_total", outcome.outcome)
                    self._end(key, Answer(sent.question, value=outcome), fx)

    def settle(self, now_s: float, fx: Effects) -> None:
        """Send what is due, in the order of its numbers; give up what is out of time."""
        if not self._sent:
            return
        for key in sorted(self._due.take(now_s, COMMANDS_WAITING_MAX), key=self._number):
            sent = self._sent[key]
            if now_s >= sent.expires_s:
                text = f"no answer within {sent.wanted.valid_for_s:g} s: whether it was carried"
                fx.count("commands_total", "no_answer")
                refused = Refused("no_answer", f"{text} out is not known")
                self._end(key, Answer(sent.question, refused), fx)
                continue
            if self.connected:
                fx.sends.append(self._said(sent, sent.expires_s - now_s))
            self._due.set(key, min(now_s + COMMAND_RETRY_S, sent.expires_s))
        next_s = self._due.next_s()
        if next_s is not None:
            fx.wake_by(next_s - now_s)

    def _end(self, key: str, answer: Answer, fx: Effects) -> None:
        del self._sent[key]
        self._due.drop(key)
        fx.answers.append(answer)

    def _number(self, key: str) -> int:
        return self._sent[key].twin.revision

    def _said(self, sent: _Sent, valid_for_s: float) -> Send:
        command = Command(
            edge=self._edge,
            epoch=sent.twin.epoch,
            number=sent.twin.revision,
            kind=sent.wanted.kind,
            arguments=dict(sent.wanted.arguments),
            valid_for_s=valid_for_s,
        )
        return Send(topics.down(sent.twin.twin, self._edge, "command"), messages.encode(command))
