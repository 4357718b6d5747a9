"""Dropping a workflow halfway: every coroutine is closed, in order and in its own context, and nothing is left."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import sys
import weakref

import pytest
import trio
import trio.lowlevel

from tests.kernel.drive import run
from wfactors.errors import WorkflowMisuseError
from wfactors.kernel.channels import open_memory_channel
from wfactors.kernel.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint,
    current_scheduler,
    current_task,
    reschedule,
    wait_quiescent,
)
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.signals import Signals
from wfactors.kernel.sync import Event
from wfactors.kernel.timeouts import move_on_after, sleep, sleep_forever


@pytest.fixture(autouse=True)
def _no_garbage_complains():
    """Whatever a test leaves behind is collected before the next one, and pytest hears of what it says."""
    yield
    gc.collect()


def parked(async_fn, *args):
    scheduler = Scheduler()
    scheduler.start(async_fn, *args)
    scheduler.run()
    return scheduler


def test_children_before_parents_each_in_its_own_context():
    """Clean-up runs from the leaves to the root, with the task's own context and current task."""
    variable = contextvars.ContextVar("variable")
    log = []

    async def node(name, depth):
        variable.set(name)
        try:
            async with open_nursery() as nursery:
                if depth:
                    nursery.start_soon(node, f"{name}0", depth - 1)
                    nursery.start_soon(node, f"{name}1", depth - 1)
                with move_on_after(5):
                    await sleep_forever()
        except GeneratorExit:
            log.append((variable.get(), current_task().coro.cr_frame.f_locals["name"], current_scheduler().is_evicting))
            raise

    scheduler = parked(node, "n", 2)
    scheduler.spawn_handler(node, "handler", 0, done=print)
    scheduler.run()
    scheduler.close()
    names = ["n11", "n10", "n01", "n00", "n1", "n0", "handler", "n"]
    assert [(name, name, True) for name in names] == log
    scheduler.close()
    scheduler.run()
    assert (len(log), scheduler.live_tasks(), scheduler.take_timer_changes()) == (8, [], [])
    assert not scheduler.ready
    assert scheduler.current is None
    assert not scheduler.main_outcome.finished
    assert float("inf") == scheduler.next_deadline
    with pytest.raises(RuntimeError, match="has ended"):
        scheduler.spawn_handler(sleep_forever, done=print)


def test_closing_in_steps():
    """Very many tasks are closed some at each step, and between two steps nothing of the workflow runs."""
    log = []

    async def child():
        try:
            await sleep_forever()
        finally:
            log.append(current_task().name)

    async def main():
        async with open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(child, name=str(number))

    scheduler = parked(main)
    hooks = sys.get_asyncgen_hooks()
    seen = []
    for _ in scheduler.closing():
        seen.append((len(log), scheduler.current, sys.get_asyncgen_hooks() == hooks))
        scheduler.run()
    assert [(count, None, True) for count in (64, 128, 192, 200, 200, 200, 200, 200)] == seen
    assert [str(number) for number in reversed(range(200))] == log
    assert [] == scheduler.live_tasks()


@pytest.mark.parametrize("waits", ["nursery", "scope", "signal", "event", "channel"])
def test_a_closed_run_is_freed_at_once(waits):
    """Wherever it waited, its tasks and its scheduler need no garbage collection, which would look at all workflows."""
    signals = [Signals()]

    async def main():
        if waits == "signal":
            await signals[0].queue("go").receive()
        if waits == "event":
            await Event().wait()
        if waits == "channel":
            _, receive = open_memory_channel(0)
            await receive.receive()
        with move_on_after(10):
            if waits == "scope":
                await sleep_forever()
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 10)
            nursery.start_soon(sleep_forever)

    scheduler = parked(main)
    kept = [weakref.ref(part) for part in (scheduler, *scheduler.live_tasks())]
    assert (4 if waits == "nursery" else 2) == len(kept)
    gc.collect()
    gc.disable()
    try:
        scheduler.close()
        scheduler.dismantle()
        del scheduler
        signals.clear()
        assert [None] * len(kept) == [reference() for reference in kept]
    finally:
        gc.enable()


