"""A turn that asks for very much is carried out a little at a time, and still happens whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

import wfactors as wf
from tests.slices import SlicesEnd
from wfactors import pace
from wfactors.actors.activities import Activities
from wfactors.actors.draft import SealedBatch
from wfactors.actors.effects import Effects
from wfactors.actors.journal import Journal
from wfactors.actors.timers import Timers
from wfactors.actors.turns import Turns
from wfactors.kernel.replay import Recorder

CALLS = 500
started: list[int] = []


@wf.activity
async def echo(number: int) -> int:
    started.append(number)
    return number


@wf.workflow
async def fan_out() -> int:
    """Calls very many activities in its first turn."""
    asked = 0

    @wf.query
    def calls() -> int:
        return asked

    async with wf.open_nursery() as nursery:
        for number in range(CALLS):
            nursery.start_soon(echo, number)
            asked += 1
    return asked


@wf.activity(queue="nobody")
async def unserved(number: int) -> int:
    return number


@wf.workflow
async def waits() -> None:
    """Waits for ever."""
    await wf.sleep_forever()


@wf.workflow
async def family(generation: int, ways: str) -> int:
    """Ends, or goes on as a new run, while very many of its children are open."""
    ends = wf.signals("end", int)
    if ways:
        for _ in range(CALLS):
            await wf.start_child(waits)
        await ends.receive()
        if ways[0] == "c":
            wf.continue_as_new(generation + 1, ways[1:])
    return generation


@wf.workflow
async def gives_up() -> str:
    """Waits for very many activities that nobody runs, and ends without waiting for them to stop."""
    with wf.move_on_after(10):
        async with wf.open_nursery() as nursery:
            for number in range(CALLS):
                nursery.start_soon(unserved.options(on_cancel="abandon"), number)
    return "gave up"


@wf.workflow
async def both() -> list[int]:
    """Calls very many when its timer fires, and again for a signal."""
    sums = []

    async def call(signals: wf.Receiver[int] | None) -> None:
        await wf.sleep(10) if signals is None else await signals.receive()
        sums.append(sum(await wf.gather(*(echo(number) for number in range(CALLS)))))

    async with wf.open_nursery() as nursery:
        nursery.start_soon(call, None)
        nursery.start_soon(call, wf.signals("number", int))
    return sums


@wf.workflow
async def gathers() -> int:
    """Calls very many activities in its first turn."""
    return sum(await wf.gather(*(echo(number) for number in range(CALLS))))


@wf.workflow
async def gets_stuck() -> None:
    """When its timer fires it does very much, and then waits for what can never come."""
    await wf.sleep(10)
    for _ in range(CALLS):
        await wf.checkpoint()
    await wf.Event().wait()


@pytest.fixture(autouse=True)
def slices_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started.clear()
    monkeypatch.setattr(pace, "time", SlicesEnd())


def in_the_middle(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], requests: int) -> None:
    """Have ``act`` called when some of a large turn's decisions are carried out and others are not.

    The rest of them waits until so many requests lie in the mailbox: with a store on threads they take their time.
    """
    go_on, calls = Turns.go_on, 0

    def spied(self: Turns) -> None:
        nonlocal calls
        arrived = sum(len(instance.mail) for instance in self._partition.residents.values())
        if calls == 3 and arrived < requests:
            return
        calls += 1
        go_on(self)
        if calls == 3:
            act()

    monkeypatch.setattr(Turns, "go_on", spied)


class Counter(trio.abc.Instrument):
    """Counts what is done in each step of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._step = 0
        self._parts: dict[str, dict[int, int]] = {}
        trio.lowlevel.add_instrument(self)

    def before_task_step(self, _: trio.lowlevel.Task) -> None:
        self._step += 1

    def watch(self, owner: type, name: str, length: Callable[..., int]) -> None:
        """Count the calls of a method, each with its length."""
        function, parts = getattr(owner, name), self._parts.setdefault(name, {})

        def spied(*args: Any) -> Any:
            parts[self._step] = parts.get(self._step, 0) + length(*args)
            return function(*args)

        self._monkeypatch.setattr(owner, name, spied)

    def total(self, name: str) -> int:
        """How much was done of it."""
        return sum(self._parts[name].values())

    def longest(self, name: str) -> int:
        """How much of it was done in one step, at most."""
        return max(self._parts[name].values())


async def test_the_loop_is_free_between_parts(backend, autojump_clock, monkeypatch) -> None:
    """Neither what a turn of 500 calls asks for nor the start of their attempts is done in one step of the loop."""
    counter = Counter(monkeypatch)
    counter.watch(Effects, "apply", lambda _, __, decisions: len(decisions))
    counter.watch(Activities, "start", lambda _, tasks: len(tasks))
    async with backend.engine(fan_out, echo) as engine:
        assert CALLS == await engine.run(fan_out)
    assert CALLS == counter.total("start")
    assert CALLS <= counter.total("apply")
    assert 64 >= counter.longest("apply")
    assert 64 >= counter.longest("start")


@pytest.mark.parametrize(("ways", "generation"), [("r", 1), ("cr", 2), ("c", 2)])
async def test_the_end_of_a_run_with_many_children(backend, autojump_clock, monkeypatch, ways, generation) -> None:
    """The children are told in parts, all of them, before a new run or the parent's answer; each is told once."""
    counter = Counter(monkeypatch)
    counter.watch(Effects, "_tell_child", lambda *_: 1)
    async with backend.engine(family, waits) as engine:
        handle = await engine.start(family, 1, ways)
        for _ in ways:
            await trio.sleep(1)
            await handle.signal("end", 1)
        assert generation == await handle.result()
        await trio.sleep(1)
        assert 0 == await engine.count(status="open")
        assert CALLS * len(ways) == await engine.count(status="cancelled")
    assert CALLS * len(ways) == counter.total("_tell_child")
    assert 64 == counter.longest("_tell_child")


