"""Run a test under many orders of what is independent: which task goes on first, which activity ends first.

::

    async def two_payments(tester: Tester) -> None:
        tester.fake(charge, lambda account: account)
        assert await tester.run(pay_both, "a", "b") == ["a", "b"]

    def test_in_any_order() -> None:
        fuzz_schedules(two_payments, seeds=range(100), register=[pay_both])

Virtual time is not touched: what is a millisecond apart stays so. What is due at the same moment comes in any order:
messages of clients and callbacks, results of activities, timers of different workflows. A seed stands for one order,
always the same one; activities in threads are the exception, since nobody orders threads.

A *schedule* is the list of the places where a run departs from the plain order (the oldest task first, each activity
done as soon as it can be). A failure is shrunk to a schedule with as few such places as possible, and that is what is
to be looked at: ``schedule="41=3"`` says that all was well until decision 41.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

import attrs
import trio

from wfactors.testing.fakes import Fake, activity_wrapper
from wfactors.testing.tester import open_tester, run_in_virtual_time

__all__ = ["FuzzReport", "Schedule", "ScheduleFailure", "fuzz_schedules"]

_SHARES = (0.05, 0.2, 0.5, 1.0)
_VALUE_MAX = 12
_TRIALS_MAX = 400


class ScheduleFailure(AssertionError):
    """A test fails under some schedule; the message has the line that repeats it. Its cause is what was raised.

    Attributes:
        schedule: The smallest that was found, for ``fuzz_schedules(schedule=...)``.
        seed: The seed that found it; None if none was needed.
    """

    def __init__(self, message: str, schedule: str, seed: int | None) -> None:
        self.schedule = schedule
        self.seed = seed
        super().__init__(message)


@attrs.frozen
class FuzzReport:
    """What was tried.

    Attributes:
        traces: For each seed, a digest of the order in which all tasks ran.
        decisions: How many decisions the longest run had.
    """

    traces: Mapping[int, str]
    decisions: int

    @property
    def distinct(self) -> int:
        """How many different orders there were."""
        return len(set(self.traces.values()))


class Schedule:
    """The decisions of one run; 0 is the plain one.

    Args:
        draw: Chooses where the choice is free.
        chosen: Chooses for the decisions that it has, and the plain one for all others.
    """

    def __init__(self, draw: Random | None = None, chosen: Mapping[int, int] | None = None) -> None:
        self.taken: dict[int, int] = {}
        self.notes: dict[int, str] = {}
        self.count = 0
        self._draw = draw
        self._share = draw.choice(_SHARES) if draw is not None else 0.0
        self._chosen = chosen or {}
        self._digest = hashlib.blake2b(digest_size=8)

    def choose(self) -> int:
        """The next decision."""
        index, self.count = self.count, self.count + 1
        value = self._chosen.get(index, 0)
        if self._draw is not None and self._draw.random() < self._share:
            value = self._draw.randint(1, _VALUE_MAX)
        if value:
            self.taken[index] = value
        return value

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        """Order the tasks that are ready, oldest first as Trio gives them; the last one will run first."""
        batch.reverse()
        if len(batch) > 1:
            before = [task.name for task in reversed(batch)]
            if value := self.choose():
                Random(value).shuffle(batch)
                after = [task.name for task in reversed(batch)]
                self.notes[self.count - 1] = f"ready tasks {_short(before)} ran in the order {_short(after)}"
        for task in batch:
            self._digest.update(task.name.encode())
        self._digest.update(b"|")

    async def pause(self, name: str) -> None:
        """Let some others go first, when an activity has ended."""
        value = self.choose()
        if value:
            self.notes[self.count - 1] = f"the end of activity {name} waited for {value} rounds of other tasks"
        for _ in range(value):
            await trio.lowlevel.checkpoint()

    def trace(self) -> str:
        """A digest of the order in which all tasks ran."""
        return self._digest.hexdigest()

    def __getattr__(self, name: str) -> Any:
        # What else Trio asks of its random numbers.
        return getattr(_PLAIN_DICE, name)


_PLAIN_DICE = Random(0)


def fuzz_schedules(
    test: Callable[..., Awaitable[Any]],
    seeds: Iterable[int] = range(100),
    *,
    schedule: str | None = None,
    **options: Any,
) -> FuzzReport:
    """Run ``test`` once in plain order and once for each seed.

    Args:
        test: An async function. One that takes an argument gets a Tester; one that takes none opens its own. What it
            returns must be equal in every order.
        seeds: One order each.
        schedule: Run this schedule only: what a failure printed.
        options: Of ``open_tester``, for a test that takes a Tester.

    Raises:
        ScheduleFailure: The test failed, or returned something else than in plain order; shrunk to the smallest
            schedule under which it does.
        RuntimeError: The test is not deterministic: one seed ran in two ways.
    """
    body = _body(test, options)
    plain = _Trial(body, Schedule())
    plain.raise_failure(test, None)
    if schedule is not None:
        run = _Trial(body, Schedule(chosen=_parsed(schedule)), plain)
        run.raise_failure(test, None)
        return FuzzReport({}, run.schedule.count)
    traces: dict[int, str] = {}
    longest = plain.schedule.count
    for seed in seeds:
        trial = _Trial(body, Schedule(Random(seed)), plain)
        if trial.error is not None:
            _shrunk(body, trial, plain).raise_failure(test, seed)
        if not traces:
            again = _Trial(body, Schedule(Random(seed)))
            if again.schedule.trace() != trial.schedule.trace():
                raise RuntimeError(
                    f"{_name(test)} is not deterministic: seed {seed} ran in two ways. What breaks it: threads, the "
                    "wall clock, the module random, os.urandom(), the order of sets"
                )
        traces[seed] = trial.schedule.trace()
        longest = max(longest, trial.schedule.count)
    return FuzzReport(traces, longest)


class _Trial:
    """One run under one schedule, and how it ended; with the plain one given, it must have returned the same."""

    def __init__(self, body: Callable[[], Awaitable[Any]], schedule: Schedule, plain: _Trial | None = None) -> None:
        self.schedule = schedule
        self.value: Any = None
        self.error: BaseException | None = None
        # The simulator is much to import for those who only want a tester.
        from wfactors.testing.simulator.determinism import deterministic  # noqa: PLC0415

        with deterministic(0), _arranging(schedule):
            try:
                self.value = run_in_virtual_time(body)
                if plain is not None and self.value != plain.value:
                    self.error = AssertionError(f"it returned {self.value!r}, in plain order {plain.value!r}")
            except Exception as error:  # noqa: BLE001  It is what we look for.
                self.error = error

    def raise_failure(self, test: Callable[..., Any], seed: int | None) -> None:
        """Raise ScheduleFailure if it failed."""
        if self.error is None:
            return
        taken = self.schedule.taken
        text = ",".join(f"{index}={value}" for index, value in taken.items())
        first = str(self.error).strip().split("\n", 1)[0]
        where = "in plain order" if seed is None and not taken else "under a schedule"
        lines = [
            f"{_name(test)} fails {where}: {type(self.error).__name__}: {first}",
            *(f"  decision {index}: {self.schedule.notes.get(index, value)}" for index, value in taken.items()),
            f'repeat it with: fuzz_schedules({_name(test)}, schedule="{text}")',
        ]
        raise ScheduleFailure("\n".join(lines), text, seed) from self.error


def _shrunk(body: Callable[[], Awaitable[Any]], failed: _Trial, plain: _Trial) -> _Trial:
    """The same failure with as few decisions as can be found: parts of them are left out as long as it still fails."""
    best = failed
    trials = 0
    size = max(len(best.schedule.taken) // 2, 1)
    while size and trials < _TRIALS_MAX:
        entries = list(best.schedule.taken.items())
        for start in range(0, len(entries), size):
            trials += 1
            trial = _Trial(body, Schedule(chosen=dict(entries[:start] + entries[start + size :])), plain)
            if type(trial.error) is type(failed.error) and len(trial.schedule.taken) < len(best.schedule.taken):
                best = trial
                break
        else:
            size //= 2
            continue
        size = min(size, max(len(best.schedule.taken) // 2, 1)) if best.schedule.taken else 0
    return best


@contextmanager
def _arranging(schedule: Schedule) -> Iterator[None]:
    """Let ``schedule`` order the tasks that are ready, and the ends of activities.

    Inside of ``seeded_scheduler``, which makes Trio sort them first; the dice that it then throws are the schedule's.
    That is the second and last place that knows where Trio keeps them, and the tests notice when they move.
    """

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        owner = getattr(function, "__self__", None)
        name = owner.name if isinstance(owner, Fake) else function.__qualname__

        @functools.wraps(function)
        async def paused(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            finally:
                await schedule.pause(name)

        return paused

    scheduler: Any = importlib.import_module("trio._core._run")
    token = activity_wrapper.set(wrap)
    before = scheduler._r  # noqa: SLF001  See above.
    scheduler._r = schedule  # noqa: SLF001  See above.
    try:
        yield
    finally:
        scheduler._r = before  # noqa: SLF001  See above.
        activity_wrapper.reset(token)


def _body(test: Callable[..., Awaitable[Any]], options: Mapping[str, Any]) -> Callable[[], Awaitable[Any]]:
    if not inspect.signature(test).parameters:
        if options:
            raise TypeError(f"{_name(test)} takes no tester, so the options {sorted(options)} are for nobody")
        return test

    async def body() -> Any:
        async with open_tester(**options) as tester:
            return await test(tester)

    return body


def _parsed(schedule: str) -> dict[int, int]:
    pairs = (entry.split("=") for entry in schedule.split(",") if entry)
    return {int(index): int(value) for index, value in pairs}


def _name(test: Callable[..., Any]) -> str:
    return getattr(test, "__name__", repr(test))


def _short(names: list[str]) -> str:
    return f"[{', '.join(name.rpartition('.')[2] for name in names)}]"
