"""What a workflow may not ask the world is refused while its turns run, and nowhere else."""

from __future__ import annotations

import gc
import io
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic as imported_clock
from typing import Any
from uuid import uuid4 as imported_uuid

import pytest
import trio

import wfactors as wf
from wfactors.actors.guard import TrioGuard
from wfactors.testing.clocks import VirtualClock
from wfactors.testing.guard import Guard, guarded_workflows

pytest_plugins = ["wfactors.testing.guard_fixture"]

asked: dict[str, Callable[[], Any]] = {
    "time.time()": time.time,
    "time.monotonic()": imported_clock,
    "time.perf_counter()": time.perf_counter,
    "datetime.now()": lambda: datetime.now(UTC),
    "datetime.today()": datetime.today,
    "date.today()": date.today,
    "time.localtime()": time.localtime,
    "time.sleep()": lambda: time.sleep(0.001),
    "time.thread_time()": time.thread_time,
    "time.clock_gettime()": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "random.random()": random.random,
    "random.getrandbits()": lambda: random.choice([1, 2]),
    "random.Random()": random.Random,
    "Lock.acquire()": lambda: threading.Lock().acquire(timeout=1),
    "os.urandom()": secrets.token_hex,
    "uuid.uuid4()": imported_uuid,
    "uuid.uuid1()": uuid.uuid1,
    "os.environ": lambda: os.environ.get("HOME"),
    "os.getpid()": os.getpid,
    "os.getloadavg()": os.getloadavg,
    "os.chdir()": lambda: os.chdir("."),
    "Condition.wait()": lambda: threading.Event().wait(0),
    "open()": lambda: Path(os.devnull).open().close(),
    "os.stat()": lambda: Path("x").exists(),
    "os.listdir()": lambda: os.listdir("."),  # noqa: PTH208  The function itself is meant.
    "socket.socket()": lambda: socket.socket().close(),
    "Thread.start()": lambda: threading.Thread(target=int).start(),
    "subprocess.Popen()": lambda: subprocess.run(["true"], check=False),
    "os.system()": lambda: os.system("true"),
}
chosen: list[Callable[[], Any]] = []


@wf.workflow
async def ask() -> str:
    await wf.checkpoint()
    return str(chosen[-1]())


@wf.workflow
async def ask_in_side_effect() -> str:
    return str(await wf.side_effect(lambda: time.time() > 0))


@wf.activity
async def look() -> bool:
    return time.time() > 0 and "PATH" in os.environ and bool(uuid.uuid4())


@wf.activity
def look_in_thread() -> bool:
    return Path(os.devnull).exists() and bool(random.random() + 1)


@wf.workflow
async def behave(n: int) -> list[str]:
    """Everything of wfactors that reads, logs, converts or draws for a workflow."""
    wf.logger.warning("at %s", wf.now())

    @wf.query
    def ask_world() -> float:
        return time.time()

    await wf.sleep(1)
    values = [
        str(wf.uuid4()),
        str(wf.random()),
        str(wf.random.choice([1])),
        str(random.Random(n).randrange(1000)),
        wf.info().id,
        str(datetime(2020, 1, n, tzinfo=UTC)),
    ]
    return [*values, str(await look()), str(await look_in_thread())]


@wf.workflow
async def catch() -> str:
    try:
        time.time()
    except wf.WorkflowMisuseError as error:
        return str(error)
    return "not noticed"


@wf.workflow
async def fail() -> None:
    raise KeyError("its traceback reads this file")


def engine_of(mock_clock: Any, *register: Any) -> Any:
    clock = VirtualClock(mock_clock)
    return wf.open_engine(wf.MemoryStore(clock=clock.now), register=register, clock=clock)


@pytest.mark.parametrize("what", asked)
async def test_what_asks_the_world_is_refused_at_its_line(what, workflow_guard, autojump_clock) -> None:
    """By whatever name it was imported, and through whatever library it is called."""
    chosen.append(asked[what])
    async with engine_of(autojump_clock, ask) as engine:
        with pytest.raises(wf.WorkflowFailed) as caught:
            await engine.run(ask)
    failure = caught.value.failure
    assert "wfactors.errors.WorkflowMisuseError" == failure.type
    assert failure.message.startswith(f"{what} called inside a workflow, at {__file__}:")
    assert [failure.message] == [str(violation) for violation in workflow_guard.violations]


