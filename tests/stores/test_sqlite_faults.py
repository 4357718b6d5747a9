"""Full, locked, read-only and damaged files: told in the right words, and harming nothing beside."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.stores.sqlite_kit import another_process
from wfactors.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable, StoreVersionError
from wfactors.model.records import InstanceFilter, Reply, TaskKey
from wfactors.stores import sqlite_connection
from wfactors.stores.base import TaskReport
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, TASKS, Table
from wfactors.stores.sqlite import SqliteStore
from wfactors.stores.sqlite_connection import translated
from wfactors.testing.conformance.builders import SHOP, Owner, append, header, node, request, signal, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sqlite_store(path: Path, **options: Any) -> SqliteStore:
    return SqliteStore(path, synchronous="normal", poll_idle_seconds=None, **options)


# --- Full, locked, read-only -----------------------------------------------------------------------------------------


async def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """Writes fail with StoreFull while there is no room, each whole; reads go on; with room, so do the writes."""
    store = sqlite_store(tmp_path / "store.db", max_page_count=60)
    async with store.open():
        owner = await Owner.take(store)
        await owner.commit(headers=[header()])
        written = 0

        async def fill_up() -> None:
            nonlocal written
            while written < 1000:
                await owner.commit(appends=[append(first=written, size=10_000)])
                written += 1

        with pytest.raises(StoreFull, match="free or allow space"):
            await fill_up()
        with pytest.raises(StoreFull):
            await store.create([request(header("i2", start=append(size=100_000).data))])
        assert len(await store.history("i1", 1)) == written > 0
        connection = store._session.writer._connection
        assert connection is not None
        connection.execute("PRAGMA max_page_count = 1000000")
        await owner.commit(appends=[append(first=written, size=10_000)])
        assert len(await store.history("i1", 1)) == written + 1
        assert store.statistics().failures >= 2


async def test_of_a_group_that_does_not_fit_the_small_ones_are_written(tmp_path: Path) -> None:
    """A call that finds no room fails alone, though it shared a transaction with others."""
    store = sqlite_store(tmp_path / "store.db", max_page_count=60)
    failed = []

    async def create(number: int, size: int) -> None:
        try:
            await store.create([request(header(f"i{number}", start=append(size=size).data))])
        except StoreFull:
            failed.append(number)

    async with store.open(), trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(create, number, 10_000_000 if number == 3 else 10)
    assert failed == [3]


async def test_another_process_that_writes_for_long_is_waited_for_and_told(tmp_path: Path) -> None:
    """Behind a foreign lock a write gives up in bounded time; reads do not care; afterwards it works."""
    store = sqlite_store(tmp_path / "store.db", busy_seconds=0.05)
    async with store.open():
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process is writing"):
            await store.create([request(header())])
        assert await store.find("order-i1") is None
        other.execute("ROLLBACK")
        other.close()
        await store.create([request(header())])


LIMITED = """
import resource
from wfactors.errors import StoreUnavailable

async def main():
    store = SqliteStore(path)
    async with store.open():
        owner = await Owner.take(store)
        await owner.commit(headers=[header()])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path + "-wal") + 200_000, hard))
        written = 0
        try:
            while written < 1000:
                await owner.commit(appends=[append(first=written, size=5_000)])
                written += 1
        except StoreUnavailable as error:
            tell(type(error).__name__)
        assert len(await store.history("i1", 1)) == written > 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await owner.commit(appends=[append(first=written, size=5_000)])
        assert len(await store.history("i1", 1)) == written + 1
        tell("done")

