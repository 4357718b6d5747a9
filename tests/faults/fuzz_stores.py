"""Several malformed rows of one workflow at once, in a store that an engine then works on beside a neighbour.

The same seed and number break the same rows; in what order Trio runs the tasks of the engine is another matter.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import tempfile
import weakref
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import attrs
import trio
from trio.testing import MockClock

import wfactors as wf
from tests.faults.corruption import NAMES, STATES, Fixed, corrupted, outcome, prepare, work
from tests.faults.malformed import break_bytes, break_tree, paths_of
from wfactors.model.messages import Message, Signal
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, HeaderRow
from wfactors.model.wire import encode_value
from wfactors.stores.base import Store
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, TASKS

_TABLES = (HEADERS, EVENTS, TASKS, INBOX)
_PLAIN = (None, "", "open", "home", "\x00", b"", b"\xff", b"null", 0, -1, 1, 2**40, 2**62, -1.5, 1e300)

Cell: TypeAlias = tuple[str, int, str]
"""A table, the number of a row in it (in the order of its keys), and a column."""


def broken(value: Any, rng: random.Random) -> Any:
    """What the value of a column may have become."""
    if isinstance(value, bytes) and rng.random() < 0.9:
        if rng.random() < 0.25:
            return break_bytes(value, rng)
        tree = json.loads(value)
        return encode_value(break_tree(tree, list(paths_of(tree)), rng))
    if isinstance(value, int | float) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, -100, 100))
    return rng.choice(_PLAIN)


class _Stores:
    """What both have in common: the neighbour has finished, or ``outcome`` fails; the victim is in one of a few states.

    Whatever the engine meets it must live with, so no exception is expected.
    """

    expected: ClassVar[tuple[type[Exception], ...]] = ()

    def check(self) -> None:
        """Each case has neighbours of its own."""


class SqliteRows(_Stores):
    """Columns of the tables of a SQLite store."""

    def __init__(self, seed: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wfactors-fuzz-"))
        weakref.finalize(self, shutil.rmtree, self._folder)
        self._prepared = self._folder / "prepared.db"
        trio.run(prepare, self._prepared, clock=MockClock(autojump_threshold=0))
        self._cells = self._read()

    def make(self, rng: random.Random) -> tuple[dict[Cell, Any]]:
        cells = rng.sample(list(self._cells), rng.choice((1, 1, 2, 3)))
        return ({cell: broken(self._cells[cell], rng) for cell in cells},)

    def read(self, changes: dict[Cell, Any]) -> str:
        path = self._folder / "case.db"
        if not corrupted(self._prepared, path, lambda connection: _change(connection, changes)):
            return "refused by SQLite"
        clock = MockClock(autojump_threshold=0)
        state, _ = trio.run(outcome, Fixed(path, clock), True, clock=clock)
        assert state in STATES, state
        return state

    def _read(self) -> dict[Cell, Any]:
        cells: dict[Cell, Any] = {}
        connection = sqlite3.connect(self._prepared)
        for table in _TABLES:
            for number, rowid in enumerate(_rowids(connection, table.name)):
                columns = ", ".join(table.names)
                (values,) = connection.execute(f"SELECT {columns} FROM {table.name} WHERE rowid = ?", (rowid,))
                cells |= {(table.name, number, name): value for name, value in zip(table.names, values, strict=True)}
        connection.close()
        assert {table.name for table in _TABLES} == {table for table, _, _ in cells}
        return cells


def _rowids(connection: sqlite3.Connection, table: str) -> list[int]:
    """The victim's rows; the child of the victim is part of it."""
    query = f"SELECT rowid FROM {table} WHERE instance LIKE ? || '%' ORDER BY rowid"
    ((key,),) = connection.execute("SELECT instance FROM headers WHERE id = ?", (NAMES[0],))
    return [rowid for (rowid,) in connection.execute(query, (key,))]


def _change(connection: sqlite3.Connection, changes: dict[Cell, Any]) -> None:
    rowids = {table: _rowids(connection, table) for table, _, _ in changes}
    for (table, number, column), value in changes.items():
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, rowids[table][number]))


class MemoryRows(_Stores):
    """Histories and payloads in a memory store, whose rows are objects: what is bytes in them can be wrong."""

    def __init__(self, seed: str) -> None:
        pass

    def make(self, rng: random.Random) -> tuple[int]:
        return (rng.getrandbits(64),)

    def read(self, seed: int) -> str:
        clock = MockClock(autojump_threshold=0)
        state, _ = trio.run(self._run, random.Random(seed), clock, clock=clock)
        assert state in STATES, state
        return state

    @staticmethod
    async def _run(rng: random.Random, clock: MockClock) -> tuple[str, str]:
        fixed = _InMemory(clock)
        await work(fixed)
        _break_memory(fixed.memory, rng)
        return await outcome(fixed, True)


class _InMemory(Fixed):
    def __init__(self, clock: MockClock) -> None:
        super().__init__(Path(), clock)
        self.memory = wf.MemoryStore(clock=self.clock.now)

    def store(self) -> Store:
        return self.memory


def _break_memory(store: wf.MemoryStore, rng: random.Random) -> None:
    state = store._state
    header = state.headers.open_run(NAMES[0])
    assert header is not None
    key = (header.instance, header.run)
    for kind in rng.sample(("history", "tasks", "inbox", "header"), rng.choice((1, 1, 2, 3))):
        if kind == "history":
            appends = state.histories._runs[key]
            place = rng.randrange(len(appends))
            appends[place] = _broken_append(appends[place], rng)
        elif kind == "tasks":
            for task in state.tasks.of_run(key):
                state.tasks.put(attrs.evolve(task, input=_broken_payload(bytes(task.input), rng)))
        elif kind == "inbox":
            for inbox in state.inboxes.values():
                for position, message in inbox._messages.items():
                    if message.instance == header.instance:
                        inbox._messages[position] = _broken_message(message, rng)
        else:
            state.headers.put(_broken_header(header, rng))


def _broken_append(append: Append, rng: random.Random) -> Append:
    if rng.random() < 0.7:
        return attrs.evolve(append, data=bytes(_broken_payload(append.data, rng)))
    field = rng.choice(("count", "first"))
    return attrs.evolve(append, **{field: getattr(append, field) + rng.choice((-1, 1, 5))})


def _broken_message(message: Message, rng: random.Random) -> Message:
    assert isinstance(message.body, Signal)
    payload = _broken_payload(bytes(message.body.payload), rng)
    return attrs.evolve(message, body=attrs.evolve(message.body, payload=payload))


def _broken_header(header: HeaderRow, rng: random.Random) -> HeaderRow:
    changes: tuple[dict[str, Any], ...] = (
        {"attributes": _broken_payload(b'{"a":[1]}', rng)},
        {"events": header.events + rng.choice((-1, 1, 100))},
        {"wake_at": rng.choice((-1.0, 0.0, 1e300))},
        {"workflow": "nobody's"},
        {"start": _broken_payload(b"[1]", rng)},
    )
    return attrs.evolve(header, **rng.choice(changes))


def _broken_payload(data: bytes, rng: random.Random) -> Payload:
    wrong = broken(data, rng)
    return Payload(wrong if isinstance(wrong, bytes) else b"?")
