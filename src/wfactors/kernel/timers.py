"""The deadlines of a scheduler: which is next, which have passed, and what changed since somebody last asked.

The heap is lazy: a deadline that is disarmed stays in it as a stale entry, known by its serial number, until it comes
to the top or the stale ones outnumber the live ones.

To the outside a deadline is a *timer* with a number of its own. Only what holds at quiescence counts: a deadline that
came and went in between was nobody's business, so the history of a workflow that uses timeouts around quick things
stays short.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wfactors.kernel.scopes import CancelScope

__all__ = ["TimerChange", "Timers"]

# Below this size a heap is not worth being compacted.
_COMPACT_MIN = 64


class TimerChange(NamedTuple):
    """A timer was armed, or one that had been reported was disarmed.

    Attributes:
        timer: Its number, from 0 in the order in which timers were reported.
        at: When it is due; None if it was disarmed.
    """

    timer: int
    at: float | None


class Timers:
    """The armed deadlines of a scheduler's active scopes."""

    __slots__ = ("_active", "_changed", "_heap", "_numbers", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, CancelScope]] = []
        self._serial = 0
        self._active = 0
        self._numbers = 0
        # Scopes whose reported timer is not (or may not be) what they have now, in the order of the changes.
        self._changed: dict[CancelScope, None] = {}

    def __len__(self) -> int:
        return self._active

    @property
    def is_changed(self) -> bool:
        """Whether a deadline was set or taken back since ``take_changes`` was called last."""
        return bool(self._changed)

    @property
    def moved(self) -> list[CancelScope]:
        """The scopes whose deadlines may have changed since ``take_changes`` was called last."""
        return list(self._changed)

    def arm(self, scope: CancelScope, at: float) -> None:
        """Set the only deadline of ``scope``, in place of the one it had."""
        if scope._serial:
            self._active -= 1
        self._serial += 1
        scope._serial = self._serial
        self._active += 1
        heappush(self._heap, (at, self._serial, scope))
        self._changed[scope] = None
        if len(self._heap) > 2 * self._active + _COMPACT_MIN:
            self._heap = [entry for entry in self._heap if entry[2]._serial == entry[1]]
            heapify(self._heap)

    def disarm(self, scope: CancelScope) -> None:
        """Forget the deadline of ``scope``, which must be armed."""
        scope._serial = 0
        self._active -= 1
        if scope._timer < 0:
            self._changed.pop(scope, None)
        else:
            self._changed[scope] = None

    def next_deadline(self) -> float:
        """Return the earliest deadline, or ``inf``."""
        heap = self._heap
        while heap:
            at, serial, scope = heap[0]
            if scope._serial == serial:
                return at
            heappop(heap)
        return inf

    def expire(self, now: float) -> None:
        """Cancel every scope whose deadline is ``now`` or earlier, in the order (deadline, time of arming)."""
        # self._heap is read anew each time: a cancellation may arm others.
        while self._heap and self._heap[0][0] <= now:
            at, serial, scope = heappop(self._heap)
            if scope._serial == serial:
                if scope._timer >= 0 and scope._timer_at == at:
                    # It fired as it was reported: there is nothing to take back.
                    scope._timer = -1
                scope.cancel()

    def take_changes(self) -> list[TimerChange]:
        """Return what changed since the last call, in the order in which it did."""
        changes: list[TimerChange] = []
        for scope in self._changed:
            at = scope._deadline if scope._serial else None
            if scope._timer >= 0:
                if at == scope._timer_at:
                    continue
                changes.append(TimerChange(scope._timer, None))
                scope._timer = -1
            if at is not None:
                scope._timer = self._numbers
                scope._timer_at = at
                self._numbers += 1
                changes.append(TimerChange(scope._timer, at))
        self._changed.clear()
        return changes

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._changed.clear()