@pytest.mark.parametrize("is_terminated", [True, False])
async def test_the_end_of_a_run_with_many_activities(backend, autojump_clock, monkeypatch, is_terminated) -> None:
    """They are withdrawn in parts, all of them in the batch that ends the run, by whatever way it ends."""
    counter = Counter(monkeypatch)
    counter.watch(Effects, "_withdraw_task", lambda *_: 1)
    ended: list[int] = []
    write = Journal.write

    def spied(self: Journal, sealed: SealedBatch) -> None:
        if any(b"RunTerminated" in append.data or b"RunCompleted" in append.data for append in sealed.batch.appends):
            ended.append(len(set(sealed.batch.tasks_cancelled)))
        write(self, sealed)

    monkeypatch.setattr(Journal, "write", spied)
    async with backend.engine(gives_up, unserved) as engine:
        handle = await engine.start(gives_up)
        await trio.sleep(1)
        if is_terminated:
            await handle.terminate()
            with pytest.raises(wf.WorkflowTerminated):
                await handle.result()
        else:
            assert "gave up" == await handle.result()
        assert 0 == len((await handle.describe()).activities)
    assert [CALLS] == ended
    # The last of the turn's decisions, and the first of those calls.
    assert 2 * 64 >= counter.longest("_withdraw_task")


async def test_a_turn_is_written_whole(backend, autojump_clock, monkeypatch) -> None:
    """The batch that has its events has all the tasks that they decided, though nothing else was being written."""
    written: list[tuple[int, int]] = []
    write = Journal.write

    def spied(self: Journal, sealed: SealedBatch) -> None:
        decided = sum(append.data.count(b"ActivityScheduled") for append in sealed.batch.appends)
        written.append((decided, len(sealed.batch.tasks)))
        write(self, sealed)

    monkeypatch.setattr(Journal, "write", spied)
    async with backend.engine(fan_out, echo) as engine:
        assert CALLS == await engine.run(fan_out)
    assert [(CALLS, CALLS)] == [counts for counts in written if counts != (0, 0)]
    assert list(range(CALLS)) == sorted(started)


async def test_what_arrives_in_the_middle_comes_after(backend, autojump_clock, monkeypatch) -> None:
    """A query sees the whole turn; a cancel reaches every call of it, and none of them starts."""
    middle = trio.Event()
    in_the_middle(monkeypatch, middle.set, requests=2)
    seen: list[int] = []
    async with backend.engine(fan_out, echo) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(fan_out)

        async def ask() -> None:
            seen.append(await handle.query("calls"))

        await middle.wait()
        nursery.start_soon(ask)
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()
        assert 0 == len((await handle.describe()).activities)
    assert [CALLS] == seen


async def test_mail_behind_a_timer_waits_for_the_whole_turn(backend, autojump_clock, monkeypatch) -> None:
    """A signal that arrives when a timer is due finds all done that the timer caused."""
    # The signal is to be the first that notices.
    monkeypatch.setattr(Timers, "_fire", lambda timers, _: timers._heap.clear())
    async with backend.engine(both, echo) as engine:
        handle = await engine.start(both)
        await trio.sleep(10)
        await handle.signal("number", 1)
        assert [sum(range(CALLS))] * 2 == await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
    first, second = kinds.index("TimerFired"), kinds.index("SignalReceived")
    assert ["ActivityScheduled"] * CALLS == kinds[first + 1 : second]
    assert ["ActivityScheduled"] * CALLS == kinds[second + 1 :][:CALLS]


async def test_the_loop_is_free_between_the_steps_of_a_turn(backend, autojump_clock, monkeypatch) -> None:
    """Neither live nor in a replay are very many calls made in one step of the loop."""
    counter = Counter(monkeypatch)
    counter.watch(Recorder, "issue", lambda *_: 1)
    counter.watch(Recorder, "take", lambda *_: 1)
    async with backend.engine(gathers, echo) as engine:
        handle = await engine.start(gathers)
        await handle.result()
    assert CALLS <= counter.total("issue")
    assert 64 >= counter.longest("issue")
    async with backend.engine(gathers, echo) as engine:
        with pytest.raises(wf.QueryError):
            await (await engine.get(handle.id)).query("nothing")
    assert CALLS <= counter.total("take")
    assert 64 >= counter.longest("take")


async def test_mail_behind_a_timer_whose_turn_ends_in_a_standstill(backend, autojump_clock, monkeypatch) -> None:
    """It is kept, and the client hears that it is."""
    # The signal is to be the first that notices.
    monkeypatch.setattr(Timers, "_fire", lambda timers, _: timers._heap.clear())
    async with backend.engine(gets_stuck) as engine:
        handle = await engine.start(gets_stuck)
        await trio.sleep(10)
        await handle.signal("number", 1)
        assert "WorkflowStuckError" in (await handle.describe()).parked
        await handle.terminate()
        await trio.sleep(1)
        kinds = [type(event).__name__ for event in await handle.history()]
    assert ["RunStarted", "TimerSet", "TimerFired", "RunTerminated", "SignalReceived"] == kinds
