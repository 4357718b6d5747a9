"""The writer of a SQLite store: what its thread does with waiting operations, how it hears of other processes.

All operations that wait at one moment share one transaction. If it fails, each is tried in one of its own, so that an
operation that cannot succeed harms no other; only when SQLite does not even begin do all fail at once.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import attrs

from wfactors.stores.liveness import NodeLocks
from wfactors.stores.sqlite_connection import Settings, connect_writer, translated
from wfactors.stores.sqlite_thread import Job
from wfactors.stores.sqlite_writes import Writes

__all__ = ["ForeignChanges", "Writer", "WriterStatistics"]

_POLL_LEAST_SECONDS = 0.005


@attrs.frozen
class WriterStatistics:
    """What the writer did since the store was opened.

    Attributes:
        commits: Transactions that were committed.
        units: Operations in them.
        units_max: The most operations in one.
        commit_seconds: Time spent in committed transactions.
        commit_seconds_max: The longest of them.
        wait_seconds_max: The longest time from a call to its transaction's end.
        failures: Transactions that failed.
        foreign_changes: How often another process was seen to have written.
    """

    commits: int = 0
    units: int = 0
    units_max: int = 0
    commit_seconds: float = 0.0
    commit_seconds_max: float = 0.0
    wait_seconds_max: float = 0.0
    failures: int = 0
    foreign_changes: int = 0


class ForeignChanges:
    """How long to wait before looking whether another process wrote: briefly after it did, longer and longer after.

    Args:
        idle_seconds: The longest wait; None never to look.
    """

    def __init__(self, idle_seconds: float | None) -> None:
        self._idle_seconds = idle_seconds
        self._wait_seconds = idle_seconds or 0.0
        self._looked_at = time.monotonic()

    @property
    def pause_seconds(self) -> float | None:
        """The time until the next look; None for never."""
        if self._idle_seconds is None:
            return None
        return max(0.0, self._looked_at + self._wait_seconds - time.monotonic())

    def is_due(self) -> bool:
        """Whether to look now."""
        return self._idle_seconds is not None and time.monotonic() >= self._looked_at + self._wait_seconds

    def looked(self, *, is_changed: bool) -> None:
        """Take in what the look found."""
        self._looked_at = time.monotonic()
        assert self._idle_seconds is not None
        if is_changed:
            self._wait_seconds = min(_POLL_LEAST_SECONDS, self._idle_seconds)
        else:
            self._wait_seconds = min(self._wait_seconds * 1.5, self._idle_seconds)


class Writer:
    """The state of the writer's thread; all but ``statistics`` and ``pause_seconds`` is used in that thread alone.

    Args:
        settings: How to open the file.
        clock: The store's clock.
        locks: The lock files of nodes.
        is_watched: Whether anybody wants to hear of changes.
        changed: Called, in this thread, when another process wrote.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        locks: NodeLocks,
        is_watched: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._locks = locks
        self._foreign = ForeignChanges(settings.poll_idle_seconds)
        self._is_watched = is_watched
        self._changed = changed
        self._connection: sqlite3.Connection | None = None
        self._data_version = 0
        self.writes: Writes | None = None
        self.journal_mode = ""
        self.synchronous = 0
        self.statistics = WriterStatistics()

    # --- Life, as WorkThread wants it ---

    def start(self) -> None:
        """Connect."""
        self._connection = connect_writer(self._settings)
        self.writes = Writes(self._connection, self._clock, self._locks)
        (self.journal_mode,) = self._connection.execute("PRAGMA journal_mode").fetchone()
        (self.synchronous,) = self._connection.execute("PRAGMA synchronous").fetchone()
        (self._data_version,) = self._connection.execute("PRAGMA data_version").fetchone()

    def finish(self) -> None:
        """Disconnect; the last process to do so folds the log into the database."""
        assert self._connection is not None
        self._connection.close()
        self._connection = None

    def pause(self) -> float | None:
        """How long the thread may sleep."""
        return self._foreign.pause_seconds

    def idle(self) -> None:
        """Look for another process's commits, if it is time and anybody wants to know."""
        if not self._foreign.is_due():
            return
        is_changed = False
        if self._is_watched():
            assert self._connection is not None
            with contextlib.suppress(sqlite3.Error):
                (version,) = self._connection.execute("PRAGMA data_version").fetchone()
                is_changed = version != self._data_version
                self._data_version = version
        self._foreign.looked(is_changed=is_changed)
        if is_changed:
            self.statistics = attrs.evolve(self.statistics, foreign_changes=self.statistics.foreign_changes + 1)
            self._changed()

    # --- Work ---

    def work(self, jobs: list[Job[Any, Any]]) -> None:
        """Do all jobs in one transaction, or each in its own if that fails."""
        error = self._transaction(jobs)
        if error is None:
            return
        if len(jobs) == 1 or not isinstance(error, _InsideError):
            for job in jobs:
                job.finish(translated(_original(error), self._settings.path))
            return
        for job in jobs:
            job.error = job.value = None
            alone = self._transaction([job])
            if alone is not None:
                job.finish(translated(_original(alone), self._settings.path))

    def _transaction(self, jobs: list[Job[Any, Any]]) -> BaseException | None:
        connection = self._connection
        assert connection is not None
        assert self.writes is not None
        started = time.perf_counter()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _apply(self.writes, jobs)
                connection.execute("COMMIT")
            except BaseException as error:
                raise _InsideError from error
        except BaseException as error:  # noqa: BLE001 - it is raised where the operation was asked for
            self.statistics = attrs.evolve(self.statistics, failures=self.statistics.failures + 1)
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            return error
        self._count(jobs, started)
        return None

    def _count(self, jobs: list[Job[Any, Any]], started: float) -> None:
        ended = time.perf_counter()
        before = self.statistics
        self.statistics = WriterStatistics(
            commits=before.commits + 1,
            units=before.units + len(jobs),
            units_max=max(before.units_max, len(jobs)),
            commit_seconds=before.commit_seconds + ended - started,
            commit_seconds_max=max(before.commit_seconds_max, ended - started),
            wait_seconds_max=max(before.wait_seconds_max, ended - min(job.queued_at for job in jobs)),
            failures=before.failures,
            foreign_changes=before.foreign_changes,
        )


class _InsideError(Exception):
    """The transaction had begun; what went wrong may be one operation's fault."""


def _original(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error, _InsideError) and error.__cause__ is not None else error


def _apply(writes: Writes, jobs: list[Job[Any, Any]]) -> None:
    """Apply each operation once, to the arguments of all jobs that want it."""
    if len(jobs) == 1:
        job = jobs[0]
        (outcome,) = job.operation(writes, [job.argument])
        job.finish(outcome)
        return
    groups: dict[Any, list[Job[Any, Any]]] = {}
    for job in jobs:
        groups.setdefault(job.operation, []).append(job)
    for operation, members in groups.items():
        outcomes = operation(writes, [job.argument for job in members])
        for job, outcome in zip(members, outcomes, strict=True):
            job.finish(outcome)
