"""The memory store: the suite that every store passes, and what is its own."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from wfactors.errors import WorkflowAlreadyStarted
from wfactors.model.records import Batch, InstanceFilter, Wake
from wfactors.model.status import Status
from wfactors.stores import memory_tables
from wfactors.stores.base import Durability
from wfactors.stores.memory import MemoryStore
from wfactors.testing.conformance import ManualClock, StoreConformance
from wfactors.testing.conformance.builders import NOW, SHOP, Owner, closed, header, node, request, signal, task


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self, clock: ManualClock) -> MemoryStore:
        return MemoryStore(clock=clock)


def test_nothing_is_durable():
    """The store says that it loses everything."""
    expected = Durability("none", "in memory", "everything is lost when the process ends")
    assert MemoryStore().durability() == expected
    assert MemoryStore().url == "memory://"


async def test_wall_clock_by_default():
    """Without a clock the store's time is the wall clock's."""
    assert await MemoryStore().now() > NOW


async def test_leases_follow_a_mock_clock(autojump_clock):
    """With a clock that follows Trio's, leases end in virtual time."""
    store = MemoryStore(clock=trio.current_time)
    await store.join(node(), 3600.0)
    await trio.sleep(3599)
    assert [row.is_alive for row in await store.nodes()] == [True]
    await trio.sleep(1)
    assert [row.is_alive for row in await store.nodes()] == [False]


async def test_several_engines_share_one_store():
    """Several may have the store open at once; who leaves first takes nothing from the others."""
    store = MemoryStore(ManualClock())
    async with store.open():
        async with store.open():
            owner = await Owner.take(store)
        await owner.commit(headers=[header()])
        assert await store.header("i1") == header()


async def test_methods_are_checkpoints():
    """Every method passes a checkpoint, so that no loop over the store starves its neighbours."""
    store = MemoryStore(ManualClock())
    owner = await Owner.take(store)
    await owner.commit(headers=[closed(header("i1")), header("i2")])
    calls = [
        store.now,
        lambda: store.join(node("node-2"), 10.0),
        lambda: store.renew("node-1", 10.0),
        store.nodes,
        lambda: store.bury("node-9"),
        lambda: store.acquire("0:mail", "node-1"),
        lambda: store.release("0:mail", "node-1", 1),
        store.partitions,
        lambda: store.commit(Batch(SHOP, 1, 1)),
        lambda: store.wakes(SHOP, NOW, 1),
        lambda: store.inbox(SHOP, 0, 1),
        lambda: store.held_tasks(SHOP),
        lambda: store.claim("node-1", {}, NOW, 1),
        lambda: store.next_task_at({}),
        lambda: store.report([]),
        lambda: store.heartbeat("node-1", []),
        lambda: store.create([]),
        lambda: store.send([]),
        lambda: store.take_reply("r"),
        lambda: store.find("order-i1"),
        lambda: store.header("i1"),
        lambda: store.headers(InstanceFilter(), 1),
        lambda: store.count(InstanceFilter()),
        lambda: store.history("i1", 1),
        lambda: store.tasks("i1", 1),
        store.queues,
        lambda: store.remove("i1"),
        lambda: store.remove_finished(NOW, 1),
        store.dump,
        lambda: store.leave("node-2"),
    ]
    for call in calls:
        with trio.testing.assert_checkpoints():
            await call()


async def test_cancelled_write_did_nothing():
    """A write whose scope is cancelled did not happen: it acts behind its only checkpoint."""
    store = MemoryStore(ManualClock())
    owner = await Owner.take(store)
    before = await store.dump()
    with trio.CancelScope() as scope:
        scope.cancel()
        await owner.commit(headers=[header()])
    assert scope.cancelled_caught
    assert await store.dump() == before


@pytest.mark.parametrize("extra", [[], [closed(header("i3", id="same"))]])
async def test_open_id_under_another_key_is_refused(extra):
    """A batch that opens an id which another instance has open is refused whole: the oracle sees every mistake."""
    store = MemoryStore(ManualClock())
    owner = await Owner.take(store)
    await store.create([request(header("i1", id="same"))])
    before = await store.dump()
    with pytest.raises(WorkflowAlreadyStarted):
        await owner.commit(headers=[header("i2"), *extra, header("i4", id="same")], tasks=[task()])
    assert await store.dump() == before


