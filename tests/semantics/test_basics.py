"""Results, failures, ids: what a user meets first."""

from __future__ import annotations

import attrs
import pytest
import trio

import wfactors as wf


@attrs.define
class CardDeclined(Exception):
    code: int


@wf.activity
async def add(a: int, b: int) -> int:
    return a + b


@wf.workflow
async def total(numbers: list[int]) -> int:
    result = 0
    for number in numbers:
        result = await add(result, number)
    return result


@wf.workflow(raises=(CardDeclined,))
async def declined() -> None:
    raise CardDeclined(51)


@wf.workflow
async def broken() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


@wf.workflow
async def wait_for_ever() -> None:
    await wf.sleep_forever()


async def test_the_result_is_returned(backend, autojump_clock) -> None:
    """A workflow's value comes back, structured by its annotation."""
    async with backend.engine(total, add) as engine:
        assert 6 == await engine.run(total, [1, 2, 3])


async def test_the_history_holds_facts_and_decisions_in_order(backend, autojump_clock) -> None:
    """Each decision stands directly after the fact that caused it."""
    async with backend.engine(total, add) as engine:
        handle = await engine.start(total, [1, 2], id="t")
        await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
    assert [
        "RunStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityCompleted",
        "RunCompleted",
    ] == kinds


async def test_a_failure_has_type_message_and_cause(backend, autojump_clock) -> None:
    """WorkflowFailed tells what was raised and what it was raised from."""
    async with backend.engine(broken) as engine:
        with pytest.raises(wf.WorkflowFailed) as caught:
            await engine.run(broken, id="b")
        description = await (await engine.get("b")).describe()
    failure = caught.value.failure
    assert ("builtins.ValueError", "outer") == (failure.type, failure.message)
    assert failure.cause is not None
    assert "builtins.KeyError" == failure.cause.type
    assert wf.Status.FAILED == description.status


async def test_a_type_in_raises_comes_back_as_itself(backend, autojump_clock) -> None:
    """The exception is built again from its fields."""
    async with backend.engine(declined) as engine:
        with pytest.raises(CardDeclined) as caught:
            await engine.run(declined)
    assert 51 == caught.value.code


async def test_an_open_id_is_refused_and_stays_usable(backend, autojump_clock) -> None:
    """The second start raises WorkflowAlreadyStarted with a handle to the first."""
    async with backend.engine(wait_for_ever) as engine:
        first = await engine.start(wait_for_ever, id="one")
        with pytest.raises(wf.WorkflowAlreadyStarted) as caught:
            await engine.start(wait_for_ever, id="one")
        assert first.instance == caught.value.handle.instance
        await caught.value.handle.cancel("enough")
        with pytest.raises(wf.WorkflowCancelled):
            await first.result()


async def test_a_closed_id_may_be_used_again(backend, autojump_clock) -> None:
    """By default the id of a closed instance is free."""
    async with backend.engine(total, add) as engine:
        assert [1, 2] == [await engine.run(total, [number], id="again") for number in (1, 2)]


async def test_reuse_policies(backend, autojump_clock) -> None:
    """``reject`` refuses every closed id, ``if_failed`` those that did not fail."""
    async with backend.engine(total, add, broken) as engine:
        await engine.run(total, [1], id="ok")
        with pytest.raises(wf.WorkflowFailed):
            await engine.run(broken, id="bad")
        for id, reuse in [("ok", "reject"), ("bad", "reject"), ("ok", "if_failed")]:
            with pytest.raises(wf.WorkflowAlreadyStarted):
                await engine.start(total, [1], id=id, reuse=reuse)
        assert 5 == await engine.run(total, [5], id="bad", reuse="if_failed")


async def test_conflict_policies(backend, autojump_clock) -> None:
    """``use_existing`` gives the open one, ``terminate_existing`` ends it and starts anew."""
    async with backend.engine(wait_for_ever) as engine:
        first = await engine.start(wait_for_ever, id="x")
        second = await engine.start(wait_for_ever, id="x", on_conflict="use_existing")
        third = await engine.start(wait_for_ever, id="x", on_conflict="terminate_existing")
        assert first.instance == second.instance != third.instance
        with pytest.raises(wf.WorkflowTerminated):
            await first.result()


async def test_arguments_that_do_not_fit_leave_no_instance(backend, autojump_clock) -> None:
    """A TypeError or ConversionError at the client, and nothing in the store."""
    async with backend.engine(total, add) as engine:
        with pytest.raises(TypeError):
            await engine.start(total)
        with pytest.raises(wf.ConversionError):
            await engine.start(total, ["x"])
        assert 0 == await engine.count()


async def test_any_id_works(backend, autojump_clock, names) -> None:
    """Hostile ids round-trip through start, get and list."""
    async with backend.engine(total, add) as engine:
        for name in names:
            await engine.run(total, [1], id=name)
        assert sorted(names) == sorted([item.id async for item in engine.list()])
        assert 1 == await (await engine.get(names[0])).result()


@pytest.mark.parametrize("id", ["", "x" * 4097, "\ud800"])
async def test_an_id_that_cannot_be_is_refused(backend, autojump_clock, id) -> None:
    """Empty, longer than 4 KiB, or not Unicode."""
    async with backend.engine(total, add) as engine:
        with pytest.raises(ValueError, match="workflow id"):
            await engine.start(total, [1], id=id)


async def test_unknown_ids_are_not_found(backend, autojump_clock) -> None:
    """A typed error for an id that nobody ever used."""
    async with backend.engine(total, add) as engine:
        with pytest.raises(wf.WorkflowNotFound):
            await engine.get("nobody")


async def test_a_restarted_engine_goes_on(backend, autojump_clock) -> None:
    """What was open when the engine stopped is finished by the next one."""

    @wf.workflow
    async def nap() -> str:
        await wf.sleep(3600)
        return "awake"

    async with backend.engine(nap) as engine:
        await engine.start(nap, id="n")
    async with backend.engine(nap) as engine:
        assert "awake" == await (await engine.get("n")).result()


async def test_a_delayed_start_waits(backend, autojump_clock) -> None:
    """The workflow begins after its delay, also across a restart."""
    async with backend.engine(total, add) as engine:
        handle = await engine.start(total, [1], id="later", delay=100)
        began = backend.clock.now()
    async with backend.engine(total, add) as engine:
        handle = await engine.get("later")
        assert 1 == await handle.result()
        description = await handle.describe()
    assert 100 <= description.started_at.timestamp() - description.created_at.timestamp() < 101
    assert backend.clock.now() >= began + 100


async def test_an_unregistered_workflow_is_parked_and_goes_on_when_known(backend, autojump_clock) -> None:
    """It waits, in view, until a node that knows it owns the partition."""
    async with backend.engine(add) as engine:
        handle = await engine.start(total, [1, 2], id="u")
        while (await handle.describe()).parked is None:
            await trio.lowlevel.checkpoint()
        assert "UnknownWorkflow" in (await handle.describe()).parked
    async with backend.engine(total, add) as engine:
        assert 3 == await (await engine.get("u")).result()
