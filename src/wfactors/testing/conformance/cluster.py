"""Opening and closing; nodes, their leases, and the partitions they own."""

# ruff: noqa: SIM300 - what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from wfactors.errors import LeaseLost
from wfactors.model.records import Lease, PartitionRow
from wfactors.testing.conformance.builders import (
    MAIL,
    MOMENT,
    NOW,
    SHOP,
    SHOP_TOO,
    Owner,
    append,
    header,
    key,
    node,
    request,
    signal,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.stores.base import Store
    from wfactors.testing.conformance.builders import ManualClock

__all__ = ["ClusterConformance", "LifeConformance"]


class LifeConformance(Suite):
    """Opening, closing, the clock, durability."""

    async def test_now_is_the_clock(self, opened: Store, clock: ManualClock) -> None:
        """The store's time is that of the clock it was given."""
        clock.advance(1.25)
        assert await opened.now() == NOW + 1.25

    async def test_durability_is_told(self, opened: Store) -> None:
        """What an acknowledged write survives is one of three levels, with the settings in words."""
        durability = opened.durability()
        assert durability.level in {"none", "process", "machine"}
        assert durability.detail
        assert durability.level == "machine" or durability.warning

    async def test_an_empty_store_is_empty(self, opened: Store) -> None:
        """A new store dumps seven empty tables."""
        tables = ["headers", "events", "tasks", "inbox", "replies", "nodes", "partitions"]
        assert {name: [] for name in tables} == await opened.dump()

    async def test_reopened_store_has_everything(self, store: Store) -> None:
        """Leaving a store and entering it again loses nothing."""
        async with store.open():
            owner = await Owner.take(store)
            await owner.commit(
                headers=[header()], appends=[append()], tasks=[task()], messages=[signal("m1", "i2", MAIL)]
            )
            before = await store.dump()
        async with store.open():
            assert before == await store.dump()
            await owner.commit(tasks_removed=[key()])
            assert await store.tasks("i1", 1) == []

    async def test_leaving_finishes_what_was_asked(self, store: Store) -> None:
        """A write that was under way when the block ended is whole or absent, never half."""
        async with store.open():
            owner = await Owner.take(store)
            batch = owner.next_batch(headers=[header()], appends=[append()])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.commit, batch)
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        async with store.open():
            dump = await store.dump()
            assert len(dump["headers"]) == len(dump["events"])


