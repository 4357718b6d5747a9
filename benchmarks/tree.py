"""A tree of workflows: how many workflows and events a second one process carries.

Root starts ``fanout`` Mids (of depth - 1) at once and awaits them; a Mid of depth 0 starts ``leaffanout`` Leafs, else
``fanout`` Mids; a Leaf runs ``activities`` activities at once, each returning a string of ``resultsize`` characters.
Timed from the first start to the last result, in one process, on a fresh store.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import attrs
import trio
import typer

import wfactors as wf
from benchmarks.harness import Format, Plot, Repeat, Store, fresh, report
from benchmarks.plots import bars

app = typer.Typer(add_completion=False)


@attrs.frozen
class Shape:
    """How large a tree is."""

    depth: int
    fanout: int
    leaffanout: int
    activities: int
    resultsize: int

    @property
    def workflows(self) -> int:
        """Workflows of one tree."""
        mids = sum(self.fanout**level for level in range(1, self.depth + 1))
        return 1 + mids + self.fanout**self.depth * self.leaffanout


@wf.activity
async def produce(size: int) -> str:
    return "x" * size


@wf.workflow
async def leaf(shape: Shape) -> int:
    results = await wf.gather(*(produce(shape.resultsize) for _ in range(shape.activities)))
    return sum(len(result) for result in results)


@wf.workflow
async def mid(shape: Shape, depth: int) -> int:
    if depth == 0:
        return sum(await wf.gather(*(leaf(shape) for _ in range(shape.leaffanout))))
    return sum(await wf.gather(*(mid(shape, depth - 1) for _ in range(shape.fanout))))


@wf.workflow
async def root(shape: Shape) -> int:
    return sum(await wf.gather(*(mid(shape, shape.depth - 1) for _ in range(shape.fanout))))


@attrs.frozen
class Result:
    """One measurement, in the order of the CSV columns."""

    store: str
    seconds: float
    runs: int
    depth: int
    fanout: int
    leaffanout: int
    activities: int
    resultsize: int
    workflows_per_s: float
    events_per_s: float
    commits: int


async def measure(url: str, runs: int, shape: Shape) -> Result:
    """Run ``runs`` trees at once on a fresh store."""
    async with wf.open_engine(url, register=[root, mid, leaf, produce]) as engine:
        totals: list[int] = []

        async def one(number: int) -> None:
            totals.append(await engine.run(root, shape, id=f"tree-{number}"))

        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(runs):
                nursery.start_soon(one, number)
        seconds = time.perf_counter() - started
        expected = shape.fanout**shape.depth * shape.leaffanout * shape.activities * shape.resultsize
        assert totals == [expected] * runs, "a tree returned something else than it should"
        journals = [partition.journal for partition in engine.statistics().partitions]
    return Result(
        store=url.partition(":")[0],
        seconds=round(seconds, 4),
        runs=runs,
        depth=shape.depth,
        fanout=shape.fanout,
        leaffanout=shape.leaffanout,
        activities=shape.activities,
        resultsize=shape.resultsize,
        workflows_per_s=round(runs * shape.workflows / seconds, 1),
        events_per_s=round(sum(journal.events for journal in journals) / seconds, 1),
        commits=sum(journal.commits for journal in journals),
    )


@app.command()
def main(
    store: Store = "sqlite:///:temporary:",
    runs: Annotated[int, typer.Option(min=1, help="Trees at once.")] = 50,
    depth: Annotated[int, typer.Option(min=1)] = 2,
    fanout: Annotated[int, typer.Option(min=1)] = 2,
    leaffanout: Annotated[int, typer.Option(min=1)] = 2,
    activities: Annotated[int, typer.Option(min=0)] = 2,
    resultsize: Annotated[int, typer.Option(min=0)] = 100,
    repeat: Repeat = 1,
    format: Format = "text",
    plot: Plot = None,
) -> None:
    """A tree of workflows: workflows and events a second."""
    shape = Shape(depth, fanout, leaffanout, activities, resultsize)
    results: Sequence[Result] = [trio.run(measure, url, runs, shape) for url in fresh(store, repeat)]
    report("tree", results, format)
    if plot is not None:
        bars(plot, "tree", "seconds", {"tree": [result.seconds for result in results]})


if __name__ == "__main__":
    app()
