"""Running tasks by hand: order, waits, outcomes, handlers, stopping, looking inside."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
import types
from math import inf

import pytest
import trio

from tests.kernel.drive import run
from wfactors.errors import Cancelled, WorkflowMisuseError
from wfactors.kernel.lowlevel import (
    Abort,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_effective_deadline,
    current_scheduler,
    current_scheduler_or_none,
    current_task,
    current_time,
    reschedule,
    wait_quiescent,
    wait_task_rescheduled,
)
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.timeouts import SLEEP, SLEEP_FOREVER, sleep, sleep_forever


def succeed(_):
    return Abort.SUCCEEDED


def started(async_fn, *args, **kwargs):
    scheduler = Scheduler(0.0)
    scheduler.start(async_fn, *args, **kwargs)
    return scheduler


async def nothing():
    pass


# --- The main task ---------------------------------------------------------------------------------------------------


def test_start_does_not_run():
    """The main task exists after start() and runs in run()."""
    ran = []

    async def main(value):
        ran.append(value)
        return value

    scheduler = started(main, 3)
    assert ran == []
    assert not scheduler.main_outcome.finished
    scheduler.run()
    assert ran == [3]
    assert (
        scheduler.main_outcome.finished,
        scheduler.main_outcome.value,
        scheduler.main_outcome.error,
    ) == (True, 3, None)


def test_start_once():
    """A scheduler runs one workflow."""
    scheduler = started(nothing)
    with pytest.raises(RuntimeError, match="started once"):
        scheduler.start(nothing)
    scheduler.close()


class Own(BaseException):
    """What an author may have thought of."""


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, Own])
def test_whatever_main_raises_is_its_outcome(kind):
    """No exception of the author's leaves run(), not even those that are no Exception."""
    error = kind()

    async def main():
        await checkpoint()
        raise error

    scheduler = started(main)
    scheduler.run()
    assert (True, None, error) == (
        scheduler.main_outcome.finished,
        scheduler.main_outcome.value,
        scheduler.main_outcome.error,
    )
    assert error.__traceback__.tb_frame.f_code.co_name == "main"


def test_stop_iteration_from_main():
    """StopIteration is a RuntimeError, as in every coroutine."""

    async def main():
        raise StopIteration(1)

    with pytest.raises(RuntimeError, match="StopIteration"):
        run(main)


def test_names():
    """A task is called what it was given, or after its function."""

    class Callable:
        async def __call__(self):
            return current_task().name

        def __repr__(self):
            return "<callable>"

    async def own():
        task = current_task()
        before = task.name
        task.name = "new"
        return before, task.name, repr(task).startswith("<Task 'new' at 0x")

    scheduler = started(own, name="given")
    scheduler.run()
    assert scheduler.main_outcome.value == ("given", "new", True)
    scheduler = started(functools.partial(functools.partial(nothing)))
    assert f"{__name__}.nothing" == scheduler.main.name
    scheduler.close()
    assert run(Callable()) == "<callable>"


def test_context_of_main():
    """The main task runs in the context it is given, or in a copy of that of start()."""
    variable = contextvars.ContextVar("variable", default=0)

    async def main():
        before = variable.get()
        variable.set(3)
        return before

    context = contextvars.Context()
    context.run(variable.set, 1)
    scheduler = started(main, context=context)
    scheduler.run()
    assert (scheduler.main_outcome.value, context[variable]) == (1, 3)
    variable.set(2)
    assert run(main) == 2
    assert variable.get() == 2


def test_outside_of_a_workflow():
    """Functions for workflows refuse to work outside of one."""
    assert current_scheduler_or_none() is None
    for function in (current_scheduler, current_task, current_time, current_effective_deadline):
        with pytest.raises(RuntimeError, match="inside a workflow"):
            function()


def test_inside_of_a_workflow():
    """Inside of one they know the scheduler, the task and the time."""

    async def main():
        return current_scheduler(), current_scheduler_or_none(), current_task(), current_time()

    scheduler = Scheduler(5.0)
    scheduler.start(main)
    scheduler.run()
    assert (scheduler, scheduler, scheduler.main, 5.0) == scheduler.main_outcome.value
    assert scheduler.main.exited
    assert scheduler.current is None