class ClusterConformance(Suite):
    """Nodes join, renew, leave, die and are buried; partitions change hands."""

    async def test_join_inserts_the_row(self, opened: Store) -> None:
        """A node that joined is listed as it said, alive, with a lease by the store's clock."""
        row = await opened.join(node(), 10.0)
        assert node(lease_until=NOW + 10, liveness=row.liveness) == row
        assert [row] == await opened.nodes()

    async def test_join_replaces_the_row(self, opened: Store, clock: ManualClock) -> None:
        """Joining under the same name again replaces what the node said, and its lease."""
        await opened.join(node(), 10.0)
        clock.advance(1)
        row = await opened.join(node(queues=("new",), code_version="2"), 20.0)
        assert (("new",), "2", NOW + 21) == (row.queues, row.code_version, row.lease_until)
        assert [row] == await opened.nodes()

    async def test_nodes_are_listed_by_name(self, opened: Store) -> None:
        """Nodes come in the order of their names."""
        for name in ("c", "a", "b"):
            await opened.join(node(name), 10.0)
        assert ["a", "b", "c"] == [row.node for row in await opened.nodes()]

    async def test_renew_extends_the_lease(self, opened: Store, clock: ManualClock) -> None:
        """A lease can be renewed until it ends, and counts from now."""
        await opened.join(node(), 10.0)
        clock.advance(10 - MOMENT)
        assert NOW + 20 - MOMENT == await opened.renew("node-1", 10.0)
        clock.advance(9)
        [row] = await opened.nodes()
        assert (NOW + 20 - MOMENT, True) == (row.lease_until, row.is_alive)

    async def test_lease_ends_at_its_time(self, opened: Store, clock: ManualClock) -> None:
        """A node is alive before the end of its lease and dead at it."""
        await opened.join(node(), 10.0)
        clock.advance(10 - MOMENT)
        assert [True] == [row.is_alive for row in await opened.nodes()]
        clock.advance(MOMENT)
        assert [False] == [row.is_alive for row in await opened.nodes()]

    async def test_renew_of_a_dead_node_is_refused(self, opened: Store, clock: ManualClock) -> None:
        """A node whose lease was over cannot bring itself back."""
        await opened.join(node(), 10.0)
        clock.advance(10)
        with pytest.raises(LeaseLost):
            await opened.renew("node-1", 10.0)
        assert [False] == [row.is_alive for row in await opened.nodes()]

    async def test_renew_of_an_unknown_node_is_refused(self, opened: Store) -> None:
        """A node that is not there has no lease to renew."""
        with pytest.raises(LeaseLost):
            await opened.renew("nobody", 10.0)

    async def test_leave_removes_the_node_and_releases(self, opened: Store) -> None:
        """A node that leaves is gone, and its partitions are free at once; others keep theirs."""
        await Owner.take(opened, SHOP)
        await Owner.take(opened, MAIL, "node-2")
        await opened.leave("node-1")
        assert ["node-2"] == [row.node for row in await opened.nodes()]
        expected = [PartitionRow(MAIL, "node-2", 1, 0), PartitionRow(SHOP, None, 1, 0)]
        assert expected == await opened.partitions()

    async def test_leave_makes_orphans(self, opened: Store) -> None:
        """Tasks of a node that left keep its name, for the owner of their partition to see."""
        owner = await Owner.take(opened)
        await opened.join(node("node-2"), 10.0)
        await owner.commit(tasks=[task()])
        await opened.claim("node-2", {"shop": ["charge"]}, NOW, 10)
        await opened.leave("node-2")
        assert [task(node="node-2")] == await opened.held_tasks(SHOP)

    async def test_leave_of_an_unknown_node_does_nothing(self, opened: Store) -> None:
        """Leaving twice is leaving once."""
        await opened.join(node(), 10.0)
        await opened.leave("nobody")
        await opened.leave("node-1")
        await opened.leave("node-1")
        assert [] == await opened.nodes()

    async def test_dead_nodes_stay_until_buried(self, opened: Store, clock: ManualClock) -> None:
        """A dead node and what it owned are in view until somebody buries it."""
        await Owner.take(opened)
        clock.advance(10)
        assert [PartitionRow(SHOP, "node-1", 1, 0)] == await opened.partitions()
        await opened.bury("node-1")
        assert [] == await opened.nodes()
        assert [PartitionRow(SHOP, None, 1, 0)] == await opened.partitions()

    async def test_the_living_are_not_buried(self, opened: Store, clock: ManualClock) -> None:
        """Burying a node that is alive does nothing, also just before the end of its lease."""
        await Owner.take(opened)
        await opened.bury("node-1")
        clock.advance(10 - MOMENT)
        await opened.bury("node-1")
        await opened.bury("nobody")
        assert [True] == [row.is_alive for row in await opened.nodes()]
        assert [PartitionRow(SHOP, "node-1", 1, 0)] == await opened.partitions()

    async def test_first_lease(self, opened: Store) -> None:
        """The first owner of a partition gets epoch 1 and no batch before it."""
        await opened.join(node(), 10.0)
        assert Lease(SHOP, 1, 0) == await opened.acquire(SHOP, "node-1")
        assert [PartitionRow(SHOP, "node-1", 1, 0)] == await opened.partitions()

    async def test_owned_partition_is_not_given_away(self, opened: Store) -> None:
        """Who is alive keeps what it owns."""
        await Owner.take(opened)
        await opened.join(node("node-2"), 10.0)
        assert None is await opened.acquire(SHOP, "node-2")
        assert [PartitionRow(SHOP, "node-1", 1, 0)] == await opened.partitions()

    async def test_acquire_by_its_owner_raises_the_epoch(self, opened: Store) -> None:
        """The owner may take its partition again, and fences its own former self."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header()])
        assert Lease(SHOP, 2, 1) == await opened.acquire(SHOP, "node-1")
        with pytest.raises(LeaseLost):
            await owner.commit(headers=[header("i2")])

    async def test_partition_of_a_dead_node_is_taken_over(self, opened: Store, clock: ManualClock) -> None:
        """Once the owner's lease is over, not before, anybody alive takes over: a higher epoch, the old sequence."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header()])
        await opened.join(node("node-2"), 60.0)
        clock.advance(10 - MOMENT)
        assert None is await opened.acquire(SHOP, "node-2")
        clock.advance(MOMENT)
        assert Lease(SHOP, 2, 1) == await opened.acquire(SHOP, "node-2")
        with pytest.raises(LeaseLost):
            await owner.commit(headers=[header("i2")])
        assert None is await opened.header("i2")

    async def test_a_dead_node_acquires_nothing(self, opened: Store, clock: ManualClock) -> None:
        """From the end of its lease on a node gets no partition, nor does one that never joined."""
        await opened.join(node(), 10.0)
        clock.advance(10 - MOMENT)
        assert Lease(SHOP, 1, 0) == await opened.acquire(SHOP, "node-1")
        clock.advance(MOMENT)
        assert None is await opened.acquire(SHOP, "node-1")
        assert None is await opened.acquire(SHOP, "nobody")

    async def test_released_partition_is_free(self, opened: Store) -> None:
        """What was given back can be taken by another node, epoch rising, sequence going on."""
        owner = await Owner.take(opened)
        await owner.commit()
        await owner.commit()
        await opened.release(SHOP, "node-1", 1)
        assert [PartitionRow(SHOP, None, 1, 2)] == await opened.partitions()
        other = await Owner.take(opened, node_name="node-2")
        assert (2, 2) == (other.epoch, other.sequence)
        await other.commit()
        assert [PartitionRow(SHOP, "node-2", 2, 3)] == await opened.partitions()

    @pytest.mark.parametrize(("name", "epoch"), [("node-1", 2), ("node-1", 0), ("node-2", 1)])
    async def test_release_of_what_is_not_held_does_nothing(self, opened: Store, name: str, epoch: int) -> None:
        """A late release, of another epoch or by another node, leaves the owner alone."""
        await Owner.take(opened)
        await opened.release(SHOP, name, epoch)
        await opened.release("7:unheard", "node-1", 1)
        assert PartitionRow(SHOP, "node-1", 1, 0) in await opened.partitions()

    async def test_one_of_many_acquires(self, opened: Store) -> None:
        """Of many nodes that want one partition at once, one gets it."""
        names = [f"node-{number}" for number in range(10)]
        leases: list[Lease | None] = []

        async def acquire(name: str) -> None:
            leases.append(await opened.acquire(SHOP, name))

        for name in names:
            await opened.join(node(name), 10.0)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(acquire, name)
        assert [Lease(SHOP, 1, 0)] == [lease for lease in leases if lease is not None]

    async def test_partitions_are_all_that_were_ever_used(self, opened: Store) -> None:
        """A partition is listed once it was acquired or got an instance or a message, by text; also when emptied."""
        owner = await Owner.take(opened, SHOP)
        await opened.create([request(header("i1", partition=MAIL))])
        await owner.commit(messages=[signal("m1", "i9", SHOP_TOO)])
        unowned = [PartitionRow(MAIL, None, 0, 0), PartitionRow(SHOP_TOO, None, 0, 0)]
        assert [unowned[0], PartitionRow(SHOP, "node-1", 1, 1), unowned[1]] == await opened.partitions()
        other = await Owner.take(opened, SHOP_TOO)
        await other.commit(messages_removed=["m1"])
        assert [MAIL, SHOP, SHOP_TOO] == [row.partition for row in await opened.partitions()]
