"""Activities that nobody runs: they wait in view, their deadlines hold all the same, and they can be withdrawn."""

from __future__ import annotations

import logging

import pytest
import trio

import wfactors as wf


@wf.activity
async def rare(text: str) -> str:
    return text.upper()


@wf.activity(queue="elsewhere")
async def far_away(text: str) -> str:
    return text.upper()


@wf.workflow
async def calls_rare(schedule_to_close: float | None) -> str:
    try:
        return await rare.options(schedule_to_close=schedule_to_close)("x")
    except wf.ActivityTimeout as error:
        return f"{error.deadline} of attempt {error.attempt}: {error.message}"


@wf.workflow
async def calls_far_away(schedule_to_close: float | None) -> str:
    try:
        return await far_away.options(schedule_to_close=schedule_to_close)("x")
    except wf.ActivityTimeout as error:
        return error.deadline


@wf.workflow
async def gives_up_after(seconds: float) -> str:
    with wf.move_on_after(seconds):
        return await rare("x")
    return "gave up"


@wf.workflow
async def calls_many(count: int) -> list[str]:
    async def one(number: int) -> str:
        try:
            return await rare.options(schedule_to_close=10 + number)("x")
        except wf.ActivityTimeout:
            return f"{wf.current_time() - start:g}"

    start = wf.current_time()
    return list(await wf.gather(*(one(number) for number in range(count))))


@wf.workflow
async def sleeps_meanwhile() -> list[str]:
    seen: list[str] = []

    async def call() -> None:
        with pytest.raises(wf.ActivityTimeout):
            await rare.options(schedule_to_close=60)("x")
        seen.append(f"timeout at {wf.current_time() - start:g}")

    start = wf.current_time()
    async with wf.open_nursery() as nursery:
        nursery.start_soon(call)
        for _ in range(4):
            await wf.sleep(20)
            seen.append(f"slept till {wf.current_time() - start:g}")
    return seen


async def test_an_unregistered_activity_waits_for_a_node_that_has_it(backend, autojump_clock) -> None:
    """It waits, in view, and goes on when a node that knows it is there."""
    async with backend.engine(calls_rare) as engine:
        handle = await engine.start(calls_rare, None, id="r")
        await trio.sleep(3600)
        description = await handle.describe()
        assert ["activity rare (attempt 1, not claimed yet)"] == description.waits_for
        assert "open" == description.status
    async with backend.engine(calls_rare, rare) as engine:
        assert "X" == await (await engine.get("r")).result()


async def test_an_activity_that_no_node_has_is_in_the_log(backend, autojump_clock, caplog) -> None:
    """The log names it once, however often it is called."""
    with caplog.at_level(logging.WARNING, logger="wfactors"):
        async with backend.engine(calls_rare) as engine:
            for number in range(3):
                await engine.start(calls_rare, None, id=f"r{number}")
                await trio.sleep(10)
    told = [record.getMessage() for record in caplog.records if "rare" in record.getMessage()]
    assert ["no running engine has activity 'rare' of queue 'default': calls of it wait for one that has"] == told


async def test_schedule_to_close_of_an_activity_that_nobody_claims(backend, autojump_clock) -> None:
    """The call ends at its deadline, and nothing of the task is left."""
    store = backend.store()
    async with backend.engine(calls_rare, store=store) as engine:
        start = backend.clock.now()
        result = await engine.run(calls_rare, 5)
        assert "schedule_to_close of attempt 1: no result within schedule_to_close=5 s of the call" == result
        assert 5 <= backend.clock.now() - start < 7
        dump = await store.dump()
    assert ([], []) == (dump["tasks"], dump["inbox"])


async def test_schedule_to_close_of_an_activity_of_an_unserved_queue(backend, autojump_clock) -> None:
    """The same on a queue that no node serves."""
    async with backend.engine(calls_far_away) as engine:
        assert "schedule_to_close" == await engine.run(calls_far_away, 5)


@pytest.mark.parametrize("instances", [1, 1000])
async def test_schedule_to_close_holds_over_a_restart(backend, autojump_clock, instances) -> None:
    """The deadline passes while no engine runs, or while the workflow is not in memory."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.engine(calls_rare, limits=limits) as engine:
        for number in range(3):
            await engine.start(calls_rare, 100 + number, id=f"r{number}")
        await trio.sleep(50)
    async with backend.engine(calls_rare, limits=limits) as engine:
        await trio.sleep(51.5)
        first, second, third = [await engine.get(f"r{number}") for number in range(3)]
        assert (await first.result()).startswith("schedule_to_close")
        assert ["completed", "open"] == [(await item.describe()).status for item in (first, third)]
    await trio.sleep(100)
    async with backend.engine(calls_rare, limits=limits) as engine:
        assert (await (await engine.get("r1")).result()).startswith("schedule_to_close")
        assert (await (await engine.get("r2")).result()).startswith("schedule_to_close")
    assert "r1" == second.id


async def test_each_of_many_deadlines_passes_on_its_own(backend, autojump_clock) -> None:
    """Five calls of one workflow, a second apart."""
    async with backend.engine(calls_many) as engine:
        assert ["10", "11", "12", "13", "14"] == await engine.run(calls_many, 5)


async def test_a_deadline_between_timers(backend, autojump_clock) -> None:
    """Timers of the workflow neither hide the deadline nor are hidden by it."""
    async with backend.engine(sleeps_meanwhile) as engine:
        seen = await engine.run(sleeps_meanwhile)
    assert sorted(["slept till 20", "slept till 40", "slept till 60", "timeout at 60", "slept till 80"]) == sorted(seen)
    assert "slept till 80" == seen[-1]


async def test_an_activity_claimed_in_time_is_left_alone(backend, autojump_clock) -> None:
    """A node comes that has it, before the deadline."""
    async with backend.engine(calls_rare) as engine:
        await engine.start(calls_rare, 100, id="r")
        await trio.sleep(90)
    async with backend.engine(calls_rare, rare) as engine:
        assert "X" == await (await engine.get("r")).result()


async def test_an_activity_that_nobody_claims_can_be_cancelled(backend, autojump_clock) -> None:
    """The scope around it is cancelled: it is withdrawn, and never runs."""
    store = backend.store()
    async with backend.engine(gives_up_after, store=store) as engine:
        handle = await engine.start(gives_up_after, 5)
        assert "gave up" == await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
        assert [] == (await store.dump())["tasks"]
    assert ["ActivityCancelAsked", "ActivityCancelled", "RunCompleted"] == kinds[-3:]


async def test_a_terminated_workflow_takes_its_unclaimed_activity_along(backend, autojump_clock) -> None:
    """No task is left to be claimed later."""
    store = backend.store()
    async with backend.engine(calls_rare, store=store) as engine:
        handle = await engine.start(calls_rare, None)
        await trio.sleep(1)
        await handle.terminate()
        await trio.sleep(1)
        dump = await store.dump()
    assert ([], []) == (dump["tasks"], dump["inbox"])


async def test_an_engine_without_places_does_not_offer_its_activities(backend, autojump_clock, caplog) -> None:
    """Neither in the row of its node nor to its own workflows, which say that nobody runs them."""
    async with backend.engine(calls_rare, rare, limits=wf.Limits(activities=0)) as engine:
        (node,) = await engine.nodes()
        assert ([], ["calls_rare"]) == (list(node.activities), list(node.workflows))
        await engine.start(calls_rare, None)
        await trio.sleep(10)
        assert ["no running engine has activity 'rare' of queue 'default': calls of it wait for one that has"] == [
            record.getMessage() for record in caplog.records if "no running engine" in record.getMessage()
        ]
