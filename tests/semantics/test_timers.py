"""Timers: when they fire, in which order, and what is left of those that never do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio

import wfactors as wf


@wf.workflow
async def naps(seconds: float) -> float:
    start = wf.current_time()
    await wf.sleep(seconds)
    return wf.current_time() - start


@wf.workflow
async def naps_till(at: datetime) -> datetime:
    await wf.sleep_until(at)
    return wf.now()


@wf.workflow
async def many_timers(delays: list[float]) -> list[float]:
    woken: list[float] = []

    async def one(delay: float) -> None:
        await wf.sleep(delay)
        woken.append(delay)

    async with wf.open_nursery() as nursery:
        for delay in delays:
            nursery.start_soon(one, delay)
    return woken


@wf.workflow
async def deadlines() -> list[object]:
    seen: list[object] = []
    with wf.move_on_after(timedelta(days=3)) as patience:
        await wf.sleep_forever()
    seen.append(patience.cancelled_caught)
    try:
        with wf.fail_after(60):
            await wf.sleep(61)
    except wf.TooSlowError:
        seen.append("too slow")
    with wf.move_on_at(wf.current_time() + 60) as scope:
        await wf.sleep(59)
    seen.append(scope.cancelled_caught)
    return seen


@wf.workflow
async def cancels_timers(how: str) -> str:
    if how == "before start":
        with wf.CancelScope() as scope:
            scope.cancel()
            await wf.sleep(3600)
    elif how == "twice":
        with wf.CancelScope() as scope:
            async with wf.open_nursery() as nursery:
                nursery.start_soon(wf.sleep, 3600)
                await wf.sleep(1)
                scope.cancel()
                scope.cancel()
    elif how == "at its due time":
        with wf.move_on_after(5):
            await wf.sleep(5)
    else:
        with wf.move_on_after(5):
            await wf.sleep(3600)
    return how


async def test_a_timer_fires_at_its_time_to_the_millisecond(backend, autojump_clock) -> None:
    """At or after it, and not a second late."""
    async with backend.engine(naps, lease=3600) as engine:
        for seconds in (0.001, 0.25, 12.345, 86_000.0):
            slept = await engine.run(naps, seconds)
            assert seconds - 1e-5 <= slept < seconds + 0.01


async def test_sleep_until_takes_a_datetime(backend, autojump_clock) -> None:
    """Also one that is over already."""
    async with backend.engine(naps_till) as engine:
        at = datetime.fromtimestamp(backend.clock.now() + 100, UTC)
        assert timedelta(0) <= await engine.run(naps_till, at) - at < timedelta(seconds=0.01)
        past = datetime(2020, 1, 1, tzinfo=UTC)
        assert await engine.run(naps_till, past) >= at


@pytest.mark.parametrize("instances", [1, 1000])
async def test_late_timers_fire_on_recovery_in_order_of_their_time(backend, autojump_clock, instances) -> None:
    """Within an instance strictly; every one of them is late here."""
    delays = [50.0, 10.0, 40.0, 20.0, 30.0, 10.5]
    async with backend.engine(many_timers) as engine:
        await engine.start(many_timers, delays, id="m")
    await trio.sleep(1000)
    async with backend.engine(many_timers, limits=wf.Limits(resident_instances=instances)) as engine:
        assert sorted(delays) == await (await engine.get("m")).result()


async def test_late_timers_of_many_instances_fire_on_recovery(backend, autojump_clock) -> None:
    """In order of their time, over all of a partition."""
    woken: list[float] = []

    @wf.workflow(name="naps")
    async def naps_and_tells(seconds: float) -> None:
        await wf.sleep(seconds)
        woken.append(seconds)

    delays = [50.0, 10.0, 40.0, 20.0, 30.0, 60.0, 5.0]
    async with backend.engine(naps_and_tells) as engine:
        for seconds in delays:
            await engine.start(naps_and_tells, seconds, id=f"n{seconds:g}")
        await trio.sleep(1)  # all of them sleep
    await trio.sleep(1000)
    async with backend.engine(naps_and_tells) as engine:
        for seconds in delays:
            await (await engine.get(f"n{seconds:g}")).result()
    assert sorted(delays) == woken


@pytest.mark.time_limit(30 * 24 * 3600)
async def test_durable_deadlines(backend, autojump_clock) -> None:
    """Three days of patience, and scopes of a minute; the lease is renewed all the while."""
    async with backend.engine(deadlines, lease=3600) as engine:
        assert [True, "too slow", False] == await engine.run(deadlines)


@pytest.mark.parametrize("how", ["before start", "twice", "before it fires", "at its due time"])
async def test_a_cancelled_timer_leaves_nothing_behind(backend, autojump_clock, how) -> None:
    """The workflow ends at once and nothing wakes it again; one cancelled before it began was never recorded."""
    async with backend.engine(cancels_timers) as engine:
        start = trio.current_time()
        handle = await engine.start(cancels_timers, how)
        assert how == await handle.result()
        assert trio.current_time() - start < 6
        assert (await handle.describe()).wake_at is None
        events = await handle.history()
        assert (how == "before start") == (2 == len(events))
        await trio.sleep(7200)
        assert events == await handle.history()


async def test_a_timer_is_in_view(backend, autojump_clock) -> None:
    """The description says when the workflow wakes up."""
    async with backend.engine(naps) as engine:
        handle = await engine.start(naps, 100)
        await trio.sleep(1)
        description = await handle.describe()
        assert 100 == round(description.wake_at.timestamp() - description.created_at.timestamp())
        assert ["a timer at"] == [words[:10] for words in description.waits_for]
