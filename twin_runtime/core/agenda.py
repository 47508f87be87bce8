"""Who is due when: one time for each key, and those whose time has come, in order.

A heap of `(due_s, key)`; an entry whose time is no longer its key's is skipped when it
comes up, and all such entries are thrown out when they outnumber the keys.
"""

import heapq

_ENTRIES_PER_KEY_MAX = 2
_ENTRIES_FREE = 64  # fewer are never worth a sweep


class Agenda:
    """At most one due time for each key."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._due_s)

    @property
    def entries(self) -> int:
        """How many entries are held, outdated ones included."""
        return len(self._heap)

    def keys(self) -> list[str]:
        """The keys that are due at some time."""
        return list(self._due_s)

    def set(self, key: str, due_s: float) -> None:
        """Let `key` be due at `due_s`, and at no other time; never, if it is infinite."""
        if due_s == float("inf"):
            self._due_s.pop(key, None)
        elif self._due_s.get(key) != due_s:
            self._due_s[key] = due_s
            heapq.heappush(self._heap, (due_s, key))
        if len(self._heap) > _ENTRIES_FREE + _ENTRIES_PER_KEY_MAX * len(self._due_s):
            self._heap = [(due_s, key) for key, due_s in self._due_s.items()]
            heapq.heapify(self._heap)

    def drop(self, key: str) -> None:
        """Let `key` be due no more."""
        self._due_s.pop(key, None)

    def take(self, now_s: float, keys_max: int) -> list[str]:
        """Remove and return at most `keys_max` keys that are due, the oldest first."""
        due: list[str] = []
        while len(due) < keys_max and (next_s := self.next_s()) is not None and next_s <= now_s:
            _, key = heapq.heappop(self._heap)
            del self._due_s[key]
            due.append(key)
        return due

    def next_s(self) -> float | None:
        """When the next key is due; None: none is."""
        while self._heap and self._due_s.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
