"""Connections to one SQLite file: how they are set up, and the one place where SQLite's errors become ours."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from wfactors.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable, StoreVersionError
from wfactors.stores.sql.migrations import MIGRATIONS, Step, migrate

__all__ = ["Settings", "connect_reader", "connect_writer", "is_busy", "primary_code", "translated"]

SYNCHRONOUS = ("normal", "full", "extra")

# "wfac": tells our files from other databases.
_APPLICATION_ID = 0x77666163
_VERSION_LEAST = (3, 35, 0)
_STATEMENTS_CACHED = 512
_BUSY_INLINE_MILLISECONDS = 5
_OPEN_ATTEMPTS = 500
_OPEN_PAUSE_SECONDS = 0.01
# SQLite counts milliseconds in 32 bits.
_SECONDS_MOST = (2**31 - 1) // 1000
_POLL_SECONDS_LEAST = 0.001
_PAGES_MOST = 2**32 - 2

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


def _synchronous(_: object, __: object, value: object) -> None:
    if value not in SYNCHRONOUS:
        raise ValueError(f"synchronous must be one of {', '.join(SYNCHRONOUS)}, not {value!r}")


def _number(
    least: float, most: int, kind: Any, words: str, *, or_none: bool = False
) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is None and or_none:
            return
        if value is None or isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError(f"{attribute.name} must be {words}{' or None' if or_none else ''}, not {value!r}")
        if not least <= value <= most:
            bounds = f"from {least} to {most}{', or None' if or_none else ''}"
            raise ValueError(f"{attribute.name} must be {bounds}, not {value!r}")

    return check


_seconds = partial(_number, most=_SECONDS_MOST, kind=int | float, words="a number of seconds")


@attrs.frozen
class Settings:
    """How a store wants its file opened.

    Attributes:
        path: Of the database.
        synchronous: SQLite's word for when it waits for the disk.
        busy_seconds: How long a write waits for another process that writes.
        poll_idle_seconds: How often to look for what other processes wrote, at the least; None for never.
        max_page_count: A limit on the size of the file, in pages; None for SQLite's own.
        checkpoint_pages: The write-ahead log is copied into the database when it has this many pages. Writing over
            an old log is cheaper than growing a new one (0.20 against 0.30 ms a commit), so the default is small.
        migrations: The steps of the schema; only tests have others.
    """

    path: str
    synchronous: str = attrs.field(default="full", validator=_synchronous)
    busy_seconds: float = attrs.field(default=5.0, validator=_seconds(0))
    poll_idle_seconds: float | None = attrs.field(default=0.2, validator=_seconds(_POLL_SECONDS_LEAST, or_none=True))
    max_page_count: int | None = attrs.field(
        default=None, validator=_number(1, _PAGES_MOST, int, "a whole number", or_none=True)
    )
    checkpoint_pages: int = 1000
    migrations: Sequence[Step] = MIGRATIONS


# --- Errors ----------------------------------------------------------------------------------------------------------


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's result code without its extension; None for an error of the module itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: BaseException) -> bool:
    """Whether another connection was in the way."""
    return isinstance(error, sqlite3.Error) and primary_code(error) in _BUSY


def translated(error: BaseException, path: str) -> BaseException:
    """What the engine is told of an error of SQLite; any other error as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = primary_code(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    text = f"{path}: {error} ({name})"
    ours: StoreError
    if code in _FULL:
        ours = StoreFull(f"{text}: free or allow space, or make the file and its folder writable")
    elif code in _CORRUPT or "decode to UTF-8" in str(error) or str(error).startswith("no such"):
        ours = StoreCorrupt(f"{text}: restore a backup, or save what can be read with sqlite3's .recover")
    elif code == sqlite3.SQLITE_CONSTRAINT:
        ours = StoreError(f"{text}: refused, since a row of this key is there")
    elif isinstance(error, sqlite3.ProgrammingError):
        ours = StoreUnavailable(f"{path}: the store is not open")
    elif code in _BUSY:
        ours = StoreUnavailable(f"{text}: another process is writing for too long")
    elif code == sqlite3.SQLITE_CANTOPEN:
        ours = StoreUnavailable(f"{text}: the file and its folder must be there and writable, for the log beside it")
    else:
        ours = StoreUnavailable(text)
    ours.__cause__ = error
    return ours


# --- Opening ---------------------------------------------------------------------------------------------------------


def connect_writer(settings: Settings) -> sqlite3.Connection:
    """Open the connection that writes, with the schema brought up to date."""
    _check_path(settings.path)
    try:
        connection = sqlite3.connect(
            settings.path,
            timeout=settings.busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS_CACHED,
        )
    except sqlite3.Error as error:
        raise translated(error, settings.path) from error
    try:
        _prepare(connection, settings)
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, settings.path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(settings: Settings, *, is_inline: bool) -> sqlite3.Connection:
    """Open a connection that cannot write; an inline one is used on the event loop and hardly waits for locks."""
    timeout = _BUSY_INLINE_MILLISECONDS / 1000 if is_inline else settings.busy_seconds
    try:
        connection = sqlite3.connect(
            f"file:{quote(settings.path)}?mode=rw",
            uri=True,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS_CACHED,
        )
    except sqlite3.Error as error:
        raise translated(error, settings.path) from error
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -16000")
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, settings.path) from error
    return connection


