"""The suite for stores finds planted bugs: each by the test that stands for the sentence which the store breaks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from wfactors.model.records import InstanceFilter
from wfactors.model.status import Status
from wfactors.stores.memory import MemoryStore
from wfactors.testing.conformance import ManualClock, StoreConformance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wfactors.model.messages import Message
    from wfactors.model.records import Append, Batch, CreateOutcome, HeaderRow, InboxItem, Lease, NodeRow, TaskRow, Wake
    from wfactors.stores.base import HeartbeatAnswer

# --- Cluster ---------------------------------------------------------------------------------------------------------


class LeasesTooLong(MemoryStore):
    async def join(self, node: NodeRow, lease_seconds: float) -> NodeRow:
        return await super().join(node, lease_seconds + 0.001)


class DiesTooEarly(MemoryStore):
    async def nodes(self) -> list[NodeRow]:
        now = self._clock()
        return [attrs.evolve(row, is_alive=now + 0.001 < row.lease_until) for row in await super().nodes()]


class RenewsTheDead(MemoryStore):
    async def renew(self, node: str, lease_seconds: float) -> float:
        if (row := self._state.nodes.get(node)) is not None:
            self._state.nodes[node] = attrs.evolve(row, lease_until=self._clock() + 1)
        return await super().renew(node, lease_seconds)


class BuriesTheLiving(MemoryStore):
    async def bury(self, node: str) -> None:
        await super().leave(node)


class BuriesTooEarly(MemoryStore):
    async def bury(self, node: str) -> None:
        row = self._state.nodes.get(node)
        if row is not None and row.lease_until <= self._clock() + 0.001:
            await super().leave(node)


class LeavesWithoutReleasing(MemoryStore):
    async def leave(self, node: str) -> None:
        self._state.nodes.pop(node, None)


class AcquiresFromTheLiving(MemoryStore):
    async def acquire(self, partition: str, node: str) -> Lease | None:
        row = self._state.partitions.get(partition)
        if row is not None and row.node not in (None, node):
            await super().release(partition, row.node, row.epoch)
        return await super().acquire(partition, node)


class AcquiresTooEarly(MemoryStore):
    async def acquire(self, partition: str, node: str) -> Lease | None:
        row = self._state.partitions.get(partition)
        owner = None if row is None else self._state.nodes.get(row.node or "")
        if row is not None and owner is not None and owner.lease_until <= self._clock() + 0.001:
            await super().release(partition, owner.node, row.epoch)
        return await super().acquire(partition, node)


class ReleasesAnyEpoch(MemoryStore):
    async def release(self, partition: str, node: str, epoch: int) -> None:
        row = self._state.partitions.get(partition)
        await super().release(partition, node, epoch if row is None else row.epoch)


class WithoutFence(MemoryStore):
    async def commit(self, batch: Batch) -> None:
        row = self._state.partitions.get(batch.partition)
        await super().commit(batch if row is None else attrs.evolve(batch, epoch=row.epoch))


class CommitsAnySequence(MemoryStore):
    async def commit(self, batch: Batch) -> None:
        row = self._state.partitions[batch.partition]
        await super().commit(attrs.evolve(batch, sequence=row.sequence + 1))


# --- Wakes, inboxes, replies -----------------------------------------------------------------------------------------


class WakesTooEarly(MemoryStore):
    async def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        return await super().wakes(partition, until + 0.001, limit)


class InboxById(MemoryStore):
    async def inbox(self, *args: Any, **options: Any) -> list[InboxItem]:
        return sorted(await super().inbox(*args, **options), key=lambda item: item.message.id)


class InboxFromThePosition(MemoryStore):
    async def inbox(self, partition: str, after: int, limit: int, **options: Any) -> list[InboxItem]:
        return await super().inbox(partition, after - 1, limit, **options)


class SendsTwice(MemoryStore):
    _count = 0

    async def send(self, messages: Sequence[Message]) -> list[str | None]:
        self._count += 1
        return await super().send([attrs.evolve(each, id=f"{each.id}-{self._count}") for each in messages])


class SendsInSilence(MemoryStore):
    async def send(self, messages: Sequence[Message]) -> list[str | None]:
        self.changes.publish = lambda *_, **__: None  # type: ignore[method-assign]
        return await super().send(messages)


class ReportsInSilence(MemoryStore):
    async def report(self, reports: Any) -> list[bool]:
        self.changes.publish = lambda *_, **__: None  # type: ignore[method-assign]
        return await super().report(reports)


class KeepsReplies(MemoryStore):
    async def take_reply(self, id: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        reply = self._state.replies.rows.get(id)
        return None if reply is None else reply.data


class RepliesTooShort(MemoryStore):
    async def take_reply(self, id: str) -> bytes | None:
        self._state.replies.expire(self._clock() + 0.001)
        return await super().take_reply(id)


# --- Tasks -----------------------------------------------------------------------------------------------------------


class ClaimsTooEarly(MemoryStore):
    async def claim(self, node: str, activities: Any, now: float, limit: int) -> list[TaskRow]:
        return await super().claim(node, activities, now + 0.001, limit)


class ClaimsTooMany(MemoryStore):
    async def claim(self, node: str, activities: Any, now: float, limit: int) -> list[TaskRow]:
        return await super().claim(node, activities, now, limit + 1)


class ClaimsWithoutHolding(MemoryStore):
    async def claim(self, node: str, activities: Any, now: float, limit: int) -> list[TaskRow]:
        await trio.lowlevel.checkpoint()
        return [attrs.evolve(row, node=node) for row in self._state.tasks.due(activities, now, limit)]


class NextTaskTooLate(MemoryStore):
    async def next_task_at(self, activities: Any) -> float | None:
        found = await super().next_task_at(activities)
        return None if found is None else found + 0.001


class ForgetsDetails(MemoryStore):
    async def heartbeat(self, node: str, beats: Any) -> list[HeartbeatAnswer]:
        return await super().heartbeat(node, [(key, attempt, None) for key, attempt, _ in beats])


# --- Runs ------------------------------------------------------------------------------------------------------------


class AnswersBackwards(MemoryStore):
    async def create(self, requests: Any) -> list[CreateOutcome]:
        return (await super().create(requests))[::-1]


class FindsOnlyOpen(MemoryStore):
    async def find(self, id: str) -> HeaderRow | None:
        row = await super().find(id)
        return row if row is not None and row.status is Status.OPEN else None


class HeaderOfTheLastRun(MemoryStore):
    async def header(self, instance: str, run: int | None = None) -> HeaderRow | None:
        return await super().header(instance)


class CountsEverything(MemoryStore):
    async def count(self, filter: InstanceFilter) -> int:
        return await super().count(InstanceFilter())


class HistoryTooLong(MemoryStore):
    async def history(self, instance: str, run: int, first: int = 0, limit: int | None = None) -> list[Append]:
        return await super().history(instance, run, first, None if limit is None else limit + 1)


class RemovesTooMany(MemoryStore):
    async def remove_finished(self, before: float, limit: int, **options: Any) -> int:
        return await super().remove_finished(before, limit + 1, **options)


class RemovesTheOpen(MemoryStore):
    async def remove(self, instance: str) -> bool:
        row = self._state.headers.latest(instance)
        if row is not None:
            self._state.remove_instance(row)
        return row is not None


PLANTED: list[tuple[type[MemoryStore], str, dict[str, Any]]] = [
    (LeasesTooLong, "test_join_inserts_the_row", {}),
    (DiesTooEarly, "test_lease_ends_at_its_time", {}),
    (RenewsTheDead, "test_renew_of_a_dead_node_is_refused", {}),
    (BuriesTheLiving, "test_the_living_are_not_buried", {}),
    (BuriesTooEarly, "test_the_living_are_not_buried", {}),
    (LeavesWithoutReleasing, "test_leave_removes_the_node_and_releases", {}),
    (AcquiresFromTheLiving, "test_owned_partition_is_not_given_away", {}),
    (AcquiresTooEarly, "test_partition_of_a_dead_node_is_taken_over", {}),
    (ReleasesAnyEpoch, "test_release_of_what_is_not_held_does_nothing", {"name": "node-1", "epoch": 0}),
    (WithoutFence, "test_wrong_epoch_is_refused", {"epoch": 1}),
    (CommitsAnySequence, "test_wrong_sequence_is_refused", {"sequence": 5}),
    (WakesTooEarly, "test_up_to_and_with_the_time", {}),
    (InboxById, "test_order_of_arrival", {}),
    (InboxFromThePosition, "test_reading_goes_on_behind_a_position", {}),
    (SendsTwice, "test_sent_twice_is_there_once", {}),
    (SendsInSilence, "test_message_of_a_client", {}),
    (ReportsInSilence, "test_outcome_of_a_task", {}),
    (KeepsReplies, "test_taken_once", {}),
    (RepliesTooShort, "test_expired_is_gone", {}),
    (ClaimsTooEarly, "test_not_before_its_time", {}),
    (ClaimsTooMany, "test_limit", {}),
    (ClaimsWithoutHolding, "test_each_task_goes_to_one_node", {}),
    (NextTaskTooLate, "test_next_task_at", {}),
    (ForgetsDetails, "test_heartbeat_keeps_details", {}),
    (AnswersBackwards, "test_requests_see_those_before_them", {}),
    (FindsOnlyOpen, "test_latest_closed_run", {}),
    (HeaderOfTheLastRun, "test_header_by_key", {}),
    (CountsEverything, "test_few_open_among_many", {}),
    (
        HistoryTooLong,
        "test_from_the_row_that_holds_an_event",
        {"first": 0, "limit": 2, "expected": [0, 1]},
    ),
    (RemovesTooMany, "test_limit_counts_instances", {}),
    (RemovesTheOpen, "test_open_instance_is_refused", {"parked": None}),
]


async def hold(store: MemoryStore, clock: ManualClock, name: str, parameters: dict[str, Any]) -> None:
    """Run one test of the suite on a store, as pytest does, but without collecting the others."""
    test = getattr(StoreConformance(), name)
    given = {"opened": store, "clock": clock, **parameters}
    async with store.open():
        await test(**{name: given[name] for name in inspect.signature(test).parameters})


@pytest.mark.parametrize(("broken", "name", "parameters"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
async def test_planted_bug_is_found(broken: type[MemoryStore], name: str, parameters: dict[str, Any]):
    """The store with the bug fails the test, by what the test asserts; the store without it passes."""
    clock = ManualClock()
    await hold(MemoryStore(clock), clock, name, parameters)
    clock = ManualClock()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await hold(broken(clock), clock, name, parameters)


def test_every_planted_bug_is_in_the_table():
    """A bug that is not held against its test would prove nothing."""
    planted = [each for each in MemoryStore.__subclasses__() if each.__module__ == __name__]
    assert sorted(each.__name__ for each in planted) == sorted({broken.__name__ for broken, _, _ in PLANTED})
