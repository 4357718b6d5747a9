"""How a node tells the store of attempts that ended: many at a time, until the store has taken them in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from wfactors.errors import StoreError, StoreUnavailable
from wfactors.model.records import TaskKey
from wfactors.stores.base import Store, TaskReport

__all__ = ["Reports"]

_log = logging.getLogger("wfactors.activities")

_RETRY_SECONDS_FIRST = 0.05
_RETRY_SECONDS_MAX = 5.0
_REPORTS_MAX = 500


class Reports:
    """A group commit of reports: while one is being written, the next ones gather.

    Args:
        store: Where to.
        on_done: Called, synchronously, with each group that the store has answered.
    """

    def __init__(self, store: Store, on_done: Callable[[Sequence[TaskReport]], None]) -> None:
        self._store = store
        self._on_done = on_done
        self._waiting: dict[TaskKey, TaskReport] = {}
        self._arrived = trio.Event()
        self._empty = trio.Event()
        self._empty.set()
        self._degraded_because: str | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: TaskKey) -> bool:
        return key in self._waiting

    @property
    def degraded_because(self) -> str | None:
        """The store's words while reports do not get through; None while all is well."""
        return self._degraded_because

    def add(self, report: TaskReport) -> None:
        """Have ``report`` written as soon as possible."""
        self._waiting[report.key] = report
        self._arrived.set()
        if self._empty.is_set():
            self._empty = trio.Event()

    async def wait_empty(self) -> None:
        """Return when everything added was taken in by the store."""
        await self._empty.wait()

    async def run(self) -> None:
        """Write what is added until cancelled.

        Cancelled while the store writes, it is not known whether it did; what is lost is attempted again elsewhere.
        """
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._waiting:
                group = list(self._waiting.values())[:_REPORTS_MAX]
                await self._write(group)
                for report in group:
                    if self._waiting.get(report.key) is report:
                        del self._waiting[report.key]
                self._on_done(group)
            self._empty.set()

    async def _write_each(self, group: Sequence[TaskReport], error: StoreError) -> None:
        """The store refuses the group for good: one report that it cannot take must not keep the others back."""
        if len(group) == 1:
            _log.error("the store cannot take in how %s ended: %s", group[0].key, error)
            return
        for report in group:
            await self._write([report])

    async def _write(self, group: Sequence[TaskReport]) -> None:
        delay = _RETRY_SECONDS_FIRST
        while True:
            try:
                answers = await self._store.report(group)
            except StoreError as error:
                if not isinstance(error, StoreUnavailable):
                    await self._write_each(group, error)
                    return
                if self._degraded_because is None:
                    _log.warning("the store did not take in how activities ended; trying again: %s", error)
                self._degraded_because = str(error)
                await trio.sleep(delay)
                delay = min(delay * 2, _RETRY_SECONDS_MAX)
                continue
            break
        if self._degraded_because is not None:
            _log.warning("the store takes in how activities ended again")
            self._degraded_because = None
        for report, is_accepted in zip(group, answers, strict=True):
            if not is_accepted:
                # Ordinary after a report whose acknowledgement was lost, or when somebody took the task over.
                _log.debug("%s, attempt %d, was not held any more", report.key, report.attempt)
