"""Counts the checkpoints of tasks from outside, by Python's profiler, so that the kernel need not count them."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from wfactors.kernel import lowlevel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from wfactors.kernel.task import Task

_schedule_points: WeakKeyDictionary[Task, int] = WeakKeyDictionary()
_cancel_points: WeakKeyDictionary[Task, int] = WeakKeyDictionary()
_SCHEDULES = {lowlevel.park.__code__, lowlevel.pass_turn.__code__}
_CANCELS = {lowlevel.park.__code__, lowlevel.checkpoint.__code__, lowlevel.checkpoint_if_cancelled.__code__}


def _observe(frame: FrameType, event: str, _: object) -> None:
    if event == "call" and (frame.f_code in _SCHEDULES or frame.f_code in _CANCELS):
        scheduler = lowlevel.current_scheduler_or_none()
        task = scheduler.current if scheduler is not None else None
        if task is not None:
            _schedule_points[task] = schedules(task) + (frame.f_code in _SCHEDULES)
            _cancel_points[task] = cancels(task) + (frame.f_code in _CANCELS)


@contextmanager
def counted() -> Iterator[None]:
    """Count the checkpoints of every task meanwhile."""
    before = sys.getprofile()
    sys.setprofile(_observe)
    try:
        yield
    finally:
        sys.setprofile(before)


def schedules(task: Task) -> int:
    """Return how often the task has let others run."""
    return _schedule_points.get(task, 0)


def cancels(task: Task) -> int:
    """Return how often the task has looked whether it is cancelled."""
    return _cancel_points.get(task, 0)
