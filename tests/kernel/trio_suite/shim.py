"""Stand-ins for Trio's modules, as Trio's tests import them, made of the kernel's objects.

What the kernel has goes in as it is. Thin adapters stand where only the calling convention differs (``outcome`` objects
in ``reschedule``), or where Trio's tests look at the run loop from outside (clocks, ``run``, checkpoint counters). What
the kernel does not offer is *absent*: it can be imported and named in annotations, and using it fails the test.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

import outcome
from trio._core._tests import tutil as trio_tutil

from tests.kernel import drive
from tests.kernel.trio_suite import messages, points
from tests.kernel.trio_suite.loader import execute
from wfactors import errors
from wfactors.kernel import channels, lowlevel, nursery, parking_lot, safe_channel, scopes, sync, timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wfactors.kernel.scheduler import Scheduler
    from wfactors.kernel.task import Task


class NotOffered(BaseException):
    """A test has used something of Trio's that the kernel does not have. No ``except Exception`` hides it."""


class Absent:
    """Something of Trio's that the kernel does not have."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: object, **kwargs: object) -> Any:
        raise NotOffered(self._name)

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")

    def __getitem__(self, item: object) -> Absent:
        return self


class StandIn(types.ModuleType):
    """A module that is absent except for what it was given."""

    def __init__(self, name: str, **contents: object) -> None:
        super().__init__(name)
        self.__all__ = list(contents)
        vars(self).update(contents)

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")


# --- Adapters --------------------------------------------------------------------------------------------------------


def reschedule(task: Task, next_send: outcome.Outcome[Any] | None = None) -> None:
    """Reschedule with what Trio calls an outcome."""
    if isinstance(next_send, outcome.Error):
        lowlevel.reschedule(task, error=next_send.error)
    elif next_send is None:
        lowlevel.reschedule(task)
    else:
        lowlevel.reschedule(task, next_send.unwrap())


async def wait_all_tasks_blocked(cushion: float = 0.0) -> None:
    """Wait until every other task waits."""
    await lowlevel.wait_quiescent(lambda: True)


def open_nursery(strict_exception_groups: bool | None = None) -> Any:
    """Open a nursery; there are no loose exception groups here."""
    if strict_exception_groups is False:
        raise NotOffered("strict_exception_groups=False")
    return nursery.open_nursery()


def run(async_fn: Callable[..., Any], *args: Any, strict_exception_groups: bool = True) -> Any:
    """Run a main task in a scheduler of its own, and let time pass whenever everything waits."""
    if not strict_exception_groups:
        raise NotOffered("strict_exception_groups=False")
    with points.counted():
        return drive.run(async_fn, *args, meanwhile=_call_soon)


class MockClock:
    """The clock of the scheduler that runs the test. It always jumps by itself when everything waits."""

    def current_time(self) -> float:
        return lowlevel.current_time()

    def jump(self, seconds: float) -> None:
        scheduler: Scheduler = lowlevel.current_scheduler()
        scheduler.advance(scheduler.now + seconds)
        # No fact arrives while tasks run, so this is nothing the kernel would look for by itself.
        scheduler.needs_attention = True


class TrioToken:
    """Calls functions from outside of the tasks: here by the driver, each time everything waits."""

    def run_sync_soon(self, fn: Callable[..., object], *args: object) -> None:
        _soon.append(functools.partial(fn, *args))


_soon: list[Callable[[], object]] = []


def _call_soon() -> bool:
    calls, _soon[:] = _soon[:], []
    for call in calls:
        call()
    return bool(calls)


class _Breakers:
    """Trio's global table of parking lot breakers, as a view on what each task knows about itself here."""

    def _table(self) -> dict[Task, list[parking_lot.ParkingLot]]:
        tasks = lowlevel.current_scheduler().live_tasks()
        return {task: task.lots_to_break for task in tasks if task.lots_to_break}

    def __len__(self) -> int:
        return len(self._table())

    def __iter__(self) -> Iterator[Task]:
        return iter(self._table())

    def __getitem__(self, task: Task) -> list[parking_lot.ParkingLot]:
        return self._table()[task]

    def __eq__(self, other: object) -> bool:
        return self._table() == other

    __hash__ = None  # type: ignore[assignment]


# --- The modules -----------------------------------------------------------------------------------------------------

