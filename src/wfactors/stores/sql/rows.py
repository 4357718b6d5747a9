"""Rows of a database to values of the model and back.

A row that was not written by this code (a flipped bit, a hand in the wrong place) must harm its reader alone: every
column is checked when a row is read, and what is wrong is told with table, key and column.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from wfactors.errors import StoreCorrupt
from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.messages import Message
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, HeaderRow, InboxItem, NodeRow, PartitionRow, Reply, TaskKey, TaskRow
from wfactors.model.status import ParentClose, Status
from wfactors.model.wire import decode_body, decode_value, encode_body, encode_value
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, NODES, PARTITIONS, TASKS, Table

__all__ = [
    "append_of",
    "append_values",
    "check_row",
    "header_of",
    "header_values",
    "inbox_item_of",
    "message_values",
    "node_of",
    "node_values",
    "partition_of_row",
    "reply_values",
    "task_of",
    "task_values",
]

Values = Sequence[Any]
T = TypeVar("T")

_STATUSES = {str(status): status for status in Status}
_POLICIES = {str(policy): policy for policy in ParentClose}
_CONTEXT = dict[str, str]
_NAMES = list[str]
_AWAITED = tuple[str, ...]


# --- Checks ----------------------------------------------------------------------------------------------------------

# The combinations of types that were seen and found right, by table: checking a row again costs one look-up.
_shapes_known: dict[Table, set[tuple[type, ...]]] = {}


def check_row(table: Table, values: Values) -> None:
    """Raise StoreCorrupt unless every value has a type that its column may have."""
    shape = tuple(map(type, values))
    known = _shapes_known.setdefault(table, set())
    if shape in known:
        return
    for column, value in zip(table.columns, values, strict=True):
        if type(value) not in column.types:
            found = "NULL" if value is None else f"a value of type {type(value).__name__}"
            raise StoreCorrupt(f"{_where(table, values)}, column {column.name}: {found} cannot be there")
    known.add(shape)


def _where(table: Table, values: Values) -> str:
    """Which row it is, in words."""
    key = ", ".join(f"{name}={values[table.names.index(name)]!r}" for name in table.key)
    return f"table {table.name}, row {key}"


def _wrong(table: Table, values: Values, column: str, reason: object) -> StoreCorrupt:
    return StoreCorrupt(f"{_where(table, values)}, column {column}: {reason}")


def _decoded(table: Table, values: Values, column: int, kind: type[T]) -> T:
    try:
        return decode_value(values[column], kind)
    except (StoreCorrupt, ValueError, TypeError) as error:
        raise _wrong(table, values, table.names[column], error) from error


def _chosen(table: Table, values: Values, column: int, choices: Mapping[str, T]) -> T:
    try:
        return choices[values[column]]
    except KeyError:
        raise _wrong(
            table, values, table.names[column], f"{values[column]!r} is none of {', '.join(choices)}"
        ) from None


def _bytes(payload: Payload | None) -> bytes | None:
    return None if payload is None else bytes(payload)


def _json(value: object) -> bytes | None:
    """The stored form of a value; NULL for nothing."""
    return encode_value(value) if value else None


# --- Headers ---------------------------------------------------------------------------------------------------------


def header_values(header: HeaderRow) -> Values:
    """The columns of a header."""
    parent = header.parent
    return (
        header.instance,
        header.run,
        header.id,
        header.workflow,
        header.queue,
        header.partition,
        header.root_id,
        header.created_at,
        str(header.status),
        header.parked,
        header.started_at,
        header.closed_at,
        header.wake_at,
        header.events,
        header.history_bytes,
        _bytes(header.start),
        _bytes(header.result),
        _json(header.failure),
        _json(parent),
        str(header.parent_close),
        _bytes(header.attributes),
        _json(header.context),
        None if parent is None else parent.instance,
        _json(header.awaited),
    )


def header_of(values: Values) -> HeaderRow:
    """The header in a row of ``headers``; StoreCorrupt if it cannot be read."""
    check_row(HEADERS, values)
    (
        instance, run, id, workflow, queue, partition, root_id, created_at, _, parked, started_at, closed_at, wake_at,
        events, history_bytes, start, result, failure, parent, _, attributes, context, _,
        awaited,
    ) = values  # fmt: skip
    return HeaderRow(
        instance,
        run,
        id,
        workflow,
        queue,
        partition,
        root_id,
        created_at,
        _chosen(HEADERS, values, 8, _STATUSES),
        parked,
        started_at,
        closed_at,
        wake_at,
        events,
        history_bytes,
        None if start is None else Payload(start),
        None if result is None else Payload(result),
        None if failure is None else _decoded(HEADERS, values, 17, Failure),
        None if parent is None else _decoded(HEADERS, values, 18, Parent),
        _chosen(HEADERS, values, 19, _POLICIES),
        None if attributes is None else Payload(attributes),
        {} if context is None else _decoded(HEADERS, values, 21, _CONTEXT),
        () if awaited is None else _decoded(HEADERS, values, 23, _AWAITED),
    )


# --- Histories -------------------------------------------------------------------------------------------------------


def append_values(append: Append) -> Values:
    """The columns of a row of history."""
    return (append.instance, append.run, append.first, append.count, append.data)


def append_of(values: Values) -> Append:
    """The row of history; StoreCorrupt if it cannot be read."""
    check_row(EVENTS, values)
    return Append(*values)


# --- Tasks -----------------------------------------------------------------------------------------------------------


def task_values(task: TaskRow) -> Values:
    """The columns of a task."""
    key = task.key
    return (
        key.instance,
        key.run,
        key.call,
        task.partition,
        task.queue,
        task.activity,
        bytes(task.input),
        _options_json(task.options),
        task.id,
        task.workflow,
        task.scheduled_at,
        task.attempt,
        task.available_at,
        task.node,
        task.schedule_deadline,
        _bytes(task.details),
        _json(task.failure),
        int(task.is_cancel_requested),
        _json(task.context),
    )


# The options encoded last: calls of one activity share theirs, and to compute a hash takes half as long as to encode.
_options_last = [(ActivityOptions(), encode_value(ActivityOptions()))]


def _options_json(options: ActivityOptions) -> bytes:
    known, data = _options_last[0]
    if options is not known:
        data = encode_value(options)
        _options_last[0] = (options, data)
    return data


@functools.lru_cache(maxsize=1024)
def _options_of(data: bytes) -> ActivityOptions:
    return decode_value(data, ActivityOptions)


def task_of(values: Values) -> TaskRow:
    """The task in a row of ``tasks``; StoreCorrupt if it cannot be read."""
    check_row(TASKS, values)
    try:
        options = _options_of(values[7])
    except (StoreCorrupt, ValueError, TypeError) as error:
        raise _wrong(TASKS, values, "options", error) from error
    (
        instance, run, call, partition, queue, activity, input, _, id, workflow, scheduled_at, attempt, available_at,
        node, schedule_deadline, details, failure, is_cancel_requested, context,
    ) = values  # fmt: skip
    return TaskRow(
        TaskKey(instance, run, call),
        partition,
        queue,
        activity,
        Payload(input),
        options,
        id,
        workflow,
        scheduled_at,
        attempt,
        available_at,
        node,
        schedule_deadline,
        None if details is None else Payload(details),
        None if failure is None else _decoded(TASKS, values, 16, Failure),
        bool(is_cancel_requested),
        {} if context is None else _decoded(TASKS, values, 18, _CONTEXT),
    )


# --- Messages --------------------------------------------------------------------------------------------------------


def message_values(message: Message) -> Values:
    """The columns of a message, but for its position, which the database gives."""
    return (message.id, message.partition, message.instance, encode_body(message.body))


def inbox_item_of(position: int, values: Values) -> InboxItem:
    """The message in a row of ``inbox``; StoreCorrupt if it cannot be read."""
    check_row(INBOX, values)
    id, partition, instance, data = values
    try:
        return InboxItem(position, Message(id, partition, instance, decode_body(data)))
    except (StoreCorrupt, ValueError, TypeError) as error:
        raise _wrong(INBOX, values, "body", error) from error


def reply_values(reply: Reply) -> Values:
    """The columns of a reply."""
    return (reply.id, reply.instance, reply.data, reply.expires_at)


# --- Cluster ---------------------------------------------------------------------------------------------------------


def node_values(node: NodeRow) -> Values:
    """The columns of a node."""
    return (
        node.node,
        encode_value(node.queues),
        node.lease_until,
        node.joined_at,
        node.code_version,
        encode_value(node.activities),
        encode_value(node.workflows),
        node.liveness,
    )


def node_of(values: Values, *, is_alive: bool) -> NodeRow:
    """The node in a row of ``nodes``; StoreCorrupt if it cannot be read."""
    check_row(NODES, values)
    return NodeRow(
        values[0],
        _names(values, 1),
        values[2],
        values[3],
        is_alive,
        values[4],
        _names(values, 5),
        _names(values, 6),
        values[7],
    )


def _names(values: Values, column: int) -> Any:  # mypy understands no other argument of ``converter=tuple``
    return _decoded(NODES, values, column, _NAMES)


def partition_of_row(values: Values) -> PartitionRow:
    """The partition in a row of ``partitions``; StoreCorrupt if it cannot be read."""
    check_row(PARTITIONS, values)
    return PartitionRow(*values)