def test_no_task_in_an_engine_callback():
    """Code that is run by the engine in a task's context is in no task."""
    scheduler = started(sleep_forever)
    scheduler.run()
    with pytest.raises(RuntimeError, match="inside a workflow's task"):
        scheduler.main.context.run(current_task)
    scheduler.close()


# --- Order -----------------------------------------------------------------------------------------------------------


def test_first_in_first_out():
    """Tasks take turns in the order in which they became ready."""
    order = []

    async def take_turns(name):
        for turn in range(3):
            order.append(f"{name}{turn}")
            await checkpoint()

    async def main():
        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(take_turns, name)

    run(main)
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_lots_to_break():
    """A task that ends breaks what it was to break, before anybody hears of its end."""
    log = []

    class Lot:
        def break_lot(self, task):
            log.append((task, task.exited, task in task.parent_nursery.child_tasks))

    async def main():
        current_task().lots_to_break.append(Lot())
        return current_task()

    assert [(run(main), True, True)] == log


def test_schedulers_nest():
    """A scheduler driven by a task of another one leaves that one as it was."""

    async def inner():
        await sleep(1)
        return current_scheduler()

    async def outer():
        task = current_task()
        inner_scheduler = run(inner)
        assert inner_scheduler is not current_scheduler()
        assert task is current_task()
        await checkpoint()

    run(outer)


# --- Waits -----------------------------------------------------------------------------------------------------------


def test_reschedule_from_outside():
    """A fact from outside ends a wait with a value or an error."""
    error = ValueError()

    async def main():
        first = await wait_task_rescheduled(succeed)
        try:
            await wait_task_rescheduled(succeed)
        except ValueError as second:
            return first, second

    scheduler = started(main)
    scheduler.run()
    scheduler.main.custom_sleep_data = scheduler.main.waiting_for = "something"
    reschedule(scheduler.main, 1)
    assert (scheduler.main.custom_sleep_data, scheduler.main.waiting_for) == (None, None)
    scheduler.run()
    reschedule(scheduler.main, error=error)
    scheduler.run()
    assert (1, error) == scheduler.main_outcome.value


def test_reschedule_of_one_who_does_not_wait():
    """A task that is ready, or running, or gone cannot be woken."""

    async def main():
        reschedule(current_task())

    scheduler = started(main)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not waiting"):
            reschedule(scheduler.main)
        scheduler.run()
    with pytest.raises(RuntimeError, match="not waiting"):
        raise scheduler.main_outcome.error


def test_abort_functions():
    """Cancelling asks the wait once; FAILED lets it go on, and raise_cancel may be used later."""
    asked = []

    def refuse(raise_cancel):
        asked.append(raise_cancel)
        return Abort.FAILED

    async def main():
        with CancelScope() as scope:
            scopes.append(scope)
            value = await wait_task_rescheduled(refuse)
            with pytest.raises(Cancelled):
                asked[0]()
            with pytest.raises(Cancelled):
                await checkpoint()
            return value

    scopes = []
    scheduler = started(main)
    scheduler.run()
    scheduler.root_scope.cancel()
    scopes[0].shield = True
    scopes[0].shield = False
    scheduler.run()
    assert len(asked) == 1
    reschedule(scheduler.main, 4)
    scheduler.run()
    assert scheduler.main_outcome.value == 4


def test_abort_function_with_a_wrong_answer():
    """An abort function that answers nonsense stops the scheduler: it is the kernel's own bug."""

    async def main():
        await wait_task_rescheduled(lambda _: None)

    scheduler = started(main)
    scheduler.run()
    scheduler.root_scope.cancel()
    scheduler.run()
    assert str(scheduler.failure) == "an abort function must return an Abort, not None"
    scheduler.close()


