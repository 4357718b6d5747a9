"""What the memory store holds, and its single steps: synchronous, each whole or not at all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

from wfactors.errors import LeaseLost, StoreCorrupt, WorkflowAlreadyStarted
from wfactors.model.ids import PartitionId
from wfactors.model.messages import Message, Query
from wfactors.model.records import CreateOutcome, NodeRow, PartitionRow, QueueStatistics
from wfactors.model.status import Status
from wfactors.stores.base import HeartbeatAnswer
from wfactors.stores.changes import inbox_topic, instance_topic, reply_topic, tasks_topic
from wfactors.stores.memory_tables import HeaderTable, HistoryTable, InboxTable, ReplyTable, TaskTable
from wfactors.stores.rules import cancelled_outcome, without_creation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wfactors.model.payloads import Payload
    from wfactors.model.records import Append, Batch, CreateRequest, HeaderRow, TaskKey, TaskRow
    from wfactors.stores.base import TaskReport
    from wfactors.stores.memory_tables import RunKey

__all__ = ["MemoryState", "Topics"]

Topics = dict[str, None]
"""The topics to publish, each once, in the order in which they came up."""


class MemoryState:
    """The tables together. Steps that change what others wait for add its topics to ``topics``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.nodes: dict[str, NodeRow] = {}
        self.partitions: dict[str, PartitionRow] = {}
        self.headers = HeaderTable()
        self.histories = HistoryTable()
        self.tasks = TaskTable()
        self.inboxes: dict[str, InboxTable] = {}
        self.replies = ReplyTable()

    # --- Nodes and partitions ---

    def is_alive(self, node: str) -> bool:
        """Whether the node is there and its lease is not over."""
        row = self.nodes.get(node)
        return row is not None and self._clock() < row.lease_until

    def remove_node(self, node: str) -> bool:
        """Remove a node's row and release its partitions; returns whether it was there."""
        if self.nodes.pop(node, None) is None:
            return False
        for partition, row in self.partitions.items():
            if row.node == node:
                self.partitions[partition] = attrs.evolve(row, node=None)
        return True

    def partition(self, partition: str) -> PartitionRow:
        """The partition's row, made if it was never heard of."""
        row = self.partitions.get(partition)
        if row is None:
            row = self.partitions[partition] = PartitionRow(partition, None, 0, 0)
        return row

    # --- Batches ---

    def is_committed(self, batch: Batch) -> bool:
        """Whether the batch was the last one committed; raises LeaseLost if it is neither that nor the next."""
        owner = self.partitions.get(batch.partition)
        if owner is None or owner.node is None or owner.epoch != batch.epoch:
            raise LeaseLost(f"partition {batch.partition!r} is not owned under epoch {batch.epoch}")
        if batch.sequence not in (owner.sequence, owner.sequence + 1):
            raise LeaseLost(f"batch {batch.sequence} of partition {batch.partition!r} does not follow {owner.sequence}")
        return batch.sequence == owner.sequence

    def check(self, batch: Batch) -> None:
        """Raise if a part of the batch cannot be written; so ``apply`` never stops half-way."""
        self._check_ids(batch.headers)
        self._check_appends(batch.appends)

    def _check_ids(self, headers: Iterable[HeaderRow]) -> None:
        taken: dict[str, RunKey | None] = {}
        for row in headers:
            key = (row.instance, row.run)
            if row.id in taken:
                owner = taken[row.id]
            else:
                open_run = self.headers.open_run(row.id)
                owner = None if open_run is None else (open_run.instance, open_run.run)
            if row.status is Status.OPEN:
                if owner not in (None, key):
                    raise WorkflowAlreadyStarted(row.id)
                taken[row.id] = key
            else:
                taken[row.id] = None if owner == key else owner

    def _check_appends(self, appends: Iterable[Append]) -> None:
        seen = set()
        for append in appends:
            place = (append.instance, append.run, append.first)
            if place in seen or self.histories.has(append):
                raise StoreCorrupt(f"history of {append.instance!r}, run {append.run}: event {append.first} is there")
            seen.add(place)

    def apply(self, batch: Batch) -> Topics:
        """Write a batch that ``check`` let through; returns the topics to publish."""
        topics: Topics = {}
        owner = self.partitions[batch.partition]
        self.partitions[batch.partition] = PartitionRow(batch.partition, owner.node, batch.epoch, batch.sequence)
        for header in batch.headers:
            self.headers.put(header)
            if header.status is not Status.OPEN or header.parked is not None:
                topics[instance_topic(header.instance)] = None
        for append in batch.appends:
            self.histories.add(append)
        self._apply_tasks(batch, topics)
        self._apply_messages(batch, topics)
        return topics

    def _apply_tasks(self, batch: Batch, topics: Topics) -> None:
        for task in batch.tasks:
            self.tasks.put(task)
            if task.node is None or task.is_cancel_requested:
                topics[tasks_topic(task.queue)] = None
        for key in batch.tasks_removed:
            self.tasks.remove(key)
        for key in batch.tasks_cancelled:
            self._cancel_task(key, topics)

    def _apply_messages(self, batch: Batch, topics: Topics) -> None:
        for message in batch.messages:
            self._put_message(message)
            if message.partition != batch.partition:
                topics[inbox_topic(message.partition)] = None
        inbox = self.inboxes.get(batch.partition)
        if inbox is not None:
            for id in batch.messages_removed:
                inbox.remove(id)
        if batch.replies:
            self.replies.expire(self._clock())
        for reply in batch.replies:
            self.replies.put(reply)
            topics[reply_topic(reply.id)] = None

    # --- Tasks ---

    def _cancel_task(self, key: TaskKey, topics: Topics) -> None:
        task = self.tasks.get(key)
        if task is None:
            return
        if task.node is None:
            self._withdraw(task, topics)
        else:
            self.tasks.put(attrs.evolve(task, is_cancel_requested=True))
            topics[tasks_topic(task.queue)] = None

    def _withdraw(self, task: TaskRow, topics: Topics) -> None:
        self.tasks.remove(task.key)
        self._put_message(cancelled_outcome(task))
        topics[inbox_topic(task.partition)] = None

    def report(self, report: TaskReport, topics: Topics) -> bool:
        """Record how an attempt ended; False if it was no longer held."""
        task = self.tasks.get(report.key)
        if task is None or task.node != report.node or task.attempt != report.attempt:
            return False
        if report.retry_at is None:
            self.tasks.remove(task.key)
            if report.outcome is not None:
                self._put_message(report.outcome)
                topics[inbox_topic(report.outcome.partition)] = None
        elif task.is_cancel_requested:
            self._withdraw(task, topics)
        else:
            details = task.details if report.details is None else report.details
            self.tasks.put(
                attrs.evolve(
                    task,
                    attempt=task.attempt + 1,
                    available_at=report.retry_at,
                    node=None,
                    failure=report.failure,
                    details=details,
                )
            )
            topics[tasks_topic(task.queue)] = None
        return True

    def heartbeat(self, node: str, key: TaskKey, attempt: int, details: Payload | None) -> HeartbeatAnswer:
        """Keep what an attempt says, answer whether it is still wanted."""
        task = self.tasks.get(key)
        if task is None or task.node != node or task.attempt != attempt:
            return HeartbeatAnswer(is_held=False, is_cancel_requested=False)
        if details is not None:
            self.tasks.put(attrs.evolve(task, details=details))
        return HeartbeatAnswer(is_held=True, is_cancel_requested=task.is_cancel_requested)

    # --- Instances and messages ---

    def create(self, request: CreateRequest, topics: Topics) -> CreateOutcome:
        """Insert an instance if its id is free."""
        row = request.header
        same_key = self.headers.latest(row.instance)
        outcome = without_creation(request, same_key, self.headers.open_run(row.id), self.headers.latest_of_id(row.id))
        if outcome is None:
            self.partition(row.partition)
            self.headers.put(row)
            topics[inbox_topic(row.partition)] = None
            outcome = CreateOutcome(created=True, header=row)
        has_signal = same_key is None and not outcome.is_refused
        if request.signal is not None and has_signal:
            target = outcome.header
            self._put_message(attrs.evolve(request.signal, partition=target.partition, instance=target.instance))
            topics[inbox_topic(target.partition)] = None
        return outcome

    def send(self, message: Message, topics: Topics) -> str | None:
        """Put a message into the inbox of an open instance."""
        inbox = self.inboxes.get(message.partition)
        if inbox is not None and inbox.has(message.id):
            return None
        row = self.headers.latest(message.instance)
        if row is None or row.partition != message.partition:
            return "not_found"
        if row.status is not Status.OPEN and not isinstance(message.body, Query):
            return row.status.value
        self._put_message(message)
        topics[inbox_topic(message.partition)] = None
        return None

    def _put_message(self, message: Message) -> bool:
        inbox = self.inboxes.get(message.partition)
        if inbox is None:
            self.partition(message.partition)
            inbox = self.inboxes[message.partition] = InboxTable()
        return inbox.put(message)

    def queues(self) -> list[QueueStatistics]:
        """What each queue holds."""
        opened, parked = self.headers.open_by_queue()
        messages: Counter[str] = Counter()
        for partition, inbox in self.inboxes.items():
            if len(inbox):
                messages[PartitionId.parse(partition).queue] += len(inbox)
        statistics = []
        for queue in sorted({*opened, *messages, *self.tasks.queues()}):
            pending, running, oldest_at = self.tasks.statistics(queue)
            statistics.append(
                QueueStatistics(queue, opened[queue], parked[queue], pending, running, messages[queue], oldest_at)
            )
        return statistics

    # --- Removal ---

    def remove_instance(self, latest: HeaderRow) -> None:
        """Remove all of an instance whose latest run is given."""
        for key in self.headers.runs(latest.instance):
            self.remove_run(key)
        inbox = self.inboxes.get(latest.partition)
        if inbox is not None:
            inbox.remove_instance(latest.instance)
        self.replies.remove_instance(latest.instance)

    def remove_run(self, key: RunKey) -> None:
        """Remove a run with its history and tasks."""
        self.headers.remove(key)
        self.histories.remove(key)
        for task in self.tasks.of_run(key):
            self.tasks.remove(task.key)
