"""The contract of every store; ``wfactors.testing.conformance`` is its proof, for ours and for anybody's own.

A store keeps rows and gives them back. It decides only what must be decided where all processes meet: who owns a
partition, whether a commit is still allowed, whether an id is free, who gets a task. It never looks into payloads and
knows nothing of kernels.

**Durability.** When a coroutine that writes returns, what it wrote survives a crash as far as ``durability()`` says.
When it is cancelled, either nothing was written, or it was written whole; the caller may ask again, since every
write is idempotent: a batch by its sequence, a message by its id, an instance by its key, a report by the attempt.

**Time.** Leases, and when a reply expires, are judged by the store's clock: a function given to the store's constructor
as ``clock``, or the backend's own. A node is alive while ``now() < lease_until``. All other times are given by the
caller.

**Notices.** When a coroutine that writes returns, its topics have been published, after what they tell of could be
read. What was refused publishes nothing. More may be published than is asked here, never less.

**Errors.** ``StoreUnavailable`` (try again), ``StoreFull`` (try again, tell somebody), ``StoreCorrupt`` (a row cannot
be read; the message says which), ``LeaseLost`` (of ``commit``, ``renew`` and ``claim``), ``StoreVersionError`` (of
``open``), ``WorkflowStillOpen`` (of ``remove``). A store translates its driver's exceptions at one boundary.

**Rows that cannot be read** harm nobody else: what reads one run or one row raises StoreCorrupt; what lists rows of
many (headers, inbox, held tasks, nodes, a claim) leaves such a row out, where it is, and says so in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from wfactors.model.failures import Failure
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
from wfactors.stores.changes import Changes

__all__ = ["Durability", "HeartbeatAnswer", "Store", "TaskReport"]


@attrs.frozen
class Durability:
    """What the store does with an acknowledged write.

    Attributes:
        level: ``"none"`` (memory), ``"process"`` (survives the process), ``"machine"`` (survives power loss).
        detail: The settings in force, as read from the backend, for people (``"WAL, synchronous=FULL"``).
        warning: What could be lost, if anything; None when acknowledged writes survive power loss.
    """

    level: str
    detail: str
    warning: str | None = None


@attrs.frozen
class TaskReport:
    """How an attempt ended on a node that does not own the task's partition.

    With ``retry_at`` the task goes back to be claimed with the next attempt, from that time on, with ``failure`` and,
    unless they are None, ``details``; but one that was asked to stop is not tried again: it is removed and answered for
    as ``Batch.tasks_cancelled`` says. Without ``retry_at`` it is removed and ``outcome``, if any, is put into its
    partition's inbox. Applies only while the task is held by ``node`` with this ``attempt``. The owner of a partition
    frees the tasks of nodes that died the same way, by a report in their name.
    """

    key: TaskKey
    node: str
    attempt: int
    outcome: Message | None = None
    retry_at: float | None = None
    failure: Failure | None = None
    details: Payload | None = None


@attrs.frozen
class HeartbeatAnswer:
    """What became of a task since: ``is_held`` False means that the attempt is no longer this node's."""

    is_held: bool
    is_cancel_requested: bool


