"""What people ask of an edge's twins: edits, blobs, commands, and when all of it is stable.

Each change is the twin's next revision, is written with its row and, but for blobs, has an
entry of its own in the history. It is answered after that commit. A twin that moves takes no
change for that moment, and a twin that is elsewhere none at all.
"""

from edge_node.twins import Twins
from twin_runtime.core import edit, guard
from twin_runtime.core import twin as core
from twin_runtime.core.effects import (
    Answer,
    Attach,
    AwaitStable,
    Edit,
    Edited,
    Effects,
    Guard,
    Instruct,
    Now,
    Refused,
    Request,
)
from twin_runtime.core.limits import BLOBS_PER_TWIN_MAX, QUESTIONS_MAX
from twin_runtime.core.orders import Stable
from twin_runtime.core.thing import thing_of
from twin_runtime.core.twin import Twin


class Writes:
    """Answers requests about `twins`."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins
        self._waiting: dict[int, AwaitStable] = {}  # by the number of the question, oldest first

    def answer(self, number: int, request: Request, now: Now, fx: Effects) -> None:
        """Do what is asked; its answer comes with the effects, or later."""
        match request:
            case Edit():
                fx.answers.append(self._edit(number, request, now, fx))
            case Attach():
                fx.answers.append(self._attach(number, request, now))
            case Instruct():
                self._instruct(number, request, now, fx)
            case AwaitStable():
                self._await(number, request, fx)

    def _edit(self, number: int, wanted: Edit, now: Now, fx: Effects) -> Answer:
        before = self._twins.writable(wanted.twin)
        if isinstance(before, Refused):
            return self._refused(number, before, fx)
        tag = self._tag(before, wanted)
        if isinstance(tag, Refused):
            return self._refused(number, tag, fx)
        after = edit.edit(before, wanted, now.wall_ms)
        if isinstance(after, Refused):
            return self._refused(number, after, fx)
        fx.count("edits_total", "unchanged" if after is before else "changed")
        if after is not before:
            after = self._twins.change(after, now)
            self._twins.past.edited(after, now.wall_ms)
        made = self._tag(after, wanted._replace(guard=Guard()))
        assert not isinstance(made, Refused), "nothing was asked of it"
        document = self._twins.shown(after).encode()
        edited = Edited(after.epoch, after.revision, made or "", document, is_new=tag is None)
        return Answer(number, value=edited)

    def _refused(self, number: int, refused: Refused, fx: Effects) -> Answer:
        fx.count("edits_total", "refused")
        return Answer(number, refused)

    def _tag(self, twin: Twin, wanted: Edit) -> str | Refused | None:
        """The tag of what is to be written, if the conditions hold."""
        document = self._twins.shown(twin).document()
        thing = thing_of(document, wanted.site)
        tag = guard.tag_of(document, thing, wanted.path)
        return guard.unmet(thing, tag, wanted.guard) or tag

    def _attach(self, number: int, wanted: Attach, now: Now) -> Answer:
        """Let a twin refer to a blob by a name, or to none by that name."""
        twin_id, name, ref = wanted
        twin = self._twins.writable(twin_id)
        if isinstance(twin, Refused):
            return Answer(number, twin)
        if ref is None and name not in twin.blobs:
            return Answer(number, Refused("unknown_blob", f"{twin_id} has no blob {name!r}"))
        if twin.blobs.get(name) != ref:
            changed = core.attach(twin, name, ref)
            if changed is None:
                text = f"{twin_id} refers to {BLOBS_PER_TWIN_MAX} blobs already: remove one of them"
                return Answer(number, Refused("too_many_blobs", text))
            twin = self._twins.change(changed, now)
            self._twins.past.attached(twin, now.wall_ms)
            self._twins.blobs.refer(twin_id, twin.blobs)
        return Answer(number, value=self._twins.shown(twin).encode())

    def _instruct(self, number: int, wanted: Instruct, now: Now, fx: Effects) -> None:
        twin = self._twins.writable(wanted.twin)
        if isinstance(twin, Refused):
            fx.answers.append(Answer(number, twin))
        elif self._twins.commands.is_full:
            busy = Refused("busy", "too many commands wait for their devices: ask again later")
            fx.answers.append(Answer(number, busy))
        else:
            twin = self._twins.change(twin._replace(revision=twin.revision + 1), now)
            self._twins.past.instructed(twin, wanted, now.wall_ms)
            self._twins.commands.begin(number, twin, wanted, now.monotonic_s)

    def _await(self, number: int, wanted: AwaitStable, fx: Effects) -> None:
        """Answer once the cloud has a checkpoint, and let it have one now."""
        twin = self._twins.writable(wanted.twin)
        if isinstance(twin, Refused):
            fx.answers.append(Answer(number, twin))
            return
        self._waiting[number] = wanted
        if len(self._waiting) > QUESTIONS_MAX:  # no more can wait: the oldest has given up
            del self._waiting[next(iter(self._waiting))]
        self._twins.checkpoint_soon(wanted.twin)

    def expire(self, now: Now) -> None:
        """Wishes whose time is up are wanted no more."""
        for twin_id, path, epoch, number in self._twins.desires.expired(now.monotonic_s):
            twin = self._twins.writable(twin_id)
            if isinstance(twin, Refused) or twin.epoch != epoch:
                continue
            after = edit.expire(twin, path, number)
            if after is not None:
                after = self._twins.change(after, now)
                self._twins.past.edited(after, now.wall_ms)

    def stabilised(self, order: Stable, fx: Effects) -> None:
        """The cloud has stored checkpoints: tell who waits for them. A later epoch proves nothing:
        it may have begun from a checkpoint before the write."""
        if not self._waiting:
            return
        reached = {mark.twin: (mark.epoch, mark.revision) for mark in order.marks}
        for number, wanted in list(self._waiting.items()):
            epoch, revision = reached.get(wanted.twin, (0, 0))
            if epoch == wanted.epoch and revision >= wanted.revision:
                del self._waiting[number]
                fx.answers.append(Answer(number))
