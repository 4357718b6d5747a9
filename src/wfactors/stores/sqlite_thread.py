"""A thread that works for tasks of the event loop: one hop a batch, and no doubt about what a cancelled call did.

Each call puts a job into the thread's queue and waits. The thread takes *all* jobs that wait at one moment, hands them
to ``work`` together, and sends the answers back with one wake-up of the loop. A lonely job is taken at once; whatever
gathers while it is worked on is the next group. That is the whole of group commit: no timer, no size to tune.

**Cancellation is decided by one pop.** A job carries a list with one token. Whoever pops it first decides: the caller
(the job is withdrawn, nothing was done) or the thread (the caller waits for the result, however long it takes, and
learns it). Abandoning calls instead left up to one in eight cancelled calls committed without anybody knowing.

**The thread outlives its own failures.** Where its code raises, it does nothing more but to tell everybody so, those
who wait and those who come, until it is closed: nobody waits for a thread that is gone.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import trio

from wfactors.errors import StoreUnavailable

__all__ = ["Hold", "Job", "WorkThread"]

_log = logging.getLogger("wfactors.stores.sqlite")

A = TypeVar("A")
R = TypeVar("R")

Operation = Callable[[Any, Sequence[A]], Sequence[R | BaseException]]


class Hold(Protocol):
    """Told when work leaves the event loop and when it is back; lets a test hold a clock that would jump meanwhile."""

    def acquire(self) -> None:
        """A job was handed to a thread."""
        ...

    def release(self) -> None:
        """Its result is back, or it was withdrawn."""
        ...


class Job(Generic[A, R]):
    """One call that waits: ``operation`` is to be applied to ``argument`` and those of others like it."""

    __slots__ = ("_token", "argument", "error", "is_unwanted", "operation", "queued_at", "task", "value")

    def __init__(self, operation: Operation[A, R], argument: A, task: trio.lowlevel.Task) -> None:
        self.operation = operation
        self.argument = argument
        self.task = task
        self.queued_at = time.perf_counter()
        self.is_unwanted = False
        self.value: R | None = None
        self.error: BaseException | None = None
        self._token = [True]

    def claim(self) -> bool:
        """Decide what becomes of the job; True for the first who asks."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    def finish(self, outcome: R | BaseException) -> None:
        """Keep the result, or the error that the caller is to see."""
        if isinstance(outcome, BaseException):
            self.error = outcome
        else:
            self.value = outcome


