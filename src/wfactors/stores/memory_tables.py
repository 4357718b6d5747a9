"""The tables of the memory store: rows as the frozen records themselves, and the indexes that keep each step cheap.

Plain synchronous code without a clock. A step costs what it touches, however much sleeps beside it: 100,000 sleeping
instances make no commit, claim or look for wakes slower than a hundred do.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, TypeAlias

import attrs

from wfactors.model.records import (
    Append,
    HeaderRow,
    InboxItem,
    InstanceFilter,
    Reply,
    TaskKey,
    TaskRow,
    Wake,
)
from wfactors.model.status import Status
from wfactors.stores.lazy_heap import LazyHeap
from wfactors.stores.rules import header_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wfactors.model.messages import Message

__all__ = ["HeaderTable", "HistoryTable", "InboxTable", "ReplyTable", "RunKey", "TaskTable"]

RunKey: TypeAlias = tuple[str, int]
TimedRun: TypeAlias = tuple[float, str, int]
TimedTask: TypeAlias = tuple[float, str, int, int]

# With fewer runs of the wanted status than this share of all, a list sorts those rather than walking over the others.
_STATUS_SHARE = 8
_TALLIED = frozenset({"status", "workflow", "queue", "is_parked"})


class HeaderTable:
    """The runs, by key, by id, by time of creation, by time to wake and by time of ending."""

    def __init__(self) -> None:
        self.rows: dict[RunKey, HeaderRow] = {}
        self._latest_runs: dict[str, int] = {}
        self._open_runs: dict[str, RunKey] = {}
        self._by_id: dict[str, list[TimedRun]] = {}
        self._ordered: list[TimedRun] = []
        self._by_status: dict[Status, set[RunKey]] = {status: set() for status in Status}
        self._tally: Counter[tuple[str, str, Status, bool]] = Counter()
        self._wakes: dict[str, LazyHeap[TimedRun]] = {}
        self._finished: LazyHeap[TimedRun] = LazyHeap(self._is_finished)
        self._continued: LazyHeap[TimedRun] = LazyHeap(self._is_continued)

    # --- Reads ---

    def latest(self, instance: str) -> HeaderRow | None:
        """The run of the highest number."""
        run = self._latest_runs.get(instance)
        return None if run is None else self.rows[instance, run]

    def open_run(self, id: str) -> HeaderRow | None:
        """The open run that has the id."""
        key = self._open_runs.get(id)
        return None if key is None else self.rows[key]

    def latest_of_id(self, id: str) -> HeaderRow | None:
        """The latest run that had the id."""
        times = self._by_id.get(id)
        return self.rows[times[-1][1:]] if times else None

    def runs(self, instance: str) -> list[RunKey]:
        """The keys of all runs of an instance."""
        count = self._latest_runs.get(instance, 0)
        return [(instance, run) for run in range(1, count + 1) if (instance, run) in self.rows]

    def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        """The earliest wakes of a partition."""
        heap = self._wakes.get(partition)
        if heap is None:
            return []
        due = takewhile(lambda entry: entry[0] <= until, heap.in_order())
        return [Wake(*entry) for entry in islice(due, limit)]

    def ended_before(self, before: float, limit: int, *, is_continued: bool) -> list[RunKey]:
        """The runs that ended first: final runs of instances, or those that continued as new."""
        heap = self._continued if is_continued else self._finished
        ended = takewhile(lambda entry: entry[0] < before, heap.in_order())
        keys = ((instance, run) for _, instance, run in ended if not self._is_needed(instance, run))
        return list(islice(keys, limit))

    def _is_needed(self, instance: str, run: int) -> bool:
        """Whether the next run has not started, and will look for its signals in the history of this one."""
        following = self.rows.get((instance, run + 1))
        return following is not None and following.start is not None

    def select(
        self,
        filter: InstanceFilter,
        after: HeaderRow | None = None,
        *,
        newest_first: bool = True,
    ) -> Iterator[HeaderRow]:
        """Runs that match, by (created_at, instance, run)."""
        times = self._candidates(filter)
        start, stop = 0, len(times)
        if filter.started_after is not None:
            start = bisect_left(times, filter.started_after, key=_time)
        if filter.started_before is not None:
            stop = bisect_left(times, filter.started_before, key=_time)
        if after is not None and newest_first:
            stop = min(stop, bisect_left(times, _created(after)))
        elif after is not None:
            start = max(start, bisect_right(times, _created(after)))
        for index in range(stop - 1, start - 1, -1) if newest_first else range(start, stop):
            row = self.rows[times[index][1:]]
            if header_matches(row, filter):
                yield row

    def count(self, filter: InstanceFilter) -> int:
        """How many runs match; the usual questions cost nothing."""
        asked = {name for name, value in attrs.asdict(filter, recurse=False).items() if value is not None}
        if not asked <= _TALLIED:
            return sum(1 for _ in self.select(filter))
        return sum(
            count
            for (workflow, queue, status, is_parked), count in self._tally.items()
            if (filter.status is None or status in filter.status)
            and (filter.workflow is None or workflow == filter.workflow)
            and (filter.queue is None or queue == filter.queue)
            and (filter.is_parked is None or is_parked == filter.is_parked)
        )

    def open_by_queue(self) -> tuple[Counter[str], Counter[str]]:
        """How many runs of each queue are open, and how many of them parked."""
        opened: Counter[str] = Counter()
        parked: Counter[str] = Counter()
        for (_, queue, status, is_parked), count in self._tally.items():
            if status is Status.OPEN:
                opened[queue] += count
                parked[queue] += count if is_parked else 0
        return opened, parked

    # --- Writes ---

    def put(self, row: HeaderRow) -> None:
        """Insert or replace a run."""
        key = (row.instance, row.run)
        old = self.rows.get(key)
        self.rows[key] = row
        if old is None:
            self._index(row)
        else:
            self._uncount(old)
        self._by_status[row.status].add(key)
        self._tally[_tally_key(row)] += 1
        if row.status is Status.OPEN:
            self._open_runs[row.id] = key
        elif self._open_runs.get(row.id) == key:
            del self._open_runs[row.id]
        self._index_wake(old, row)
        self._index_end(old, row)

    def remove(self, key: RunKey) -> None:
        """Remove a run that is closed."""
        row = self.rows.pop(key)
        self._uncount(row)
        created = _created(row)
        del self._ordered[bisect_left(self._ordered, created)]
        same_id = self._by_id[row.id]
        same_id.remove(created)
        if not same_id:
            del self._by_id[row.id]
        if self._latest_runs[row.instance] == row.run:
            del self._latest_runs[row.instance]
        (self._continued if row.status is Status.CONTINUED else self._finished).forget()

    # --- Indexes ---

    def _index(self, row: HeaderRow) -> None:
        created = _created(row)
        insort(self._ordered, created)
        insort(self._by_id.setdefault(row.id, []), created)
        self._latest_runs[row.instance] = max(row.run, self._latest_runs.get(row.instance, 0))

    def _uncount(self, row: HeaderRow) -> None:
        self._by_status[row.status].remove((row.instance, row.run))
        key = _tally_key(row)
        self._tally[key] -= 1
        if not self._tally[key]:
            del self._tally[key]

    def _index_wake(self, old: HeaderRow | None, new: HeaderRow) -> None:
        before = None if old is None else _wake_at(old)
        now = _wake_at(new)
        if before == now:
            return
        heap = self._wakes.get(new.partition)
        if heap is None:
            heap = self._wakes[new.partition] = LazyHeap(self._is_wake)
        if before is not None:
            heap.forget()
        if now is not None:
            heap.push((now, new.instance, new.run))

    def _index_end(self, old: HeaderRow | None, new: HeaderRow) -> None:
        if old is not None and old.closed_at is not None:
            if (old.closed_at, old.status) == (new.closed_at, new.status):
                return
            (self._continued if old.status is Status.CONTINUED else self._finished).forget()
        if new.closed_at is not None:
            heap = self._continued if new.status is Status.CONTINUED else self._finished
            heap.push((new.closed_at, new.instance, new.run))

    def _is_wake(self, entry: TimedRun) -> bool:
        row = self.rows.get(entry[1:])
        return row is not None and _wake_at(row) == entry[0]

    def _is_finished(self, entry: TimedRun) -> bool:
        row = self.rows.get(entry[1:])
        return (
            row is not None
            and row.closed_at == entry[0]
            and row.status not in (Status.OPEN, Status.CONTINUED)
            and self._latest_runs[row.instance] == row.run
        )

    def _is_continued(self, entry: TimedRun) -> bool:
        row = self.rows.get(entry[1:])
        return row is not None and row.closed_at == entry[0] and row.status is Status.CONTINUED

    def _candidates(self, filter: InstanceFilter) -> Sequence[TimedRun]:
        if filter.id is not None:
            return self._by_id.get(filter.id, ())
        if filter.status is not None:
            groups = [self._by_status[status] for status in set(filter.status)]
            if sum(map(len, groups)) * _STATUS_SHARE < len(self._ordered):
                return sorted(_created(self.rows[key]) for group in groups for key in group)
        return self._ordered


class HistoryTable:
    """The appends of each run, in order."""

    def __init__(self) -> None:
        self._runs: dict[RunKey, list[Append]] = {}

    def all(self) -> Iterable[Append]:
        """Every append there is."""
        return chain.from_iterable(self._runs.values())

    def read(self, key: RunKey, first: int, limit: int | None) -> list[Append]:
        """Rows from the one that holds event ``first``."""
        rows = self._runs.get(key, [])
        start = max(0, bisect_right(rows, first, key=_first) - 1)
        if start < len(rows) and rows[start].first + rows[start].count <= first:
            start += 1
        return rows[start:] if limit is None else rows[start : start + limit]

    def has(self, append: Append) -> bool:
        """Whether a row begins at the same event."""
        rows = self._runs.get((append.instance, append.run), [])
        index = bisect_left(rows, append.first, key=_first)
        return index < len(rows) and rows[index].first == append.first

    def add(self, append: Append) -> None:
        """Add a row."""
        insort(self._runs.setdefault((append.instance, append.run), []), append, key=_first)

    def remove(self, key: RunKey) -> None:
        """Remove a run's history."""
        self._runs.pop(key, None)