trio.run(main)
"""


async def test_an_input_output_error_is_told_and_survived(tmp_path: Path) -> None:
    """When the system refuses to let the file grow, the batch fails whole and is written once it may grow again."""
    with another_process(tmp_path / "store.db", LIMITED) as other:
        assert await trio.to_thread.run_sync(other.hear) in {"StoreUnavailable", "StoreFull"}
        assert await trio.to_thread.run_sync(other.hear) == "done"


async def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """When the connection may only read, writes say StoreFull and reads go on."""
    store = sqlite_store(tmp_path / "store.db")
    async with store.open():
        await store.create([request(header())])
        connection = store._session.writer._connection
        assert connection is not None
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreFull, match="make the file and its folder writable"):
            await store.create([request(header("i2"))])
        assert await store.find("order-i1") is not None


async def test_a_file_without_permission_is_told(nobodys_folder: Path) -> None:
    path = nobodys_folder / "store.db"
    path.touch()
    path.chmod(0)
    with pytest.raises(StoreUnavailable, match="no permission"):
        async with sqlite_store(path).open():
            pass


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing/store.db", "does not exist: create it"), ("", "is a folder: name a file"), ("x\0y", "another path")],
)
async def test_a_path_that_cannot_be_is_told(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(StoreUnavailable, match=words):
        async with sqlite_store(tmp_path / name).open():
            pass


async def test_a_log_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """As on a file system that can only be read: what the store needs there is said."""
    async with sqlite_store(tmp_path / "store.db").open():
        pass
    (tmp_path / "store.db-wal").mkdir()
    with pytest.raises(StoreUnavailable, match="the file and its folder must be there and writable"):
        async with sqlite_store(tmp_path / "store.db").open():
            pass


async def test_a_folder_without_permission_is_told(nobodys_folder: Path) -> None:
    """A database needs files beside it, so being allowed to read is not enough."""
    path = nobodys_folder / "store.db"
    path.parent.chmod(0o500)
    with pytest.raises(StoreUnavailable, match="no permission to use the folder"):
        async with sqlite_store(path).open():
            pass


async def test_an_sqlite_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the release that would do."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreUnavailable, match="wfactors needs 3.35.0 or later"):
        async with sqlite_store(tmp_path / "store.db").open():
            pass


def test_a_file_system_without_a_write_ahead_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says which mode it took instead; a database in memory has none either."""
    monkeypatch.setattr(sqlite_connection, "_OPEN_ATTEMPTS", 2)
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StoreUnavailable, match="put the database on a local disk"),
    ):
        sqlite_connection._use_write_ahead_log(connection)


