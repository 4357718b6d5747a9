"""Events, limits, semaphores, locks, conditions, and the parking lot below them."""

from __future__ import annotations

import math
import re

import pytest

from tests.kernel.drive import Deadlock, run
from wfactors.errors import BrokenResourceError, Cancelled, WouldBlock
from wfactors.kernel.lowlevel import checkpoint, current_task, wait_quiescent
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.parking_lot import (
    ParkingLot,
    ParkingLotStatistics,
    add_parking_lot_breaker,
    remove_parking_lot_breaker,
)
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.sync import (
    CapacityLimiter,
    CapacityLimiterStatistics,
    Condition,
    ConditionStatistics,
    Event,
    EventStatistics,
    Lock,
    LockStatistics,
    Semaphore,
    StrictFIFOLock,
)


async def settle():
    """Let every other task run until it waits."""
    await wait_quiescent(lambda: True)


# --- Event -----------------------------------------------------------------------------------------------------------


def test_event_wakes_every_waiter_in_order():
    """Those who wait go on in the order in which they came."""
    woken = []

    async def wait(event, number):
        await event.wait()
        woken.append(number)

    async def main():
        event = Event()
        async with open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(wait, event, number)
            await settle()
            assert EventStatistics(tasks_waiting=5) == event.statistics()
            assert not event.is_set()
            event.set()
            event.set()
            assert EventStatistics(tasks_waiting=0) == event.statistics()
        assert event.is_set()

    run(main)
    assert woken == [0, 1, 2, 3, 4]


def test_event_that_has_happened_is_a_checkpoint():
    """Waiting for what has happened lets others run, and notices a cancellation."""
    order = []

    async def other():
        order.append("other")

    async def main():
        event = Event()
        event.set()
        async with open_nursery() as nursery:
            nursery.start_soon(other)
            await event.wait()
            order.append("main")
        with CancelScope() as scope:
            scope.cancel()
            await event.wait()
            order.append("never")
        assert scope.cancelled_caught

    run(main)
    assert order == ["other", "main"]


def test_cancelled_wait_for_an_event_leaves_the_others_waiting():
    """Who is cancelled is forgotten, in the middle of the queue too."""
    woken = []

    async def wait(event, number, scope):
        with scope:
            await event.wait()
            woken.append(number)

    async def main():
        event = Event()
        scopes = [CancelScope() for _ in range(3)]
        async with open_nursery() as nursery:
            for number, scope in enumerate(scopes):
                nursery.start_soon(wait, event, number, scope)
            await settle()
            scopes[1].cancel()
            await settle()
            assert EventStatistics(tasks_waiting=2) == event.statistics()
            event.set()

    run(main)
    assert woken == [0, 2]


def test_event_has_no_truth_value():
    """``if event`` is a mistake for ``if event.is_set()``."""
    with pytest.raises(NotImplementedError, match="is_set"):
        bool(Event())


def test_event_repr_tells_its_state():
    """People see whether it has happened and how many wait."""
    event = Event()
    assert "not set, 0 waiting" in repr(event)
    event.set()
    assert ", set>" in repr(event)


# --- Parking lot -----------------------------------------------------------------------------------------------------


async def park_all(nursery, lot, count, woken):
    """Park ``count`` tasks in the lot, one after the other."""

    async def park(number):
        await lot.park()
        woken.append(number)

    for number in range(count):
        nursery.start_soon(park, number)
    await settle()


def test_parking_lot_unparks_first_come_first_served():
    """``unpark`` takes the oldest, as many as asked for or as there are."""
    woken = []

    async def main():
        lot = ParkingLot()
        assert not lot
        assert lot.unpark() == []
        async with open_nursery() as nursery:
            await park_all(nursery, lot, 5, woken)
            assert ParkingLotStatistics(tasks_waiting=5) == lot.statistics()
            assert lot
            assert len(lot.unpark()) == 1
            assert len(lot.unpark(count=2)) == 2
            await settle()
            assert woken == [0, 1, 2]
            assert len(lot.unpark(count=math.inf)) == 2
            assert len(lot) == 0
            await park_all(nursery, lot, 2, woken)
            lot.unpark_all()

    run(main)
    assert woken == [0, 1, 2, 3, 4, 0, 1]


def test_parking_lot_refuses_fractions_of_tasks():
    """A count is an integer or infinite."""
    with pytest.raises(ValueError, match="non-integer"):
        ParkingLot().unpark(count=1.5)