class WorkThread:
    """The thread and its queue.

    Args:
        name: Of the thread, for people.
        start: Runs first, in the thread; what it raises comes out of ``open``.
        work: Does jobs, all of them, giving each its result or its error.
        finish: Runs last, in the thread.
        hold: Told of each job.
        idle: Runs in the thread when nothing was asked for ``pause()`` seconds (None: for ever), and after jobs.
        interrupt: Stops the job that the thread is working on, whose caller was cancelled; None if nothing can.
        is_grouping: Whether ``work`` gets all jobs that wait, or one by one.
    """

    def __init__(
        self,
        name: str,
        *,
        start: Callable[[], None],
        work: Callable[[list[Job[Any, Any]]], None],
        finish: Callable[[], None],
        hold: Hold | None = None,
        idle: Callable[[], None] = lambda: None,
        pause: Callable[[], float | None] = lambda: None,
        interrupt: Callable[[], None] | None = None,
        is_grouping: bool = True,
    ) -> None:
        self._name = name
        self._start = start
        self._work = work
        self._finish = finish
        self._hold = hold
        self._idle = idle
        self._pause = pause
        self._interrupt = interrupt
        self._is_grouping = is_grouping
        self._jobs: queue.SimpleQueue[Job[Any, Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._is_open = False
        self._closing: Job[None, None] | None = None
        # What the thread has taken and not answered. The lock is held while it lets go of jobs, so that none is
        # interrupted instead of them.
        self._current_lock = threading.Lock()
        self._current: list[Job[Any, Any]] = []

    # --- The loop's side ---
    #
    # Protected from KeyboardInterrupt, which otherwise could come after a job was handed over and before it is waited
    # for: the answer would then wake a task that waits for something else. It comes while waiting.

    @trio.lowlevel.enable_ki_protection
    async def open(self) -> None:
        """Start the thread; raises what ``start`` raised, after the thread has ended."""
        assert self._thread is None
        self._token = trio.lowlevel.current_trio_token()
        # Not kept by an interpreter that exits without ``close``: what was not acknowledged may be lost.
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        opening = Job[None, None](lambda _, arguments: [None] * len(arguments), None, trio.lowlevel.current_task())
        opening.claim()
        self._jobs.put(opening)
        self._thread.start()
        await self._result_of(opening)
        if opening.error is not None:
            self._thread.join()
            self._thread = None
            raise opening.error
        self._is_open = True

    @trio.lowlevel.enable_ki_protection
    async def run(self, operation: Operation[A, R], argument: A) -> R:
        """Have ``operation`` applied to ``argument`` in the thread; its result, or what it raised.

        Cancelled, either the job was withdrawn before anything was done, or this returns (or raises) as if it had not
        been cancelled.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._is_open:
            raise StoreUnavailable(f"{self._name}: the store is not open")
        job = Job(operation, argument, trio.lowlevel.current_task())
        self._jobs.put(job)
        await self._result_of(job)
        if job.error is not None:
            if self._interrupt is not None:
                await trio.lowlevel.checkpoint_if_cancelled()
            raise job.error
        return job.value  # type: ignore[return-value]

    @trio.lowlevel.enable_ki_protection
    async def close(self) -> None:
        """Let the thread finish what it was asked, then end it."""
        if self._thread is None:
            return
        self._is_open = False
        closing = Job[None, None](lambda _, arguments: [None] * len(arguments), None, trio.lowlevel.current_task())
        closing.claim()
        self._closing = closing
        self._jobs.put(None)
        await self._result_of(closing)
        # It has told its last result and has nothing left to do but to return.
        self._thread.join()
        self._thread = None
        if closing.error is not None:
            raise closing.error

    async def _result_of(self, job: Job[A, R]) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            if job.claim():
                return trio.lowlevel.Abort.SUCCEEDED
            job.is_unwanted = True
            self._interrupt_if_current(job)
            return trio.lowlevel.Abort.FAILED

        if self._hold is not None:
            self._hold.acquire()
        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        finally:
            if self._hold is not None:
                self._hold.release()

    def _interrupt_if_current(self, job: Job[Any, Any]) -> None:
        if self._interrupt is None:
            return
        with self._current_lock:
            if job in self._current:
                self._interrupt()

    def _deliver(self, jobs: list[Job[Any, Any]]) -> None:
        for job in jobs:
            trio.lowlevel.reschedule(job.task)

    # --- The thread's side ---

    def _run(self) -> None:
        opening = self._jobs.get()
        assert opening is not None
        try:
            self._start()
        except BaseException as error:  # noqa: BLE001 - it is raised in ``open``
            opening.finish(error)
            self._answer([opening])
            return
        self._answer([opening])
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - a thread that just ended would let everybody wait for ever
            _log.exception("%s: its thread has failed", self._name)
            self._refuse(error)
        assert self._closing is not None
        try:
            self._finish()
        except BaseException as error:  # noqa: BLE001 - it is raised in ``close``
            self._closing.finish(error)
        self._answer([self._closing])

    def _serve(self) -> None:
        """Do what is asked until nothing will come any more."""
        is_last = False
        while not is_last:
            is_last = self._take(self._pause())
            if self._current:
                self._work(self._current)
                self._answer_current()
            if not is_last:
                self._idle()

    def _refuse(self, failure: BaseException) -> None:
        """Tell all whose jobs were taken, and all who come, what became of the thread, until it is closed."""
        why = f"{self._name}: its thread has failed: {type(failure).__name__}: {failure}"
        is_last = False
        while True:
            for job in self._current:
                job.finish(StoreUnavailable(f"{why}; close the store and open it again"))
                assert job.error is not None
                job.error.__cause__ = failure
            self._answer_current()
            if is_last:
                return
            is_last = self._take(None)

    def _take(self, pause_seconds: float | None) -> bool:
        """Make the jobs that wait now the current ones, after waiting for one; whether these are the last."""
        try:
            job = self._jobs.get(timeout=pause_seconds)
        except queue.Empty:
            return False
        while job is not None:
            if job.claim():
                self._current.append(job)
                if not self._is_grouping:
                    return False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return False
        return True

    def _answer_current(self) -> None:
        self._answer(self._current)
        with self._current_lock:
            self._current = []

    def _answer(self, jobs: list[Job[Any, Any]]) -> None:
        assert self._token is not None
        # Once the program's event loop has crashed, nobody waits any more.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._deliver, jobs)
