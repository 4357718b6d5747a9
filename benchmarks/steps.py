"""What one step costs: a workflow of n activities, one after the other.

A step is all that lies between the end of one activity and the start of the next: the outcome's turn, the commit, and
the task's way to the worker. Bare commits of the same store are measured in between, so that both see the same disk.
"""

from __future__ import annotations

import time
from typing import Annotated

import attrs
import trio
import typer

import wfactors as wf
from benchmarks import plots
from benchmarks.bare import BareCommits, RawSqlite, bare_commits, raw_sqlite
from benchmarks.harness import Format, Plot, Repeat, Store, fresh, percentile, report

app = typer.Typer(add_completion=False)

BARE_EVERY = 10
BARE_AT_ONCE = 5


@attrs.define
class Samples:
    """Seconds, as they were measured."""

    steps: list[float] = attrs.Factory(list)
    commits: list[float] = attrs.Factory(list)
    raw: list[float] = attrs.Factory(list)


@attrs.define
class Stopwatch:
    """The activity, and what happens between its calls."""

    raw: RawSqlite | None
    commits: BareCommits | None = None
    samples: Samples = attrs.Factory(Samples)
    ended: float | None = None

    @wf.activity
    async def step(self, number: int) -> int:
        started = time.perf_counter()
        if self.ended is not None:
            self.samples.steps.append(started - self.ended)
        if number % BARE_EVERY == 0:
            await self._commit_bare()
        self.ended = time.perf_counter()
        return number

    async def _commit_bare(self) -> None:
        assert self.commits is not None
        for _ in range(BARE_AT_ONCE):
            self.samples.commits.append(await self.commits.commit())
            if self.raw is not None:
                self.samples.raw.append(self.raw.commit())


@wf.workflow
async def sequence(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += await wf.activities(Stopwatch).step(number)
    return total


@attrs.frozen
class Result:
    """One measurement, in the order of the CSV columns; times of a single commit or step are medians."""

    store: str
    steps: int
    seconds: float
    cpu_seconds: float
    step_ms_p50: float
    step_ms_p99: float
    commit_ms_p50: float
    raw_ms_p50: float
    step_to_commit: float
    step_to_raw: float


async def measure(url: str, steps: int) -> tuple[Result, Samples]:
    """Run one workflow of ``steps`` activities on a fresh store."""
    with raw_sqlite(url) as raw:
        stopwatch = Stopwatch(raw)
        async with (
            wf.open_engine(url, register=[sequence, stopwatch]) as engine,
            bare_commits(engine.store) as stopwatch.commits,
        ):
            started, cpu_started = time.perf_counter(), time.process_time()
            assert await engine.run(sequence, steps) == steps * (steps - 1) // 2
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    samples = stopwatch.samples
    step, commit = percentile(samples.steps, 0.5), percentile(samples.commits, 0.5)
    least = percentile(samples.raw, 0.5) if samples.raw else 0.0
    result = Result(
        store=url.partition(":")[0],
        steps=steps,
        seconds=round(seconds, 4),
        cpu_seconds=round(cpu_seconds, 4),
        step_ms_p50=round(step * 1e3, 4),
        step_ms_p99=round(percentile(samples.steps, 0.99) * 1e3, 4),
        commit_ms_p50=round(commit * 1e3, 4),
        raw_ms_p50=round(least * 1e3, 4),
        step_to_commit=round(step / commit, 3),
        step_to_raw=round(step / least, 3) if least else 0.0,
    )
    return result, samples


@app.command()
def main(
    store: Store = "sqlite:///:temporary:",
    steps: Annotated[int, typer.Option(min=2, help="Activities, one after the other.")] = 1000,
    repeat: Repeat = 1,
    format: Format = "text",
    plot: Plot = None,
) -> None:
    """One step of a sequential workflow, beside the bare commit of the same store."""
    measured = [trio.run(measure, url, steps) for url in fresh(store, repeat)]
    report("steps", [result for result, _ in measured], format)
    if plot is not None:
        all_of = {
            name: [1e3 * value for _, samples in measured for value in getattr(samples, name)]
            for name in ("steps", "commits", "raw")
        }
        named = {"a step": all_of["steps"], "the store's commit": all_of["commits"], "sqlite3 itself": all_of["raw"]}
        plots.distribution(plot, "A step beside a bare commit", "ms", {name: s for name, s in named.items() if s})


if __name__ == "__main__":
    app()
