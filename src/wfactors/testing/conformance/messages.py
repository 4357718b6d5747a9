"""Wakes, inboxes, messages from clients, and replies."""

# ruff: noqa: SIM300 - what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.messages import (
    ActivityOutcome,
    Body,
    Cancel,
    ChildAccepted,
    ChildOutcome,
    Forward,
    Message,
    ParentClosed,
    Query,
    RequestOutcome,
    Resume,
    Sender,
    Signal,
    StartChild,
    Terminate,
    Update,
)
from wfactors.model.records import Reply, Wake
from wfactors.model.status import ParentClose, Status
from wfactors.testing.conformance.builders import (
    MAIL,
    MOMENT,
    NOW,
    SHOP,
    SHOP_TOO,
    Owner,
    closed,
    header,
    payload,
    query,
    request,
    signal,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.stores.base import Store
    from wfactors.testing.conformance.builders import ManualClock

__all__ = ["InboxConformance", "ReplyConformance", "SendConformance", "WakeConformance"]

SENDER = Sender(MAIL, "i9", 1, 4)
BODIES: list[Body] = [
    Signal("approve", payload('{"by":"ä"}'), SENDER),
    Cancel("enough", SENDER),
    Terminate("now"),
    Resume(),
    Query("contents", payload("[]"), "r1"),
    Update("add", payload("[1]")),
    ActivityOutcome(1, 2, 3, result=payload("[true]")),
    ActivityOutcome(1, 2, 3, failure=Failure("ValueError", "no", "Traceback"), deadline="heartbeat"),
    StartChild(
        "ship",
        "ship-1",
        "mail",
        payload("[2]"),
        Parent(SHOP, "i1", 1, 5, "order-i1"),
        ParentClose.ABANDON,
        "order-i1",
        attributes=payload('{"a":1}'),
        context={"tenant": "x"},
    ),
    ChildAccepted(1, 5),
    ChildOutcome(1, 5, result=payload("3")),
    RequestOutcome(1, 6, "not_found"),
    Forward("order-7", SENDER, cancel=Cancel("stop")),
    ParentClosed(ParentClose.TERMINATE),
]


class WakeConformance(Suite):
    """Which runs want to be woken."""

    async def test_in_order_of_time(self, opened: Store) -> None:
        """Wakes come by time, then by key, whatever order they were written in."""
        owner = await Owner.take(opened)
        times = {"i1": 30.0, "i2": 10.0, "i4": 20.0, "i3": 20.0}
        await owner.commit(headers=[header(name, wake_at=NOW + at) for name, at in times.items()])
        expected = [Wake(NOW + times[name], name, 1) for name in ("i2", "i3", "i4", "i1")]
        assert expected == await opened.wakes(SHOP, NOW + 100, 10)

    async def test_up_to_and_with_the_time(self, opened: Store) -> None:
        """A wake at the very time asked for is due, one after it is not."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1", wake_at=NOW + 5), header("i2", wake_at=NOW + 5.001)])
        assert [Wake(NOW + 5, "i1", 1)] == await opened.wakes(SHOP, NOW + 5, 10)
        assert [] == await opened.wakes(SHOP, NOW + 4.999, 10)

    async def test_limit_gives_the_earliest(self, opened: Store) -> None:
        """With a limit the earliest come, and asking again gives the same."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header(f"i{number}", wake_at=NOW - number) for number in range(9)])
        expected = [Wake(NOW - 8, "i8", 1), Wake(NOW - 7, "i7", 1)]
        assert expected == await opened.wakes(SHOP, NOW, 2)
        assert expected == await opened.wakes(SHOP, NOW, 2)
        assert [] == await opened.wakes(SHOP, NOW, 0)

    async def test_only_open_unparked_runs_of_the_partition(self, opened: Store) -> None:
        """Runs that ended, stand parked, never want to be woken or live elsewhere are left out."""
        owner = await Owner.take(opened)
        other = await Owner.take(opened, SHOP_TOO)
        await owner.commit(
            headers=[
                closed(header("i1"), wake_at=NOW),
                header("i2", wake_at=NOW, parked="unknown workflow"),
                header("i3"),
                header("i5", wake_at=NOW),
            ]
        )
        await other.commit(headers=[header("i4", wake_at=NOW, partition=SHOP_TOO)])
        assert [Wake(NOW, "i5", 1)] == await opened.wakes(SHOP, NOW, 10)

    async def test_changed_wake_counts(self, opened: Store) -> None:
        """Only the last written time counts, also when a former one comes back."""
        owner = await Owner.take(opened)
        for at in (NOW + 1, NOW + 2, NOW + 1, None, NOW + 3, NOW + 1):
            await owner.commit(headers=[header("i1", wake_at=at), header("i2", wake_at=NOW + 2)])
        assert [Wake(NOW + 1, "i1", 1), Wake(NOW + 2, "i2", 1)] == await opened.wakes(SHOP, NOW + 9, 10)
        await owner.commit(headers=[header("i1", wake_at=None)])
        assert [Wake(NOW + 2, "i2", 1)] == await opened.wakes(SHOP, NOW + 9, 10)

    async def test_resumed_run_wakes_again(self, opened: Store) -> None:
        """A parked run is found again once it is no longer parked."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1", wake_at=NOW, parked="unknown workflow")])
        assert [] == await opened.wakes(SHOP, NOW, 10)
        await owner.commit(headers=[header("i1", wake_at=NOW)])
        assert [Wake(NOW, "i1", 1)] == await opened.wakes(SHOP, NOW, 10)

    async def test_created_instance_wakes(self, opened: Store) -> None:
        """An instance that a client created is found by its time to wake, with its input."""
        await opened.create([request(header("i1", wake_at=NOW))])
        assert [Wake(NOW, "i1", 1)] == await opened.wakes(SHOP, NOW, 10)

    async def test_unheard_partition_has_none(self, opened: Store) -> None:
        """A partition that never was has nothing to wake."""
        assert [] == await opened.wakes("9:nowhere", NOW, 10)


class InboxConformance(Suite):
    """Messages wait in order until they are removed."""

    async def test_order_of_arrival(self, opened: Store) -> None:
        """Messages come in the order in which they were sent, by whomever."""
        owner = await Owner.take(opened, MAIL)
        await opened.create([request(header("i1"))])
        await opened.send([signal("b"), signal("a")])
        await owner.commit(messages=[signal("z")])
        await opened.send([signal("c")])
        assert ["b", "a", "z", "c"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    async def test_positions_grow(self, opened: Store) -> None:
        """Positions are above 0 and strictly grow."""
        await opened.create([request(header("i1"))])
        await opened.send([signal(f"m{number}") for number in range(5)])
        positions = [item.position for item in await opened.inbox(SHOP, 0, 10)]
        assert positions[0] > 0
        assert sorted(set(positions)) == positions

    async def test_reading_goes_on_behind_a_position(self, opened: Store) -> None:
        """What lies behind a position is read in pages, none twice and none left out."""
        await opened.create([request(header("i1"))])
        await opened.send([signal(f"m{number}") for number in range(7)])
        seen, after = [], 0
        for _ in range(4):
            page = await opened.inbox(SHOP, after, 3)
            seen.append([item.message.id for item in page])
            after = page[-1].position if page else after
        assert [["m0", "m1", "m2"], ["m3", "m4", "m5"], ["m6"], []] == seen

    async def test_positions_are_never_used_twice(self, opened: Store) -> None:
        """After the inbox was emptied, new messages still come behind the positions there were."""
        owner = await Owner.take(opened)
        await opened.create([request(header("i1"))])
        last = 0
        for number in range(3):
            await opened.send([signal(f"m{number}")])
            [item] = await opened.inbox(SHOP, last, 10)
            assert (f"m{number}", True) == (item.message.id, item.position > last)
            last = item.position
            await owner.commit(messages_removed=[f"m{number}"])
        assert [] == await opened.inbox(SHOP, 0, 10)

    async def test_positions_outlive_a_restart(self, store: Store) -> None:
        """Positions go on where they were after the store was closed and opened again."""
        async with store.open():
            owner = await Owner.take(store)
            await store.create([request(header("i1"))])
            await store.send([signal("m1")])
            [first] = await store.inbox(SHOP, 0, 10)
            await owner.commit(messages_removed=["m1"])
        async with store.open():
            await store.send([signal("m2")])
            assert ["m2"] == [item.message.id for item in await store.inbox(SHOP, first.position, 10)]

    async def test_removed_from_the_middle(self, opened: Store) -> None:
        """Messages are removed by id, in any order; the others keep theirs."""
        owner = await Owner.take(opened)
        await owner.commit(messages=[signal(f"m{number}") for number in range(100)])
        await owner.commit(messages_removed=[f"m{number}" for number in range(100) if number % 10])
        items = await opened.inbox(SHOP, 0, 100)
        assert [f"m{number}" for number in range(0, 100, 10)] == [item.message.id for item in items]
        assert [f"m{number}" for number in range(60, 100, 10)] == [
            item.message.id for item in await opened.inbox(SHOP, items[5].position, 100)
        ]

    async def test_of_one_instance(self, opened: Store) -> None:
        """Those for one instance, in order, behind a position and in pages, also after some were removed."""
        owner = await Owner.take(opened)
        await owner.commit(messages=[signal(f"m{number}", f"i{number % 3}") for number in range(12)])
        await owner.commit(messages_removed=["m1", "m2", "m4"])
        items = await opened.inbox(SHOP, 0, 100, instance="i1")
        assert ["m7", "m10"] == [item.message.id for item in items]
        assert ["m7"] == [item.message.id for item in await opened.inbox(SHOP, 0, 1, instance="i1")]
        assert ["m10"] == [item.message.id for item in await opened.inbox(SHOP, items[0].position, 100, instance="i1")]
        assert [] == await opened.inbox(SHOP, 0, 100, instance="i4")
        assert [] == await opened.inbox(MAIL, 0, 100, instance="i1")

    async def test_same_id_is_there_once(self, opened: Store) -> None:
        """A message whose id is in the inbox already is left alone: place and content stay the first one's."""
        owner = await Owner.take(opened)
        await owner.commit(messages=[signal("m1", text="1"), signal("m2"), signal("m1", text="2")])
        await owner.commit(messages=[signal("m1", text="3")])
        assert [signal("m1", text="1"), signal("m2")] == [item.message for item in await opened.inbox(SHOP, 0, 10)]

    async def test_partitions_have_their_own_inboxes(self, opened: Store) -> None:
        """A message is in the inbox of its partition and in no other."""
        owner = await Owner.take(opened)
        await owner.commit(messages=[signal("m1", "i1", SHOP), signal("m2", "i2", MAIL), signal("m3", "i3", SHOP_TOO)])
        found = {name: await opened.inbox(name, 0, 10) for name in (SHOP, MAIL, SHOP_TOO)}
        expected = {SHOP: ["m1"], MAIL: ["m2"], SHOP_TOO: ["m3"]}
        assert expected == {name: [item.message.id for item in items] for name, items in found.items()}

    @pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
    async def test_every_kind_of_message(self, opened: Store, body: Body) -> None:
        """Each kind of message comes back as it was sent."""
        owner = await Owner.take(opened)
        message = Message("m1", SHOP, "i1", body)
        await owner.commit(messages=[message])
        assert [message] == [item.message for item in await opened.inbox(SHOP, 0, 10)]


class SendConformance(Suite):
    """Messages from clients."""

    async def test_open_instance_accepts(self, opened: Store) -> None:
        """A message to an open run is accepted, and there."""
        await opened.create([request(header("i1"))])
        assert [None] == await opened.send([signal()])
        assert [signal()] == [item.message for item in await opened.inbox(SHOP, 0, 10)]

    async def test_each_message_is_answered(self, opened: Store) -> None:
        """Answers come in the order of the messages, and one refusal does not touch the others."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1"), closed(header("i2"), Status.CANCELLED)])
        messages = [signal("m1", "i1"), signal("m2", "i2"), signal("m3", "i3"), signal("m4", "i1")]
        assert [None, "cancelled", "not_found", None] == await opened.send(messages)
        assert ["m1", "m4"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.OPEN])
    async def test_closed_instance_answers_its_status(self, opened: Store, status: Status) -> None:
        """A message to an instance that has ended is refused with the status of its last run."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1"), status)])
        assert [status.value] == await opened.send([signal()])
        assert [] == await opened.inbox(SHOP, 0, 10)

    async def test_query_of_a_closed_instance_is_accepted(self, opened: Store) -> None:
        """Queries are for closed instances too, but not for those that are not there."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1"))])
        assert [None, "not_found"] == await opened.send([query("q1", "i1"), query("q2", "i2")])
        assert [query("q1", "i1")] == [item.message for item in await opened.inbox(SHOP, 0, 10)]

    async def test_parked_instance_accepts(self, opened: Store) -> None:
        """A parked run is open: it takes messages, Resume first of all."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1", parked="unknown workflow")])
        assert [None, None] == await opened.send([signal(), Message("m2", SHOP, "i1", Resume())])

    async def test_last_run_decides(self, opened: Store) -> None:
        """An instance whose first run continued as new is open as long as its last run is."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1"), Status.CONTINUED), header("i1", run=2)])
        assert [None] == await opened.send([signal("m1")])
        await owner.commit(headers=[closed(header("i1", run=2), Status.FAILED)])
        assert ["failed"] == await opened.send([signal("m2")])

    async def test_wrong_partition_finds_nothing(self, opened: Store) -> None:
        """A message for another partition than the instance's own finds no instance there."""
        await opened.create([request(header("i1"))])
        assert ["not_found"] == await opened.send([signal("m1", "i1", MAIL)])
        assert [] == await opened.inbox(MAIL, 0, 10)

    async def test_sent_twice_is_there_once(self, opened: Store) -> None:
        """A message sent again while it waits is accepted and there once."""
        await opened.create([request(header("i1"))])
        await opened.send([signal("m1"), signal("m2")])
        assert [None, None] == await opened.send([signal("m1"), signal("m1")])
        assert ["m1", "m2"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    async def test_waiting_message_of_a_closed_instance_is_accepted_again(self, opened: Store) -> None:
        """A message that was accepted stays so when it is sent again after the instance has ended."""
        owner = await Owner.take(opened)
        await opened.create([request(header("i1"))])
        await opened.send([signal("m1")])
        await owner.commit(headers=[closed(header("i1"))])
        assert [None, "completed"] == await opened.send([signal("m1"), signal("m2")])

    async def test_id_is_forgotten_with_its_message(self, opened: Store) -> None:
        """The store knows a message's id while it waits; later the history does."""
        owner = await Owner.take(opened)
        await opened.create([request(header("i1"))])
        await opened.send([signal("m1")])
        await owner.commit(messages_removed=["m1"])
        assert [None] == await opened.send([signal("m1")])
        assert ["m1"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    async def test_many_senders(self, opened: Store) -> None:
        """Messages of many senders at once are all there, those of each in its order."""
        await opened.create([request(header("i1"))])

        async def send(sender: int) -> None:
            for number in range(10):
                await opened.send([signal(f"{sender}/{number}")])

        async with trio.open_nursery() as nursery:
            for sender in range(10):
                nursery.start_soon(send, sender)
        ids = [item.message.id for item in await opened.inbox(SHOP, 0, 1000)]
        for sender in range(10):
            assert [f"{sender}/{number}" for number in range(10)] == [id for id in ids if id.startswith(f"{sender}/")]


class ReplyConformance(Suite):
    """Answers wait until they are taken or expire."""

    async def test_taken_once(self, opened: Store) -> None:
        """A reply is there until it is taken, then no more."""
        owner = await Owner.take(opened)
        assert None is await opened.take_reply("r1")
        await owner.commit(replies=[Reply("r1", "i1", b"\x00\xff any bytes", NOW + 60)])
        assert b"\x00\xff any bytes" == await opened.take_reply("r1")
        assert None is await opened.take_reply("r1")
        assert [] == (await opened.dump())["replies"]

    async def test_expired_is_gone(self, opened: Store, clock: ManualClock) -> None:
        """From the time at which a reply expires nobody sees it any more."""
        owner = await Owner.take(opened)
        await owner.commit(replies=[Reply(f"r{number}", "i1", b"%d" % number, NOW + 60) for number in range(2)])
        await owner.commit(replies=[Reply("r2", "i1", b"2", NOW + 60 + MOMENT)])
        clock.advance(60 - MOMENT)
        assert ["r0", "r1", "r2"] == [row["id"] for row in (await opened.dump())["replies"]]
        assert b"0" == await opened.take_reply("r0")
        clock.advance(MOMENT)
        assert ["r2"] == [row["id"] for row in (await opened.dump())["replies"]]
        assert None is await opened.take_reply("r1")
        assert b"2" == await opened.take_reply("r2")

    async def test_second_answer_replaces_the_first(self, opened: Store, clock: ManualClock) -> None:
        """A reply written again, as by the next owner of a partition, is the one that counts, with its own time."""
        owner = await Owner.take(opened)
        await owner.commit(replies=[Reply("r1", "i1", b"1", NOW + 10)])
        await owner.commit(replies=[Reply("r1", "i1", b"2", NOW + 60)])
        clock.advance(30)
        assert b"2" == await opened.take_reply("r1")

    async def test_expired_reply_can_be_written_again(self, opened: Store, clock: ManualClock) -> None:
        """An id whose reply has expired is free for another."""
        owner = await Owner.take(opened)
        await owner.commit(replies=[Reply("r1", "i1", b"1", NOW + 10)])
        clock.advance(30)
        await owner.commit(replies=[Reply("r1", "i1", b"2", NOW + 60)])
        assert b"2" == await opened.take_reply("r1")

    async def test_one_of_many_takes_it(self, opened: Store) -> None:
        """Of many who want one reply at once, one gets it."""
        owner = await Owner.take(opened)
        await owner.commit(replies=[Reply("r1", "i1", b"1", NOW + 10)])
        taken: list[bytes | None] = []

        async def take() -> None:
            taken.append(await opened.take_reply("r1"))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(take)
        assert [b"1"] == [data for data in taken if data is not None]
