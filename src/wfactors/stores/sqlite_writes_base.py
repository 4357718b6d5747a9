"""What all writes of the SQLite store have in common: a writing connection, and statements for many rows."""

# ruff: noqa: S608 - only names of our own tables and columns are put into a statement; values are bound.

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from wfactors.model.messages import Message
from wfactors.stores.liveness import NodeLocks
from wfactors.stores.sql.rows import message_values
from wfactors.stores.sql.tables import INBOX, PARTITIONS, Statement, Table, insert_many, keys_clause, padded
from wfactors.stores.sqlite_reads import is_node_alive, rows_of

__all__ = ["CHUNK", "WritesBase", "divided", "messages_statements", "partitions_statements"]

R = TypeVar("R")

CHUNK = 256
"""How many keys one statement looks for."""


def messages_statements(messages: Iterable[Message], known_partition: str = "") -> Iterable[Statement]:
    """Put messages into inboxes, leaving alone those that are there; ``known_partition`` has its row already."""
    messages = list(messages)
    yield from partitions_statements({message.partition for message in messages} - {known_partition})
    yield from insert_many(INBOX, messages, message_values)


def partitions_statements(partitions: Iterable[str]) -> Iterable[Statement]:
    """Make the rows of partitions that were never heard of."""
    return insert_many(PARTITIONS, sorted(partitions), lambda partition: (partition, None, 0, 0))


def divided(outcomes: Sequence[R], arguments: Iterable[Sequence[object]]) -> list[list[R]]:
    """The outcomes of all items, divided as the calls they came from."""
    parts = []
    start = 0
    for argument in arguments:
        parts.append(list(outcomes[start : start + len(argument)]))
        start += len(argument)
    return parts


class WritesBase:
    """The connection, the clock and the lock files that operations work with."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float], locks: NodeLocks) -> None:
        self._connection = connection
        self._clock = clock
        self._locks = locks
        self._purged_at = clock()
        self._tasks_unreadable: set[int] = set()

    def is_alive(self, node: str) -> bool:
        """Whether the node's lease is not over and its process not known to be gone."""
        return is_node_alive(self._connection, node, self._judge)

    def _judge(self, node: str, lease_until: float, liveness: str) -> bool:
        return self._locks.is_alive(node, liveness, lease_until, self._clock())

    def _run(self, statements: Iterable[Statement]) -> None:
        execute = self._connection.execute
        for text, values in statements:
            execute(text, values)

    def _all(self, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return rows_of(self._connection, text, values)

    def _by_keys(
        self, select: str, table: Table, key: tuple[str, ...], values: Sequence[Sequence[object]], tail: str = ""
    ) -> Iterable[tuple[Any, ...]]:
        """The rows whose ``key`` columns have one of ``values``."""
        for start in range(0, len(values), CHUNK):
            chunk = padded(values[start : start + CHUNK])
            yield from self._all(
                f"{select} WHERE {keys_clause(table, key, len(chunk))}{tail}", list(chain.from_iterable(chunk))
            )

    def _set(
        self,
        table: Table,
        change: str,
        change_values: Sequence[object],
        key: tuple[str, ...],
        values: Sequence[Sequence[object]],
    ) -> None:
        """Change the rows whose ``key`` columns have one of ``values``."""
        for start in range(0, len(values), CHUNK):
            chunk = padded(values[start : start + CHUNK])
            text = f"UPDATE {table.name} SET {change} WHERE {keys_clause(table, key, len(chunk))}"
            self._connection.execute(text, [*change_values, *chain.from_iterable(chunk)])
