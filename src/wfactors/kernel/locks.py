"""Locks, and the condition variable that is built on one."""

from __future__ import annotations

import attrs

from wfactors.errors import BrokenResourceError, WouldBlock
from wfactors.kernel.limits import AsyncContextManagerMixin
from wfactors.kernel.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled, current_task
from wfactors.kernel.parking_lot import ParkingLot, add_parking_lot_breaker, remove_parking_lot_breaker
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.task import Task

__all__ = ["Condition", "ConditionStatistics", "Lock", "LockStatistics", "StrictFIFOLock"]


@attrs.frozen
class LockStatistics:
    """What a lock looks like now.

    Attributes:
        locked: Whether somebody holds it.
        owner: The task that does, or None.
        tasks_waiting: How many tasks wait for it.
    """

    locked: bool
    owner: Task | None
    tasks_waiting: int


class _LockBase(AsyncContextManagerMixin):
    __slots__ = ("__weakref__", "_lot", "_owner")

    def __init__(self) -> None:
        self._lot = ParkingLot()
        self._owner: Task | None = None

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        waiters = f" with {len(self._lot)} waiters" if self.locked() else ""
        return f"<{state} {type(self).__name__} object at {id(self):#x}{waiters}>"

    def locked(self) -> bool:
        """Return whether somebody holds the lock."""
        return self._owner is not None

    def acquire_nowait(self) -> None:
        """Take the lock, or raise.

        Raises:
            WouldBlock: Somebody else holds it.
            RuntimeError: This task holds it already.
        """
        if not self._try_acquire():
            raise WouldBlock

    async def acquire(self) -> None:
        """Take the lock, waiting for it if necessary.

        Raises:
            BrokenResourceError: The task that holds it ended without releasing it.
            RuntimeError: This task holds it already.
        """
        await checkpoint_if_cancelled()
        if self._try_acquire():
            await cancel_shielded_checkpoint()
            return
        try:
            # Nothing may follow this wait: a task that waits for a condition is moved over into the same lot, and
            # wakes up there without having been here.
            await self._lot.park(self)
        except BrokenResourceError:
            raise BrokenResourceError(f"Owner of this lock exited without releasing: {self._owner}") from None

    def release(self) -> None:
        """Give the lock to the task that has waited longest, or to nobody.

        Raises:
            RuntimeError: This task does not hold it.
        """
        task = current_task()
        if self._owner is not task:
            raise RuntimeError("can't release a Lock you don't own")
        remove_parking_lot_breaker(task, self._lot)
        self._owner = None
        for heir in self._lot.unpark():
            self._take(heir)

    def statistics(self) -> LockStatistics:
        """Return who holds the lock and how many wait."""
        return LockStatistics(locked=self.locked(), owner=self._owner, tasks_waiting=len(self._lot))

    def _try_acquire(self) -> bool:
        task = current_task()
        if self._owner is task:
            raise RuntimeError("attempt to re-acquire an already held Lock")
        if self._owner is not None:
            return False
        self._take(task)
        return True

    def _take(self, task: Task) -> None:
        self._owner = task
        add_parking_lot_breaker(task, self._lot)


class Lock(_LockBase):
    """At most one task at a time; only the task that took it can release it, and it cannot take it twice."""

    __slots__ = ()


class StrictFIFOLock(_LockBase):
    """A lock whose order of first come, first served is a promise and not just how it happens to work.

    It does today what ``Lock`` does. Use it where the order in which tasks reach the lock carries meaning.
    """

    __slots__ = ()


@attrs.frozen
class ConditionStatistics:
    """What a condition looks like now.

    Attributes:
        tasks_waiting: How many tasks are in ``wait()``.
        lock_statistics: What its lock looks like.
    """

    tasks_waiting: int
    lock_statistics: LockStatistics


class Condition(AsyncContextManagerMixin):
    """A lock, and a way to sleep until somebody who holds it says that something has changed.

    Args:
        lock: The ``Lock`` to use; a new one if left out.

    Raises:
        TypeError: ``lock`` is something else.
    """

    __slots__ = ("__weakref__", "_lock", "_lot")

    def __init__(self, lock: Lock | None = None) -> None:
        if lock is None:
            lock = Lock()
        if type(lock) is not Lock:
            raise TypeError("lock must be a wfactors.Lock")
        self._lock = lock
        self._lot = ParkingLot()

    def locked(self) -> bool:
        """Return whether somebody holds the lock."""
        return self._lock.locked()

    def acquire_nowait(self) -> None:
        """Take the lock, or raise.

        Raises:
            WouldBlock: Somebody else holds it.
            RuntimeError: This task holds it already.
        """
        self._lock.acquire_nowait()

    async def acquire(self) -> None:
        """Take the lock, waiting for it if necessary.

        Raises:
            BrokenResourceError: The task that holds it ended without releasing it.
            RuntimeError: This task holds it already.
        """
        await self._lock.acquire()

    def release(self) -> None:
        """Release the lock.

        Raises:
            RuntimeError: This task does not hold it.
        """
        self._lock.release()

    async def wait(self) -> None:
        """Release the lock, sleep until notified, and take the lock again.

        The lock is held again however the wait ends, so that ``async with condition: await condition.wait()`` can
        release it. A cancelled wait therefore ends only when the lock is free.

        Raises:
            RuntimeError: This task does not hold the lock.
            BrokenResourceError: The task that holds the lock when this one wants it back ended without releasing it.
        """
        self._check_owner("wait")
        self.release()
        try:
            # The task falls asleep in this lot and wakes up in the lock's: being woken there is holding the lock.
            await self._lot.park(self)
        except BaseException:
            with CancelScope(shield=True):
                await self.acquire()
            raise

    def notify(self, n: int = 1) -> None:
        """Wake the ``n`` tasks that have waited longest, each as soon as it can have the lock.

        Raises:
            RuntimeError: This task does not hold the lock.
        """
        self._check_owner("notify")
        self._lot.repark(self._lock._lot, count=n)

    def notify_all(self) -> None:
        """Wake every task that waits, each as soon as it can have the lock.

        Raises:
            RuntimeError: This task does not hold the lock.
        """
        self._check_owner("notify")
        self._lot.repark_all(self._lock._lot)

    def statistics(self) -> ConditionStatistics:
        """Return how many tasks wait, and the lock's statistics."""
        return ConditionStatistics(tasks_waiting=len(self._lot), lock_statistics=self._lock.statistics())

    def _check_owner(self, verb: str) -> None:
        if self._lock._owner is not current_task():
            raise RuntimeError(f"must hold the lock to {verb}")
