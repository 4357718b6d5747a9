"""The schema: what the code believes of the tables, and the steps that make them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
import trio

import wfactors as wf
from wfactors.errors import StoreVersionError
from wfactors.stores.sql.migrations import MIGRATIONS
from wfactors.stores.sql.tables import (
    EVENTS,
    HEADERS,
    INBOX,
    NODES,
    PARTITIONS,
    REPLIES,
    TASKS,
    Table,
    insert_many,
    keys_clause,
)
from wfactors.stores.sqlite import SqliteStore
from wfactors.stores.sqlite_connection import Settings, connect_writer
from wfactors.testing.clocks import AutojumpHold, VirtualClock
from wfactors.testing.conformance.builders import header, request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from trio.testing import MockClock


TABLES = {table.name for table in (HEADERS, EVENTS, TASKS, INBOX)}


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return connect_writer(Settings(str(tmp_path / "store.db")))


@pytest.mark.parametrize(
    "table", [HEADERS, EVENTS, TASKS, INBOX, REPLIES, NODES, PARTITIONS], ids=lambda table: table.name
)
def test_the_tables_are_as_the_code_believes(connection: sqlite3.Connection, table: Table) -> None:
    """Names, order, and which columns may be NULL."""
    rows = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
    found = [(name, not is_required) for _, name, _, is_required, _, _ in rows if name != "position"]
    assert found == [(column.name, type(None) in column.types) for column in table.columns]
    connection.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT 1 FROM headers WHERE instance = ? AND run = ?", "sqlite_autoindex_headers_1"),
        ("SELECT * FROM headers WHERE id = ? AND status = 'open'", "headers_open"),
        ("SELECT * FROM headers WHERE id = ? ORDER BY created_at DESC, instance DESC, run DESC LIMIT 1", "headers_id"),
        ("SELECT * FROM headers ORDER BY created_at DESC, instance DESC, run DESC LIMIT 10", "headers_created"),
        ("SELECT * FROM headers WHERE closed_at < ? ORDER BY closed_at LIMIT 1", "headers_closed"),
        (
            (
                "SELECT wake_at, instance, run FROM headers WHERE partition = ? AND status = 'open' AND parked IS NULL"
                " AND wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at, instance, run LIMIT 10"
            ),
            "COVERING INDEX headers_wake",
        ),
        ("SELECT * FROM events WHERE instance = ? AND run = ? AND first >= ? ORDER BY first", "events_run"),
        (
            (
                "SELECT available_at, instance, run, call FROM tasks WHERE queue = ? AND activity = ? AND node IS NULL"
                " AND available_at <= ? ORDER BY available_at, instance, run, call LIMIT 1"
            ),
            "COVERING INDEX tasks_free",
        ),
        ("SELECT * FROM tasks WHERE partition = ? AND node IS NOT NULL", "tasks_held"),
        ("SELECT * FROM inbox WHERE partition = ? AND position > ? ORDER BY position", "inbox_partition"),
        (
            "SELECT * FROM inbox WHERE instance = ? AND +partition = ? AND position > ? ORDER BY position",
            "inbox_instance",
        ),
        ("DELETE FROM inbox WHERE instance IN (?, ?)", "inbox_instance"),
        (f"DELETE FROM tasks WHERE {keys_clause(TASKS, TASKS.key, 2)}", "sqlite_autoindex_tasks_1"),
        (f"UPDATE tasks SET node = 'x' WHERE {keys_clause(TASKS, TASKS.key, 2)}", "sqlite_autoindex_tasks_1"),
        (f"SELECT * FROM headers WHERE {keys_clause(HEADERS, HEADERS.key, 2)}", "sqlite_autoindex_headers_1"),
        (f"DELETE FROM inbox WHERE {keys_clause(INBOX, INBOX.key, 2)}", "sqlite_autoindex_inbox_1"),
        ("DELETE FROM events WHERE instance IN (?, ?)", "events_run"),
        ("SELECT * FROM headers WHERE parent_instance = ?", "headers_parent"),
    ],
)
def test_the_frequent_questions_have_an_index(connection: sqlite3.Connection, query: str, index: str) -> None:
    """SQLite answers them by the index that was made for them, without sorting all rows first."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", [None] * query.count("?")).fetchall()
    steps = [step for *_, step in plan]
    assert any(index in step for step in steps), steps
    assert not any(step.startswith("SCAN") and step.split()[1] in TABLES for step in steps if index not in step), steps
    assert not any(step == "USE TEMP B-TREE FOR ORDER BY" for step in steps), steps
    connection.close()


def test_rows_of_any_number_become_few_statements() -> None:
    """A batch is cut into powers of two, in order, and no statement has too many variables."""
    for count in (0, 1, 2, 3, 750, 1025):
        rows = [(f"k{number}", 1, number, 1, b"") for number in range(count)]
        statements = list(insert_many(EVENTS, rows, tuple))
        flat = [value for _, values in statements for value in values]
        assert flat == [value for row in rows for value in row]
        assert len(statements) <= count // 256 + 9
        assert all(len(values) <= 32_766 for _, values in statements)


# --- Migrations ------------------------------------------------------------------------------------------------------