class TaskTable:
    """The activity calls without an outcome: by run; those held by partition, those free by time of becoming due."""

    def __init__(self) -> None:
        self._runs: dict[RunKey, dict[int, TaskRow]] = {}
        self._held: dict[str, dict[TaskKey, None]] = {}
        self._free: dict[str, dict[str, LazyHeap[TimedTask]]] = {}
        self._pending: Counter[str] = Counter()
        self._running: Counter[str] = Counter()

    def all(self) -> Iterator[TaskRow]:
        """Every task there is."""
        return chain.from_iterable(rows.values() for rows in self._runs.values())

    def get(self, key: TaskKey) -> TaskRow | None:
        """One task."""
        return self._runs.get((key.instance, key.run), {}).get(key.call)

    def of_run(self, key: RunKey) -> list[TaskRow]:
        """The tasks of a run, by call."""
        return [row for _, row in sorted(self._runs.get(key, {}).items())]

    def held(self, partition: str) -> list[TaskRow]:
        """The partition's tasks that some node holds, by key."""
        return [self._runs[key.instance, key.run][key.call] for key in sorted(self._held.get(partition, ()))]

    def due(self, activities: Mapping[str, Sequence[str]], now: float, limit: int) -> list[TaskRow]:
        """Free tasks in order of becoming due."""
        merged = heapq.merge(*(heap.in_order() for heap in self._heaps(activities)))
        ready = takewhile(lambda entry: entry[0] <= now, merged)
        return [self._runs[instance, run][call] for _, instance, run, call in islice(ready, limit)]

    def next_at(self, activities: Mapping[str, Sequence[str]]) -> float | None:
        """When the next free one becomes due."""
        firsts = (heap.first() for heap in self._heaps(activities))
        return min((entry[0] for entry in firsts if entry is not None), default=None)

    def statistics(self, queue: str) -> tuple[int, int, float | None]:
        """How many tasks of a queue are pending, how many running, and since when the first waits."""
        oldest = self.next_at({queue: list(self._free.get(queue, ()))})
        return self._pending[queue], self._running[queue], oldest

    def queues(self) -> set[str]:
        """The queues that have tasks."""
        return {queue for counter in (self._pending, self._running) for queue, count in counter.items() if count}

    def put(self, row: TaskRow) -> None:
        """Insert or replace a task."""
        self.remove(row.key)
        self._runs.setdefault((row.key.instance, row.key.run), {})[row.key.call] = row
        if row.node is not None:
            self._held.setdefault(row.partition, {})[row.key] = None
            self._running[row.queue] += 1
            return
        self._pending[row.queue] += 1
        heaps = self._free.setdefault(row.queue, {})
        if row.activity not in heaps:
            heaps[row.activity] = LazyHeap(self._is_free)
        heaps[row.activity].push((row.available_at, row.key.instance, row.key.run, row.key.call))

    def remove(self, key: TaskKey) -> TaskRow | None:
        """Remove a task; returns it, or None if it is not there."""
        run_key = (key.instance, key.run)
        calls = self._runs.get(run_key)
        row = None if calls is None else calls.pop(key.call, None)
        if calls is None or row is None:
            return None
        if not calls:
            del self._runs[run_key]
        if row.node is None:
            self._pending[row.queue] -= 1
            self._free[row.queue][row.activity].forget()
        else:
            self._running[row.queue] -= 1
            del self._held[row.partition][key]
        return row

    def _heaps(self, activities: Mapping[str, Sequence[str]]) -> Iterator[LazyHeap[TimedTask]]:
        for queue, names in activities.items():
            heaps = self._free.get(queue, {})
            for name in dict.fromkeys(names):
                if name in heaps:
                    yield heaps[name]

    def _is_free(self, entry: TimedTask) -> bool:
        row = self._runs.get(entry[1:3], {}).get(entry[3])
        return row is not None and row.node is None and row.available_at == entry[0]


