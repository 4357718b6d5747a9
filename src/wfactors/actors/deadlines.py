"""Schedule-to-close of activity calls that nobody runs.

The attempt of a call keeps its deadlines itself, on whichever node it runs. A call that no node has claimed (nobody
knows the activity or serves the queue, all places are taken, it waits for its next attempt) has nobody but its
workflow's partition to tell it that its time is over. So an instance is woken at these deadlines too, and what no node
holds then is withdrawn: in one transaction the store removes the task, or marks it if a node has just claimed it.
Either way an outcome "cancelled" comes back, and since the workflow has not asked for it, it means the deadline. That
is read off the history, so a crash in between changes nothing.
"""

from __future__ import annotations

import heapq
from functools import partial
from typing import TYPE_CHECKING

import attrs

from wfactors.actors.verdict import SCHEDULE_TO_CLOSE, timeout
from wfactors.model.failures import TIMEOUT, Failure
from wfactors.model.records import TaskRow

if TYPE_CHECKING:
    from wfactors.actors.instance import Instance
    from wfactors.actors.partition import Partition

__all__ = ["Deadlines", "failure_of"]

# A call that some node holds is that node's business; but it may come back without an outcome.
_LOOK_AGAIN_SECONDS = 1.0


class Deadlines:
    """Withdraws the overdue tasks of one partition."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        # By instance and run, of those that are about to be looked at: the calls whose time is over.
        self._due: dict[tuple[str, int], set[int]] = {}

    async def read(self, instance: Instance) -> None:
        """Learn the deadlines of an instance that has just been replayed."""
        for task in await self._partition.store.tasks(instance.key, instance.header.run):
            if task.schedule_deadline is not None:
                heapq.heappush(instance.deadlines, (task.schedule_deadline, task.key.call))

    def check(self, instance: Instance, now: float) -> None:
        """See to the calls of ``instance`` whose time is over."""
        heap = instance.deadlines
        run = (instance.key, instance.header.run)
        while heap and heap[0][0] <= now:
            _, call = heapq.heappop(heap)
            if call in instance.ledger.activities:
                heapq.heappush(heap, (now + _LOOK_AGAIN_SECONDS, call))
                if run not in self._due:
                    self._due[run] = set()
                    self._partition.errands.add(partial(self._look, run))
                self._due[run].add(call)

    async def _look(self, run: tuple[str, int]) -> None:
        tasks = await self._partition.store.tasks(*run)
        calls = self._due.pop(run)
        self._withdraw([task for task in tasks if task.key.call in calls and task.node is None])

    def _withdraw(self, tasks: list[TaskRow]) -> None:
        partition = self._partition
        now = partition.clock.now()
        for task in tasks:
            if task.schedule_deadline is not None and task.schedule_deadline <= now:
                instance = partition.residents.get(task.key.instance)
                if instance is not None:
                    instance.overdue[task.key.call] = failure_of(task)
                partition.draft.tasks_cancelled.append(task.key)
                partition.wake()


def failure_of(task: TaskRow | None) -> Failure:
    """What is recorded of a call whose time was over before an attempt of it could run."""
    if task is None:
        message = "no result within schedule_to_close of the call"
        return Failure("wfactors.errors.ActivityTimeout", message, kind=TIMEOUT)
    return attrs.evolve(timeout(task, SCHEDULE_TO_CLOSE), cause=task.failure)