def test_parking_lot_reparks_in_order():
    """Tasks that are moved keep their order, and a cancellation finds them where they are now."""
    woken = []

    async def main():
        first, second = ParkingLot(), ParkingLot()
        async with open_nursery() as nursery:
            await park_all(nursery, first, 3, woken)
            first.repark(second)
            assert (len(first), len(second)) == (2, 1)
            first.repark_all(second)
            assert (len(first), len(second)) == (0, 3)
            second.unpark()
            await settle()
            nursery.cancel_scope.cancel()
        assert len(second) == 0

    run(main)
    assert woken == [0]


def test_parking_lot_reparks_into_a_parking_lot_only():
    """Anything else is refused before a task is lost."""
    with pytest.raises(TypeError, match="ParkingLot"):
        ParkingLot().repark([])  # type: ignore[arg-type]


def test_broken_parking_lot_throws_everybody_out():
    """Those who are parked fail, those who come later fail, and all who broke it are on record."""

    async def main():
        lot = ParkingLot()
        me = current_task()

        async def park():
            with pytest.raises(BrokenResourceError, match=re.escape(f"broken by {me}")):
                await lot.park()

        async with open_nursery() as nursery:
            nursery.start_soon(park)
            nursery.start_soon(park)
            await settle()
            lot.break_lot()
        with pytest.raises(BrokenResourceError, match="Attempted to park"):
            await lot.park()
        lot.break_lot(me)
        assert [me, me] == lot.broken_by

    run(main)


def test_parking_lot_breaker_breaks_when_its_task_ends():
    """A task breaks the lots it was registered for, unless that was undone."""

    async def main():
        broken, whole = ParkingLot(), ParkingLot()
        tasks = []

        async def breaker():
            tasks.append(current_task())
            add_parking_lot_breaker(current_task(), broken)
            add_parking_lot_breaker(current_task(), whole)
            remove_parking_lot_breaker(current_task(), whole)

        async with open_nursery() as nursery:
            nursery.start_soon(breaker)
        assert tasks == broken.broken_by
        assert whole.broken_by == []
        with pytest.raises(BrokenResourceError, match="already exited"):
            add_parking_lot_breaker(tasks[0], whole)
        with pytest.raises(RuntimeError, match="not registered"):
            remove_parking_lot_breaker(current_task(), whole)

    run(main)


# --- Capacity limiter ------------------------------------------------------------------------------------------------


def test_capacity_limiter_lends_each_borrower_one_token():
    """A second token for the same borrower and the return of one not held are refused."""

    async def main():
        limiter = CapacityLimiter(2)
        assert "0/2 with 0 waiting" in repr(limiter)
        async with limiter:
            assert (limiter.borrowed_tokens, limiter.available_tokens, limiter.total_tokens) == (1, 1, 2)
            with pytest.raises(RuntimeError, match="already holding"):
                limiter.acquire_nowait()
            with pytest.raises(RuntimeError, match="already holding"):
                await limiter.acquire()
        with pytest.raises(RuntimeError, match="isn't holding"):
            limiter.release()
        limiter.acquire_on_behalf_of_nowait("a")
        await limiter.acquire_on_behalf_of("b")
        with pytest.raises(WouldBlock):
            limiter.acquire_nowait()
        assert CapacityLimiterStatistics(2, 2, ["a", "b"], 0) == limiter.statistics()
        limiter.release_on_behalf_of("a")
        limiter.release_on_behalf_of("b")
        assert limiter.borrowed_tokens == 0

    run(main)


def test_capacity_limiter_is_fair_and_follows_its_total():
    """More tokens wake those who wait, in order; fewer take nothing from anybody."""

    async def main():
        limiter = CapacityLimiter(0)
        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(limiter.acquire_on_behalf_of, name)
            await settle()
            assert limiter.statistics().tasks_waiting == 3
            limiter.total_tokens = 2
            assert limiter.statistics().borrowers == ["a", "b"]
            with pytest.raises(WouldBlock):
                limiter.acquire_nowait()
            limiter.total_tokens = 1
            assert limiter.available_tokens == -1
            limiter.release_on_behalf_of("a")
            assert limiter.statistics().borrowers == ["b"]
            limiter.release_on_behalf_of("b")
            assert limiter.statistics().borrowers == ["c"]
            limiter.total_tokens = math.inf
            assert math.inf == limiter.available_tokens

    run(main)


def test_capacity_limiter_forgets_who_was_cancelled():
    """A cancelled wait borrows nothing and leaves nothing behind."""

    async def main():
        limiter = CapacityLimiter(1)
        limiter.acquire_nowait()
        async with open_nursery() as nursery:
            nursery.start_soon(limiter.acquire)
            await settle()
            nursery.cancel_scope.cancel()
        assert limiter.statistics().tasks_waiting == 0
        assert limiter._pending_borrowers == {}
        limiter.release()
        assert limiter.borrowed_tokens == 0

    run(main)


