"""Rows that nobody of us wrote: each column of each table, wrong in every way that SQLite lets pass.

Whatever is wrong, the neighbours of the victim finish, and the engine neither crashes nor hangs. The victim goes on if
the column does not matter to it, or stands still with the reason in view, or cannot be read, which a client is told.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import wfactors as wf
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, NODES, PARTITIONS, TASKS, Table
from wfactors.testing.clocks import AutojumpHold, VirtualClock

TABLES = (HEADERS, EVENTS, TASKS, INBOX, NODES, PARTITIONS)
NAMES = ("victim", "neighbour")


@wf.activity
async def add(a: int, b: int) -> int:
    return a + b


@wf.workflow
async def child(number: int) -> int:
    return await wf.signals("add", int).receive() + number


@wf.workflow
async def job(number: int) -> list[int]:
    seen = [await add(number, 0)]
    handle = await wf.start_child(child, number)
    seen.append(await wf.signals("go", int).receive())
    seen.append(await add(number, 1))
    seen.append(await wf.signals("more", int).receive())
    await wf.sleep(10)
    await handle.signal("add", 1)
    seen.append(await handle.result())
    return seen


class Fixed:
    """A store in virtual time on a file that is made once and copied for each case."""

    def __init__(self, path: Path, clock: MockClock) -> None:
        self.path = path
        self.clock = VirtualClock(clock)
        self.hold = AutojumpHold(clock)

    def store(self) -> wf.SqliteStore:
        return wf.SqliteStore(
            self.path, clock=self.clock.now, hold=self.hold, poll_idle_seconds=None, synchronous="normal"
        )

    def engine(self, **options: Any) -> Any:
        return wf.open_engine(
            self.store(), register=[add, job, child], clock=self.clock, hold=self.hold, lease=5, grace=1, **options
        )


async def prepare(path: Path) -> None:
    """Two jobs in the middle: history, an open child, a free task, a message in the inbox, a node that is gone."""
    fixed = Fixed(path, trio.lowlevel.current_clock())  # type: ignore[arg-type]
    async with fixed.engine() as engine:
        for number, name in enumerate(NAMES):
            await engine.start(job, number, id=name)
        while await engine.count(workflow=child) < len(NAMES):
            await trio.sleep(0.1)
    async with fixed.engine(limits=wf.Limits(activities=0)) as engine:
        for name in NAMES:
            await (await engine.get(name)).signal("go", 5)
    async with wf.open_client(fixed.store()) as client:
        for name in NAMES:
            await (await client.get(name)).signal("more", 6)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE partitions SET node = 'ghost', epoch = 7")
        connection.execute("INSERT INTO nodes VALUES ('ghost', X'5B5D', 0, 0, '', X'5B5D', X'5B5D', '')")
    connection.close()


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


async def outcome(fixed: Fixed, is_neighbour_expected: bool) -> tuple[str, str]:
    """How the victim stands after the neighbour has finished; fails if that does not happen."""
    with trio.fail_after(10_000):
        async with fixed.engine() as engine:
            neighbour = await engine.get("neighbour")
            if is_neighbour_expected:
                assert [1, 5, 2, 6, 2] == await neighbour.result()
            await trio.sleep(30)
            assert len([item async for item in engine.list()]) >= len(NAMES)
            try:
                described = await (await engine.get("victim")).describe()
                if described.status == "open":
                    return "open", str(described.parked)
                return described.status.value, str(await (await engine.get("victim")).result())
            except wf.ResultError as error:
                return described.status.value, str(error)
            except wf.WfactorsError as error:
                return type(error).__name__, str(error)


def corrupted(prepared: Path, path: Path, change: Callable[[sqlite3.Connection], object]) -> bool:
    """Copy the store and change it; False if SQLite refuses."""
    shutil.copy(prepared, path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        change(connection)
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.close()
    return True


def victims(connection: sqlite3.Connection, table: Table) -> str:
    """A condition for the first row of the table that is the victim's."""
    if table in (NODES, PARTITIONS):
        return "TRUE"
    ((key,),) = connection.execute("SELECT instance FROM headers WHERE id = 'victim'")
    name = {EVENTS: "events.rowid", HEADERS: "headers.rowid", TASKS: "tasks.rowid", INBOX: "position"}[table]
    return f"{name} = (SELECT min({name}) FROM {table.name} WHERE instance = '{key}')"


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
        assert state in ("completed", "open", "StoreCorrupt", "ConversionError", "WorkflowNotFound", "failed"), wrong
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
