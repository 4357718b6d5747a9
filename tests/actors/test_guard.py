"""During a turn Trio is out of reach, and untouched after it."""

from __future__ import annotations

import pytest
import trio
from trio._core._run import GLOBAL_RUN_CONTEXT

from wfactors.actors.guard import TrioGuard
from wfactors.errors import WorkflowMisuseError


def step(coroutine: object) -> None:
    """Run a coroutine as a turn would: what it yields is not the kernel's, so the kernel throws the error in there."""
    coroutine.send(None)
    coroutine.throw(WorkflowMisuseError("awaited in a workflow; use wfactors"))


async def use_sleep() -> None:
    await trio.sleep(1)


async def use_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)


async def use_scope() -> None:
    with trio.CancelScope():  # noqa: ASYNC100 - entering it is the mistake
        pass


async def use_event() -> None:
    await trio.Event().wait()


async def use_thread() -> None:
    await trio.to_thread.run_sync(int)


async def use_time() -> None:
    trio.current_time()


async def use_channel() -> None:
    _, receive = trio.open_memory_channel[int](0)
    await receive.receive()


@pytest.mark.parametrize(
    "use", [use_sleep, use_nursery, use_scope, use_event, use_thread, use_time, use_channel], ids=lambda f: f.__name__
)
async def test_trio_raises_misuse_at_the_line_and_keeps_its_state(use) -> None:
    """Whatever of Trio a workflow touches raises WorkflowMisuseError, and the task around the turn is unharmed."""
    task = trio.lowlevel.current_task()
    before = (task._cancel_status, list(task.child_nurseries))
    with pytest.raises(WorkflowMisuseError, match="wfactors"), TrioGuard():
        step(use())
    assert (task._cancel_status, list(task.child_nurseries)) == before
    await trio.lowlevel.checkpoint()


async def test_trio_is_back_after_the_turn() -> None:
    """After the guarded block the current task is the one from before, also when the block raised."""
    task = trio.lowlevel.current_task()
    with pytest.raises(KeyError), TrioGuard():
        raise KeyError
    assert trio.lowlevel.current_task() is task
    with trio.move_on_after(10):
        await trio.lowlevel.checkpoint()


async def test_trio_keeps_its_run_context_where_the_guard_looks() -> None:
    """Trio has not moved the attributes that the guard replaces."""
    assert GLOBAL_RUN_CONTEXT.task is trio.lowlevel.current_task()
    assert hasattr(GLOBAL_RUN_CONTEXT, "runner")