@pytest.mark.parametrize("what", sorted(set(asked) - {"time.sleep()"}))
async def test_without_the_guard_it_is_not(what, autojump_clock) -> None:
    """The counter-check: the same workflow runs through, and could do harm."""
    chosen.append(asked[what])
    async with engine_of(autojump_clock, ask) as engine:
        assert isinstance(await engine.run(ask), str)


async def test_what_wfactors_does_for_a_workflow_is_fine(workflow_guard, autojump_clock) -> None:
    """Logging, converting, seeded chance, activities in tasks and in threads, queries."""
    async with engine_of(autojump_clock, behave, look) as engine:
        handle = await engine.start(behave, 3, id="b")
        with trio.fail_after(5):
            assert (await handle.query("ask_world")) > 0
    assert [] == workflow_guard.violations


async def test_side_effects_may_ask(workflow_guard, autojump_clock) -> None:
    """What they return is in the history."""
    async with engine_of(autojump_clock, ask_in_side_effect) as engine:
        assert "True" == await engine.run(ask_in_side_effect)
    assert [] == workflow_guard.violations


async def test_a_failure_with_its_traceback_is_fine(workflow_guard, autojump_clock) -> None:
    """Formatting it reads source files."""
    async with engine_of(autojump_clock, fail) as engine:
        with pytest.raises(wf.WorkflowFailed, match="its traceback"):
            await engine.run(fail)
    assert [] == workflow_guard.violations


class Finalized:
    """In a circle, so that only the garbage collector ends it."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.time()


def collecting(phase: str, info: dict[str, int]) -> None:
    time.perf_counter()


@wf.workflow
async def make_garbage() -> str:
    Finalized()
    gc.collect()
    return "collected"


async def test_the_garbage_collector_is_not_the_workflow(workflow_guard, autojump_clock) -> None:
    """Finalizers and callbacks that happen to run in the middle of a turn may ask what they like."""
    gc.callbacks.append(collecting)
    try:
        async with engine_of(autojump_clock, make_garbage) as engine:
            assert "collected" == await engine.run(make_garbage)
    finally:
        gc.callbacks.remove(collecting)
    assert [] == workflow_guard.violations


async def test_an_error_that_is_caught_is_kept(workflow_guard, autojump_clock) -> None:
    """A workflow that swallows it cannot hide it."""
    async with engine_of(autojump_clock, catch) as engine:
        message = await engine.run(catch)
        assert message == await engine.run(catch)
    line = catch.definition.function.__code__.co_firstlineno + 3
    assert f"time.time() called inside a workflow, at {__file__}:{line} in catch()" == message.partition(": use")[0]
    assert [message, message] == [str(violation) for violation in workflow_guard.violations]


async def test_a_library_is_named_by_the_line_that_calls_it(workflow_guard, autojump_clock) -> None:
    """Not a line inside of tempfile."""
    chosen.append(lambda: tempfile.mkstemp()[1])
    line = chosen[-1].__code__.co_firstlineno
    async with engine_of(autojump_clock, ask) as engine:
        with pytest.raises(wf.WorkflowFailed, match=f"{__file__}:{line} in <lambda>"):
            await engine.run(ask)


async def test_everything_is_as_before(autojump_clock) -> None:
    """Inside the block code outside of workflows is free; after it nothing is left."""
    before = (TrioGuard.__enter__, TrioGuard.__exit__, sys.getprofile(), time.time, random.random, io.open, os.environ)
    with guarded_workflows() as outer, guarded_workflows() as inner:
        chosen.append(time.time)
        async with engine_of(autojump_clock, ask) as engine:
            assert (time.time(), random.random(), uuid.uuid4(), os.environ["PATH"]) is not None
            with pytest.raises(wf.WorkflowFailed):
                await engine.run(ask)
        assert sys.getprofile() is None
        assert 1 == len(outer.violations) + len(inner.violations)
    after = (TrioGuard.__enter__, TrioGuard.__exit__, sys.getprofile(), time.time, random.random, io.open, os.environ)
    assert before == after


def test_a_turn_gives_back_the_profile_function() -> None:
    """One that somebody else has set."""
    seen = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        seen.append(event)

    guard = Guard()
    sys.setprofile(profile)
    try:
        guard.begin()
        guard.end()
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
