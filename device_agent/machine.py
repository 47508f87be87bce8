"""One device as a machine: samples in, reports out; told what is wanted, it obeys.

States of the way to the edge:

    no route     the outbox fills; the cloud's `assign/{twin}` (retained) ends it
    routed       new reports go out at once, as far as the window allows; all after `applied`
                 goes out again on time-out (0.5 s doubling to 8 s; progress resets it), on
                 reconnect and on a new assignment

What a restart needs is in three kinds of rows: `outbox` (one per report), `description` and
`device` (the mark, the route, what was obeyed), which rides on the next report unless it must
be durable first: commands and desired values are obeyed from disk (`duties.py`).

A command or desired value is obeyed only from the assigned edge at the current epoch.
An agent that hears of a larger session after its own was acknowledged is overtaken: by a late
report of a store that it lost, or by another agent with its id. It opens a larger one still.
Lost stores fall silent, agents answer: overtaken again and again, it halts.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

from device_agent.duties import Duties
from device_agent.pause import Pause
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Act, Acted, Effects, Note, Now, Put, Row, Sample, Send
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import (
    HEARTBEAT_PERIOD_S,
    OUTBOX_REPORTS_MAX,
    OVERTAKEN_MAX,
    REPORT_BYTES_MAX,
    RETRY_FIRST_S,
    RETRY_LAST_S,
    STRING_CHARS_MAX,
    WINDOW_REPORTS_MAX,
)
from twin_runtime.core.messages import Command, Description, ReportAck
from twin_runtime.core.outbox import ROWS, Mark, Outbox, first_session, next_session
from twin_runtime.core.shape import accepts, worst_case_bytes

NEVER = float("inf")
Said = TypeVar("Said", ReportAck, Command, messages.Desired)
DEVICE_ROW = "device"
DESCRIPTION_ROW = "description"


class DeviceMachine:
    """One device. `FleetMachine` routes events to it and wakes it by `due_s`."""

    def __init__(
        self,
        twin: str,
        description: Description,
        *,
        via: str = "",
        store_id: str = "",
        outbox_reports_max: int = OUTBOX_REPORTS_MAX,
        keep_stable_reports: int = 0,
    ) -> None:
        size = worst_case_bytes(description)
        assert size <= REPORT_BYTES_MAX, f"{twin}: described as {size} > {REPORT_BYTES_MAX} bytes"
        self.twin = twin
        self.description = description
        self.halted = ""
        self.due_s = NEVER
        self.via = via
        self._store_id = store_id
        self._new_outbox = partial(
            Outbox, twin, reports_max=outbox_reports_max, keep_stable=keep_stable_reports
        )
        self._outbox = self._new_outbox(0)
        self._edge, self._epoch = "", 0
        self._duties = Duties(twin, description.features)
        self._described = False
        self._overtaken = 0
        self._unsaved = False
        self._connected = False
        self._retry_s = RETRY_FIRST_S
        self._retry_due_s = NEVER
        self._beat_due_s = NEVER
        self._save_due_s = NEVER
        self._sent_at_s: dict[int, float] = {}
        self._pause = Pause()
        self._counters: dict[str, int] = {}
        self._spread = crc32(twin.encode()) / 2**32

    @property
    def newest_observed_ms(self) -> int | None:
        """When the newest stored report was observed; None: there is none."""
        return self._outbox.newest_observed_ms

    # --- life ---------------------------------------------------------------------------

    def restore(self, rows: list[Row], now: Now, fx: Effects) -> None:
        """Take this device's rows; report a command that a crash cut off; set desired values."""
        own = next((messages.load(row.value) for row in rows if row.kind == DEVICE_ROW), None)
        stored = [(row.key, row.value) for row in rows if row.kind == ROWS]
        self._described = self._description_row() in rows
        self._outbox = self._new_outbox(first_session(now.wall_ms, self._store_id))
        self._outbox.restore(stored, Mark(**own["mark"]) if own else None)
        if own:
            self._edge, self._epoch = own["route"]
            levels, cut_off = self._duties.restore(own)
            fx.acts += levels
            for acted in cut_off:
                self.acted(acted, now, fx)

    def connected(self, now: Now, fx: Effects) -> None:
        """The bus is up: say so, and send the window again."""
        if self.halted:
            return
        self._connected = True
        self._say(now, "online", fx)
        self._send_again(now, fx)

    def disconnected(self) -> None:
        self._connected = False
        self._retry_due_s = self._beat_due_s = NEVER
        self._reckon()

    def stop(self, now: Now, fx: Effects) -> None:
        """Announced end: save the mark, say goodbye."""
        self._save(fx)
        if self._connected:
            self._say(now, "offline", fx)

    def tick(self, now: Now, fx: Effects) -> None:
        """Do what is due: send the window again, say that we live."""
        if now.monotonic_s >= self._retry_due_s:
            self._retry_s = min(self._retry_s * 2, RETRY_LAST_S)
            self._tally("retransmissions_total", fx)
            self._send_again(now, fx)
        if now.monotonic_s >= self._beat_due_s:
            self._say(now, "online", fx)
        if now.monotonic_s >= self._save_due_s:
            self._save(fx)

    # --- reports ------------------------------------------------------------------------

    def sample(self, sample: Sample, now: Now, fx: Effects) -> None:
        """Store what was measured, and send it."""
        if self.halted:
            return
        features = self._usable(sample.features, fx)
        if features:
            self._report({"features": features}, sample.observed_ms, now, fx)
        live = self._usable(sample.live, fx)
        if live and self._connected and self._edge:
            payload = messages.dump({"v": 1, "observed_ms": sample.observed_ms, "features": live})
            fx.sends.append(Send(topics.live(self._edge, self.twin), payload))

    def _usable(self, features: Mapping[str, Any], fx: Effects) -> dict[str, Any]:
        """Undeclared names are left out, unusable values become None; both are counted."""
        usable: dict[str, Any] = {}
        for name, value in features.items():
            spec = self.description.features.get(name)
            if spec is None:
                self._tally("samples_refused_total", fx)
                continue
            fits = accepts(spec.type, value)
            if not fits:
                self._tally("samples_refused_total", fx)
            usable[name] = value if fits else None
        return usable

    def _report(self, content: dict[str, Any], observed_ms: int, now: Now, fx: Effects) -> None:
        if not self._described or self._outbox.last_seq == 0:
            content["description"] = self.description
        writes, outcome, given_up = self._outbox.append(observed_ms, content)
        fx.writes += writes
        self._tally(_OUTCOMES[outcome], fx)
        self._tally("reports_unprotected_total", fx, given_up)
        if outcome != "held" and "description" in content:
            self._described = self._unsaved = True
            fx.writes.append(Put(*self._description_row()))
        if self._unsaved or given_up:
            self._save(fx)
        if self._connected and len(self._sent_at_s) < WINDOW_REPORTS_MAX:
            self._sent_at_s.setdefault(self._outbox.last_seq, now.monotonic_s)
        self._send(now, fx, again=False)

    def _send_again(self, now: Now, fx: Effects) -> None:
        self._retry_due_s = NEVER
        self._send(now, fx, again=True)
        self._reckon()

    def _send(self, now: Now, fx: Effects, *, again: bool) -> None:
        # Asked only when it can be sent: a row that was in a window is never overwritten.
        routed = self._connected and self._edge
        rows = self._outbox.window(again=again) if routed else []
        if not rows:
            return
        payload = messages.encode_window(self._epoch, self._outbox.mark.session, rows)
        fx.sends.append(Send(topics.report(self._edge, self.twin), payload, again=again))
        if self._retry_due_s == NEVER:
            # Spread by id, so that a fleet that lost its edge does not return as one burst.
            self._retry_due_s = now.monotonic_s + self._retry_s * (1 + self._spread / 4)
            self._reckon()

    # --- what the edge and the cloud say ------------------------------------------------

    def hear(self, topic: topics.Topic, payload: bytes, now: Now, fx: Effects) -> None:
        """Take a message on one of this device's topics.

        Raises:
            MalformedMessage: it cannot be used.
        """
        if self.halted:
            return
        if topic.kind == "assign":
            self._assigned(messages.parse(messages.ASSIGNMENT, payload), now, fx)
        elif topic.verb == "ack":
            self._acknowledge(_of(topic, messages.parse(messages.ACK, payload)), now, fx)
            if (held_ms := self._outbox.held_ms) is not None:  # no other sample may ever come
                self._report({}, held_ms, now, fx)
        elif topic.verb == "command":
            self._obey(_of(topic, messages.parse(messages.COMMAND, payload)), now, fx)
        elif topic.verb == "desired":
            self._wish(_of(topic, messages.parse(messages.DESIRED, payload)), fx)
        elif topic.verb == "error":
            refusal = messages.parse(messages.REFUSAL, payload)
            self._tally("refusals_heard_total", fx)
            text = f"{self.twin}: {topic.edge} refused {refusal.pointer or 'a message'}: "
            text += f"{refusal.message} ({refusal.code})"
            fx.notes.append(Note("warning", text, self.twin, topic.edge))

    def _is_mine(self, edge: str, epoch: int) -> bool:
        return (edge, epoch) == (self._edge, self._epoch)

    def _assigned(self, assignment: messages.Assignment, now: Now, fx: Effects) -> None:
        if assignment.epoch <= self._epoch:
            return
        self._edge, self._epoch = assignment.edge, assignment.epoch
        self._unsaved = True
        self._save_due_s = now.monotonic_s  # soon; the new owner does not wait for it
        self._outbox.reassigned()
        self._retry_s = RETRY_FIRST_S
        self._send_again(now, fx)

    def _acknowledge(self, ack: ReportAck, now: Now, fx: Effects) -> None:
        stable = self._outbox.mark.stable
        self._outbox.stabilise(ack.session, ack.stable)
        self._unsaved |= self._outbox.mark.stable != stable
        if not self._is_mine(ack.edge, ack.epoch):
            self._fenced("ack", fx)
            return
        heard = self._outbox.acknowledge(ack)
        if heard in ("progress", "same"):
            self._pause.told(ack.edge, now.monotonic_s, fx)
        if heard == "renumber":
            self._renumber(ack, now, fx)
        elif heard == "progress":
            self._progress(now, fx)
        elif self._retry_s > RETRY_FIRST_S:  # it had been silent, and is back
            self._retry_s = RETRY_FIRST_S
            self._send_again(now, fx)

    def _progress(self, now: Now, fx: Effects) -> None:
        applied = self._outbox.applied or 0
        while self._sent_at_s and (seq := next(iter(self._sent_at_s))) <= applied:
            fx.observed.append(("ack_latency_seconds", now.monotonic_s - self._sent_at_s.pop(seq)))
        self._retry_s = RETRY_FIRST_S
        self._retry_due_s = NEVER
        self._send(now, fx, again=False)
        if self._outbox.outstanding and self._retry_due_s == NEVER:
            self._retry_due_s = now.monotonic_s + self._retry_s * (1 + self._spread / 4)
        self._reckon()

    def _renumber(self, ack: ReportAck, now: Now, fx: Effects) -> None:
        own = self._outbox.mark.session
        if applied := self._outbox.overtaken(ack):
            self._overtaken += 1
            if self._overtaken > OVERTAKEN_MAX:
                self._halt(ack, fx)
                return
            self._tally("reports_unprotected_total", fx, self._outbox.restate(applied))
        session = next_session(max(ack.session, own), own)
        self._tally("sessions_opened_total", fx)
        text = f"{self.twin}: opens session {session}: {ack.edge} has applied {ack.applied} of "
        text += f"session {ack.session}"
        fx.notes.append(Note("warning", text, self.twin, ack.edge, ack.epoch))
        fx.writes += self._outbox.renumber(session, self.description.model_dump(exclude_none=True))
        self._sent_at_s.clear()
        self._save(fx)
        self._send_again(now, fx)

    def _halt(self, ack: ReportAck, fx: Effects) -> None:
        self.halted = (
            f"{self.twin}: another agent with this id has opened session {ack.session} "
            f"(ours is {self._outbox.mark.session}); this one stops. "
            "Give each device an id and a data directory of its own."
        )
        fx.notes.append(Note("error", self.halted, self.twin, ack.edge, ack.epoch))
        self.disconnected()

    # --- obeying ------------------------------------------------------------------------

    def _obey(self, command: Command, now: Now, fx: Effects) -> None:
        if not self._is_mine(command.edge, command.epoch):
            self._fenced("command", fx)
            return
        match self._duties.command(command, now.monotonic_s):
            case None:
                self._fenced("command", fx)
            case Acted() as refused:
                self.acted(refused, now, fx)
            case Act() as act:
                self._save(fx)
                fx.acts.append(act)

    def _wish(self, desired: messages.Desired, fx: Effects) -> None:
        if not self._is_mine(desired.edge, desired.epoch):
            self._fenced("desired", fx)
        elif acts := self._duties.wish(desired):
            self._save(fx)
            fx.acts += acts

    def refuse(self, act: Act) -> str:
        """Why `act` cannot be carried out whatever the source says, or ''."""
        return self._duties.refuse(act)

    def acted(self, acted: Acted, now: Now, fx: Effects) -> None:
        """Report what became of a command or a desired value."""
        # A source's reason is anybody's text, but a report that is refused blocks all others.
        reason = acted.reason[:STRING_CHARS_MAX]
        outcome = {"number": acted.number, "outcome": acted.outcome, "reason": reason}
        content: dict[str, Any] = {"outcomes": {acted.path: outcome}}
        if self._duties.settle(acted):
            content["obeyed"] = self._duties.obeyed
            self._unsaved = True
        # Not a measurement: it must not move the time up to which a source has measured.
        self._report(content, self._outbox.newest_observed_ms or 0, now, fx)

    # --- small things -------------------------------------------------------------------

    def _say(self, now: Now, state: str, fx: Effects) -> None:
        status = {
            "v": 1,
            "state": state,
            "session": self._outbox.mark.session,
            "ts_ms": now.wall_ms,
            "epoch": self._epoch,
            "via": self.via,
            "counters": {**self._counters, "outbox_rows": len(self._outbox.rows)},
        }
        fx.sends.append(Send(topics.status(self.twin), messages.dump(status), retain=True))
        self._beat_due_s = now.monotonic_s + HEARTBEAT_PERIOD_S * (0.75 + self._spread / 4)
        self._reckon()

    def _save(self, fx: Effects) -> None:
        row = {
            "mark": asdict(self._outbox.mark),
            "route": (self._edge, self._epoch),
            **self._duties.row(),
        }
        fx.writes.append(Put(DEVICE_ROW, self.twin, messages.dump(row)))
        self._unsaved, self._save_due_s = False, NEVER
        self._reckon()

    def _description_row(self) -> Row:
        return Row(DESCRIPTION_ROW, self.twin, messages.encode(self.description))

    def rejected(self) -> None:
        """A message to this device could not be used; its process has counted why."""
        self._tell("rejects_by_devices_total")

    def _fenced(self, kind: str, fx: Effects) -> None:
        fx.count("fenced_total", kind)
        self._tell("fenced_by_devices_total")

    def _tally(self, counter: str, fx: Effects, by: int = 1) -> None:
        if by:
            fx.count(counter, by=by)
            self._tell(counter, by)

    def _tell(self, counter: str, by: int = 1) -> None:
        """Count what the next status says."""
        self._counters[counter] = self._counters.get(counter, 0) + by

    def _reckon(self) -> None:
        self.due_s = min(self._retry_due_s, self._beat_due_s, self._save_due_s)


def _of(topic: topics.Topic, message: Said) -> Said:
    """`message`, if the edge that it names is the speaker: a broker secures the topic alone."""
    if message.edge == topic.edge:
        return message
    raise MalformedMessage("wrong_sender", f"{topic.edge} speaks for {message.edge}", "/edge")


_OUTCOMES = {
    "stored": "reports_produced_total",
    "unprotected": "reports_produced_total",
    "coalesced": "reports_coalesced_total",
    "held": "reports_coalesced_total",
}
