"""Everything that tasks of one workflow synchronise with, under one name: events here, limits and locks beside it.

They behave as Trio's of the same name: fair (whoever waits longest goes first), atomic under cancellation (a
cancelled ``acquire`` has acquired nothing), and every ``async`` method is a checkpoint. What differs is hidden:
waiters and borrowers are kept in order of arrival, never in a set, because replay must wake them in the same order.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import attrs

from wfactors.kernel.limits import AsyncContextManagerMixin, CapacityLimiter, CapacityLimiterStatistics, Semaphore
from wfactors.kernel.locks import Condition, ConditionStatistics, Lock, LockStatistics, StrictFIFOLock
from wfactors.kernel.lowlevel import Abort, checkpoint, current_task, park, reschedule

if TYPE_CHECKING:
    from wfactors.kernel.task import Task

__all__ = [
    "AsyncContextManagerMixin",
    "CapacityLimiter",
    "CapacityLimiterStatistics",
    "Condition",
    "ConditionStatistics",
    "Event",
    "EventStatistics",
    "Lock",
    "LockStatistics",
    "Semaphore",
    "StrictFIFOLock",
]


@attrs.frozen
class EventStatistics:
    """What an event looks like now.

    Attributes:
        tasks_waiting: How many tasks are in ``wait()``.
    """

    tasks_waiting: int


class Event:
    """Something that happens once; tasks can wait for it.

    There is no ``clear``: for something that happens again, make a new event.
    """

    __slots__ = ("__weakref__", "_flag", "_waiting")

    def __init__(self) -> None:
        self._flag = False
        self._waiting: dict[Task, None] = {}

    def __repr__(self) -> str:
        state = "set" if self._flag else f"not set, {len(self._waiting)} waiting"
        return f"<wfactors.Event at {id(self):#x}, {state}>"

    def is_set(self) -> bool:
        """Return whether it has happened."""
        return self._flag

    def set(self) -> None:
        """Let it happen, and wake every task that waits for it. Once is enough; again does nothing."""
        self._flag = True
        waiting, self._waiting = self._waiting, {}
        for task in waiting:
            reschedule(task)

    async def wait(self) -> None:
        """Wait until it has happened; at once (after a checkpoint) if it has."""
        if self._flag:
            await checkpoint()
            return
        task = current_task()
        self._waiting[task] = None
        task.waiting_for = self
        await park(task, partial(self._abort, task))

    def statistics(self) -> EventStatistics:
        """Return how many tasks wait."""
        return EventStatistics(tasks_waiting=len(self._waiting))

    def __bool__(self) -> Literal[True]:
        raise NotImplementedError("an Event has no truth value; use event.is_set()")

    def _abort(self, task: Task, _: object) -> Abort:
        del self._waiting[task]
        return Abort.SUCCEEDED