def test_checkpoints():
    """checkpoint() lets others run and raises when cancelled, checkpoint_if_cancelled() does so only then."""
    steps = []

    async def count():
        while True:
            steps.append(1)
            await cancel_shielded_checkpoint()
            if len(steps) > 5:
                return

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(count)
            await checkpoint()
            assert len(steps) == 1
            await checkpoint_if_cancelled()
            assert len(steps) == 1
            await cancel_shielded_checkpoint()
            assert len(steps) == 2
            with CancelScope() as scope:
                scope.cancel()
                await cancel_shielded_checkpoint()
                assert len(steps) == 3
                with pytest.raises(Cancelled):
                    await checkpoint_if_cancelled()
                assert len(steps) == 4
                with pytest.raises(Cancelled):
                    await checkpoint()
                assert len(steps) == 5

    run(main)


def test_checkpoint_if_cancelled_and_the_cancellation_goes_away():
    """A shield raised while the checkpoint lets others run hides the cancellation from it."""

    async def raise_shield(scope):
        scope.shield = True

    async def main():
        with CancelScope() as outer:
            async with open_nursery() as nursery:
                with CancelScope() as inner:
                    nursery.cancel_scope.shield = True
                    nursery.start_soon(raise_shield, inner)
                    outer.cancel()
                    nursery.cancel_scope.shield = False
                    assert -inf == current_effective_deadline()
                    await checkpoint_if_cancelled()
                    assert inf == current_effective_deadline()

    run(main)


def test_wait_quiescent():
    """Waiters are asked in order whenever nothing is ready, and woken once."""
    log = []
    state = {"step": 0}

    def asked(name, step):
        log.append(f"ask {name}")
        return state["step"] >= step

    async def wait(name, step):
        await wait_quiescent(functools.partial(asked, name, step))
        log.append(f"woken {name}")
        state["step"] += 1

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(wait, "a", 1)
            nursery.start_soon(wait, "b", 0)

    run(main)
    assert log == ["ask a", "ask b", "woken b", "ask a", "woken a"]


def test_wait_quiescent_runs_the_predicate_in_its_task():
    """The predicate sees the context of the task that waits, and its error is raised there."""
    variable = contextvars.ContextVar("variable", default=0)

    def predicate():
        assert variable.get() == 7
        raise ZeroDivisionError(current_task().name)

    async def main():
        variable.set(7)
        with pytest.raises(ZeroDivisionError, match="main"):
            await wait_quiescent(predicate)

    run(main)


def test_wait_quiescent_is_cancellable():
    """A cancelled waiter is asked no more, not even if its own predicate cancelled it."""

    async def main():
        with CancelScope() as scope:
            scope.cancel()
            await wait_quiescent(lambda: pytest.fail("asked"))
        assert scope.cancelled_caught
        with CancelScope() as scope:
            await wait_quiescent(lambda: scope.cancel() is None)
        return scope.cancelled_caught

    assert run(main)


def test_deadline_in_the_past_counts_before_the_next_step():
    """A deadline moved to the past is noticed before any task goes on, and the moment nothing is left to run."""

    async def main():
        with CancelScope() as scope:
            scope.deadline = current_time() - 1
            await checkpoint()
        assert scope.cancelled_caught

        def move():
            scope.deadline = current_time()
            return False

        with CancelScope() as scope:
            await wait_quiescent(move)
        assert scope.cancelled_caught

    run(main)


# --- Foreign awaitables ----------------------------------------------------------------------------------------------


@types.coroutine
def yield_none():
    yield


async def await_future():
    loop = asyncio.new_event_loop()
    try:
        await asyncio.Future(loop=loop)
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (await_future, "_asyncio.Future"),
        (functools.partial(asyncio.sleep, 0), "asyncio.tasks.__sleep0 (which yields builtins.NoneType)"),
        (trio.lowlevel.cancel_shielded_checkpoint, "trio._core._traps.cancel_shielded_checkpoint"),
        (functools.partial(trio.lowlevel.wait_task_rescheduled, print), "trio._core._traps.wait_task_rescheduled"),
    ],
)
def test_foreign_awaitables_are_refused_where_they_are_awaited(function, name):
    """What another event loop would understand raises at that line, is named, and can be caught."""

    async def main():
        caught = []
        for _ in range(2):
            try:
                await function()
            except WorkflowMisuseError as error:
                caught.append(error)
        await sleep(1)
        return caught

    errors = run(main)
    assert len(errors) == 2
    assert str(errors[0]).startswith(f"{name} cannot be awaited in a workflow: ")
    assert "wfactors.*" in str(errors[0])
    assert "activity" in str(errors[0])


