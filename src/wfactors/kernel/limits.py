"""Limits on how many tasks may do something at the same time: the capacity limiter and the semaphore."""

from __future__ import annotations

import math
from typing import Protocol

import attrs

from wfactors.errors import Cancelled, WouldBlock
from wfactors.kernel.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled, current_task
from wfactors.kernel.parking_lot import ParkingLot, ParkingLotStatistics
from wfactors.kernel.task import Task

__all__ = ["AsyncContextManagerMixin", "CapacityLimiter", "CapacityLimiterStatistics", "Semaphore"]


class _HasAcquireRelease(Protocol):
    async def acquire(self) -> object: ...

    def release(self) -> object: ...


class AsyncContextManagerMixin:
    """``async with`` for whatever has ``acquire`` and ``release``; entering may block, leaving does not."""

    __slots__ = ()

    async def __aenter__(self: _HasAcquireRelease) -> None:
        await self.acquire()

    async def __aexit__(self: _HasAcquireRelease, *_: object) -> None:
        self.release()


@attrs.frozen
class CapacityLimiterStatistics:
    """What a capacity limiter looks like now.

    Attributes:
        borrowed_tokens: How many tokens are out.
        total_tokens: How many there are.
        borrowers: The tasks or other objects that hold one, in the order in which they got it.
        tasks_waiting: How many tasks wait for one.
    """

    borrowed_tokens: int
    total_tokens: int | float
    borrowers: list[Task | object]
    tasks_waiting: int


class CapacityLimiter(AsyncContextManagerMixin):
    """A sack of tokens: at most so many borrowers at the same time, each with one.

    Unlike a semaphore it knows who holds a token, so it can refuse a second one to the same borrower, and a release
    by somebody who has none.

    Args:
        total_tokens: How many tokens there are: an integer from 0, or ``math.inf``. Can be assigned to later.

    Raises:
        TypeError: ``total_tokens`` is neither.
        ValueError: It is negative.
    """

    __slots__ = ("__weakref__", "_borrowers", "_lot", "_pending_borrowers", "_total_tokens")

    def __init__(self, total_tokens: float) -> None:
        self._lot = ParkingLot()
        self._borrowers: dict[Task | object, None] = {}
        # Who waits -> on whose behalf.
        self._pending_borrowers: dict[Task, Task | object] = {}
        self._total_tokens = _checked_total(total_tokens)

    def __repr__(self) -> str:
        state = f"{len(self._borrowers)}/{self._total_tokens} with {len(self._lot)} waiting"
        return f"<wfactors.CapacityLimiter at {id(self):#x}, {state}>"

    @property
    def total_tokens(self) -> int | float:
        """How many tokens there are.

        A larger number wakes waiting tasks at once. A smaller one takes nothing from anybody: those who hold a token
        keep it, and nobody else gets one until enough have come back.
        """
        return self._total_tokens

    @total_tokens.setter
    def total_tokens(self, new_total_tokens: float) -> None:
        self._total_tokens = _checked_total(new_total_tokens)
        self._wake_waiters()

    @property
    def borrowed_tokens(self) -> int:
        """How many tokens are out."""
        return len(self._borrowers)

    @property
    def available_tokens(self) -> int | float:
        """How many tokens are left; negative after ``total_tokens`` was made smaller than what is out."""
        return self._total_tokens - len(self._borrowers)

    def acquire_nowait(self) -> None:
        """Borrow a token for the current task, or raise.

        Raises:
            WouldBlock: None is left.
            RuntimeError: The task has one already.
        """
        self.acquire_on_behalf_of_nowait(current_task())

    def acquire_on_behalf_of_nowait(self, borrower: Task | object) -> None:
        """Borrow a token for ``borrower``, any hashable object, or raise.

        Raises:
            WouldBlock: None is left.
            RuntimeError: The borrower has one already.
        """
        if not self._try_acquire(borrower):
            raise WouldBlock

    async def acquire(self) -> None:
        """Borrow a token for the current task, waiting for one if necessary.

        Raises:
            RuntimeError: The task has one already.
        """
        await self.acquire_on_behalf_of(current_task())

    async def acquire_on_behalf_of(self, borrower: Task | object) -> None:
        """Borrow a token for ``borrower``, waiting for one if necessary.

        Raises:
            RuntimeError: The borrower has one already.
        """
        await checkpoint_if_cancelled()
        if self._try_acquire(borrower):
            await cancel_shielded_checkpoint()
            return
        task = current_task()
        self._pending_borrowers[task] = borrower
        try:
            await self._lot.park(self)
        except Cancelled:
            del self._pending_borrowers[task]
            raise

    def release(self) -> None:
        """Put the current task's token back.

        Raises:
            RuntimeError: It has none.
        """
        self.release_on_behalf_of(current_task())

    def release_on_behalf_of(self, borrower: Task | object) -> None:
        """Put the borrower's token back.

        Raises:
            RuntimeError: It has none.
        """
        if borrower not in self._borrowers:
            raise RuntimeError("this borrower isn't holding any of this CapacityLimiter's tokens")
        del self._borrowers[borrower]
        self._wake_waiters()

    def statistics(self) -> CapacityLimiterStatistics:
        """Return tokens, borrowers and the number of tasks that wait."""
        return CapacityLimiterStatistics(
            borrowed_tokens=len(self._borrowers),
            total_tokens=self._total_tokens,
            borrowers=list(self._borrowers),
            tasks_waiting=len(self._lot),
        )

    def _try_acquire(self, borrower: Task | object) -> bool:
        if borrower in self._borrowers:
            raise RuntimeError("this borrower is already holding one of this CapacityLimiter's tokens")
        if len(self._borrowers) >= self._total_tokens or self._lot:
            return False
        self._borrowers[borrower] = None
        return True

    def _wake_waiters(self) -> None:
        # The count is negative while more tokens are out than there are; the lot then wakes nobody.
        for woken in self._lot.unpark(count=self._total_tokens - len(self._borrowers)):
            self._borrowers[self._pending_borrowers.pop(woken)] = None


