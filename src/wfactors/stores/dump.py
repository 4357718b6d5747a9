"""The canonical dump: all that a store holds as plain rows, equal for equal contents whatever the store.

Tables and their order: ``headers`` by (instance, run), ``events`` (one row an append) by (instance, run, first),
``tasks`` by key, ``inbox`` by (partition, rank), ``replies`` by id, ``nodes`` by name, ``partitions`` by text. A row
has the names of the record's fields; what is inside a row is plain too: text, numbers, dicts, lists.

Left out is what differs between stores that are equal to their users: positions of messages (a rank instead), when a
lease ends and how liveness is told, replies that have expired but whose rows are still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from wfactors.model.payloads import Payload
from wfactors.model.records import TaskKey
from wfactors.model.wire import encode_body

if TYPE_CHECKING:
    from wfactors.model.messages import Message
    from wfactors.model.records import Append, HeaderRow, InboxItem, NodeRow, PartitionRow, Reply, TaskRow

__all__ = ["TABLES", "canonical", "plain"]

TABLES = ("headers", "events", "tasks", "inbox", "replies", "nodes", "partitions")

Row = dict[str, object]

_NODE_VOLATILE = frozenset({"lease_until", "is_alive", "liveness"})


def canonical(
    *,
    headers: Iterable[HeaderRow],
    events: Iterable[Append],
    tasks: Iterable[TaskRow],
    inbox: Iterable[InboxItem],
    replies: Iterable[Reply],
    nodes: Iterable[NodeRow],
    partitions: Iterable[PartitionRow],
    now: float,
) -> dict[str, list[Row]]:
    """The dump of these records, in any order, as of the store's time ``now``."""
    return {
        "headers": [_plain_row(row) for row in sorted(headers, key=lambda row: (row.instance, row.run))],
        "events": [_plain_row(row) for row in sorted(events, key=lambda row: (row.instance, row.run, row.first))],
        "tasks": [_plain_row(row) for row in sorted(tasks, key=lambda row: row.key)],
        "inbox": _inbox_rows(inbox),
        "replies": [_plain_row(row) for row in sorted(replies, key=lambda row: row.id) if row.expires_at > now],
        "nodes": [_plain_row(row, _NODE_VOLATILE) for row in sorted(nodes, key=lambda row: row.node)],
        "partitions": [_plain_row(row) for row in sorted(partitions, key=lambda row: row.partition)],
    }


def plain(value: Any) -> Any:
    """A value of the model as text, numbers, dicts and lists."""
    match value:
        case None | bool() | int() | float():
            return value
        case StrEnum():
            return value.value
        case str():
            return value
        case bytes():
            return _text(value)
        case Payload():
            return _text(bytes(value))
        case TaskKey():
            return value._asdict()
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case Sequence():
            return [plain(item) for item in value]
        case _:
            return _plain_row(value)


def _plain_row(row: attrs.AttrsInstance, without: frozenset[str] = frozenset()) -> Row:
    return {
        field.name: plain(getattr(row, field.name)) for field in attrs.fields(type(row)) if field.name not in without
    }


def _inbox_rows(items: Iterable[InboxItem]) -> list[Row]:
    rows: list[Row] = []
    partition, rank = None, 0
    for item in sorted(items, key=lambda item: (item.message.partition, item.position)):
        rank = rank + 1 if item.message.partition == partition else 0
        partition = item.message.partition
        rows.append({"rank": rank, **_message_row(item.message)})
    return rows


def _message_row(message: Message) -> Row:
    return {
        "id": message.id,
        "partition": message.partition,
        "instance": message.instance,
        "body": _text(encode_body(message.body)),
    }


def _text(data: bytes) -> str:
    # Almost always JSON; anything else stays exact, and readable as what it is.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"hex:{data.hex()}"
