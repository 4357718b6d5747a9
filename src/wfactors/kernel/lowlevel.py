"""The functions everything that waits is built on: Trio's ``lowlevel`` vocabulary.

Only ``park``, ``pass_turn`` and ``pause`` ever yield to the scheduler, and they yield one of three constants, so that
whatever else arrives there is known to come from another library.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from wfactors.errors import Cancelled
from wfactors.kernel.task import (
    Task,
    current_scheduler,
    current_scheduler_or_none,
    current_task,
    current_time,
)

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "Abort",
    "RaiseCancel",
    "Task",
    "cancel_shielded_checkpoint",
    "checkpoint",
    "checkpoint_if_cancelled",
    "current_effective_deadline",
    "current_scheduler",
    "current_scheduler_or_none",
    "current_task",
    "current_time",
    "reschedule",
    "wait_quiescent",
    "wait_task_rescheduled",
]


RaiseCancel = Callable[[], NoReturn]
"""What an abort function is given: a function that raises ``Cancelled``."""


class Abort(enum.Enum):
    """What an abort function answers: was the wait interrupted, or does it go on until it is rescheduled?"""

    SUCCEEDED = 1
    FAILED = 2


class Trap(enum.Enum):
    """What a task yields to its scheduler."""

    PARK = 1
    PASS_TURN = 2
    PAUSE = 3


_PARK = Trap.PARK
_PASS_TURN = Trap.PASS_TURN
_PAUSE = Trap.PAUSE

PAUSE_STEPS = 64
"""As so many steps counts one that ends with a pause."""


@types.coroutine
def park(task: Task, abort_fn: Callable[[RaiseCancel], Abort]) -> Generator[Trap, Any, Any]:
    """Suspend ``task``, which must be the current one, until it is rescheduled.

    ``wait_task_rescheduled`` without the look-up and without the warning when it is not awaited.
    """
    if task.scheduler.is_unwinding and task.scheduler.refuse_wait():
        raise GeneratorExit
    task.abort_fn = abort_fn
    value = yield _PARK
    error = task._error
    if error is None:
        return value
    task._error = None
    try:
        raise error
    finally:
        # The traceback that raise just made refers to this frame.
        del error, task, abort_fn


@types.coroutine
def pass_turn(task: Task) -> Generator[Trap, Any, None]:
    """Let every other ready task run once before ``task``, the current one, goes on."""
    if task.scheduler.is_unwinding and task.scheduler.refuse_wait():
        raise GeneratorExit
    yield _PASS_TURN


@types.coroutine
def pause(task: Task) -> Generator[Trap, Any, None]:
    """End a step of ``task``, the current one, that would be long; it does the next one before anybody else.

    No checkpoint: neither the author's code nor a history can tell that it was there. So what needs attention, such
    as a deadline that was set and is due, has to wait for the end of the step that was to be.
    """
    scheduler = task.scheduler
    if scheduler.is_unwinding and scheduler.refuse_wait():
        raise GeneratorExit
    needed_attention, scheduler.needs_attention = scheduler.needs_attention, False
    scheduler.is_pausing = True
    yield _PAUSE
    scheduler.is_pausing = False
    scheduler.needs_attention = needed_attention


async def wait_task_rescheduled(abort_fn: Callable[[RaiseCancel], Abort]) -> Any:
    """Suspend the current task until somebody calls ``reschedule`` on it.

    When the surrounding scope is cancelled ``abort_fn(raise_cancel)`` is called, at most once. If it answers
    ``Abort.SUCCEEDED`` it has seen to it that nobody will reschedule the task, and the wait raises ``Cancelled``.
    If it answers ``Abort.FAILED`` the wait goes on, and it may keep ``raise_cancel`` to raise ``Cancelled`` later.

    Returns:
        The value given to ``reschedule``; or its error is raised.
    """
    return await park(current_task(), abort_fn)


def reschedule(task: Task, value: Any = None, error: BaseException | None = None) -> None:
    """Make a waiting task ready: its wait will return ``value`` or raise ``error``.

    May be called from tasks and, between runs, by whoever drives the scheduler.

    Raises:
        RuntimeError: The task is not waiting.
    """
    if not task.is_parked:
        if task.scheduler.is_evicting or task.scheduler.failure is not None:
            return
        raise RuntimeError(f"{task!r} is not waiting, so it cannot be rescheduled")
    task.is_parked = False
    task.abort_fn = None
    task.custom_sleep_data = None
    task.waiting_for = None
    task._value = value
    task._error = error
    task.scheduler.ready.append(task)


def raise_cancel() -> NoReturn:
    """Raise ``Cancelled``; what abort functions are given."""
    raise Cancelled._create()


def deliver_cancel(task: Task) -> None:
    """Try to interrupt the wait of a task whose scope is cancelled; does nothing if it does not wait."""
    abort_fn = task.abort_fn
    if abort_fn is None or not task.is_parked:
        return
    # Only one attempt is made per wait; and none from within the attempt.
    task.abort_fn = None
    answer = abort_fn(raise_cancel)
    if answer is Abort.SUCCEEDED:
        reschedule(task, None, Cancelled._create())
    elif answer is not Abort.FAILED:
        task.scheduler.stop(RuntimeError(f"an abort function must return an Abort, not {answer!r}"))


def always_abort(_: RaiseCancel) -> Abort:
    """Answer SUCCEEDED: the abort function of a wait nobody else knows of."""
    return Abort.SUCCEEDED


def never_abort(_: RaiseCancel) -> Abort:
    """Answer FAILED: the abort function of a wait that must end by itself."""
    return Abort.FAILED


async def cancel_shielded_checkpoint() -> None:
    """Let every other ready task run once; never raises ``Cancelled``."""
    await pass_turn(current_task())


async def checkpoint() -> None:
    """Let every other ready task run once, then raise ``Cancelled`` if the surrounding scope is cancelled."""
    task = current_task()
    await pass_turn(task)
    if task.scope._is_cancelled:
        raise Cancelled._create()


async def checkpoint_if_cancelled() -> None:
    """Do nothing, unless the surrounding scope is cancelled: then be a ``checkpoint``, which raises."""
    task = current_task()
    if task.scope._is_cancelled:
        await pass_turn(task)
        if task.scope._is_cancelled:
            raise Cancelled._create()


def current_effective_deadline() -> float:
    """Return when the current task will be cancelled as things stand.

    Returns:
        The earliest deadline of the scopes around the code, up to the innermost shield; ``inf`` if there is none,
        ``-inf`` if it is cancelled already.
    """
    return current_task().scope._effective_deadline()


async def wait_quiescent(predicate: Callable[[], object]) -> None:
    """Wait until no task is ready and ``predicate()`` is true at that moment.

    The predicates of all waiters are asked in the order in which the waits began, each in its own task's context,
    every time the scheduler has nothing left to run. What a predicate raises is raised here. A checkpoint.
    """
    task = current_task()
    waiters = task.scheduler.quiescence_waiters

    def abort(_: RaiseCancel) -> Abort:
        del waiters[task]
        return Abort.SUCCEEDED

    waiters[task] = predicate
    task.waiting_for = predicate
    await park(task, abort)
