"""All states of a world and the ways between them, up to the first that breaks a promise."""

from array import array
from collections.abc import Iterator

from tests.model import promises
from tests.model.model import Size, State, World

STATES_MAX = 3_000_000  # a mistake in the model may make it endless


class Explored:
    """All states that a world of this size can come to; `broken` says which promise one of
    them breaks, and there the search ends."""

    def __init__(self, size: Size) -> None:
        self.world = World(size)
        self.broken = ""
        first = self.world.first()
        self._numbers = {first: 0}
        self.states = [first]
        self._seen: set[tuple[int, ...]] = set()
        self._next: list[array[int]] = []
        while len(self._next) < len(self.states) and not self.broken:
            self._next.append(array("I", self._ahead(self.states[len(self._next)])))
        self._numbers.clear()  # a third of the memory

    def _ahead(self, state: State) -> Iterator[int]:
        for after in self.world.next(state):
            number = self._numbers.setdefault(after, len(self.states))
            if number == len(self.states):
                assert number < STATES_MAX, f"{self.world.size}: there is no end to it"
                self.states.append(after)
                self._check(after)
            yield number

    def _check(self, state: State) -> None:
        """Compare the disks with the promises, if they are seen for the first time."""
        if state.disks not in self._seen:
            self._seen.add(state.disks)
            self.broken = self.broken or promises.broken(self.world, state)

    def lost_for_ever(self) -> list[State]:
        """States from which no step leads to where all is well, however many are made."""
        ahead = self._well()
        saved = bytearray(len(self.states))
        for number in ahead:
            saved[number] = True
        behind = self._behind()
        while ahead:
            for number in behind[ahead.pop()]:
                if not saved[number]:
                    saved[number] = True
                    ahead.append(number)
        return [state for number, state in enumerate(self.states) if not saved[number]]

    def _well(self) -> list[int]:
        well = {
            state.disks: promises.is_well(self.world, state)
            for state in {state.disks: state for state in self.states}.values()
        }
        return [number for number, state in enumerate(self.states) if well[state.disks]]

    def _behind(self) -> "list[array[int]]":
        behind = [array("I") for _ in self.states]
        for number, ahead in enumerate(self._next):
            for each in ahead:
                behind[each].append(number)
        return behind
