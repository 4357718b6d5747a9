"""Rows that nobody of us wrote: each column of each table, wrong in every way that SQLite lets pass.

Whatever is wrong, the neighbours of the victim finish, and the engine neither crashes nor hangs. The victim goes on if
the column does not matter to it, or stands still with the reason in view, or cannot be read, which a client is told.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.faults.corruption import STATES, Fixed, corrupted, outcome, prepare, victims
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, NODES, PARTITIONS, TASKS, Table

TABLES = (HEADERS, EVENTS, TASKS, INBOX, NODES, PARTITIONS)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "store.db"
    trio.run(prepare, path, clock=MockClock(autojump_threshold=0))
    return path


def mutations(value: Any) -> Iterator[Any]:
    """What a value may turn into."""
    yield None
    if isinstance(value, bytes):
        yield from (value[: len(value) // 2], b"", 17, b"[" * 100_000, b'{"a":NaN}', b"\xff" + value, b"null")
        for place in range(0, len(value), max(1, len(value) // 5)):
            yield value[:place] + bytes([value[place] ^ 0x15]) + value[place + 1 :]
    elif isinstance(value, str):
        yield from ("", b"\xff\xfe", value + "x", "\x00", 17)
    elif isinstance(value, int | float):
        yield from ("text", b"\xff", -1, value + 1, 2**62, 1e300)
    else:
        yield from ("text", b"\xff{", 17)


CASES = [(table, column.name) for table in TABLES for column in table.columns]


@pytest.mark.parametrize(("table", "column"), CASES, ids=[f"{table.name}.{column}" for table, column in CASES])
def test_a_wrong_column_harms_one_workflow_at_most(
    table: Table, column: str, prepared: Path, tmp_path: Path, rng: random.Random
) -> None:
    """NULL, another type, truncated, flipped bits, nonsense: the neighbour finishes and the engine goes on.

    Two of the values by chance; all of them with WFACTORS_TEST_FULL=1.
    """
    reader = sqlite3.connect(prepared)
    where = victims(reader, table)
    ((value,),) = reader.execute(f"SELECT {column} FROM {table.name} WHERE {where}")
    reader.close()
    seen = []
    values = list(mutations(value))
    for number, wrong in enumerate(values if os.environ.get("WFACTORS_TEST_FULL") else rng.sample(values[1:], 2)):
        # A partition's own row decides over all of it; and a lease until the end of days is one.
        is_expected = table is not PARTITIONS and not (column == "lease_until" and wrong in (2**62, 1e300))
        path = tmp_path / f"{number}.db"
        text = f"UPDATE {table.name} SET {column} = ? WHERE {where}"
        if corrupted(prepared, path, lambda connection, text=text, wrong=wrong: connection.execute(text, (wrong,))):
            try:
                fixed = Fixed(path, clock := MockClock(autojump_threshold=0))
                seen.append((wrong, trio.run(outcome, fixed, is_expected, clock=clock)))
            except BaseException as error:
                raise AssertionError(f"{table.name}.{column} = {wrong!r:.80}") from error
    assert seen
    for wrong, (state, detail) in seen:
        assert state in STATES, wrong
        if state == "completed":
            assert "[0, 5, 1, 6, 1]" == detail


@pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
def test_a_missing_row_harms_one_workflow_at_most(table: Table, prepared: Path, tmp_path: Path) -> None:
    """A row that somebody deleted: the neighbour finishes all the same."""
    path = tmp_path / "missing.db"

    def delete(connection: sqlite3.Connection) -> None:
        assert 1 == connection.execute(f"DELETE FROM {table.name} WHERE {victims(connection, table)}").rowcount

    assert corrupted(prepared, path, delete)
    state, detail = trio.run(outcome, Fixed(path, clock := MockClock(autojump_threshold=0)), True, clock=clock)
    expected = {
        HEADERS: "WorkflowNotFound",
        EVENTS: "open",
        TASKS: "open",
        INBOX: "open",
        NODES: "completed",
        PARTITIONS: "completed",
    }
    assert expected[table] == state
    if table is EVENTS:
        assert detail.startswith("StoreCorrupt")


@pytest.mark.parametrize("shift", [-1, 0, 1, 5])
def test_a_doubled_row_of_history_parks_its_instance(shift: int, prepared: Path, tmp_path: Path) -> None:
    """A copy of the last row, from another event on: StoreCorrupt in view, or refused by the store itself."""
    path = tmp_path / "doubled.db"

    def copy(connection: sqlite3.Connection) -> None:
        ((key,),) = connection.execute("SELECT instance FROM headers WHERE id = 'victim'")
        connection.execute(
            "INSERT INTO events SELECT instance, run, first + ?, count, data FROM events WHERE instance = ?"
            " ORDER BY first DESC LIMIT 1",
            (shift, key),
        )

    if not corrupted(prepared, path, copy):
        assert 0 == shift
        return
    state, detail = trio.run(outcome, Fixed(path, clock := MockClock(autojump_threshold=0)), True, clock=clock)
    assert "open" == state
    assert detail.startswith("StoreCorrupt")