_ERRORS = {
    name: getattr(errors, name)
    for name in (
        "BrokenResourceError",
        "Cancelled",
        "ClosedResourceError",
        "EndOfChannel",
        "TooSlowError",
        "WouldBlock",
    )
}
_TIMEOUTS = {
    name: getattr(timeouts, name)
    for name in (
        "fail_after",
        "fail_at",
        "move_on_after",
        "move_on_at",
        "sleep",
        "sleep_forever",
        "sleep_until",
    )
}
_SYNC = {
    name: getattr(sync, name)
    for name in (
        "AsyncContextManagerMixin",
        "CapacityLimiter",
        "Condition",
        "Event",
        "Lock",
        "Semaphore",
        "StrictFIFOLock",
    )
}
_CHANNELS = {
    "MemoryReceiveChannel": channels.MemoryReceiveChannel,
    "MemorySendChannel": channels.MemorySendChannel,
    "as_safe_channel": safe_channel.as_safe_channel,
    "open_memory_channel": channels.open_memory_channel,
}
_LOWLEVEL: dict[str, Any] = {
    "Abort": lowlevel.Abort,
    "ParkingLot": parking_lot.ParkingLot,
    "Task": lowlevel.Task,
    "add_parking_lot_breaker": parking_lot.add_parking_lot_breaker,
    "cancel_shielded_checkpoint": lowlevel.cancel_shielded_checkpoint,
    "checkpoint": lowlevel.checkpoint,
    "checkpoint_if_cancelled": lowlevel.checkpoint_if_cancelled,
    "current_task": lowlevel.current_task,
    "remove_parking_lot_breaker": parking_lot.remove_parking_lot_breaker,
    "reschedule": reschedule,
    "wait_task_rescheduled": lowlevel.wait_task_rescheduled,
}
_CORE: dict[str, Any] = {
    **_ERRORS,
    **_LOWLEVEL,
    "CancelScope": scopes.CancelScope,
    "MockClock": MockClock,
    "Nursery": nursery.Nursery,
    "TASK_STATUS_IGNORED": nursery.TASK_STATUS_IGNORED,
    "current_effective_deadline": lowlevel.current_effective_deadline,
    "current_trio_token": TrioToken,
    "currently_ki_protected": lambda: False,
    "current_time": lowlevel.current_time,
    "open_nursery": open_nursery,
    "run": run,
    "wait_all_tasks_blocked": wait_all_tasks_blocked,
}


def stand_ins() -> dict[str, types.ModuleType]:
    """Return every module that Trio's tests import from Trio, and ``time``, by name."""
    trio = StandIn("trio", **_ERRORS, **_TIMEOUTS, **_SYNC, **_CHANNELS)
    core_run = StandIn("trio._core._run", Nursery=nursery.Nursery, DEADLINE_HEAP_MIN_PRUNE_THRESHOLD=1000)
    core = StandIn("trio._core", **_CORE, _run=core_run)
    for name in ("CancelScope", "Nursery", "TASK_STATUS_IGNORED", "open_nursery", "run"):
        setattr(trio, name, _CORE[name])
    modules: dict[str, types.ModuleType] = {
        "trio": trio,
        "trio._channel": StandIn("trio._channel", **_CHANNELS),
        "trio._core": core,
        "trio._core._parking_lot": StandIn(
            "trio._core._parking_lot", ParkingLot=parking_lot.ParkingLot, GLOBAL_PARKING_LOT_BREAKER=_Breakers()
        ),
        "trio._core._run": core_run,
        "trio._core._tests.test_ki": StandIn("trio._core._tests.test_ki"),
        "trio._core._tests.tutil": _tutil(),
        "trio._sync": StandIn("trio._sync", **_SYNC, trio=trio, Task=lowlevel.Task),
        "trio._threads": StandIn("trio._threads"),
        "trio._timeouts": StandIn("trio._timeouts", **_TIMEOUTS, TooSlowError=errors.TooSlowError),
        "trio._util": StandIn("trio._util", final=lambda cls: cls),
        "trio.lowlevel": StandIn("trio.lowlevel", **_LOWLEVEL),
        # Trio's slow tests compare real time with timeouts; here both are the workflow's time.
        "pytest": messages.TranslatingPytest(),
        "time": StandIn("time", perf_counter=lowlevel.current_time),
    }
    for name in ("_core", "_util", "lowlevel"):
        setattr(trio, name, modules[f"trio.{name}"])
    trio.testing = modules["trio.testing"] = _testing(modules)
    return modules


def _testing(modules: dict[str, types.ModuleType]) -> StandIn:
    # These two helpers are written in terms of Trio's public names, so Trio's own text will do.
    helpers = execute("trio.testing._sequencer", modules) | execute("trio.testing._checkpoints", modules)
    return StandIn(
        "trio.testing",
        MockClock=MockClock,
        Sequencer=helpers["Sequencer"],
        assert_checkpoints=helpers["assert_checkpoints"],
        assert_no_checkpoints=helpers["assert_no_checkpoints"],
        wait_all_tasks_blocked=wait_all_tasks_blocked,
    )


def _tutil() -> StandIn:
    names = (
        "check_sequence_matches",
        "create_asyncio_future_in_new_loop",
        "gc_collect_harder",
        "ignore_coroutine_never_awaited_warnings",
        "restore_unraisablehook",
    )
    # Slow tests are not slow here: their time is the workflow's.
    return StandIn("trio._core._tests.tutil", slow=lambda f: f, **{name: getattr(trio_tutil, name) for name in names})


FIXTURES: dict[str, Callable[[], Any]] = {"mock_clock": MockClock, "autojump_clock": MockClock}
"""The pytest fixtures that Trio's tests ask for."""
