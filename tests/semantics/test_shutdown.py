"""Shutdown in order, and what the next engine finds."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf


class Work:
    """An activity that takes its time, and says how it ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    @wf.activity
    async def run(self, seconds: float) -> int:
        attempt = wf.activity_info().attempt
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.ended.append(f"attempt {attempt} stopped")
            raise
        self.ended.append(f"attempt {attempt} done")
        return attempt


@wf.workflow
async def works(seconds: list[float]) -> list[int]:
    return [await wf.activities(Work).run(wait) for wait in seconds]


@wf.workflow
async def listens() -> list[int]:
    numbers = wf.signals("number", int)
    return [await numbers.receive() for _ in range(3)]


async def test_running_activities_get_the_grace_period(backend, autojump_clock) -> None:
    """One that ends within it has ended for good; the call after it is begun by the next engine."""
    work = Work()
    start = trio.current_time()
    async with backend.engine(works, work, grace=30) as engine:
        await engine.start(works, [20, 5], id="w")
        await trio.sleep(1)
    assert 20 <= trio.current_time() - start < 21
    assert ["attempt 1 done"] == work.ended
    async with backend.engine(works, work) as engine:
        assert [1, 1] == await (await engine.get("w")).result()


async def test_after_the_grace_period_they_are_cancelled(backend, autojump_clock) -> None:
    """And handed out again: the next attempt is the second."""
    work = Work()
    start = trio.current_time()
    async with backend.engine(works, work, grace=10) as engine:
        await engine.start(works, [100], id="w")
        await trio.sleep(1)
    assert 11 <= trio.current_time() - start < 12
    assert ["attempt 1 stopped"] == work.ended
    async with backend.engine(works, work) as engine:
        assert [2] == await (await engine.get("w")).result()


async def test_cancelling_the_scope_of_an_engine_shuts_it_down_in_order(backend, autojump_clock) -> None:
    """Like leaving the block: grace first, and Trio's Cancelled goes on."""
    work = Work()
    with trio.move_on_after(1) as scope:
        async with backend.engine(works, work, grace=30) as engine:
            await engine.start(works, [20], id="w")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert ["attempt 1 done"] == work.ended
    async with backend.engine(works, work) as engine:
        assert [1] == await (await engine.get("w")).result()


async def test_an_engine_cancelled_while_it_opens_ends(backend, autojump_clock) -> None:
    """At whichever step of its opening; nothing of it is left in the store, and the next one opens."""
    with trio.fail_after(3600):
        has_opened = False
        for steps in range(10_000):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_after, steps, scope)
                    async with backend.engine(listens):
                        has_opened = True
                    nursery.cancel_scope.cancel()
            if has_opened:
                break
        assert has_opened
        assert steps > 3
        async with backend.engine(listens) as engine:
            assert 1 == len(await engine.nodes())


async def _cancel_after(steps: int, scope: trio.CancelScope) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_an_exception_in_the_block_shuts_down_in_order_and_comes_out_as_it_was(backend, autojump_clock) -> None:
    """Not wrapped in a group of the engine's own nurseries."""
    work = Work()

    async def block() -> None:
        async with backend.engine(works, work) as engine:
            await engine.start(works, [20], id="w")
            await trio.sleep(1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await block()
    assert ["attempt 1 done"] == work.ended


async def fails() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("count", [1, 2])
async def test_a_group_that_the_block_raises_comes_out_as_it_was(backend, autojump_clock, count) -> None:
    """That of a nursery in the block, for one: whoever splits it finds it as deep as it was."""
    raised: list[BaseException] = []

    async def block() -> None:
        async with backend.engine(listens):
            try:
                async with trio.open_nursery() as nursery:
                    for _ in range(count):
                        nursery.start_soon(fails)
            except BaseException as error:
                raised.append(error)
                raise

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert raised == [caught.value]
    assert count == len(caught.value.exceptions)


async def test_no_grace_stops_at_once(backend, autojump_clock) -> None:
    """``grace=0``."""
    work = Work()
    start = trio.current_time()
    async with backend.engine(works, work, grace=0) as engine:
        await engine.start(works, [20], id="w")
        await trio.sleep(1)
    assert 1 <= trio.current_time() - start < 2


@pytest.mark.parametrize("rounds", [1, 5])
async def test_everything_acknowledged_is_there_after_any_number_of_restarts(backend, autojump_clock, rounds) -> None:
    """Signals, starts and results; nothing is applied twice."""
    for number in range(rounds):
        async with backend.engine(listens, limits=wf.Limits(resident_instances=1)) as engine:
            for id in ("a", "b"):
                await engine.start(listens, id=f"{id}{number}")
                await (await engine.get(f"{id}{number}")).signal("number", 1)
    async with backend.engine(listens) as engine:
        for number in range(rounds):
            for id in ("a", "b"):
                handle = await engine.get(f"{id}{number}")
                await handle.signal("number", 2)
                await handle.signal("number", 3)
                assert [1, 2, 3] == await handle.result()


async def test_waiting_for_a_result_can_be_given_up(backend, autojump_clock) -> None:
    """Only the waiting ends; the workflow goes on."""
    work = Work()
    async with backend.engine(works, work) as engine:
        handle = await engine.start(works, [20])
        with trio.move_on_after(5) as patience:
            await handle.result()
        assert patience.cancelled_caught
        assert [1] == await handle.result()


async def test_a_node_leaves_nothing_of_itself_behind(backend, autojump_clock) -> None:
    """No row of the node, no partition owned, no task held."""
    store = backend.store()
    async with store.open():
        pass
    async with backend.engine(works, Work(), store=store, grace=0) as engine:
        await engine.start(works, [100])
        await trio.sleep(1)
    async with store.open():
        dump = await store.dump()
    assert [] == dump["nodes"]
    assert [None] == [row["node"] for row in dump["partitions"]]