def test_live_code():
    """A workflow has live code while a task or an asynchronous generator of it has not ended."""

    async def numbers():
        yield 1

    async def leaves(what):
        if what == "generator":
            kept.append(generator := numbers())
            await anext(generator)
        elif what == "task":
            await sleep_forever()

    kept = []
    told = []
    for what in ("nothing", "task", "generator"):
        scheduler = Scheduler()
        before = scheduler.has_live_code
        scheduler.start(leaves, what)
        scheduler.run()
        told.append((before, scheduler.has_live_code))
        scheduler.close()
        told.append(scheduler.has_live_code)
    assert [(False, False), False, (False, True), False, (False, True), False] == told


def test_waits_in_clean_up_raise():
    """A finally block cannot wait, start tasks or be held up, and scopes and nurseries in it work."""
    log = []

    async def attempt(name, async_fn, *args):
        try:
            await async_fn(*args)
        except BaseException as error:
            log.append((name, type(error)))
            raise

    async def shielded():
        with CancelScope(shield=True), move_on_after(3):
            await sleep(1)

    async def nested():
        async with open_nursery():
            pass

    async def starting():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)

    async def main():
        try:
            async with open_nursery():
                await sleep_forever()
        finally:
            for function in (sleep_forever, checkpoint, cancel_shielded_checkpoint, shielded, starting):
                with contextlib.suppress(BaseException):
                    await attempt(function.__name__, function)
            with contextlib.suppress(BaseException):
                await attempt("quiescent", wait_quiescent, list)
            await nested()
            log.append("nested")
            raise ValueError("dropped")

    parked(main).close()
    assert [
        ("sleep_forever", GeneratorExit),
        ("checkpoint", GeneratorExit),
        ("cancel_shielded_checkpoint", GeneratorExit),
        ("shielded", GeneratorExit),
        ("starting", RuntimeError),
        ("quiescent", GeneratorExit),
        "nested",
    ] == log


def test_a_nursery_that_waits_for_its_children():
    """A task that is evicted in the middle of leaving a nursery leaves the scopes around it in order."""
    log = []

    async def main():
        try:
            with CancelScope(), CancelScope():
                async with open_nursery() as nursery:
                    nursery.start_soon(sleep_forever)
        except BaseException as error:
            log.append(type(error))
            raise

    parked(main).close()
    assert [GeneratorExit] == log


def test_tasks_that_never_ran():
    """Tasks that were not begun are dropped without a word."""

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)
            current_scheduler().stop(RuntimeError())

    parked(main).close()
    scheduler = Scheduler()
    scheduler.start(sleep_forever)
    scheduler.close()
    scheduler.run()
    assert not scheduler.main_outcome.finished
    Scheduler().close()


def test_waking_others_in_clean_up():
    """What wakes other tasks has no effect any more, and does no harm."""
    log = []

    async def main():
        tasks = []

        async def wait():
            tasks.append(current_task())
            try:
                await sleep_forever()
            except BaseException as error:
                log.append(type(error).__name__)
                raise

        try:
            async with open_nursery() as nursery:
                nursery.start_soon(wait)
                await sleep_forever()
        finally:
            nursery.cancel_scope.cancel()
            log.append("cancelled")
            reschedule(tasks[0])
            reschedule(tasks[0])
            log.append("woken twice")

    scheduler = parked(main)
    scheduler.close()
    assert log == ["GeneratorExit", "cancelled", "woken twice"]
    assert not scheduler.ready


def test_foreign_waits_in_clean_up():
    """Clean-up that awaits something foreign is closed again until it has ended."""
    log = []

    async def main():
        try:
            await sleep_forever()
        finally:
            try:
                await trio.lowlevel.cancel_shielded_checkpoint()
            finally:
                log.append("ended")

    parked(main).close()
    assert log == ["ended"]


