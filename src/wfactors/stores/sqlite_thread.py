"""A thread that works for tasks of the event loop: one hop a batch, and no doubt about what a cancelled call did.

Each call puts a job into the thread's queue and waits. The thread takes *all* jobs that wait at one moment, hands them
to ``work`` together, and sends the answers back with one wake-up of the loop. A lonely job is taken at once; whatever
gathers while it is worked on is the next group. That is the whole of group commit: no timer, no size to tune.

**Cancellation is decided by one pop.** A job carries a list with one token. Whoever pops it first decides: the caller
(the job is withdrawn, nothing was done) or the thread (the caller waits for the result, however long it takes, and
learns it). Abandoning calls instead left up to one in eight cancelled calls committed without anybody knowing.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import trio

from wfactors.errors import StoreUnavailable

__all__ = ["Hold", "Job", "WorkThread"]

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
        work: Does jobs, all of them, giving each its result; must not raise.
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
        # Held while the thread changes which jobs it works on, so that only these can be interrupted.
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
        is_last = False
        while not is_last:
            jobs, is_last = self._take()
            if jobs:
                with self._current_lock:
                    self._current = jobs
                self._work(jobs)
                with self._current_lock:
                    self._current = []
                self._answer(jobs)
            if not is_last:
                self._idle()
        assert self._closing is not None
        try:
            self._finish()
        except BaseException as error:  # noqa: BLE001 - it is raised in ``close``
            self._closing.finish(error)
        self._answer([self._closing])

    def _take(self) -> tuple[list[Job[Any, Any]], bool]:
        """The jobs that wait now, after waiting for one; whether nothing will come behind them."""
        try:
            job = self._jobs.get(timeout=self._pause())
        except queue.Empty:
            return [], False
        jobs = []
        while job is not None:
            if job.claim():
                jobs.append(job)
                if not self._is_grouping:
                    return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _answer(self, jobs: list[Job[Any, Any]]) -> None:
        assert self._token is not None
        # Once the program's event loop has crashed, nobody waits any more.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._deliver, jobs)