async def test_open_id_twice_in_one_batch_is_refused():
    """Two instances of one batch cannot open the same id."""
    store = MemoryStore(ManualClock())
    owner = await Owner.take(store)
    with pytest.raises(WorkflowAlreadyStarted):
        await owner.commit(headers=[header("i1", id="same"), header("i2", id="same")])
    assert (await store.dump())["headers"] == []


class TestManySleepers:
    """What sleeps costs memory only: work is counted, not timed."""

    COUNT = 5_000
    STEPS = 60

    @pytest.fixture
    async def owner(self) -> Owner:
        owner = await Owner.take(MemoryStore(ManualClock()))
        for start in range(0, self.COUNT, 1000):
            names = [f"i{number:06}" for number in range(start, start + 1000)]
            rows = [header(name, wake_at=NOW + 10 + int(name[1:])) for name in names]
            await owner.commit(headers=rows, tasks=[task(name) for name in names])
        return owner

    @pytest.fixture
    def steps(self, monkeypatch) -> list[str]:
        """Rows that were looked at: every index asks one of these about each entry that it meets."""
        seen: list[str] = []

        def counted(name):
            function = getattr(memory_tables, name)

            def count(*args):
                seen.append(name)
                return function(*args)

            monkeypatch.setattr(memory_tables, name, count)

        for name in ("_wake_at", "header_matches", "_created"):
            counted(name)
        return seen

    async def test_wakes(self, owner, steps):
        """The nearest wakes are found without looking at the others."""
        steps.clear()
        assert await owner.store.wakes(SHOP, NOW + 12, 10) == [
            Wake(NOW + 10 + number, f"i{number:06}", 1) for number in range(3)
        ]
        assert len(steps) < self.STEPS

    async def test_commit(self, owner, steps):
        """A commit looks at what it writes."""
        steps.clear()
        await owner.commit(headers=[header("i000500", wake_at=NOW), closed(header("i000501"))])
        assert await owner.store.wakes(SHOP, NOW + 5, 10) == [Wake(NOW, "i000500", 1)]
        assert len(steps) < self.STEPS

    async def test_wakes_that_moved_do_not_pile_up(self, owner, steps):
        """A run that was woken ever so often leaves no trail: looking for wakes stays as cheap."""
        for number in range(3 * self.COUNT):
            await owner.commit(headers=[header("i000500", wake_at=NOW + 1 + number / 1e6)])
        steps.clear()
        await owner.store.wakes(SHOP, NOW + 1e9, 10 * self.COUNT)
        assert len(steps) < 2 * self.COUNT + self.STEPS

    async def test_create_and_send(self, owner, steps):
        """A new instance and a message to it are no dearer than in an empty store."""
        steps.clear()
        await owner.store.create([request(header("new"))])
        await owner.store.send([signal("m1", "new")])
        assert await owner.store.find("order-new") == header("new")
        assert len(steps) < self.STEPS

    async def test_lists(self, owner, steps):
        """A page, and a page of the few that ended, look at no more than they show."""
        steps.clear()
        await owner.commit(headers=[closed(header("i000500"), Status.FAILED)])
        assert len(await owner.store.headers(InstanceFilter(), 20)) == 20
        assert len(await owner.store.headers(InstanceFilter(status=[Status.FAILED]), 20)) == 1
        assert await owner.store.count(InstanceFilter(status=[Status.OPEN])) == self.COUNT - 1
        assert len(steps) < self.STEPS

    async def test_claims(self, owner):
        """All tasks are claimed page by page, in order, each once."""
        seen = []
        while rows := await owner.store.claim("node-1", {"shop": ["charge"]}, NOW, 1000):
            seen += [row.key.instance for row in rows]
        assert seen == [f"i{number:06}" for number in range(self.COUNT)]