def test_another_process_that_opens_the_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite does not wait by itself while a write-ahead log is begun; one that never ends is told."""
    monkeypatch.setattr(sqlite_connection, "_OPEN_ATTEMPTS", 2)
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as other, closing(sqlite3.connect(path, timeout=0)) as connection:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite_connection._use_write_ahead_log(connection)

        class Leaving(threading.Event):
            """The pause between two attempts, in which the other process comes to its end."""

            def wait(self, timeout: float | None = None) -> bool:
                other.rollback()
                return True

        monkeypatch.setattr(threading, "Event", Leaving)
        sqlite_connection._use_write_ahead_log(connection)
        assert [("wal",)] == connection.execute("PRAGMA journal_mode").fetchall()


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="synchronous must be one of normal, full, extra"):
        SqliteStore(tmp_path / "store.db", synchronous="off")
    with pytest.raises(ValueError, match="path of a file"):
        SqliteStore(":memory:")


# --- Damaged files ---------------------------------------------------------------------------------------------------


async def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"certainly not a database " * 1000)
    with pytest.raises(StoreCorrupt, match="restore a backup"):
        async with sqlite_store(path).open():
            pass
    assert path.read_bytes().startswith(b"certainly")


async def test_the_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE accounts (name TEXT)")
    other.close()
    with pytest.raises(StoreVersionError, match="another application"):
        async with sqlite_store(path).open():
            pass


async def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    """Pages overwritten with rubbish give StoreCorrupt to those who read them, not a crash."""
    path = tmp_path / "store.db"
    async with sqlite_store(path).open():
        pass
    async with sqlite_store(path).open():
        pass
    store = sqlite_store(path)
    async with store.open():
        await store.create([request(header(f"i{number}")) for number in range(500)])
    data = bytearray(path.read_bytes())
    for page in range(40, len(data) // 4096):
        data[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        async with store.open():
            await store.dump()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_READONLY, StoreFull),
        (sqlite3.SQLITE_IOERR, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_CONSTRAINT, StoreError),
        (sqlite3.SQLITE_IOERR | 3 << 8, StoreUnavailable),
    ],
)
def test_errors_of_sqlite_become_ours(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("words of SQLite")
    error.sqlite_errorcode = code
    ours = translated(error, "store.db")
    assert type(ours) is kind
    assert ours.__cause__ is error
    assert "words of SQLite" in str(ours)


def test_other_errors_stay_themselves() -> None:
    error = KeyError("x")
    assert translated(error, "store.db") is error


# --- Damaged rows ----------------------------------------------------------------------------------------------------

MUTATIONS = {
    "null": "NULL",
    "text": "'text'",
    "number": "7",
    "blob": "x'00ff'",
    "truncated": "substr({column}, 1, length({column}) - 1)",
    "not unicode": "CAST(x'c328' AS TEXT)",
}


def cases() -> Iterator[tuple[Table, str, str]]:
    for table in (HEADERS, EVENTS, TASKS, INBOX):
        for column in table.columns:
            if column.name in table.key or column.name == "parent_instance":
                continue
            for mutation in MUTATIONS:
                yield table, column.name, mutation


async def fill(store: SqliteStore) -> None:
    async with store.open():
        owner = await Owner.take(store)
        rows = [header(f"i{number}", attributes=append().data, awaited=("go",)) for number in range(1, 4)]
        await store.create([request(row) for row in rows])
        await owner.commit(
            headers=rows,
            appends=[append(row.instance) for row in rows],
            tasks=[task(row.instance, node="node-1", context={"a": "b"}) for row in rows],
            messages=[signal(f"m-{row.instance}", row.instance) for row in rows],
            replies=[Reply("r", "i1", b"{}", 9e9)],
        )


def damage(path: Path, table: Table, column: str, mutation: str) -> bool:
    """Put something wrong into one column of the row of i2, past all constraints; whether it is different now."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(replace(sql, ' NOT NULL', ''), ' REAL', ' BLOB') WHERE name = ?",
        (table.name,),
    )
    connection.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.text_factory = bytes
    select = f"SELECT typeof({column}), {column} FROM {table.name} WHERE instance = 'i2'"
    before = connection.execute(select).fetchone()
    value = MUTATIONS[mutation].format(column=column)
    connection.execute(f"UPDATE {table.name} SET {column} = {value} WHERE instance = 'i2'")
    after = connection.execute(select).fetchone()
    connection.close()
    return before != after


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("filled") / "store.db"
    trio.run(fill, sqlite_store(path))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("table", "column", "mutation"), list(cases()), ids=lambda value: getattr(value, "name", value)
)
async def test_a_damaged_column_harms_its_row_alone(
    tmp_path: Path, filled: bytes, table: Table, column: str, mutation: str
) -> None:
    """Reading the row gives a value or StoreCorrupt with table, key and column; its neighbours do not notice."""
    path = tmp_path / "store.db"
    path.write_bytes(filled)
    if not damage(path, table, column, mutation):
        return
    store = sqlite_store(path)
    async with store.open():
        if table is HEADERS:
            await expect_value_or_corrupt(store.header, "i2", 1, table=table, column=column)
            listed = [row.instance for row in await store.headers(InstanceFilter(), 10, newest_first=False)]
            assert listed in (["i1", "i2", "i3"], ["i1", "i3"], ["i2", "i1", "i3"], ["i1", "i3", "i2"])
        elif table is EVENTS:
            await expect_value_or_corrupt(store.history, "i2", 1, table=table, column=column)
        elif table is TASKS:
            await expect_value_or_corrupt(store.tasks, "i2", 1, table=table, column=column)
            assert {row.key.instance for row in await store.held_tasks(SHOP)} >= {"i1", "i3"}
        else:
            assert {item.message.instance for item in await store.inbox(SHOP, 0, 10)} >= {"i1", "i3"}
        for instance in ("i1", "i3"):
            assert (await store.header(instance)) is not None
            assert await store.history(instance, 1)
            assert await store.tasks(instance, 1)
            await store.wakes(SHOP, 9e9, 10)
        assert await store.send([signal("new", "i1")]) == [None]