class Semaphore(AsyncContextManagerMixin):
    """A number that is never below zero: ``release`` adds one, ``acquire`` takes one or waits until it can.

    Args:
        initial_value: The number to start with, from 0.
        max_value: If given, ``release`` refuses to go beyond it.

    Raises:
        TypeError: One of them is no integer.
        ValueError: ``initial_value`` is negative, or above ``max_value``.
    """

    __slots__ = ("__weakref__", "_lot", "_max_value", "_value")

    def __init__(self, initial_value: int, *, max_value: int | None = None) -> None:
        if not isinstance(initial_value, int):
            raise TypeError("initial_value must be an int")
        if initial_value < 0:
            raise ValueError("initial value must be >= 0")
        if max_value is not None:
            if not isinstance(max_value, int):
                raise TypeError("max_value must be None or an int")
            if max_value < initial_value:
                raise ValueError("max_values must be >= initial_value")
        # Invariant: nobody waits while the value is above zero.
        self._lot = ParkingLot()
        self._value = initial_value
        self._max_value = max_value

    def __repr__(self) -> str:
        limit = "" if self._max_value is None else f", max_value={self._max_value}"
        return f"<wfactors.Semaphore({self._value}{limit}) at {id(self):#x}>"

    @property
    def value(self) -> int:
        """The number now."""
        return self._value

    @property
    def max_value(self) -> int | None:
        """The largest number allowed, or None."""
        return self._max_value

    def acquire_nowait(self) -> None:
        """Take one, or raise.

        Raises:
            WouldBlock: The number is zero.
        """
        if self._value == 0:
            raise WouldBlock
        assert not self._lot
        self._value -= 1

    async def acquire(self) -> None:
        """Take one, waiting until there is one."""
        await checkpoint_if_cancelled()
        if self._value == 0:
            await self._lot.park(self)
        else:
            self.acquire_nowait()
            await cancel_shielded_checkpoint()

    def release(self) -> None:
        """Add one; if a task waits, it gets it.

        Raises:
            ValueError: The number would go beyond ``max_value``.
        """
        if self._lot:
            assert self._value == 0
            self._lot.unpark()
            return
        if self._value == self._max_value:
            raise ValueError("semaphore released too many times")
        self._value += 1

    def statistics(self) -> ParkingLotStatistics:
        """Return how many tasks wait."""
        return self._lot.statistics()


# --- Helpers ---------------------------------------------------------------------------------------------------------


def _checked_total(total_tokens: float) -> int | float:
    if not isinstance(total_tokens, int) and total_tokens != math.inf:
        raise TypeError("total_tokens must be an int or math.inf")
    if total_tokens < 0:
        raise ValueError("total_tokens must be >= 0")
    return total_tokens
