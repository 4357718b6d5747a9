"""The scheduler of a workflow: runs its tasks, by hand, until all of them wait.

It is driven from outside and does nothing by itself::

    scheduler = Scheduler(now)
    scheduler.start(workflow, *args)
    scheduler.run()                      # until everything waits
    scheduler.take_timer_changes()       # ... and what it has decided is collected
    reschedule(task, value)              # a fact arrives: somebody's wait is over
    scheduler.advance(later)             # or time passes
    scheduler.run()

The same calls in the same order give the same run: tasks run first in, first out, and time is what it was told.

Nothing an author's code does leaves ``run()`` as an exception: whatever a task raises, ``SystemExit`` included, is the
task's outcome and in the end that of ``main_outcome``.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wfactors.kernel.awaits import TaskStack, misuse
from wfactors.kernel.eviction import GeneratorKeeper, close_coroutine, make_immortal
from wfactors.kernel.lowlevel import (
    PAUSE_STEPS,
    Abort,
    RaiseCancel,
    Trap,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_effective_deadline,
    deliver_cancel,
    reschedule,
    wait_quiescent,
    wait_task_rescheduled,
)
from wfactors.kernel.task import (
    Task,
    current_scheduler,
    current_scheduler_or_none,
    current_task,
    current_time,
)
from wfactors.kernel.timers import TimerChange, Timers
from wfactors.kernel.tree import Outcome, TaskTree, forget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "Abort",
    "Outcome",
    "RaiseCancel",
    "Scheduler",
    "Task",
    "TaskStack",
    "TimerChange",
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

_PARK = Trap.PARK
_PASS_TURN = Trap.PASS_TURN
_PAUSE = Trap.PAUSE
_ENDED = object()

# How often a task that is evicted may run into a wait: its clean-up code is allowed a few, an endless loop is not.
_REFUSALS_MAX = 1_000

# How many tasks are dropped in one step of closing: some tenths of a millisecond, if their clean-up is short.
_CLOSED_AT_ONCE = 64


class Scheduler(TaskTree):
    """Runs the tasks of one workflow.

    Args:
        now: The time it starts at, in seconds.

    Attributes:
        now: The time, in seconds; only ``advance`` changes it.
        current: The task whose code is running, or None.
        ready: The tasks that can run, in the order in which they will.
        main: The main task, None before ``start``.
        main_outcome: How it ended.
        root_scope: The scope around everything: cancelling it is cancelling the workflow.
        failure: What was given to ``stop``.
        is_evicting: ``close`` was called.
        is_unwinding: Coroutines are being closed: nothing may wait.
        is_pausing: The first task that is ready is in the middle of what others take for one step.
        needs_attention: Something must be looked at before the next task runs (a deadline that is due, a stop).
        timers: The deadlines.
        quiescence_waiters: Tasks in ``wait_quiescent`` and their predicates.
        unclosable: Names of the tasks that ``close`` could not end: they catch everything, in a loop. What they hold
            stays in memory for good.
    """

    __slots__ = (
        "__weakref__",
        "_generators",
        "_refusals",
        "current",
        "failure",
        "is_pausing",
        "needs_attention",
        "now",
        "quiescence_waiters",
        "timers",
        "unclosable",
    )

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.current: Task | None = None
        self.failure: BaseException | None = None
        self.needs_attention = False
        self.is_pausing = False
        self.timers = Timers()
        self.quiescence_waiters: dict[Task, Callable[[], object]] = {}
        self.unclosable: list[str] = []
        self._refusals = 0
        self._generators = GeneratorKeeper()
        super().__init__()

    # --- Running -----------------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Set the time, unless it would go back. What that makes due happens in ``run``."""
        self.now = max(self.now, now)

    @property
    def next_deadline(self) -> float:
        """The earliest deadline of an active scope that is not cancelled, or ``inf``."""
        return self.timers.next_deadline()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has happened since ``run`` and ``take_timer_changes``: no task woken, no deadline moved."""
        return not self.ready and not self.timers.is_changed

    @property
    def has_live_code(self) -> bool:
        """Whether a task or an asynchronous generator has not ended."""
        return self.has_live_tasks or bool(self._generators)

    def take_timer_changes(self) -> list[TimerChange]:
        """Return which deadlines were armed and disarmed since the last call; to be called after ``run``.

        A changed deadline is a disarmed timer and a new one. One that came and went between two calls leaves nothing,
        and one that fired is not reported as disarmed.
        """
        return self.timers.take_changes()

    def run(self, steps_max: int = sys.maxsize) -> bool:
        """Expire the deadlines that are due and run every task that can, until all of them wait.

        Returns early, with ``failure`` set, if ``stop`` is called. Does nothing once stopped or closed.

        Args:
            steps_max: After so many steps of tasks it stops where it is. The next call goes on from there, as if it
                had never stopped, if nothing is changed in between.

        Returns:
            False if it has stopped so, and tasks are ready.
        """
        if self.current is not None:
            raise RuntimeError("run() was called from inside a task")
        if self.failure is not None or self.is_evicting:
            return True
        # As ``_hosting_generators``, without the cost of a context manager in each turn.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(*self._generators.hooks)
        try:
            if not self.is_pausing:
                self.timers.expire(self.now)
            while True:
                steps_max = self._run_ready(steps_max)
                if self.needs_attention:
                    self._attend()
                    continue
                if self.failure is not None:
                    return True
                if self.ready:
                    return False
                if self.quiescence_waiters:
                    self._ask_quiescence_waiters()
                if not self.ready and not self.needs_attention:
                    return True
        finally:
            self.current = None
            sys.set_asyncgen_hooks(*hooks)

    def _run_ready(self, steps_max: int) -> int:
        """Run the tasks that are ready, and those that become so; returns how many steps are left."""
        ready = self.ready
        while ready and steps_max > 0 and not self.needs_attention:
            steps_max -= 1
            self.current = task = ready.popleft()
            value, task._value = task._value, None
            error: BaseException | None = None
            try:
                message = task.context.run(task._send, value)
                if type(message) is not Trap:
                    message = self._refuse_foreign(task, message)
            except StopIteration as stop:
                message = _ENDED
                value = stop.value
            except BaseException as exc:
                message = _ENDED
                # Whoever reads the traceback is not interested in this function.
                error = exc.with_traceback(exc.__traceback__ and exc.__traceback__.tb_next)
            if self.failure is not None:
                # Whatever the rest of the step did after stop() was called is without effect, its end too.
                break
            # Not inside of the except clauses: what is raised from here on has nothing to do with those exceptions.
            if message is _PARK:
                task.is_parked = True
                if task.scope._is_cancelled:
                    deliver_cancel(task)
            elif message is _PASS_TURN:
                task.custom_sleep_data = None
                ready.append(task)
            elif message is _PAUSE:
                ready.appendleft(task)
                steps_max -= PAUSE_STEPS
            else:
                self._task_ended(task, value, error)
        return steps_max

    def _attend(self) -> None:
        self.needs_attention = False
        if self.failure is None:
            self.timers.expire(self.now)
        else:
            self.ready.clear()

    def _refuse_foreign(self, task: Task, message: object) -> object:
        # It may catch the error and await something foreign again.
        while type(message) is not Trap:
            message = task.context.run(task.coro.throw, misuse(task, message))
        return message

    def _ask_quiescence_waiters(self) -> None:
        waiters = self.quiescence_waiters
        for task, predicate in list(waiters.items()):
            failure: BaseException | None = None
            self.current = task
            try:
                if not task.context.run(predicate):
                    continue
            except BaseException as error:
                failure = error
            # A predicate should change nothing, but this one may have cancelled its own wait, or an earlier one did.
            if waiters.pop(task, None) is not None:
                reschedule(task, None, failure)
        self.current = None

    # --- Ending ------------------------------------------------------------------------------------------------------

    def stop(self, error: BaseException) -> None:
        """Run no further step of any task; ``run`` returns with ``failure`` set to ``error``.

        A step that is running goes on to its next wait, and no further, whatever it catches.
        """
        if self.failure is None:
            self.failure = error
            self.needs_attention = True

    def close(self) -> None:
        """Drop every task at once; see ``closing``. Idempotent."""
        for _ in self.closing():
            pass

    def closing(self) -> Iterator[None]:
        """Drop every task, some at each step: close the coroutines, children before their parents, and forget all.

        ``finally`` blocks run, but nothing in them can wait: that raises ``GeneratorExit``. What they raise is
        dropped. Between two steps none of the tasks can run.
        """
        if self.current is not None:
            raise RuntimeError("close() was called from inside a task")
        if self.is_evicting:
            return
        self.is_evicting = self.is_unwinding = True
        tasks = self.live_tasks()
        for end in range(len(tasks), 0, -_CLOSED_AT_ONCE):
            self._close_coroutines(reversed(tasks[max(0, end - _CLOSED_AT_ONCE) : end]))
            yield
        self._close_generators()
        self.ready.clear()
        self.quiescence_waiters.clear()
        self.timers.clear()
        # Only now: the clean-up of any of them may have looked at any other. Each is freed in the step it is forgotten.
        while tasks:
            for _ in range(min(_CLOSED_AT_ONCE, len(tasks))):
                forget(tasks.pop())
            yield

    def _close_coroutines(self, tasks: Iterable[Task]) -> None:
        with self._hosting_generators():
            for task in tasks:
                self.current = task
                self._refusals = 0
                if not close_coroutine(task.coro, task.context):
                    make_immortal(task.coro)
                    self.unclosable.append(task.name)

    def _close_generators(self) -> None:
        if self.main is not None:
            with self._hosting_generators():
                self.current = self.main
                self._generators.close_all(self.main.context)

    @contextmanager
    def _hosting_generators(self) -> Iterator[None]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(*self._generators.hooks)
        try:
            yield
        finally:
            self.current = None
            sys.set_asyncgen_hooks(*hooks)

    def dismantle(self) -> None:
        """After ``close``: cut the references between the parts, so that memory is free without a collection."""
        for task in (self.main, self._init):
            if task is not None:
                task.dismantle()
        for nursery in (self._main_nursery, self._handlers):
            nursery._dismantle()
        del self._main_nursery, self._handlers, self.root_scope, self._generators

    def refuse_wait(self) -> bool:
        """Answer whether a wait must raise because its task is being closed; an endless loop gets a False."""
        self._refusals += 1
        return self._refusals <= _REFUSALS_MAX
