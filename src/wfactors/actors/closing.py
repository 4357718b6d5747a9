"""Close the runs that leave memory: their coroutines end, without effect and without holding the loop.

A run that is evicted, parked, terminated or lost with its partition has author code under way. Its clean-up code must
run, in its own tasks, and must reach nothing: neither Trio nor the history. Nobody waits for it, so it is done beside
everything else, some tasks at a time, and bounded by the watchdog like a turn.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from wfactors.actors.author_code import AuthorCode
from wfactors.actors.watchdog import TurnInterrupted, Watchdog
from wfactors.pace import Pace

if TYPE_CHECKING:
    from wfactors.kernel.run import Run

__all__ = ["RunCloser"]

_log = logging.getLogger("wfactors.instance")
_FINISHED = object()


class RunCloser:
    """Closes the runs of one engine.

    Args:
        watchdog: Ends clean-up code that does not come back.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        self._author_code = AuthorCode(watchdog)
        self._waiting: deque[tuple[str, Run]] = deque()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close inside the block what ``close`` is given.

        Leaving the block, by whatever way, waits until all of it is closed: that takes the processor alone.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            yield

    def close(self, id: str, run: Run) -> None:
        """Close the run of the workflow ``id``, soon: at once if none of its code is under way."""
        if not run.scheduler.has_live_code:
            run.close()
            return
        assert self._nursery is not None, "no run lives longer than its engine"
        if not self._waiting:
            self._nursery.start_soon(self._work, name="closing of runs")
        self._waiting.append((id, run))

    async def _work(self) -> None:
        # Bounded: nothing here waits for anything.
        with trio.CancelScope(shield=True):
            pace = Pace()
            while self._waiting:
                id, run = self._waiting[0]
                steps = run.closing()
                while self._has_more(id, steps):
                    await pace.keep()
                await pace.keep()
                # No checkpoint from here on: once nothing waits, `close` starts the next task for it.
                self._waiting.popleft()

    def _has_more(self, id: str, steps: Iterator[None]) -> bool:
        """Do the next step, if there is one."""
        try:
            return self._author_code.call(id, lambda: next(steps, _FINISHED) is not _FINISHED)
        except TurnInterrupted as error:
            _log.error("clean-up code of workflow %s held the loop for too long and was interrupted:\n%s", id, error)
            return True
