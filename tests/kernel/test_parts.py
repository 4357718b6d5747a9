"""A turn may be done in parts, each of some steps of tasks: nobody inside of it can tell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import wfactors as wf
from tests.kernel.story import BEGIN, Story, close_all, payload
from wfactors.errors import NonDeterminismError
from wfactors.kernel import combine as kernel_combine
from wfactors.kernel import run as kernel_run
from wfactors.kernel.combine import gather, race
from wfactors.kernel.lowlevel import PAUSE_STEPS, checkpoint, current_task, pause, wait_quiescent
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.sync import Event
from wfactors.kernel.timeouts import move_on_at, sleep_forever
from wfactors.model import events

CALLS = 5


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


# --- The scheduler ---------------------------------------------------------------------------------------------------


async def crowd(log):
    """Tasks that take turns, cancel each other, run out of time, and wait until all is quiet."""
    scopes = [CancelScope() for _ in range(3)]
    event = Event()

    async def member(number):
        with scopes[number]:
            try:
                for step in range(4):
                    log.append((number, step))
                    await checkpoint()
                    if number == 0 and step == 1:
                        scopes[1].cancel()
                await event.wait()
            finally:
                log.append((number, "out"))

    async def too_late():
        with move_on_at(0.0):
            log.append("late")
            await gather(*(sleep_forever() for _ in range(2 * PAUSE_STEPS)))
        log.append("passed")

    async def watch():
        await wait_quiescent(lambda: log.append("asked") or "passed" in log)
        log.append("quiet")
        scopes[2].cancel()
        await wait_quiescent(lambda: True)
        event.set()

    async with open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(member, number)
        nursery.start_soon(too_late)
        nursery.start_soon(watch)
    log.append("end")


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_run_in_parts_is_the_run_in_one_piece(steps) -> None:
    """Whatever the size of the parts."""
    logs: tuple[list[object], list[object]] = ([], [])
    parts = []
    for log, steps_max in zip(logs, (10**9, steps), strict=True):
        scheduler = Scheduler(1.0)
        scheduler.start(crowd, log)
        parts.append(1)
        while not scheduler.run(steps_max):
            parts[-1] += 1
        assert (True, None) == (scheduler.main_outcome.finished, scheduler.main_outcome.error)
        scheduler.close()
    assert "end" == logs[0][-1]
    assert logs[0] == logs[1]
    assert parts[0] < parts[1]


def test_a_part_has_no_more_steps_than_asked_for() -> None:
    """And says whether tasks are ready still."""
    log = []

    async def main() -> None:
        for number in range(5):
            log.append(number)
            await checkpoint()

    scheduler = Scheduler(0.0)
    scheduler.start(main)
    assert [(False, 2), (False, 4), (True, 5)] == [(scheduler.run(2), len(log)) for _ in range(3)]
    scheduler.close()


def test_a_pause_ends_a_part_and_lets_nobody_in() -> None:
    """The task goes on before any other, also where its scope is cancelled: it is no checkpoint."""
    log = []

    async def neighbour() -> None:
        log.append("neighbour")

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(neighbour)
            nursery.cancel_scope.cancel()
            for number in range(3):
                log.append(number)
                await pause(current_task())

    scheduler = Scheduler(0.0)
    scheduler.start(main)
    seen = []
    while not scheduler.run(PAUSE_STEPS):
        seen.append(list(log))
    assert [[0], [0, 1], [0, 1, 2]] == seen
    assert [0, 1, 2, "neighbour"] == log
    scheduler.close()


@pytest.mark.parametrize("combine", [gather, race])
def test_a_pause_puts_off_what_is_due(monkeypatch, combine) -> None:
    """A deadline that is set and due in the step that starts very many comes after all of them, as without pauses."""

    async def main(log) -> None:
        async def bystander() -> None:
            with scope:
                try:
                    await sleep_forever()
                finally:
                    log.append("cancelled")

        async def one(number: int) -> None:
            log.append(number)

        scope = CancelScope()
        async with open_nursery() as nursery:
            nursery.start_soon(bystander)
            await checkpoint()
            scope.deadline = 0.5
            await combine(*(one(number) for number in range(3 * PAUSE_STEPS)))

    logs: tuple[list[object], list[object]] = ([], [])
    for log, at_once in zip(logs, (10**6, PAUSE_STEPS), strict=True):
        monkeypatch.setattr(kernel_combine, "_STARTED_AT_ONCE", at_once)
        scheduler = Scheduler(1.0)
        scheduler.start(main, log)
        while not scheduler.run(PAUSE_STEPS):
            pass
        assert scheduler.main_outcome.finished
        scheduler.close()
    assert "cancelled" in logs[0]
    assert logs[0] == logs[1]


def test_a_pause_ends_when_the_run_is_closed() -> None:
    """Clean-up cannot wait there either."""
    log = []

    async def main() -> None:
        try:
            await pause(current_task())
        except GeneratorExit:
            log.append("closed")
            await pause(current_task())
            log.append("not reached")

    scheduler = Scheduler(0.0)
    scheduler.start(main)
    assert not scheduler.run(1)
    scheduler.close()
    assert ["closed"] == log
    assert [] == scheduler.unclosable


@pytest.mark.parametrize("combine", [gather, race])
def test_many_are_started_in_parts(combine) -> None:
    """``gather`` and ``race`` of very many do not start all of them in one step."""
    begun = []

    async def one(number: int) -> None:
        begun.append(number)
        await sleep_forever()

    async def main() -> None:
        await combine(*(one(number) for number in range(300)))

    scheduler = Scheduler(0.0)
    scheduler.start(main)
    tasks = []
    while not scheduler.run(PAUSE_STEPS) and not begun:
        tasks.append(len(scheduler.live_tasks()) - 1)
    assert [63, 127, 191, 255] == tasks
    while not scheduler.run(PAUSE_STEPS):
        pass
    assert list(range(300)) == begun
    scheduler.close()


# --- The run ---------------------------------------------------------------------------------------------------------


@wf.activity
async def step(n: int) -> int:
    return n


@wf.workflow
async def many() -> int:
    """Many calls at once, and a timer."""
    with wf.move_on_after(60):
        return sum(await wf.gather(*(step(number) for number in range(CALLS))))
    return -1


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step each."""
    monkeypatch.setattr(kernel_run, "_STEPS_AT_ONCE", 1)


