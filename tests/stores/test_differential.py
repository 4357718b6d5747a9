"""All stores give equal replies and hold equal contents after any sequence of operations."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from wfactors.stores.memory import MemoryStore
from wfactors.stores.sqlite import SqliteStore
from wfactors.testing import differential
from wfactors.testing.differential import check_equal, check_until_all_seen, never_seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wfactors.model.messages import Message
    from wfactors.model.records import Append, Batch, NodeRow, TaskRow, Wake
    from wfactors.stores.base import HeartbeatAnswer, Store, TaskReport
    from wfactors.testing.conformance import ManualClock


@contextmanager
def memory_twice(clock: ManualClock) -> Iterator[list[Store]]:
    yield [MemoryStore(clock), MemoryStore(clock)]


@contextmanager
def memory_and_sqlite(clock: ManualClock) -> Iterator[list[Store]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [MemoryStore(clock), SqliteStore(Path(folder) / "store.db", clock=clock, poll_idle_seconds=None)]


def test_operations_reach_everything():
    """The sequences make every outcome that matters happen, else a green comparison would say nothing."""
    assert never_seen(check_until_all_seen(memory_twice, examples=80, steps=60, seed=1)) == []


def test_it_goes_on_until_everything_was_seen(monkeypatch: pytest.MonkeyPatch):
    """A few short sequences do not reach what is rare; round after round of them does, and the counts add up."""
    monkeypatch.setattr(differential, "OUTCOMES", ("take_reply: something", "report: refused"))
    one = check_equal(memory_twice, examples=2, steps=20, seed=1)
    assert never_seen(one) != []
    seen = check_until_all_seen(memory_twice, examples=2, steps=20, seed=1, rounds_max=200)
    assert never_seen(seen) == []
    assert seen.total() > one.total()


def test_what_was_never_seen_makes_it_inconclusive():
    """Equal all the same: nothing has been proved."""
    with pytest.raises(AssertionError, match=r"inconclusive: in 2 rounds of 1 sequences never seen: \['join"):
        check_until_all_seen(memory_twice, examples=1, rounds_max=2, steps=2, seed=1)


def test_a_difference_is_told_by_its_fields():
    """The message has the differing fields alone, a line each, and the least steps that lead there."""

    @contextmanager
    def stores(clock: ManualClock) -> Iterator[list[Store]]:
        yield [MemoryStore(clock), ForgetsDetails(clock)]

    with pytest.raises(AssertionError) as caught:
        check_equal(stores, examples=200, steps=12, seed=1, is_shrinking=True)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the contents after heartbeat of memory:// is not that of memory://:"
    assert re.fullmatch(r"  tasks\[\d+\] \(partition .*\)\.details.* is .*, not .*", lines[1])
    assert lines[2] == "after these steps:"
    words = [line.split()[1] for line in lines[3:]]
    assert (words[-1], len(words)) in {("heartbeat", 2), ("heartbeat", 3)}


def test_sqlite_equals_memory():
    """SQLite answers and holds what memory does."""
    seen = check_equal(memory_and_sqlite, examples=8, steps=40)
    assert seen["commit: written"] > 0


# --- The comparison finds planted bugs -------------------------------------------------------------------------------


class WithoutFence(MemoryStore):
    async def commit(self, batch: Batch) -> None:
        row = self._state.partitions[batch.partition]
        await super().commit(attrs.evolve(batch, epoch=row.epoch))


class CommitsTwice(MemoryStore):
    async def commit(self, batch: Batch) -> None:
        row = self._state.partitions[batch.partition]
        is_same = row.node is not None and (row.epoch, row.sequence) == (batch.epoch, batch.sequence)
        again = attrs.evolve(batch, sequence=batch.sequence + 1, appends=())
        await super().commit(again if is_same else batch)


class DropsSecondMessage(MemoryStore):
    async def send(self, messages: Sequence[Message]) -> list[str | None]:
        answers = await super().send(messages[:1])
        return answers + [None] * (len(messages) - 1)


class ReportsOfAnyAttempt(MemoryStore):
    async def report(self, reports: Sequence[TaskReport]) -> list[bool]:
        tasks = [self._state.tasks.get(report.key) for report in reports]
        return await super().report(
            [
                report if task is None else attrs.evolve(report, attempt=task.attempt)
                for report, task in zip(reports, tasks, strict=True)
            ]
        )


class ClaimsWithoutHolding(MemoryStore):
    async def claim(self, node: str, activities: object, now: float, limit: int) -> list[TaskRow]:
        return [attrs.evolve(row, node=node) for row in self._state.tasks.due(activities, now, limit)]


class LeavesTasksBehind(MemoryStore):
    async def remove(self, instance: str) -> bool:
        row = self._state.headers.latest(instance)
        tasks = [] if row is None else self._state.tasks.of_run((instance, row.run))
        is_removed = await super().remove(instance)
        for task in tasks if is_removed else ():
            self._state.tasks.put(task)
        return is_removed


class ForgetsDetails(MemoryStore):
    async def heartbeat(self, node: str, beats: Any) -> list[HeartbeatAnswer]:
        return await super().heartbeat(node, [(key, attempt, None) for key, attempt, _ in beats])


class WakesTooEarly(MemoryStore):
    async def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        return await super().wakes(partition, until + 0.001, limit)


class ClaimsTooEarly(MemoryStore):
    async def claim(self, node: str, activities: Any, now: float, limit: int) -> list[TaskRow]:
        return await super().claim(node, activities, now + 0.001, limit)


class DiesTooEarly(MemoryStore):
    async def nodes(self) -> list[NodeRow]:
        now = self._clock()
        return [attrs.evolve(row, is_alive=now + 0.001 < row.lease_until) for row in await super().nodes()]


class RepliesTooShort(MemoryStore):
    async def take_reply(self, id: str) -> bytes | None:
        self._state.replies.expire(self._clock() + 0.001)
        return await super().take_reply(id)


class RemovesTooEarly(MemoryStore):
    async def remove_finished(self, before: float, limit: int, **options: Any) -> int:
        return await super().remove_finished(before + 0.001, limit, **options)


class RemovesTooMany(MemoryStore):
    async def remove_finished(self, before: float, limit: int, **options: Any) -> int:
        return await super().remove_finished(before, limit + 1, **options)


class HistoryTooLong(MemoryStore):
    async def history(self, instance: str, run: int, first: int = 0, limit: int | None = None) -> list[Append]:
        return await super().history(instance, run, first, None if limit is None else limit + 1)


PLANTED = [
    WithoutFence,
    CommitsTwice,
    DropsSecondMessage,
    ReportsOfAnyAttempt,
    ClaimsWithoutHolding,
    LeavesTasksBehind,
    WakesTooEarly,
    ClaimsTooEarly,
    DiesTooEarly,
    RepliesTooShort,
    RemovesTooEarly,
    RemovesTooMany,
    HistoryTooLong,
]


@pytest.mark.parametrize("broken", PLANTED)
def test_planted_bug_is_found(broken: type[MemoryStore]):
    """A store with a bug differs from the oracle."""

    @contextmanager
    def stores(clock: ManualClock) -> Iterator[list[Store]]:
        yield [MemoryStore(clock), broken(clock)]

    with pytest.raises(AssertionError, match="the contents after|the reply to"):
        check_equal(stores, examples=300, steps=60, seed=1)
