"""Children: their results, their ends, their parents' ends."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf


@wf.workflow
async def double(number: int) -> int:
    await wf.sleep(1)
    return 2 * number


@wf.workflow
async def fail() -> None:
    raise ValueError("child")


@wf.workflow
async def linger() -> str:
    try:
        await wf.sleep_forever()
    except wf.Cancelled:
        return "cleaned up"
    return "never"


@wf.workflow
async def sum_of_doubles(count: int) -> int:
    return sum(await wf.gather(*(double(number) for number in range(count))))


@wf.workflow
async def parent_of_failure() -> str:
    try:
        await fail()
    except wf.ChildWorkflowError as error:
        return f"{error.type}: {error.message}"
    return "no error"


@wf.workflow
async def with_chosen_id(id: str) -> list[object]:
    child = await wf.start_child(double, 21, id=id)
    seen: list[object] = [child.id]
    try:
        await wf.start_child(double, 1, id=id)
    except wf.WorkflowAlreadyStarted:
        seen.append("refused")
    seen.append(await child.result())
    seen.append(await double.options(id=id)(1))
    return seen


@wf.workflow
async def on_another_queue() -> int:
    return await double.options(queue="far")(4)


@wf.workflow
async def starts_and_returns(policy: str) -> str:
    child = await wf.start_child(linger, parent_close=policy)
    return child.id


@wf.workflow
async def waits_for_two() -> list[str]:
    return list(await wf.gather(linger(), linger()))


@wf.workflow
async def cancels_before_start() -> str:
    with wf.CancelScope() as scope:
        scope.cancel()
        await double(1)
    with wf.move_on_after(0):
        await double(2)
    return "none"


@wf.workflow
async def signals_child() -> int:
    child = await wf.start_child(adder)
    await child.signal("number", 5)
    await child.signal("number", 6)
    return await child.result()


@wf.workflow
async def adder() -> int:
    numbers = wf.signals("number", int)
    return await numbers.receive() + await numbers.receive()


async def test_children_return_their_results(backend, autojump_clock) -> None:
    """A fan-out of children, awaited together."""
    async with backend.engine(sum_of_doubles, double) as engine:
        assert 90 == await engine.run(sum_of_doubles, 10)


async def test_a_childs_failure_is_an_error_of_the_call(backend, autojump_clock) -> None:
    """ChildWorkflowError tells type and message."""
    async with backend.engine(parent_of_failure, fail) as engine:
        assert "builtins.ValueError: child" == await engine.run(parent_of_failure)


async def test_children_with_chosen_ids(backend, autojump_clock) -> None:
    """An open id is refused and the first child stays usable; a closed one is free."""
    async with backend.engine(with_chosen_id, double) as engine:
        assert ["mine", "refused", 42, 2] == await engine.run(with_chosen_id, "mine")


async def test_a_child_runs_on_another_queue(backend, autojump_clock) -> None:
    """Its result comes back to the parent's partition."""
    async with backend.engine(on_another_queue, double, queues=["near", "far"]) as engine:
        assert 8 == await engine.run(on_another_queue)
        assert {"near", "far"} == {item.queue async for item in engine.list()}


async def test_cancelling_the_parent_cancels_the_children(backend, autojump_clock) -> None:
    """Both children clean up, and the parent sees what they return."""
    async with backend.engine(waits_for_two, linger) as engine:
        handle = await engine.start(waits_for_two)
        while await engine.count(workflow=linger) < 2:
            await trio.lowlevel.checkpoint()
        await handle.cancel()
        assert ["cleaned up", "cleaned up"] == await handle.result()


@pytest.mark.parametrize(
    ("policy", "status"), [("cancel", "cancelled"), ("terminate", "terminated"), ("abandon", "open")]
)
async def test_the_parents_end_and_its_children(backend, autojump_clock, policy, status) -> None:
    """parent_close says what becomes of a child that was started and not awaited."""
    async with backend.engine(starts_and_returns, linger) as engine:
        child = await engine.get(await engine.run(starts_and_returns, policy))
        if status != "open":
            await child.wait_closed()
        assert status == (await child.describe()).status


async def test_a_child_cancelled_before_it_started_never_runs(backend, autojump_clock) -> None:
    """Nothing but the parent is in the store."""
    async with backend.engine(cancels_before_start, double) as engine:
        assert "none" == await engine.run(cancels_before_start)
        for item in [item async for item in engine.list(workflow=double)]:
            assert item.started_at is None


async def test_a_parent_signals_its_child(backend, autojump_clock) -> None:
    """Signals to a child not started yet wait for it."""
    async with backend.engine(signals_child, adder) as engine:
        assert 11 == await engine.run(signals_child)
