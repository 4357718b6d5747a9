"""The SQLite store keeps the contract of every store, and does what the memory store does."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wfactors.errors import WorkflowAlreadyStarted
from wfactors.model.records import Reply
from wfactors.model.status import Status
from wfactors.stores.changes import instance_topic
from wfactors.stores.memory import MemoryStore
from wfactors.stores.sqlite import SqliteStore
from wfactors.testing.conformance import ManualClock, StoreConformance
from wfactors.testing.conformance.builders import Owner, append, closed, header
from wfactors.testing.differential import check_equal, never_seen

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
    counts = check_equal(memory_and_sqlite, examples=150, steps=40, seed=2)
    assert never_seen(counts) == []


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
