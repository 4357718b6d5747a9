"""What one sender sends arrives in its order, whichever way it takes; and nothing hits a run that has not begun."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import wfactors as wf
from wfactors.model.records import InboxItem
from wfactors.stores.memory import MemoryStore


@wf.workflow
async def collect(count: int) -> list[int]:
    numbers = wf.signals("number", int)
    return [await numbers.receive() for _ in range(count)]


def collecting_after(seconds: float) -> Any:
    """Two versions of one workflow that differ in how long they sleep first."""

    @wf.workflow(name="collecting")
    async def collecting(count: int) -> list[int]:
        await wf.sleep(seconds)
        numbers = wf.signals("number", int)
        return [await numbers.receive() for _ in range(count)]

    return collecting


async def test_a_signal_does_not_overtake_the_one_that_came_with_the_start(backend, autojump_clock) -> None:
    """The first goes by way of the store, the second straight to the owner."""
    async with backend.engine(collect) as engine:
        handle = await engine.signal_with_start(collect, 2, id="c", signal="number", value=1)
        await handle.signal("number", 2)
        assert [1, 2] == await handle.result()


async def test_a_signal_does_not_overtake_one_to_an_open_workflow(backend, autojump_clock) -> None:
    """As above, where the workflow had been started before."""
    async with backend.engine(collect) as engine:
        await engine.start(collect, 2, id="c")
        handle = await engine.signal_with_start(collect, 2, id="c", signal="number", value=1)
        await handle.signal("number", 2)
        assert [1, 2] == await handle.result()


class StoreWithAPause(MemoryStore):
    """Its inbox can be read and then keep the reader waiting, as a thread does that is late with its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.has_read = trio.Event()
        self.goes_on: trio.Event | None = None

    async def inbox(self, partition: str, after: int, limit: int) -> list[InboxItem]:
        items = await super().inbox(partition, after, limit)
        if not items and self.goes_on is not None:
            self.has_read.set()
            await self.goes_on.wait()
        return items


async def test_a_signal_does_not_overtake_one_stored_while_the_inbox_is_read(autojump_clock) -> None:
    """A reading that began before the first was stored does not let the second pass."""
    store = StoreWithAPause()
    async with wf.open_engine(store, register=[collect]) as engine, wf.open_client(store) as client:
        handle = await engine.start(collect, 3, id="c")
        await trio.testing.wait_all_tasks_blocked()
        store.goes_on = trio.Event()
        await (await client.get("c")).signal("number", 0)
        await store.has_read.wait()
        await (await client.get("c")).signal("number", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle.signal, "number", 2)
            await trio.testing.wait_all_tasks_blocked()
            store.goes_on.set()
        assert [0, 1, 2] == await handle.result()


async def test_a_signal_does_not_overtake_those_from_before_the_takeover(backend, autojump_clock) -> None:
    """What lay in the inbox when the engine opened comes first."""
    store = backend.store()
    async with wf.open_engine(store, queues=["elsewhere"], clock=backend.clock) as client:
        handle = await client.start(collect.name, 2, id="c", queue="default")
        await handle.signal("number", 1)
    async with backend.engine(collect, store=store) as engine:
        handle = await engine.get("c")
        await handle.signal("number", 2)
        assert [1, 2] == await handle.result()


async def test_a_signal_does_not_overtake_what_a_parked_workflow_was_sent(backend, autojump_clock) -> None:
    """Kept mail comes first, also when the next signal arrives while the workflow is resumed."""
    async with backend.engine(collecting_after(1)) as engine:
        await engine.start("collecting", 3, id="c")
        await trio.sleep(2)
    async with backend.engine(collecting_after(5)) as engine:
        handle = await engine.get("c")
        await handle.signal("number", 1)
        assert (await handle.describe()).parked
        await handle.signal("number", 2)
    async with backend.engine(collecting_after(1)) as engine:
        handle = await engine.get("c")
        await handle.signal("number", 3)
        assert [1, 2, 3] == await handle.result()


async def test_a_workflow_that_continues_as_new_stays_cancelled(backend, autojump_clock) -> None:
    """Each new run starts, and is cancelled at its first checkpoint: it can clean up, and cannot escape."""
    seen: list[str] = []

    @wf.workflow
    async def phoenix(number: int) -> None:
        try:
            await wf.sleep_forever()
        finally:
            seen.append(f"run {number} was cancelled")
            if number < 3:
                wf.continue_as_new(number + 1)

    async with backend.engine(phoenix) as engine:
        handle = await engine.start(phoenix, 1)
        await trio.sleep(1)
        await handle.cancel("enough")
        with pytest.raises(wf.WorkflowCancelled, match="enough"):
            await handle.result()
    assert [f"run {number} was cancelled" for number in (1, 2, 3)] == seen


