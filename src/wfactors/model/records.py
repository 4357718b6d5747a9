"""The rows that engine and stores exchange; a store keeps them and gives them back, and looks into no payload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import attrs

from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.messages import Message
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import Payload
from wfactors.model.status import OnConflict, ParentClose, Reuse, Status

__all__ = [
    "Append",
    "Batch",
    "CreateOutcome",
    "CreateRequest",
    "HeaderRow",
    "InboxItem",
    "InstanceFilter",
    "Lease",
    "NodeRow",
    "PartitionRow",
    "QueueStatistics",
    "Reply",
    "TaskKey",
    "TaskRow",
    "Wake",
]


@attrs.frozen
class HeaderRow:
    """One run of one instance, but for its history: what is listed, woken and shown without replaying anything.

    Attributes:
        instance: Key of the instance; with ``run`` the primary key.
        run: Number of the run, from 1.
        id: The id people use; unique among open runs.
        partition: Text form of the partition that owns it.
        root_id: Id of the topmost ancestor; it decides the partition.
        start: The input, kept here until the first batch of the run puts it into the history; then None.
        wake_at: When the run next wants to be woken without a message (seconds since the epoch); None for never.
        parked: Why the run stands still until somebody resumes it; None if it does not.
        events: Number of events in the history.
        history_bytes: Their size as stored.
        attributes: The searchable attributes as a JSON object.
        awaited: Names of signals that its tasks wait for, the one awaited longest first; at most twenty, since they
            are written with each batch. Empty unless it is open and not parked.
    """

    instance: str
    run: int
    id: str
    workflow: str
    queue: str
    partition: str
    root_id: str
    created_at: float
    status: Status = Status.OPEN
    parked: str | None = None
    started_at: float | None = None
    closed_at: float | None = None
    wake_at: float | None = None
    events: int = 0
    history_bytes: int = 0
    start: Payload | None = None
    result: Payload | None = None
    failure: Failure | None = None
    parent: Parent | None = None
    parent_close: ParentClose = ParentClose.CANCEL
    attributes: Payload | None = None
    context: Mapping[str, str] = attrs.field(factory=dict)
    awaited: tuple[str, ...] = ()


@attrs.frozen
class Append:
    """Events that a batch adds to one history: ``count`` of them, numbered from ``first`` (from 0), encoded."""

    instance: str
    run: int
    first: int
    count: int
    data: bytes


class TaskKey(NamedTuple):
    """Which call of which run an activity task belongs to.

    A tuple, because it is hashed and compared a dozen times in the life of each task.
    """

    instance: str
    run: int
    call: int


@attrs.frozen
class TaskRow:
    """One activity call that has no outcome yet.

    Attributes:
        attempt: The attempt that runs or comes next, from 1.
        available_at: Not to be claimed before this time.
        node: The node that runs the attempt; None while nobody does.
        schedule_deadline: When its schedule-to-close time is over; None for never.
        details: What the last attempt to heartbeat said.
        failure: How the last attempt failed.
        is_cancel_requested: The workflow no longer wants it.
    """

    key: TaskKey
    partition: str
    queue: str
    activity: str
    input: Payload
    options: ActivityOptions
    id: str
    workflow: str
    scheduled_at: float
    attempt: int = 1
    available_at: float = 0.0
    node: str | None = None
    schedule_deadline: float | None = None
    details: Payload | None = None
    failure: Failure | None = None
    is_cancel_requested: bool = False
    context: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Reply:
    """The answer to a query or update, kept until its sender takes it, its instance is removed or it expires."""

    id: str
    instance: str
    data: bytes
    expires_at: float


@attrs.frozen
class Batch:
    """All that one commit of a partition writes, in one transaction.

    Attributes:
        partition: The partition, with the ``epoch`` its owner holds it under.
        sequence: One more than that of the batch before; the fence and the guard against applying it twice.
        headers: Rows to insert or replace whole, by (instance, run), each once. A run that ends precedes the one it
            continues as. Whoever writes a row again leaves instance, id, partition, parent and created_at as
            they are: a store need not write them.
        appends: Events to add.
        tasks: Task rows to insert or replace whole, by key, each once; partition, queue and activity as they are.
        tasks_removed: Tasks that have their outcome.
        tasks_cancelled: Tasks that are no longer wanted. One that a node holds gets ``is_cancel_requested`` (and the
            topic of its queue is published); one that nobody holds is removed, and an ``ActivityOutcome`` with
            ``is_cancelled`` of its current attempt goes into this partition's inbox, its message id
            ``"{instance}/{run}/{call}/cancelled"``. One that is not there is left alone.
        messages: To put into inboxes, of this partition or others; one whose id is there already is left alone.
        messages_removed: Ids of messages of this partition's inbox that were taken in.
        replies: Answers to queries and updates; one of the same id is replaced.
    """

    partition: str
    epoch: int
    sequence: int
    headers: Sequence[HeaderRow] = ()
    appends: Sequence[Append] = ()
    tasks: Sequence[TaskRow] = ()
    tasks_removed: Sequence[TaskKey] = ()
    tasks_cancelled: Sequence[TaskKey] = ()
    messages: Sequence[Message] = ()
    messages_removed: Sequence[str] = ()
    replies: Sequence[Reply] = ()


@attrs.frozen
class InboxItem:
    """A message as received: ``position`` grows in the order of arrival within a partition."""

    position: int
    message: Message


@attrs.frozen
class Wake:
    """An open run that wants to be woken at ``at``."""

    at: float
    instance: str
    run: int


@attrs.frozen
class Lease:
    """What a node got with a partition: the epoch it owns it under and the sequence of the last batch committed."""

    partition: str
    epoch: int
    sequence: int


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


@attrs.frozen
class NodeRow:
    """A running engine.

    Attributes:
        liveness: How another process can tell that this one is gone without waiting; opaque to everything
            but the store.
        lease_until: By the store's clock.
        is_alive: As the store sees it now.
        code_version: Of the application, as its engine was told.
    """

    node: str
    queues: tuple[str, ...] = attrs.field(converter=_names)
    lease_until: float
    joined_at: float
    is_alive: bool = True
    code_version: str = ""
    activities: tuple[str, ...] = attrs.field(default=(), converter=_names)
    workflows: tuple[str, ...] = attrs.field(default=(), converter=_names)
    liveness: str = ""


@attrs.frozen
class PartitionRow:
    """Who owns a partition; ``node`` is None when nobody does."""

    partition: str
    node: str | None
    epoch: int
    sequence: int


@attrs.frozen
class CreateRequest:
    """Start an instance whose id a person chose.

    Attributes:
        header: The row to insert; its key is fresh, its status open, its ``start`` set.
        on_conflict: What if an open run has the id (``TERMINATE_EXISTING`` is refused here like ``FAIL``: the client
            terminates and asks again).
        reuse: What if closed runs have it.
        signal: Goes to the created instance or, with ``USE_EXISTING``, to the open one, in the same transaction. Its
            ``partition`` and ``instance`` are filled in by the store.
    """

    header: HeaderRow
    on_conflict: OnConflict = OnConflict.FAIL
    reuse: Reuse = Reuse.ALLOW
    signal: Message | None = None


@attrs.frozen
class CreateOutcome:
    """``created``: the row was inserted, or was there already under the key. ``header``: the row that has the id."""

    created: bool
    header: HeaderRow
    is_refused: bool = False


@attrs.frozen
class InstanceFilter:
    """Which runs to list; every field that is not None must hold.

    Attributes:
        status: One of these.
        parent: Key of the parent instance.
        attributes: Each must be there and equal as a JSON value (``1`` equals ``1.0``, not ``true``).
        started_after: Created at this time or later.
        started_before: Created before this time.
        closed_before: Closed, before this time.
    """

    status: Sequence[Status] | None = None
    workflow: str | None = None
    queue: str | None = None
    id: str | None = None
    root_id: str | None = None
    parent: str | None = None
    attributes: Mapping[str, object] | None = None
    started_after: float | None = None
    started_before: float | None = None
    closed_before: float | None = None
    is_parked: bool | None = None


@attrs.frozen
class QueueStatistics:
    """What a queue holds now.

    Attributes:
        open_instances: Runs that are open, parked ones included.
        pending_tasks: Those that no node holds, due or not.
        inbox_messages: In the inboxes of its partitions.
        oldest_task_at: The earliest ``available_at`` of the pending ones.
    """

    queue: str
    open_instances: int
    parked_instances: int
    pending_tasks: int
    running_tasks: int
    inbox_messages: int
    oldest_task_at: float | None = None
