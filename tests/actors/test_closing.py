"""Runs that leave memory: their clean-up code ends, reaches nothing, and does not hold the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import cast

import pytest
import trio

import wfactors as wf
from tests.slices import SlicesEnd
from wfactors import pace
from wfactors.actors.closing import RunCloser
from wfactors.actors.watchdog import Watchdog
from wfactors.kernel.run import Run
from wfactors.kernel.scheduler import _CLOSED_AT_ONCE

TASKS = 5 * _CLOSED_AT_ONCE
closed: list[object] = []


@pytest.fixture(autouse=True)
def nothing_closed() -> None:
    closed.clear()


class Steps(trio.abc.Instrument):
    """Counts the steps of the loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, _: trio.lowlevel.Task) -> None:
        self.count += 1


steps = Steps()


@wf.workflow
async def many_tasks() -> None:
    """Has very many tasks that clean up."""

    async def one() -> None:
        try:
            await wf.sleep_forever()
        finally:
            closed.append(steps.count)

    async with wf.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(one)


@wf.workflow
async def endless() -> None:
    """Its clean-up code does not come back."""
    try:
        await wf.sleep_forever()
    finally:
        while True:
            pass


@wf.workflow
async def reaches_for_trio() -> None:
    """Its clean-up code looks for the task of the engine that runs it."""
    try:
        await wf.sleep_forever()
    finally:
        closed.append(type(trio.lowlevel.current_task()) is trio.lowlevel.Task)


async def test_endless_clean_up_is_interrupted(caplog: pytest.LogCaptureFixture) -> None:
    """The engine closes, and the log says where the loop was held."""
    limits = wf.Limits(turn_warning_seconds=0.05, turn_seconds_max=0.1)
    with caplog.at_level(logging.ERROR):
        async with wf.open_engine("memory://", register=[endless], limits=limits) as engine:
            await engine.start(endless, id="stays")
            await trio.testing.wait_all_tasks_blocked()
    (record,) = caplog.records
    assert "clean-up code of workflow stays held the loop for too long" in record.getMessage()
    assert "in endless" in record.getMessage()


async def test_clean_up_does_not_reach_trio(autojump_clock: trio.testing.MockClock) -> None:
    """The task that it finds there is none of Trio's, as in a turn."""
    async with wf.open_engine("memory://", register=[reaches_for_trio]) as engine:
        await engine.start(reaches_for_trio)
        await trio.sleep(1)
    assert [False] == closed


@pytest.mark.parametrize("way", ["terminated", "dropped"])
async def test_the_loop_is_free_between_parts(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A run of very many tasks is closed some at a time, and whole when its engine is closed."""
    monkeypatch.setattr(pace, "time", SlicesEnd())
    trio.lowlevel.add_instrument(steps)
    async with wf.open_engine("memory://", register=[many_tasks]) as engine:
        handle = await engine.start(many_tasks)
        await trio.sleep(1)
        if way == "terminated":
            await handle.terminate()
            await trio.sleep(1)
            assert TASKS == len(closed)
    trio.lowlevel.remove_instrument(steps)
    assert TASKS == len(closed)
    assert _CLOSED_AT_ONCE == max(closed.count(step) for step in set(closed))


class Closable:
    """A run as the closer sees it, with code under way."""

    has_live_code = True

    def __init__(self, name: str) -> None:
        self.scheduler = self
        self._name = name

    def closing(self) -> Iterator[None]:
        closed.append(f"{self._name} begun")
        yield
        closed.append(f"{self._name} done")


async def test_a_run_that_arrives_behind_the_last_one_is_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the moment at which the closer, done with what it had, lets others go first."""
    monkeypatch.setattr(pace, "time", SlicesEnd())
    closer, rounds = RunCloser(Watchdog(10, 20)), range(20)
    async with closer.open():
        for number in rounds:
            closer.close("first", cast("Run", Closable(f"first {number}")))
            while f"first {number} done" not in closed:
                await trio.lowlevel.checkpoint()
            closer.close("next", cast("Run", Closable(f"next {number}")))
    each = [f"{name} {number} {what}" for number in rounds for name in ("first", "next") for what in ("begun", "done")]
    assert sorted(each) == sorted(closed)
