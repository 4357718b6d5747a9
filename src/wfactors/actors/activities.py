"""The actor that runs activities on a node: those that partitions of the node assign, and those it claims itself.

::

    Activities
    |- Claims        asks the store for tasks that nobody assigned
    |- Reports       tells the store of retries, and of outcomes for partitions of other nodes
    |- Heartbeats    details of heartbeats out; is it still wanted? in
    `- attempt (each)

**Who holds what.** From ``reserve`` on a task has a place here. From ``start`` (or a claim) on it is held by this node:
nobody else runs it while the node lives. So it must be in one of these states until the store says otherwise:
*reserved* (its commit is under way), *waiting* (claimed, but a partition took the place meanwhile), *running*,
*unsettled* (its outcome is with the owner, not committed yet) or *reported* (the store is being told). A task that the
store says is held here and that is in none of them is *unknown*: an answer was lost. ``take_stock`` runs it.

An outcome given to an owner is kept until the owner says ``settle``. If the owner loses its partition first, it has
called ``disown``, and the outcome goes through the store instead.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from wfactors.actors.attempt import Attempt, Hold
from wfactors.actors.calls import ActivityCall
from wfactors.actors.capacity import Capacity
from wfactors.actors.claims import Claims
from wfactors.actors.clock import Clock
from wfactors.actors.heartbeats import Heartbeats
from wfactors.actors.reports import Reports
from wfactors.actors.verdict import Ending, Failed, Retrial, Stop, verdict
from wfactors.convert import DataPort
from wfactors.model.limits import Limits
from wfactors.model.messages import ActivityOutcome, Message
from wfactors.model.records import TaskKey, TaskRow
from wfactors.registry import Registry
from wfactors.stores.base import Store, TaskReport

if TYPE_CHECKING:
    from wfactors.telemetry.reporter import Reporter

__all__ = ["Activities", "ActivitiesStatistics", "Owner"]

_log = logging.getLogger("wfactors.activities")

# How long results may still take to reach the store when the grace period is over.
_FLUSH_SECONDS = 2.0
_COUNTED = ("started", "returned", "failed", "retried", "cancelled", "dropped")


class Owner(Protocol):
    """A partition that this node owns, as far as activities need it."""

    def receive_outcome(self, key: TaskKey, outcome: ActivityOutcome) -> None:
        """Take an outcome; a later batch records it, removes the task's row, and then calls ``Activities.settle``."""
        ...


@attrs.frozen
class ActivitiesStatistics:
    """Figures of one node.

    Attributes:
        places: How many attempts may run at once.
        running: Attempts that run.
        reserved: Places taken for tasks that are being committed.
        waiting: Tasks held here that wait for a place.
        unsettled: Outcomes given to their owners and not committed yet.
        reporting: Reports on their way to the store.
        threads: How many attempts may have a thread at once.
        threads_taken: Threads that work, or are taken for reserved tasks.
        threads_abandoned: Threads that still work although their attempts were given up.
        started: Attempts started so far.
        returned: Of those, how many returned a value.
        failed: How many failed for good.
        retried: How many failed and are tried again.
        cancelled: How many were cancelled by their workflows.
        dropped: How many were stopped by the end of the node, or lost.
        degraded_because: What keeps the store from being used, in its words; None while all is well.
    """

    places: int
    running: int
    reserved: int
    waiting: int
    unsettled: int
    reporting: int
    threads: int
    threads_taken: int
    threads_abandoned: int
    started: int
    returned: int
    failed: int
    retried: int
    cancelled: int
    dropped: int
    degraded_because: str | None


