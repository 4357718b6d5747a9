"""Batches: the fence, the guard against writing twice, and that all of a batch is written or nothing."""

# ruff: noqa: PLR2004, SIM300 - tests: numbers are the point, and what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from wfactors.errors import LeaseLost, StoreCorrupt
from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.records import Reply
from wfactors.model.status import ParentClose, Status
from wfactors.testing.conformance.builders import (
    MAIL,
    NOW,
    SHOP,
    SHOP_TOO,
    Owner,
    append,
    closed,
    header,
    key,
    node,
    payload,
    request,
    signal,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.model.records import Batch
    from wfactors.stores.base import Store
    from wfactors.testing.conformance.builders import ManualClock

__all__ = ["CommitConformance", "FenceConformance"]

PARENT = Parent(partition=MAIL, instance="p1", run=2, call=3, id="the parent")
FAILURE = Failure(
    type="shop.errors.CardDeclined",
    message="no funds",
    traceback="Traceback ...",
    cause=Failure(type="builtins.KeyError", message="'x'"),
    is_permanent=True,
    details=payload('{"cents":5}'),
)


def full_batch(owner: Owner) -> Batch:
    """A batch with something in each of its parts, for a store that holds task 1 of i1 and message ``in``."""
    return owner.next_batch(
        headers=[header("i1", wake_at=NOW + 5, events=3), header("i2")],
        appends=[append("i1", first=0, count=3), append("i2")],
        tasks=[task("i1", 0), task("i2", 0, node="node-1")],
        tasks_removed=[key("i1", 1)],
        tasks_cancelled=[key("i2", 0)],
        messages=[signal("out", "i9", MAIL), signal("kept", "i1")],
        messages_removed=["in"],
        replies=[Reply("r1", "i1", b"answer", NOW + 60)],
    )


async def owner_with_rows(store: Store) -> Owner:
    """An owner whose partition holds task 1 of i1 and message ``in``."""
    owner = await Owner.take(store)
    await owner.commit(headers=[header("i1")], tasks=[task("i1", 1)], messages=[signal("in", "i1")])
    return owner


class FenceConformance(Suite):
    """Who may commit, and what."""

    async def test_sequences_go_up_by_one(self, opened: Store) -> None:
        """Each batch is one more than that before it, and the partition's row says which was last."""
        owner = await Owner.take(opened)
        for _ in range(3):
            await owner.commit()
        assert [(1, 3)] == [(row.epoch, row.sequence) for row in await opened.partitions()]

    async def test_same_batch_twice_is_written_once(self, opened: Store) -> None:
        """A batch that is sent again after a lost acknowledgement succeeds and changes nothing."""
        owner = await owner_with_rows(opened)
        batch = full_batch(owner)
        await opened.commit(batch)
        before = await opened.dump()
        await opened.commit(batch)
        assert before == await opened.dump()

    async def test_retry_after_later_writes_has_no_effect(self, opened: Store) -> None:
        """What others did since the batch was written stays when the batch is sent again."""
        owner = await Owner.take(opened)
        batch = await owner.commit(headers=[header()], tasks=[task()], messages=[signal("m1")])
        await opened.claim("node-1", {"shop": ["charge"]}, NOW, 1)
        await opened.commit(batch)
        assert [task(node="node-1")] == await opened.tasks("i1", 1)

    @pytest.mark.parametrize("sequence", [0, 1, 2, 5, 9])
    async def test_wrong_sequence_is_refused(self, opened: Store, sequence: int) -> None:
        """A batch that is neither the next one nor the last one is refused."""
        owner = await Owner.take(opened)
        for _ in range(3):
            await owner.commit()
        before = await opened.dump()
        assert 3 == owner.sequence
        with pytest.raises(LeaseLost):
            await opened.commit(attrs.evolve(owner.next_batch(headers=[header()]), sequence=sequence))
        assert before == await opened.dump()

    @pytest.mark.parametrize("epoch", [0, 1, 3])
    async def test_wrong_epoch_is_refused(self, opened: Store, epoch: int) -> None:
        """Only the epoch that owns the partition may commit, neither an older nor a later one."""
        await Owner.take(opened)
        owner = await Owner.take(opened)
        assert 2 == owner.epoch
        before = await opened.dump()
        with pytest.raises(LeaseLost):
            await opened.commit(attrs.evolve(owner.next_batch(headers=[header()]), epoch=epoch))
        assert before == await opened.dump()

    async def test_never_acquired_partition_is_refused(self, opened: Store) -> None:
        """A partition that nobody ever owned takes no batch, even one of epoch 0."""
        owner = Owner(opened, "node-1", SHOP, 0, 0)
        await opened.create([request(header("i1"))])
        with pytest.raises(LeaseLost):
            await owner.commit(headers=[header("i2")])
        with pytest.raises(LeaseLost):
            await attrs.evolve(owner, partition=MAIL).commit(headers=[header("i2", partition=MAIL)])
        assert None is await opened.header("i2")

    async def test_released_partition_is_refused(self, opened: Store) -> None:
        """After giving a partition back its former owner commits nothing more."""
        owner = await Owner.take(opened)
        await opened.release(SHOP, "node-1", owner.epoch)
        with pytest.raises(LeaseLost):
            await owner.commit(headers=[header()])
        assert None is await opened.header("i1")

    @pytest.mark.parametrize("how", ["leave", "bury"])
    async def test_owner_that_is_gone_is_refused(self, opened: Store, clock: ManualClock, how: str) -> None:
        """A node that left or was buried lost its partitions, also while nobody else has them."""
        owner = await Owner.take(opened)
        clock.advance(10)
        await (opened.leave("node-1") if how == "leave" else opened.bury("node-1"))
        with pytest.raises(LeaseLost):
            await owner.commit(headers=[header()])
        assert None is await opened.header("i1")

    async def test_epoch_alone_is_the_fence(self, opened: Store, clock: ManualClock) -> None:
        """An owner whose lease is over may commit until somebody takes the partition over."""
        owner = await Owner.take(opened)
        clock.advance(100)
        await owner.commit(headers=[header("i1")])
        await Owner.take(opened, node_name="node-2")
        with pytest.raises(LeaseLost):
            await owner.commit(headers=[header("i2")])
        assert [header("i1")] == [row for row in [await opened.header("i1"), await opened.header("i2")] if row]

    async def test_fenced_retry_is_refused(self, opened: Store, clock: ManualClock) -> None:
        """The last batch of a former owner is refused once the partition has a new one: it must not go on."""
        owner = await Owner.take(opened)
        batch = await owner.commit(headers=[header()])
        clock.advance(10)
        await Owner.take(opened, node_name="node-2")
        with pytest.raises(LeaseLost):
            await opened.commit(batch)

    async def test_partitions_have_their_own_fences(self, opened: Store) -> None:
        """Batches of one partition say nothing about those of another."""
        shop = await Owner.take(opened, SHOP)
        mail = await Owner.take(opened, MAIL)
        await shop.commit()
        await shop.commit()
        await mail.commit(headers=[header("i1", partition=MAIL)])
        rows = {row.partition: row.sequence for row in await opened.partitions()}
        assert {SHOP: 2, MAIL: 1} == rows


class CommitConformance(Suite):
    """What a batch writes."""

    async def test_every_part_is_written(self, opened: Store) -> None:
        """Each part of a batch is there after it."""
        owner = await owner_with_rows(opened)
        await opened.commit(full_batch(owner))
        assert header("i1", wake_at=NOW + 5, events=3) == await opened.header("i1")
        assert [append("i1", count=3)] == await opened.history("i1", 1)
        assert [task("i1", 0)] == await opened.tasks("i1", 1)
        assert [task("i2", 0, node="node-1", is_cancel_requested=True)] == await opened.tasks("i2", 1)
        assert [signal("kept", "i1")] == [item.message for item in await opened.inbox(SHOP, 0, 10)]
        assert [signal("out", "i9", MAIL)] == [item.message for item in await opened.inbox(MAIL, 0, 10)]
        assert b"answer" == await opened.take_reply("r1")

    async def test_an_event_twice_writes_nothing(self, opened: Store) -> None:
        """One part that cannot be written keeps the whole batch from being written; the owner may go on."""
        owner = await owner_with_rows(opened)
        await owner.commit(appends=[append("i1", first=0, count=2)])
        before = await opened.dump()
        batch = full_batch(owner)
        with pytest.raises(StoreCorrupt):
            await opened.commit(batch)
        assert before == await opened.dump()
        await opened.commit(attrs.evolve(batch, appends=[append("i1", first=2)]))
        assert [0, 2] == [row.first for row in await opened.history("i1", 1)]

    async def test_an_event_twice_in_one_batch_writes_nothing(self, opened: Store) -> None:
        """The same event twice within one batch is refused like one that was there before."""
        owner = await Owner.take(opened)
        before = await opened.dump()
        with pytest.raises(StoreCorrupt):
            await owner.commit(headers=[header()], appends=[append(), append()])
        assert before == await opened.dump()

    async def test_headers_are_replaced_whole(self, opened: Store) -> None:
        """A header that is there is replaced, fields that went away included."""
        owner = await Owner.take(opened)
        first = header("i1", wake_at=NOW, attributes=payload('{"tier":1}'), parked="unknown workflow", awaited=("go",))
        await owner.commit(headers=[first])
        second = header("i1", started_at=NOW + 1, events=7, history_bytes=900, start=None)
        await owner.commit(headers=[second])
        assert second == await opened.header("i1")

    async def test_header_keeps_every_field(self, opened: Store) -> None:
        """All that a header can hold comes back as it was."""
        row = header(
            "i1",
            run=7,
            id="my order",
            root_id="grandmother",
            parked="NonDeterminismError: ...",
            started_at=NOW + 0.001,
            wake_at=NOW + 86400.5,
            events=123,
            history_bytes=45678,
            start=payload('{"a":[1,2,{"b":null}]}'),
            parent=PARENT,
            parent_close=ParentClose.ABANDON,
            attributes=payload('{"tier":"gold"}'),
            context={"traceparent": "00-1-2-01", "tenant": "ä"},
            awaited=("approve", "a'b\x00\N{SNOWMAN}"),
        )
        failed = closed(header("i2"), Status.FAILED, failure=FAILURE, result=payload("7"))
        owner = await Owner.take(opened)
        await owner.commit(headers=[row, failed])
        assert row == await opened.header("i1")
        assert failed == await opened.header("i2")

    async def test_continued_run_and_the_next_in_one_batch(self, opened: Store) -> None:
        """A run that continues as new ends and its successor opens in one batch, under the same unique id."""
        owner = await Owner.take(opened)
        await opened.create([request(header("i1"))])
        old = closed(header("i1"), Status.CONTINUED)
        new = header("i1", run=2, created_at=NOW + 1)
        await owner.commit(headers=[old, new], appends=[append("i1", run=1), append("i1", run=2)])
        assert new == await opened.find("order-i1")
        assert new == await opened.header("i1")
        assert old == await opened.header("i1", 1)

    async def test_ended_id_is_free_for_another_in_one_batch(self, opened: Store) -> None:
        """An id that one instance of a batch lets go can be opened by a later one of it."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1", id="same")])
        await owner.commit(headers=[closed(header("i1", id="same")), header("i2", id="same", created_at=NOW + 1)])
        assert header("i2", id="same", created_at=NOW + 1) == await opened.find("same")

    async def test_many_rows_of_each_kind(self, opened: Store) -> None:
        """A batch of a thousand of everything is written as one of one is."""
        owner = await Owner.take(opened)
        names = [f"i{number}" for number in range(1000)]
        await owner.commit(
            headers=[header(name) for name in names],
            appends=[append(name) for name in names],
            tasks=[task(name) for name in names],
            messages=[signal(f"m-{name}", name) for name in names],
            replies=[Reply(f"r-{name}", name, b"x", NOW + 60) for name in names],
        )
        dump = await opened.dump()
        sizes = {table: len(rows) for table, rows in dump.items() if table not in {"nodes", "partitions"}}
        assert dict.fromkeys(["headers", "events", "tasks", "inbox", "replies"], 1000) == sizes
        await owner.commit(
            tasks_removed=[key(name) for name in names[1:]], messages_removed=[f"m-{name}" for name in names[1:]]
        )
        assert [task("i0")] == await opened.tasks("i0", 1)
        assert [] == await opened.tasks("i999", 1)
        assert ["m-i0"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    async def test_parts_apply_in_order(self, opened: Store) -> None:
        """What a batch both adds and removes is gone after it; what it removed is not cancelled either."""
        owner = await Owner.take(opened)
        await owner.commit(
            tasks=[task(call=0), task(call=1)],
            tasks_removed=[key(call=0)],
            tasks_cancelled=[key(call=0)],
            messages=[signal("m1"), signal("m2")],
            messages_removed=["m1"],
        )
        assert [task(call=1)] == await opened.tasks("i1", 1)
        assert ["m2"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    async def test_removing_what_is_not_there_is_harmless(self, opened: Store) -> None:
        """Tasks and messages that are gone already are no reason to refuse a batch."""
        owner = await Owner.take(opened)
        await owner.commit(tasks_removed=[key("i7")], tasks_cancelled=[key("i8")], messages_removed=["nothing"])
        assert [] == (await opened.dump())["inbox"]

    async def test_messages_of_another_partition_are_not_removed(self, opened: Store) -> None:
        """A batch removes messages of its own partition's inbox only."""
        owner = await Owner.take(opened)
        await owner.commit(messages=[signal("m1", "i1", SHOP_TOO)])
        await owner.commit(messages_removed=["m1"])
        assert ["m1"] == [item.message.id for item in await opened.inbox(SHOP_TOO, 0, 10)]

    async def test_empty_batch(self, opened: Store) -> None:
        """A batch with nothing in it moves the sequence on, and no more."""
        owner = await Owner.take(opened)
        await owner.commit()
        dump = await opened.dump()
        assert [("node-1", 1, 1)] == [(row["node"], row["epoch"], row["sequence"]) for row in dump["partitions"]]
        assert [] == dump["headers"]

    async def test_cancelled_commit_is_whole_or_absent(self, opened: Store) -> None:
        """A commit cancelled at any checkpoint has written all or nothing, and can be sent again."""
        owner = await owner_with_rows(opened)
        before = await opened.dump()
        batch = full_batch(owner)
        with trio.CancelScope() as scope:
            scope.cancel()
            await opened.commit(batch)
        after = await opened.dump()
        await opened.commit(batch)
        whole = await opened.dump()
        assert after in (whole, before)
        assert 2 == len(whole["events"])

    async def test_many_partitions_at_once(self, opened: Store) -> None:
        """Commits of many partitions at the same time are all written, each in its own order."""
        owners = [await Owner.take(opened, f"{number}:shop") for number in range(10)]

        async def work(owner: Owner) -> None:
            for number in range(5):
                name = f"i-{owner.partition}-{number}"
                await owner.commit(headers=[header(name, partition=owner.partition)], appends=[append(name)])

        async with trio.open_nursery() as nursery:
            for owner in owners:
                nursery.start_soon(work, owner)
        assert [5] * 10 == [row.sequence for row in await opened.partitions()]
        dump = await opened.dump()
        assert (50, 50) == (len(dump["headers"]), len(dump["events"]))

    async def test_commits_while_nodes_come_and_go(self, opened: Store) -> None:
        """Other nodes joining and leaving do not disturb an owner."""
        owner = await Owner.take(opened)
        for number in range(3):
            await opened.join(node("node-2"), 10.0)
            await owner.commit(headers=[header(f"i{number}")])
            await opened.leave("node-2")
        assert 3 == len((await opened.dump())["headers"])