def fact_of_start() -> events.RunStarted:
    return events.RunStarted(BEGIN, "many", "id", "key", 1, "home", payload([]))


@pytest.mark.usefixtures("small_parts")
def test_the_decisions_come_with_the_last_part() -> None:
    """All of them, in the order of the turn in one piece; the history has grown by them only then."""
    story = Story(many)
    run, fact = story.run, fact_of_start()
    parts = [run.begin(fact)]
    assert 0 == run.events
    while parts[-1] is None:
        parts.append(run.go_on())
    decisions = parts[-1]
    assert CALLS + 1 == len(parts)
    assert [events.ActivityScheduled] * CALLS + [events.TimerSet] == [type(decision) for decision in decisions]
    assert 1 + len(decisions) == run.events
    assert decisions == story.open().feed(fact)


@pytest.mark.usefixtures("small_parts")
def test_a_replay_in_parts() -> None:
    """Compares as one in one piece does, and finds a difference in the part that makes it."""
    story = Story(many).start()
    fact, decisions = story.turns[0]
    run = story.open()
    made = run.begin(fact, decisions)
    while made is None:
        made = run.go_on()
    assert decisions == made

    other = story.open()
    made = other.begin(fact, [*decisions[:2], *decisions[3:]])
    assert made is None
    with pytest.raises(NonDeterminismError, match="event 3"):
        list(iter(other.go_on, []))


@pytest.mark.usefixtures("small_parts")
def test_a_run_can_be_closed_between_two_parts() -> None:
    """The code that was under way is dropped, and decides nothing more."""
    story = Story(many)
    run = story.run
    assert run.begin(fact_of_start()) is None
    assert run.go_on() is None
    assert run.scheduler.has_live_code
    run.close()