@pytest.mark.parametrize(("total", "error"), [(1.0, TypeError), ("1", TypeError), (-1, ValueError)])
def test_capacity_limiter_refuses_nonsense(total, error):
    """Tokens are counted from zero."""
    with pytest.raises(error, match="total_tokens"):
        CapacityLimiter(total)


# --- Semaphore -------------------------------------------------------------------------------------------------------


def test_semaphore_counts_and_hands_over():
    """A release goes to who has waited longest, never to who comes by just then."""
    order = []

    async def take(semaphore, name):
        await semaphore.acquire()
        order.append(name)

    async def main():
        semaphore = Semaphore(1)
        async with semaphore:
            assert semaphore.value == 0
            with pytest.raises(WouldBlock):
                semaphore.acquire_nowait()
        assert semaphore.value == 1
        await semaphore.acquire()
        async with open_nursery() as nursery:
            nursery.start_soon(take, semaphore, "a")
            nursery.start_soon(take, semaphore, "b")
            await settle()
            assert ParkingLotStatistics(tasks_waiting=2) == semaphore.statistics()
            semaphore.release()
            with pytest.raises(WouldBlock):
                semaphore.acquire_nowait()
            semaphore.release()

    run(main)
    assert order == ["a", "b"]


def test_semaphore_stays_within_its_bounds():
    """A bounded semaphore refuses one release too many."""
    semaphore = Semaphore(0, max_value=1)
    assert (Semaphore(0).max_value, semaphore.max_value) == (None, 1)
    semaphore.release()
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()
    assert "Semaphore(1, max_value=1)" in repr(semaphore)
    assert "Semaphore(3) at" in repr(Semaphore(3))


@pytest.mark.parametrize(
    ("initial", "maximum", "error"),
    [(1.0, None, TypeError), (-1, None, ValueError), (1, 1.0, TypeError), (2, 1, ValueError)],
)
def test_semaphore_refuses_nonsense(initial, maximum, error):
    """Its value and its bound are integers from zero, in that order."""
    with pytest.raises(error, match="value"):
        Semaphore(initial, max_value=maximum)


# --- Locks -----------------------------------------------------------------------------------------------------------

locks = pytest.mark.parametrize("lock_type", [Lock, StrictFIFOLock])


@locks
def test_lock_belongs_to_one_task(lock_type):
    """Nobody takes it twice, and nobody releases what another holds."""

    async def main():
        lock = lock_type()
        assert f"<unlocked {lock_type.__name__} object" in repr(lock)

        async def other():
            with pytest.raises(WouldBlock):
                lock.acquire_nowait()
            with pytest.raises(RuntimeError, match="don't own"):
                lock.release()

        async with lock:
            assert lock.locked()
            assert "with 0 waiters" in repr(lock)
            with pytest.raises(RuntimeError, match="re-acquire"):
                await lock.acquire()
            assert LockStatistics(locked=True, owner=current_task(), tasks_waiting=0) == lock.statistics()
            async with open_nursery() as nursery:
                nursery.start_soon(other)
        assert LockStatistics(locked=False, owner=None, tasks_waiting=0) == lock.statistics()

    run(main)


@locks
def test_lock_is_handed_over_in_order(lock_type):
    """Five tasks that each take it three times take turns."""
    order = []

    async def work(lock, name):
        for _ in range(3):
            async with lock:
                order.append(name)
                await checkpoint()

    async def main():
        lock = lock_type()
        async with open_nursery() as nursery:
            for name in "abcde":
                nursery.start_soon(work, lock, name)

    run(main)
    assert list("abcde" * 3) == order


@locks
def test_lock_of_a_task_that_is_gone_is_broken(lock_type):
    """Who waits for a lock whose owner ended without releasing it gets an error, not a deadlock."""

    async def main():
        lock = lock_type()
        async with open_nursery() as nursery:
            nursery.start_soon(lock.acquire)
        with pytest.raises(BrokenResourceError, match="exited without releasing: <Task"):
            await lock.acquire()

    run(main)


def test_cancelled_wait_for_a_lock_takes_nothing():
    """The lock goes to the next in line, not to the one that was cancelled."""
    order = []

    async def work(lock, name, scope):
        with scope:
            async with lock:
                order.append(name)

    async def main():
        lock = Lock()
        scopes = [CancelScope() for _ in range(3)]
        async with open_nursery() as nursery, lock:
            for number, scope in enumerate(scopes):
                nursery.start_soon(work, lock, number, scope)
            await settle()
            scopes[1].cancel()
        assert not lock.locked()

    run(main)
    assert order == [0, 2]


