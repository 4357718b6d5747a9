"""Sleeping and timeouts on the workflow's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from tests.kernel.drive import Deadlock, run
from wfactors.errors import Cancelled, TooSlowError
from wfactors.kernel.lowlevel import current_task, current_time, reschedule
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.timeouts import (
    SLEEP,
    SLEEP_FOREVER,
    fail_after,
    fail_at,
    move_on_after,
    move_on_at,
    sleep,
    sleep_forever,
    sleep_until,
)


def test_sleep():
    """Sleeping takes as long as it says, in seconds, as a timedelta, or until a time."""

    async def main():
        times = [current_time()]
        for duration in (1, 0, 0.5, timedelta(minutes=1)):
            await sleep(duration)
            times.append(current_time())
        await sleep_until(100)
        times.append(current_time())
        await sleep_until(5)
        times.append(current_time())
        await sleep_until(datetime.fromtimestamp(200, UTC))
        return [*times, current_time()]

    assert run(main) == [0, 1, 1, 1.5, 61.5, 100, 100, 200]


@pytest.mark.parametrize("seconds", [-1, nan, timedelta(seconds=-1)])
def test_nonsense_durations(seconds):
    """Negative durations and NaN are refused."""

    async def main():
        with pytest.raises(ValueError, match="seconds"):
            await sleep(seconds)
        for function in (move_on_after, fail_after):
            with pytest.raises(ValueError, match="seconds"):
                function(seconds)

    run(main)


def test_nonsense_deadlines():
    """NaN and times without a zone are refused."""

    async def main():
        for function in (move_on_at, fail_at):
            with pytest.raises(ValueError, match="NaN"):
                function(nan)
        with pytest.raises(ValueError, match="time zone"):
            await sleep_until(datetime(2030, 1, 1))  # noqa: DTZ001

    run(main)


def test_sleep_forever_can_be_told_apart():
    """Whoever sleeps without an end says so."""
    waiting_for = {}

    async def main():
        async with open_nursery() as nursery:
            for function, *arguments in ((sleep_forever,), (sleep, 1), (sleep, inf), (sleep_until, inf)):
                nursery.start_soon(function, *arguments)

    scheduler = Scheduler()
    scheduler.start(main)
    scheduler.run()
    waiting_for = [task.waiting_for for task in scheduler.live_tasks()[1:]]
    assert waiting_for == [SLEEP_FOREVER, SLEEP, SLEEP_FOREVER, SLEEP_FOREVER]
    scheduler.close()
    with pytest.raises(Deadlock):
        run(sleep_forever)


def test_sleep_forever_cannot_be_woken():
    """Rescheduling an endless sleep is an error in it."""
    scheduler = Scheduler()
    scheduler.start(sleep_forever)
    scheduler.run()
    reschedule(scheduler.main)
    scheduler.run()
    assert "was rescheduled" in str(scheduler.main_outcome.error)
    assert scheduler.main.waiting_for is None


def test_move_on():
    """move_on_* leave the block when time is up."""

    async def main():
        with move_on_after(2) as after:
            await sleep(5)
        with move_on_at(4) as at:
            await sleep(5)
        with move_on_at(9, shield=True) as in_time:
            assert in_time.shield
            await sleep(1)
        return after.cancelled_caught, at.cancelled_caught, in_time.cancelled_caught, current_time()

    assert run(main) == (True, True, False, 5)


def test_fail():
    """fail_* raise TooSlowError when time is up, and nothing else otherwise."""

    async def main():
        with pytest.raises(TooSlowError) as raised, fail_after(2) as scope:
            await sleep(5)
        assert scope.cancelled_caught
        assert raised.value.__suppress_context__
        with pytest.raises(TooSlowError), fail_at(4, shield=True) as scope:  # noqa: PT012
            assert scope.shield
            await sleep(5)
        with fail_after(2):
            await sleep(1)
        with pytest.raises(KeyError), fail_after(2):
            raise KeyError
        with CancelScope() as outer, fail_after(2):
            outer.cancel()
            await sleep(1)
        assert outer.cancelled_caught
        with pytest.RaisesGroup(KeyError), fail_after(1) as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(sleep_forever)
                try:
                    await sleep_forever()
                except Cancelled:
                    raise KeyError from None
        assert scope.cancelled_caught
        return current_task().scope._parent

    assert run(main) is None
