"""The time of a simulated world, and how seldom it looks for anything outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:

    class _IOManager:
        def get_events(self, timeout: float) -> Any: ...

else:
    _IOManager = trio._core._run.TheIOManager  # noqa: SLF001

__all__ = ["Endless", "JumpingClock", "SeldomIO"]

_TURNS = 16
_READINGS_MAX = 100_000


class Endless(BaseException):
    """Something goes on and on: time does not pass, or nothing comes of it."""


class JumpingClock(trio.abc.Clock):
    """A clock that stands still while a task can run, and is at the next deadline as soon as none can.

    It does what ``MockClock(autojump_threshold=0)`` does, for runs without threads and without I/O: Trio asks how long
    to sleep only when no task is ready, so that is when to jump. That saves every second turn of Trio's loop, and the
    readings of a real clock.
    If time does not pass for very long, because some task can always run, Trio's loop ends with ``Endless``: whatever
    goes round there may be shielded from being cancelled.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._readings = 0

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Seconds since the run began; Trio asks in each turn of its loop."""
        self._readings += 1
        if self._readings == _READINGS_MAX:
            raise Endless(f"time was read {_READINGS_MAX:,} times and did not pass")
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Not at all: by then it is ``deadline``."""
        self._readings = 0
        self._now = max(self._now, deadline)
        return 0.0


class SeldomIO(_IOManager):
    """Asks the operating system for events in one of 16 turns of Trio's loop.

    Nothing in a simulated world waits for a socket, and one question costs as much as a task's step; a scenario's own
    sockets and threads are still heard.
    """

    _turn = 0

    def get_events(self, timeout: float) -> Any:
        """As Trio asks, or no events at once."""
        self._turn = (self._turn + 1) % _TURNS
        return super().get_events(timeout) if self._turn == 0 or timeout > 0 else []
