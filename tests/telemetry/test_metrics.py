"""Metrics: what is counted when it is durable, what is measured, and what is asked for when somebody reads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import wfactors as wf
from tests.telemetry.kit import Watched
from wfactors.actors.gauges import Gauges
from wfactors.errors import StoreCorrupt, StoreError, StoreUnavailable
from wfactors.telemetry.metrics import OBSERVED


@wf.activity(retry=wf.Retry(attempts=2, first=0.01))
async def step(fails: int = 0) -> None:
    if wf.activity_info().attempt <= fails:
        raise ConnectionError("no")


@wf.activity
async def waits() -> None:
    await trio.sleep_forever()


@wf.workflow
async def main(fails: int = 0) -> None:
    await step(fails)


@wf.workflow
async def hangs() -> None:
    await waits()


@wf.activity
async def nobodys() -> None: ...


@wf.workflow
async def neglected() -> None:
    await nobodys.options(queue="elsewhere")()


@wf.workflow
async def family() -> None:
    await main()


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def read(watched: Watched) -> dict[str, dict[tuple[str, ...], Any]]:
    """As an exporter does: in a thread of its own."""
    return await trio.to_thread.run_sync(watched.metrics)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.sleep(0.01)


async def test_what_is_counted(watched: Watched) -> None:
    """Turns, events and commits as the statistics have them; attempts by outcome, ends by status."""
    register = [family, main, step, hangs, waits]
    async with wf.open_engine(register=register, telemetry=watched.telemetry, grace=0) as engine:
        # Parent and child take their turns in one batch.
        await engine.run(family)
        await engine.run(main, 1)
        with suppress(wf.WorkflowFailed):
            await engine.run(main, 5)
        handle = await engine.start(hangs)
        await until(lambda: engine.statistics().activities.running == 1)
        await handle.cancel()
        with suppress(wf.WorkflowCancelled):
            await handle.result()
        await engine.start(hangs)
        await until(lambda: engine.statistics().activities.running == 1)
        (partition,) = engine.statistics().partitions
        found = await read(watched)
    journal = partition.journal
    commits, seconds = found["wfactors.commit.duration"][()]
    assert (journal.commits, pytest.approx(journal.commit_seconds_total)) == (commits, seconds)
    assert (journal.commits, journal.events) == found["wfactors.commit.events"][()]
    assert journal.commits < partition.turns
    assert [journal.events, partition.turns] == [found[name][()] for name in ("wfactors.events", "wfactors.turns")]
    turns, seconds = found["wfactors.turn.duration"][()]
    assert (journal.commits, True) == (turns, 0 < seconds < 1)
    ends = {("main", "completed"): 2, ("family", "completed"): 1, ("main", "failed"): 1, ("hangs", "cancelled"): 1}
    assert ends == found["wfactors.workflow.ends"]
    attempts = {("step", "returned"): 2, ("step", "retried"): 2, ("step", "failed"): 1, ("waits", "cancelled"): 1}
    assert attempts == found["wfactors.activity.attempts"]
    assert attempts == {labels: count for labels, (count, _) in found["wfactors.activity.duration"].items()}
    assert 1 == (await read(watched))["wfactors.activity.attempts"][("waits", "dropped")]


async def test_what_is_asked_for(watched: Watched) -> None:
    """Figures of the engine, of its lease, and of the queues of the store."""
    limits = wf.Limits(activities=7)
    options: dict[str, Any] = {"limits": limits, "lease": 30, "replay_check": 1.0, "grace": 0}
    async with wf.open_engine(
        register=[main, step, hangs, waits, neglected, nobodys], telemetry=watched.telemetry, **options
    ) as engine:
        await engine.run(main)
        await engine.replay_check.wait_idle()
        await engine.start(hangs)
        await engine.start(neglected)
        await until(lambda: engine.statistics().activities.running == 1)
        await engine.start("unknown")
        await until(lambda: engine.statistics().partitions[0].parked == 1)
        await until(lambda: engine.statistics().partitions[0].journal.events > 4)
        found = await read(watched)
        assert 25 < found["wfactors.lease.remaining"][()] <= 30
        assert found["wfactors.instances.resident"][()] == engine.statistics().partitions[0].resident > 0
    expected = {
        "wfactors.activities.running": {(): 1},
        "wfactors.activities.waiting": {(): 0},
        "wfactors.activities.places": {(): 7},
        "wfactors.partitions.owned": {(): 1},
        "wfactors.replay_check.replays": {(): 1},
        "wfactors.replay_check.differences": {(): 0},
        "wfactors.replay_check.skipped": {(): 0},
        "wfactors.instances.parked": {("default",): 1, ("elsewhere",): 0},
    }
    assert expected == {name: found[name] for name in expected}
    assert (3, 1) == (found["wfactors.instances.open"][("default",)], found["wfactors.queue.tasks"][("elsewhere",)])
    assert 0 <= found["wfactors.queue.age"][("elsewhere",)] < 10
    assert set(OBSERVED) <= set(found)


UNITS = {
    "wfactors.turns": "{turn}",
    "wfactors.turn.duration": "s",
    "wfactors.events": "{event}",
    "wfactors.commit.duration": "s",
    "wfactors.commit.events": "{event}",
    "wfactors.activity.attempts": "{attempt}",
    "wfactors.activity.duration": "s",
    "wfactors.workflow.ends": "{run}",
}
LABELS = {
    "wfactors.activity.attempts": {"wfactors.activity", "wfactors.outcome"},
    "wfactors.activity.duration": {"wfactors.activity", "wfactors.outcome"},
    "wfactors.workflow.ends": {"wfactors.workflow", "wfactors.status"},
}
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "observability.md"


async def test_every_metric_is_in_the_guide_with_its_attributes(watched: Watched) -> None:
    """And what it is called, measured in and told apart by does not change unnoticed."""
    async with wf.open_engine(
        register=[main, step], telemetry=watched.telemetry, lease=30, replay_check=1.0, store=wf.MemoryStore()
    ) as engine:
        await engine.run(main)
        await engine.start("unknown")
        await until(lambda: engine.statistics().partitions[0].parked == 1)
        data = await trio.to_thread.run_sync(watched.reader.get_metrics_data)
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    units = UNITS | {name: unit for name, (unit, _) in OBSERVED.items()}
    assert units == {metric.name: metric.unit for metric in metrics}
    assert all(metric.description for metric in metrics)
    for metric in metrics:
        (labels,) = {frozenset(point.attributes) for point in metric.data.data_points}
        by_queue = {"wfactors.queue"} if metric.name.startswith(_BY_QUEUE) else set()
        assert LABELS.get(metric.name, {"wfactors.node"} | by_queue if metric.name in OBSERVED else set()) == labels
    guide = GUIDE.read_text(encoding="utf-8")
    shown, last = set(), ""
    for name in re.findall(r"`(wfactors\.[a-z_.]+|\.[a-z]+)`", guide[guide.index("| metric |") :]):
        last = f"{last.rpartition('.')[0]}{name}" if name.startswith(".") else name
        shown.add(last)
    assert set(units) <= shown


_BY_QUEUE = ("wfactors.queue.", "wfactors.instances.open", "wfactors.instances.parked")


async def test_figures_are_looked_for_anew(watched: Watched) -> None:
    """Each reading has those of its moment; a queue without tasks has no age."""
    async with wf.open_engine(
        register=[hangs, waits, neglected, nobodys], telemetry=watched.telemetry, grace=0
    ) as engine:
        for running in (1, 2):
            await engine.start(hangs)
            await until(lambda running=running: engine.statistics().activities.running == running)  # type: ignore[misc]
            found = await read(watched)
            assert ({(): running}, {("default",): running}) == (
                found["wfactors.activities.running"],
                found["wfactors.instances.open"],
            )
        assert {("default",): 0.0} == found["wfactors.queue.age"]


async def test_a_turn_is_measured_with_the_commit_that_follows(watched: Watched) -> None:
    """The longest one until then, and not again with the next."""

    @wf.workflow
    async def slow() -> None:
        end = time.perf_counter() + 0.1
        while time.perf_counter() < end:
            pass
        await step()

    async with wf.open_engine(register=[slow, step], telemetry=watched.telemetry) as engine:
        await engine.run(slow)
        turns, seconds = (await read(watched))["wfactors.turn.duration"][()]
    assert turns > 1
    assert 0.1 <= seconds < 0.2


async def test_nobody_shows_figures_when_the_engine_is_closed(watched: Watched) -> None:
    """And an engine that is opened later, with the same provider, does."""
    async with wf.open_engine(telemetry=watched.telemetry):
        pass
    assert {} == (await read(watched)).get("wfactors.partitions.owned", {})
    async with wf.open_engine(telemetry=wf.Telemetry(watched.provider, watched.meters)):
        assert {(): 1} == (await read(watched))["wfactors.partitions.owned"]


async def test_each_engine_has_its_figures(watched: Watched) -> None:
    """They differ in the name of the node."""
    async with wf.open_engine(telemetry=watched.telemetry) as one, wf.open_engine(telemetry=watched.telemetry) as two:
        data = await trio.to_thread.run_sync(watched.reader.get_metrics_data)
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    (owned,) = (metric for metric in metrics if metric.name == "wfactors.partitions.owned")
    assert {one.name: 1, two.name: 1} == {
        point.attributes["wfactors.node"]: point.value for point in owned.data.data_points
    }


async def test_the_loop_itself_may_read(watched: Watched) -> None:
    """It is not made to wait for itself; of the queues it sees what was found the last time."""
    async with wf.open_engine(register=[hangs, waits], telemetry=watched.telemetry, grace=0) as engine:
        await engine.start(hangs)
        await until(lambda: engine.statistics().activities.running == 1)
        found = watched.metrics()
        assert ({(): 1}, {}) == (found["wfactors.activities.running"], found.get("wfactors.instances.open", {}))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert {("default",): 1} == watched.metrics()["wfactors.instances.open"]


@pytest.mark.parametrize("error", [StoreUnavailable, StoreCorrupt])
async def test_a_store_that_does_not_answer_shows_no_queues(
    watched: Watched, monkeypatch: Any, error: type[StoreError]
) -> None:
    """The figures of the engine itself are there."""
    store = wf.MemoryStore()

    async def fail() -> None:
        raise error("gone fishing")

    monkeypatch.setattr(store, "queues", fail)
    async with wf.open_engine(store, register=[hangs, waits], telemetry=watched.telemetry, grace=0) as engine:
        await engine.start(hangs)
        found = await read(watched)
    assert ({(): 1}, {}) == (found["wfactors.partitions.owned"], found.get("wfactors.instances.open", {}))


async def test_a_store_that_hangs_hides_no_figures_of_the_engine(watched: Watched, monkeypatch: Any) -> None:
    """The lease that runs out meanwhile is among them."""
    monkeypatch.setattr("wfactors.actors.gauges._PATIENCE_SECONDS", 0.2)
    store = wf.MemoryStore()
    monkeypatch.setattr(store, "queues", trio.sleep_forever)
    async with wf.open_engine(store, lease=10, telemetry=watched.telemetry):
        readings = [await read(watched) for _ in range(2)]
    assert [{(): 1}, {(): 1}] == [found["wfactors.partitions.owned"] for found in readings]
    first, second = (found["wfactors.lease.remaining"][()] for found in readings)
    assert 0 < second < first <= 10


@attrs.frozen
class _NoReporter:
    """Lets a test ask by itself."""

    def observed(self, source: object) -> Any:
        return nullcontext()


async def test_a_node_that_is_joining_has_no_activities() -> None:
    """What there is to be shown is shown."""
    async with wf.open_engine() as engine, trio.open_nursery() as nursery:
        joining = attrs.evolve(engine.statistics(), activities=None, partitions=[])
        gauges = Gauges(lambda: joining, engine.store, wf.SystemClock())
        await nursery.start(gauges.run, _NoReporter())
        names = ("wfactors.partitions.owned", "wfactors.activities.running", "wfactors.lease.remaining")
        assert [[0], [], []] == [[figure.value for figure in gauges.figures(name)] for name in names]
        nursery.cancel_scope.cancel()


def test_a_loop_that_is_busy_or_gone_shows_what_it_had(monkeypatch: Any) -> None:
    """The reader waits for a moment, and never for ever."""
    monkeypatch.setattr("wfactors.actors.gauges._PATIENCE_SECONDS", 0.01)
    seen: list[list[float]] = []

    async def program() -> Gauges:
        async with wf.open_engine() as engine, trio.open_nursery() as nursery:
            gauges = Gauges(engine.statistics, engine.store, wf.SystemClock())
            await nursery.start(gauges.run, _NoReporter())

            def look() -> None:
                seen.append([figure.value for figure in gauges.figures("wfactors.partitions.owned")])

            await trio.to_thread.run_sync(look)
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            nursery.cancel_scope.cancel()
        return gauges

    gauges = trio.run(program)
    gauges.figures("wfactors.partitions.owned")
    assert [1.0] == [figure.value for figure in gauges.figures("wfactors.partitions.owned")]
    assert [[1.0], [1.0]] == seen


async def test_a_reading_waits_once_for_a_loop_that_is_busy(watched: Watched, monkeypatch: Any) -> None:
    """A loop that shuts a meter provider down waits for a last reading: not so long that the lease ends."""
    monkeypatch.setattr("wfactors.actors.gauges._PATIENCE_SECONDS", 0.01)
    refresh, waits = Gauges._refresh, []

    def counted(gauges: Gauges) -> None:
        waits.append(gauges)
        refresh(gauges)

    monkeypatch.setattr(Gauges, "_refresh", counted)
    async with wf.open_engine(telemetry=watched.telemetry):
        for _ in range(2):
            thread = threading.Thread(target=watched.metrics)
            thread.start()
            thread.join()
        assert 2 == len(waits)
        # The loop has answered too late. What it found then is not what the next reading shows.
        await trio.testing.wait_all_tasks_blocked(0.01)
        await read(watched)
        assert 3 == len(waits)


def test_engines_of_different_providers_share_nothing() -> None:
    """Each provider has instruments of its own."""
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    providers = [MeterProvider([reader], shutdown_on_exit=False) for reader in readers]
    watched = Watched()

    @wf.workflow
    async def quick() -> None: ...

    async def program() -> None:
        for provider in providers:
            telemetry = wf.Telemetry(watched.provider, provider)
            async with wf.open_engine(register=[quick], telemetry=telemetry) as engine:
                await engine.run(quick)

    trio.run(program)
    for reader in readers:
        metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        (ends,) = (metric for metric in metrics if metric.name == "wfactors.workflow.ends")
        assert [1] == [point.value for point in ends.data.data_points]
