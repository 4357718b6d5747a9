"""A task that is started again when it crashes, but not for ever."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from wfactors.actors.supervisor import keep_running


class Child:
    """Crashes a number of times, then returns."""

    def __init__(self, crashes: int) -> None:
        self.crashes = crashes
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(trio.current_time())
        if len(self.starts) <= self.crashes:
            raise RuntimeError(f"crash {len(self.starts)}")


async def test_a_crashed_child_starts_again_after_a_growing_wait(autojump_clock: MockClock) -> None:
    """Three crashes lead to four starts, with waits of 1, 2 and 4 seconds."""
    child = Child(crashes=3)
    began = trio.current_time()
    await keep_running("child", child, delay_seconds=1)
    assert [0, 1, 3, 7] == [round(at - began) for at in child.starts]


async def test_too_many_crashes_go_up(autojump_clock: MockClock) -> None:
    """The crash above the limit is raised."""
    child = Child(crashes=10)
    with pytest.raises(RuntimeError, match="crash 3"):
        await keep_running("child", child, restarts_max=2)
    assert 3 == len(child.starts)


async def test_old_crashes_do_not_count(autojump_clock: MockClock) -> None:
    """A child that crashes once in a while is started again for ever."""
    starts = 0

    async def child() -> None:
        nonlocal starts
        starts += 1
        await trio.sleep(100)
        if starts < 20:
            raise RuntimeError

    await keep_running("child", child, restarts_max=1, window_seconds=60)
    assert 20 == starts


async def test_cancellation_passes_through(autojump_clock: MockClock) -> None:
    """Cancelled, it does not start the child again."""
    with trio.move_on_after(5) as scope:
        await keep_running("child", trio.sleep_forever)
    assert scope.cancelled_caught