class InboxTable:
    """The messages of one partition, by position and by id."""

    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._positions: dict[str, int] = {}
        self._by_instance: dict[str, dict[int, None]] = {}
        # Sorted, with those of removed messages among them; cut down when they are the larger part.
        self._order: list[int] = []
        self._last = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> bool:
        """Add a message unless one of its id is there; returns whether it was added."""
        if message.id in self._positions:
            return False
        self._last += 1
        self._messages[self._last] = message
        self._positions[message.id] = self._last
        self._by_instance.setdefault(message.instance, {})[self._last] = None
        self._order.append(self._last)
        return True

    def has(self, id: str) -> bool:
        """Whether a message of this id is there."""
        return id in self._positions

    def remove(self, id: str) -> None:
        """Remove a message, if it is there."""
        position = self._positions.pop(id, None)
        if position is None:
            return
        instance = self._messages.pop(position).instance
        del self._by_instance[instance][position]
        if not self._by_instance[instance]:
            del self._by_instance[instance]
        if len(self._order) > 2 * len(self._messages) + 16:
            self._order = list(self._messages)

    def remove_instance(self, instance: str) -> None:
        """Remove all messages for an instance."""
        for position in list(self._by_instance.get(instance, ())):
            self.remove(self._messages[position].id)

    def read(self, after: int, limit: int | None = None, instance: str | None = None) -> list[InboxItem]:
        """Messages behind a position, in order; of all instances or of one."""
        behind: Iterable[int]
        if instance is None:
            behind = islice(self._order, bisect_right(self._order, after), None)
        else:
            behind = (position for position in self._by_instance.get(instance, ()) if position > after)
        found = (InboxItem(position, self._messages[position]) for position in behind if position in self._messages)
        return list(islice(found, limit))


