"""Worker processes on one SQLite file, forked from a process that never had threads, and what is heard of them.

Everything a worker or client notes in the effect log comes through a pipe as well, so that nobody has to wait by the
clock: to kill "after 30 lines" is to read 30 lines.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

import wfactors as wf
from tests.faults import workload
from wfactors.testing.auditor import EffectLog, Entry, audit
from wfactors.testing.crashes import fork

SILENCE_SECONDS_MAX = 30.0
PARTITION = "0:default"


class ToldLog(EffectLog):
    """An effect log whose lines go to the crew's pipe as well."""

    def __init__(self, path: Path, pipe: int) -> None:
        super().__init__(path)
        self._pipe = pipe

    def note(self, kind: str, **fields: object) -> None:
        super().note(kind, **fields)
        os.write(self._pipe, (json.dumps({"kind": kind, "pid": os.getpid(), **fields}) + "\n").encode())


class _Words(logging.Handler):
    """What the engine warns of, as lines of the effect log."""

    def emit(self, record: logging.LogRecord) -> None:
        workload.log().note("log", text=record.getMessage())


@attrs.define(eq=False)
class Crew:
    """Processes on the store in ``folder``; all of them are killed at the end of ``open_crew``."""

    folder: Path
    lease: float = 10.0
    workers: list[int] = attrs.field(factory=list)
    owner: int = 0
    _pipe: tuple[int, int] = attrs.field(factory=os.pipe)
    _control: tuple[int, int] = attrs.field(factory=os.pipe)
    _text: bytes = b""
    _heard: list[Entry] = attrs.field(factory=list)
    _silent_since: float = attrs.field(factory=time.monotonic)
    _last: Entry | None = None

    # --- Processes ---

    def start_worker(self) -> int:
        """Fork a process that runs an engine until the control pipe is closed, or it is killed."""
        child = self._fork(lambda: trio.run(_work, self.folder, self.lease, self._control[0]))
        self.workers.append(child)
        return child

    def start(self, work: Callable[[], object]) -> int:
        """Fork a process that does ``work`` with the crew's log."""
        return self._fork(work)

    def _fork(self, work: Callable[[], object]) -> int:
        def run() -> None:
            os.close(self._control[1])
            workload._log[:] = [ToldLog(self.folder / "effects", self._pipe[1])]
            logging.getLogger("wfactors").addHandler(_Words(logging.WARNING))
            logging.getLogger("wfactors").propagate = False
            work()

        return fork(run, seconds_max=200)

    def kill(self, worker: int) -> None:
        """``kill -9``, and wait until it is gone."""
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        self.workers.remove(worker)

    def leave(self) -> None:
        """Let all workers leave in order."""
        os.close(self._control[1])
        self._control = (self._control[0], -1)
        for worker in self.workers:
            assert 0 == os.waitpid(worker, 0)[1]
        self.workers.clear()

    def close(self) -> None:
        """Kill what is left."""
        for worker in list(self.workers):
            self.kill(worker)

    # --- What is heard ---

    def hear(self) -> Entry:
        """The next line of anybody; fails when for too long nobody does anything but complain in the log."""
        while not self._heard:
            left = self._silent_since + SILENCE_SECONDS_MAX - time.monotonic()
            ready, _, _ = select.select([self._pipe[0]], [], [], max(left, 0.0))
            assert ready, f"nobody makes any progress; the last that was heard: {self._last}"
            self._text += os.read(self._pipe[0], 1 << 16)
            *lines, self._text = self._text.split(b"\n")
            for line in lines:
                fields = json.loads(line)
                self._heard.append(Entry(fields.pop("kind"), fields.pop("pid"), fields))
        entry = self._last = self._heard.pop(0)
        if entry.kind != "log":
            self._silent_since = time.monotonic()
        if entry.kind == "owner" and entry["partition"] == PARTITION:
            self.owner = entry.pid
        return entry

    def hear_until(self, is_it: Callable[[Entry], bool]) -> Entry:
        """The next line that is wanted."""
        while not is_it(entry := self.hear()):
            pass
        return entry

    def hear_progress(self) -> float:
        """Wait for a new owner and then for a step of its own; returns when that was, by ``time.perf_counter``."""
        before = self.owner
        self.hear_until(lambda _: self.owner != before)
        self.hear_until(lambda entry: entry.kind == "effect" and entry.pid == self.owner)
        return time.perf_counter()

    # --- The end ---

    def audit(self) -> list[str]:
        """In a process of its own: finish what is open, check everything; returns what is wrong."""
        words = self.folder / "problems"

        def check() -> None:
            found = trio.run(_finish, self.folder)
            words.write_text("\n".join(found))

        status = os.waitpid(fork(check, seconds_max=120), 0)[1]
        return ["the process that finishes has failed"] if status else words.read_text().splitlines()


@contextmanager
def open_crew(folder: Path, workers: int, lease: float = 10.0) -> Iterator[Crew]:
    """A crew with workers of which one owns the partitions."""
    crew = Crew(folder, lease)
    try:
        for _ in range(workers):
            crew.start_worker()
            crew.hear_until(lambda entry: entry.kind == "ready")
        yield crew
    finally:
        crew.close()


def store_of(folder: Path) -> wf.SqliteStore:
    """The crew's store."""
    return wf.SqliteStore(folder / "store.db", synchronous="normal")


async def _work(folder: Path, lease: float, control: int) -> None:
    engine_of = wf.open_engine(
        store_of(folder), register=workload.REGISTER, queues=workload.QUEUES, lease=lease, grace=5
    )
    async with engine_of as engine, trio.open_nursery() as nursery:
        nursery.start_soon(_tell_owners, engine)
        nursery.start_soon(_leave_when_told, nursery.cancel_scope)
        workload.log().note("ready")
        await trio.lowlevel.wait_readable(control)
        nursery.cancel_scope.cancel()


async def _leave_when_told(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def _tell_owners(engine: wf.Engine) -> None:
    told: set[Any] = set()
    while True:
        for partition in engine.statistics().partitions:
            if (partition.partition, partition.epoch) not in told:
                told.add((partition.partition, partition.epoch))
                workload.log().note("owner", partition=partition.partition, epoch=partition.epoch, node=engine.name)
        await trio.sleep(0.005)


async def _finish(folder: Path) -> list[str]:
    log = workload.use_log(folder / "effects")
    store = store_of(folder)
    with trio.fail_after(60):
        async with wf.open_engine(store, register=workload.REGISTER, queues=workload.QUEUES, grace=1) as engine:
            await workload.settle(engine)
        async with store.open():
            dump = await store.dump()
    return [str(violation) for violation in audit(dump, log.read(), workload.application())]
