"""The tables as the code sees them, and statements that write many rows at once.

What the tables look like in a database is said in ``migrations``, step by step; a test compares the two.

A batch is written in few statements because each one costs a hand-over of the interpreter lock, which a busy event
loop makes dear (844 ms against 60 ms for 100 rows, measured). Rows come in any number, and a prepared statement has a
fixed one: so a batch is cut into powers of two, whose statements stay prepared.
"""

# ruff: noqa: S608 - only names of our own tables and columns are put into a statement; values are bound.

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import attrs

__all__ = [
    "EVENTS",
    "HEADERS",
    "INBOX",
    "NODES",
    "PARTITIONS",
    "REPLIES",
    "TASKS",
    "Column",
    "Statement",
    "Table",
    "delete_many",
    "insert_many",
    "keys_clause",
    "padded",
]

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]

_VARIABLES_MAX = 32_000
_ROWS_MAX = 256


@attrs.frozen
class Column:
    """A column: the Python types its values have when read."""

    name: str
    types: tuple[type, ...]


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _select(table: Table) -> str:
    return f"SELECT {', '.join(f'{table.name}.{column.name}' for column in table.columns)} FROM {table.name}"


@attrs.frozen(eq=False)
class Table:
    """A table; ``key`` names the columns that say which row it is."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    conflict: str = "replace"
    constant: tuple[str, ...] = ()
    names: tuple[str, ...] = attrs.field(init=False, default=attrs.Factory(_names, takes_self=True))
    select: str = attrs.field(init=False, default=attrs.Factory(_select, takes_self=True))


def _columns(kinds: str) -> tuple[Column, ...]:
    """Columns from lines such as ``text? parked``; the question mark allows NULL."""
    types: dict[str, tuple[type, ...]] = {
        "text": (str,),
        "integer": (int,),
        "real": (float, int),
        "json": (bytes,),
    }
    columns = []
    for line in kinds.split(","):
        kind, name = line.split()
        allowed = types[kind.rstrip("?")]
        columns.append(Column(name, (*allowed, type(None)) if kind.endswith("?") else allowed))
    return tuple(columns)


HEADERS = Table(
    "headers",
    _columns(
        "text instance, integer run, text id, text workflow, text queue, text partition, text root_id, real created_at,"
        "text status, text? parked, real? started_at, real? closed_at, real? wake_at, integer events,"
        "integer history_bytes, json? start, json? result, json? failure, json? parent, text parent_close,"
        "json? attributes, json? context, text? parent_instance, json? awaited"
    ),
    key=("instance", "run"),
    # Nor does an update then touch the indices that these are in.
    constant=("id", "partition", "created_at", "parent", "parent_instance"),
)
EVENTS = Table(
    "events",
    _columns("text instance, integer run, integer first, integer count, json data"),
    key=("instance", "run", "first"),
    conflict="fail",
)
TASKS = Table(
    "tasks",
    _columns(
        "text instance, integer run, integer call, text partition, text queue, text activity, json input, json options,"
        "text id, text workflow, real scheduled_at, integer attempt, real available_at, text? node,"
        "real? schedule_deadline, json? details, json? failure, integer is_cancel_requested, json? context"
    ),
    key=("instance", "run", "call"),
)
INBOX = Table(
    "inbox",
    _columns("text id, text partition, text instance, json body"),
    key=("partition", "id"),
    conflict="ignore",
)
REPLIES = Table("replies", _columns("text id, text instance, json data, real expires_at"), key=("id",))
NODES = Table(
    "nodes",
    _columns(
        "text node, json queues, real lease_until, real joined_at, text code_version, json activities, json workflows,"
        "text liveness"
    ),
    key=("node",),
)
PARTITIONS = Table(
    "partitions",
    _columns("text partition, text? node, integer epoch, integer sequence"),
    key=("partition",),
    conflict="ignore",
)


def insert_many(table: Table, items: Sequence[T], values_of: Callable[[T], Sequence[Any]]) -> Iterator[Statement]:
    """Statements that insert a row for each item in order, made one by one.

    What a row does that is there already is the table's ``conflict``.
    """
    largest = min(_ROWS_MAX, _VARIABLES_MAX // len(table.columns))
    position, left = 0, len(items)
    while left:
        count = min(1 << (left.bit_length() - 1), largest)
        if count == 1:
            yield _insert(table, 1), values_of(items[position])
        else:
            rows = map(values_of, items[position : position + count])
            yield _insert(table, count), list(chain.from_iterable(rows))
        position += count
        left -= count


def delete_many(
    table: Table, key: Sequence[str], values: Sequence[Sequence[Any]], also: str = ""
) -> Iterator[Statement]:
    """Statements that delete the rows whose ``key`` columns have one of ``values``."""
    for start in range(0, len(values), _ROWS_MAX):
        chunk = padded(values[start : start + _ROWS_MAX])
        yield (
            f"DELETE FROM {table.name} WHERE {keys_clause(table, tuple(key), len(chunk))}{also}",
            list(chain.from_iterable(chunk)),
        )


def padded(values: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """``values`` with the last one repeated up to a power of two, so that few different statements are prepared."""
    count = len(values)
    size = 1 << (count - 1).bit_length()
    return values if size == count else [*values, *([values[-1]] * (size - count))]


@functools.cache
def keys_clause(table: Table, key: tuple[str, ...], count: int) -> str:
    """The condition that the ``key`` columns of a row of ``table`` have one of ``count`` values."""
    if len(key) == 1:
        return f"{key[0]} IN ({', '.join('?' * count)})"
    # The plain ``(a, b) IN (VALUES ...)`` reads the whole table (SQLite 3.40): its planner finds no index for it.
    row = f"({', '.join('?' * len(key))})"
    matches = " AND ".join(f"own.{name} = wanted.column{number}" for number, name in enumerate(key, 1))
    return (
        f"rowid IN (SELECT own.rowid FROM (VALUES {', '.join([row] * count)}) AS wanted"
        f" CROSS JOIN {table.name} AS own ON {matches})"
    )


@functools.cache
def _insert(table: Table, count: int) -> str:
    row = f"({', '.join('?' * len(table.columns))})"
    text = f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES {', '.join([row] * count)}"
    if table.conflict == "fail":
        return text
    if table.conflict == "ignore":
        return f"{text} ON CONFLICT ({', '.join(table.key)}) DO NOTHING"
    changed = [name for name in table.names if name not in table.key and name not in table.constant]
    return (
        f"{text} ON CONFLICT ({', '.join(table.key)}) "
        f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changed)}"
    )
