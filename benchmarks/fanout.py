"""One workflow, n activities at once: does twice as many take twice as long?

Each size runs on a fresh store. ``exponent`` is the k of seconds ~ n^k over the medians of all sizes; ``cpu_exponent``
the same for the time on the processor, which neighbours on the machine disturb less. ``hold_ms`` is the longest time
that the engine held the event loop without a checkpoint, ``turn_ms`` the longest part of a turn: what the workflow's
own code does between two waits cannot be cut, and here makes all the calls. Both from a run of their own, because
looking costs time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Annotated

import attrs
import trio
import typer

import wfactors as wf
from benchmarks import plots
from benchmarks.harness import Format, Plot, Repeat, Store, exponent, fresh, report
from benchmarks.holds import Holds, watched

app = typer.Typer(add_completion=False)
# Long histories are the point here: no warning of them.
LIMITS = wf.Limits(history_events_warning=10**6, history_events_max=10**6)


@wf.activity
async def echo(number: int) -> int:
    return number


@wf.workflow
async def fan_out(activities: int) -> int:
    return sum(await wf.gather(*(echo(number) for number in range(activities))))


@attrs.frozen
class Result:
    """One measurement, in the order of the CSV columns."""

    store: str
    activities: int
    seconds: float
    cpu_seconds: float
    activities_per_s: float
    events: int
    commits: int
    hold_ms: float = 0.0
    turn_ms: float = 0.0
    exponent: float = 0.0
    cpu_exponent: float = 0.0


async def holds(url: str, activities: int) -> Holds:
    """How long the same holds the loop."""
    async with wf.open_engine(url, register=[fan_out, echo], limits=LIMITS) as engine:
        with watched() as seen:
            await engine.run(fan_out, activities)
    return seen


async def measure(url: str, activities: int) -> Result:
    """Run one workflow that calls ``activities`` activities at once, on a fresh store."""
    async with wf.open_engine(url, register=[fan_out, echo], limits=LIMITS) as engine:
        started, cpu_started = time.perf_counter(), time.process_time()
        assert await engine.run(fan_out, activities) == activities * (activities - 1) // 2
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        journals = [partition.journal for partition in engine.statistics().partitions]
    return Result(
        store=url.partition(":")[0],
        activities=activities,
        seconds=round(seconds, 4),
        cpu_seconds=round(cpu_seconds, 4),
        activities_per_s=round(activities / seconds, 1),
        events=sum(journal.events for journal in journals),
        commits=sum(journal.commits for journal in journals),
    )


def fitted(results: Sequence[Result]) -> list[Result]:
    """The results with their exponents."""
    sizes = sorted({result.activities for result in results})

    def fit(name: str) -> float:
        medians = [
            (size, statistics.median(getattr(result, name) for result in results if result.activities == size))
            for size in sizes
        ]
        return round(exponent(medians), 3)

    return [
        attrs.evolve(result, exponent=fit("seconds"), cpu_exponent=fit("cpu_seconds"))
        for result in sorted(results, key=lambda result: result.activities)
    ]


@app.command()
def main(
    store: Store = "sqlite:///:temporary:",
    activities: Annotated[list[int] | None, typer.Option(min=1, help="How many at once; may be repeated.")] = None,
    repeat: Repeat = 1,
    format: Format = "text",
    plot: Plot = None,
) -> None:
    """One workflow, n activities at once (by default 1,000, 2,000, 5,000 and 10,000)."""
    sizes = activities or [1_000, 2_000, 5_000, 10_000]
    # Size by size within each repetition, so that a busy moment of the machine does not meet one size alone.
    order = [size for _ in range(repeat) for size in sizes]
    urls = fresh(store, 2 * len(order))
    measured = []
    for size in order:
        result = trio.run(measure, next(urls), size)
        seen = trio.run(holds, next(urls), size)
        measured.append(attrs.evolve(result, hold_ms=seen.engine_ms, turn_ms=seen.turn_ms))
    results = fitted(measured)
    report("fan-out", results, format, key="activities")
    if plot is not None:
        points = {
            "on the clock": [(result.activities, result.seconds) for result in results],
            "on the processor": [(result.activities, result.cpu_seconds) for result in results],
        }
        plots.growth(plot, f"Fan-out: seconds ~ n^{results[0].exponent}", "activities at once", "seconds", points)


if __name__ == "__main__":
    app()
