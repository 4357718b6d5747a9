"""How fast a long history is replayed: events a second, by each part of the way and for several kinds of workflow.

``decode`` is bytes to events, ``feed`` the kernel and the author's code, both by the time on the processor. ``load`` is
all of that after reading the rows from the store, and ``engine`` what a freshly opened engine takes to answer a query
of the sleeping workflow: the same a millisecond at a time, so that the loop stays responsive; both by the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import attrs
import trio
import typer

import wfactors as wf
from benchmarks import plots
from benchmarks.harness import Format, Plot, Repeat, Store, fresh, report
from wfactors.actors.loader import turns_of
from wfactors.convert import DataPort
from wfactors.model.events import Event, RunStarted
from wfactors.model.records import Append
from wfactors.model.wire import decode_events
from wfactors.registry import Registry, Workflow
from wfactors.stores.base import Store as AnyStore
from wfactors.stores.url import open_store_from_url
from wfactors.workflow import Application, open_run

app = typer.Typer(add_completion=False)

EVENTS_MAX = 1_000_000


@wf.activity
async def echo(number: int) -> int:
    return number


@wf.workflow
async def sequential(calls: int) -> int:
    return await _listening(_one_by_one(calls))


@wf.workflow
async def concurrent(calls: int) -> int:
    return await _listening(wf.gather(*(echo(number) for number in range(calls))))


@wf.workflow
async def signalled(calls: int) -> int:
    return await _listening(_received(calls))


async def _one_by_one(calls: int) -> list[int]:
    return [await echo(number) for number in range(calls)]


async def _received(calls: int) -> list[int]:
    numbers = wf.signals("number", int)
    return [await numbers.receive() for _ in range(calls)]


async def _listening(work: Any) -> int:
    """Do the work, then answer queries until told to stop."""
    total = 0

    @wf.query
    def answer() -> int:
        return total

    total = sum(await work)
    await wf.signals("stop").receive()
    return total


SHAPES: dict[str, Workflow[..., Any]] = {
    "sequential": sequential,
    "concurrent": concurrent,
    "signalled": signalled,
}
REGISTER = [*SHAPES.values(), echo]


@attrs.frozen
class Result:
    """One measurement, in the order of the CSV columns."""

    store: str
    shape: str
    events: int
    decode_per_s: float
    feed_per_s: float
    load_per_s: float
    engine_per_s: float


async def write_history(store: AnyStore, shape: str, calls: int) -> str:
    """Run a workflow until it listens; the key of the instance."""
    limits = wf.Limits(history_events_warning=EVENTS_MAX, history_events_max=EVENTS_MAX)
    async with wf.open_engine(store, register=REGISTER, limits=limits) as engine:
        handle = await engine.start(SHAPES[shape], calls)
        if shape == "signalled":
            async with trio.open_nursery() as nursery:
                for number in range(calls):
                    nursery.start_soon(handle.signal, "number", number)
        expected = calls * (calls - 1) // 2
        while await handle.query("answer") != expected:  # noqa: ASYNC110 - nobody tells that it listens
            await trio.sleep(0.05)
        return handle.instance


def decode(appends: Sequence[Append]) -> list[Event]:
    """The events of a history."""
    return [event for append in appends for event in decode_events(append.data)]


def feed(application: Application, events: Sequence[Event]) -> None:
    """Replay a history."""
    started = events[0]
    assert isinstance(started, RunStarted)
    definition = application.registry.workflow(started.workflow)
    run = open_run(application, definition, instance=started.instance, run=started.run, queue=started.queue)
    for fact, decisions in turns_of(list(events)):
        run.feed(fact, decisions)
    assert run.events == len(events)
    run.close()


def timed(function: Callable[..., Any], *args: Any) -> float:
    """The seconds of processor that a call takes."""
    started = time.process_time()
    function(*args)
    return time.process_time() - started


async def measure(url: str, shape: str, calls: int) -> Result:
    """Write a history to a fresh store and replay it in each way."""
    store = open_store_from_url(url)
    instance = await write_history(store, shape, calls)
    application = Application(registry=Registry(REGISTER), data=DataPort())
    async with store.open():
        started = time.perf_counter()
        appends = await store.history(instance, 1)
        feed(application, decode(appends))
        load_seconds = time.perf_counter() - started
    decode_seconds = timed(decode, appends)
    events = decode(appends)
    feed_seconds = timed(feed, application, events)
    limits = wf.Limits(history_events_warning=EVENTS_MAX, history_events_max=EVENTS_MAX)
    async with wf.open_engine(store, register=REGISTER, limits=limits) as engine:
        header = await store.header(instance)
        assert header is not None
        handle = await engine.get(header.id)
        started = time.perf_counter()
        await handle.query("answer")
        engine_seconds = time.perf_counter() - started
    count = len(events)
    return Result(
        store=url.partition(":")[0],
        shape=shape,
        events=count,
        decode_per_s=round(count / decode_seconds),
        feed_per_s=round(count / feed_seconds),
        load_per_s=round(count / load_seconds),
        engine_per_s=round(count / engine_seconds),
    )


@app.command()
def main(
    store: Store = "sqlite:///:temporary:",
    calls: Annotated[int, typer.Option(min=1, help="Activities or signals in the history.")] = 10_000,
    shape: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SHAPES)}; all if left out.")] = None,
    repeat: Repeat = 1,
    format: Format = "text",
    plot: Plot = None,
) -> None:
    """Replaying long histories: events a second."""
    shapes = [name for name in shape or SHAPES for _ in range(repeat)]
    results = [trio.run(measure, url, name, calls) for url, name in zip(fresh(store, len(shapes)), shapes, strict=True)]
    report("replay", results, format, key="shape")
    if plot is not None:
        parts = ("decode", "feed", "load", "engine")
        values = {
            f"{name}\n{part}": [getattr(result, f"{part}_per_s") for result in results if result.shape == name]
            for name in dict.fromkeys(shapes)
            for part in parts
        }
        plots.bars(plot, "Replay", "events a second", values)


if __name__ == "__main__":
    app()
