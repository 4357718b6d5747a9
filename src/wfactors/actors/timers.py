"""The nearest timers of a partition.

The heap holds the deadlines of resident instances and a window of the earliest ``wake_at`` in the store; the rest stays
in the store until the window has come that far. Entries are not removed when a deadline moves: one that comes too early
finds nothing due, and then the instance's next deadline takes its place.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

import trio

from wfactors.actors.instance import Instance, State
from wfactors.actors.mail import Mail, TimerDue

if TYPE_CHECKING:
    from wfactors.actors.partition import Partition

__all__ = ["Timers"]

_WINDOW = 256
_LOOK_AGAIN_SECONDS = 0.01


class Timers:
    """Wakes the instances of one partition when their time comes."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._heap: list[tuple[float, str]] = []
        # The earliest entry of each instance; later ones in the heap are old.
        self._next: dict[str, float] = {}
        self._window_end = -math.inf
        self._refills = 0
        self._sleeping = trio.CancelScope()
        self._fired: set[str] = set()
        self._look_again_at = -math.inf

    def __len__(self) -> int:
        return len(self._next)

    def push(self, at: float, key: str) -> None:
        """Wake the instance ``key`` at ``at``, or when it was to be woken before, if that is earlier."""
        if at >= self._next.get(key, math.inf):
            # Once that entry has come, the instance says when it next wants to be woken.
            return
        if not self._heap or at < self._heap[0][0]:
            self._sleeping.cancel()
        self._next[key] = at
        heapq.heappush(self._heap, (at, key))

    async def run(self) -> None:
        """Deliver what becomes due until cancelled."""
        while True:
            is_held_back = await self._fill()
            deadline = self._look_again_at if is_held_back else math.inf
            with trio.CancelScope(deadline=deadline) as self._sleeping:
                next_at = self._heap[0][0] if self._heap else math.inf
                if not is_held_back:
                    next_at = min(next_at, self._window_end)
                if next_at == math.inf:
                    await trio.sleep_forever()
                await self._partition.clock.sleep_until(next_at)
            self._fire(self._partition.clock.now())

    async def _fill(self) -> bool:
        """Take the next window of wake-ups from the store, once the last one is used up.

        True if that has to wait: what was fired stays due in the store until its turn is committed, so while most of a
        window is on its way another reading would bring the same again. It also bounds how many are woken at once when
        very many are overdue.
        """
        if self._window_end > self._partition.clock.now():
            return False
        if trio.current_time() < self._look_again_at:
            return True
        partition = self._partition
        residents = partition.residents
        self._fired = {
            key for key in self._fired if (instance := residents.get(key)) is not None and not instance.is_settled
        }
        if len(self._fired) > _WINDOW // 2:
            self._look_again_at = trio.current_time() + _LOOK_AGAIN_SECONDS
            return True
        refills = self._refills
        wakes = await partition.store.wakes(partition.name, math.inf, _WINDOW)
        for wake in wakes:
            if wake.instance not in partition.residents:
                self.push(wake.at, wake.instance)
        if refills == self._refills:
            self._window_end = wakes[-1].at if len(wakes) == _WINDOW else math.inf
        return False

    def refill(self) -> None:
        """Somebody else may have added wake-ups: look again."""
        self._refills += 1
        self._window_end = -math.inf
        self._sleeping.cancel()

    def _fire(self, now: float) -> None:
        partition, heap = self._partition, self._heap
        while heap and heap[0][0] <= now:
            at, key = heapq.heappop(heap)
            if self._next.get(key) != at:
                continue
            del self._next[key]
            instance = partition.residents.get(key)
            if instance is None or (instance.state is State.READY and _is_due(instance, at, now)):
                self._fired.add(key)
                partition.deliver_to(key, Mail(TimerDue(at)))
            elif instance.state is State.READY and instance.wake_at is not None:
                self.push(instance.wake_at, key)


def _is_due(instance: Instance, at: float, now: float) -> bool:
    return instance.wake_at is not None and (instance.wake_at <= now or instance.wake_at == at)
