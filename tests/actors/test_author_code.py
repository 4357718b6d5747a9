"""Author code is called so that the loop is whole afterwards, whenever the watchdog strikes."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any

import pytest
import trio

import wfactors as wf
from wfactors.actors.author_code import AuthorCode
from wfactors.actors.watchdog import TurnInterrupted, TurnTime, Watchdog
from wfactors.kernel.run import Run
from wfactors.model.events import Decision, RunCompleted, RunStarted
from wfactors.model.payloads import Payload
from wfactors.registry import Registry
from wfactors.workflow import Application, open_run


class LateWatchdog(Watchdog):
    """Strikes where the engine, not the author, is running: as ``end`` is called."""

    def __init__(self, strikes: int) -> None:
        super().__init__(10, 10)
        self.strikes = strikes

    def end(self) -> str | None:
        if self.strikes:
            self.strikes -= 1
            raise TurnInterrupted
        return super().end()


async def test_a_value_comes_back() -> None:
    """And Trio's context is what it was."""
    task = trio.lowlevel.current_task()
    assert 5 == AuthorCode(Watchdog(10, 10)).call("w", lambda: 5)
    assert trio.lowlevel.current_task() is task


@pytest.mark.parametrize("strikes", [1, 3])
async def test_a_late_strike_leaves_the_loop_whole(strikes) -> None:
    """The turn counts as interrupted, and Trio works."""
    task = trio.lowlevel.current_task()
    with pytest.raises(TurnInterrupted):
        AuthorCode(LateWatchdog(strikes)).call("w", lambda: 5)
    assert trio.lowlevel.current_task() is task
    await trio.lowlevel.checkpoint()


async def test_a_strike_before_the_author_is_called_leaves_the_loop_whole() -> None:
    """The turn counts as interrupted, and nobody watches it any longer."""

    class EarlyWatchdog(Watchdog):
        def begin(self, subject: str, time: TurnTime | None = None) -> None:
            super().begin(subject, time)
            raise TurnInterrupted

    task = trio.lowlevel.current_task()
    watchdog = EarlyWatchdog(10, 10)
    with pytest.raises(TurnInterrupted):
        AuthorCode(watchdog).call("w", lambda: 5)
    assert watchdog._subject is None
    assert trio.lowlevel.current_task() is task


async def test_what_the_author_raises_comes_through() -> None:
    """Also a KeyboardInterrupt, which is the author's own there."""
    for kind in (ValueError, KeyboardInterrupt, SystemExit):

        def fail(kind: type[BaseException] = kind) -> None:
            raise kind

        with pytest.raises(kind):
            AuthorCode(Watchdog(10, 10)).call("w", fail)
    await trio.lowlevel.checkpoint()


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("is_traced", [False, True], ids=["plain", "traced"])
async def test_interrupts_that_race_with_the_end_of_a_turn(monkeypatch: pytest.MonkeyPatch, is_traced) -> None:
    """Whenever they strike, nothing hangs, and nothing is struck once the turn has ended."""
    monkeypatch.setattr("wfactors.actors.watchdog._LOOK_SECONDS", 0.0004)
    watchdog = Watchdog(warning_seconds=60, seconds_max=0.0004)
    author_code = AuthorCode(watchdog)
    lengths = Random(1)
    task = trio.lowlevel.current_task()
    switch, trace = sys.getswitchinterval(), sys.gettrace()
    sys.setswitchinterval(0.00005)
    if is_traced:
        sys.settrace(lambda frame, event, argument: None)
    interrupted = 0
    try:
        with watchdog.watching():
            for _ in range(400):
                seconds = 0.002 * lengths.random()
                try:
                    author_code.call("w", lambda seconds=seconds: spin(seconds))
                except TurnInterrupted:
                    interrupted += 1
                assert trio.lowlevel.current_task() is task
                spin(0.0005)
    finally:
        sys.settrace(trace)
        sys.setswitchinterval(switch)
    assert interrupted > 20


@wf.workflow
async def restless() -> None:
    """Never comes to rest, though each of its steps is short."""
    while True:
        await wf.checkpoint()


@wf.workflow
async def blocking(seconds: float) -> None:
    """The same, and each step sleeps where it must not."""
    while True:
        time.sleep(seconds)  # noqa: ASYNC251 - the fault of this author
        await wf.checkpoint()


class Nameless:
    """An async function of whom nobody can tell the name."""

    async def __call__(self) -> None:
        while True:
            await wf.checkpoint()

    def __repr__(self) -> str:
        raise ValueError("no name")


@wf.workflow
async def nameless() -> None:
    """Never comes to rest either."""
    async with wf.open_nursery() as nursery:
        nursery.start_soon(Nameless())


@wf.workflow
async def busy(steps: int) -> int:
    """Takes very many short steps."""
    for _ in range(steps):
        await wf.checkpoint()
    return steps


def opened(workflow: wf.Workflow[..., Any], *args: object) -> tuple[Run, RunStarted]:
    run = open_run(Application(Registry([workflow])), workflow.definition, instance="key", run=1, queue="home")
    return run, RunStarted(1.0, workflow.name, "id", "key", 1, "home", Payload(json.dumps(args).encode()))


def interrupted(workflow: wf.Workflow[..., Any], *args: object) -> str:
    """What is said of a turn that is not allowed more than some hundredths of a second."""
    author_code = AuthorCode(Watchdog(warning_seconds=0.02, seconds_max=0.05))
    run, fact = opened(workflow, *args)
    assert author_code.call("w", partial(run.begin, fact)) is None
    with pytest.raises(TurnInterrupted) as caught:
        list(author_code.rest_of_turn("w", run))
    run.close()
    return str(caught.value)


async def test_the_parts_of_a_turn_count_together(caplog: pytest.LogCaptureFixture) -> None:
    """Code that never rests is warned of and interrupted, though no part of it is long; the stack says where it is."""
    words = interrupted(restless)
    assert re.search(r"did not come to rest(.*\n)*  task restless\n(.*\n)*.*test_author_code.py.*in restless", words)
    [record] = caplog.records
    assert "a turn of workflow w has held the loop for" in record.getMessage()
    assert "in restless" in record.getMessage()


async def test_steps_that_block_count_though_they_use_no_processor() -> None:
    """The loop is held by them all the same."""
    assert "did not come to rest" in interrupted(blocking, 0.001)


async def test_names_of_tasks_that_cannot_be_read_do_not_hide_the_reason() -> None:
    """They may come from author code."""
    assert "did not come to rest" in interrupted(nameless)


async def test_a_standstill_of_the_process_is_not_held_against_a_turn() -> None:
    """A part that took an hour by the clock was short: the watchdog, which looks at that, let it pass."""
    time = TurnTime()
    time.add(3600)
    time.worked(0.01)
    assert (3600, 1) == (time.seconds, time.counted)
    time.add(3)
    time.worked(2.5)
    assert (3603, 3.5) == (time.seconds, time.counted)


async def test_a_turn_of_many_parts_ends_with_its_decisions() -> None:
    """However many there are, as long as they are quick."""
    author_code = AuthorCode(Watchdog(10, 20))
    run, fact = opened(busy, 1000)
    assert author_code.call("w", partial(run.begin, fact)) is None
    decisions: list[Decision] = []

    def rest() -> Iterator[None]:
        decisions.extend((yield from author_code.rest_of_turn("w", run)))

    assert 1000 // 64 == len(list(rest()))
    assert [RunCompleted(Payload(b"1000"))] == decisions
