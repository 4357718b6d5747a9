"""Every read of the SQLite store, as functions of a connection: small ones run on the event loop, others in a thread.

What lists rows leaves out one that cannot be read, and says so in the log; what reads one run or one row raises.
"""

# ruff: noqa: S608 - only names of our own tables and columns are put into a statement; values are bound.

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from wfactors.errors import StoreCorrupt
from wfactors.model.ids import PartitionId
from wfactors.model.records import (
    Append,
    HeaderRow,
    InboxItem,
    InstanceFilter,
    NodeRow,
    PartitionRow,
    QueueStatistics,
    Reply,
    TaskRow,
    Wake,
)
from wfactors.stores.dump import canonical
from wfactors.stores.sql.filters import attributes_predicate, condition_of, page_condition
from wfactors.stores.sql.rows import append_of, check_row, header_of, inbox_item_of, node_of, partition_of_row, task_of
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, NODES, PARTITIONS, REPLIES, TASKS

__all__ = [
    "count",
    "due_tasks",
    "dump",
    "find",
    "has_reply",
    "header",
    "headers",
    "held_tasks",
    "history",
    "history_bytes",
    "inbox",
    "is_node_alive",
    "latest_with_id",
    "may_acquire",
    "next_task_at",
    "nodes",
    "partitions",
    "queues",
    "rows_of",
    "tasks",
    "wakes",
]

T = TypeVar("T")
Row = tuple[Any, ...]

_PAIRS_MAX = 64

logger = logging.getLogger("wfactors.stores.sqlite")


def rows_of(connection: sqlite3.Connection, text: str, values: Sequence[object] = ()) -> list[Row]:
    """The rows of a query, whatever is in them: text that is no UTF-8 comes as bytes, which no check lets pass."""
    try:
        return connection.execute(text, values).fetchall()
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    connection.text_factory = _text
    try:
        return connection.execute(text, values).fetchall()
    finally:
        connection.text_factory = str


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _readable(convert: Callable[[Row], T], rows: Iterable[Row]) -> list[T]:
    """The values in those rows that can be read."""
    values = []
    for row in rows:
        try:
            values.append(convert(row))
        except StoreCorrupt as error:
            logger.error("left out of a list: %s", error)  # noqa: TRY400 - the message says it all
    return values


# --- One run ---------------------------------------------------------------------------------------------------------


def find(connection: sqlite3.Connection, id: str) -> HeaderRow | None:
    """The open run with this id, else the latest."""
    rows = rows_of(connection, f"{HEADERS.select} WHERE id = ? AND status = 'open'", (id,))
    return header_of(rows[0]) if rows else latest_with_id(connection, id)


def latest_with_id(connection: sqlite3.Connection, id: str) -> HeaderRow | None:
    """The latest run that had the id, open or not."""
    order = "ORDER BY created_at DESC, instance DESC, run DESC LIMIT 1"
    rows = rows_of(connection, f"{HEADERS.select} WHERE id = ? {order}", (id,))
    return header_of(rows[0]) if rows else None


def header(connection: sqlite3.Connection, instance: str, run: int | None) -> HeaderRow | None:
    """One run by key, or the latest."""
    if run is None:
        rows = rows_of(connection, f"{HEADERS.select} WHERE instance = ? ORDER BY run DESC LIMIT 1", (instance,))
    else:
        rows = rows_of(connection, f"{HEADERS.select} WHERE instance = ? AND run = ?", (instance, run))
    return header_of(rows[0]) if rows else None


def history_bytes(connection: sqlite3.Connection, instance: str, run: int) -> int:
    """How large a history is, as its header says."""
    rows = rows_of(connection, "SELECT history_bytes FROM headers WHERE instance = ? AND run = ?", (instance, run))
    size = rows[0][0] if rows else 0
    return size if isinstance(size, int) else 0


def history(connection: sqlite3.Connection, instance: str, run: int, first: int, limit: int | None) -> list[Append]:
    """Rows of a history, from the one that holds event ``first``."""
    text = (
        f"{EVENTS.select} WHERE instance = ?1 AND run = ?2 AND first >= coalesce((SELECT max(first) FROM events"
        " WHERE instance = ?1 AND run = ?2 AND first <= ?3), 0) ORDER BY first LIMIT ?4"
    )
    # The row that begins before ``first`` may end before it too; only one that was checked can tell.
    values = (instance, run, first, -1 if limit is None else limit + 1)
    rows = [append_of(row) for row in rows_of(connection, text, values)]
    if rows and rows[0].first + rows[0].count <= first:
        del rows[0]
    return rows[:limit]