class Activities:
    """Runs activities until it is drained or cancelled.

    Args:
        store: Where tasks are claimed and reported.
        clock: The time of due dates and of schedule-to-close deadlines.
        registry: The activities that this node knows.
        data: How their arguments and results are stored.
        node: The name of this node.
        queues: The queues served.
        limits: ``activities``, ``threads`` and ``concurrency`` of it.
        owner_of: The partition of this name if this node owns it now, else None.
        hold: Kept while threads work.
        reporter: Told of each attempt.
        draw: A random number in [0, 1) for the jitter of retries.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        registry: Registry,
        data: DataPort,
        node: str,
        queues: Sequence[str],
        limits: Limits,
        owner_of: Callable[[str], Owner | None],
        hold: Hold | None = None,
        reporter: Reporter | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        served = registry.activities if limits.activities else {}
        calls = {name: ActivityCall.of(activity, data) for name, activity in served.items()}
        self._calls = calls
        self._node = node
        self._queues = frozenset(queues)
        self._owner_of = owner_of
        self._hold = hold
        self._reporter = reporter
        self._draw = draw
        needs_thread = {name: not call.is_async for name, call in calls.items()}
        self._capacity = Capacity(limits.activities, limits.threads, needs_thread, limits.concurrency)
        self._names = {name: f"activity {name}" for name in calls}
        self._reserved: dict[TaskKey, tuple[str, str]] = {}
        self._waiting: deque[TaskRow] = deque()
        self._running: dict[TaskKey, Attempt] = {}
        self._unsettled: dict[TaskKey, tuple[TaskRow, ActivityOutcome, Owner]] = {}
        # For each take_stock that reads now, the tasks that ended meanwhile: what it reads of them may be older.
        self._ended: list[set[TaskKey]] = []
        self._reports = Reports(store, self._reported)
        self._heartbeats = Heartbeats(store, node, queues, self._running, self._is_foreign)
        self._claims = Claims(store, clock, node, queues, self._capacity, self._start_claimed, self.take_stock)
        self._nursery: trio.Nursery | None = None
        self._context: Context = copy_context()
        self._is_draining = False
        self._is_stopping = False
        self._idle: trio.Event | None = None
        self._threads_abandoned = 0
        self._counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until drained.

        Cancelled, it cancels every attempt and reports nothing more: what the node still holds is for others to run,
        once the node has left.
        """
        assert self._nursery is None, "an Activities runs once"
        # What attempts see of context variables is what there was here, not what the task that starts them has.
        self._context = copy_context()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._reports.run, name="activity reports")
            nursery.start_soon(self._heartbeats.run, name="activity heartbeats")
            nursery.start_soon(self._claims.run, name="activity claims")
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._is_draining = self._is_stopping = True

    # --- For partitions of this node ---

    @property
    def free_slots(self) -> int:
        """Places for attempts that nobody has taken or reserved."""
        return 0 if self._is_draining else self._capacity.all.free

    def serves(self, queue: str, activity: str) -> bool:
        """Whether activities of this name from this queue are run here at all."""
        return queue in self._queues and activity in self._calls

    def reserve(self, key: TaskKey, partition: str, queue: str, activity: str) -> bool:
        """Take a place for a task that ``partition`` is about to assign to this node.

        True: put the row into the batch with this node as its ``node``, and call ``start`` after the commit (or
        ``unreserve`` if it never comes to that). False: the activity is not run here, or no place is free; put the row
        in without a node, for anybody to claim.
        """
        if key in self._reserved:
            return True
        if self._is_draining or queue not in self._queues or activity not in self._calls:
            return False
        if not self._capacity.take(activity):
            return False
        self._reserved[key] = (partition, activity)
        return True

    def unreserve(self, keys: Iterable[TaskKey]) -> None:
        """Give back the places of tasks that are not assigned here after all."""
        for key in keys:
            reservation = self._reserved.pop(key, None)
            if reservation is not None:
                self._give_back(reservation[1])

    def start(self, tasks: Iterable[TaskRow]) -> None:
        """Run tasks that a committed batch assigned to this node; each was reserved.

        Told twice of one, it runs it once; one that was not reserved runs when there is a place. While the node stops
        they are left alone, held by it, for others to run once it has left.
        """
        if self._is_stopping:
            return
        for task in tasks:
            if self._reserved.pop(task.key, None) is not None:
                self._spawn(task)
            elif not self._is_known(task.key) and task.key not in self._unsettled:
                self._start_claimed([task])

    def cancel(self, key: TaskKey) -> None:
        """Ask the attempt of this task to stop, if it is here; after the commit that recorded the wish."""
        attempt = self._running.get(key)
        if attempt is not None:
            attempt.ask_to_stop(Stop.CANCELLED)
            return
        for task in self._waiting:
            if task.key == key:
                self._waiting.remove(task)
                outcome = ActivityOutcome(key.run, key.call, task.attempt, is_cancelled=True)
                self._deliver(task, outcome)
                return

    def free(self, task: TaskRow) -> None:
        """Have the task of a node that is gone handed out again, unless it was reported or handed out since."""
        assert task.node is not None
        now = self._clock.now()
        self._reports.add(TaskReport(task.key, task.node, task.attempt, retry_at=now, failure=task.failure))

    def settle(self, keys: Iterable[TaskKey]) -> None:
        """The outcomes of these tasks, and the removal of their rows, are committed."""
        for key in keys:
            self._unsettled.pop(key, None)
            for ended in self._ended:
                ended.add(key)

    def disown(self, partition: str) -> None:
        """The node does not own ``partition`` any more, and nothing more of its batches is written; sync, not late.

        ``owner_of`` must say so already. Outcomes that it had not committed go through the store now.
        """
        reserved = [key for key, (owner, _) in self._reserved.items() if owner == partition]
        self.unreserve(reserved)
        for key, (task, outcome, _) in list(self._unsettled.items()):
            if task.partition == partition:
                del self._unsettled[key]
                self._deliver(task, outcome)
        for attempt in self._running.values():
            if attempt.task.partition == partition:
                self._heartbeats.watch(attempt)
        self._claims.doubt(partition)

    async def take_stock(self, partition: str) -> list[TaskRow]:
        """Compare what the store says is held of ``partition`` with what this node knows; returns what others hold.

        To be called by a new owner of the partition, once ``owner_of`` knows it: outcomes that an earlier owner here
        did not commit are given to it again, and tasks that this node holds without knowing are run. Cancelled or
        failed, it has done nothing.
        """
        ended: set[TaskKey] = set()
        self._ended.append(ended)
        try:
            held = await self._store.held_tasks(partition)
        finally:
            self._ended = [other for other in self._ended if other is not ended]
        owner = self._owner_of(partition)
        others = []
        for task in held:
            if task.node != self._node:
                others.append(task)
            elif task.key in self._unsettled:
                known, outcome, told = self._unsettled[task.key]
                if told is not owner:
                    del self._unsettled[task.key]
                    self._deliver(known, outcome)
            elif task.key in ended or self._is_known(task.key):
                continue
            elif self._claims.is_unanswered:
                # It may be what the claim under way is about to hand out: look again once that is known.
                self._claims.doubt(partition)
            else:
                _log.info("%s of %s is held here without being known: running it", task.activity, task.id)
                self._start_claimed([task])
        for task in held:
            if task.is_cancel_requested and task.node == self._node:
                self.cancel(task.key)
        return others

    # --- The end ---

    async def drain(self, grace_seconds: float) -> None:
        """Stop in order: claim nothing more, give attempts ``grace_seconds`` to end, cancel the rest, let ``run`` end.

        What was cancelled stays held by this node and is handed out again once the node has left. Cancelled, the drain
        ends where it is, ``run`` goes on without claiming, and is to be cancelled too.
        """
        self._is_draining = True
        self._claims.close()
        with trio.move_on_after(grace_seconds):
            await self._wait_until_idle()
            await self._reports.wait_empty()
        self._is_stopping = True
        self._waiting.clear()
        self.unreserve(list(self._reserved))
        for attempt in self._running.values():
            attempt.ask_to_stop(Stop.SHUTDOWN)
        await self._wait_until_idle()
        with trio.move_on_after(_FLUSH_SECONDS):
            await self._reports.wait_empty()
        assert self._nursery is not None, "drain after run has started"
        self._nursery.cancel_scope.cancel()

    async def _wait_until_idle(self) -> None:
        while self._running or self._waiting or self._reserved:
            self._idle = trio.Event()
            await self._idle.wait()
        await trio.lowlevel.checkpoint()

    # --- Attempts ---

    def _start_claimed(self, tasks: Sequence[TaskRow]) -> None:
        if self._is_stopping:
            return
        for task in tasks:
            if self._capacity.take(task.activity):
                self._spawn(task)
            else:
                self._waiting.append(task)

    def _spawn(self, task: TaskRow) -> None:
        assert self._nursery is not None, "start after run has started"
        attempt = Attempt(task, self._calls[task.activity], self._clock, self, self._hold)
        if (earlier := self._running.get(task.key)) is not None:
            # The store has handed the task out again, so it has given up what runs: its end would be refused.
            earlier.ask_to_stop(Stop.LOST)
        self._running[task.key] = attempt
        self._counts["started"] += 1
        if task.is_cancel_requested:
            attempt.ask_to_stop(Stop.CANCELLED)
        if self._is_foreign(attempt):
            self._heartbeats.watch(attempt)
        self._context.run(self._start_soon, attempt)

    def _start_soon(self, attempt: Attempt) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._attempt, attempt, name=self._names[attempt.task.activity])

    async def _attempt(self, attempt: Attempt) -> None:
        ending: Ending | None = None
        report = None if self._reporter is None else self._reporter.attempt(attempt.task, self._clock.now())
        try:
            ending = await attempt.run()
        finally:
            self._heartbeats.forget(attempt)
            if self._running.get(attempt.task.key) is attempt:
                del self._running[attempt.task.key]
            attempt.is_given_up = attempt.is_thread_alive
            if attempt.is_given_up:
                self._threads_abandoned += 1
            # First the place, then the news: what its owner does next may want it.
            self._give_back(attempt.task.activity, is_thread_alive=attempt.is_given_up)
            outcome = "dropped" if ending is None else self._conclude(attempt, ending)
            self._counts[outcome] += 1
            if report is not None:
                report.end(outcome, ending.failure if isinstance(ending, Failed) else None, self._clock.now())

    def _conclude(self, attempt: Attempt, ending: Ending) -> str:
        """Say how the attempt ended to whom it concerns; returns in which of the counts."""
        task = attempt.task
        decision = verdict(task, ending, attempt.stop, self._clock.now(), self._draw())
        if decision is None:
            return "dropped"
        if isinstance(decision, Retrial):
            self._reports.add(
                TaskReport(
                    task.key,
                    self._node,
                    task.attempt,
                    retry_at=decision.at,
                    failure=decision.failure,
                    details=attempt.details,
                )
            )
            return "retried"
        self._deliver(task, decision)
        return "cancelled" if decision.is_cancelled else "returned" if decision.failure is None else "failed"

    def _deliver(self, task: TaskRow, outcome: ActivityOutcome) -> None:
        owner = self._owner_of(task.partition)
        if owner is not None:
            self._unsettled[task.key] = (task, outcome, owner)
            owner.receive_outcome(task.key, outcome)
            return
        key = task.key
        message = Message(f"{key.instance}/{key.run}/{key.call}/outcome", task.partition, key.instance, outcome)
        self._reports.add(TaskReport(key, self._node, task.attempt, outcome=message))

    def _reported(self, group: Sequence[TaskReport]) -> None:
        for ended in self._ended:
            ended.update(report.key for report in group)
        if any(report.retry_at is not None for report in group):
            self._claims.wake()

    def _give_back(self, activity: str, *, is_thread_alive: bool = False) -> None:
        self._capacity.put_back(activity, is_thread_alive=is_thread_alive)
        self._places_freed()

    def _places_freed(self) -> None:
        if self._waiting and not self._is_stopping:
            self._start_waiting()
        self._claims.place_freed()
        if self._idle is not None and not (self._running or self._waiting or self._reserved):
            self._idle.set()

    def _start_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            task = self._waiting.popleft()
            if self._capacity.take(task.activity):
                self._spawn(task)
            else:
                self._waiting.append(task)

    def _is_foreign(self, attempt: Attempt) -> bool:
        return self._owner_of(attempt.task.partition) is None

    def _is_known(self, key: TaskKey) -> bool:
        if key in self._running or key in self._reserved or key in self._reports:
            return True
        return any(task.key == key for task in self._waiting)

    # --- The attempts' watcher ---

    def beat(self, attempt: Attempt) -> None:
        """An attempt has sent a heartbeat."""
        self._heartbeats.beat(attempt)

    def thread_ended(self, attempt: Attempt) -> None:
        """The thread of an attempt that had been given up has ended."""
        _log.info("the thread of an abandoned attempt of %s has ended", attempt.task.activity)
        self._threads_abandoned -= 1
        self._capacity.thread_ended()
        self._places_freed()

    # --- Figures ---

    def running(self) -> list[TaskRow]:
        """The tasks whose attempts run now."""
        return [attempt.task for attempt in self._running.values()]

    def statistics(self) -> ActivitiesStatistics:
        """Figures as of now."""
        return ActivitiesStatistics(
            places=self._capacity.all.places,
            running=len(self._running),
            reserved=len(self._reserved),
            waiting=len(self._waiting),
            unsettled=len(self._unsettled),
            reporting=len(self._reports),
            threads=self._capacity.threads.places,
            threads_taken=self._capacity.threads.taken,
            threads_abandoned=self._threads_abandoned,
            degraded_because=self._claims.degraded_because or self._reports.degraded_because,
            **self._counts,
        )
