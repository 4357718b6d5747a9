"""Nurseries: what they wait for, what they raise, and the protocol of start()."""

from __future__ import annotations

import functools
import types

import pytest

from tests.kernel.drive import run
from wfactors.errors import Cancelled
from wfactors.kernel.lowlevel import checkpoint, current_scheduler, current_task, current_time, wait_quiescent
from wfactors.kernel.nursery import TASK_STATUS_IGNORED, open_nursery
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.timeouts import move_on_after, sleep, sleep_forever


async def settle():
    """Let every other task run until it waits."""
    await wait_quiescent(lambda: True)


async def fail(error):
    raise error


# --- Waiting and raising ---------------------------------------------------------------------------------------------


def test_waits_for_its_tasks():
    """The block is left when the last task has ended; the nursery is closed then."""

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 3)
            nursery.start_soon(sleep, 1, name="short")
            assert [f"{sleep.__module__}.sleep", "short"] == [task.name for task in nursery.child_tasks]
            assert nursery.parent_task is current_task()
            assert [nursery] == current_task().child_nurseries
            assert {nursery} == {task.parent_nursery for task in nursery.child_tasks}
            assert repr(nursery).endswith(", 2 children>")
        assert current_task().child_nurseries == []
        with pytest.raises(RuntimeError, match="closed to new arrivals"):
            nursery.start_soon(sleep_forever)
        with pytest.raises(RuntimeError, match="closed to new arrivals"):
            await nursery.start(sleep_forever)
        return current_time()

    assert run(main) == 3


def test_child_tasks_are_a_set_frozen_in_time():
    """What child_tasks returned does not change, compares like a set, and keeps its order."""

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(checkpoint)
            before = nursery.child_tasks
            assert before == frozenset(nursery.child_tasks)
        return len(before), len(nursery.child_tasks)

    assert run(main) == (1, 0)


def test_an_empty_nursery_is_a_schedule_point():
    """Leaving a nursery without tasks lets others run and is never cancelled."""

    async def main():
        ran = []

        async def note():
            ran.append(1)

        async with open_nursery() as outer:
            outer.start_soon(note)
            with CancelScope() as scope:
                scope.cancel()
                async with open_nursery():
                    assert ran == []
                assert ran == [1]
            assert not scope.cancelled_caught

    run(main)


def test_errors_cancel_the_others_and_are_raised_together():
    """What tasks and block raise comes out in one group, in the order in which it was raised."""

    async def fail_late():
        try:
            await sleep_forever()
        finally:
            raise KeyError("late")

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)
            nursery.start_soon(fail_late)
            await settle()
            nursery.start_soon(fail, ValueError("early"))
            raise OSError("block")

    with pytest.raises(ExceptionGroup) as raised:
        run(main)
    assert [OSError, ValueError, KeyError] == [type(error) for error in raised.value.exceptions]


def test_a_single_error_is_wrapped_too():
    """A group of one is a group; with something that is no Exception in it, a BaseExceptionGroup."""

    async def main(error):
        async with open_nursery() as nursery:
            nursery.start_soon(fail, error)

    with pytest.RaisesGroup(ValueError):
        run(main, ValueError())
    with pytest.RaisesGroup(SystemExit):
        run(main, SystemExit())
    with pytest.raises(ValueError, match="strict_exception_groups"):
        open_nursery(strict_exception_groups=False)
    open_nursery(strict_exception_groups=True)


def test_cancelled_is_caught_by_the_nursery_that_was_cancelled():
    """Cancelling a nursery's scope ends its tasks without a trace."""

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)
            await settle()
            nursery.cancel_scope.cancel()
            await sleep_forever()
        return nursery.cancel_scope.cancelled_caught

    assert run(main)


def test_cancelled_goes_out_in_groups():
    """A cancellation from further out passes nurseries in groups, beside what went wrong."""

    async def fail_when_cancelled():
        try:
            await sleep_forever()
        finally:
            raise ValueError

    async def main():
        with pytest.RaisesGroup(pytest.RaisesGroup(ValueError)), move_on_after(1) as scope:
            async with open_nursery() as outer:
                outer.start_soon(sleep_forever)
                async with open_nursery() as inner:
                    inner.start_soon(sleep_forever)
                    inner.start_soon(fail_when_cancelled)
        return scope.cancelled_caught

    assert run(main)


def test_context_of_what_the_block_raises():
    """An error that goes through a nursery keeps the context it had."""

    async def main():
        try:
            raise KeyError
        except KeyError:
            async with open_nursery():
                raise ValueError  # noqa: B904

    with pytest.raises(ExceptionGroup) as raised:
        run(main)
    assert raised.value.__context__ is None
    assert isinstance(raised.value.exceptions[0].__context__, KeyError)


def test_tasks_started_by_tasks():
    """A task can start others in the nursery that it is in, until all have ended."""

    async def main():
        ran = []

        async def chain(nursery, left):
            ran.append(left)
            if left:
                nursery.start_soon(chain, nursery, left - 1)

        async with open_nursery() as nursery:
            nursery.start_soon(chain, nursery, 3)
        return ran

    assert run(main) == [3, 2, 1, 0]


