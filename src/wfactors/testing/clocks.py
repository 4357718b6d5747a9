"""Virtual time: Trio's MockClock for everything, held while a thread works."""

from __future__ import annotations

import math
from datetime import datetime
from weakref import WeakKeyDictionary

import trio
from trio.testing import MockClock

__all__ = ["AutojumpHold", "VirtualClock"]


class VirtualClock:
    """The time of a MockClock as wall-clock time; unlike ``wf.TrioClock`` it may be read from any thread.

    Args:
        clock: The clock of the run.
        epoch: What ``now()`` says at the clock's zero.
    """

    def __init__(self, clock: MockClock, epoch: float = 1_700_000_000.0) -> None:
        self._clock = clock
        self._epoch = epoch

    def begin_at(self, now: datetime | None) -> None:
        """Let it be ``now``; for the beginning of a test, before anything is recorded."""
        if now is not None:
            self._epoch = now.timestamp() - self._clock.current_time()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._epoch + self._clock.current_time()

    async def sleep_until(self, at: float) -> None:
        """Return once ``now()`` is ``at``: one sleep straight to it. Cancelled, it just ends."""
        while (rest := at - self.now()) > 0:  # noqa: ASYNC110 - once, but for rounding
            # A rest too small to change Trio's deadline would never end.
            await trio.sleep(max(rest, 1e-6))
        await trio.lowlevel.checkpoint()


class AutojumpHold:
    """Keeps an autojumping MockClock from jumping while threads work.

    ``MockClock`` jumps whenever no task can run, also when all of them wait for a thread that is busy; then deadlines
    pass that have not come. Stores and activities call ``acquire`` before they give work to a thread and ``release``
    after; in between the clock stands still.

    Args:
        clock: The clock of the run, made with ``autojump_threshold=0``.
    """

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock

    def acquire(self) -> None:
        """A thread begins to work."""
        _held[self._clock] = _held.get(self._clock, 0) + 1
        self._clock.autojump_threshold = math.inf

    def release(self) -> None:
        """A thread is done; the clock may jump again once all are."""
        held = _held.get(self._clock, 0) - 1
        assert held >= 0, "released more often than acquired"
        _held[self._clock] = held
        if held == 0:
            self._clock.autojump_threshold = 0.0

    @property
    def is_held(self) -> bool:
        """Whether a thread works."""
        return _held.get(self._clock, 0) > 0


# By clock, so that all holds of one clock know of each other.
_held: WeakKeyDictionary[MockClock, int] = WeakKeyDictionary()
