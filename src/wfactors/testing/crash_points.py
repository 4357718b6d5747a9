"""Kill a small application before and after every call of its store, start it again, and compare.

::

    async def orders(tester: Tester) -> str:
        try:
            handle = await tester.start(checkout, "visa", id="order-7", reuse="reject")
        except wf.WorkflowAlreadyStarted as error:
            handle = error.handle
        return await tester.result(handle)

    def test_orders_survive_crashes() -> None:
        assert_survives_crashes(orders, register=[charge])

The application runs undisturbed once. Then, for each call of the store, it is killed before the call is carried out,
and in another run after it, before the answer arrives; what it had in memory is gone, and it runs once more, from its
beginning, on what the store kept. In the end it must have returned the same, and each workflow must have ended in the
same way. All in virtual time on the memory store, so an application of a month, with a hundred calls, takes seconds;
``wfactors.testing.crashes`` does it with processes and SQLite, statement by statement.

It is written as every program is that may be restarted: workflows have ids, and one that is there is used. What it
returns should not depend on the time or on how often an activity was tried. One thing is not lost here that a process
would lose: what modules and closures keep.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import trio

from wfactors.stores.memory import MemoryStore
from wfactors.testing.auditor import results
from wfactors.testing.clocks import VirtualClock
from wfactors.testing.tester import LEASE_SECONDS, Tester, current_mock_clock, open_tester, run_in_virtual_time

__all__ = ["CrashFailure", "CrashReport", "assert_survives_crashes"]

_SHOWN_MAX = 3
_ALL = "all"


class CrashFailure(AssertionError):
    """An application does not come to the same end once it has been killed.

    Attributes:
        points: Where it was killed then, in words that ``assert_survives_crashes(at=...)`` takes.
    """

    def __init__(self, message: str, points: tuple[str, ...]) -> None:
        self.points = points
        super().__init__(message)


@attrs.frozen
class CrashReport:
    """What was tried.

    Attributes:
        calls: How many calls of the store the undisturbed run made.
        crashes: How often the application was killed.
    """

    calls: int
    crashes: int


class _ProcessDied(BaseException):
    """Goes through everything that asks the store once the application has been killed."""


def assert_survives_crashes(
    application: Callable[[Tester], Awaitable[Any]],
    *,
    every: int = 1,
    at: str | None = None,
    again: int | str | None = None,
    **options: Any,
) -> CrashReport:
    """Kill ``application`` before and after every call of its store, and compare with the undisturbed run.

    Args:
        application: An async function of a Tester. It is called again, with a new one, after it was killed.
        every: Only at each call whose number can be divided by this.
        at: Only there: ``"before 17"``, or ``"after 17, before 3"`` for a second time in its second life, as a failure
            says.
        again: Kill it a second time too, while it recovers from the first: with a number, which is the seed, at one
            point of each second life; with ``"all"`` at every one, which is for small applications: it takes a run for
            each pair of points.
        options: Of ``open_tester``, but for the store and the clock.

    Raises:
        CrashFailure: It returned or raised something else, or its workflows ended otherwise.
        ValueError: It was killed nowhere, since it makes too few calls.
        Exception: What the undisturbed run raised.
    """
    _check(every, again, options)
    undisturbed = _World(application, options, ())
    if undisturbed.outcome[1] is not None:
        raise undisturbed.outcome[1]
    calls = undisturbed.lives[0].calls
    worlds, failed = list[_World](), dict[str, str]()

    def kill(*points: _Point) -> _World:
        world = _World(application, options, points)
        worlds.append(world)
        if difference := _difference(undisturbed, world):
            where = ", ".join(map(str, points))
            failed[where] = f"killed {where} ({', '.join(world.operations)}): {difference}"
        return world

    for points in [(point,) for point in _points(every, calls)] if at is None else [_parsed(at)]:
        world = kill(*points)
        if len(world.lives) > 1 and again is not None:
            for second in _seconds(again, points, world.lives[-1].calls):
                kill(*points, second)
    if not (crashes := sum(len(world.operations) for world in worlds)):
        raise ValueError(f"{_name(application)} was killed nowhere: it makes {calls} calls of its store")
    if failed:
        raise _failure(_name(application), len(worlds), failed)
    return CrashReport(calls, crashes)


@attrs.frozen
class _Point:
    number: int
    is_before: bool

    def __str__(self) -> str:
        return f"{'before' if self.is_before else 'after'} {self.number}"


class _World:
    """One store, and all lives of the application on it.

    Attributes:
        lives: From the first to the one that nobody ended.
        outcome: What its last life returned, and what it raised.
        ends: How each of its workflows ended.
    """

    def __init__(
        self, application: Callable[[Tester], Awaitable[Any]], options: dict[str, Any], points: Sequence[_Point]
    ) -> None:
        self.lives: list[_Life] = []
        self.outcome: tuple[Any, Exception | None] = (None, None)
        self.ends: list[tuple[str, str, str]] = []
        self._points = points
        # The simulator is much to import for those who only want a tester.
        from wfactors.testing.simulator.determinism import deterministic  # noqa: PLC0415

        with deterministic(0):
            run_in_virtual_time(self._live, application, options)

    @property
    def operations(self) -> list[str]:
        """What it asked of the store where it was killed."""
        return [life.operation for life in self.lives if life.is_killed]

    async def _live(self, application: Callable[[Tester], Awaitable[Any]], options: dict[str, Any]) -> None:
        clock = VirtualClock(current_mock_clock())
        clock.begin_at(options.get("now"))
        # To the store the lease of a dead engine is over at once; for workflows no time passes.
        store = MemoryStore(clock=lambda: clock.now() + 2 * LEASE_SECONDS * len(self.operations))
        given = {**options, "register": list(options.get("register", ())), "now": None, "clock": clock}
        for point in (*self._points, None):
            life = _Life(point)
            self.lives.append(life)
            try:
                with life.scope:
                    self.outcome = await _outcome(application, {**given, "store": _Link(store, life)})
            except* _ProcessDied:
                pass
            except* Exception:
                # What else goes wrong in a dead process is seen by nobody.
                if not life.is_killed:
                    raise
            if not life.is_killed:
                break
        async with store.open():
            self.ends = results(await store.dump())


class _Life:
    """The application from its beginning until it ends or is killed.

    Attributes:
        calls: How many calls of the store it has made.
        scope: Ends it.
        is_killed: It was, at its point.
        operation: What it asked of the store there.
    """

    def __init__(self, point: _Point | None) -> None:
        self.calls = 0
        self.scope = trio.CancelScope()
        self.is_killed = False
        self.operation = ""
        self._point = point

    def arrive(self, operation: str, number: int, *, is_before: bool) -> None:
        """A call of the store begins or was carried out; raises if the application is dead by now."""
        if not self.is_killed and self._point == _Point(number, is_before):
            self.is_killed, self.operation = True, operation
            self.scope.cancel()
        if self.is_killed:
            raise _ProcessDied


class _Link:
    """The store, as one life of the application sees it."""

    def __init__(self, store: MemoryStore, life: _Life) -> None:
        self.url = store.url
        self.changes = store.changes
        self.open = store.open
        self.durability = store.durability
        self._store = store
        self._life = life

    def __getattr__(self, operation: str) -> Any:
        method, life = getattr(self._store, operation), self._life

        async def call(*args: Any, **options: Any) -> Any:
            number = life.calls = life.calls + 1
            life.arrive(operation, number, is_before=True)
            value = await method(*args, **options)
            life.arrive(operation, number, is_before=False)
            return value

        return call


# --- Helpers ---------------------------------------------------------------------------------------------------------


async def _outcome(
    application: Callable[[Tester], Awaitable[Any]], options: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """What the application returns and raises, until it ends or is killed."""
    try:
        async with open_tester(**options) as tester:
            try:
                return await application(tester), None
            finally:
                # What it has started is known from the beginning of its next life, as in a process.
                options["register"][:] = tester._registered  # noqa: SLF001  Its own kit.
    except Exception as error:  # noqa: BLE001  It is compared, or raised again.
        return None, error


def _points(every: int, calls: int) -> Iterator[_Point]:
    for number in range(every, calls + 1, every):
        yield _Point(number, is_before=True)
        yield _Point(number, is_before=False)


def _check(every: int, again: int | str | None, options: Mapping[str, Any]) -> None:
    """Refuse arguments that make no sense."""
    if every < 1:
        raise ValueError(f"every must be 1 or more, not {every}")
    if isinstance(again, str) and again != _ALL:
        raise ValueError(f'again must be a seed or "{_ALL}", not {again!r}')
    if own := {"store", "clock"} & options.keys():
        raise TypeError(f"assert_survives_crashes() has its own {' and '.join(sorted(own))}")


def _seconds(again: int | str, first: Sequence[_Point], calls: int) -> Iterator[_Point]:
    """Where a second life that makes so many calls is ended: everywhere, or at a point that the seed chooses."""
    if again == _ALL:
        yield from _points(1, calls)
    elif calls:
        chance = random.Random(f"{again} {first}")
        yield _Point(chance.randint(1, calls), chance.random() < 0.5)  # noqa: PLR2004  One of two.


def _parsed(at: str) -> tuple[_Point, ...]:
    points = []
    for part in at.split(", "):
        when, _, number = part.partition(" ")
        if when not in ("before", "after") or not number.isdecimal():
            raise ValueError(f'at must be like "before 17" or "after 17", not {at!r}')
        points.append(_Point(int(number), when == "before"))
    return tuple(points)


def _difference(undisturbed: _World, world: _World) -> str:
    """What became of the application otherwise than undisturbed, in words; nothing if it is the same."""
    value, error = world.outcome
    if error is not None:
        return f"it raised {type(error).__name__}: {error}"
    if value != undisturbed.outcome[0]:
        return f"it returned {value!r}, undisturbed {undisturbed.outcome[0]!r}"
    more, fewer = Counter(world.ends) - Counter(undisturbed.ends), Counter(undisturbed.ends) - Counter(world.ends)
    lists = (f"{word} {sorted(ends.elements())}" for word, ends in (("also", more), ("and not", fewer)) if ends)
    return f"its workflows ended {' '.join(lists)}" if more or fewer else ""


def _failure(name: str, crashes: int, failed: Mapping[str, str]) -> CrashFailure:
    words = [f"{name} does not survive {len(failed)} of {crashes} crashes", *list(failed.values())[:_SHOWN_MAX]]
    if len(failed) > _SHOWN_MAX:
        words.append(f"and {len(failed) - _SHOWN_MAX} more")
    words.append(f'repeat the first with: assert_survives_crashes({name}, at="{next(iter(failed))}", ...)')
    return CrashFailure("\n  ".join(words), tuple(failed))


def _name(application: Callable[..., Any]) -> str:
    return getattr(application, "__name__", repr(application))
