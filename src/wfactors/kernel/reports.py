"""What a run waits for, in words for people, and whether anything could still wake it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from wfactors.kernel.decisions import moment
from wfactors.kernel.nursery import Nursery
from wfactors.kernel.timeouts import SLEEP, SLEEP_FOREVER

if TYPE_CHECKING:
    from wfactors.kernel.run import Run
    from wfactors.kernel.scopes import CancelScope
    from wfactors.kernel.task import Task

__all__ = ["stuck_reason", "waiting"]


def waiting(run: Run) -> list[str]:
    """One line for each thing that a task waits for, then for each call and timer that no task waits in."""
    lines: dict[str, None] = {}
    for task in run.scheduler.live_tasks():
        if task.is_parked and (line := _words(task)) is not None:
            lines[line] = None
    for call in run.calls.pending.values():
        lines[str(call)] = None
    for at, serial, scope in sorted(run.scheduler.timers._heap, key=_time_and_serial):
        if scope._serial == serial:
            lines[_timer(scope._timer, at)] = None
    return list(lines)


def stuck_reason(run: Run) -> str | None:
    """Why nothing from outside can wake any task; None if something can."""
    scheduler = run.scheduler
    if run.calls.pending or run.requests.updates or run.signals.awaited or scheduler.next_deadline != inf:
        return None
    tasks = scheduler.live_tasks()
    if any(task.waiting_for == SLEEP_FOREVER for task in tasks):
        return None
    waits = [f"{task.name} waits for {_words(task) or 'its tasks'}" for task in tasks]
    return "nothing from outside can wake this workflow: " + "; ".join(waits)


def _words(task: Task) -> str | None:
    what = task.waiting_for
    if isinstance(what, Nursery):
        return None
    if what == SLEEP:
        return _timer(task.scope._timer, task.scope._deadline)
    if what == SLEEP_FOREVER:
        return "being cancelled"
    if callable(what):
        return "a condition"
    if type(what).__str__ is not object.__str__:
        return str(what)
    return _NAMES.get(type(what).__name__, type(what).__name__)


_NAMES = {
    "Event": "event",
    "Lock": "lock",
    "StrictFIFOLock": "lock",
    "Condition": "condition",
    "Semaphore": "semaphore",
    "CapacityLimiter": "capacity limiter",
    "MemorySendChannel": "room in a memory channel",
    "MemoryReceiveChannel": "value from a memory channel",
}


def _timer(number: int, at: float) -> str:
    return f"timer {number} until {moment(at)}" if number >= 0 else f"timer until {moment(at)}"


def _time_and_serial(entry: tuple[float, int, CancelScope]) -> tuple[float, int]:
    return entry[:2]
