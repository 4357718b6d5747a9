"""``gather``, ``race`` and ``wait_until``."""

from __future__ import annotations

import gc
import warnings

import pytest

from tests.kernel.drive import run
from wfactors.errors import Cancelled
from wfactors.kernel.combine import gather, race, wait_until
from wfactors.kernel.lowlevel import checkpoint, current_task, current_time
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.sync import Event
from wfactors.kernel.timeouts import sleep, sleep_forever


async def after(seconds, value):
    """Return a value, or raise it if it is an exception, after a while."""
    await sleep(seconds)
    if isinstance(value, BaseException):
        raise value
    return value


async def at_once(value):
    """Return a value, or raise it if it is an exception, without a checkpoint."""
    if isinstance(value, BaseException):
        raise value
    return value


async def fail_when_cancelled(error):
    """Wait for ever, and answer a cancellation by raising something else."""
    try:
        await sleep_forever()
    except Cancelled:
        raise error from None


class Ready:
    """Something that can be awaited and is no coroutine."""

    def __await__(self):
        yield from checkpoint().__await__()
        return "ready"


# --- gather ----------------------------------------------------------------------------------------------------------


def test_gather_returns_results_in_the_order_of_its_arguments():
    """Everything runs at the same time, whoever is ready first."""

    async def main():
        start = current_time()
        results = await gather(after(3, "a"), at_once("b"), after(1, "c"), Ready())
        return results, current_time() - start

    assert run(main) == (("a", "b", "c", "ready"), 3)


def test_gather_of_nothing_is_a_checkpoint():
    """It returns an empty tuple, lets others run and notices a cancellation."""
    order = []

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(at_once_append, order)
            assert await gather() == ()
            order.append("main")
        with CancelScope() as scope:
            scope.cancel()
            await gather()
        assert scope.cancelled_caught

    async def at_once_append(order):
        order.append("other")

    run(main)
    assert order == ["other", "main"]


def test_gather_runs_each_in_a_task_named_after_it():
    """A stack of a workflow shows what each task does."""

    async def who():
        return current_task().name

    class Who:
        def __await__(self):
            return who().__await__()

    async def main():
        return await gather(who(), Who())

    assert run(main) == (who.__qualname__, Who.__qualname__)


def test_gather_raises_the_first_failure_as_itself():
    """The others are cancelled, and their Cancelled does not show."""
    error = KeyError("first")
    ended = []

    async def main():
        async def sleeper():
            try:
                await sleep_forever()
            finally:
                ended.append(current_time())

        await gather(sleeper(), after(2, error), after(3, ValueError("never")), sleeper())

    with pytest.raises(KeyError) as caught:
        run(main)
    assert caught.value is error
    assert caught.value.__context__ is None
    assert ended == [2, 2]


def test_gather_keeps_a_group_that_one_of_them_raised():
    """Only the nursery's own group is taken away."""
    group = ExceptionGroup("mine", [ValueError()])

    async def main():
        await gather(at_once(group), sleep_forever())

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert (caught.value.message, caught.value.exceptions) == (group.message, group.exceptions)


def test_gather_raises_a_group_if_several_failed():
    """No failure is lost: neither one of the same instant nor one in answer to the cancellation."""

    async def main():
        event = Event()

        async def fail(error):
            await event.wait()
            raise error

        async def happen():
            event.set()

        await gather(fail(KeyError()), fail(ValueError()), fail_when_cancelled(OSError()), happen())

    with pytest.RaisesGroup(KeyError, ValueError, OSError):
        run(main)


def test_gather_keeps_the_context_of_a_failure():
    """That gather is called while handling something else says nothing about the failure's cause."""
    context = LookupError("why")

    async def fail():
        try:
            raise context
        except LookupError:
            raise ValueError("what")  # noqa: B904 - the implicit context is what is tested

    async def main():
        try:
            raise OSError("unrelated")
        except OSError:
            await gather(fail())

    with pytest.raises(ValueError, match="what") as caught:
        run(main)
    assert caught.value.__context__ is context


def test_gather_passes_a_cancellation_from_outside_on():
    """One Cancelled comes out, and the scope outside catches it."""

    async def main():
        with CancelScope(deadline=current_time() + 5) as scope:
            with pytest.raises(Cancelled):
                await gather(sleep_forever(), sleep_forever())
            await checkpoint()
        return scope.cancelled_caught, current_time()

    assert run(main) == (True, 5)


def test_gather_prefers_a_failure_to_a_cancellation_from_outside():
    """The scope stays cancelled, so dropping the Cancelled loses nothing."""

    async def main():
        with CancelScope(deadline=current_time() + 5) as scope, pytest.raises(ValueError, match="clean-up"):
            await gather(sleep_forever(), fail_when_cancelled(ValueError("clean-up")))
        assert scope.cancel_called

    run(main)


def test_gather_sees_through_the_groups_of_nurseries_inside():
    """A Cancelled from outside that comes in a group is still a Cancelled."""

    async def in_a_nursery():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)

    async def main():
        with CancelScope(deadline=current_time() + 5), pytest.raises(Cancelled):
            await gather(in_a_nursery(), in_a_nursery())
        with CancelScope(deadline=current_time() + 5), pytest.raises(ValueError, match="clean-up"):
            await gather(in_a_nursery(), fail_when_cancelled(ValueError("clean-up")))

    run(main)


# --- race ------------------------------------------------------------------------------------------------------------