async def expect_value_or_corrupt(read: Any, *args: Any, table: Table, column: str) -> None:
    words = f"table {table.name}, row instance='i2', run=1.*column {column}"
    try:
        await read(*args)
    except StoreCorrupt:
        with pytest.raises(StoreCorrupt, match=words):
            await read(*args)


@pytest.mark.parametrize("mutation", ["null", "blob"])
@pytest.mark.parametrize("table", [HEADERS, EVENTS, TASKS], ids=lambda table: table.name)
async def test_what_cannot_be_there_is_never_read_as_a_value(
    tmp_path: Path, filled: bytes, table: Table, mutation: str
) -> None:
    """For every column that may not be NULL or bytes, it raises: no wrong value reaches the engine."""
    wrong = type(None) if mutation == "null" else bytes
    store = sqlite_store(tmp_path / "store.db")
    for column in table.columns:
        if wrong in column.types or column.name in table.key or column.name == "parent_instance":
            continue
        store = sqlite_store(tmp_path / f"{column.name}.db")
        (tmp_path / f"{column.name}.db").write_bytes(filled)
        assert damage(tmp_path / f"{column.name}.db", table, column.name, mutation)
        async with store.open():
            read = {"headers": store.header, "events": store.history, "tasks": store.tasks}[table.name]
            with pytest.raises(StoreCorrupt, match=f"column {column.name}"):
                await read("i2", 1)


async def test_a_task_that_cannot_be_read_is_not_handed_out_and_hides_no_other(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "store.db")
    async with store.open():
        owner = await Owner.take(store)
        await owner.commit(tasks=[task("i1"), task("i2"), task("i3")])
        damage(tmp_path / "store.db", TASKS, "options", "truncated")
    async with store.open():
        await store.join(node("node-1"), 10)
        claimed = []
        for _ in range(4):
            claimed += await store.claim("node-1", {"shop": ["charge"]}, 9e9, 1)
        assert [row.key for row in claimed] == [TaskKey("i1", 1, 0), TaskKey("i3", 1, 0)]


async def test_a_batch_may_withdraw_a_task_that_cannot_be_read(tmp_path: Path) -> None:
    """What is wrong with a task stops neither the batch that cancels it nor a report that ends it."""
    store = sqlite_store(tmp_path / "store.db")
    async with store.open():
        owner = await Owner.take(store)
        await owner.commit(headers=[header()], tasks=[task("i2"), task("i2", 1, node="node-1")])
        damage(tmp_path / "store.db", TASKS, "options", "truncated")
    async with store.open():
        report = TaskReport(TaskKey("i2", 1, 1), "node-1", 1, retry_at=0.0)
        assert await store.report([report, report]) == [True, False]
        await owner.commit(tasks_cancelled=[TaskKey("i2", 1, 0), TaskKey("i2", 1, 1)])
        assert [item.message.id for item in await store.inbox(SHOP, 0, 10)] == ["i2/1/0/cancelled", "i2/1/1/cancelled"]


async def test_damaged_nodes_and_partitions_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = sqlite_store(path)
    async with store.open():
        await store.join(node("node-1"), 10)
        await store.join(node("node-2"), 10)
        await store.acquire("0:a", "node-1")
        await store.acquire("0:b", "node-2")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE nodes SET queues = x'5b' WHERE node = 'node-1'")
    connection.execute("UPDATE partitions SET epoch = 'x' WHERE partition = '0:a'")
    connection.close()
    async with store.open():
        assert [row.node for row in await store.nodes()] == ["node-2"]
        assert [row.partition for row in await store.partitions()] == ["0:b"]
        await store.join(node("node-2"), 10)
        with pytest.raises(StoreCorrupt, match="table partitions, row partition='0:a', column epoch"):
            await store.acquire("0:a", "node-2")
