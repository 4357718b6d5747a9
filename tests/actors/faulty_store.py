"""A memory store with knobs: what a store on a network may do to an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import trio

import wfactors as wf
from wfactors.errors import StoreUnavailable


class FaultyStore(wf.MemoryStore):
    """Answers late, not at all, or after the fact.

    Attributes:
        failing: Operations that raise StoreUnavailable.
        late_seconds: By operation: how long its answer, as of now, takes to arrive.
        steal_after_commit: The answer to the next commit is lost, and then the partition is another's.
        calls: How often each operation was asked for.
        messages_read: How many messages the readings of inboxes have brought.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.failing: set[str] = set()
        self.late_seconds: dict[str, float] = {}
        self.steal_after_commit = False
        self.calls: Counter[str] = Counter()
        self.messages_read = 0
        self._stealing = False

    async def _ask(self, name: str, *args: Any, **options: Any) -> Any:
        self.calls[name] += 1
        if name in self.failing:
            raise StoreUnavailable(f"{name}: down")
        answer = await getattr(wf.MemoryStore, name)(self, *args, **options)
        await trio.sleep(self.late_seconds.get(name, 0))
        return answer

    async def commit(self, batch: Any) -> None:
        if self._stealing:
            self._stealing = False
            row = self._state.partitions[batch.partition]
            self._state.partitions[batch.partition] = attrs.evolve(row, epoch=row.epoch + 1)
        await self._ask("commit", batch)
        if self.steal_after_commit:
            self.steal_after_commit, self._stealing = False, True
            raise StoreUnavailable("the answer was lost")

    async def inbox(self, *args: Any, **options: Any) -> Any:
        rows = await self._ask("inbox", *args, **options)
        self.messages_read += len(rows)
        return rows

    async def wakes(self, *args: Any) -> Any:
        return await self._ask("wakes", *args)

    async def nodes(self) -> Any:
        return await self._ask("nodes")

    async def join(self, *args: Any) -> Any:
        return await self._ask("join", *args)

    async def renew(self, *args: Any) -> Any:
        return await self._ask("renew", *args)

    async def acquire(self, *args: Any) -> Any:
        return await self._ask("acquire", *args)
