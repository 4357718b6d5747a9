"""Figures of an engine for whoever reads its metrics, mostly a thread of an exporter once a minute.

What the engine holds belongs to its loop, and what the queues hold has to be asked of the store. So a reader in another
thread wakes this task and waits for it, for a moment and once in a reading: a loop that is busy, or that waits for the
reader (as one that shuts a meter provider down), gives it what was found the last time. Nobody who reads, and nothing
is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import trio

from wfactors.actors.clock import Clock
from wfactors.errors import StoreError
from wfactors.model.records import QueueStatistics
from wfactors.stores.base import Store
from wfactors.telemetry.records import Figure

if TYPE_CHECKING:
    from wfactors.actors.engine import EngineStatistics
    from wfactors.telemetry.reporter import Reporter

__all__ = ["Gauges"]

_PATIENCE_SECONDS = 1.0


class Gauges:
    """The figures of one engine.

    Args:
        statistics: Those of the engine; to be called in its loop only.
        store: Asked for the queues.
        clock: The time by which tasks are due.
    """

    def __init__(self, statistics: Callable[[], EngineStatistics], store: Store, clock: Clock) -> None:
        self._statistics = statistics
        self._store = store
        self._clock = clock
        self._asked = trio.Event()
        self._is_fresh = threading.Event()
        self._found: dict[str, Sequence[Figure]] = {}
        self._queues: Mapping[str, Sequence[Figure]] = {}
        self._shown: set[str] | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self.node = ""

    async def run(self, reporter: Reporter, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        with reporter.observed(self):
            task_status.started()
            while True:
                await self._asked.wait()
                self._asked = trio.Event()
                try:
                    self._queues = _of_queues(await self._store.queues(), self._clock.now())
                except StoreError:
                    # Others say so; what is not known is not shown.
                    self._queues = {}
                self._look()
                self._is_fresh.set()

    def figures(self, instrument: str) -> Iterable[Figure]:
        """What an instrument shows. The first that was shown already begins another reading, which looks anew."""
        if self._shown is None or instrument in self._shown:
            # Before it waits, which may be in vain: the others of this reading are not to wait as well.
            self._shown = set()
            self._refresh()
        self._shown.add(instrument)
        return self._found.get(instrument, ())

    def _refresh(self) -> None:
        assert self._token is not None, "asked while it runs"
        self._is_fresh.clear()
        try:
            self._token.run_sync_soon(self._ask)
        except trio.RunFinishedError:
            return
        if _is_in_loop_of(self._token):
            self._look()
        else:
            self._is_fresh.wait(_PATIENCE_SECONDS)

    def _ask(self) -> None:
        # At once, since the store may keep the task waiting: then the lease is what somebody wants to see.
        self._look()
        self._asked.set()

    def _look(self) -> None:
        statistics = self._statistics()
        self.node = statistics.node
        self._found = {name: [Figure(value)] for name, value in _of_engine(statistics).items()} | dict(self._queues)


def _of_engine(statistics: EngineStatistics) -> dict[str, float]:
    partitions, activities, check = statistics.partitions, statistics.activities, statistics.replay_check
    found: dict[str, float] = {
        "wfactors.instances.resident": sum(partition.resident for partition in partitions),
        "wfactors.partitions.owned": len(partitions),
    }
    if activities is not None:
        found["wfactors.activities.running"] = activities.running
        found["wfactors.activities.waiting"] = activities.waiting
        found["wfactors.activities.places"] = activities.places
    if statistics.lease_seconds_left is not None:
        found["wfactors.lease.remaining"] = statistics.lease_seconds_left
    if check is not None:
        found["wfactors.replay_check.replays"] = check.replayed
        found["wfactors.replay_check.differences"] = check.differences
        found["wfactors.replay_check.skipped"] = check.skipped
    return found


def _of_queues(queues: Iterable[QueueStatistics], now: float) -> dict[str, Sequence[Figure]]:
    found: dict[str, list[Figure]] = {}
    for row in queues:
        age = 0.0 if row.oldest_task_at is None else max(now - row.oldest_task_at, 0.0)
        figures = {
            "wfactors.instances.open": row.open_instances,
            "wfactors.instances.parked": row.parked_instances,
            "wfactors.queue.tasks": row.pending_tasks,
            "wfactors.queue.age": age,
            "wfactors.queue.messages": row.inbox_messages,
        }
        for name, value in figures.items():
            found.setdefault(name, []).append(Figure(value, row.queue))
    return dict(found)


def _is_in_loop_of(token: trio.lowlevel.TrioToken) -> bool:
    try:
        return trio.lowlevel.current_trio_token() is token
    except RuntimeError:
        return False