class ReplyTable:
    """Replies by id, by instance, and by the time they expire."""

    def __init__(self) -> None:
        self.rows: dict[str, Reply] = {}
        self._by_instance: dict[str, dict[str, None]] = {}
        self._expiry: LazyHeap[tuple[float, str]] = LazyHeap(self._is_live)

    def put(self, reply: Reply) -> None:
        """Insert or replace a reply."""
        self.take(reply.id)
        self.rows[reply.id] = reply
        self._by_instance.setdefault(reply.instance, {})[reply.id] = None
        self._expiry.push((reply.expires_at, reply.id))

    def take(self, id: str) -> Reply | None:
        """Remove and return a reply."""
        reply = self.rows.pop(id, None)
        if reply is not None:
            self._expiry.forget()
            siblings = self._by_instance[reply.instance]
            del siblings[id]
            if not siblings:
                del self._by_instance[reply.instance]
        return reply

    def remove_instance(self, instance: str) -> None:
        """Remove all replies of an instance."""
        for id in list(self._by_instance.get(instance, ())):
            self.take(id)

    def expire(self, now: float) -> None:
        """Remove what has expired."""
        while (first := self._expiry.first()) is not None and first[0] <= now:
            self.take(first[1])

    def _is_live(self, entry: tuple[float, str]) -> bool:
        reply = self.rows.get(entry[1])
        return reply is not None and reply.expires_at == entry[0]


def _created(row: HeaderRow) -> TimedRun:
    return (row.created_at, row.instance, row.run)


def _time(entry: TimedRun) -> float:
    return entry[0]


def _first(append: Append) -> int:
    return append.first


def _wake_at(row: HeaderRow) -> float | None:
    return row.wake_at if row.status is Status.OPEN and row.parked is None else None


def _tally_key(row: HeaderRow) -> tuple[str, str, Status, bool]:
    return (row.workflow, row.queue, row.status, row.parked is not None)
