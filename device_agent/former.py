"""A device that an agent had before it was started with another list of devices.

What an edge acknowledged of it is safe from the loss of that edge only while somebody can send
it again. So it is run as the others are, but for what only a source could do: nothing is
measured, and what is wanted of it is refused. Once the cloud holds all of its reports, it is
forgotten.
"""

from device_agent.machine import DESCRIPTION_ROW, DEVICE_ROW, DeviceMachine
from twin_runtime.core.effects import Act, Delete, Effects, Note, Now, Row
from twin_runtime.core.messages import ReportAck

NOT_HERE = "the agent of this device is not asked to run it any more"


class FormerDevice(DeviceMachine):
    """One of them.

    Attributes:
        gone: it owes nothing, and its rows are deleted by the effects that it said so with.
    """

    gone = False

    @property
    def newest_observed_ms(self) -> None:
        """No source goes on from here."""
        return

    def restore(self, rows: list[Row], now: Now, fx: Effects) -> None:
        """Take its rows; what was wanted of it is not set again."""
        acts = len(fx.acts)
        super().restore(rows, now, fx)
        del fx.acts[acts:]
        if held := len(self._outbox.rows):
            text = f"{self.twin} is no device of this agent any more: {held} of its reports are "
            fx.notes.append(Note("info", text + "kept until the cloud holds them", self.twin))

    def tick(self, now: Now, fx: Effects) -> None:
        """Do what is due; be gone if nothing is owed, a heartbeat after that was said."""
        if now.monotonic_s >= self._beat_due_s and not self._outbox.rows:
            fx.writes += self._outbox.deleted()
            fx.writes += (Delete(kind, self.twin) for kind in (DEVICE_ROW, DESCRIPTION_ROW))
            self.gone = True
            self.disconnected()
        else:
            super().tick(now, fx)

    def refuse(self, act: Act) -> str:
        """Nothing can be carried out without its source."""
        del act
        return NOT_HERE

    def _say(self, now: Now, state: str, fx: Effects) -> None:
        del state  # it has no source to be online with
        super()._say(now, "offline", fx)

    def _renumber(self, ack: ReportAck, now: Now, fx: Effects) -> None:
        if ack.session > self._outbox.mark.session:
            # Whoever runs the device now has more to say of it.
            self._halt(ack, fx)
        else:
            super()._renumber(ack, now, fx)
