"""Clocks: the wall's, read again and again, and Trio's, followed exactly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import trio

from wfactors.actors.clock import Clock, SystemClock, TrioClock

if TYPE_CHECKING:
    import pytest

MONTH_SECONDS = 30 * 24 * 3600.0


class Wakings(trio.abc.Instrument):
    """Counts how often a task was run."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: Any) -> None:
        self.count += 1


async def test_trio_clock_starts_at_its_epoch(autojump_clock: Any) -> None:
    """The first reading is the epoch, whatever Trio's clock shows."""
    await trio.sleep(12.5)
    assert TrioClock(1000.0).now() == 1000.0


async def test_trio_clock_follows_trio(autojump_clock: Any) -> None:
    """It advances as Trio's clock does."""
    clock = TrioClock(1000.0)
    first = clock.now()
    await trio.sleep(2.5)
    assert clock.now() - first == 2.5


async def test_trio_clock_sleeps_straight_to_the_deadline(autojump_clock: Any) -> None:
    """A month of sleep is one waking, not one for each second."""
    clock = TrioClock(1000.0)
    clock.now()
    wakings = Wakings()
    trio.lowlevel.add_instrument(wakings)
    await clock.sleep_until(1000.0 + MONTH_SECONDS)
    trio.lowlevel.remove_instrument(wakings)
    assert clock.now() == 1000.0 + MONTH_SECONDS
    assert wakings.count < 10


async def test_trio_clock_is_never_early(autojump_clock: Any) -> None:
    """Rounding of large epochs does not wake anybody before the time."""
    clock = TrioClock()
    for step in range(1, 200):
        at = clock.now() + step * 0.1234567
        await clock.sleep_until(at)
        assert clock.now() >= at


async def test_sleep_until_the_past_is_a_checkpoint(autojump_clock: Any) -> None:
    """A time that has passed costs a checkpoint, so that cancellation is noticed."""
    clocks: list[Clock] = [TrioClock(1000.0), SystemClock()]
    for clock in clocks:
        with trio.CancelScope() as scope:
            scope.cancel()
            await clock.sleep_until(0.0)
        assert scope.cancelled_caught


async def test_system_clock_shows_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is that of the machine."""
    monkeypatch.setattr(time, "time", lambda: 123.5)
    assert SystemClock().now() == 123.5


async def test_system_clock_notices_a_jump_forward(autojump_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the wall clock jumps over the deadline, the sleeper wakes within a second."""
    jump = 0.0
    monkeypatch.setattr(time, "time", lambda: 5000.0 + trio.current_time() + jump)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SystemClock().sleep_until, time.time() + 3600)
        await trio.sleep(10.5)
        jump = 7200.0
    assert 10.5 <= trio.current_time() - started <= 11.5


async def test_system_clock_notices_a_jump_backward(autojump_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the wall clock is put back, the sleeper waits for the time it was told."""
    jump = 0.0
    monkeypatch.setattr(time, "time", lambda: 5000.0 + trio.current_time() + jump)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SystemClock().sleep_until, time.time() + 10)
        await trio.sleep(5)
        jump = -100.0
    assert trio.current_time() - started == 110.0
