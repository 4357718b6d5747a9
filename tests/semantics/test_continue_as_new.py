"""A workflow that goes on as a new run: same id, empty history, nothing lost."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf


@wf.activity
async def double(number: int) -> int:
    return 2 * number


@wf.workflow
async def grow(number: int, rounds: int = 3) -> int:
    number = await double(number)
    await wf.sleep(10)
    if rounds > 1:
        wf.continue_as_new(number, rounds=rounds - 1)
    return number


@wf.workflow
async def parent() -> list[int]:
    child = await wf.start_child(grow, 100, id="kid")
    return [await grow(1), await child.result()]


@wf.workflow
async def misuses() -> str:
    try:
        wf.continue_as_new(1, 2, 3)
    except TypeError as error:
        return str(error)


@wf.workflow
async def forgets_a_child(policy: str) -> str:
    if wf.info().run == 1:
        await wf.start_child(grow, 1, id="left behind", parent_close=policy)
        wf.continue_as_new(policy)
    return "second run"


@wf.workflow
async def cancelled_in_the_second_run() -> None:
    if wf.info().run == 1:
        wf.continue_as_new()
    await wf.sleep_forever()


@wf.workflow
async def fails_in_the_second_run() -> None:
    if wf.info().run == 1:
        wf.continue_as_new()
    raise ValueError("second run")


@pytest.mark.parametrize("instances", [1, 1000])
async def test_each_run_has_its_own_input_history_and_number(backend, autojump_clock, instances) -> None:
    """The old runs and their input are kept; the id stays."""
    async with backend.engine(grow, double, limits=wf.Limits(resident_instances=instances)) as engine:
        handle = await engine.start(grow, 1, id="g")
        assert 8 == await handle.result()
        assert 3 == handle.run
        kinds = [[type(event).__name__ for event in await handle.history(run)] for run in (1, 2, 3)]
        inputs = [bytes((await handle.history(run))[0].input) for run in (1, 2, 3)]
        found = [(item.id, item.run, item.status.value) async for item in engine.list()]
    begin = ["RunStarted", "ActivityScheduled", "ActivityCompleted", "TimerSet", "TimerFired"]
    assert [[*begin, "RunContinued"], [*begin, "RunContinued"], [*begin, "RunCompleted"]] == kinds
    assert 3 == len(set(inputs))
    assert [("g", 1, "continued"), ("g", 2, "continued"), ("g", 3, "completed")] == sorted(found)


async def test_the_chain_goes_on_over_restarts(backend, autojump_clock) -> None:
    """A restart between and within the runs."""
    async with backend.engine(grow, double) as engine:
        await engine.start(grow, 1, id="g")
    for _ in range(4):
        async with backend.engine(grow, double) as engine:
            await trio.sleep(7)
    async with backend.engine(grow, double) as engine:
        assert 8 == await (await engine.get("g")).result()


async def test_parents_get_the_last_result(backend, autojump_clock) -> None:
    """By a plain call, and by a handle."""
    async with backend.engine(parent, grow, double) as engine:
        assert [8, 800] == await engine.run(parent)


async def test_wrong_arguments_are_refused_and_the_run_goes_on(backend, autojump_clock) -> None:
    """TypeError at the call."""
    async with backend.engine(misuses) as engine:
        assert "argument" in await engine.run(misuses)


async def test_the_next_run_is_cancelled_and_fails_like_any_other(backend, autojump_clock) -> None:
    """Requests reach the run that is open, results tell of the last one."""
    async with backend.engine(cancelled_in_the_second_run, fails_in_the_second_run) as engine:
        handle = await engine.start(cancelled_in_the_second_run)
        await trio.sleep(1)
        await handle.cancel("enough")
        with pytest.raises(wf.WorkflowCancelled, match="enough"):
            await handle.result()
        with pytest.raises(wf.WorkflowFailed, match="second run"):
            await engine.run(fails_in_the_second_run)


@pytest.mark.parametrize(
    ("policy", "status"), [("cancel", "cancelled"), ("terminate", "terminated"), ("abandon", "completed")]
)
async def test_children_of_a_run_that_continues_follow_their_policy(backend, autojump_clock, policy, status) -> None:
    """The child was not awaited, so it ends with the run that started it, unless that gave it up."""
    async with backend.engine(forgets_a_child, grow, double) as engine:
        assert "second run" == await engine.run(forgets_a_child, policy)
        child = await engine.get("left behind")
        await child.wait_closed()
        assert status == (await child.describe()).status


async def test_removal_of_continued_runs(backend, autojump_clock) -> None:
    """Only those, also of an open instance; everything else of it stays."""
    store = backend.store()
    async with backend.engine(grow, double, store=store) as engine:
        handle = await engine.start(grow, 1, 4)
        await trio.sleep(25)
        assert 2 == await engine.remove_finished(backend.clock.now(), continued_runs_only=True)
        assert {3} == {row["run"] for row in (await store.dump())["events"]}
        assert 16 == await handle.result()
        assert 1 == await engine.remove_finished(backend.clock.now() + 1, continued_runs_only=True)
        assert {4} == {row["run"] for row in (await store.dump())["headers"]}
        assert 16 == await handle.result()


@wf.activity
async def stubborn(answer: str, seconds: float) -> str:
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    return answer


@wf.workflow
async def leaves_an_attempt_behind() -> str:
    if wf.info().run == 1:
        with wf.move_on_after(1):
            await stubborn.options(on_cancel="abandon")("first run", 5)
        wf.continue_as_new()
    return await stubborn("second run", 20)


async def test_the_result_of_an_earlier_runs_call_is_not_taken_for_this_ones(backend, autojump_clock) -> None:
    """Both are the first call of their run; the abandoned attempt ends while the next run waits for its own."""
    async with backend.engine(leaves_an_attempt_behind, stubborn) as engine:
        assert "second run" == await engine.run(leaves_an_attempt_behind)


async def test_signals_handed_on_outlive_the_removal_of_the_old_run(backend, autojump_clock) -> None:
    """While the next run has not started, the old one stays; then it can go."""
    is_busy = True

    @wf.workflow
    async def twice(is_last: bool) -> list[int]:
        while is_busy and is_last:
            pass
        if not is_last:
            await wf.signals("go").receive()
            wf.continue_as_new(True)
        numbers = wf.signals("number", int)
        return [await numbers.receive() for _ in range(2)]

    store = backend.store()
    limits = wf.Limits(turn_warning_seconds=0.1, turn_seconds_max=0.2)
    async with backend.engine(twice, store=store, limits=limits) as engine:
        handle = await engine.start(twice, False, id="t")
        for name, value in (("number", 1), ("number", 2), ("go", None)):
            await handle.signal(name, value)
        with trio.fail_after(1_000):
            while (await handle.describe()).parked is None:
                await trio.sleep(1)
        later = backend.clock.now() + 1_000
        assert 0 == await store.remove_finished(later, 10, continued_runs_only=True)
        is_busy = False
        await handle.resume()
        assert [1, 2] == await handle.result()
        assert 1 == await store.remove_finished(later, 10, continued_runs_only=True)
