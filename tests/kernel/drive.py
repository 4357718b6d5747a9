"""Drives a scheduler by hand, for tests of the kernel: time passes whenever there is nothing else to do."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from wfactors.kernel.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Deadlock(Exception):
    """Every task waits, and for no deadline."""


def run(
    async_fn: Callable[..., Awaitable[Any]],
    *args: Any,
    now: float = 0.0,
    meanwhile: Callable[[], bool] = lambda: False,
) -> Any:
    """Run ``async_fn(*args)`` as the main task of a new scheduler and return what it returns, or raise what it raises.

    Args:
        async_fn: The main task's function.
        args: Its arguments.
        now: The time at the start.
        meanwhile: Called each time everything waits; time passes only if it answers False.

    Raises:
        Deadlock: It can never end.
    """
    scheduler = Scheduler(now)
    scheduler.start(async_fn, *args)
    try:
        while True:
            scheduler.run()
            if scheduler.failure is not None:
                raise scheduler.failure
            if scheduler.main_outcome.finished:
                break
            if meanwhile():
                continue
            if scheduler.next_deadline == inf:
                raise Deadlock([stack.name for stack in scheduler.stacks()])
            scheduler.advance(scheduler.next_deadline)
    finally:
        scheduler.close()
    if scheduler.main_outcome.error is not None:
        raise scheduler.main_outcome.error
    return scheduler.main_outcome.value
