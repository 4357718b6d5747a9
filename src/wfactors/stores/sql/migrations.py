"""The schema, as the steps that lead to it from an empty file.

A step is never changed once it was released; a new one is added behind it. Each runs in a transaction with the number
it leads to, so a process killed between two steps, or in one, leaves a file that the next one can go on with.

How the rows lie, and why:

* Keys of instances grow with time, so neighbours in time are neighbours in every index whose key begins with them.
* One row of ``events`` per appended batch: half the cost of one per event. Tables keep their hidden row ids, since
  ``WITHOUT ROWID`` takes four times the space for rows near a kilobyte.
* ``headers_open`` makes an id unique among open runs; it is the only place where two starts of one id meet.
* Indices that serve one question (what is to be woken, what is free to be run) hold only the rows that answer it, so
  a batch pays for those alone; and all columns of the question, so that it is answered without touching the rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

from wfactors.errors import StoreVersionError

__all__ = ["MIGRATIONS", "SqlConnection", "migrate"]

Step = Sequence[str] | Callable[["SqlConnection"], None]

MIGRATIONS: tuple[Step, ...] = (
    (
        "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE partitions (
            partition TEXT NOT NULL PRIMARY KEY, node TEXT, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE nodes (
            node TEXT NOT NULL PRIMARY KEY, queues BLOB NOT NULL, lease_until REAL NOT NULL, joined_at REAL NOT NULL,
            code_version TEXT NOT NULL, activities BLOB NOT NULL, workflows BLOB NOT NULL, liveness TEXT NOT NULL
        )""",
        """CREATE TABLE headers (
            instance TEXT NOT NULL, run INTEGER NOT NULL, id TEXT NOT NULL, workflow TEXT NOT NULL,
            queue TEXT NOT NULL, partition TEXT NOT NULL, root_id TEXT NOT NULL, created_at REAL NOT NULL,
            status TEXT NOT NULL, parked TEXT, started_at REAL, closed_at REAL, wake_at REAL,
            events INTEGER NOT NULL, history_bytes INTEGER NOT NULL, start BLOB, result BLOB, failure BLOB,
            parent BLOB, parent_close TEXT NOT NULL, attributes BLOB, context BLOB, parent_instance TEXT,
            PRIMARY KEY (instance, run)
        )""",
        "CREATE UNIQUE INDEX headers_open ON headers (id) WHERE status = 'open'",
        "CREATE INDEX headers_id ON headers (id, created_at)",
        "CREATE INDEX headers_created ON headers (created_at, instance, run)",
        "CREATE INDEX headers_closed ON headers (closed_at) WHERE closed_at IS NOT NULL",
        """CREATE INDEX headers_parent ON headers (parent_instance, created_at)
            WHERE parent_instance IS NOT NULL""",
        """CREATE INDEX headers_wake ON headers (partition, wake_at, instance, run, parked, status)
            WHERE status = 'open' AND parked IS NULL AND wake_at IS NOT NULL""",
        """CREATE TABLE events (
            instance TEXT NOT NULL, run INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
            data BLOB NOT NULL
        )""",
        "CREATE UNIQUE INDEX events_run ON events (instance, run, first)",
        """CREATE TABLE tasks (
            instance TEXT NOT NULL, run INTEGER NOT NULL, call INTEGER NOT NULL, partition TEXT NOT NULL,
            queue TEXT NOT NULL, activity TEXT NOT NULL, input BLOB NOT NULL, options BLOB NOT NULL, id TEXT NOT NULL,
            workflow TEXT NOT NULL, scheduled_at REAL NOT NULL, attempt INTEGER NOT NULL, available_at REAL NOT NULL,
            node TEXT, schedule_deadline REAL, details BLOB, failure BLOB, is_cancel_requested INTEGER NOT NULL,
            context BLOB, PRIMARY KEY (instance, run, call)
        )""",
        """CREATE INDEX tasks_free ON tasks (queue, activity, available_at, instance, run, call, node)
            WHERE node IS NULL""",
        "CREATE INDEX tasks_held ON tasks (partition, node) WHERE node IS NOT NULL",
        """CREATE TABLE inbox (
            position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, partition TEXT NOT NULL,
            instance TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (partition, id)
        )""",
        "CREATE INDEX inbox_partition ON inbox (partition)",
        "CREATE INDEX inbox_instance ON inbox (instance)",
        """CREATE TABLE replies (
            id TEXT NOT NULL PRIMARY KEY, instance TEXT NOT NULL, data BLOB NOT NULL, expires_at REAL NOT NULL
        )""",
        "CREATE INDEX replies_instance ON replies (instance)",
    ),
    ("ALTER TABLE headers ADD COLUMN awaited BLOB",),
)


class SqlConnection(Protocol):
    """What the runner needs of a database: its version, which it keeps in the transaction, and statements."""

    def begin(self) -> None:
        """Start a transaction that keeps every other writer out until its end."""
        ...

    def commit(self) -> None:
        """End the transaction."""
        ...

    def rollback(self) -> None:
        """Undo the transaction."""
        ...

    def version(self) -> int:
        """How many steps the database has had."""
        ...

    def set_version(self, version: int) -> None:
        """Keep, in this transaction, how many steps the database has had."""
        ...

    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        """Execute one statement."""
        ...


def migrate(connection: SqlConnection, migrations: Sequence[Step] = MIGRATIONS) -> int:
    """Run the steps that a database has not had; returns how many these were.

    Raises:
        StoreVersionError: The database is newer than this code.
    """
    done = 0
    while True:
        version = connection.version()
        if version > len(migrations):
            raise StoreVersionError(
                f"the store has schema version {version}, this release of wfactors knows versions up to "
                f"{len(migrations)}: upgrade wfactors, or open the store with the release that wrote it"
            )
        if version == len(migrations):
            return done
        connection.begin()
        try:
            # Another process may have run the step while this one waited for its turn to write.
            if connection.version() == version:
                _run_step(connection, migrations[version], version)
                done += 1
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def _run_step(connection: SqlConnection, step: Step, version: int) -> None:
    if callable(step):
        step(connection)
    else:
        for statement in step:
            connection.run(statement)
    if version == 0:
        connection.run("INSERT INTO meta (name, value) VALUES ('uuid', ?)", (str(uuid.uuid4()),))
    connection.set_version(version + 1)
