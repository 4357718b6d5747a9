"""What many sleeping workflows cost: memory, time to open, punctuality, and the steps of their neighbours.

A real sleeper is run and put to sleep; copies of it, each with its own id and history, fill the store up. Then an
engine is opened on it, in this process, while another process has filled it: the growth of this one's memory is the
engine's. Steps of a workflow among the sleepers and of one in an empty store are measured in turn. In the end the clock
is put forward to where the first sleepers are due.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import attrs
import trio
import typer

import wfactors as wf
from benchmarks import plots
from benchmarks.harness import Format, Plot, Repeat, Store, fresh, percentile, report
from wfactors.model.events import Event, RunStarted, TimerSet
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, Batch, HeaderRow, NodeRow
from wfactors.model.wire import encode_events
from wfactors.stores.base import Store as AnyStore
from wfactors.stores.url import open_store_from_url

app = typer.Typer(add_completion=False)

DUE_AT = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
LEAD_SECONDS = 3.0
STEPS_AT_ONCE = 50
_PER_BATCH = 5_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ShiftedClock:
    """The wall clock, put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead

    async def sleep_until(self, at: float) -> None:
        """Return once ``now()`` is ``at``; a jump is noticed within a second, as by ``wf.SystemClock``."""
        while (rest := at - self.now()) > 0:  # noqa: ASYNC110 - no event tells of the wall clock
            await trio.sleep(min(rest, 1.0))
        await trio.lowlevel.checkpoint()


@attrs.define
class Punctuality:
    """How late sleepers woke, in seconds, told by themselves."""

    clock: ShiftedClock = attrs.Factory(ShiftedClock)
    late: list[float] = attrs.Factory(list)


punctuality = Punctuality()


@wf.workflow
async def sleeper(due_at: float) -> None:
    await wf.sleep_until(datetime.fromtimestamp(due_at, UTC))
    punctuality.late.append(punctuality.clock.now() - due_at)


class Stopwatch:
    """Times the steps of a workflow between its activities."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self._ended = 0.0

    @wf.activity
    async def step(self, number: int) -> int:
        started = time.perf_counter()
        if number > 0:
            self.steps.append(started - self._ended)
        self._ended = time.perf_counter()
        return number


@wf.workflow
async def sequence(steps: int) -> None:
    for number in range(steps):
        await wf.activities(Stopwatch).step(number)


# --- Filling a store -------------------------------------------------------------------------------------------------


async def fill(store: AnyStore, instances: int, spread_seconds: float) -> None:
    """Put ``instances`` sleepers into a store, due from DUE_AT on over ``spread_seconds``."""
    async with wf.open_engine(store, register=[sleeper]) as engine:
        handle = await engine.start(sleeper, DUE_AT)
        while len(events := await handle.history()) < 2:  # noqa: ASYNC110 - started and asleep
            await trio.sleep(0.01)
        header = await store.header(handle.instance)
        await handle.terminate()
    assert header is not None
    async with store.open():
        await store.join(NodeRow("fill", ["default"], 0.0, 0.0), 3600.0)
        lease = await store.acquire(header.partition, "fill")
        assert lease is not None
        for number, first in enumerate(range(0, instances, _PER_BATCH), 1):
            numbers = range(first, min(first + _PER_BATCH, instances))
            copies = [_copy(header, events, at, DUE_AT + spread_seconds * at / instances) for at in numbers]
            headers, appends = [row for row, _ in copies], [append for _, append in copies]
            sequence_number = lease.sequence + number
            await store.commit(Batch(lease.partition, lease.epoch, sequence_number, headers=headers, appends=appends))
        await store.leave("fill")


def _copy(header: HeaderRow, events: list[Event], number: int, due_at: float) -> tuple[HeaderRow, Append]:
    """A sleeper like another one, under its own key and due at its own time."""
    key = f"{header.instance[:12]}{number:020x}"
    started, timer = events
    assert isinstance(started, RunStarted)
    assert isinstance(timer, TimerSet)
    own_start = attrs.evolve(started, instance=key, id=key, input=Payload(json.dumps([due_at]).encode()))
    data = encode_events([own_start, attrs.evolve(timer, at=due_at)])
    row = attrs.evolve(header, instance=key, id=key, root_id=key, wake_at=due_at, history_bytes=len(data))
    return row, Append(key, 1, 0, 2, data)


def _fill_in_process(url: str, instances: int, spread_seconds: float) -> None:
    trio.run(fill, open_store_from_url(url), instances, spread_seconds)


# --- Measuring -------------------------------------------------------------------------------------------------------


@attrs.frozen
class Result:
    """One measurement, in the order of the CSV columns."""

    store: str
    instances: int
    open_seconds: float
    growth_mb: float
    bytes_per_instance: float
    rss_mb: float
    step_ms_p50: float
    step_ms_p50_empty: float
    step_ratio: float
    woken: int
    late_ms_p50: float
    late_ms_p99: float


def resident_bytes() -> int:
    """The memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