def test_race_returns_the_result_of_the_first():
    """The others are cancelled and waited for."""
    ended = []

    async def main():
        async def loser():
            try:
                await sleep_forever()
            finally:
                with CancelScope(shield=True):
                    await sleep(1)
                ended.append(current_time())

        return await race(loser(), after(2, "won"), after(3, "late")), current_time()

    assert run(main) == ("won", 3)
    assert ended == [3]


def test_race_raises_the_failure_of_the_first():
    """Failing is a way of finishing."""
    error = KeyError("first")

    async def main():
        await race(sleep_forever(), after(1, error), after(2, "late"))

    with pytest.raises(KeyError) as caught:
        run(main)
    assert caught.value is error


def test_race_that_is_decided_at_once_starts_nobody_else():
    """Who comes after a winner that never waits does not begin."""
    begun = []

    async def late():
        begun.append("late")

    async def main():
        return await race(at_once("won"), late(), at_once(ValueError("never")))

    assert run(main) == "won"
    assert begun == []


def test_race_goes_to_the_first_of_those_who_finish_together():
    """Of two woken by the same event, the one that waited first wins."""

    async def main():
        event = Event()

        async def wait(name):
            await event.wait()
            return name

        async with open_nursery() as nursery:
            nursery.start_soon(call_after, 1, event.set)
            return await race(wait("a"), wait("b"))

    async def call_after(seconds, function):
        await sleep(seconds)
        function()

    assert run(main) == "a"


def test_race_does_not_lose_a_failure_in_a_losers_clean_up():
    """What went wrong is raised, even though the winner returned."""

    async def main():
        await race(after(1, "won"), fail_when_cancelled(OSError("refund failed")))

    with pytest.raises(OSError, match="refund failed"):
        run(main)


def test_race_passes_a_cancellation_from_outside_on():
    """Nobody wins when everybody is cancelled."""

    async def main():
        with CancelScope(deadline=current_time() + 5) as scope:
            await race(sleep_forever(), sleep_forever())
        return scope.cancelled_caught

    assert run(main) is True


def test_race_needs_a_competitor():
    """A race of nothing would never end."""
    with pytest.raises(TypeError, match="race"):
        run(race)


# --- What was never awaited ------------------------------------------------------------------------------------------


@pytest.fixture
def no_warnings():
    """Fail on a coroutine that was never awaited, which Python reports only when it is collected."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("combine", [gather, race])
def test_cancelled_before_the_start_closes_everything(combine):
    """In a cancelled scope nothing begins."""
    begun = []

    async def begin():
        begun.append(1)

    async def main():
        with CancelScope() as scope:
            scope.cancel()
            await combine(begin(), begin(), Ready())
        assert scope.cancelled_caught

    run(main)
    assert begun == []


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("combine", [gather, race])
def test_failure_at_once_closes_the_rest(combine):
    """What had not begun when the first failed never does."""
    begun = []

    async def begin():
        begun.append(1)

    async def main():
        await combine(at_once(ValueError("first")), begin())

    with pytest.raises(ValueError, match="first"):
        run(main)
    assert begun == []


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("combine", [gather, race])
def test_what_cannot_be_awaited_is_refused_before_anything_starts(combine):
    """The function instead of its call is the usual slip."""
    begun = []

    async def begin():
        begun.append(1)

    async def main():
        await combine(begin(), begin)

    with pytest.raises(TypeError, match="expected something to await, got <function"):
        run(main)
    assert begun == []


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("combine", [gather, race])
def test_eviction_closes_what_has_not_begun(combine):
    """A workflow that is put away in the middle of a turn leaves no coroutine behind."""

    async def stop_here():
        scheduler.stop(RuntimeError("interrupted"))

    async def main():
        await combine(stop_here(), sleep_forever(), sleep_forever())

    scheduler = Scheduler()
    scheduler.start(main)
    scheduler.run()
    scheduler.close()
    assert scheduler.main_outcome.finished is False


# --- wait_until ------------------------------------------------------------------------------------------------------


def test_wait_until_returns_when_the_predicate_is_true():
    """It is asked when everything else waits, so it sees no half of a change."""
    items = []

    async def add():
        for number in range(3):
            await sleep(1)
            items.extend([number, number])

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(add)
            await wait_until(lambda: len(items) >= 3)
            return current_time(), list(items)

    assert run(main) == (2, [0, 0, 1, 1])


def test_wait_until_of_what_is_true_already_is_a_checkpoint():
    """It returns at once, but others run and a cancellation is noticed."""
    order = []

    async def other():
        order.append("other")

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(other)
            await wait_until(lambda: True)
            order.append("main")
        with CancelScope() as scope:
            scope.cancel()
            await wait_until(lambda: True)
        assert scope.cancelled_caught

    run(main)
    assert order == ["other", "main"]


def test_wait_until_can_be_cancelled():
    """A deadline ends a wait for something that never comes true."""

    async def main():
        with CancelScope(deadline=current_time() + 7) as scope:
            await wait_until(lambda: False)
        return scope.cancelled_caught, current_time()

    assert run(main) == (True, 7)


@pytest.mark.parametrize("calls_before", [0, 1])
def test_wait_until_raises_what_its_predicate_raises(calls_before):
    """At the first call and at later ones."""
    calls = []

    def predicate():
        calls.append(1)
        if len(calls) > calls_before:
            raise KeyError("bug")
        return False

    with pytest.raises(KeyError, match="bug"):
        run(wait_until, predicate)