def _check_path(path: str) -> None:
    """Raise StoreUnavailable for what SQLite only calls "unable to open database file"."""
    if sqlite3.sqlite_version_info < _VERSION_LEAST:
        least = ".".join(map(str, _VERSION_LEAST))
        raise StoreUnavailable(f"this Python has SQLite {sqlite3.sqlite_version}, wfactors needs {least} or later")
    try:
        folder = Path(path).resolve().parent
        has_folder, is_folder, is_there = folder.is_dir(), Path(path).is_dir(), Path(path).exists()
    except (OSError, ValueError) as error:
        raise StoreUnavailable(f"{path!r}: {error}: choose another path") from error
    if not has_folder:
        raise StoreUnavailable(f"{path}: the folder {folder} does not exist: create it, or choose another path")
    if is_folder:
        raise StoreUnavailable(f"{path} is a folder: name a file inside it")
    is_effective = os.access in os.supports_effective_ids
    mode = os.R_OK if is_there else os.R_OK | os.W_OK
    if not os.access(path if is_there else folder, mode, effective_ids=is_effective):
        what = "this file" if is_there else f"the folder {folder}"
        raise StoreUnavailable(f"{path}: no permission to use {what}: change its owner or mode, or choose another path")


def _prepare(connection: sqlite3.Connection, settings: Settings) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -32000")
    connection.execute(f"PRAGMA synchronous = {settings.synchronous.upper()}")
    # On macOS fsync() does not reach the disk; elsewhere these say nothing.
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    # Debian's SQLite overwrites what is deleted, which writes pages that need not be written.
    connection.execute("PRAGMA secure_delete = FAST").fetchall()
    connection.execute(f"PRAGMA wal_autocheckpoint = {settings.checkpoint_pages}").fetchall()
    _use_write_ahead_log(connection)
    if settings.max_page_count is not None:
        connection.execute(f"PRAGMA max_page_count = {settings.max_page_count}").fetchall()
    _check_owner(connection, settings.path)
    migrate(_Migrating(connection), settings.migrations)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Change to WAL; SQLite does not wait for another process that is doing the same, so ask again."""
    pause = threading.Event()
    for attempt in range(_OPEN_ATTEMPTS):
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or attempt == _OPEN_ATTEMPTS - 1:
                raise
        else:
            if mode == "wal":
                return
        pause.wait(_OPEN_PAUSE_SECONDS)
    raise StoreUnavailable("this file system cannot hold a write-ahead log: put the database on a local disk")


def _check_owner(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a database that is somebody else's, before anything is written into it."""
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != _APPLICATION_ID and (owner != 0 or tables != 0):
        raise StoreVersionError(f"{path} is the database of another application: choose another file")


class _Migrating:
    """A connection as the runner of the migrations wants it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def version(self) -> int:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def set_version(self, version: int) -> None:
        self._connection.execute(f"PRAGMA user_version = {version}")
        self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")

    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        self._connection.execute(statement, tuple(values))
