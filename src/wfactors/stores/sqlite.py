"""The SQLite store: one file, one writing thread, group commit, small reads at once on the event loop.

How a call travels::

    commit, create, send, claim ...  -> queue of the writer thread -> one transaction for all that wait -> answers
    header, find, history, inbox ... -> a read-only connection on the event loop (about 20 us; a thread costs 250)
    headers, count, dump, queues ... -> a reader thread with a connection of its own, interrupted when cancelled

Rows are made ready on the loop's side and written in few statements, since every statement of the thread must win the
interpreter lock back from the loop. A second process may use the same file: its commits are noticed by polling
``PRAGMA data_version``, often while it is busy and a few times a second while it is not.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import quote

import attrs
import trio

from wfactors.errors import StoreUnavailable
from wfactors.model.messages import Message
from wfactors.model.payloads import Payload
from wfactors.model.records import (
    Append,
    Batch,
    CreateOutcome,
    CreateRequest,
    HeaderRow,
    InboxItem,
    InstanceFilter,
    Lease,
    NodeRow,
    PartitionRow,
    QueueStatistics,
    TaskKey,
    TaskRow,
    Wake,
)
from wfactors.model.status import Status
from wfactors.stores import sqlite_reads as reads
from wfactors.stores.base import Durability, HeartbeatAnswer, TaskReport
from wfactors.stores.changes import NODES_TOPIC, Changes, inbox_topic, instance_topic, reply_topic, tasks_topic
from wfactors.stores.sqlite_connection import Settings
from wfactors.stores.sqlite_session import Session
from wfactors.stores.sqlite_thread import Hold
from wfactors.stores.sqlite_writer import WriterStatistics
from wfactors.stores.sqlite_writes import Writes, plan_commit
from wfactors.stores.sqlite_writes_tasks import Claim

__all__ = ["SqliteStore"]

A = TypeVar("A")
R = TypeVar("R")

_HISTORY_INLINE_BYTES_MAX = 128 * 1024
_INBOX_INLINE_MAX = 256
_WAKES_INLINE_MAX = 2048


class SqliteStore:
    """A store in one SQLite file, for one engine and any number of clients and standbys on the same machine.

    Args:
        path: Of the file; its folder must exist.
        synchronous: ``"full"`` (every acknowledged write survives power loss), ``"normal"`` (the last ones may be lost
            then, a crash of the process loses nothing) or ``"extra"``.
        clock: The time by which leases and replies end, in seconds since the epoch.
        hold: Told when a thread works for the event loop and when it is done; see ``Hold``.
        poll_idle_seconds: How often to look for what other processes wrote, at the least; None never to look.
        busy_seconds: How long a write waits for another process that writes, before StoreUnavailable; 0 not to wait.
        max_page_count: A limit on the file's size in pages; None for none.

    Raises:
        TypeError, ValueError: An option makes no sense.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "full",
        clock: Callable[[], float] = time.time,
        hold: Hold | None = None,
        poll_idle_seconds: float | None = 0.2,
        busy_seconds: float = 5.0,
        max_page_count: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        if not self.path or self.path.startswith((":memory:", "file:")):
            raise ValueError(f"SqliteStore needs the path of a file, not {self.path!r}")
        self.url = f"sqlite:///{quote(self.path)}"
        self.changes = Changes()
        self._clock = clock
        self._hold = hold
        self._settings = Settings(
            # Absolute, since connections are made later too, when the program may have gone to another folder.
            os.path.abspath(self.path),  # noqa: PTH100
            synchronous=synchronous,
            busy_seconds=busy_seconds,
            poll_idle_seconds=poll_idle_seconds,
            max_page_count=max_page_count,
        )
        self._opened: Session | None = None

    # --- Life ---

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connect, bring the schema up to date, run until the block is left."""
        if self._opened is not None:
            raise StoreUnavailable(f"{self.path}: the store is open already; make another SqliteStore for the file")
        session = Session(self._settings, self._clock, self._hold, self.changes)
        try:
            await session.start()
            self._opened = session
            yield
        finally:
            self._opened = None
            await session.stop()

    @property
    def _session(self) -> Session:
        if self._opened is None:
            raise StoreUnavailable(f"{self.path}: the store is not open")
        return self._opened

    def durability(self) -> Durability:
        """What the settings in force promise."""
        return self._session.durability()

    async def now(self) -> float:
        """The store's clock."""
        await trio.lowlevel.checkpoint()
        return self._clock()

    def statistics(self) -> WriterStatistics:
        """What the writer did since the store was opened."""
        return self._session.writer.statistics

    def details(self) -> dict[str, str]:
        """What is to be known of the file and of SQLite, for people."""
        return self._session.details()

    # --- Cluster ---

    async def join(self, node: NodeRow, lease_seconds: float) -> NodeRow:
        """Insert or replace the node's row, and lock its file."""
        self._session.locks.sweep(other.node for other in await self.nodes())
        node = attrs.evolve(node, liveness=self._session.locks.hold(node.node))
        row = await self._write(Writes.join, (node, lease_seconds))
        self._publish([NODES_TOPIC])
        return row

    async def renew(self, node: str, lease_seconds: float) -> float:
        """Extend the node's lease."""
        return await self._write(Writes.renew, (node, lease_seconds))

    async def leave(self, node: str) -> None:
        """Remove the node and release its partitions."""
        await self._write(Writes.leave, node)
        self._session.locks.drop(node)
        self._publish([NODES_TOPIC])

    async def nodes(self) -> list[NodeRow]:
        """All nodes."""
        return await self._session.read_inline(reads.nodes, self._judge)

    def _judge(self, node: str, lease_until: float, liveness: str) -> bool:
        return self._session.locks.is_alive(node, liveness, lease_until, self._clock())

    async def bury(self, node: str) -> None:
        """Remove a dead node and release its partitions."""
        if await self._write(Writes.bury, node):
            self._session.locks.drop(node)
            self._publish([NODES_TOPIC])

    async def acquire(self, partition: str, node: str) -> Lease | None:
        """Take the partition if nobody alive owns it."""
        if not await self._session.read_inline(reads.may_acquire, partition, node, self._judge):
            return None
        lease = await self._write(Writes.acquire, (partition, node))
        if lease is not None:
            self._publish([NODES_TOPIC])
        return lease

    async def release(self, partition: str, node: str, epoch: int) -> None:
        """Give the partition back."""
        await self._write(Writes.release, (partition, node, epoch))
        self._publish([NODES_TOPIC])

    async def partitions(self) -> list[PartitionRow]:
        """All partitions."""
        return await self._session.read_inline(reads.partitions)

    # --- The owner of a partition ---

    async def commit(self, batch: Batch) -> None:
        """Write a batch in one transaction."""
        topics = await self._write(Writes.commit, await plan_commit(batch))
        if self.changes.is_watched:
            self.changes.publish(_topics_of(batch))
            self.changes.publish(topics)

    async def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        """What is to be woken next."""
        read = self._session.read_inline if limit <= _WAKES_INLINE_MAX else self._session.read
        return await read(reads.wakes, partition, until, limit)

    async def inbox(self, partition: str, after: int, limit: int, *, instance: str | None = None) -> list[InboxItem]:
        """Messages behind a position."""
        read = self._session.read_inline if limit <= _INBOX_INLINE_MAX else self._session.read
        return await read(reads.inbox, partition, after, limit, instance)

    async def held_tasks(self, partition: str) -> list[TaskRow]:
        """The partition's tasks that some node holds."""
        return await self._session.read(reads.held_tasks, partition)

    # --- Activities ---

    async def claim(self, node: str, activities: Mapping[str, Sequence[str]], now: float, limit: int) -> list[TaskRow]:
        """Hand out free tasks."""
        return await self._write(Writes.claim, Claim(node, activities, now, limit))

    async def next_task_at(self, activities: Mapping[str, Sequence[str]]) -> float | None:
        """When the next free task of these becomes due."""
        return await self._session.read_inline(reads.next_task_at, activities)

    async def report(self, reports: Sequence[TaskReport]) -> list[bool]:
        """Record how attempts ended."""
        outcomes = await self._write(Writes.report, reports)
        self._publish(topic for topic in outcomes if topic is not None)
        return [topic is not None for topic in outcomes]

    async def heartbeat(self, node: str, beats: Sequence[tuple[TaskKey, int, Payload | None]]) -> list[HeartbeatAnswer]:
        """Keep details of running attempts and learn whether they are still wanted."""
        return await self._write(Writes.heartbeat, (node, beats))

    # --- Clients ---

    async def create(self, requests: Sequence[CreateRequest]) -> list[CreateOutcome]:
        """Insert instances whose ids are free."""
        outcomes = await self._write(Writes.create, requests)
        self._publish(inbox_topic(outcome.header.partition) for outcome in outcomes if not outcome.is_refused)
        return outcomes

    async def send(self, messages: Sequence[Message]) -> list[str | None]:
        """Put messages into inboxes of instances that take them."""
        outcomes = await self._write(Writes.send, messages)
        pairs = zip(messages, outcomes, strict=True)
        self._publish(inbox_topic(message.partition) for message, refusal in pairs if refusal is None)
        return outcomes

    async def take_reply(self, id: str) -> bytes | None:
        """The reply, removed; None if it is not there yet."""
        if not await self._session.read_inline(reads.has_reply, id, self._clock()):
            return None
        return await self._write(Writes.take_reply, id)

    # --- Reads ---

    async def find(self, id: str) -> HeaderRow | None:
        """The open run that has the id, else the latest one that had."""
        return await self._session.read_inline(reads.find, id)

    async def header(self, instance: str, run: int | None = None) -> HeaderRow | None:
        """One run by key; the latest without ``run``."""
        return await self._session.read_inline(reads.header, instance, run)

    async def headers(
        self,
        filter: InstanceFilter,
        limit: int,
        after: HeaderRow | None = None,
        *,
        newest_first: bool = True,
    ) -> list[HeaderRow]:
        """A page of runs."""
        return await self._session.read(reads.headers, filter, limit, after, newest_first=newest_first)

    async def count(self, filter: InstanceFilter) -> int:
        """How many runs match."""
        return await self._session.read(reads.count, filter)

    async def history(self, instance: str, run: int, first: int = 0, limit: int | None = None) -> list[Append]:
        """Rows of a history, from the one that holds event ``first``."""
        size = self._session.inline(reads.history_bytes, instance, run)
        read = (
            self._session.read_inline if size is not None and size <= _HISTORY_INLINE_BYTES_MAX else self._session.read
        )
        return await read(reads.history, instance, run, first, limit)

    async def tasks(self, instance: str, run: int) -> list[TaskRow]:
        """The activity calls of a run that have no outcome yet."""
        return await self._session.read(reads.tasks, instance, run)

    async def queues(self) -> list[QueueStatistics]:
        """What each queue holds."""
        return await self._session.read(reads.queues)

    # --- Removal ---

    async def remove(self, instance: str) -> bool:
        """Remove all of a closed instance."""
        is_removed = await self._write(Writes.remove, instance)
        self._publish([instance_topic(instance)])
        return is_removed

    async def remove_finished(self, before: float, limit: int, *, continued_runs_only: bool = False) -> int:
        """Remove what was closed long ago."""
        count = await self._write(Writes.remove_finished, (before, limit, continued_runs_only))
        if count and not continued_runs_only:
            # Nobody named the instances, and removals are rare.
            self.changes.publish_all()
        return count

    async def dump(self) -> dict[str, list[dict[str, object]]]:
        """Everything there is, in the canonical form."""
        return await self._session.read(reads.dump, self._clock())

    # --- How calls travel ---

    async def _write(self, operation: Callable[[Writes, Sequence[A]], Sequence[R | BaseException]], argument: A) -> R:
        return await self._session.writer_thread.run(operation, argument)

    def _publish(self, topics: Iterable[str]) -> None:
        if self.changes.is_watched:
            self.changes.publish(topics)


def _topics_of(batch: Batch) -> Iterable[str]:
    """What a batch may have changed for those who wait, but for the tasks that it cancelled."""
    for header in batch.headers:
        if header.status is not Status.OPEN or header.parked is not None:
            yield instance_topic(header.instance)
    yield from map(
        tasks_topic, {task.queue: None for task in batch.tasks if task.node is None or task.is_cancel_requested}
    )
    yield from map(inbox_topic, dict.fromkeys(message.partition for message in batch.messages))
    for reply in batch.replies:
        yield reply_topic(reply.id)
