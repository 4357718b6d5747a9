"""Waiting for several things at once, or for a condition: ``gather``, ``race`` and ``wait_until``.

``gather`` and ``race`` are nurseries with one more promise each: what they raise is the failure itself, not a group
around it, unless several things failed. A coroutine object that was handed to them and never started is closed, so
that a cancelled ``gather(charge(), ship())`` leaves no "never awaited" warning behind.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from wfactors.errors import Cancelled
from wfactors.kernel.lowlevel import checkpoint, checkpoint_if_cancelled, current_task, pause, wait_quiescent
from wfactors.kernel.nursery import open_nursery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wfactors.kernel.scopes import CancelScope

__all__ = ["gather", "race", "wait_until"]

# In one step of the task that waits for them; their own first steps are short as well.
_STARTED_AT_ONCE = 64

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")


@overload
async def gather(one: Awaitable[T1], /) -> tuple[T1]: ...
@overload
async def gather(one: Awaitable[T1], two: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def gather(one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
@overload
async def gather(
    one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], four: Awaitable[T4], /
) -> tuple[T1, T2, T3, T4]: ...
@overload
async def gather(
    one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], four: Awaitable[T4], five: Awaitable[T5], /
) -> tuple[T1, T2, T3, T4, T5]: ...
@overload
async def gather(
    one: Awaitable[T],
    two: Awaitable[T],
    three: Awaitable[T],
    four: Awaitable[T],
    five: Awaitable[T],
    six: Awaitable[T],
    /,
    # With nothing before it, calls of fewer would match twice, and mypy would make Any of them.
    *awaitables: Awaitable[T],
) -> tuple[T, ...]: ...
@overload
async def gather() -> tuple[()]: ...


async def gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """Await everything at the same time, each in a task of its own, and return the results in order.

    The first failure cancels the rest, is waited out, and is raised as itself.

    Args:
        awaitables: Coroutine objects or whatever else can be awaited; with none, the result is ``()``.

    Returns:
        A tuple with one result for each awaitable, in the order of the arguments.

    Raises:
        BaseExceptionGroup: More than one of them failed (an ``ExceptionGroup`` if all failures are ``Exception``).
        TypeError: An argument cannot be awaited; nothing was started.
    """
    results: list[Any] = [None] * len(awaitables)
    await _run_all(_gathered, awaitables, results)
    return tuple(results)


async def race(*awaitables: Awaitable[T]) -> T:
    """Await everything at the same time until one is finished; that one decides.

    The others are cancelled and waited for; one that had not started yet never does. A failure of theirs is not
    lost: what goes wrong in a loser's clean-up is raised, even though the winner returned.

    Args:
        awaitables: One or more coroutine objects or whatever else can be awaited.

    Returns:
        The winner's result.

    Raises:
        BaseExceptionGroup: More than one of them failed.
        TypeError: An argument cannot be awaited, or there is none; nothing was started.
    """
    if not awaitables:
        raise TypeError("race() needs something to await")
    results: list[T] = []
    await _run_all(_raced, awaitables, results)
    return results[0]


async def wait_until(predicate: Callable[[], object]) -> None:
    """Wait until ``predicate()`` is true; at once (after a checkpoint) if it is.

    It is called again whenever the workflow has done all it can do for now, so it sees what the last event has
    changed as a whole. It must be quick, change nothing, and depend only on the workflow's own state.

    Args:
        predicate: A plain function without arguments. What it raises is raised here.
    """
    if predicate():
        await checkpoint()
    else:
        await wait_quiescent(predicate)


# --- Helpers ---------------------------------------------------------------------------------------------------------


async def _gathered(awaitable: Awaitable[Any], results: list[Any], index: int, scope: CancelScope) -> None:
    if not _is_decided(scope, awaitable):
        results[index] = await awaitable


async def _raced(awaitable: Awaitable[Any], results: list[Any], _: int, scope: CancelScope) -> None:
    if _is_decided(scope, awaitable):
        return
    value = await awaitable
    # Two may finish before either hears of the other; the first in the run queue was first.
    if not results:
        results.append(value)
        scope.cancel()


def _is_decided(scope: CancelScope, awaitable: Awaitable[Any]) -> bool:
    # A task in a cancelled scope still runs up to its first checkpoint. This scope is nobody else's, so cancelled means
    # that the outcome is known: what has not begun is not wanted any more.
    if scope.cancel_called:
        _close_unstarted((awaitable,))
        return True
    return False


async def _run_all(
    member: Callable[[Awaitable[Any], list[Any], int, CancelScope], Awaitable[None]],
    awaitables: tuple[Awaitable[Any], ...],
    results: list[Any],
) -> None:
    try:
        _check(awaitables)
        await checkpoint_if_cancelled()
        async with open_nursery() as nursery:
            scope = nursery.cancel_scope
            for index, awaitable in enumerate(awaitables):
                if index % _STARTED_AT_ONCE == _STARTED_AT_ONCE - 1:
                    await pause(current_task())
                nursery.start_soon(member, awaitable, results, index, scope, name=_name(awaitable))
    except BaseExceptionGroup as group:
        failure = plain(group)
    except BaseException:
        _close_unstarted(awaitables)
        raise
    else:
        return
    _close_unstarted(awaitables)
    raise_unchanged(failure)


def _name(awaitable: Awaitable[Any]) -> str:
    return getattr(awaitable, "__qualname__", None) or type(awaitable).__qualname__


def _check(awaitables: tuple[Awaitable[Any], ...]) -> None:
    for awaitable in awaitables:
        if not inspect.isawaitable(awaitable):
            raise TypeError(f"expected something to await, got {awaitable!r}")


def _close_unstarted(awaitables: tuple[Awaitable[Any], ...]) -> None:
    # One that has started is its task's business: closing it here would run its clean-up outside the scheduler.
    for awaitable in awaitables:
        if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
            awaitable.close()


def plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one thing that went wrong in the nursery, or the group if there are several.

    Cancellations that are left in the group belong to a scope further out. One of them goes on if there is nothing
    else; beside a real failure they can be dropped, since that scope stays cancelled.
    """
    failures = [error for error in group.exceptions if not _is_cancellation(error)]
    if len(failures) > 1:
        return group
    only = failures[0] if failures else group.exceptions[0]
    while not failures and isinstance(only, BaseExceptionGroup):
        only = only.exceptions[0]
    return only


def _is_cancellation(error: BaseException) -> bool:
    # A task with a nursery of its own passes a Cancelled on in a group.
    return isinstance(error, Cancelled) or (isinstance(error, BaseExceptionGroup) and error.split(Cancelled)[1] is None)


def raise_unchanged(error: BaseException) -> NoReturn:
    """Raise an exception with the context it has; a plain raise would replace it by what is just being handled."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context
