"""Cancel scopes: who is cancelled, who catches it, deadlines as timers, and what happens out of order."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from tests.kernel.drive import run
from wfactors.errors import Cancelled
from wfactors.kernel.lowlevel import (
    Abort,
    checkpoint,
    current_effective_deadline,
    current_scheduler,
    current_task,
    current_time,
    wait_quiescent,
    wait_task_rescheduled,
)
from wfactors.kernel.nursery import TASK_STATUS_IGNORED, open_nursery
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.timeouts import move_on_after, move_on_at, sleep, sleep_forever
from wfactors.kernel.timers import TimerChange


async def settle():
    """Let every other task run until it waits."""
    await wait_quiescent(lambda: True)


def driven(async_fn):
    """Return a scheduler that has run the function to where it waits."""
    scheduler = Scheduler()
    scheduler.start(async_fn)
    scheduler.run()
    return scheduler


# --- Cancelling ------------------------------------------------------------------------------------------------------


def test_cancel_is_level_triggered():
    """Every wait in a cancelled scope raises, not only the first."""

    async def main():
        with CancelScope() as scope:
            assert not scope.cancel_called
            scope.cancel("because")
            scope.cancel("again")
            for _ in range(3):
                with pytest.raises(Cancelled):
                    await sleep(1)
            assert scope.cancel_called
            await checkpoint()
        return scope.cancelled_caught, scope.cancel_reason, scope.cancel_called

    assert run(main) == (True, "because", True)


def test_cancelled_before_it_is_entered():
    """A scope cancelled early raises at the first wait in it, whatever its deadline."""

    async def main():
        scope = CancelScope(deadline=3)
        scope.cancel()
        with scope:
            await sleep_forever()
        return scope.cancelled_caught, current_scheduler().next_deadline

    assert (True, inf) == run(main)


def test_not_caught_if_nothing_was_interrupted():
    """A scope that was cancelled too late is left normally."""

    async def main():
        with CancelScope() as scope:
            scope.cancel()
        return scope.cancel_called, scope.cancelled_caught

    assert run(main) == (True, False)


def test_the_outermost_cancelled_scope_catches():
    """Cancelled goes on to the scope that it is for."""

    async def main():
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                outer.cancel()
                await checkpoint()
            pytest.fail("not reached")
        return outer.cancelled_caught, inner.cancelled_caught

    assert run(main) == (True, False)


def test_other_errors_pass_and_groups_are_filtered():
    """A scope takes its Cancelled out of groups and leaves the rest, with its context, as it was."""
    context = KeyError()

    async def main():
        with pytest.raises(ValueError, match="it"), CancelScope() as scope:  # noqa: PT012
            scope.cancel()
            raise ValueError("it")
        assert not scope.cancelled_caught
        with pytest.RaisesGroup(ValueError) as raised, CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            except Cancelled as cancelled:
                group = BaseExceptionGroup("both", [cancelled, ValueError()])
            group.__context__ = context
            raise group
        assert scope.cancelled_caught
        assert raised.value.__context__ is context
        with pytest.RaisesGroup(ValueError), CancelScope() as scope:
            scope.cancel()
            raise ExceptionGroup("one", [ValueError()])
        assert not scope.cancelled_caught

    run(main)


def test_shield():
    """A shield hides what comes from outside, and can be raised and lowered."""

    async def main():
        with CancelScope() as outer:
            with CancelScope(shield=True) as inner:
                assert inner.shield
                outer.cancel()
                await checkpoint()
                inner.shield = False
                with pytest.raises(Cancelled):
                    await checkpoint()
                inner.shield = True
                await checkpoint()
                inner.cancel()
                await checkpoint()
            assert inner.cancelled_caught
            await checkpoint()
        return outer.cancelled_caught

    assert run(main)


def test_shield_of_another_task():
    """Lowering a shield interrupts the waits below it, in every task."""
    log = []

    async def wait(name):
        try:
            with CancelScope():
                await sleep_forever()
        except Cancelled:
            log.append(name)
            raise

    async def shielded(task_status=TASK_STATUS_IGNORED):
        with CancelScope(shield=True) as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(wait, "a")
                nursery.start_soon(wait, "b")
                task_status.started(scope)

    async def main():
        with CancelScope() as outer:
            async with open_nursery() as nursery:
                scope = await nursery.start(shielded)
                await settle()
                outer.cancel()
                with CancelScope(shield=True):
                    await settle()
                    assert log == []
                    scope.shield = False
                    scope.shield = False
                    await settle()
                    assert log == ["a", "b"]

    run(main)


def test_unbound_scope_cancelled_from_another_task():
    """One task may cancel the scope that another one enters."""

    async def wait(scope):
        with scope:
            await sleep_forever()

    async def main():
        scope = CancelScope()
        async with open_nursery() as nursery:
            nursery.start_soon(wait, scope)
            await settle()
            scope.cancel()
        return scope.cancelled_caught

    assert run(main)


def test_cancelling_within_an_abort_function():
    """An abort function may cancel something else: it finds a consistent tree."""

    async def main():
        async def first(other):
            def abort(_):
                other.cancel()
                return Abort.SUCCEEDED

            await wait_task_rescheduled(abort)

        async def second(scope):
            with scope:
                await sleep_forever()

        other = CancelScope()
        async with open_nursery() as nursery:
            nursery.start_soon(first, other)
            nursery.start_soon(second, other)
            await settle()
            nursery.cancel_scope.cancel()
        return other.cancel_called, other.cancelled_caught

    assert run(main) == (True, False)


def test_a_deep_tree():
    """Cancelling five hundred nested tasks needs no deep recursion."""
    ended = []

    async def node(depth):
        async with open_nursery() as nursery:
            if depth:
                nursery.start_soon(node, depth - 1)
            try:
                await sleep_forever()
            finally:
                ended.append(depth)

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(node, 500)
            await settle()
            nursery.cancel_scope.cancel()

    run(main)
    assert list(range(500, -1, -1)) == ended


# --- Deadlines -------------------------------------------------------------------------------------------------------


def test_deadlines():
    """A deadline cancels when its time has come, in order, and can be moved."""

    async def main():
        with CancelScope(deadline=5) as outer, move_on_after(timedelta(seconds=3)) as inner:
            assert (outer.deadline, inner.deadline, current_effective_deadline()) == (5, 3, 3)
            assert (inner.is_relative, inner.relative_deadline) == (None, 3)
            inner.relative_deadline = timedelta(seconds=4)
            await sleep(3.5)
            assert current_time() == 3.5
            assert not inner.cancel_called
            assert inner.relative_deadline == 0.5
            inner.deadline = inf
            await sleep_forever()
        return current_time(), outer.cancelled_caught, inner.cancelled_caught

    assert run(main) == (5, True, False)


def test_absolute_deadlines_as_datetime():
    """Deadlines may be aware datetimes; one without a time zone means nothing certain."""
    at = datetime(2030, 1, 2, tzinfo=UTC)

    async def main():
        with move_on_at(at) as scope:
            assert at.timestamp() == scope.deadline
            scope.deadline = at + timedelta(seconds=1)
            await sleep_forever()
        return current_time() - at.timestamp()

    assert run(main) == 1
    with pytest.raises(ValueError, match="time zone"):
        CancelScope(deadline=datetime(2030, 1, 2))  # noqa: DTZ001


def test_passed_deadlines():
    """A deadline that has passed cancels at once: on entering, when asked, or before the next step."""

    async def main():
        with CancelScope(deadline=-inf) as scope:
            assert scope.cancel_called
            await checkpoint()
        assert scope.cancelled_caught
        with CancelScope() as scope:
            scope.deadline = current_time()
            assert scope.cancel_called
        scope = CancelScope(deadline=current_time())
        assert scope.cancel_called
        scope = CancelScope(deadline=current_time() + 1)
        with scope:
            assert not scope.cancel_called
        await sleep(2)
        assert not scope.cancel_called

    run(main)


def test_effective_deadline():
    """The effective deadline is the earliest up to the innermost shield, -inf when cancelled."""

    async def main():
        assert inf == current_effective_deadline()
        with move_on_after(5) as outer, move_on_after(9):
            assert current_effective_deadline() == 5
            with CancelScope(shield=True):
                assert inf == current_effective_deadline()
            outer.cancel()
            assert -inf == current_effective_deadline()

    run(main)


def test_relative_and_absolute_settings():
    """Before it is entered a scope has one kind of deadline, and says which."""
    relative = move_on_after(3)
    assert (relative.is_relative, relative.relative_deadline) == (True, 3)
    relative.relative_deadline = 4
    assert relative.relative_deadline == 4
    with pytest.raises(RuntimeError, match="no absolute deadline"):
        assert relative.deadline
    with pytest.raises(RuntimeError, match="no absolute deadline"):
        relative.deadline = 3
    absolute = move_on_at(3)
    assert (absolute.is_relative, absolute.deadline) == (False, 3)
    with pytest.raises(RuntimeError, match="no relative one"):
        assert absolute.relative_deadline
    with pytest.raises(RuntimeError, match="no relative one"):
        absolute.relative_deadline = 3
    assert CancelScope().is_relative is False
    assert inf == CancelScope(deadline=float("inf")).relative_deadline


def test_nonsense_settings():
    """NaN, negative and contradictory deadlines are refused, and shields that are no bool."""
    for arguments in (
        {"deadline": nan},
        {"relative_deadline": nan},
        {"relative_deadline": -1},
        {"relative_deadline": 1, "deadline": 1},
    ):
        with pytest.raises(ValueError, match=r"deadline|timeout"):
            CancelScope(**arguments)
    scope = CancelScope()
    with pytest.raises(ValueError, match="NaN"):
        scope.deadline = nan
    with pytest.raises(ValueError, match="NaN"):
        scope.relative_deadline = nan
    with pytest.raises(ValueError, match="non-negative"):
        scope.relative_deadline = -1
    with pytest.raises(TypeError, match="bool"):
        scope.shield = 1
    scope.shield = True
    assert scope.shield


# --- Timers ----------------------------------------------------------------------------------------------------------


def test_timer_changes():
    """Armed and disarmed deadlines are reported once, those that fire or come and go are not."""

    async def main():
        with move_on_after(1):
            pass
        with move_on_after(10) as outer:
            await sleep(3)
            outer.deadline = 12
            await sleep(3)
            outer.deadline = 13
            outer.deadline = 12
            await sleep(1)
        await checkpoint()

    scheduler = driven(main)
    assert [TimerChange(0, 10.0), TimerChange(1, 3.0)] == scheduler.take_timer_changes()
    assert scheduler.take_timer_changes() == []
    assert scheduler.next_deadline == 3.0
    scheduler.advance(3)
    scheduler.advance(2)
    scheduler.run()
    assert [TimerChange(0, None), TimerChange(2, 12.0), TimerChange(3, 6.0)] == scheduler.take_timer_changes()
    scheduler.advance(6)
    scheduler.run()
    assert [TimerChange(4, 7.0)] == scheduler.take_timer_changes()
    scheduler.advance(7)
    scheduler.run()
    assert [TimerChange(2, None)] == scheduler.take_timer_changes()
    assert inf == scheduler.next_deadline
    assert scheduler.main_outcome.finished


def test_timer_that_is_moved_to_the_past():
    """A timer that was reported is taken back when its scope is cancelled by an earlier deadline, or by hand."""

    async def main():
        with move_on_after(10) as scope:
            await checkpoint()
            await settle()
            await sleep(1)
            scope.deadline = current_time()
            await sleep_forever()
        with move_on_after(10) as scope:
            await sleep(1)
            scope.cancel()
            scope.deadline = 50
            await sleep_forever()
        with move_on_after(10) as scope:
            await sleep(1)
            scope.deadline = inf
            scope.deadline = inf
            await sleep(1)

    scheduler = driven(main)
    assert [TimerChange(0, 10.0), TimerChange(1, 1.0)] == scheduler.take_timer_changes()
    scheduler.advance(1)
    scheduler.run()
    assert [TimerChange(0, None), TimerChange(2, 11.0), TimerChange(3, 2.0)] == scheduler.take_timer_changes()
    scheduler.advance(2)
    scheduler.run()
    assert [TimerChange(2, None), TimerChange(4, 12.0), TimerChange(5, 3.0)] == scheduler.take_timer_changes()
    scheduler.advance(3)
    scheduler.run()
    assert [TimerChange(4, None), TimerChange(6, 4.0)] == scheduler.take_timer_changes()
    scheduler.close()


def test_deadlines_expire_in_order():
    """Deadlines of the same time expire in the order in which they were armed, all that are due at once."""
    order = []

    async def wait(name, at):
        with move_on_at(at):
            await sleep_forever()
        order.append(name)

    async def main():
        async with open_nursery() as nursery:
            for name, at in (("a", 3), ("b", 1), ("c", 3), ("d", 2), ("e", 1)):
                nursery.start_soon(wait, name, at)

    scheduler = driven(main)
    scheduler.advance(5)
    scheduler.run()
    assert order == ["b", "e", "d", "a", "c"]


def test_stale_deadlines_are_cleared_away():
    """A deadline that is moved a thousand times does not leave a thousand entries."""

    async def main():
        with move_on_after(5) as scope:
            for number in range(1000):
                scope.deadline = 5 + number
            timers = current_scheduler().timers
            assert (len(timers), len(timers._heap) < 100) == (1, True)
            assert current_scheduler().next_deadline == 1004
        assert inf == current_scheduler().next_deadline

    run(main)


# --- Out of order ----------------------------------------------------------------------------------------------------


def test_one_use():
    """A scope is for one with block."""

    async def main():
        scope = CancelScope()
        with scope:
            pass
        with pytest.raises(RuntimeError, match="single 'with' block"):
            scope.__enter__()
        with pytest.raises(RuntimeError, match="already been exited"):
            scope.__exit__(None, None, None)

    run(main)
    with pytest.raises(RuntimeError, match="inside a workflow"):
        CancelScope().__enter__()


def test_closed_while_an_inner_one_is_open():
    """Closing an outer scope first raises, and abandons what is inside of it."""
    log = []

    async def wait(name):
        with CancelScope():
            try:
                await sleep_forever()
            except Cancelled:
                log.append(name)
                raise

    async def main():
        with ExitStack() as stack:
            outer = stack.enter_context(CancelScope())
            with CancelScope() as inner:
                with pytest.raises(RuntimeError, match="still within its child"):
                    stack.close()
                assert current_scheduler().root_scope is current_task().scope
            assert not inner.cancelled_caught
            assert "exited, cancelled" in repr(outer)
        with ExitStack() as stack:
            stack.enter_context(CancelScope())
            async with open_nursery() as nursery:
                nursery.start_soon(wait, "a")
                await settle()
                with pytest.raises(RuntimeError, match="still within its child"):
                    stack.close()
                nursery.start_soon(wait, "b")
        assert log == ["a", "b"]

    run(main)


def test_closed_by_another_task():
    """A task cannot close the scope of another one; nothing changes if it tries."""

    async def hold(task_status):
        with CancelScope() as scope:
            task_status.started(scope)
            await sleep(1)
            assert current_task().scope is scope

    async def main():
        async with open_nursery() as nursery:
            scope = await nursery.start(hold)
            with pytest.raises(RuntimeError, match="from unrelated"):
                scope.__exit__(None, None, None)

    run(main)


def test_closed_by_a_child_task():
    """A child that closes a scope of its parent's is moved out of it, and everything else in it is abandoned."""

    async def close(scope):
        with pytest.raises(RuntimeError, match="still within its child"):
            scope.__exit__(None, None, None)

    async def main():
        with pytest.RaisesGroup(RuntimeError) as raised, CancelScope() as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(close, scope)
                nursery.start_soon(sleep_forever)
        return raised

    with pytest.raises(BaseException):  # noqa: B017, PT011
        run(main)


