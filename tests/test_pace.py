"""Work of any length shares the loop slice by slice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from wfactors import pace
from wfactors.pace import SLICE_SECONDS, Pace, paced_list


class Clock:
    """Stands for the module ``time``; moves when it is told to."""

    def __init__(self) -> None:
        self.now = 5.0

    def perf_counter(self) -> float:
        return self.now


class Steps(trio.abc.Instrument):
    """Counts how often tasks are resumed."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, _: trio.lowlevel.Task) -> None:
        self.count += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


async def test_a_checkpoint_once_a_slice(clock: Clock) -> None:
    """Ten pieces of a third of a slice each are four slices."""
    steps, own = Steps(), Pace()
    trio.lowlevel.add_instrument(steps)
    for _ in range(10):
        clock.now += SLICE_SECONDS / 2.9
        await own.keep()
    trio.lowlevel.remove_instrument(steps)
    assert 3 == steps.count


async def test_cancellation_comes_between_slices(clock: Clock) -> None:
    """And not within one."""
    with trio.CancelScope() as scope:
        scope.cancel()
        own = Pace()
        await own.keep()
        assert not own.is_over
        clock.now += SLICE_SECONDS
        assert own.is_over
        await own.keep()
        raise AssertionError("not reached")
    assert scope.cancelled_caught


async def test_a_list_is_made_a_slice_at_a_time(clock: Clock) -> None:
    """Between slices, three items more are there."""
    made: list[int] = []
    seen: list[int] = []

    class Looks(trio.abc.Instrument):
        def after_task_step(self, _: trio.lowlevel.Task) -> None:
            seen.append(len(made))

    def numbers() -> Iterator[int]:
        for number in range(9):
            clock.now += SLICE_SECONDS / 2.9
            made.append(number)
            yield number

    trio.lowlevel.add_instrument(looks := Looks())
    assert list(range(9)) == await paced_list(numbers())
    trio.lowlevel.remove_instrument(looks)
    assert [3, 6, 9] == seen
