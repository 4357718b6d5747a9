"""Cancel, terminate, continue as new, remove."""

from __future__ import annotations

import contextlib

import pytest

import wfactors as wf


@wf.activity
async def note(text: str) -> str:
    return text


@wf.workflow
async def careful() -> str:
    try:
        await wf.sleep_forever()
    finally:
        with wf.CancelScope(shield=True):
            await note("cleaned up")
    return "never"


@wf.workflow
async def stubborn() -> str:
    with contextlib.suppress(wf.Cancelled):
        await wf.sleep_forever()
    return "returned"


@wf.workflow
async def count_down(number: int) -> str:
    if number:
        wf.continue_as_new(number - 1)
    return "zero"


@wf.workflow
async def parent_of_count_down() -> str:
    return await count_down(3)


async def test_cancel_lets_the_workflow_clean_up(backend, autojump_clock) -> None:
    """A shielded activity runs, then the status is ``cancelled``."""
    async with backend.engine(careful, note) as engine:
        handle = await engine.start(careful)
        await handle.cancel("enough")
        with pytest.raises(wf.WorkflowCancelled, match="enough"):
            await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
        assert "cancelled" == (await handle.describe()).status
    assert ["RunStarted", "CancelRequested", "ActivityScheduled", "ActivityCompleted", "RunCancelled"] == kinds


async def test_a_cancelled_workflow_that_returns_is_completed(backend, autojump_clock) -> None:
    """As in Trio: who returns a value has completed."""
    async with backend.engine(stubborn) as engine:
        handle = await engine.start(stubborn)
        await handle.cancel()
        assert "returned" == await handle.result()


async def test_terminate_runs_no_author_code(backend, autojump_clock) -> None:
    """The shielded clean-up does not happen."""
    async with backend.engine(careful, note) as engine:
        handle = await engine.start(careful)
        await handle.terminate("stop it")
        with pytest.raises(wf.WorkflowTerminated, match="stop it"):
            await handle.result()
        assert "ActivityScheduled" not in [type(event).__name__ for event in await handle.history()]


async def test_a_closed_workflow_refuses_cancel_and_terminate(backend, autojump_clock) -> None:
    """WorkflowClosed, and nothing is left behind."""
    async with backend.engine(count_down) as engine:
        handle = await engine.start(count_down, 0)
        await handle.result()
        for request in (handle.cancel, handle.terminate):
            with pytest.raises(wf.WorkflowClosed):
                await request()


async def test_continue_as_new_follows_the_chain(backend, autojump_clock) -> None:
    """The result is the last run's; each run has a history of its own, and its input is kept."""
    async with backend.engine(count_down) as engine:
        handle = await engine.start(count_down, 3, id="c")
        assert "zero" == await handle.result()
        statuses = [item.status async for item in engine.list()]
        first = await handle.history(run=1)
    assert ["completed", "continued", "continued", "continued"] == statuses
    assert ["RunStarted", "RunContinued"] == [type(event).__name__ for event in first]
    assert b"[3]" == bytes(first[0].input)


async def test_a_parent_does_not_notice_continue_as_new(backend, autojump_clock) -> None:
    """The call returns what the last run returns."""
    async with backend.engine(parent_of_count_down, count_down) as engine:
        assert "zero" == await engine.run(parent_of_count_down)


async def test_removal_leaves_nothing_behind(backend, autojump_clock) -> None:
    """Refused while open; then all rows of the instance are gone."""
    store = backend.store()
    async with backend.engine(careful, note, count_down, store=store) as engine:
        handle = await engine.start(careful, id="gone")
        with pytest.raises(wf.WorkflowStillOpen):
            await handle.remove()
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()
        await engine.run(count_down, 2)
        await handle.remove()
        with pytest.raises(wf.WorkflowNotFound):
            await handle.describe()
        assert 1 == await engine.remove_finished(before=backend.clock.now() + 1)
        dump = await store.dump()
    for table in ("headers", "events", "tasks", "inbox"):
        assert [] == dump[table]


async def test_retention_removes_what_closed_long_ago(backend, autojump_clock) -> None:
    """With ``retention`` the engine itself removes closed instances."""
    async with backend.engine(count_down, retention=60) as engine:
        await engine.run(count_down, 0)
        assert 1 == await engine.count()
        await backend.clock.sleep_until(backend.clock.now() + 200)
        assert 0 == await engine.count()