class Store(Protocol):
    """A backend. Its methods may be called by any number of tasks at once; writes of one moment are grouped.

    A sequence of requests, reports, beats or messages is one transaction, each item seeing what those before it did.
    """

    url: str
    changes: Changes

    # --- Life ---

    def open(self) -> AbstractAsyncContextManager[None]:
        """Connect, check or create the schema, run until the block is left; then finish what was asked and close.

        Once it was left it may be entered again.

        Raises StoreUnavailable, StoreVersionError or StoreCorrupt.
        """
        ...

    def durability(self) -> Durability:
        """The durability in force, as read from the backend when it was opened."""
        ...

    async def now(self) -> float:
        """The store's clock, in seconds since the epoch."""
        ...

    # --- Cluster ---

    async def join(self, node: NodeRow, lease_seconds: float) -> NodeRow:
        """Insert or replace the node's row; ``lease_until``, ``is_alive`` and ``liveness`` are the store's to fill in.

        Returns the row as it is now.
        """
        ...

    async def renew(self, node: str, lease_seconds: float) -> float:
        """Extend the node's lease; returns its new end by the store's clock.

        LeaseLost if the row is gone or was over (a node that was declared dead must join again under a new name).
        """
        ...

    async def leave(self, node: str) -> None:
        """Remove the node and release its partitions; nothing happens if it is not there.

        Tasks it still holds become orphans at once: they keep its name until the owner of their partition reports them.
        """
        ...

    async def nodes(self) -> list[NodeRow]:
        """All nodes, by name; dead ones with ``is_alive`` False until somebody calls ``bury``."""
        ...

    async def bury(self, node: str) -> None:
        """Remove a dead node's row and release its partitions; nothing happens if it is alive."""
        ...

    async def acquire(self, partition: str, node: str) -> Lease | None:
        """Take the partition if nobody alive owns it (or this node does), raising its epoch; None if somebody does.

        None too if ``node`` itself is not alive. A stand-by asks again and again, so what is refused writes nothing.
        Epochs and sequences of a partition only grow, whoever owns it: the first lease has epoch 1 and sequence 0.
        """
        ...

    async def release(self, partition: str, node: str, epoch: int) -> None:
        """Give the partition back, if ``node`` still owns it under ``epoch``."""
        ...

    async def partitions(self) -> list[PartitionRow]:
        """Every partition that was ever acquired or got an instance or message, in order of text; none ever goes."""
        ...

    # --- The owner of a partition ---

    async def commit(self, batch: Batch) -> None:
        """Write a batch in one transaction, if its epoch owns the partition and its sequence is the next one.

        The sequence last committed, once more, is a success without effect. Everything else raises LeaseLost;
        also while nobody owns the partition. The epoch alone is the fence: an owner whose lease is over may go on until
        somebody takes the partition over, or it is released. Appends that begin at an event already stored raise
        StoreCorrupt, and nothing of the batch is written. That the ids of its headers are free is the caller's care
        (``create`` has claimed them, or the engine made them); a store that sees one open under another key raises
        WorkflowAlreadyStarted. The parts apply in the order of Batch's fields, each part in its own order:
        ``tasks`` before ``tasks_removed`` before ``tasks_cancelled``.
        """
        ...

    async def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        """The open, unparked runs with the earliest ``wake_at`` up to and with ``until``, at most ``limit``.

        In order of (at, instance, run).
        """
        ...

    async def inbox(self, partition: str, after: int, limit: int, *, instance: str | None = None) -> list[InboxItem]:
        """Messages of the partition with a position above ``after``, in order; the first position is above 0.

        With ``instance`` only those for it, at a cost that does not grow with the messages for others. A position is
        never used twice, also after its message was removed.
        """
        ...

    async def held_tasks(self, partition: str) -> list[TaskRow]:
        """The partition's tasks that some node holds, by key."""
        ...

    # --- Activities ---

    async def claim(self, node: str, activities: Mapping[str, Sequence[str]], now: float, limit: int) -> list[TaskRow]:
        """Hand out up to ``limit`` free tasks due by ``now`` of these activity names per queue, as they are then.

        In order of (available_at, key), over all queues. Raises LeaseLost if ``node`` is not alive: what a node holds
        that was buried already would be handed out again by nobody.
        """
        ...

    async def next_task_at(self, activities: Mapping[str, Sequence[str]]) -> float | None:
        """When the next free task of these becomes due; None if there is none."""
        ...

    async def report(self, reports: Sequence[TaskReport]) -> list[bool]:
        """Record how attempts ended; False for each that was no longer held."""
        ...

    async def heartbeat(self, node: str, beats: Sequence[tuple[TaskKey, int, Payload | None]]) -> list[HeartbeatAnswer]:
        """Keep (key, attempt, details) of running attempts and learn whether they are still wanted.

        Details of None leave those there are. What is not held under this node and attempt is not wanted either.
        """
        ...

    # --- Clients ---

    async def create(self, requests: Sequence[CreateRequest]) -> list[CreateOutcome]:
        """Insert instances with chosen ids; race-free against every other process. See CreateRequest.

        In this order: an instance with this key is there: created, with its latest run (the retry of a request that had
        succeeded; nothing is written). An open run has the id: refused, or with ``USE_EXISTING`` neither created nor
        refused, with that run. Only closed ones had it: refused with the latest if ``REJECT``, or if ``IF_FAILED`` and
        it completed. Else created.
        """
        ...

    async def send(self, messages: Sequence[Message]) -> list[str | None]:
        """Put messages for existing instances into their inboxes, each only if its instance's run is open.

        Returns for each None if it was accepted (or was there already), else ``"not_found"`` or the status of the
        instance's last run. Queries, and messages to a parked instance, are accepted; a query is even for a closed one.
        The message's ``partition`` is checked: an instance is in one partition for ever (else ``"not_found"``).
        A message is "there already" while one of its id is in the inbox of its partition, however it came there. The
        store forgets the id when the message is removed; from then on the history knows it.
        """
        ...

    async def take_reply(self, id: str) -> bytes | None:
        """The reply of this id, removed from the store; None if it is not there yet, or expired.

        An expired reply is gone for every reader at once; its row goes when the store gets round to it.
        """
        ...

    # --- Reads ---

    async def find(self, id: str) -> HeaderRow | None:
        """The open run that has the id, else the latest one that had, by (created_at, instance, run)."""
        ...

    async def header(self, instance: str, run: int | None = None) -> HeaderRow | None:
        """One run by key; the latest (of the highest number) without ``run``."""
        ...

    async def headers(
        self, filter: InstanceFilter, limit: int, after: HeaderRow | None = None, *, newest_first: bool = True
    ) -> list[HeaderRow]:
        """A page of runs by (created_at, instance, run), going on behind ``after`` (which may be gone by now)."""
        ...

    async def count(self, filter: InstanceFilter) -> int:
        """How many runs match."""
        ...

    async def history(self, instance: str, run: int, first: int = 0, limit: int | None = None) -> list[Append]:
        """The rows of a history in order, from the one that holds event ``first``; at most ``limit`` rows."""
        ...

    async def tasks(self, instance: str, run: int) -> list[TaskRow]:
        """The activity calls of a run that have no outcome yet, by call."""
        ...

    async def queues(self) -> list[QueueStatistics]:
        """One row for each queue that holds an open instance, a task or a message, by name."""
        ...

    # --- Removal ---

    async def remove(self, instance: str) -> bool:
        """Remove all of a closed instance, by key: runs, histories, tasks, inbox, replies. False if it is not there.

        Raises WorkflowStillOpen if its last run is open. Publishes the topic of the instance, as ``remove_finished``
        does for each: whoever waits for its answer learns that none will come.
        """
        ...

    async def remove_finished(self, before: float, limit: int, *, continued_runs_only: bool = False) -> int:
        """Remove up to ``limit`` instances closed before this time, the earliest first; returns how many.

        With ``continued_runs_only`` the unit is a run: those that continued as new before this time are removed with
        their history and tasks, of open instances too; everything else of the instances stays. But one stays while the
        run after it still has its ``start``: that run finds the signals handed on to it in this history.
        """
        ...

    async def dump(self) -> dict[str, list[dict[str, object]]]:
        """Everything there is, in the canonical form of ``wfactors.stores.dump``, equal for all stores; for audits."""
        ...