ADDED: tuple[Sequence[str] | Callable[..., None], ...] = (
    ("ALTER TABLE headers ADD COLUMN colour TEXT", "UPDATE headers SET colour = 'blue'"),
    lambda connection: connection.run("CREATE TABLE shapes (name TEXT)"),
)


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


async def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """The steps it has not had are run, once; its rows stay."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    async with store.open():
        await store.create([request(header())])
    assert version_of(path) == len(MIGRATIONS)
    for _ in range(2):
        connection = connect_writer(Settings(str(path), migrations=(*MIGRATIONS, *ADDED)))
        assert connection.execute("SELECT id, colour FROM headers").fetchall() == [("order-i1", "blue")]
        assert connection.execute("SELECT count(*) FROM shapes").fetchone() == (0,)
        connection.close()
    assert version_of(path) == len(MIGRATIONS) + 2


@wf.workflow
async def patient(names: list[str]) -> list[int]:
    return [await wf.signals(name, int).receive() for name in names]


def as_version_1(new: Path, old: Path) -> None:
    """What the release before the second step would have written of the same workflows."""
    connection = connect_writer(Settings(str(old), migrations=MIGRATIONS[:1]))
    connection.execute("ATTACH ? AS new", [str(new)])
    for table in (HEADERS, EVENTS, TASKS, INBOX, REPLIES, PARTITIONS):
        names = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table.name})"))
        connection.execute(f"INSERT INTO main.{table.name} ({names}) SELECT {names} FROM new.{table.name}")
    connection.close()


async def test_an_open_workflow_in_a_file_of_version_1_goes_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The signals it waits for are not known to that file; they are from the moment it is in memory again."""
    clock, hold = VirtualClock(autojump_clock), AutojumpHold(autojump_clock)

    def engine(path: Path) -> AbstractAsyncContextManager[wf.Engine]:
        store = SqliteStore(path, clock=clock.now, hold=hold, poll_idle_seconds=None)
        return wf.open_engine(store, register=[patient], clock=clock, hold=hold, lease=600)

    async with engine(tmp_path / "new.db") as running:
        handle = await running.start(patient, ["first", "second", "third"], id="w")
        await handle.signal("first", 1)
        await trio.sleep(1)
        assert ("second",) == (await handle.describe()).signals
    old = tmp_path / "old.db"
    as_version_1(tmp_path / "new.db", old)
    assert 1 == version_of(old)
    async with engine(old) as running:
        again = await running.get("w")
        assert ("open", ()) == ((await again.describe()).status, (await again.describe()).signals)
        with pytest.raises(wf.QueryError):
            await again.query("anything")
        await trio.sleep(1)
        assert ("second",) == (await again.describe()).signals
        await again.signal("second", 2)
        await again.signal("third", 3)
        assert [1, 2, 3] == await again.result()
    assert len(MIGRATIONS) == version_of(old)


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A release that does not know the schema says so and touches nothing."""
    path = tmp_path / "store.db"
    connect_writer(Settings(str(path), migrations=(*MIGRATIONS, *ADDED))).close()
    with pytest.raises(StoreVersionError, match="upgrade wfactors"):
        async with SqliteStore(path).open():
            pass
    assert version_of(path) == len(MIGRATIONS) + 2


@pytest.mark.parametrize("stop_at", range(5))
def test_a_process_killed_between_statements_of_a_migration_harms_nothing(tmp_path: Path, stop_at: int) -> None:
    """Stopped before any statement of any step, the file is at a whole step, and the next process goes on."""
    path = tmp_path / "store.db"
    connect_writer(Settings(str(path))).close()
    statements: list[str] = ["ALTER TABLE headers ADD COLUMN colour TEXT", "CREATE TABLE a (x)", "CREATE TABLE b (x)"]

    class KilledError(BaseException):
        pass

    def step(numbers: Sequence[int]) -> Callable[..., None]:
        def run(connection: object) -> None:
            for number in numbers:
                if number == stop_at:
                    raise KilledError
                connection.run(statements[number])  # type: ignore[attr-defined]

        return run

    steps = (*MIGRATIONS, step([0]), step([1, 2]))
    if stop_at < len(statements):
        with pytest.raises(KilledError):
            connect_writer(Settings(str(path), migrations=steps))
        assert version_of(path) == len(MIGRATIONS) + (0 if stop_at == 0 else 1)
    connection = connect_writer(Settings(str(path), migrations=(*MIGRATIONS, [statements[0]], statements[1:])))
    assert connection.execute("SELECT count(*) FROM b").fetchone() == (0,)
    connection.close()
    assert version_of(path) == len(MIGRATIONS) + 2


async def test_what_the_backend_does_is_told(tmp_path: Path) -> None:
    """Durability as it is in force, and details for people."""
    levels = {}
    for synchronous in ("normal", "full", "extra"):
        store = SqliteStore(tmp_path / "store.db", synchronous=synchronous)
        async with store.open():
            durability = store.durability()
            levels[synchronous] = (durability.level, durability.warning is None)
            assert durability.detail == f"WAL, synchronous={synchronous.upper()}"
            details = store.details()
    assert levels == {"normal": ("process", False), "full": ("machine", True), "extra": ("machine", True)}
    assert details["SQLite"] == sqlite3.sqlite_version
    assert details["journal mode"] == "wal"
    assert details["schema version"] == str(len(MIGRATIONS))
    assert details["file size"].endswith(" bytes")
