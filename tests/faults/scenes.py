"""What happens between two workers on one file, scene by scene; each is run by a process that never had threads."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import trio

import wfactors as wf
from tests.faults import workload
from tests.faults.crew import Crew, open_crew, store_of

LEASE_SECONDS = 60.0


def start_tickers(crew: Crew, ticks: int) -> None:
    """Start two workflows that never rest."""

    async def start() -> None:
        async with wf.open_client(store_of(crew.folder)) as client:
            for number in range(2):
                handle = await client.start(workload.ticker, ticks, id=f"ticker-{number}")
                workload.log().note("start", id=handle.id, instance=handle.instance)

    assert 0 == os.waitpid(crew.start(lambda: trio.run(start)), 0)[1]


def hear_effects(crew: Crew, worker: int, count: int) -> None:
    """Wait for so many effects of one worker."""
    for _ in range(count):
        crew.hear_until(lambda entry: entry.kind == "effect" and entry.pid == worker)


def zombie(folder: Path) -> None:
    """SIGSTOP, the lease ends, another owner works, SIGCONT: it drops all it knows and joins under a new name."""
    with open_crew(folder, workers=2, lease=1.0) as crew:
        _stop_and_replace(crew, lambda: None, "joins again")


def zombie_that_knows_nothing(folder: Path) -> None:
    """The store's clock ends the lease, the zombie's own does not: its commit is refused by the epoch alone."""

    def end_lease() -> None:
        with contextlib.closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
            connection.execute("UPDATE nodes SET lease_until = 1 WHERE node LIKE ?", (f"%-{crew.owner}-%",))

    with open_crew(folder, workers=2, lease=6.0) as crew:
        _stop_and_replace(crew, end_lease, "was taken over by another node")


def _stop_and_replace(crew: Crew, end_lease: Callable[[], None], words: str) -> None:
    # More than they get to, however fast the machine: one that has come to its end proves nothing.
    start_tickers(crew, 20_000)
    first = crew.owner
    hear_effects(crew, first, 5)
    _stop_between_writes(crew, first)
    end_lease()
    crew.hear_progress()
    second = crew.owner
    assert first != second
    hear_effects(crew, second, 5)
    os.kill(first, signal.SIGCONT)
    crew.hear_until(lambda entry: entry.kind == "log" and entry.pid == first and words in entry["text"])
    if words != "joins again":
        crew.hear_until(lambda entry: entry.kind == "log" and entry.pid == first and "joins again" in entry["text"])
    hear_effects(crew, second, 5)
    assert crew.owner == second
    crew.kill(second)
    crew.hear_progress()
    assert crew.owner == first
    for number in range(2):
        assert 0 == os.waitpid(crew.start(lambda number=number: trio.run(_terminate, crew.folder, number)), 0)[1]
    crew.leave()
    _check(crew)


def _stop_between_writes(crew: Crew, worker: int) -> None:
    """SIGSTOP a worker while it does not hold the write lock, with which nobody could take over before it wakes."""
    os.kill(worker, signal.SIGSTOP)
    while not _is_writable(crew.folder / "store.db"):
        os.kill(worker, signal.SIGCONT)
        hear_effects(crew, worker, 1)
        os.kill(worker, signal.SIGSTOP)


def _is_writable(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def _check(crew: Crew) -> None:
    problems = crew.audit()
    assert problems == [], problems


async def _terminate(folder: Path, number: int) -> None:
    async with wf.open_client(store_of(folder)) as client:
        handle = await client.get(f"ticker-{number}")
        with contextlib.suppress(wf.WorkflowClosed):
            await handle.terminate()
            workload.log().note("terminate", instance=handle.instance)


def owner_is_killed(folder: Path) -> None:
    """The lease has long to go, but the dead process holds its lock no more."""
    with open_crew(folder, workers=2, lease=LEASE_SECONDS) as crew:
        start_tickers(crew, 200)
        hear_effects(crew, crew.owner, 5)
        began = time.perf_counter()
        crew.kill(crew.owner)
        assert crew.hear_progress() - began < LEASE_SECONDS / 3
        crew.leave()
    _check(crew)


def owner_leaves(folder: Path) -> None:
    """SIGTERM ends the owner in order: what it holds is given up, and the standby is told."""
    with open_crew(folder, workers=2, lease=LEASE_SECONDS) as crew:
        start_tickers(crew, 200)
        first = crew.owner
        hear_effects(crew, first, 5)
        began = time.perf_counter()
        os.kill(first, signal.SIGTERM)
        assert 0 == os.waitpid(first, 0)[1]
        crew.workers.remove(first)
        crew.hear_progress()
        assert time.perf_counter() - began < LEASE_SECONDS / 3
        crew.leave()
    _check(crew)