# --- What can be started ---------------------------------------------------------------------------------------------


@types.coroutine
def generator_coroutine():
    yield


class Foreign:
    """A coroutine of Cython's, as far as Python can see."""

    def __init__(self, coro):
        self._coro = coro

    def __await__(self):
        return self._coro.__await__()

    def send(self, value):
        return self._coro.send(value)

    def throw(self, *args):
        return self._coro.throw(*args)

    def close(self):
        self._coro.close()


class Future:
    pass


async def generate():
    yield


def test_helpful_type_errors():
    """Whoever passes something else than an async function is told what it is."""
    future = types.SimpleNamespace(_asyncio_future_blocking=False)
    cases = [
        (checkpoint(), "expecting an async function, but instead it got a coroutine object"),
        (Foreign(checkpoint()), "expecting an async function, but instead it got a coroutine object"),
        (Future(), "belongs to another library"),
        (generator_coroutine(), "belongs to another library"),
        (generator_coroutine, "got unexpected"),
        (lambda: future, "got unexpected"),
        (generate, "got an async generator"),
        (len, "exactly one argument"),
        (list, "'list' appears to be synchronous"),
    ]

    async def main():
        async with open_nursery() as nursery:
            for value, message in cases:
                with pytest.raises(TypeError, match=message):
                    nursery.start_soon(value)
            assert not nursery.child_tasks

    run(main)
    cases[0][0].close()


def test_other_coroutines():
    """A coroutine that is not Python's own runs all the same."""

    async def main():
        done = []

        async def work():
            await checkpoint()
            done.append(1)

        async with open_nursery() as nursery:
            nursery.start_soon(lambda: Foreign(work()))
            nursery.start_soon(functools.partial(work))
        return done

    assert run(main) == [1, 1]


def test_with_instead_of_async_with():
    """A plain with statement is told apart."""
    with pytest.raises(RuntimeError, match="async with open_nursery"), open_nursery():
        pass
    with pytest.raises(AssertionError):
        open_nursery().__exit__()


# --- start() ---------------------------------------------------------------------------------------------------------


def test_start_returns_what_was_started():
    """start() waits for started(), returns its value, and the task goes on in the nursery."""

    async def serve(number, *, task_status=TASK_STATUS_IGNORED):
        task = current_task()
        with CancelScope():
            await sleep(1)
            eventual.append(task.eventual_parent_nursery)
            task_status.started(number)
            eventual.append(task.eventual_parent_nursery)
            with pytest.raises(RuntimeError, match="twice"):
                task_status.started()
            assert "Task status object" in repr(task_status)
            await sleep(1)
            return task.parent_nursery

    async def main():
        async with open_nursery() as nursery:
            assert await nursery.start(serve, 7, name="server") == 7
            assert [task.name for task in nursery.child_tasks] == ["server"]
            assert current_time() == 1
            assert [nursery, None] == eventual
        return current_time()

    eventual = []
    assert run(main) == 2


def test_task_status_ignored():
    """The default status does nothing."""
    assert TASK_STATUS_IGNORED.started(1) is None
    assert repr(TASK_STATUS_IGNORED) == "TASK_STATUS_IGNORED"


def test_start_of_a_task_that_never_calls_started():
    """start() complains of a task that ends without started()."""

    async def main():
        async with open_nursery() as nursery:
            with pytest.raises(RuntimeError, match="without calling"):
                await nursery.start(lambda task_status: checkpoint())

    run(main)


def test_start_of_a_task_that_fails():
    """What a task raises before started() is raised by start(), as it is; afterwards by the nursery."""
    context = KeyError()
    error = ValueError("before")
    error.__context__ = context

    async def fail_before(task_status):
        raise error

    async def fail_after_started(task_status):
        task_status.started()
        raise ValueError("after")

    async def main():
        async with open_nursery() as nursery:
            with pytest.raises(ValueError, match="before") as raised:
                await nursery.start(fail_before)
            assert error is raised.value
            assert context is error.__context__
        with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="after")):
            async with open_nursery() as nursery:
                await nursery.start(fail_after_started)

    run(main)


def test_start_that_is_cancelled():
    """Cancelling start() cancels a task that has not called started(); afterwards it is out of reach."""
    log = []

    async def stubborn(task_status):
        try:
            await sleep_forever()
        finally:
            task_status.started()
            log.append("left behind")

    async def sturdy(task_status):
        task_status.started()
        await sleep(3)
        log.append("slept")

    async def main():
        async with open_nursery() as nursery:
            with move_on_after(1) as scope:
                await nursery.start(stubborn)
            assert scope.cancelled_caught
            assert log == ["left behind"]
            with CancelScope() as scope:
                await nursery.start(sturdy)
                scope.cancel()
        return log

    assert run(main) == ["left behind", "slept"]