def test_an_endless_loop_that_catches_everything():
    """A loop that catches everything does not hold up the eviction; its coroutine stays, for it would never end."""
    rounds = []

    async def main():
        while True:
            with contextlib.suppress(BaseException):
                rounds.append(1)
                await sleep_forever()

    scheduler = parked(main)
    scheduler.close()
    assert [scheduler.main.name] == scheduler.unclosable
    del scheduler
    gc.collect()
    assert 1000 < len(rounds) < 1100


def test_suspended_generators():
    """Asynchronous generators that are still suspended are closed too, in the order in which they were begun."""
    log = []

    async def generate(name):
        try:
            yield name
        finally:
            log.append(name)
            await checkpoint()

    async def main():
        kept.extend([generate("a"), generate("b")])
        assert [await anext(generator) for generator in kept] == ["a", "b"]
        finished = generate("c")
        assert [value async for value in finished] == ["c"]
        await sleep_forever()

    kept = []
    hooks = sys.get_asyncgen_hooks()
    scheduler = parked(main)
    assert log == ["c"]
    scheduler.close()
    assert log == ["c", "a", "b"]
    assert hooks == sys.get_asyncgen_hooks()


def test_dropped_generators():
    """A generator that is dropped halfway is closed there and then, and finds itself outside of a workflow."""
    log = []

    async def generate():
        try:
            with CancelScope():
                yield 1
        finally:
            try:
                await checkpoint()
            except RuntimeError as error:
                log.append(str(error))

    async def main():
        async for _ in generate():
            break
        assert len(log) == 1
        scope = current_task().scope
        await checkpoint()
        return scope is current_scheduler().root_scope

    assert run(main)
    assert "inside a workflow" in log[0]


def test_garbage():
    """A scheduler that was forgotten instead of closed is garbage, and goes quietly if no clean-up waits."""

    async def main():
        with CancelScope():
            async with open_nursery() as nursery:
                nursery.start_soon(sleep, 3)
                with move_on_after(3):
                    await sleep_forever()

    scheduler = weakref.ref(parked(main))
    gc.collect()
    assert scheduler() is None


def test_coroutines_driven_by_hand():
    """A coroutine that a task steps and closes by itself is cleaned up like any other."""
    log = []

    async def inner(wait):
        try:
            await wait()
        finally:
            log.append(wait.__name__)

    async def main():
        for wait in (sleep_forever, checkpoint):
            coro = inner(wait)
            coro.send(None)
            coro.close()

    run(main)
    assert log == ["sleep_forever", "checkpoint"]


def test_dropped_generator_with_a_nursery():
    """The children of a nursery in a generator that is dropped are cancelled, and can still be seen."""
    log = []

    async def child():
        try:
            await sleep_forever()
        finally:
            log.append("cancelled")

    async def generate():
        async with open_nursery() as nursery:
            nursery.start_soon(child)
            await checkpoint()
            yield 1

    async def main():
        async for _ in generate():
            break
        assert len(current_scheduler().live_tasks()) == 2
        await checkpoint()
        assert len(current_scheduler().live_tasks()) == 1
        return current_task().scope is current_scheduler().root_scope

    assert run(main)
    assert log == ["cancelled"]


def test_misuse_of_an_evicted_scheduler():
    """An evicted scheduler cannot be started."""
    scheduler = Scheduler()
    scheduler.close()
    with pytest.raises(RuntimeError, match="started once"):
        scheduler.start(sleep_forever)


def test_foreign_error_is_not_special():
    """Misuse is an ordinary exception: clean-up around it runs as usual."""

    async def main():
        with pytest.raises(WorkflowMisuseError):
            await trio.lowlevel.checkpoint()
        await sleep(1)

    run(main)