def test_what_a_task_waits_for_can_be_seen():
    """The object a task is blocked on is known by name, for whoever asks where a workflow is."""

    async def main():
        event, limiter, semaphore, lock, lot = Event(), CapacityLimiter(0), Semaphore(0), Lock(), ParkingLot()
        condition = Condition()
        lock.acquire_nowait()
        seen = {}

        async def wait_for_condition():
            async with condition:
                await condition.wait()

        async with open_nursery() as nursery:
            waits = (event.wait, limiter.acquire, semaphore.acquire, lock.acquire, lot.park, wait_for_condition)
            for wait in waits:
                nursery.start_soon(wait)
            await settle()
            seen = [task.waiting_for for task in nursery.child_tasks]
            nursery.cancel_scope.cancel()
        assert [event, limiter, semaphore, lock, lot, condition] == seen

    run(main)


# --- Condition -------------------------------------------------------------------------------------------------------


def test_condition_wakes_as_many_as_asked_for_in_order():
    """``notify`` moves waiters over to the lock; each goes on when it has it."""
    woken = []

    async def wait(condition, number):
        async with condition:
            await condition.wait()
            assert condition.locked()
            woken.append(number)

    async def main():
        condition = Condition()
        async with open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(wait, condition, number)
            await settle()
            async with condition:
                condition.notify(2)
                lock = LockStatistics(locked=True, owner=current_task(), tasks_waiting=2)
                assert ConditionStatistics(tasks_waiting=2, lock_statistics=lock) == condition.statistics()
            await settle()
            assert woken == [0, 1]
            condition.acquire_nowait()
            condition.notify_all()
            condition.release()

    run(main)
    assert woken == [0, 1, 2, 3]


def test_condition_needs_its_lock():
    """Waiting and notifying are for the task that holds the lock."""

    async def main():
        condition = Condition(Lock())
        with pytest.raises(RuntimeError, match="must hold the lock to wait"):
            await condition.wait()
        with pytest.raises(RuntimeError, match="must hold the lock to notify"):
            condition.notify()
        with pytest.raises(RuntimeError, match="must hold the lock to notify"):
            condition.notify_all()

    run(main)


def test_condition_takes_a_lock_only():
    """A strict lock is another promise, and a semaphore has no owner."""
    with pytest.raises(TypeError, match="Lock"):
        Condition(StrictFIFOLock())  # type: ignore[arg-type]


def test_cancelled_condition_holds_its_lock():
    """However ``wait`` ends, the lock is held again, even if that takes a while."""
    order = []

    async def hold(condition):
        async with condition:
            await settle()
            order.append("released")

    async def main():
        condition = Condition()
        async with open_nursery() as nursery:
            with CancelScope() as scope:
                async with condition:
                    nursery.start_soon(hold, condition)
                    await checkpoint()
                    nursery.start_soon(settle_then, scope.cancel)
                    try:
                        await condition.wait()
                    finally:
                        assert condition.statistics().lock_statistics.owner is current_task()
                        order.append("held again")
            assert scope.cancelled_caught
        assert not condition.locked()

    async def settle_then(call):
        call()

    run(main)
    assert order == ["released", "held again"]


# --- All of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [Lock, StrictFIFOLock, Condition, lambda: Semaphore(1), lambda: CapacityLimiter(1)],
    ids=["Lock", "StrictFIFOLock", "Condition", "Semaphore", "CapacityLimiter"],
)
def test_acquire_is_cancelled_before_it_acquires(make):
    """In a cancelled scope ``acquire`` raises and has taken nothing."""

    async def main():
        thing = make()
        with CancelScope() as scope:
            scope.cancel()
            with pytest.raises(Cancelled):
                await thing.acquire()
        thing.acquire_nowait()
        thing.release()

    run(main)


def test_many_waiters_can_be_woken_from_the_front_and_cancelled_from_the_middle():
    """Twenty thousand waiters are no strain; anything quadratic would take minutes."""

    async def main(count):
        lot = ParkingLot()
        async with open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(lot.park)
            await settle()
            for _ in range(count // 2):
                lot.unpark()
            assert len(lot) == count // 2
            nursery.cancel_scope.cancel()
        assert len(lot) == 0

    run(main, 20_000)


def test_the_driver_reports_a_deadlock():
    """A test whose tasks wait for each other fails instead of hanging."""
    with pytest.raises(Deadlock):
        run(Event().wait)