def test_start_into_a_cancelled_nursery():
    """A task that is started into a cancelled nursery is cancelled when it arrives, with all its scopes and waits."""

    async def serve(task_status):
        async def wait():
            with CancelScope():
                await sleep_forever()

        try:
            with CancelScope(), CancelScope():
                async with open_nursery() as inner:
                    inner.start_soon(wait)
                    await settle()
                    task_status.started()
                    await sleep_forever()
        finally:
            log.append("ended")

    log = []

    async def main():
        async with open_nursery() as nursery:
            nursery.cancel_scope.cancel()
            with CancelScope(shield=True):
                await nursery.start(serve)
                assert log == []
        return log

    assert run(main) == ["ended"]


def test_started_by_somebody_else_while_the_task_waits():
    """A task whose started() another one calls is interrupted if it comes into a cancelled nursery."""

    async def serve(task_status):
        statuses.append(task_status)
        await sleep_forever()

    async def start(nursery):
        with CancelScope(shield=True):
            await nursery.start(serve)

    statuses = []

    async def main():
        async with open_nursery() as outer, open_nursery() as nursery:
            outer.start_soon(start, nursery)
            await settle()
            nursery.cancel_scope.cancel()
            statuses[0].started()
        return True

    assert run(main)


def test_start_of_several_tasks_in_the_hidden_nursery():
    """A task that starts others beside itself before started() gets all their errors in one group."""

    async def crowd(task_status):
        current_task().parent_nursery.start_soon(fail, ValueError())
        current_task().parent_nursery.start_soon(fail, KeyError())

    async def main():
        async with open_nursery() as nursery:
            with pytest.RaisesGroup(ValueError, KeyError):
                await nursery.start(crowd)

    run(main)


def test_start_keeps_the_nursery_open():
    """A nursery does not close while a start() into it is under way."""

    async def slow(task_status):
        await sleep(1)
        task_status.started()
        await sleep(1)

    async def main():
        async with open_nursery() as outer:
            async with open_nursery() as nursery:
                outer.start_soon(nursery.start, slow)
                await checkpoint()
            return current_time()

    assert run(main) == 2


# --- Out of order ----------------------------------------------------------------------------------------------------


def test_left_open():
    """A task that ends with an open nursery fails, and the tasks in it are cancelled and still in view."""
    log = []

    async def wait():
        try:
            await sleep_forever()
        finally:
            log.append(len(current_scheduler().live_tasks()))
            raise ValueError("lost")

    async def leave_open():
        nursery = await open_nursery().__aenter__()
        nursery.start_soon(wait)
        await settle()
        raise KeyError

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(leave_open)
        return log

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="Nursery stack corrupted")) as raised:
        run(main)
    assert isinstance(raised.value.exceptions[0].__context__, KeyError)
    assert log == [2]


def test_left_open_by_main():
    """The main task can make that mistake too."""

    async def main():
        await open_nursery().__aenter__()

    with pytest.raises(RuntimeError, match="Nursery stack corrupted"):
        run(main)


def test_left_by_somebody_else():
    """A nursery is left by the task that opened it; if that has ended, by anyone."""

    async def open_it(managers):
        managers.append(open_nursery())
        await managers[-1].__aenter__()

    async def main():
        managers = []
        with pytest.RaisesGroup(RuntimeError, RuntimeError):
            async with open_nursery() as nursery:
                nursery.start_soon(open_it, managers)
                nursery.start_soon(open_it, managers)
        assert await managers[0].__aexit__(None, None, None) is True
        with pytest.RaisesGroup(ValueError):
            await managers[1].__aexit__(ValueError, ValueError(), None)
        managers = [None]

        async def hold():
            managers[0] = open_nursery()
            await managers[0].__aenter__()
            await sleep_forever()

        async with open_nursery() as nursery:
            nursery.start_soon(hold)
            await settle()
            with pytest.raises(RuntimeError, match="cannot be left by"):
                await managers[0].__aexit__(None, None, None)
            raise KeyError

    with pytest.raises(ExceptionGroup) as raised:
        run(main)
    assert [KeyError, RuntimeError] == [type(error) for error in raised.value.exceptions]


def test_nurseries_closed_in_the_wrong_order():
    """Leaving an outer nursery first is an error."""

    async def main():
        outer, inner = open_nursery(), open_nursery()
        await outer.__aenter__()
        await inner.__aenter__()
        await outer.__aexit__(None, None, None)

    with pytest.raises((AssertionError, RuntimeError)):
        run(main)


def test_cancelled_in_main():
    """A group of cancellations that nobody owns is what it is."""

    async def main():
        with CancelScope() as scope:
            scope.cancel()
            try:
                async with open_nursery() as nursery:
                    nursery.start_soon(sleep_forever)
                    nursery.start_soon(sleep_forever)
            except BaseExceptionGroup as group:
                return [type(error) for error in group.exceptions]

    assert [Cancelled, Cancelled] == run(main)
