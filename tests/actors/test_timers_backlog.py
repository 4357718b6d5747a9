"""Very many timers that are overdue when an engine opens."""

from __future__ import annotations

import trio

import wfactors as wf
from wfactors.convert import DataPort
from wfactors.model.records import Wake

OVERDUE = 2_000


class CountingStore(wf.MemoryStore):
    """Counts how often it is asked for wake-ups."""

    asked = 0

    async def wakes(self, partition: str, until: float, limit: int) -> list[Wake]:
        self.asked += 1
        return await super().wakes(partition, until, limit)


@wf.workflow
async def late() -> None:
    await wf.sleep(1)


async def test_overdue_timers_are_read_a_window_at_a_time(autojump_clock) -> None:
    """Not once for each that fires: what is on its way is not read again and again."""
    clock = wf.TrioClock()
    store = CountingStore(clock.now)
    client = wf.Client(store, DataPort(), now=clock.now)
    handles = [await client.start(late, delay=1) for _ in range(OVERDUE)]
    await trio.sleep(10)
    async with wf.open_engine(store, register=[late], clock=clock):
        for handle in handles:
            await handle.result()
    assert store.asked < 100
