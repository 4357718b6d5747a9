"""A heap whose entries may die inside it: a sorted index for entries that mostly leave from the front.

Removing from the middle of a sorted list moves everything behind it, and a heap cannot remove from the middle at all.
So nothing is removed: whoever owns the heap says whether an entry is still true, dead ones are dropped when they
come to the front, and the heap is rebuilt once more than half of it may be dead. Each operation is O(log n), amortised.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LazyHeap"]

Entry = TypeVar("Entry", bound=tuple[Any, ...])

_REBUILD_MIN = 64


class LazyHeap(Generic[Entry]):
    """Entries in order, of which those count for which ``is_live`` holds.

    An entry may be pushed again while an equal one is inside; it counts once.
    """

    __slots__ = ("_dead_max", "_entries", "_is_live")

    def __init__(self, is_live: Callable[[Entry], bool]) -> None:
        self._entries: list[Entry] = []
        self._is_live = is_live
        # How many may be dead: an upper bound, since a dead entry can become true again.
        self._dead_max = 0

    def push(self, entry: Entry) -> None:
        """Add a live entry."""
        heapq.heappush(self._entries, entry)

    def forget(self) -> None:
        """Say that an entry has died somewhere inside."""
        self._dead_max += 1
        if self._dead_max > _REBUILD_MIN and self._dead_max * 2 > len(self._entries):
            # A sorted list is a heap.
            self._entries = sorted({entry for entry in self._entries if self._is_live(entry)})
            self._dead_max = 0

    def first(self) -> Entry | None:
        """The least live entry, which stays; None if there is none."""
        entries = self._entries
        while entries:
            if self._is_live(entries[0]):
                return entries[0]
            heapq.heappop(entries)
            self._dead_max = max(0, self._dead_max - 1)
        return None

    def in_order(self) -> Iterator[Entry]:
        """Live entries from the least on, each once, without removing them; n of them cost O(n log n).

        The heap must not be changed meanwhile.
        """
        self.first()
        entries = self._entries
        # The heap's own tree, walked best first: the next entry is always a child of one already seen.
        front = [(entries[0], 0)] if entries else []
        last: Entry | None = None
        while front:
            entry, index = heapq.heappop(front)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(entries):
                    heapq.heappush(front, (entries[child], child))
            if entry != last and self._is_live(entry):
                yield entry
            last = entry
