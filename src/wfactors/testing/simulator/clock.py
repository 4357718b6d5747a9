"""The time of a simulated world."""

from __future__ import annotations

import trio

__all__ = ["JumpingClock"]


class JumpingClock(trio.abc.Clock):
    """A clock that stands still while a task can run, and is at the next deadline as soon as none can.

    It does what ``MockClock(autojump_threshold=0)`` does, for runs without threads and without I/O: Trio asks how long
    to sleep only when no task is ready, so that is when to jump. That saves every second turn of Trio's loop, and the
    readings of a real clock.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Seconds since the run began."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Not at all: by then it is ``deadline``."""
        self._now = max(self._now, deadline)
        return 0.0
