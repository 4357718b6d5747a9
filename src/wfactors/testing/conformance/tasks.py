"""Activity tasks: claimed by one node, reported once, handed out again when that node is gone."""

# ruff: noqa: PLR2004, SIM300 - tests: numbers are the point, and what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from wfactors.errors import LeaseLost
from wfactors.model.failures import Failure
from wfactors.model.messages import ActivityOutcome, Message
from wfactors.model.options import ActivityOptions, Retry
from wfactors.model.status import OnCancel
from wfactors.stores.base import HeartbeatAnswer, TaskReport
from wfactors.testing.conformance.builders import (
    MAIL,
    NOW,
    SHOP,
    SHOP_TOO,
    Owner,
    header,
    key,
    node,
    outcome,
    payload,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.model.records import TaskRow
    from wfactors.stores.base import Store
    from wfactors.testing.conformance.builders import ManualClock

__all__ = ["CancelConformance", "ClaimConformance", "ReportConformance"]

CHARGE = {"shop": ["charge"]}
FAILURE = Failure("shop.CardDeclined", "no funds", "Traceback ...")


async def claimed_task(store: Store, name: str = "node-2", **changes: Any) -> tuple[Owner, TaskRow]:
    """The owner of the partition, and a task of it that another node has claimed."""
    owner = await Owner.take(store)
    await store.join(node(name), 10.0)
    await owner.commit(tasks=[task(**changes)])
    [row] = await store.claim(name, CHARGE, NOW, 1)
    return owner, row


def cancelled(row: TaskRow) -> Message:
    """What the inbox gets when a task was removed because nobody wants it."""
    key = row.key
    body = ActivityOutcome(key.run, key.call, row.attempt, is_cancelled=True)
    return Message(f"{key.instance}/{key.run}/{key.call}/cancelled", row.partition, key.instance, body)


async def inbox(store: Store, partition: str = SHOP) -> list[Message]:
    """All messages of a partition."""
    return [item.message for item in await store.inbox(partition, 0, 1000)]


class ClaimConformance(Suite):
    """Who gets which tasks."""

    async def test_claimed_task_is_held(self, opened: Store) -> None:
        """A claimed task comes as it is then: held by the node; and it is listed so."""
        _, row = await claimed_task(opened)
        assert task(node="node-2") == row
        assert [row] == await opened.held_tasks(SHOP)
        assert [row] == await opened.tasks("i1", 1)

    async def test_only_nodes_that_are_alive_claim(self, opened: Store, clock: ManualClock) -> None:
        """One that is gone, or whose lease is over, is told so, and gets nothing; nor does one that never joined."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header()], tasks=[task()])
        await opened.join(node("node-2"), 5)
        await opened.join(node("node-3"), 1000)
        await opened.leave("node-3")
        clock.advance(5)
        for name in ("node-2", "node-3", "nobody"):
            with pytest.raises(LeaseLost):
                await opened.claim(name, CHARGE, NOW, 10)
        assert [] == await opened.held_tasks(SHOP)

    async def test_claimed_once(self, opened: Store) -> None:
        """What one node holds no other gets, nor the same one again."""
        await claimed_task(opened)
        assert [] == await opened.claim("node-1", CHARGE, NOW, 10)
        assert [] == await opened.claim("node-2", CHARGE, NOW, 10)

    async def test_every_field_comes_back(self, opened: Store) -> None:
        """All that a task can hold is as it was written."""
        row = task(
            input=payload('[{"cents":5},null]'),
            options=ActivityOptions(
                Retry(attempts=None, first=0.25, backoff=1.5, maximum=9, jitter=0.5, never=("shop.CardDeclined",)),
                start_to_close=30.5,
                schedule_to_close=600.0,
                heartbeat=5.0,
                on_cancel=OnCancel.ABANDON,
            ),
            attempt=3,
            schedule_deadline=NOW + 600.25,
            details=payload('"half"'),
            failure=attrs.evolve(FAILURE, cause=Failure("KeyError", "'x'"), is_permanent=True),
            context={"traceparent": "00-1-2-01"},
        )
        owner = await Owner.take(opened)
        await owner.commit(tasks=[row])
        assert [row] == await opened.tasks("i1", 1)
        assert [attrs.evolve(row, node="node-1")] == await opened.claim("node-1", CHARGE, NOW, 1)

    async def test_oldest_first(self, opened: Store) -> None:
        """Tasks come by the time from which they may run, then by key, over all queues and names together."""
        owner = await Owner.take(opened)
        rows = [
            task("i1", 0, available_at=NOW - 1),
            task("i1", 1, available_at=NOW - 3, activity="ship"),
            task("i2", 0, available_at=NOW - 2, partition=MAIL),
            task("i3", 1, available_at=NOW - 1),
            task("i3", 0, available_at=NOW - 1, partition=SHOP_TOO),
        ]
        await owner.commit(tasks=rows)
        claimed = await opened.claim("node-1", {"mail": ["charge"], "shop": ["charge", "ship"]}, NOW, 10)
        assert [key("i1", 1), key("i2"), key("i1"), key("i3"), key("i3", 1)] == [row.key for row in claimed]

    async def test_limit(self, opened: Store) -> None:
        """At most as many come as were asked for; the rest stays for the next claim."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task(call=number) for number in range(5)])
        pages = [await opened.claim("node-1", CHARGE, NOW, 2) for _ in range(4)]
        assert [[0, 1], [2, 3], [4], []] == [[row.key.call for row in page] for page in pages]
        assert [] == await opened.claim("node-1", CHARGE, NOW, 0)

    async def test_only_what_is_asked_for(self, opened: Store) -> None:
        """A node gets activities it named, of the queue under which it named them."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task("i1"), task("i2", activity="ship"), task("i3", partition=MAIL)])
        assert [] == await opened.claim("node-1", {}, NOW, 10)
        assert [] == await opened.claim("node-1", {"shop": [], "mail": ["ship"], "none": ["charge"]}, NOW, 10)
        assert ["i2"] == [row.key.instance for row in await opened.claim("node-1", {"shop": ["ship"]}, NOW, 10)]
        assert ["i3"] == [row.key.instance for row in await opened.claim("node-1", {"mail": ["charge"]}, NOW, 10)]

    async def test_not_before_its_time(self, opened: Store) -> None:
        """A task is due from its time on, by the time that the caller gives."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task(available_at=NOW + 5)])
        assert [] == await opened.claim("node-1", CHARGE, NOW + 4.999, 10)
        assert 1 == len(await opened.claim("node-1", CHARGE, NOW + 5, 10))

    async def test_next_task_at(self, opened: Store) -> None:
        """The next time to claim is that of the earliest free task of those asked for."""
        owner = await Owner.take(opened)
        assert None is await opened.next_task_at(CHARGE)
        await owner.commit(
            tasks=[
                task("i1", available_at=NOW + 5),
                task("i2", available_at=NOW + 3),
                task("i3", available_at=NOW + 1, activity="ship"),
                task("i4", available_at=NOW, node="node-1"),
            ]
        )
        assert NOW + 3 == await opened.next_task_at(CHARGE)
        assert NOW + 1 == await opened.next_task_at({"shop": ["charge", "ship"], "mail": ["charge"]})
        assert None is await opened.next_task_at({"mail": ["charge"]})
        assert None is await opened.next_task_at({})
        await opened.claim("node-1", CHARGE, NOW + 4, 10)
        assert NOW + 5 == await opened.next_task_at(CHARGE)

    async def test_task_committed_as_held(self, opened: Store) -> None:
        """An owner that runs a task itself commits it as held; nobody else can claim it."""
        owner = await Owner.take(opened)
        await opened.join(node("node-2"), 10.0)
        await owner.commit(tasks=[task(node="node-1"), task("i2")])
        assert ["i2"] == [row.key.instance for row in await opened.claim("node-2", CHARGE, NOW, 10)]
        assert ["i1", "i2"] == [row.key.instance for row in await opened.held_tasks(SHOP)]

    async def test_owner_frees_its_task_for_a_retry(self, opened: Store) -> None:
        """A held task that is written as free again, with the next attempt, can be claimed."""
        owner = await Owner.take(opened)
        await opened.join(node("node-2"), 10.0)
        await owner.commit(tasks=[task(node="node-1")])
        again = task(attempt=2, available_at=NOW + 1, failure=FAILURE)
        await owner.commit(tasks=[again])
        assert [] == await opened.held_tasks(SHOP)
        assert [attrs.evolve(again, node="node-2")] == await opened.claim("node-2", CHARGE, NOW + 1, 10)

    async def test_held_tasks_of_the_partition(self, opened: Store) -> None:
        """Held tasks are listed by key, those of other partitions are not."""
        shop = await Owner.take(opened)
        rows = [task("i2", 1), task("i2", 0), task("i1", 10), task("i1", 9)]
        await shop.commit(tasks=[attrs.evolve(row, node="node-1") for row in rows])
        await shop.commit(tasks=[task("i3", partition=SHOP_TOO, node="node-1"), task("i4")])
        assert [key("i1", 9), key("i1", 10), key("i2"), key("i2", 1)] == [
            row.key for row in await opened.held_tasks(SHOP)
        ]
        assert [] == await opened.held_tasks("9:nowhere")

    async def test_tasks_of_a_run(self, opened: Store) -> None:
        """The tasks of a run are listed by call; those of other runs and instances are not."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task("i1", 10), task("i1", 9), task("i1", 1, run=2), task("i2")])
        assert [9, 10] == [row.key.call for row in await opened.tasks("i1", 1)]
        assert [] == await opened.tasks("i3", 1)

    async def test_each_task_goes_to_one_node(self, opened: Store) -> None:
        """Many nodes that claim at once share the tasks out; none goes to two of them."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task(call=number) for number in range(100)])
        claimed: list[tuple[int, str | None]] = []

        async def work(name: str) -> None:
            await opened.join(node(name), 10.0)
            while len(claimed) <= 100 and (rows := await opened.claim(name, CHARGE, NOW, 3)):
                claimed.extend((row.key.call, row.node) for row in rows)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(work, f"node-{number}")
        assert list(range(100)) == sorted(call for call, _ in claimed)
        assert sorted(claimed) == [(row.key.call, row.node) for row in await opened.held_tasks(SHOP)]


class ReportConformance(Suite):
    """How attempts end, and what a node that runs one hears."""

    async def test_outcome_removes_the_task(self, opened: Store) -> None:
        """The outcome of a task is in its partition's inbox, and the task is gone, at once."""
        _, row = await claimed_task(opened)
        assert [True] == await opened.report([TaskReport(row.key, "node-2", 1, outcome(row))])
        assert [] == await opened.tasks("i1", 1)
        assert [] == await opened.held_tasks(SHOP)
        assert [outcome(row)] == await inbox(opened)

    async def test_report_twice_applies_once(self, opened: Store) -> None:
        """A report that is sent again finds the task no longer held, and adds nothing."""
        _, row = await claimed_task(opened)
        report = TaskReport(row.key, "node-2", 1, outcome(row))
        assert [True, False] == await opened.report([report, report])
        assert [False] == await opened.report([report])
        assert [outcome(row)] == await inbox(opened)

    @pytest.mark.parametrize(("name", "attempt"), [("node-1", 1), ("node-2", 0), ("node-2", 2)])
    async def test_only_by_who_holds_it(self, opened: Store, name: str, attempt: int) -> None:
        """A report by another node, or of another attempt, changes nothing."""
        _, row = await claimed_task(opened)
        assert [False] == await opened.report([TaskReport(row.key, name, attempt, outcome(row))])
        assert [False] == await opened.report([TaskReport(row.key, name, attempt, retry_at=NOW)])
        assert [row] == await opened.held_tasks(SHOP)
        assert [] == await inbox(opened)

    async def test_free_task_takes_no_report(self, opened: Store) -> None:
        """A task that nobody holds, or that is not there, is not reported by anybody."""
        owner = await Owner.take(opened)
        await owner.commit(tasks=[task()])
        reports = [TaskReport(key(), "node-1", 1, outcome(task())), TaskReport(key("i9"), "node-1", 1, outcome(task()))]
        assert [False, False] == await opened.report(reports)
        assert [task()] == await opened.tasks("i1", 1)
        assert [] == await inbox(opened)

    async def test_report_without_outcome(self, opened: Store) -> None:
        """A task whose call nobody waits for is removed without a message."""
        _, row = await claimed_task(opened)
        assert [True] == await opened.report([TaskReport(row.key, "node-2", 1)])
        assert [] == await opened.tasks("i1", 1)
        assert [] == await inbox(opened)

    async def test_retry_frees_the_task(self, opened: Store) -> None:
        """A task to be retried is free with the next attempt, from the time on that the report says."""
        _, row = await claimed_task(opened)
        report = TaskReport(
            row.key, "node-2", 1, retry_at=NOW + 5, failure=FAILURE, details=payload('"half"'), outcome=outcome(row)
        )
        assert [True] == await opened.report([report])
        expected = task(attempt=2, available_at=NOW + 5, failure=FAILURE, details=payload('"half"'))
        assert [expected] == await opened.tasks("i1", 1)
        assert [] == await opened.held_tasks(SHOP)
        assert [] == await inbox(opened)
        assert [] == await opened.claim("node-2", CHARGE, NOW + 4, 1)
        assert [attrs.evolve(expected, node="node-1")] == await opened.claim("node-1", CHARGE, NOW + 5, 1)

    async def test_retry_keeps_details(self, opened: Store) -> None:
        """What the last heartbeat said stays for the next attempt, unless the report says something newer."""
        _, row = await claimed_task(opened)
        await opened.heartbeat("node-2", [(row.key, 1, payload('"half"'))])
        await opened.report([TaskReport(row.key, "node-2", 1, retry_at=NOW)])
        assert [task(attempt=2, details=payload('"half"'))] == await opened.tasks("i1", 1)

    async def test_old_attempt_is_refused_after_a_retry(self, opened: Store) -> None:
        """Once the next attempt runs, also on the same node, reports of the one before are refused."""
        _, row = await claimed_task(opened)
        await opened.report([TaskReport(row.key, "node-2", 1, retry_at=NOW)])
        [again] = await opened.claim("node-2", CHARGE, NOW, 1)
        assert [False] == await opened.report([TaskReport(row.key, "node-2", 1, outcome(row))])
        assert [True] == await opened.report([TaskReport(row.key, "node-2", 2, outcome(again))])
        assert [outcome(again)] == await inbox(opened)

    async def test_many_reports_in_one_call(self, opened: Store) -> None:
        """Each report of a call is judged by itself, in order."""
        owner = await Owner.take(opened)
        rows = [task(call=number, node="node-2" if number % 2 else "node-1") for number in range(6)]
        await owner.commit(tasks=rows)
        reports = [TaskReport(row.key, "node-2", 1, outcome(row, f"o{row.key.call}")) for row in rows]
        assert [False, True] * 3 == await opened.report(reports)
        assert ["o1", "o3", "o5"] == [message.id for message in await inbox(opened)]
        assert [0, 2, 4] == [row.key.call for row in await opened.tasks("i1", 1)]

    async def test_task_removed_by_its_owner(self, opened: Store) -> None:
        """A node that runs a task which the owner removed hears that it is not wanted, and its report is refused."""
        owner, row = await claimed_task(opened)
        await owner.commit(tasks_removed=[row.key])
        assert [HeartbeatAnswer(False, False)] == await opened.heartbeat("node-2", [(row.key, 1, None)])
        assert [False] == await opened.report([TaskReport(row.key, "node-2", 1, outcome(row))])
        assert [] == await inbox(opened)

    async def test_orphans_are_handed_out_again(self, opened: Store, clock: ManualClock) -> None:
        """The owner frees the tasks of a dead node by a report in its name; the dead node's own is refused then."""
        _, row = await claimed_task(opened)
        clock.advance(5)
        await opened.renew("node-1", 10.0)
        clock.advance(5)
        dead = {each.node for each in await opened.nodes() if not each.is_alive}
        assert {"node-2"} == dead
        assert [row] == [each for each in await opened.held_tasks(SHOP) if each.node in dead]
        assert [True] == await opened.report([TaskReport(row.key, "node-2", 1, retry_at=NOW + 10)])
        await opened.bury("node-2")
        assert [task(attempt=2, available_at=NOW + 10, node="node-1")] == await opened.claim(
            "node-1", CHARGE, NOW + 10, 1
        )
        assert [False] == await opened.report([TaskReport(row.key, "node-2", 1, outcome(row))])

    async def test_heartbeat_keeps_details(self, opened: Store) -> None:
        """What an attempt says is kept, a beat without news leaves it."""
        _, row = await claimed_task(opened)
        assert [HeartbeatAnswer(True, False)] == await opened.heartbeat("node-2", [(row.key, 1, payload('"10 %"'))])
        assert [HeartbeatAnswer(True, False)] == await opened.heartbeat("node-2", [(row.key, 1, None)])
        assert [attrs.evolve(row, details=payload('"10 %"'))] == await opened.held_tasks(SHOP)

    async def test_heartbeat_of_what_is_not_held(self, opened: Store) -> None:
        """Each beat is answered in order; one of another node or attempt keeps nothing and is not wanted."""
        owner, row = await claimed_task(opened)
        await owner.commit(tasks=[task("i2")])
        beats = [(row.key, 2, payload("2")), (row.key, 1, None), (key("i2"), 1, payload("2")), (key("i3"), 1, None)]
        lost = HeartbeatAnswer(False, False)
        assert [lost, HeartbeatAnswer(True, False), lost, lost] == await opened.heartbeat("node-2", beats)
        assert [lost] == await opened.heartbeat("node-1", [(row.key, 1, payload("2"))])
        assert [row] == await opened.held_tasks(SHOP)
        assert [task("i2")] == await opened.tasks("i2", 1)

    async def test_cancelled_report_is_whole_or_absent(self, opened: Store) -> None:
        """A report cancelled at any checkpoint removed the task and told its outcome, or neither."""
        _, row = await claimed_task(opened)
        report = TaskReport(row.key, "node-2", 1, outcome(row))
        with trio.CancelScope() as scope:
            scope.cancel()
            await opened.report([report])
        assert 1 == len(await inbox(opened)) + len(await opened.tasks("i1", 1))
        await opened.report([report])
        assert [outcome(row)] == await inbox(opened)


class CancelConformance(Suite):
    """Tasks that nobody wants any more."""

    async def test_held_task_is_asked_to_stop(self, opened: Store) -> None:
        """A task that a node holds stays, marked; the node hears of it with its next beat."""
        owner, row = await claimed_task(opened)
        await owner.commit(tasks_cancelled=[row.key])
        assert [attrs.evolve(row, is_cancel_requested=True)] == await opened.held_tasks(SHOP)
        assert [HeartbeatAnswer(True, True)] == await opened.heartbeat("node-2", [(row.key, 1, None)])
        assert [] == await inbox(opened)
        assert [True] == await opened.report([TaskReport(row.key, "node-2", 1, outcome(row))])
        assert [outcome(row)] == await inbox(opened)

    async def test_free_task_is_removed(self, opened: Store) -> None:
        """A task that nobody holds is removed, and its call hears that it was cancelled, of the attempt to come."""
        owner = await Owner.take(opened)
        row = task(attempt=4, available_at=NOW + 100)
        await owner.commit(tasks=[row])
        await owner.commit(tasks_cancelled=[row.key])
        assert [] == await opened.tasks("i1", 1)
        assert [cancelled(row)] == await inbox(opened)
        assert [] == await opened.claim("node-1", CHARGE, NOW + 100, 1)

    async def test_withdrawn_in_their_order(self, opened: Store) -> None:
        """Outcomes of tasks that a batch withdraws are in the inbox in the order in which it names them."""
        owner = await Owner.take(opened)
        rows = [task(name, call) for name, call in (("i2", 0), ("i1", 5), ("i3", 1), ("i1", 2))]
        await owner.commit(tasks=sorted(rows, key=lambda row: row.key))
        await owner.commit(tasks_cancelled=[row.key for row in rows])
        assert [cancelled(row) for row in rows] == await inbox(opened)

    async def test_cancelled_twice(self, opened: Store) -> None:
        """Cancelling again what was cancelled or is gone changes nothing."""
        owner, row = await claimed_task(opened)
        await owner.commit(tasks=[task("i2")])
        await owner.commit(tasks_cancelled=[row.key, key("i2")])
        before = await opened.dump()
        await owner.commit(tasks_cancelled=[row.key, key("i2"), key("i3")])
        after = await opened.dump()
        assert {**before, "partitions": after["partitions"]} == after
        assert [cancelled(task("i2"))] == await inbox(opened)

    async def test_asked_to_stop_is_not_tried_again(self, opened: Store) -> None:
        """A task that was asked to stop and failed instead is removed, and its call hears that it was cancelled."""
        owner, row = await claimed_task(opened)
        await owner.commit(tasks_cancelled=[row.key])
        assert [True] == await opened.report([TaskReport(row.key, "node-2", 1, retry_at=NOW, failure=FAILURE)])
        assert [] == await opened.tasks("i1", 1)
        assert [cancelled(row)] == await inbox(opened)
