"""The store in memory: nothing survives the process; the oracle that the other stores are compared with.

No threads and no I/O: a method passes one checkpoint and then acts in one synchronous step. So it is atomic without a
lock, a cancelled call did nothing, and Trio's MockClock can jump while calls are under way.

One store may be shared by several engines in one program: they are the nodes of a cluster. What it holds outlives
``open``, so leaving it and entering it again is a restart.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

import attrs
import trio

from wfactors.errors import LeaseLost, WorkflowStillOpen
from wfactors.model.records import Lease, PartitionRow
from wfactors.model.status import Status
from wfactors.stores.base import Durability
from wfactors.stores.changes import NODES_TOPIC, Changes, instance_topic
from wfactors.stores.dump import canonical
from wfactors.stores.memory_state import MemoryState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

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
        NodeRow,
        QueueStatistics,
        TaskKey,
        TaskRow,
        Wake,
    )
    from wfactors.stores.base import HeartbeatAnswer, TaskReport

__all__ = ["MemoryStore"]


class MemoryStore:
    """A store whose rows are lost with the process.

    Args:
        clock: The store's clock, in seconds since the epoch. Under Trio's MockClock give it one that follows
            ``trio.current_time()``.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.url = "memory://"
        self.changes = Changes()
        self._clock = time.time if clock is None else clock
        self._state = MemoryState(self._clock)

    # --- Life ---

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Use the store inside the block; several may do so at once."""
        await trio.lowlevel.checkpoint()
        yield

    def durability(self) -> Durability:
        """Nothing is durable here."""
        return Durability("none", "in memory", "everything is lost when the process ends")

    async def now(self) -> float:
        """The store's clock."""
        await trio.lowlevel.checkpoint()
        return self._clock()

    # --- Cluster ---

    async def join(self, node: NodeRow, lease_seconds: float) -> NodeRow:
        """Insert or replace the node's row."""
        await trio.lowlevel.checkpoint()
        row = attrs.evolve(node, lease_until=self._clock() + lease_seconds, is_alive=True, liveness="")
        self._state.nodes[node.node] = row
        self.changes.publish([NODES_TOPIC])
        return row

    async def renew(self, node: str, lease_seconds: float) -> float:
        """Extend the node's lease."""
        await trio.lowlevel.checkpoint()
        if not self._state.is_alive(node):
            raise LeaseLost(f"node {node!r} is not there any more, or its lease was over")
        lease_until = self._clock() + lease_seconds
        self._state.nodes[node] = attrs.evolve(self._state.nodes[node], lease_until=lease_until)
        return lease_until

    async def leave(self, node: str) -> None:
        """Remove the node and release its partitions."""
        await trio.lowlevel.checkpoint()
        self._remove_node(node)

    async def nodes(self) -> list[NodeRow]:
        """All nodes, by name."""
        await trio.lowlevel.checkpoint()
        return [
            row if self._state.is_alive(name) else attrs.evolve(row, is_alive=False)
            for name, row in sorted(self._state.nodes.items())
        ]

    async def bury(self, node: str) -> None:
        """Remove a dead node's row and release its partitions."""
        await trio.lowlevel.checkpoint()
        if not self._state.is_alive(node):
            self._remove_node(node)

    async def acquire(self, partition: str, node: str) -> Lease | None:
        """Take the partition if nobody else who is alive owns it."""
        await trio.lowlevel.checkpoint()
        if not self._state.is_alive(node):
            return None
        row = self._state.partition(partition)
        if row.node is not None and row.node != node and self._state.is_alive(row.node):
            return None
        row = PartitionRow(partition, node, row.epoch + 1, row.sequence)
        self._state.partitions[partition] = row
        self.changes.publish([NODES_TOPIC])
        return Lease(partition, row.epoch, row.sequence)

    async def release(self, partition: str, node: str, epoch: int) -> None:
        """Give the partition back, if it is still owned."""
        await trio.lowlevel.checkpoint()
        row = self._state.partitions.get(partition)
        if row is not None and row.node == node and row.epoch == epoch:
            self._state.partitions[partition] = attrs.evolve(row, node=None)
            self.changes.publish([NODES_TOPIC])

    async def partitions(self) -> list[PartitionRow]:
        """Every partition there ever was."""
        await trio.lowlevel.checkpoint()
        return [row for _, row in sorted(self._state.partitions.items())]

    def _remove_node(self, node: str) -> None:
        if self._state.remove_node(node):
            self.changes.publish([NODES_TOPIC])

    # --- The owner of a partition ---

    async def commit(self, batch: Batch) -> None:
        """Write a batch, if its epoch owns the partition and its sequence is the next one."""
        await trio.lowlevel.checkpoint()
        if not self._state.is_committed(batch):
            self._state.check(batch)
            self.changes.publish(self._state.apply(batch))

    async def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        """The earliest wakes up to a time."""
        await trio.lowlevel.checkpoint()
        return self._state.headers.wakes(partition, until, limit)

    async def inbox(self, partition: str, after: int, limit: int, *, instance: str | None = None) -> list[InboxItem]:
        """Messages behind a position."""
        await trio.lowlevel.checkpoint()
        inbox = self._state.inboxes.get(partition)
        return [] if inbox is None else inbox.read(after, limit, instance)

    async def held_tasks(self, partition: str) -> list[TaskRow]:
        """The partition's tasks that some node holds."""
        await trio.lowlevel.checkpoint()
        return self._state.tasks.held(partition)

    # --- Activities ---

    async def claim(self, node: str, activities: Mapping[str, Sequence[str]], now: float, limit: int) -> list[TaskRow]:
        """Hand out free tasks that are due."""
        await trio.lowlevel.checkpoint()
        if not self._state.is_alive(node):
            raise LeaseLost(f"node {node!r} is not there any more, or its lease was over")
        claimed = [attrs.evolve(row, node=node) for row in self._state.tasks.due(activities, now, limit)]
        for row in claimed:
            self._state.tasks.put(row)
        return claimed

    async def next_task_at(self, activities: Mapping[str, Sequence[str]]) -> float | None:
        """When the next free task becomes due."""
        await trio.lowlevel.checkpoint()
        return self._state.tasks.next_at(activities)

    async def report(self, reports: Sequence[TaskReport]) -> list[bool]:
        """Record how attempts ended."""
        await trio.lowlevel.checkpoint()
        topics: dict[str, None] = {}
        answers = [self._state.report(report, topics) for report in reports]
        self.changes.publish(topics)
        return answers

    async def heartbeat(self, node: str, beats: Sequence[tuple[TaskKey, int, Payload | None]]) -> list[HeartbeatAnswer]:
        """Keep what running attempts say, answer whether they are still wanted."""
        await trio.lowlevel.checkpoint()
        return [self._state.heartbeat(node, *beat) for beat in beats]

    # --- Clients ---

    async def create(self, requests: Sequence[CreateRequest]) -> list[CreateOutcome]:
        """Insert instances whose ids are free."""
        await trio.lowlevel.checkpoint()
        topics: dict[str, None] = {}
        outcomes = [self._state.create(request, topics) for request in requests]
        self.changes.publish(topics)
        return outcomes

    async def send(self, messages: Sequence[Message]) -> list[str | None]:
        """Put messages for open instances into their inboxes."""
        await trio.lowlevel.checkpoint()
        topics: dict[str, None] = {}
        answers = [self._state.send(message, topics) for message in messages]
        self.changes.publish(topics)
        return answers

    async def take_reply(self, id: str) -> bytes | None:
        """The reply of this id, removed from the store."""
        await trio.lowlevel.checkpoint()
        self._state.replies.expire(self._clock())
        reply = self._state.replies.take(id)
        return None if reply is None else reply.data

    # --- Reads ---

    async def find(self, id: str) -> HeaderRow | None:
        """The open run that has the id, else the latest that had it."""
        await trio.lowlevel.checkpoint()
        return self._state.headers.open_run(id) or self._state.headers.latest_of_id(id)

    async def header(self, instance: str, run: int | None = None) -> HeaderRow | None:
        """One run by key."""
        await trio.lowlevel.checkpoint()
        return self._state.headers.latest(instance) if run is None else self._state.headers.rows.get((instance, run))

    async def headers(
        self,
        filter: InstanceFilter,
        limit: int,
        after: HeaderRow | None = None,
        *,
        newest_first: bool = True,
    ) -> list[HeaderRow]:
        """A page of runs."""
        await trio.lowlevel.checkpoint()
        rows = self._state.headers.select(filter, after, newest_first=newest_first)
        return list(islice(rows, limit))

    async def count(self, filter: InstanceFilter) -> int:
        """How many runs match."""
        await trio.lowlevel.checkpoint()
        return self._state.headers.count(filter)

    async def history(self, instance: str, run: int, first: int = 0, limit: int | None = None) -> list[Append]:
        """The rows of a history."""
        await trio.lowlevel.checkpoint()
        return self._state.histories.read((instance, run), first, limit)

    async def tasks(self, instance: str, run: int) -> list[TaskRow]:
        """The activity calls of a run that have no outcome yet."""
        await trio.lowlevel.checkpoint()
        return self._state.tasks.of_run((instance, run))

    async def queues(self) -> list[QueueStatistics]:
        """What each queue holds."""
        await trio.lowlevel.checkpoint()
        return self._state.queues()

    # --- Removal ---

    async def remove(self, instance: str) -> bool:
        """Remove all of a closed instance."""
        await trio.lowlevel.checkpoint()
        row = self._state.headers.latest(instance)
        if row is None:
            return False
        if row.status is Status.OPEN:
            raise WorkflowStillOpen(row.id)
        self._state.remove_instance(row)
        self.changes.publish([instance_topic(instance)])
        return True

    async def remove_finished(self, before: float, limit: int, *, continued_runs_only: bool = False) -> int:
        """Remove what ended first."""
        await trio.lowlevel.checkpoint()
        ended = self._state.headers.ended_before(before, limit, is_continued=continued_runs_only)
        for key in ended:
            if continued_runs_only:
                self._state.remove_run(key)
            else:
                self._state.remove_instance(self._state.headers.rows[key])
                self.changes.publish([instance_topic(key[0])])
        return len(ended)

    async def dump(self) -> dict[str, list[dict[str, object]]]:
        """Everything there is."""
        await trio.lowlevel.checkpoint()
        return canonical(
            headers=self._state.headers.rows.values(),
            events=self._state.histories.all(),
            tasks=self._state.tasks.all(),
            inbox=[item for inbox in self._state.inboxes.values() for item in inbox.read(0)],
            replies=self._state.replies.rows.values(),
            nodes=self._state.nodes.values(),
            partitions=self._state.partitions.values(),
            now=self._clock(),
        )
