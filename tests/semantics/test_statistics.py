"""Figures: of queues, engines and nodes."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf


@wf.activity
async def work(seconds: float) -> None:
    await trio.sleep(seconds)


@wf.activity
async def rare() -> None:
    pass


@wf.workflow
async def waits_then_works(seconds: float) -> None:
    await wf.signals("go").receive()
    await work(seconds)


@wf.workflow
async def calls_rare() -> None:
    await rare()


async def figures(engine: wf.Engine) -> list[tuple[str, int, int, int]]:
    """Queue, open instances, tasks that wait, tasks that run."""
    return [(q.queue, q.open_instances, q.pending_tasks, q.running_tasks) for q in await engine.queues()]


async def test_queues_before_during_and_after_an_activity(backend, autojump_clock) -> None:
    """Open instances and tasks per queue."""
    async with backend.engine(waits_then_works, work) as engine:
        assert [] == await figures(engine)
        handle = await engine.start(waits_then_works, 10)
        assert [("default", 1, 0, 0)] == await figures(engine)
        await handle.signal("go")
        await trio.sleep(5)
        assert [("default", 1, 0, 1)] == await figures(engine)
        await handle.result()
        assert [] == await figures(engine)


async def test_tasks_that_nobody_runs_are_pending(backend, autojump_clock) -> None:
    """With the time since when the oldest waits."""
    async with backend.engine(calls_rare) as engine:
        start = backend.clock.now()
        for _ in range(3):
            await engine.start(calls_rare)
        await trio.sleep(100)
        assert [("default", 3, 3, 0)] == await figures(engine)
        (queue,) = await engine.queues()
        assert start == pytest.approx(queue.oldest_task_at, abs=1)


async def test_an_engine_counts_what_it_does(backend, autojump_clock) -> None:
    """Frozen figures of this moment."""
    async with backend.engine(waits_then_works, work, limits=wf.Limits(activities=7)) as engine:
        before = engine.statistics()
        handle = await engine.start(waits_then_works, 10)
        await handle.signal("go")
        await trio.sleep(5)
        during = engine.statistics()
        await handle.result()
        after = engine.statistics()
        assert engine.name == after.node
        assert [(7, 0), (7, 1), (7, 0)] == [
            (s.activities.places, s.activities.running) for s in (before, during, after)
        ]
        assert [0, 0, 1] == [s.activities.returned for s in (before, during, after)]
        (old,), (new,) = before.partitions, after.partitions
        assert 0 == old.journal.commits
        # The start and the signal may have come into one batch.
        assert new.journal.commits >= 2
        assert 5 == new.journal.events
        assert after.degraded_because is None


async def test_counts_by_status_and_workflow(backend, autojump_clock) -> None:
    """Parked ones are open, and counted apart."""
    async with backend.engine(waits_then_works, work) as engine:
        handles = [await engine.start(waits_then_works, 0) for _ in range(3)]
        await engine.start("unknown")
        await handles[0].signal("go")
        await handles[0].result()
        await handles[1].cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handles[1].result()
        await trio.sleep(1)
        assert 4 == await engine.count()
        assert 2 == await engine.count(status="open")
        assert 2 == await engine.count(status=["completed", "cancelled"])
        assert 3 == await engine.count(workflow=waits_then_works)
        assert (1, 3) == (await engine.count(parked=True), await engine.count(parked=False))
        assert 0 == await engine.count(queue="other")
