"""A fair queue of waiting tasks: what locks, semaphores and conditions are made of.

Tasks park and are woken in the order in which they came. Two needs shape the data structure: a wake-up takes the
oldest task, a cancellation takes any task out of the middle, and both must cost O(1) so that a fan-out of n waiters
stays O(n). An ``OrderedDict`` does both; a plain dict would not, because finding its first key walks over the holes
that earlier removals left.

A parked task may be moved to another lot while it sleeps (``repark``), so the way to take it out again cannot be
fixed when it goes to sleep: ``task.custom_sleep_data`` names the lot that holds it now.

A lot can be *broken* by the task that was expected to wake the others: a lock whose owner ends without releasing
it would otherwise leave its waiters asleep for ever. Each task keeps the lots it has to break when it ends.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import attrs

from wfactors.errors import BrokenResourceError
from wfactors.kernel.lowlevel import Abort, current_task, park, reschedule

if TYPE_CHECKING:
    from wfactors.kernel.task import Task

__all__ = ["ParkingLot", "ParkingLotStatistics", "add_parking_lot_breaker", "remove_parking_lot_breaker"]


@attrs.frozen
class ParkingLotStatistics:
    """What a parking lot looks like now.

    Attributes:
        tasks_waiting: How many tasks are parked.
    """

    tasks_waiting: int


class ParkingLot:
    """A queue of sleeping tasks, first come first served, that copes with cancellation.

    ``len(lot)`` is the number of parked tasks; a lot without any is false.

    Attributes:
        broken_by: The tasks that broke the lot, in order; empty while it is whole.
    """

    __slots__ = ("__weakref__", "_parked", "broken_by")

    def __init__(self) -> None:
        self._parked: OrderedDict[Task, None] = OrderedDict()
        self.broken_by: list[Task] = []

    def __len__(self) -> int:
        return len(self._parked)

    def __bool__(self) -> bool:
        return bool(self._parked)

    async def park(self, waiting_for: object = None) -> None:
        """Sleep until ``unpark`` wakes this task.

        Args:
            waiting_for: What the task says it waits for: a lock, say; the lot itself if left out.

        Raises:
            BrokenResourceError: The lot is broken, or breaks while the task sleeps in it.
        """
        if self.broken_by:
            raise BrokenResourceError(f"Attempted to park in parking lot broken by {self.broken_by}")
        task = current_task()
        self._parked[task] = None
        task.custom_sleep_data = self
        task.waiting_for = self if waiting_for is None else waiting_for
        await park(task, partial(_leave, task))

    def unpark(self, *, count: float = 1) -> list[Task]:
        """Wake the ``count`` tasks that have waited longest, or all if there are fewer.

        Args:
            count: An integer or ``math.inf``.

        Returns:
            The tasks woken, in order.

        Raises:
            ValueError: ``count`` is another float.
        """
        tasks = self._take(count)
        for task in tasks:
            reschedule(task)
        return tasks

    def unpark_all(self) -> list[Task]:
        """Wake every parked task; return them in order."""
        return self.unpark(count=len(self._parked))

    def repark(self, new_lot: ParkingLot, *, count: float = 1) -> None:
        """Move the ``count`` tasks that have waited longest to the end of another lot, without waking them.

        Raises:
            TypeError: ``new_lot`` is no parking lot.
            ValueError: ``count`` is a float other than ``math.inf``.
        """
        if not isinstance(new_lot, ParkingLot):
            raise TypeError("new_lot must be a ParkingLot")
        for task in self._take(count):
            new_lot._parked[task] = None
            task.custom_sleep_data = new_lot

    def repark_all(self, new_lot: ParkingLot) -> None:
        """Move every parked task to another lot; see ``repark``."""
        self.repark(new_lot, count=len(self._parked))

    def break_lot(self, task: Task | None = None) -> None:
        """Break the lot: parked tasks raise ``BrokenResourceError``, and so does whoever tries to park later.

        Args:
            task: Who is to blame; the current task if left out. Breaking a broken lot only notes one more.
        """
        if task is None:
            task = current_task()
        self.broken_by.append(task)
        for parked in self._take(math.inf):
            reschedule(parked, error=BrokenResourceError(f"Parking lot broken by {task}"))

    def statistics(self) -> ParkingLotStatistics:
        """Return how many tasks are parked."""
        return ParkingLotStatistics(tasks_waiting=len(self._parked))

    def _take(self, count: float) -> list[Task]:
        parked = self._parked
        if isinstance(count, float):
            if not math.isinf(count):
                raise ValueError("Cannot pop a non-integer number of tasks.")
            count = len(parked)
        return [parked.popitem(last=False)[0] for _ in range(min(count, len(parked)))]


def add_parking_lot_breaker(task: Task, lot: ParkingLot) -> None:
    """Have the lot broken when the task ends. May be asked for several times; each is undone separately.

    Raises:
        BrokenResourceError: The task has ended already.
    """
    if task.exited:
        raise BrokenResourceError("Attempted to add already exited task as lot breaker.")
    task.lots_to_break.append(lot)


def remove_parking_lot_breaker(task: Task, lot: ParkingLot) -> None:
    """Undo one ``add_parking_lot_breaker``.

    Raises:
        RuntimeError: The task was not to break this lot.
    """
    try:
        task.lots_to_break.remove(lot)
    except ValueError:
        raise RuntimeError("Attempted to remove task as breaker for a lot it is not registered for") from None


# --- Helpers ---------------------------------------------------------------------------------------------------------


def _leave(task: Task, _: object) -> Abort:
    # A module function and partial instead of a closure: this is the hot path of every contended lock.
    lot: ParkingLot = task.custom_sleep_data
    del lot._parked[task]
    return Abort.SUCCEEDED
