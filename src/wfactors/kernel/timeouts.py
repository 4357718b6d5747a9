"""Sleeping, and scopes that are cancelled at a given time. Trio's functions on the workflow's time."""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, Literal, NoReturn

from wfactors.errors import TooSlowError
from wfactors.kernel.lowlevel import always_abort, checkpoint, park
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.task import current_task
from wfactors.kernel.times import to_seconds

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from types import TracebackType

__all__ = [
    "SLEEP",
    "SLEEP_FOREVER",
    "fail_after",
    "fail_at",
    "move_on_after",
    "move_on_at",
    "sleep",
    "sleep_forever",
    "sleep_until",
]

SLEEP = "sleep"
"""``Task.waiting_for`` of a task that sleeps until a time."""

SLEEP_FOREVER = "sleep_forever"
"""``Task.waiting_for`` of a task that sleeps until it is cancelled."""


def move_on_at(deadline: float | datetime, *, shield: bool = False) -> CancelScope:
    """Return a scope that is cancelled at ``deadline`` and then simply left.

    Args:
        deadline: Seconds of the workflow's time, or an aware ``datetime``.
        shield: Hide cancellations of scopes further out.

    Raises:
        ValueError: ``deadline`` is NaN or a naive ``datetime``.
    """
    return CancelScope(deadline=deadline, shield=shield)


def move_on_after(seconds: float | timedelta, *, shield: bool = False) -> CancelScope:
    """Return a scope that is cancelled ``seconds`` after it is entered and then simply left.

    Args:
        seconds: Seconds, or a ``timedelta``.
        shield: Hide cancellations of scopes further out.

    Raises:
        ValueError: ``seconds`` is negative or NaN.
    """
    return CancelScope(relative_deadline=_check_seconds(seconds), shield=shield)


def fail_at(deadline: float | datetime, *, shield: bool = False) -> FailScope:
    """Like ``move_on_at``, but raise ``TooSlowError`` if the scope was left because it was cancelled."""
    return FailScope(move_on_at(deadline, shield=shield))


def fail_after(seconds: float | timedelta, *, shield: bool = False) -> FailScope:
    """Like ``move_on_after``, but raise ``TooSlowError`` if the scope was left because it was cancelled."""
    return FailScope(move_on_after(seconds, shield=shield))


class FailScope:
    """A context manager that enters a ``CancelScope`` and raises ``TooSlowError`` where that would move on."""

    __slots__ = ("_scope",)

    def __init__(self, scope: CancelScope) -> None:
        self._scope = scope

    def __enter__(self) -> CancelScope:
        return self._scope.__enter__()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if not self._scope.__exit__(exc_type, exc, traceback):
            return False
        # The Cancelled that was caught says nothing that the deadline does not.
        raise TooSlowError from None


async def sleep(seconds: float | timedelta) -> None:
    """Wait until ``seconds`` have passed; 0 is a checkpoint.

    Args:
        seconds: Seconds, or a ``timedelta``.

    Raises:
        ValueError: ``seconds`` is negative or NaN.
    """
    duration = _check_seconds(seconds)
    if duration == 0:
        await checkpoint()
    else:
        await sleep_until(current_task().scheduler.now + duration)


async def sleep_until(deadline: float | datetime) -> None:
    """Wait until ``deadline``; a checkpoint if that has passed.

    Args:
        deadline: Seconds of the workflow's time, or an aware ``datetime``.

    Raises:
        ValueError: ``deadline`` is NaN or a naive ``datetime``.
    """
    with CancelScope(deadline=deadline) as scope:
        task = current_task()
        task.waiting_for = SLEEP if scope._deadline != inf else SLEEP_FOREVER
        await park(task, always_abort)


async def sleep_forever() -> NoReturn:
    """Wait until cancelled.

    Raises:
        RuntimeError: Somebody rescheduled the task.
    """
    task = current_task()
    task.waiting_for = SLEEP_FOREVER
    await park(task, always_abort)
    raise RuntimeError("a task in sleep_forever() was rescheduled")


def _check_seconds(seconds: float | timedelta) -> float:
    duration = to_seconds(seconds)
    if duration < 0:
        raise ValueError("`seconds` must be non-negative")
    if isnan(duration):
        raise ValueError("`seconds` must not be NaN")
    return duration