def tasks(connection: sqlite3.Connection, instance: str, run: int) -> list[TaskRow]:
    """The tasks of a run."""
    text = f"{TASKS.select} WHERE instance = ? AND run = ? ORDER BY call"
    return [task_of(row) for row in rows_of(connection, text, (instance, run))]


# --- A partition -----------------------------------------------------------------------------------------------------


def wakes(connection: sqlite3.Connection, partition: str, until: float, limit: int) -> list[Wake]:
    """What is to be woken next."""
    # The bounds leave out what is no number; the conditions on status and parked choose the partial index.
    text = (
        "SELECT wake_at, instance, run FROM headers WHERE partition = ? AND status = 'open' AND parked IS NULL"
        " AND wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at, instance, run LIMIT ?"
    )
    return [
        Wake(*row)
        for row in rows_of(connection, text, (partition, until, limit))
        if type(row[1]) is str and type(row[2]) is int
    ]


def inbox(
    connection: sqlite3.Connection, partition: str, after: int, limit: int, instance: str | None
) -> list[InboxItem]:
    """Messages behind a position, all or those for one instance."""
    text = INBOX.select.replace("SELECT ", "SELECT position, ", 1)
    if instance is None:
        where, values = "partition = ?", [partition]
    else:
        # Named, or the planner may walk through the whole partition (it has no statistics to choose by).
        where, values = "instance = ? AND +partition = ?", [instance, partition]
    rows = rows_of(
        connection, f"{text} WHERE {where} AND position > ? ORDER BY position LIMIT ?", (*values, after, limit)
    )
    return _readable(_inbox_item, rows)


def _inbox_item(row: Row) -> InboxItem:
    return inbox_item_of(row[0], row[1:])


def held_tasks(connection: sqlite3.Connection, partition: str) -> list[TaskRow]:
    """Tasks of the partition that some node holds."""
    text = f"{TASKS.select} WHERE partition = ? AND node IS NOT NULL ORDER BY instance, run, call"
    return _readable(task_of, rows_of(connection, text, (partition,)))


# --- Activities ------------------------------------------------------------------------------------------------------


def due_tasks(
    connection: sqlite3.Connection, activities: Mapping[str, Sequence[str]], now: float, limit: int
) -> list[int]:
    """Row ids of the free tasks due by ``now``, in the order in which they are handed out."""
    found: list[Row] = []
    for pairs in _pairs(activities):
        # One walk along the index for each kind of task, so none hides behind those that nobody here can run.
        one = (
            "SELECT * FROM (SELECT available_at, instance, run, call, rowid FROM tasks WHERE queue = ? AND activity = ?"
            " AND node IS NULL AND available_at <= ? ORDER BY available_at, instance, run, call LIMIT ?)"
        )
        values = [value for pair in pairs for value in (*pair, now, limit)]
        found += rows_of(connection, " UNION ALL ".join([one] * len(pairs)), values)
    if len(found) > 1:
        try:
            found.sort()
        except TypeError:
            # A key of another type; who reads the row will say so.
            found.sort(key=lambda row: (row[0], *map(str, row[1:])))
    return [row[4] for row in found[:limit]]


def next_task_at(connection: sqlite3.Connection, activities: Mapping[str, Sequence[str]]) -> float | None:
    """When the next of these tasks is due."""
    times = []
    for pairs in _pairs(activities):
        one = "SELECT min(available_at) FROM tasks WHERE queue = ? AND activity = ? AND node IS NULL"
        values = [value for pair in pairs for value in pair]
        times += [time for (time,) in rows_of(connection, " UNION ALL ".join([one] * len(pairs)), values)]
    return min((time for time in times if isinstance(time, float)), default=None)


def _pairs(activities: Mapping[str, Sequence[str]]) -> Iterable[list[tuple[str, str]]]:
    pairs = [(queue, activity) for queue, names in activities.items() for activity in dict.fromkeys(names)]
    return (pairs[start : start + _PAIRS_MAX] for start in range(0, len(pairs), _PAIRS_MAX))


# --- Lists -----------------------------------------------------------------------------------------------------------


def headers(
    connection: sqlite3.Connection,
    filter: InstanceFilter,
    limit: int,
    after: HeaderRow | None,
    *,
    newest_first: bool,
) -> list[HeaderRow]:
    """A page of runs."""
    condition, values = _condition(connection, filter)
    page, page_values = page_condition(after, newest_first=newest_first)
    order = ", ".join(f"{name} {'DESC' if newest_first else 'ASC'}" for name in ("created_at", "instance", "run"))
    text = f"{HEADERS.select} WHERE {page} AND {condition} ORDER BY {order} LIMIT ?"
    return _readable(header_of, rows_of(connection, text, [*page_values, *values, limit]))