def test_foreign_yield_without_a_frame():
    """An awaitable written in C that yields nonsense is named by what it yields."""

    class Odd:
        def __await__(self):
            return iter([1])

    async def main():
        await Odd()

    with pytest.raises(WorkflowMisuseError, match=r"builtins\.int"):
        run(main)


def test_trio_as_host():
    """Inside of Trio, a kernel refuses Trio's waits and leaves Trio's task and hooks as they were."""

    async def workflow():
        async def generate():
            yield 1
            yield 2

        async for _ in generate():
            break
        with pytest.raises(WorkflowMisuseError, match="sleep"):
            await trio.sleep(1)
        await sleep(10)
        return "done"

    async def host():
        hooks = sys.get_asyncgen_hooks()
        task = trio.lowlevel.current_task()
        assert run(workflow) == "done"
        assert hooks == sys.get_asyncgen_hooks()
        assert task is trio.lowlevel.current_task()
        await trio.lowlevel.checkpoint()

    trio.run(host)


# --- Handlers --------------------------------------------------------------------------------------------------------


def test_handlers_report_to_done_alone():
    """A handler's result or error goes to its callback, and the main task knows nothing of it."""
    reported = []
    error = ValueError()

    async def answer(value):
        await checkpoint()
        return value

    async def fail():
        raise error

    scheduler = started(sleep, 5)
    scheduler.run()
    scheduler.spawn_handler(answer, 4, done=lambda *outcome: reported.append(outcome), name="four")
    context = contextvars.Context()
    task = scheduler.spawn_handler(fail, done=lambda *outcome: reported.append(outcome), context=context)
    assert context is task.context
    scheduler.run()
    assert [(None, error), (4, None)] == reported
    assert not scheduler.main_outcome.finished
    scheduler.advance(5)
    scheduler.run()
    assert scheduler.main_outcome.finished
    with pytest.raises(RuntimeError, match="has ended"):
        scheduler.spawn_handler(nothing, done=print)


def test_handlers_are_cancelled_and_awaited_when_main_ends():
    """The outcome of main is final when the last handler has ended."""
    reported = []

    async def clean_up():
        try:
            async with open_nursery() as nursery:
                nursery.start_soon(sleep_forever)
                await sleep_forever()
        finally:
            with CancelScope(shield=True):
                await sleep(3)

    async def main():
        await sleep(1)
        return 8

    scheduler = started(main)
    scheduler.run()
    scheduler.spawn_handler(clean_up, done=lambda value, error: reported.append((value, type(error))))
    scheduler.run()
    scheduler.advance(1)
    scheduler.run()
    assert (reported, scheduler.main_outcome.finished, scheduler.main_outcome.value) == ([], False, 8)
    scheduler.advance(4)
    scheduler.run()
    assert ([(None, Cancelled)], True) == (reported, scheduler.main_outcome.finished)


# --- Cancelling the workflow -----------------------------------------------------------------------------------------


async def wait_in_nursery():
    async with open_nursery() as nursery:
        nursery.start_soon(sleep_forever)
        nursery.start_soon(sleep_forever)


async def fail_in_nursery():
    try:
        await wait_in_nursery()
    finally:
        raise ValueError


async def fail_beside_nursery():
    async with open_nursery() as nursery:
        nursery.start_soon(sleep_forever)
        nursery.start_soon(fail_in_nursery)


def test_cancelled_workflow():
    """The outcome of a cancelled workflow is a plain Cancelled, in whatever groups it came."""
    for main in (sleep_forever, wait_in_nursery):
        scheduler = started(main)
        scheduler.run()
        scheduler.root_scope.cancel("enough")
        scheduler.run()
        assert isinstance(scheduler.main_outcome.error, Cancelled)
        assert scheduler.root_scope.cancel_reason == "enough"


