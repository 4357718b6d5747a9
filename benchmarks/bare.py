"""The least that a store needs for one small commit, measured beside what an engine makes of it.

Disks differ, and so does the same disk from minute to minute: only the ratio of two figures of one run survives.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs

from wfactors.model.ids import PartitionId
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, Batch, HeaderRow, Lease, NodeRow, TaskKey, TaskRow
from wfactors.stores.base import Store

_EVENTS = b'{"v":1,"events":[["ActivityCompleted",{"call":1,"result":1}],["ActivityScheduled",{"call":2,"input":[2]}]]}'
_LEASE_SECONDS = 1e6
_QUEUE = "bare"
_NODE = "bare commits"


class BareCommits:
    """Commits what one step of a workflow commits: its header, two events, one task removed and one added."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._count = 0
        self._row = HeaderRow(
            instance="bare",
            run=1,
            id="bare",
            workflow="bare",
            queue=_QUEUE,
            partition=lease.partition,
            root_id="bare",
            created_at=time.time(),
        )

    async def commit(self) -> float:
        """Commit once; the seconds that it took."""
        self._count += 1
        number = self._count
        row = attrs.evolve(self._row, events=2 * number, history_bytes=len(_EVENTS) * number)
        started = time.perf_counter()
        await self._store.commit(
            Batch(
                self._lease.partition,
                self._lease.epoch,
                self._lease.sequence + number,
                headers=[row],
                appends=[Append(row.instance, 1, 2 * number - 2, 2, _EVENTS)],
                tasks=[self._task(number)],
                tasks_removed=[] if number == 1 else [self._task(number - 1).key],
            )
        )
        return time.perf_counter() - started

    def _task(self, number: int) -> TaskRow:
        key = TaskKey("bare", 1, number)
        # Held, so that no activity worker asks for it.
        return TaskRow(
            key,
            self._lease.partition,
            _QUEUE,
            "bare",
            Payload(b"[2]"),
            ActivityOptions(),
            "bare",
            "bare",
            0.0,
            node=_NODE,
        )


@asynccontextmanager
async def bare_commits(store: Store) -> AsyncIterator[BareCommits]:
    """Commits to an opened store, in a partition of their own."""
    await store.join(NodeRow(_NODE, [_QUEUE], 0.0, 0.0), _LEASE_SECONDS)
    lease = await store.acquire(str(PartitionId(_QUEUE, 0)), _NODE)
    assert lease is not None, "the partition of another benchmark"
    yield BareCommits(store, lease)
    await store.leave(_NODE)


class RawSqlite:
    """One row in one transaction by the ``sqlite3`` module itself, with nothing around it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def commit(self) -> float:
        """Commit once; the seconds that it took."""
        started = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO rows VALUES (?, ?)", ("bare", _EVENTS))
        self._connection.execute("COMMIT")
        return time.perf_counter() - started


@contextmanager
def raw_sqlite(url: str) -> Iterator[RawSqlite | None]:
    """A database of its own beside that of ``url``, on the same disk; None for a store that is not SQLite."""
    if not url.startswith("sqlite:///"):
        yield None
        return
    path = Path(url.removeprefix("sqlite:///") + "-raw")
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE rows (a TEXT, b BLOB)")
    try:
        yield RawSqlite(connection)
    finally:
        connection.close()
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
