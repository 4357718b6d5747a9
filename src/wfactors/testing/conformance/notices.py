"""Notices: whoever waits is woken by what it waits for, once it can be read, and not by what was refused."""

# ruff: noqa: SIM300 - what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from wfactors.errors import LeaseLost
from wfactors.model.records import Reply
from wfactors.model.status import OnConflict, Status
from wfactors.stores.base import TaskReport
from wfactors.stores.changes import NODES_TOPIC, inbox_topic, instance_topic, reply_topic, tasks_topic
from wfactors.testing.conformance.builders import (
    MAIL,
    NOW,
    SHOP,
    Owner,
    closed,
    header,
    heard,
    node,
    outcome,
    request,
    signal,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wfactors.stores.base import Store
    from wfactors.testing.conformance.builders import ManualClock

__all__ = ["NoticeConformance"]


async def tells(store: Store, topic: str, write: Callable[[], Awaitable[object]]) -> bool:
    """Whether the write publishes the topic by the time it returns."""
    with store.changes.subscribe(topic) as subscription:
        assert not await heard(subscription)
        await write()
        return await heard(subscription)


class NoticeConformance(Suite):
    """What each write publishes."""

    async def test_nodes(self, opened: Store, clock: ManualClock) -> None:
        """Joining, leaving and burying are told."""
        assert await tells(opened, NODES_TOPIC, lambda: opened.join(node(), 10.0))
        assert await tells(opened, NODES_TOPIC, lambda: opened.leave("node-1"))
        await opened.join(node(), 10.0)
        clock.advance(10)
        assert await tells(opened, NODES_TOPIC, lambda: opened.bury("node-1"))

    async def test_partitions(self, opened: Store) -> None:
        """A partition that changes hands is told."""
        await opened.join(node(), 10.0)
        assert await tells(opened, NODES_TOPIC, lambda: opened.acquire(SHOP, "node-1"))
        assert await tells(opened, NODES_TOPIC, lambda: opened.release(SHOP, "node-1", 1))

    async def test_created_instance(self, opened: Store) -> None:
        """The partition hears of an instance that was created for it, and of a signal that came with a start."""
        assert await tells(opened, inbox_topic(SHOP), lambda: opened.create([request(header("i1", id="same"))]))
        again = request(header("i2", id="same"), on_conflict=OnConflict.USE_EXISTING, signal=signal("m1"))
        assert await tells(opened, inbox_topic(SHOP), lambda: opened.create([again]))

    async def test_message_of_a_client(self, opened: Store) -> None:
        """The partition hears of a message; others do not."""
        await opened.create([request(header("i1"))])
        assert await tells(opened, inbox_topic(SHOP), lambda: opened.send([signal("m1")]))

    async def test_message_of_another_partition(self, opened: Store) -> None:
        """A partition hears of what another one's batch puts into its inbox."""
        owner = await Owner.take(opened)
        assert await tells(opened, inbox_topic(MAIL), lambda: owner.commit(messages=[signal("m1", "i9", MAIL)]))

    async def test_outcome_of_a_task(self, opened: Store) -> None:
        """The partition hears of the outcome that another node reported."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task(node="node-2")])
        report = TaskReport(task().key, "node-2", 1, outcome(task()))
        assert await tells(opened, inbox_topic(SHOP), lambda: opened.report([report]))

    async def test_outcome_of_a_withdrawn_task(self, opened: Store) -> None:
        """The partition hears that tasks nobody ran are gone, and that one asked to stop was not tried again."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task("i1"), task("i2", node="node-2")])
        keys = [task("i1").key, task("i2").key]
        assert await tells(opened, inbox_topic(SHOP), lambda: owner.commit(tasks_cancelled=keys))
        report = TaskReport(keys[1], "node-2", 1, retry_at=NOW)
        assert await tells(opened, inbox_topic(SHOP), lambda: opened.report([report]))

    async def test_free_task(self, opened: Store) -> None:
        """A queue hears of a new task, of one to be retried, and that a held one was asked to stop."""
        owner = await Owner.take(opened)
        await opened.join(node("node-2"), 1000)
        assert await tells(opened, tasks_topic("shop"), lambda: owner.commit(tasks=[task()]))
        await opened.claim("node-2", {"shop": ["charge"]}, NOW, 1)
        report = TaskReport(task().key, "node-2", 1, retry_at=NOW)
        assert await tells(opened, tasks_topic("shop"), lambda: opened.report([report]))
        await opened.claim("node-2", {"shop": ["charge"]}, NOW, 1)
        assert await tells(opened, tasks_topic("shop"), lambda: owner.commit(tasks_cancelled=[task().key]))

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.OPEN])
    async def test_ended_run(self, opened: Store, status: Status) -> None:
        """Whoever waits for an instance hears that a run of it has ended, however it did."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1")])
        write = closed(header("i1"), status)
        assert await tells(opened, instance_topic("i1"), lambda: owner.commit(headers=[write]))

    async def test_parked_run(self, opened: Store) -> None:
        """Whoever waits for an instance hears that a run of it was parked."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1")])
        topic = instance_topic("i1")
        assert await tells(opened, topic, lambda: owner.commit(headers=[header("i1", parked="?")]))

    async def test_removal(self, opened: Store) -> None:
        """Whoever waits for something of an instance hears that it is removed, by key or by age."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1")), closed(header("i2"))])
        assert await tells(opened, instance_topic("i1"), lambda: opened.remove("i1"))
        assert await tells(opened, instance_topic("i2"), lambda: opened.remove_finished(NOW + 1000, 10))

    async def test_reply(self, opened: Store) -> None:
        """Whoever waits for a reply hears that it is there."""
        owner = await Owner.take(opened)
        reply = Reply("r1", "i1", b"x", NOW + 60)
        assert await tells(opened, reply_topic("r1"), lambda: owner.commit(replies=[reply]))

    async def test_woken_reader_finds_it(self, opened: Store) -> None:
        """Who is woken reads what woke it: the notice never comes before the write can be seen."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1")])
        seen: list[Status] = []

        async def watch(task_status: trio.TaskStatus[None]) -> None:
            with opened.changes.subscribe(instance_topic("i1")) as subscription:
                task_status.started()
                await subscription.wait()
                row = await opened.header("i1")
                assert row is not None
                seen.append(row.status)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                await nursery.start(watch)
            await owner.commit(headers=[closed(header("i1"))])
        assert [Status.COMPLETED] * 5 == seen

    async def test_refused_commit_tells_nothing(self, opened: Store) -> None:
        """A batch that was refused wakes nobody."""
        owner = await Owner.take(opened)
        await opened.release(SHOP, "node-1", owner.epoch)
        topics = [instance_topic("i1"), tasks_topic("shop"), inbox_topic(MAIL), reply_topic("r1")]
        with opened.changes.subscribe(*topics) as subscription:
            with pytest.raises(LeaseLost):
                await owner.commit(
                    headers=[closed(header("i1"))],
                    tasks=[task()],
                    messages=[signal("m1", "i9", MAIL)],
                    replies=[Reply("r1", "i1", b"x", NOW + 60)],
                )
            assert not await heard(subscription)

    async def test_refused_requests_tell_nothing(self, opened: Store) -> None:
        """Refused creates, messages and reports wake nobody."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1", id="same"), closed(header("i2"))], tasks=[task(node="node-2")])
        with opened.changes.subscribe(inbox_topic(SHOP), inbox_topic(MAIL), tasks_topic("shop")) as subscription:
            await opened.create([request(header("i3", id="same", partition=MAIL))])
            await opened.send([signal("m1", "i2"), signal("m2", "i9", MAIL)])
            await opened.report([TaskReport(task().key, "node-3", 1, outcome(task()))])
            assert not await heard(subscription)

    async def test_other_topics_are_not_told(self, opened: Store) -> None:
        """Names that begin alike are different topics."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1")])
        with opened.changes.subscribe(instance_topic("i10"), tasks_topic("sho"), reply_topic("r11")) as subscription:
            await owner.commit(
                headers=[closed(header("i1"))], tasks=[task()], replies=[Reply("r1", "i1", b"x", NOW + 60)]
            )
            assert not await heard(subscription)
