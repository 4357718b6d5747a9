"""Several stores and processes on one file: they hear of each other, take over from the dead, and lose nothing."""

from __future__ import annotations

import os
import signal as signals
import sqlite3
from typing import TYPE_CHECKING

import pytest
import trio

from tests.stores.sqlite_kit import another_process, names_in
from wfactors.errors import LeaseLost
from wfactors.stores.changes import inbox_topic
from wfactors.stores.liveness import NodeLocks
from wfactors.stores.sqlite import SqliteStore
from wfactors.testing.conformance.builders import SHOP, Owner, append, header, node, request, signal, task

if TYPE_CHECKING:
    from pathlib import Path

JOIN = """
async def main():
    store = SqliteStore(path)
    async with store.open():
        owner = await Owner.take(store, lease_seconds=3600)
        await owner.commit(headers=[header()], appends=[append()], tasks=[task()])
        tell("joined")
        hear()

trio.run(main)
"""

WRITE = """
async def main():
    store = SqliteStore(path, synchronous="normal")
    async with store.open():
        for number in range(10**6):
            await store.create([request(header(f"i{number:06}")), request(header(f"j{number:06}"))])
            tell(str(number))

trio.run(main)
"""

OPEN = """
async def main():
    tell("ready")
    hear()
    store = SqliteStore(path)
    async with store.open():
        await store.create([request(header(str(os.getpid())))])
        await store.take_reply("none")
    tell("done")

trio.run(main)
"""


async def test_two_stores_on_one_file_hear_of_each_other(tmp_path: Path) -> None:
    """What one store writes wakes those who wait on the other, in both directions."""
    one, two = (SqliteStore(tmp_path / "store.db", synchronous="normal") for _ in range(2))
    async with one.open(), two.open():
        await one.create([request(header())])
        for number, (writer, reader) in enumerate([(one, two), (two, one), (one, two)]):
            with reader.changes.subscribe(inbox_topic(SHOP)) as subscription:
                assert await writer.send([signal(f"m{number}")]) == [None]
                with trio.fail_after(5):
                    await subscription.wait()
                assert len(await reader.inbox(SHOP, 0, 10)) == number + 1
        assert two.statistics().foreign_changes >= 2