def test_cancelled_workflow_that_fails():
    """What goes wrong during a cancellation is the outcome, without the cancellations."""
    scheduler = started(fail_beside_nursery)
    scheduler.run()
    scheduler.root_scope.cancel()
    scheduler.run()
    error = scheduler.main_outcome.error
    assert [ValueError] == [type(inner) for inner in error.exceptions]


def test_failing_group_of_a_workflow_that_is_not_cancelled():
    """Groups of a workflow that was not cancelled are left alone."""

    async def main():
        raise BaseExceptionGroup("", [ValueError()])

    with pytest.raises(ExceptionGroup):
        run(main)


# --- Stopping --------------------------------------------------------------------------------------------------------


def test_stop_ends_at_the_next_wait():
    """After stop() no step runs any more, not even of code that catches everything."""
    steps = []
    is_over = []
    failure = RuntimeError("stopped")

    async def stubborn():
        current_scheduler().stop(failure)
        current_scheduler().stop(ValueError("too late"))
        while not is_over:
            steps.append(1)
            with contextlib.suppress(BaseException):
                await checkpoint()

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(stubborn)
            nursery.start_soon(nothing)

    scheduler = started(main)
    scheduler.run()
    scheduler.run()
    assert ([1], failure) == (steps, scheduler.failure)
    assert not scheduler.main_outcome.finished
    reschedule(scheduler.main)
    is_over.append(True)
    scheduler.close()


def test_stop_makes_the_end_of_the_step_void():
    """A task that returns in the step in which the scheduler was stopped has no outcome."""

    async def main():
        current_scheduler().stop(RuntimeError())
        return 1

    scheduler = started(main)
    scheduler.run()
    assert (scheduler.main_outcome.finished, scheduler.main_outcome.value) == (False, None)
    scheduler.close()


def test_stop_in_a_predicate():
    """A predicate can stop the scheduler too."""

    async def main():
        await wait_quiescent(lambda: current_scheduler().stop(RuntimeError()) is None)

    scheduler = started(main)
    scheduler.run()
    assert scheduler.failure is not None
    scheduler.close()


def test_run_and_close_from_inside():
    """A task cannot drive the scheduler that runs it."""

    async def main():
        for function in (current_scheduler().run, current_scheduler().close):
            with pytest.raises(RuntimeError, match="from inside a task"):
                function()

    run(main)


# --- Looking inside --------------------------------------------------------------------------------------------------


def test_stacks():
    """Every live task tells its name, what it waits for, and where it is, innermost last."""

    async def generate():
        await sleep(1)
        yield 1

    async def iterate():
        async for _ in generate():
            pass

    class Wrapper:
        def __await__(self):
            return sleep_forever().__await__()

    async def wrapped():
        await Wrapper()

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(iterate, name="one")
            nursery.start_soon(wrapped, name="two")

    scheduler = started(main, name="root")
    scheduler.run()
    root, one, two = scheduler.stacks()
    assert [root.name, one.name, two.name] == ["root", "one", "two"]
    assert [frame.function for frame in root.frames][1:] == ["NurseryManager.__aexit__", "Nursery._join", "park"]
    functions = [frame.function.rpartition(".")[2] for frame in one.frames]
    assert functions == ["iterate", "generate", "sleep", "sleep_until", "park"]
    assert one.waiting_for == SLEEP
    functions = [frame.function.rpartition(".")[2] for frame in two.frames]
    assert functions == ["wrapped", "sleep_forever", "park"]
    assert two.waiting_for == SLEEP_FOREVER
    assert __file__ == one.frames[0].file
    assert one.frames[0].line > 0
    assert "2 children" in str(root.waiting_for)
    scheduler.close()


def test_fan_out_is_linear():
    """Ten thousand tasks in one nursery come and go without anybody looking at all of them."""

    async def main():
        async with open_nursery() as nursery:
            for number in range(10_000):
                nursery.start_soon(sleep, number % 7)
            assert len(nursery.child_tasks) == 10_000

    run(main)
