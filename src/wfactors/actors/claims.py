"""How a node gets the activity tasks that no partition assigned to it: by asking the store, only when it may have some.

The store is asked when a queue says that something happened, when the next task becomes due, and when a place has
become free after there had been too few; never in between.

**What a lost answer leaves behind.** A claim whose answer never came may have been carried out: tasks are held by this
node then, which does not know of them, and since the node lives nobody would ever hand them out again. The same after
a commit that assigned tasks here whose acknowledgement was lost with its partition. So after every claim that failed,
and for every partition that was lost, the node *takes stock*: it reads what it is said to hold, and runs what it does
not know.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import trio

from wfactors.actors.capacity import Capacity
from wfactors.actors.clock import Clock
from wfactors.errors import LeaseLost, StoreError
from wfactors.model.records import TaskRow
from wfactors.pace import Pace
from wfactors.stores.base import Store
from wfactors.stores.changes import Subscription, tasks_topic

__all__ = ["Claims"]

_log = logging.getLogger("wfactors.activities")

_TASKS_AT_ONCE = 64
_TASKS_MAX = 500
_RETRY_SECONDS_FIRST = 0.1
_RETRY_SECONDS_MAX = 5.0
# With many places, those that become free one after another are filled with one claim.
_GATHER_SECONDS = 0.005
_PAUSE_SECONDS_MAX = 0.25
_GATHER_SHARE = 10


class Claims:
    """Claims tasks for one node.

    Args:
        store: Where from.
        clock: Decides which tasks are due.
        node: The name of this node.
        queues: The queues served.
        capacity: What is free, and which activities there are.
        start: Given the tasks claimed, synchronously.
        take_stock: Reads and settles what this node is said to hold of a partition.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: str,
        queues: Sequence[str],
        capacity: Capacity,
        start: Callable[[Sequence[TaskRow]], None],
        take_stock: Callable[[str], Awaitable[object]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._queues = tuple(queues)
        self._capacity = capacity
        self._start = start
        self._take_stock = take_stock
        self._notice = Subscription()
        self._is_short = False
        self._pause_seconds = _GATHER_SECONDS
        self._is_closed = False
        self._is_answer_lost = False
        self._in_doubt: dict[str, None] = {}  # In order, unlike a set: a simulation must be repeatable.
        self._degraded_because: str | None = None

    @property
    def degraded_because(self) -> str | None:
        """The store's words while nothing can be claimed; None while all is well."""
        return self._degraded_because

    @property
    def is_unanswered(self) -> bool:
        """Whether the store may have handed out tasks that this node has not heard of."""
        return self._is_answer_lost

    def place_freed(self) -> None:
        """An attempt gave its place back."""
        if self._is_short:
            self._notice.notify()

    def wake(self) -> None:
        """There may be tasks, or the next one may be due earlier than it was."""
        self._notice.notify()

    def doubt(self, partition: str) -> None:
        """Take stock of a partition soon: what it had assigned here may or may not have been written."""
        self._in_doubt[partition] = None
        self._notice.notify()

    def close(self) -> None:
        """Claim nothing more."""
        self._is_closed = True

    async def run(self) -> None:
        """Claim until cancelled; raises LeaseLost when the store says that the node is gone.

        Cancelled while the store hands out tasks, some may be held here without being known: the node must leave the
        cluster then, which frees them.
        """
        delay = 0.0
        with self._store.changes.subscribe(*map(tasks_topic, self._queues)) as self._notice:
            while True:
                try:
                    await self._settle_doubts()
                    due_at = None if self._is_closed else await self._claim_all()
                except LeaseLost:
                    # The node was taken for dead, and nobody else would say so before it renews its lease.
                    raise
                except StoreError as error:
                    self._degrade(error)
                    delay = min(max(delay * 2, _RETRY_SECONDS_FIRST), _RETRY_SECONDS_MAX)
                    await trio.sleep(delay)
                    continue
                self._recover()
                delay = 0.0
                await self._wait(due_at)

    async def _claim_all(self) -> float | None:
        """Claim until nothing is due or no place is free; returns when the next task is due, None if none is known."""
        while True:
            self._is_short = True  # What becomes free while the store is asked must not go unnoticed.
            names: set[str] = set()
            is_more = has_claimed = False
            for offer in self._capacity.offers():
                limit = min(offer.limit, _TASKS_MAX)
                claimed = await self._claim(offer.activities, limit)
                has_claimed = has_claimed or claimed > 0
                if claimed < limit:
                    names |= offer.activities
                elif limit < offer.limit:
                    is_more = True
            if not is_more:
                break
        self._is_short = names != self._capacity.activities
        due_at = await self._store.next_task_at(self._by_queue(names)) if names else None
        # A task that is due and was not handed out all the same (it came between claim and question, its row cannot be
        # read, somebody's clock) is no reason to ask without a pause, and less and less of one.
        is_stuck = due_at is not None and due_at <= self._clock.now() and not has_claimed
        self._pause_seconds = min(2 * self._pause_seconds, _PAUSE_SECONDS_MAX) if is_stuck else _GATHER_SECONDS
        return due_at

    async def _claim(self, activities: frozenset[str], limit: int) -> int:
        """Claim at most ``limit`` tasks and start them; returns how many there were."""
        # Up until the last is started: what the store says is held here may be one of them.
        self._is_answer_lost = True
        tasks = await self._store.claim(self._node, self._by_queue(activities), self._clock.now(), limit)
        pace = Pace()
        for start in range(0, len(tasks), _TASKS_AT_ONCE):
            self._start(tasks[start : start + _TASKS_AT_ONCE])
            await pace.keep()
        self._is_answer_lost = False
        return len(tasks)

    def _by_queue(self, activities: set[str] | frozenset[str]) -> dict[str, list[str]]:
        names = sorted(activities)
        return dict.fromkeys(self._queues, names)

    async def _wait(self, due_at: float | None) -> None:
        if due_at is None:
            await self._notice.wait()
        else:
            await self._wait_until(due_at)
        if self._is_short and 0 < self._capacity.all.free * _GATHER_SHARE < self._capacity.all.places:
            await trio.sleep(_GATHER_SECONDS)

    async def _wait_until(self, at: float) -> None:
        """Return at that time, or when there is a notice."""
        async with trio.open_nursery() as nursery:

            async def alarm() -> None:
                await self._clock.sleep_until(max(at, self._clock.now() + self._pause_seconds))
                nursery.cancel_scope.cancel()

            nursery.start_soon(alarm, name="the next activity task is due")
            await self._notice.wait()
            nursery.cancel_scope.cancel()

    # --- Doubts ---

    async def _settle_doubts(self) -> None:
        if self._is_answer_lost:
            # All of them: a task's queue need not be that of the workflow which called it.
            self._in_doubt.update(dict.fromkeys(row.partition for row in await self._store.partitions()))
            self._is_answer_lost = False
        while self._in_doubt:
            partition = next(iter(self._in_doubt))
            await self._take_stock(partition)
            self._in_doubt.pop(partition, None)

    def _degrade(self, error: StoreError) -> None:
        if self._degraded_because is None:
            _log.warning("no activity tasks can be claimed; trying again: %s", error)
        self._degraded_because = str(error)

    def _recover(self) -> None:
        if self._degraded_because is not None:
            _log.warning("activity tasks can be claimed again")
            self._degraded_because = None
