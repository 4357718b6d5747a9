"""Group commit: the one writer of a partition, writing one batch at a time, in order.

While a batch is being written the partition goes on deciding; what has gathered by then is the next batch. Nobody waits
for a timer: an idle journal writes at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import trio

from wfactors.actors.draft import SealedBatch
from wfactors.errors import StoreUnavailable
from wfactors.pace import Pace
from wfactors.stores.base import Store

if TYPE_CHECKING:
    from wfactors.telemetry.reporter import Reporter

__all__ = ["Journal", "JournalStatistics"]

_log = logging.getLogger("wfactors.journal")
_RETRY_SECONDS_FIRST = 0.05
_RETRY_SECONDS_MAX = 1.0


@attrs.frozen
class JournalStatistics:
    """Figures since the partition was taken over."""

    commits: int
    events: int
    retries: int
    commit_seconds_total: float
    is_degraded: bool


class Journal:
    """Writes sealed batches and runs their actions after the commit.

    Args:
        store: Where to.
        on_idle: Called, synchronously, whenever a batch is done and the next may come.
        reporter: Told of each commit.
    """

    def __init__(self, store: Store, on_idle: Callable[[], None], reporter: Reporter | None = None) -> None:
        self._store = store
        self._reporter = reporter
        self._on_idle = on_idle
        self._next: SealedBatch | None = None
        self._arrived = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._commits = 0
        self._events = 0
        self._retries = 0
        self._seconds = 0.0
        self._degraded_because: str | None = None

    @property
    def is_idle(self) -> bool:
        """Whether a batch given now would be written at once."""
        return self._idle.is_set()

    @property
    def degraded_because(self) -> str | None:
        """The store's words while commits do not get through; None while all is well."""
        return self._degraded_because

    def write(self, sealed: SealedBatch) -> None:
        """Take over a batch; only while idle."""
        assert self.is_idle, "one batch at a time"
        self._idle = trio.Event()
        self._next = sealed
        self._arrived.set()

    async def wait_idle(self) -> None:
        """Return when nothing is being written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write what arrives until cancelled.

        Raises LeaseLost when the partition is another's: everything in memory must be dropped then. Cancelled during a
        commit, it is not known here whether the batch was written; the next owner reads what is true. Cancelled between
        two actions, the rest of them never happen, as if the acknowledgement of the commit had been lost.
        """
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            sealed, self._next = self._next, None
            assert sealed is not None
            if not sealed.is_empty:
                await self._commit(sealed)
            pace = Pace()
            for action in sealed.actions:
                action()
                await pace.keep()
            self._idle.set()
            self._on_idle()

    async def _commit(self, sealed: SealedBatch) -> None:
        delay = _RETRY_SECONDS_FIRST
        while True:
            started = trio.current_time()
            try:
                await self._store.commit(sealed.batch)
            except StoreUnavailable as error:
                if self._degraded_because is None:
                    _log.warning("partition %s: a commit failed and is retried: %s", sealed.batch.partition, error)
                self._degraded_because = str(error)
                self._retries += 1
                await trio.sleep(delay)
                delay = min(delay * 2, _RETRY_SECONDS_MAX)
                continue
            break
        seconds = trio.current_time() - started
        events = sum(append.count for append in sealed.batch.appends)
        if self._degraded_because is not None:
            _log.warning("partition %s: commits get through again", sealed.batch.partition)
            self._degraded_because = None
        self._commits += 1
        self._events += events
        self._seconds += seconds
        if self._reporter is not None:
            self._reporter.committed(seconds, events, sealed.turns)

    def statistics(self) -> JournalStatistics:
        """Figures since the partition was taken over."""
        return JournalStatistics(
            self._commits, self._events, self._retries, self._seconds, self._degraded_because is not None
        )
