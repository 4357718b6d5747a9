"""One attempt of one activity call: the author's function in a cancel scope, and whatever it may do to us.

The author's code is trusted to be wrong in any way: it may raise SystemExit, leak somebody else's Cancelled, swallow
its own, leave a nursery open, return what cannot be converted, or never return. All of that ends as a failure of this
call, and of nothing else. Only one thing passes through: the cancellation of the engine itself.

Start-to-close and heartbeat are durations, so they are measured on Trio's clock: a jump of the wall clock neither kills
nor prolongs an attempt. Schedule-to-close is a point in the Clock's time, read when the attempt starts and again, by
the verdict, when it has ended. All three together are the deadline of one cancel scope, so that the author's own
``trio.current_effective_deadline()`` tells the truth.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs
import trio

from wfactors.activity import ActivityInfo, running_activity
from wfactors.actors.verdict import (
    HEARTBEAT,
    SCHEDULE_TO_CLOSE,
    START_TO_CLOSE,
    Ending,
    Failed,
    Returned,
    Stop,
    Stopped,
    timeout,
)

if TYPE_CHECKING:
    from wfactors.actors.calls import ActivityCall
    from wfactors.actors.clock import Clock
    from wfactors.model.records import TaskRow

__all__ = ["Attempt", "Hold", "Watcher"]

_log = logging.getLogger("wfactors.activity")


class Hold(Protocol):
    """Keeps a MockClock from jumping while threads work; see ``wfactors.testing``."""

    def acquire(self) -> None:
        """One more thread works."""
        ...

    def release(self) -> None:
        """One less."""
        ...


class Watcher(Protocol):
    """What an attempt tells of itself while it runs."""

    def beat(self, attempt: Attempt) -> None:
        """It has sent a heartbeat."""
        ...

    def thread_ended(self, attempt: Attempt) -> None:
        """The thread of an attempt that had been given up has ended."""
        ...


class Attempt:
    """One attempt, from the moment it has its place until its ending is known.

    Attributes:
        task: The row it was handed out with.
        call: The definition of its activity, made ready.
        stop: Why it was asked to stop; None while it was not.
        started_at: In the Clock's time; 0 before ``run``.
        details: What its last heartbeat said, converted; before one, what the attempt before it said.
        is_thread_alive: Its function still runs in a thread.
    """

    __slots__ = (
        "_clock",
        "_heartbeat_at",
        "_hold",
        "_schedule_at",
        "_scope",
        "_start_at",
        "_trio_started_at",
        "_watcher",
        "call",
        "details",
        "is_given_up",
        "is_thread_alive",
        "next_beat_at",
        "started_at",
        "stop",
        "task",
    )

    def __init__(self, task: TaskRow, call: ActivityCall, clock: Clock, watcher: Watcher, hold: Hold | None) -> None:
        self.task = task
        self.call = call
        self.stop: Stop | None = None
        self.started_at = 0.0
        self.details = task.details
        self.is_thread_alive = False
        self.is_given_up = False
        self.next_beat_at = -math.inf
        self._clock = clock
        self._watcher = watcher
        self._hold = hold
        self._scope: trio.CancelScope | None = None
        # In Trio's time.
        self._trio_started_at = 0.0
        self._start_at = self._heartbeat_at = self._schedule_at = math.inf

    def ask_to_stop(self, why: Stop) -> None:
        """Cancel the attempt; ``LOST`` overrides other reasons, else the first one stays."""
        if self.stop is None or why is Stop.LOST:
            self.stop = why
        if self._scope is not None:
            self._scope.cancel()

    # A real Ctrl-C must not look like an exception of the activity that happens to run: Trio delivers it to the main
    # task instead.
    @trio.lowlevel.enable_ki_protection
    async def run(self) -> Ending:
        """Run the author's function to its end, and tell how it ended.

        Cancelled together with the engine, it passes ``trio.Cancelled`` on and nothing else.
        """
        if self.stop is not None:
            return Stopped()
        self.started_at = now = self._clock.now()
        if (late := self._set_deadlines(now)) is not None:
            return late
        running_activity.set(self)
        call = self.call
        try:
            args, kwargs = call.decode(self.task.input)
        except Exception as error:
            return Failed(attrs.evolve(call.failure(error), is_permanent=True))
        return await self._call(call, args, kwargs)

    async def _call(self, call: ActivityCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ending:
        self._scope = scope = trio.CancelScope(deadline=self._deadline())
        where: trio.Cancelled | None = None
        value: object = None
        try:
            with scope:
                try:
                    if call.is_async:
                        value = await call.function(*args, **kwargs)
                    else:
                        value = await self._in_thread(partial(call.function, *args, **kwargs))
                except trio.Cancelled as cancelled:
                    where = cancelled
                    raise
        except BaseException as error:
            return self._raised(error)
        finally:
            self._scope = None
            _abandon_open_nurseries()
        if scope.cancelled_caught:
            return self._stopped(where)
        try:
            return Returned(call.encode(value))
        except Exception as error:
            return Failed(attrs.evolve(call.failure(error), is_permanent=True))

    # --- Endings ---

    def _raised(self, error: BaseException) -> Ending:
        """The author's function raised ``error``, and our own scope took none of it for its own."""
        if trio.current_effective_deadline() == -math.inf and (own := _cancelled_part(error)) is not None:
            # The engine is being cancelled. What else is in the group is the author's, and must not end the engine in
            # Cancelled's place.
            if own is not error:
                _log.warning("%s raised while the engine was cancelled", self.task.activity, exc_info=error)
            raise own
        failure = self.call.failure(error)
        if self.call.is_never_retried(error, self.task.options.retry.never) and not failure.is_permanent:
            failure = attrs.evolve(failure, is_permanent=True)
        if self.stop is not None:
            _log.warning("%s raised after it was asked to stop: %s", self.task.activity, failure.summary())
        return Failed(failure)

    def _stopped(self, where: trio.Cancelled | None) -> Ending:
        """Our own scope ended it: because somebody asked, or because a deadline passed."""
        if self.stop is not None:
            return Stopped()
        deadlines = (
            (self._schedule_at, SCHEDULE_TO_CLOSE),
            (self._start_at, START_TO_CLOSE),
            (self._heartbeat_at, HEARTBEAT),
        )
        _, deadline = min(deadlines, key=lambda entry: entry[0])
        traceback = "" if where is None else self.call.failure(where).traceback
        return Failed(timeout(self.task, deadline, where=traceback), deadline)

    # --- Deadlines ---

    def _set_deadlines(self, now: float) -> Ending | None:
        """Set the deadlines in Trio's time; returns an ending if there is no time left to start."""
        options, call_deadline = self.task.options, self.task.schedule_deadline
        if options.start_to_close is None and options.heartbeat is None and call_deadline is None:
            return None
        self._trio_started_at = current = trio.current_time()
        if options.start_to_close is not None:
            self._start_at = current + options.start_to_close
        if options.heartbeat is not None:
            self._heartbeat_at = current + options.heartbeat
        if call_deadline is not None:
            if call_deadline <= now:
                failure = timeout(self.task, SCHEDULE_TO_CLOSE)
                return Failed(attrs.evolve(failure, cause=self.task.failure), SCHEDULE_TO_CLOSE)
            self._schedule_at = current + (call_deadline - now)
        return None

    def _deadline(self) -> float:
        return min(self._start_at, self._heartbeat_at, self._schedule_at)

    # --- Threads ---

    async def _in_thread(self, job: Callable[[], object]) -> object:
        """Run ``job`` in a thread; cancelled, leave the thread to itself until its next heartbeat."""
        limiter = cast("trio.CapacityLimiter", _ThreadPlace(self))
        return await trio.to_thread.run_sync(
            job, abandon_on_cancel=True, limiter=limiter, thread_name=self.task.activity
        )

    def thread_started(self) -> None:
        """A thread is about to start."""
        self.is_thread_alive = True
        if self._hold is not None:
            self._hold.acquire()

    def thread_ended(self) -> None:
        """The thread has ended; in Trio's thread, before its value arrives."""
        self.is_thread_alive = False
        if self._hold is not None:
            self._hold.release()
        if self.is_given_up:
            self._watcher.thread_ended(self)

    # --- What wfactors.activity offers to the author ---

    def info(self) -> ActivityInfo:
        """The attempt as it is now."""
        task, key = self.task, self.task.key
        return ActivityInfo(
            activity=task.activity,
            workflow=task.workflow,
            workflow_id=task.id,
            instance=key.instance,
            run=key.run,
            call=key.call,
            queue=task.queue,
            attempt=task.attempt,
            idempotency_key=f"{key.instance}/{key.run}/{key.call}",
            scheduled_at=datetime.fromtimestamp(task.scheduled_at, UTC),
            started_at=datetime.fromtimestamp(self.started_at, UTC),
            start_to_close_at=self._shown(self._start_at),
            schedule_to_close_at=self._shown(self._schedule_at),
            heartbeat_at=self._shown(self._heartbeat_at),
        )

    def _shown(self, at: float) -> datetime | None:
        if at == math.inf:
            return None
        return datetime.fromtimestamp(self.started_at + (at - self._trio_started_at), UTC)

    def beat(self, details: object) -> None:
        """Take a heartbeat; one that comes after the attempt was given up is for nobody."""
        if details is not None:
            self.details = self.call.encode_details(details)
        if self._scope is None:
            return
        if self._heartbeat_at != math.inf:
            assert self.task.options.heartbeat is not None
            self._heartbeat_at = trio.current_time() + self.task.options.heartbeat
            self._scope.deadline = self._deadline()
        self._watcher.beat(self)

    def details_before(self, type: Any) -> Any:
        """What the last heartbeat of the attempts before this one said, as ``type``."""
        details = self.task.details
        return None if details is None else self.call.decode_details(details, type)

    def context(self) -> Mapping[str, str]:
        """What the client's context propagators sent along."""
        return self.task.context


class _ThreadPlace:
    """Stands where Trio wants a CapacityLimiter, to learn when a thread really ends.

    It limits nothing: the attempt got its place in the thread lane before it began, so that time spent waiting for a
    thread is never taken for time spent in the activity.
    """

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    async def acquire_on_behalf_of(self, borrower: object) -> None:  # noqa: ARG002 - Trio's signature
        self._attempt.thread_started()

    def release_on_behalf_of(self, borrower: object) -> None:  # noqa: ARG002 - Trio's signature
        self._attempt.thread_ended()


def _cancelled_part(error: BaseException) -> BaseException | None:
    """``error`` if it is Trio's Cancelled, or that part of a group."""
    if isinstance(error, trio.Cancelled):
        return error
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[0]
    return None


def _abandon_open_nurseries() -> None:
    """Cancel nurseries that the author's code entered and never left.

    Trio fails a task that ends with one open, which would end every other attempt beside it.
    """
    left_open = trio.lowlevel.current_task()._child_nurseries
    if left_open:
        for nursery in left_open:
            nursery.cancel_scope.cancel()
        left_open.clear()