def test_nursery_scope_closed_by_hand():
    """Closing the scope of a nursery abandons its tasks; they cannot end well."""

    async def main():
        manager = open_nursery()
        nursery = await manager.__aenter__()
        nursery.start_soon(sleep_forever)
        await settle()
        nursery.cancel_scope.__exit__(None, None, None)
        with pytest.raises(RuntimeError, match="already been exited") as raised:
            await manager.__aexit__(None, None, None)
        (error,) = raised.value.__context__.exceptions
        assert "Cancel scope stack corrupted" in str(error)
        assert isinstance(error.__context__, Cancelled)

    run(main)


def test_left_open():
    """A scope that a task left open when it ended still expires, and nobody minds."""

    async def leave_open(task_status):
        scope = CancelScope(deadline=1)
        scope.__enter__()
        task_status.started(scope)

    async def main():
        async with open_nursery() as nursery:
            scope = await nursery.start(leave_open)
        await sleep(2)
        return scope.cancel_called

    assert run(main)


def test_repr():
    """A scope tells whether it is in use, cancelled, and how long it has."""

    async def main():
        scope = CancelScope(deadline=10)
        texts = [repr(scope)]
        with scope:
            texts.append(repr(scope))
            scope.deadline = 1
            scope._deadline = -2
            texts.append(repr(scope))
            scope.cancel()
        return [*texts, repr(scope)]

    unbound, active, late, exited = run(main)
    assert unbound.endswith(", unbound, deadline is 10.00 seconds from now>")
    assert active.endswith(", active, deadline is 10.00 seconds from now>")
    assert late.endswith(", active, deadline is 2.00 seconds ago>")
    assert exited.endswith(", exited, cancelled>")
    assert repr(CancelScope(deadline=3)).endswith(", unbound>")
