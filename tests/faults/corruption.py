"""A store with work in the middle, changed by somebody who is no store, and what an engine then makes of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

import wfactors as wf
from wfactors.stores.base import Store
from wfactors.stores.sql.tables import EVENTS, HEADERS, INBOX, NODES, PARTITIONS, TASKS, Table
from wfactors.testing.clocks import AutojumpHold, VirtualClock

NAMES = ("victim", "neighbour")
STATES = ("completed", "open", "StoreCorrupt", "ConversionError", "WorkflowNotFound", "failed")
"""How the victim may stand in the end, as ``outcome`` says."""


@wf.activity
async def add(a: int, b: int) -> int:
    return a + b


@wf.workflow
async def child(number: int) -> int:
    return await wf.signals("add", int).receive() + number


@wf.workflow
async def job(number: int) -> list[int]:
    seen = [await add(number, 0)]
    handle = await wf.start_child(child, number)
    seen.append(await wf.signals("go", int).receive())
    seen.append(await add(number, 1))
    seen.append(await wf.signals("more", int).receive())
    await wf.sleep(10)
    await handle.signal("add", 1)
    seen.append(await handle.result())
    return seen


class Fixed:
    """A store in virtual time on a file that is made once and copied for each case."""

    def __init__(self, path: Path, clock: MockClock) -> None:
        self.path = path
        self.clock = VirtualClock(clock)
        self.hold = AutojumpHold(clock)

    def store(self) -> Store:
        return wf.SqliteStore(
            self.path, clock=self.clock.now, hold=self.hold, poll_idle_seconds=None, synchronous="normal"
        )

    def engine(self, **options: Any) -> Any:
        return wf.open_engine(
            self.store(), register=[add, job, child], clock=self.clock, hold=self.hold, lease=5, grace=1, **options
        )


async def work(fixed: Fixed) -> None:
    """Two jobs in the middle: history, an open child, a free task, a message in the inbox."""
    async with fixed.engine() as engine:
        for number, name in enumerate(NAMES):
            await engine.start(job, number, id=name)
        while await engine.count(workflow=child) < len(NAMES):
            await trio.sleep(0.1)
    async with fixed.engine(limits=wf.Limits(activities=0)) as engine:
        for name in NAMES:
            await (await engine.get(name)).signal("go", 5)
    async with wf.open_client(fixed.store()) as client:
        for name in NAMES:
            await (await client.get(name)).signal("more", 6)


async def prepare(path: Path) -> None:
    """Such a store in a file, with a node that is gone."""
    await work(Fixed(path, trio.lowlevel.current_clock()))  # type: ignore[arg-type]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE partitions SET node = 'ghost', epoch = 7")
        connection.execute("INSERT INTO nodes VALUES ('ghost', X'5B5D', 0, 0, '', X'5B5D', X'5B5D', '')")
    connection.close()


async def outcome(fixed: Fixed, is_neighbour_expected: bool) -> tuple[str, str]:
    """How the victim stands after the neighbour has finished; fails if that does not happen."""
    with trio.fail_after(10_000):
        async with fixed.engine() as engine:
            neighbour = await engine.get("neighbour")
            if is_neighbour_expected:
                assert [1, 5, 2, 6, 2] == await neighbour.result()
            await trio.sleep(30)
            assert len([item async for item in engine.list()]) >= len(NAMES)
            try:
                described = await (await engine.get("victim")).describe()
                if described.status == "open":
                    return "open", str(described.parked)
                return described.status.value, str(await (await engine.get("victim")).result())
            except wf.ResultError as error:
                return described.status.value, str(error)
            except wf.WfactorsError as error:
                return type(error).__name__, str(error)


def corrupted(prepared: Path, path: Path, change: Callable[[sqlite3.Connection], object]) -> bool:
    """Copy the store and change it; False if SQLite refuses."""
    shutil.copy(prepared, path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        change(connection)
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.close()
    return True


def victims(connection: sqlite3.Connection, table: Table) -> str:
    """A condition for the first row of the table that is the victim's."""
    if table in (NODES, PARTITIONS):
        return "TRUE"
    ((key,),) = connection.execute("SELECT instance FROM headers WHERE id = 'victim'")
    name = {EVENTS: "events.rowid", HEADERS: "headers.rowid", TASKS: "tasks.rowid", INBOX: "position"}[table]
    return f"{name} = (SELECT min({name}) FROM {table.name} WHERE instance = '{key}')"
