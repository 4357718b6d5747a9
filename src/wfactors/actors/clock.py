"""The time of workflows: an injected clock, so that a test can skip a month and a simulation can skew a node.

Timers and absolute deadlines are in a Clock's time. How long something took or may take (leases, grace periods,
start-to-close) is measured on Trio's clock, which never jumps in production.
"""

from __future__ import annotations

import time
from typing import Protocol

import trio

__all__ = ["Clock", "SystemClock", "TrioClock"]

_REREAD_SECONDS = 1.0


class Clock(Protocol):
    """Where an engine learns what time it is."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep_until(self, at: float) -> None:
        """Return once ``now()`` is ``at`` or later; a checkpoint in any case, and nothing else happens if cancelled."""
        ...


class SystemClock:
    """The wall clock of this machine."""

    __slots__ = ()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep_until(self, at: float) -> None:
        """Return once the wall clock shows ``at``.

        It is read again at least every second, so that a jump of the clock is noticed. Cancelled, it just ends.
        """
        while (rest := at - time.time()) > 0:  # noqa: ASYNC110 - no event tells of the wall clock
            # An infinite rest is fine too: min() makes a second of it.
            await trio.sleep(min(rest, _REREAD_SECONDS))
        await trio.lowlevel.checkpoint()


class TrioClock:
    """A clock that follows ``trio.current_time()`` exactly, for tests under ``trio.testing.MockClock``.

    Args:
        epoch: What ``now()`` says when the first call is made.
    """

    __slots__ = ("_epoch", "_offset")

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch
        self._offset: float | None = None

    def now(self) -> float:
        """Seconds since the epoch; only inside ``trio.run``."""
        current = trio.current_time()
        if self._offset is None:
            self._offset = self._epoch - current
        return self._offset + current

    async def sleep_until(self, at: float) -> None:
        """Return once ``now()`` is ``at``: one sleep straight to it. Cancelled, it just ends."""
        while (rest := at - self.now()) > 0:  # noqa: ASYNC110 - once, but for rounding
            # The sum of epoch and Trio's time has fewer digits behind the point than either: a rest may be left that
            # is too small to change Trio's deadline.
            await trio.sleep(max(rest, 1e-6))
        await trio.lowlevel.checkpoint()