async def measure(store: AnyStore, empty_url: str, instances: int, steps: int, due: int) -> tuple[Result, list[float]]:
    """Open an engine on a store full of sleepers, beside one on an empty store."""
    punctuality.clock.ahead = 0.0
    punctuality.late = []
    async with AsyncExitStack() as stack:
        alone = Stopwatch()
        empty = await stack.enter_async_context(wf.open_engine(empty_url, register=[sequence, alone]))
        await empty.run(sequence, STEPS_AT_ONCE)
        before = resident_bytes()
        started = time.perf_counter()
        among = Stopwatch()
        full = await stack.enter_async_context(
            wf.open_engine(store, register=[sequence, sleeper, among], clock=punctuality.clock)
        )
        await full.run(sequence, 1)
        open_seconds = time.perf_counter() - started
        alone.steps.clear()
        for _ in range(0, steps, STEPS_AT_ONCE):
            await empty.run(sequence, STEPS_AT_ONCE)
            await full.run(sequence, STEPS_AT_ONCE)
        after = resident_bytes()
        await _let_come(due)
    step, step_alone = percentile(among.steps, 0.5), percentile(alone.steps, 0.5)
    result = Result(
        store=type(store).__name__.removesuffix("Store").lower(),
        instances=instances,
        open_seconds=round(open_seconds, 4),
        growth_mb=round((after - before) / 2**20, 2),
        bytes_per_instance=round((after - before) / instances, 1),
        rss_mb=round(after / 2**20, 1),
        step_ms_p50=round(step * 1e3, 4),
        step_ms_p50_empty=round(step_alone * 1e3, 4),
        step_ratio=round(step / step_alone, 3),
        woken=len(punctuality.late),
        late_ms_p50=round(percentile(punctuality.late, 0.5) * 1e3, 3),
        late_ms_p99=round(percentile(punctuality.late, 0.99) * 1e3, 3),
    )
    return result, punctuality.late


async def _let_come(due: int) -> None:
    """Put the clock forward to shortly before the first is due, and wait until ``due`` of them have woken."""
    punctuality.clock.ahead = DUE_AT - LEAD_SECONDS - time.time()
    while len(punctuality.late) < due:  # noqa: ASYNC110 - they count up, and tell nobody
        await trio.sleep(0.05)


@app.command()
def main(
    store: Store = "sqlite:///:temporary:",
    instances: Annotated[int, typer.Option(min=1, help="Sleeping workflows.")] = 100_000,
    steps: Annotated[int, typer.Option(min=STEPS_AT_ONCE, help="Steps of a neighbour to time.")] = 500,
    due: Annotated[int, typer.Option(min=1, help="How many are awaited when they wake.")] = 2_000,
    per_second: Annotated[float, typer.Option(min=1, help="How many are due in a second.")] = 500,
    repeat: Repeat = 1,
    format: Format = "text",
    plot: Plot = None,
) -> None:
    """Many sleeping workflows: bytes of memory, time to open, lateness, and the cost of a step beside them."""
    measured = []
    for url, empty_url in zip(fresh(store, repeat), fresh(store, repeat), strict=True):
        opened = open_store_from_url(url)
        if isinstance(opened, wf.MemoryStore):
            trio.run(fill, opened, instances, instances / per_second)
        else:
            filling = multiprocessing.get_context("spawn").Process(
                target=_fill_in_process, args=(url, instances, instances / per_second)
            )
            filling.start()
            filling.join()
            assert filling.exitcode == 0, "the store could not be filled"
        measured.append(trio.run(measure, opened, empty_url, instances, steps, min(due, instances)))
    report("sleepers", [result for result, _ in measured], format)
    if plot is not None:
        late = [1e3 * seconds for _, samples in measured for seconds in samples]
        plots.distribution(plot, f"Lateness of {len(late):,} timers among {instances:,}", "ms", {"late": late})


if __name__ == "__main__":
    app()
