"""An opened SQLite store: its connections and threads, from the entry of ``open`` to its end."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import trio

from wfactors.stores.base import Durability
from wfactors.stores.changes import Changes
from wfactors.stores.liveness import NodeLocks
from wfactors.stores.sqlite_connection import Settings, connect_reader, is_busy, translated
from wfactors.stores.sqlite_thread import Hold, Job, WorkThread
from wfactors.stores.sqlite_writer import Writer

__all__ = ["Session"]

P = ParamSpec("P")
R = TypeVar("R")

_SYNCHRONOUS_NAMES = ("OFF", "NORMAL", "FULL", "EXTRA")
_SYNCHRONOUS_FULL = 2
_STEPS_BETWEEN_LOOKS = 500_000


class Session:
    """One opened store.

    Args:
        settings: How to open the file.
        clock: The store's clock.
        hold: Told when a thread works for the event loop.
        changes: Whom to tell of other processes' commits.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float],
        hold: Hold | None,
        changes: Changes,
    ) -> None:
        self._settings = settings
        self._changes = changes
        self.locks = NodeLocks(settings.path)
        self._token = trio.lowlevel.current_trio_token()
        self._inline: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self.writer = Writer(
            settings,
            clock=clock,
            locks=self.locks,
            is_watched=lambda: changes.is_watched,
            changed=self._tell_everybody,
        )
        self.writer_thread = WorkThread(
            f"wfactors writer of {settings.path}",
            start=self.writer.start,
            work=self.writer.work,
            finish=self.writer.finish,
            hold=hold,
            idle=self.writer.idle,
            pause=self.writer.pause,
        )
        self._reader_thread = WorkThread(
            f"wfactors reader of {settings.path}",
            start=lambda: None,
            work=self._work_reading,
            finish=self._finish_reading,
            hold=hold,
            interrupt=self._interrupt_reading,
            is_grouping=False,
        )

    # --- Life ---

    async def start(self) -> None:
        """Connect and start the threads."""
        await self.writer_thread.open()
        self._inline = connect_reader(self._settings, is_inline=True)
        await self._reader_thread.open()

    async def stop(self) -> None:
        """Finish what was asked, end the threads, disconnect; the writer last, so that it folds the log away."""
        try:
            await self._reader_thread.close()
        finally:
            if self._inline is not None:
                self._inline.close()
                self._inline = None
            try:
                await self.writer_thread.close()
            finally:
                self.locks.close()

    def _tell_everybody(self) -> None:
        # Once the program's event loop has crashed, nobody waits any more.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._changes.publish_all, idempotent=True)

    # --- Reads ---

    def inline(
        self, function: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Run a small read here and now; None if a lock is in the way, which is rare: a log is being recovered."""
        assert self._inline is not None
        try:
            return function(self._inline, *args, **kwargs)
        except sqlite3.Error as error:
            if is_busy(error):
                return None
            raise translated(error, self._settings.path) from error

    async def read_inline(
        self, function: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a small read on the event loop, after one checkpoint."""
        await trio.lowlevel.checkpoint()
        assert self._inline is not None
        try:
            return function(self._inline, *args, **kwargs)
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, self._settings.path) from error
        return await self.read(function, *args, **kwargs)

    async def read(
        self, function: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a read in the reader's thread; interrupted when cancelled."""
        return await self._reader_thread.run(_never_applied, lambda connection: function(connection, *args, **kwargs))

    def _work_reading(self, jobs: list[Job[Any, Any]]) -> None:
        (job,) = jobs
        try:
            if self._reader is None:
                self._reader = connect_reader(self._settings, is_inline=False)
            # An interrupt just before a query begins stops nothing; this does, a little later.
            self._reader.set_progress_handler(lambda: job.is_unwanted, _STEPS_BETWEEN_LOOKS)
            job.value = job.argument(self._reader)
        except BaseException as error:  # noqa: BLE001 - it is raised where the read was asked for
            job.error = translated(error, self._settings.path)

    def _interrupt_reading(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()

    def _finish_reading(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- For people ---

    def durability(self) -> Durability:
        """What the settings in force promise."""
        synchronous = self.writer.synchronous
        detail = f"{self.writer.journal_mode.upper()}, synchronous={_SYNCHRONOUS_NAMES[synchronous]}"
        if synchronous >= _SYNCHRONOUS_FULL:
            return Durability("machine", detail)
        return Durability("process", detail, "a power failure may lose the last commits: use synchronous=full")

    def details(self) -> dict[str, str]:
        """What is to be known of the file and of SQLite."""
        path = Path(self._settings.path)
        connection = self._inline
        assert connection is not None
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        (uuid,) = connection.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()
        sizes = {name: path.with_name(path.name + suffix) for name, suffix in (("file", ""), ("log", "-wal"))}
        return {
            "path": str(path.resolve()),
            "store": uuid,
            "schema version": str(schema),
            "SQLite": sqlite3.sqlite_version,
            "journal mode": self.writer.journal_mode,
            "synchronous": _SYNCHRONOUS_NAMES[self.writer.synchronous],
            "page size": f"{page_size} bytes",
            **{f"{name} size": f"{part.stat().st_size if part.exists() else 0} bytes" for name, part in sizes.items()},
        }


def _never_applied(_: object, arguments: object) -> Any:
    """The reader's thread takes its jobs one by one; this says so in the place of an operation on many."""
    raise AssertionError(arguments)
