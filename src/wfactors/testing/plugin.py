"""The pytest plugin: fixtures ``tester``, ``engine`` and ``store``, for async tests that pytest-trio runs.

And ``assert_survives_crashes`` and ``simulate``, for plain tests. pytest loads it by itself where wfactors is installed
(``-p no:wfactors`` keeps it away). It touches only tests that use one of its fixtures:

* They run under pytest-trio's ``autojump_clock``, which they need not take themselves, whether ``trio_mode`` is on or
  not: pytest-trio looks for a clock only among the arguments of the test, and is told here which one to take.
* They are limited from the inside by ``trio.fail_after`` in virtual time: a test that waits for what will never happen
  fails at once. One in which there is always something to do fails after a minute of real time.
* While an activity or a store uses a thread, the clock does not jump.

::

    pytestmark = pytest.mark.wfactors(register=[checkout, charge])      # options of open_tester

    async def test_a_patient_customer(tester):
        tester.after(timedelta(days=2), tester.signal, "order-7", "approve", True)
        assert await tester.run(checkout, "visa", id="order-7") == "receipt"

A fixture ``store`` of your own runs the same tests on another store.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from wfactors.actors.engine import Engine, open_engine
from wfactors.stores.base import Store
from wfactors.stores.memory import MemoryStore
from wfactors.testing.clocks import AutojumpHold, VirtualClock
from wfactors.testing.crash_points import CrashReport, assert_survives_crashes
from wfactors.testing.tester import LEASE_SECONDS, LIMIT_SECONDS, Tester, open_tester

if TYPE_CHECKING:
    from wfactors.testing.simulator import SimulationReport

__all__ = ["VirtualTime", "engine", "simulation", "store", "survives_crashes", "tester", "virtual_time"]

_FIXTURE = "virtual_time"
_CLOCK_FIXTURE = "autojump_clock"
_REAL_LIMIT_SECONDS = 60.0


class VirtualTime:
    """The time of one test: what a store or an engine must be given to live in it.

    Attributes:
        clock: For ``open_engine(clock=...)``; its ``now`` is the clock of a store.
        hold: For ``open_engine(hold=...)`` and for stores that use threads.
    """

    def __init__(self, mock_clock: MockClock) -> None:
        self.clock = VirtualClock(mock_clock)
        self.hold = AutojumpHold(mock_clock)


# --- Fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def virtual_time(autojump_clock: MockClock) -> VirtualTime:
    """The time of the test; with it alone a test runs in virtual time."""
    return VirtualTime(autojump_clock)


@pytest.fixture
def store(virtual_time: VirtualTime) -> Store:
    """A memory store in virtual time. To be overridden: ``wf.SqliteStore(path, clock=virtual_time.clock.now, ...)``."""
    return MemoryStore(clock=virtual_time.clock.now)


@pytest.fixture
def engine(store: Store, virtual_time: VirtualTime) -> Callable[..., AbstractAsyncContextManager[Engine]]:
    """Make engines on ``store``; what is called with workflows and options is to be entered with ``async with``."""

    def make(*register: Any, **options: Any) -> AbstractAsyncContextManager[Engine]:
        given: dict[str, Any] = {
            "clock": virtual_time.clock,
            "hold": virtual_time.hold,
            "lease": LEASE_SECONDS,
            **options,
        }
        return open_engine(given.pop("store", store), register=register, **given)

    return make


@pytest.fixture
async def tester(request: pytest.FixtureRequest, store: Store, virtual_time: VirtualTime) -> AsyncIterator[Tester]:
    """A Tester on ``store``, with the options of the markers ``wfactors``."""
    given: dict[str, Any] = {"store": store, **_options(request)}
    virtual_time.clock.begin_at(given.pop("now", None))
    async with open_tester(**given, clock=virtual_time.clock, hold=virtual_time.hold) as made:
        yield made


@pytest.fixture(name="simulate")
def simulation() -> Callable[..., SimulationReport]:
    """``wfactors.testing.simulator.simulate``: run a scenario in many worlds of faults; for a plain test."""
    # Not before: most tests need nothing of it.
    from wfactors.testing.simulator import simulate  # noqa: PLC0415

    return simulate


@pytest.fixture(name="assert_survives_crashes")
def survives_crashes(request: pytest.FixtureRequest) -> Callable[..., CrashReport]:
    """``wfactors.testing.assert_survives_crashes`` with the options of the markers ``wfactors``; for a plain test."""
    return functools.partial(assert_survives_crashes, **_options(request))


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    options: dict[str, Any] = {}
    register: list[Any] = []
    for marker in reversed(list(request.node.iter_markers("wfactors"))):
        # The closest one comes last and wins; what is registered adds up.
        options |= marker.kwargs
        register += marker.kwargs.get("register", ())
    options.pop("limit", None)
    options.pop("real_limit", None)
    return {**options, "register": register}


# --- Hooks -----------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "wfactors(register=[...], now=..., limit=..., real_limit=...): options of wfactors.testing.open_tester for the "
        "fixture `tester`, and the limits of the test in virtual and in real seconds",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let async tests that use our fixtures run in virtual time, and limit them."""
    for item in items:
        if isinstance(item, pytest.Function) and _FIXTURE in item.fixturenames:
            _bring_to_virtual_time(item)


def _bring_to_virtual_time(item: pytest.Function) -> None:
    if not inspect.iscoroutinefunction(item.obj):
        return
    # First among the marks of the item, so that this `run` is the one that pytest-trio takes.
    item.add_marker(pytest.mark.trio(run=functools.partial(_run, item)), append=False)
    options: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("wfactors"))):
        options |= marker.kwargs
    item.obj = _limited(item.obj, options.get("limit"), options.get("real_limit", _REAL_LIMIT_SECONDS))


def _run(item: pytest.Function, function: Callable[[], Awaitable[Any]], **options: Any) -> Any:
    """``trio.run`` with the clock of the test's fixtures."""
    clock: Any = options.pop("clock", None) or item.funcargs[_CLOCK_FIXTURE]
    return trio.run(function, clock=clock, **options)


def _limited(
    function: Callable[..., Awaitable[None]], seconds: float | None, real_seconds: float
) -> Callable[..., Awaitable[None]]:
    @functools.wraps(function)
    async def limited(*args: Any, **kwargs: Any) -> None:

        watch = _Watch(real_seconds, trio.CancelScope())
        trio.lowlevel.add_instrument(watch)
        try:
            with watch.scope, trio.fail_after(LIMIT_SECONDS if seconds is None else seconds):
                await function(*args, **kwargs)
        finally:
            trio.lowlevel.remove_instrument(watch)
        if watch.scope.cancelled_caught:
            raise trio.TooSlowError(
                f"the test took more than {real_seconds} s: virtual time is at {trio.current_time():,.0f} s, and there "
                "was always something left to do"
            )

    return limited


class _Watch(trio.abc.Instrument):
    """Cancels a test whose virtual time never ends: each turn of Trio's loop looks at the real clock."""

    def __init__(self, seconds: float, scope: Any) -> None:
        self.scope = scope
        self._end = time.monotonic() + seconds

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - Trio's signature
        if time.monotonic() >= self._end:
            self.scope.cancel()