def count(connection: sqlite3.Connection, filter: InstanceFilter) -> int:
    """How many runs match."""
    condition, values = _condition(connection, filter)
    ((number,),) = rows_of(connection, f"SELECT count(*) FROM headers WHERE {condition}", values)
    return int(number)


def _condition(connection: sqlite3.Connection, filter: InstanceFilter) -> tuple[str, list[object]]:
    if filter.attributes is not None:
        connection.create_function("attributes_match", 1, attributes_predicate(filter), deterministic=True)
    return condition_of(filter)


def has_reply(connection: sqlite3.Connection, id: str, now: float) -> bool:
    """Whether a reply is there."""
    return bool(rows_of(connection, "SELECT 1 FROM replies WHERE id = ? AND expires_at > ?", (id, now)))


def nodes(connection: sqlite3.Connection, is_alive: Callable[[str, float, str], bool]) -> list[NodeRow]:
    """All nodes; ``is_alive`` judges by name, end of lease and liveness."""

    def convert(row: Row) -> NodeRow:
        node = node_of(row, is_alive=False)
        return node_of(row, is_alive=is_alive(node.node, node.lease_until, node.liveness))

    return _readable(convert, rows_of(connection, f"{NODES.select} ORDER BY node"))


def is_node_alive(connection: sqlite3.Connection, node: str, is_alive: Callable[[str, float, str], bool]) -> bool:
    """Whether the node is there, and ``is_alive`` says so."""
    for row in rows_of(connection, f"{NODES.select} WHERE node = ?", (node,)):
        try:
            check_row(NODES, row)
        except StoreCorrupt as error:
            # Nobody can tell, and what it owned must go on: the epoch keeps it out if it lives.
            logger.error("a node counts as gone: %s", error)  # noqa: TRY400 - the message says it all
            return False
        _, _, lease_until, *_, liveness = row
        return is_alive(node, lease_until, liveness)
    return False


def may_acquire(
    connection: sqlite3.Connection, partition: str, node: str, is_alive: Callable[[str, float, str], bool]
) -> bool:
    """Whether the node is alive and nobody else who is owns the partition."""
    if not is_node_alive(connection, node, is_alive):
        return False
    for row in rows_of(connection, f"{PARTITIONS.select} WHERE partition = ?", (partition,)):
        owner = partition_of_row(row).node
        return owner is None or owner == node or not is_node_alive(connection, owner, is_alive)
    return True


def partitions(connection: sqlite3.Connection) -> list[PartitionRow]:
    """All partitions."""
    return _readable(partition_of_row, rows_of(connection, f"{PARTITIONS.select} ORDER BY partition"))


def queues(connection: sqlite3.Connection) -> list[QueueStatistics]:
    """What each queue holds."""
    opened = {
        queue: numbers
        for queue, *numbers in rows_of(
            connection, "SELECT queue, count(*), count(parked) FROM headers WHERE status = 'open' GROUP BY queue"
        )
    }
    pending = {
        queue: numbers
        for queue, *numbers in rows_of(
            connection,
            "SELECT queue, count(*) - count(node), count(node), min(CASE WHEN node IS NULL THEN available_at END)"
            " FROM tasks GROUP BY queue",
        )
    }
    messages: Counter[str] = Counter()
    for partition, number in rows_of(connection, "SELECT partition, count(*) FROM inbox GROUP BY partition"):
        messages[_queue_of(partition)] += number
    statistics = []
    for queue in sorted({*opened, *pending, *messages}):
        (instances, parked), (free, held, oldest) = opened.get(queue, (0, 0)), pending.get(queue, (0, 0, None))
        statistics.append(QueueStatistics(queue, instances, parked, free, held, messages[queue], oldest))
    return statistics


def _queue_of(partition: str) -> str:
    try:
        return PartitionId.parse(partition).queue
    except ValueError:
        return partition


def dump(connection: sqlite3.Connection, now: float) -> dict[str, list[dict[str, object]]]:
    """Everything, as of one moment."""
    connection.execute("BEGIN")
    try:
        return canonical(
            headers=map(header_of, rows_of(connection, HEADERS.select)),
            events=map(append_of, rows_of(connection, EVENTS.select)),
            tasks=map(task_of, rows_of(connection, TASKS.select)),
            inbox=map(_inbox_item, rows_of(connection, INBOX.select.replace("SELECT ", "SELECT position, ", 1))),
            replies=[Reply(*row) for row in rows_of(connection, REPLIES.select)],
            nodes=[node_of(row, is_alive=True) for row in rows_of(connection, NODES.select)],
            partitions=map(partition_of_row, rows_of(connection, PARTITIONS.select)),
            now=now,
        )
    finally:
        connection.execute("ROLLBACK")
