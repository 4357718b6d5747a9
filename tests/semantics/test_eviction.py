"""What is kept in memory is bounded, and what leaves it is not missed."""

from __future__ import annotations

import trio

import wfactors as wf


@wf.workflow
async def hoards() -> int:
    """Keeps a large history and waits."""
    total = 0

    @wf.query
    def so_far() -> int:
        return total

    async for text in wf.signals("text", str):
        total += len(text)
    return total


@wf.workflow
async def naps(count: int) -> float:
    start = wf.current_time()
    for _ in range(count):
        await wf.sleep(1)
    return wf.current_time() - start


@wf.workflow
async def at_once() -> int:
    @wf.query
    def answer() -> int:
        return 42

    return 42


def figures(engine: wf.Engine) -> tuple[int, int]:
    """How many instances are in memory, and how many have left it."""
    (partition,) = engine.statistics().partitions
    return partition.resident, partition.evictions


async def test_histories_in_memory_are_bounded_by_their_size(backend, autojump_clock) -> None:
    """Ten histories of 10 kB with room for three and a half: the rest is put to sleep and comes back when asked."""
    limits = wf.Limits(resident_history_bytes=35_000)
    async with backend.engine(hoards, limits=limits) as engine:
        handles = [await engine.start(hoards, id=f"h{number}") for number in range(10)]
        for handle in handles:
            await handle.signal("text", "x" * 10_000)
            await trio.sleep(1)
        resident, evictions = figures(engine)
        assert 3 == resident
        assert 7 <= evictions
        assert [10_000] * 10 == [await handle.query("so_far") for handle in handles]
        await handles[0].signal("text", "y")
        await trio.sleep(1)
        assert 4 >= figures(engine)[0]
        assert 10_001 == await handles[0].query("so_far")


async def test_one_history_above_the_limit_stays_while_it_is_in_use(backend, autojump_clock) -> None:
    """The instance used last is not put to sleep for its size: it would be replayed for each signal."""
    limits = wf.Limits(resident_history_bytes=1)
    async with backend.engine(hoards, limits=limits) as engine:
        handle = await engine.start(hoards)
        for _ in range(5):
            await handle.signal("text", "x")
            await trio.sleep(1)
        assert (1, 0) == figures(engine)


async def test_queries_of_closed_instances_do_not_fill_the_memory(backend, autojump_clock) -> None:
    """They are replayed to be asked, and leave again although nothing is written."""
    async with backend.engine(at_once, limits=wf.Limits(resident_instances=2)) as engine:
        handles = [await engine.start(at_once, id=f"a{number}") for number in range(10)]
        for handle in handles:
            await handle.result()
        assert [42] * 10 == [await handle.query("answer") for handle in handles]
        await trio.sleep(1)
        assert 3 >= figures(engine)[0]


async def test_timers_that_have_passed_leave_nothing_behind(backend, autojump_clock) -> None:
    """A workflow that sleeps a hundred times has one entry in the heap at a time."""
    async with backend.engine(naps) as engine:
        handle = await engine.start(naps, 100)
        await trio.sleep(95.5)
        (partition,) = engine.statistics().partitions
        assert 2 >= partition.timers
        turns = partition.turns
        assert 100 == await handle.result()
    assert 2 * 96 + 2 >= turns