@wf.activity
async def stubborn() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(10)


@wf.workflow
async def polls(number: int) -> None:
    await stubborn()
    wf.continue_as_new(number + 1)


async def test_a_cancel_that_comes_too_late_for_a_run_goes_over(backend, autojump_clock) -> None:
    """What the run waited for came all the same; the next one takes the cancel in."""
    async with backend.engine(polls, stubborn) as engine:
        handle = await engine.start(polls, 0)
        await trio.sleep(5)
        await handle.cancel("enough")
        with pytest.raises(wf.WorkflowCancelled, match="enough"):
            await handle.result()
        kinds = [[type(event).__name__ for event in await handle.history(run)] for run in (1, 2)]
    assert "RunContinued" == kinds[0][-1]
    assert ["RunStarted", "RunCancelled"] == kinds[1]


async def test_the_deadline_of_a_parent_reaches_the_next_run(backend, autojump_clock) -> None:
    """A child that continues as new under a deadline ends soon after it."""

    @wf.workflow
    async def parent() -> float:
        began = wf.now()
        with wf.move_on_after(45):
            await polls(0)
        return (wf.now() - began).total_seconds()

    async with backend.engine(parent, polls, stubborn) as engine:
        assert 50 == await engine.run(parent)


@wf.workflow
async def every_ten_seconds(number: int, cleaned: list[int]) -> list[int]:
    @wf.update
    async def current() -> int:
        return number

    try:
        await wf.sleep(10)
    except wf.Cancelled:
        return [*cleaned, number]
    return wf.continue_as_new(number + 1, cleaned)


async def test_what_comes_as_a_run_continues_is_for_the_next_one(backend, autojump_clock) -> None:
    """An update at the very moment of the timer is answered by the new run, a cancel lets it clean up."""
    async with backend.engine(every_ten_seconds) as engine:
        handle = await engine.start(every_ten_seconds, 0, [])
        started = (await handle.describe()).started_at or (await handle.describe()).created_at
        await backend.clock.sleep_until(started.timestamp() + 10)
        assert await handle.update("current") in (0, 1)
        await backend.clock.sleep_until(started.timestamp() + 20)
        await handle.cancel()
        assert await handle.result() in ([1], [2])


@wf.workflow
async def sleeper() -> None:
    await wf.sleep(1_000_000)


@wf.activity
async def slow() -> None:
    await trio.sleep_forever()


def starting(seconds: float) -> Any:
    """Two versions of a workflow that starts a child and an activity and waits for a signal."""

    @wf.workflow(name="starting")
    async def start_both() -> None:
        if seconds:
            await wf.sleep(seconds)
        await wf.start_child(sleeper, id="kid")
        async with wf.open_nursery() as nursery:
            nursery.start_soon(slow.options(queue="nowhere"))
            await wf.signals("go").receive()

    return start_both


async def test_terminating_a_parked_workflow_takes_its_children_and_activities_along(backend, autojump_clock) -> None:
    """Also if its code has not run since the takeover."""
    async with backend.engine(starting(0), sleeper, slow) as engine:
        await engine.start("starting", id="parent")
        await trio.sleep(2)
        assert wf.Status.OPEN == (await (await engine.get("kid")).describe()).status
    async with backend.engine(starting(7), sleeper, slow) as engine:
        handle = await engine.get("parent")
        await handle.signal("other")
        assert "NonDeterminismError" in (await handle.describe()).parked
    async with backend.engine(starting(7), sleeper, slow) as engine:
        handle = await engine.get("parent")
        await handle.terminate("go")
        description = await handle.describe()
        await (await engine.get("kid")).wait_closed()
        assert wf.Status.CANCELLED == (await (await engine.get("kid")).describe()).status
    assert (wf.Status.TERMINATED, []) == (description.status, list(description.activities))


async def test_terminate_needs_no_replay(backend, autojump_clock) -> None:
    """A workflow whose history does not fit its code is terminated at the first call."""
    async with backend.engine(collecting_after(1)) as engine:
        await engine.start("collecting", 3, id="c")
        await trio.sleep(2)
    async with backend.engine(collecting_after(5)) as engine:
        handle = await engine.get("c")
        await handle.terminate("go")
        assert wf.Status.TERMINATED == (await handle.describe()).status


async def test_terminate_at_the_moment_of_parking(backend, autojump_clock) -> None:
    """The timer's turn parks the workflow, the request that came with it ends it."""

    @wf.workflow
    async def stuck_later() -> None:
        await wf.sleep(1)
        await wf.Event().wait()

    async with backend.engine(stuck_later) as engine:
        handle = await engine.start(stuck_later)
        await trio.sleep(1)
        await handle.terminate("go")
        with pytest.raises(wf.WorkflowTerminated):
            await handle.result()