async def test_own_commits_are_not_taken_for_foreign_ones(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", poll_idle_seconds=0.001)
    async with store.open():
        with store.changes.subscribe("something else"):
            for number in range(50):
                await store.create([request(header(f"i{number}"))])
        assert store.statistics().foreign_changes == 0


async def test_two_stores_write_at_once(tmp_path: Path) -> None:
    """Starts of the same ids from two stores: each id is created once, whichever store asked."""
    one, two = (SqliteStore(tmp_path / "store.db", synchronous="normal") for _ in range(2))
    created: list[str] = []

    async def create(store: SqliteStore, key: str) -> None:
        for number in range(50):
            (outcome,) = await store.create([request(header(f"{key}{number}", id=f"same-{number}"))])
            if outcome.created:
                created.append(outcome.header.id)

    async with one.open(), two.open(), trio.open_nursery() as nursery:
        nursery.start_soon(create, one, "a")
        nursery.start_soon(create, two, "b")
    assert sorted(created) == sorted({f"same-{number}" for number in range(50)})


async def test_a_killed_process_leaves_all_it_acknowledged_and_nothing_half(tmp_path: Path) -> None:
    """kill -9 in the middle of writing: what was told is there, and both rows of each call or none."""
    path = tmp_path / "store.db"
    for words in (5, 50, 300):
        path = tmp_path / f"store-{words}.db"
        with another_process(path, WRITE) as other:
            heard = [await trio.to_thread.run_sync(other.hear) for _ in range(words)]
            other.kill()
        store = SqliteStore(path)
        async with store.open():
            rows = {row["instance"] for row in (await store.dump())["headers"]}
        assert {f"i{int(word):06}" for word in heard} <= rows
        assert {f"j{str(row)[1:]}" for row in rows if str(row).startswith("i")} == {
            row for row in rows if str(row).startswith("j")
        }
        check = sqlite3.connect(path)
        assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        check.close()


async def test_a_killed_owner_is_replaced_without_waiting_for_its_lease(tmp_path: Path) -> None:
    """A node whose process is killed is seen as dead at once, though its lease has an hour to go."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    with another_process(path, JOIN) as other:
        assert await trio.to_thread.run_sync(other.hear) == "joined"
        async with store.open():
            await store.join(node("node-2"), 10)
            assert [row.is_alive for row in await store.nodes()] == [True, True]
            assert await store.acquire(SHOP, "node-2") is None
            await store.bury("node-1")
            other.kill()
            assert [row.is_alive for row in await store.nodes()] == [False, True]
            lease = await store.acquire(SHOP, "node-2")
            assert lease is not None
            assert (lease.epoch, lease.sequence) == (2, 1)
            await store.bury("node-1")
            assert [row.node for row in await store.nodes()] == ["node-2"]
            await store.leave("node-2")
    assert not [name for name in names_in(tmp_path) if "-node-" in name]


async def test_a_stopped_owner_is_judged_by_its_lease(tmp_path: Path) -> None:
    """SIGSTOP keeps the lock: the owner is alive until its lease is over; woken then, its commit is refused."""
    path = tmp_path / "store.db"
    now = [0.0]
    store = SqliteStore(path, clock=lambda: now[0])
    source = JOIN.replace("hear()", "hear()\n        await owner.commit(headers=[header('late')])")
    source = source.replace("SqliteStore(path)", "SqliteStore(path, clock=lambda: 0.0)")
    with another_process(path, source) as other:
        assert await trio.to_thread.run_sync(other.hear) == "joined"
        os.kill(other.process.pid, signals.SIGSTOP)
        async with store.open():
            await store.join(node("node-2"), 10_000)
            assert await store.acquire(SHOP, "node-2") is None
            now[0] = 3600.0
            lease = await store.acquire(SHOP, "node-2")
            assert lease is not None
            os.kill(other.process.pid, signals.SIGCONT)
            other.process.stderr = None
            other.tell("go on")
            assert await trio.to_thread.run_sync(other.process.wait) != 0
            assert await store.find("order-late") is None
            await Owner.of(store, "node-2", lease).commit(headers=[header("i2")])


async def test_two_stores_of_one_process_see_each_other_as_alive(tmp_path: Path) -> None:
    """A lock of this process is a lock; a store that was left without leaving is dead to the others."""
    one, two = SqliteStore(tmp_path / "store.db"), SqliteStore(tmp_path / "store.db")
    async with two.open():
        async with one.open():
            owner = await Owner.take(one, lease_seconds=3600)
            assert [row.is_alive for row in await two.nodes()] == [True]
            assert [row.is_alive for row in await one.nodes()] == [True]
        assert [row.is_alive for row in await two.nodes()] == [False]
        taken = await Owner.take(two, node_name="node-2")
        stale = Owner(two, "node-1", SHOP, owner.epoch, owner.sequence)
        with pytest.raises(LeaseLost):
            await stale.commit(headers=[header()])
        await taken.commit(headers=[header()], tasks=[task()], appends=[append()])


async def test_processes_that_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Four processes create the same file at the same moment; all of them get a store with all rows."""
    path = tmp_path / "store.db"
    with (
        another_process(path, OPEN) as one,
        another_process(path, OPEN) as two,
        another_process(path, OPEN) as three,
        another_process(path, OPEN) as four,
    ):
        others = [one, two, three, four]
        for other in others:
            assert await trio.to_thread.run_sync(other.hear) == "ready"
        for other in others:
            other.tell("go")
        for other in others:
            assert await trio.to_thread.run_sync(other.hear) == "done"
            assert await trio.to_thread.run_sync(other.process.wait) == 0
    store = SqliteStore(path)
    async with store.open():
        assert len((await store.dump())["headers"]) == 4


# --- Lock files ------------------------------------------------------------------------------------------------------


def test_a_lock_file_tells_who_lives(tmp_path: Path) -> None:
    here, there = (NodeLocks(str(tmp_path / "store.db")) for _ in range(2))
    liveness = here.hold("node-1")
    assert liveness == "store.db-node-node-1"
    assert here.hold("node-1") == liveness
    assert not there.is_surely_dead("node-1", liveness)
    assert there.hold("node-1") == ""
    here.close()
    assert there.is_surely_dead("node-1", liveness)
    there.drop("node-1")
    assert not there.is_surely_dead("node-1", liveness), "without a file the lease decides"
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_file_names_are_folded(tmp_path: Path) -> None:
    locks = NodeLocks(str(tmp_path / "store.db"))
    for name in ("../up", "a/b", "nul\0", "ü" * 200, "x" * 4096, ".."):
        assert locks.hold(name)
    assert all(path.parent == tmp_path for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 6
    locks.close()


def test_without_a_folder_to_write_to_the_lease_decides(tmp_path: Path) -> None:
    locks = NodeLocks(str(tmp_path / "missing" / "store.db"))
    assert locks.hold("node-1") == ""
    assert not locks.is_surely_dead("node-1", "")
    locks.drop("node-1")
