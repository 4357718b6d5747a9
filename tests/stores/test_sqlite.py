"""The SQLite store keeps the contract of every store, and does what the memory store does."""

from __future__ import annotations

import math
import os
import re
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wfactors.errors import WorkflowAlreadyStarted
from wfactors.model.records import Reply
from wfactors.model.status import Status
from wfactors.stores.changes import instance_topic
from wfactors.stores.liveness import NodeLocks
from wfactors.stores.memory import MemoryStore
from wfactors.stores.sqlite import SqliteStore
from wfactors.stores.sqlite_connection import Settings, connect_writer
from wfactors.testing.conformance import ManualClock, StoreConformance
from wfactors.testing.conformance.builders import Owner, append, closed, header, node
from wfactors.testing.differential import check_until_all_seen, never_seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wfactors.stores.base import Store


class TestSqliteStore(StoreConformance):
    @pytest.fixture
    def store(self, clock: ManualClock, tmp_path: Path) -> SqliteStore:
        return SqliteStore(tmp_path / "store.db", clock=clock, poll_idle_seconds=None)


@contextmanager
def memory_and_sqlite(clock: ManualClock) -> Iterator[Sequence[Store]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        yield [MemoryStore(clock), SqliteStore(path, synchronous="normal", clock=clock, poll_idle_seconds=None)]


def test_the_same_operations_have_the_same_results_as_in_memory() -> None:
    """Random sequences of operations: equal replies and equal dumps after every one of them."""
    counts = check_until_all_seen(memory_and_sqlite, examples=150, steps=40, seed=2)
    assert [] == never_seen(counts)


async def test_whoever_waits_for_an_end_is_not_woken_by_progress(tmp_path: Path) -> None:
    """A batch in which an open run goes on is no news for its instance; its end is. In memory, too."""
    for store in (SqliteStore(tmp_path / "store.db", poll_idle_seconds=None), MemoryStore()):
        async with store.open():
            owner = await Owner.take(store)
            with store.changes.subscribe(instance_topic("i1")) as subscription:
                await owner.commit(headers=[header("i1")])
                await owner.commit(headers=[header("i1", events=1)], appends=[append()])
                assert not subscription.has_notice
                await owner.commit(headers=[closed(header("i1"))])
                assert subscription.has_notice


async def test_a_batch_that_opens_an_id_that_is_open_is_refused_whole(tmp_path: Path) -> None:
    """Under another key, or twice in the batch; but a run may end and the next one of the id begin."""
    store = SqliteStore(tmp_path / "store.db", poll_idle_seconds=None)
    async with store.open():
        owner = await Owner.take(store)
        await owner.commit(headers=[header("i1", id="same")])
        for headers in ([header("i2", id="same")], [header("i3", id="new"), header("i4", id="new")]):
            with pytest.raises(WorkflowAlreadyStarted):
                await owner.commit(headers=headers, appends=[append()])
        assert await store.history("i1", 1) == []
        ended = closed(header("i1", id="same"), Status.CONTINUED)
        await owner.commit(headers=[ended, header("i1", 2, id="same")])
        assert [row["run"] for row in (await store.dump())["headers"]] == [1, 2]


async def test_expired_replies_go_with_a_later_batch(tmp_path: Path) -> None:
    """Nobody can take an expired reply; its row goes when replies are written some time later."""
    clock = ManualClock()
    store = SqliteStore(tmp_path / "store.db", poll_idle_seconds=None, clock=clock)
    async with store.open():
        owner = await Owner.take(store, lease_seconds=1e6)
        await owner.commit(replies=[Reply("old", "i1", b"1", clock.now + 1)])
        clock.advance(100)
        assert await store.take_reply("old") is None
        await owner.commit(replies=[Reply("new", "i1", b"2", clock.now + 1)])
        connection = store._session.writer._connection
        assert connection is not None
        assert connection.execute("SELECT id FROM replies").fetchall() == [("new",)]


async def test_a_stand_by_writes_nothing(tmp_path: Path) -> None:
    """An owner that lives is found by reading, however often somebody asks; what is free is taken."""
    store = SqliteStore(tmp_path / "store.db")
    async with store.open():
        await store.join(node("node-1"), 1_000)
        await store.join(node("node-2"), 1_000)
        assert await store.acquire("0:shop", "node-1") is not None
        before = store.statistics().units
        for _ in range(10):
            assert await store.acquire("0:shop", "node-2") is None
            assert await store.acquire("0:mail", "nobody") is None
        assert store.statistics().units == before
        assert await store.acquire("0:mail", "node-2") is not None


def nodes_with_a_file(database: Path) -> list[str]:
    prefix = f"{database.name}-node-"
    return sorted(file.name.removeprefix(prefix) for file in database.parent.glob(f"{prefix}*"))


async def test_files_of_killed_nodes_are_swept_up(tmp_path: Path) -> None:
    """A node that joins removes what nobody holds, no row knows and has lain there for a while."""
    path = tmp_path / "store.db"
    dead, others = NodeLocks(str(path)), NodeLocks(str(path))
    for name in ("killed", "young", "known"):
        dead.hold(name)
    dead.close()
    others.hold("held")
    for name in ("killed", "held", "known"):
        os.utime(f"{path}-node-{name}", (1, 1))
    connect_writer(Settings(str(path))).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO nodes VALUES ('known', X'5B5D', 9e9, 0, '', X'5B5D', X'5B5D', 'x')")
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    async with store.open():
        await store.join(node("node-1"), 1_000)
        assert nodes_with_a_file(path) == ["held", "known", "node-1", "young"]
        await store.leave("node-1")
    others.close()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"synchronous": "off"}, ValueError, "synchronous must be one of normal, full, extra, not 'off'"),
        ({"synchronous": 2}, ValueError, "synchronous must be one of normal, full, extra, not 2"),
        ({"busy_seconds": -1}, ValueError, "busy_seconds must be from 0 to 2147483, not -1"),
        ({"busy_seconds": math.nan}, ValueError, "busy_seconds must be from 0 to 2147483, not nan"),
        ({"busy_seconds": math.inf}, ValueError, "busy_seconds must be from 0 to 2147483, not inf"),
        ({"busy_seconds": "5"}, TypeError, "busy_seconds must be a number of seconds, not '5'"),
        ({"busy_seconds": None}, TypeError, "busy_seconds must be a number of seconds, not None"),
        ({"busy_seconds": True}, TypeError, "busy_seconds must be a number of seconds, not True"),
        ({"poll_idle_seconds": 0}, ValueError, "poll_idle_seconds must be from 0.001 to 2147483, or None, not 0"),
        ({"poll_idle_seconds": math.inf}, ValueError, "poll_idle_seconds must be from 0.001 to 2147483, or None"),
        ({"poll_idle_seconds": "1"}, TypeError, "poll_idle_seconds must be a number of seconds or None, not '1'"),
        ({"max_page_count": 0}, ValueError, "max_page_count must be from 1 to 4294967294, or None, not 0"),
        ({"max_page_count": 2**32}, ValueError, "max_page_count must be from 1 to 4294967294, or None"),
        ({"max_page_count": 1.5}, TypeError, "max_page_count must be a whole number or None, not 1.5"),
        ({"max_page_count": True}, TypeError, "max_page_count must be a whole number or None, not True"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: Any, error: type[Exception], words: str) -> None:
    """When the store is made, not in its thread."""
    with pytest.raises(error, match=re.escape(words)):
        SqliteStore("store.db", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"busy_seconds": 0, "poll_idle_seconds": 0.001, "max_page_count": 4_294_967_294},
        {"busy_seconds": 2_147_483, "poll_idle_seconds": 2_147_483, "max_page_count": 1_000},
    ],
)
async def test_options_at_their_bounds_serve(tmp_path: Path, options: Any) -> None:
    """The smallest and the largest of each; another process's write is not waited for less than was asked."""
    store = SqliteStore(tmp_path / "store.db", **options)
    async with store.open():
        connection = store._session.writer._connection
        assert connection is not None
        assert [(options["busy_seconds"] * 1000,)] == connection.execute("PRAGMA busy_timeout").fetchall()
        assert [(options["max_page_count"],)] == connection.execute("PRAGMA max_page_count").fetchall()
