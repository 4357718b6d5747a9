"""The unit of the scheduler: one coroutine, its context and where it stands in the tree of nurseries and scopes.

This module is at the bottom of the kernel: it knows no other part of it. The running scheduler is found through a
context variable that every task inherits, so a kernel needs no thread-local state and any number of them can live, and
even nest, in one process.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from wfactors.errors import WorkflowMisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from wfactors.kernel.nursery import Nursery
    from wfactors.kernel.parking_lot import ParkingLot
    from wfactors.kernel.scheduler import Scheduler
    from wfactors.kernel.scopes import CancelScope

__all__ = [
    "SCHEDULER",
    "Task",
    "current_scheduler",
    "current_scheduler_or_none",
    "current_task",
    "current_time",
]

SCHEDULER: ContextVar[Scheduler | None] = ContextVar("wfactors.scheduler", default=None)
"""The scheduler in whose task the code runs; None outside of a workflow."""

current_scheduler_or_none = SCHEDULER.get
"""Return the scheduler of the workflow that runs this code, or None. One C call: it guards every durable call."""

_OUTSIDE = (
    "this works inside a workflow only: call it from a function decorated with @workflow that an engine runs, or from "
    "a function that this one calls; anywhere else trio has what goes by the same name"
)


class Task:
    """A coroutine driven by a scheduler; created by nurseries, compared by identity.

    Attributes:
        coro: The coroutine.
        context: The context variables it runs in, its own.
        scheduler: Who drives it.
        parent_nursery: The nursery it belongs to; it moves once when ``task_status.started()`` is called.
        eventual_parent_nursery: Where it will move when it calls ``task_status.started()``, else None.
        child_nurseries: The nurseries open in it, outermost first.
        scope: The innermost cancel scope it is in.
        exited: It has ended.
        is_parked: It waits for ``reschedule``.
        lots_to_break: What to break (``break_lot(task)``) when it ends; see ``parking_lot``.
        abort_fn: How to interrupt that wait; None when not waiting or when the interruption was already tried.
        custom_sleep_data: For the primitive it waits in; cleared when it is rescheduled.
        waiting_for: What it waits for, in words or as an object with a ``__str__``; cleared when it is rescheduled.
    """

    __slots__ = (
        "__weakref__",
        "_done",
        "_error",
        "_label",
        "_send",
        "_value",
        "abort_fn",
        "child_nurseries",
        "context",
        "coro",
        "custom_sleep_data",
        "eventual_parent_nursery",
        "exited",
        "is_parked",
        "lots_to_break",
        "parent_nursery",
        "scheduler",
        "scope",
        "waiting_for",
    )

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        label: object,
        context: Context,
        scheduler: Scheduler,
        parent_nursery: Nursery | None,
        scope: CancelScope | None,
    ) -> None:
        self.coro = coro
        self.context = context
        self.scheduler = scheduler
        self.parent_nursery = parent_nursery
        self.eventual_parent_nursery: Nursery | None = None
        self.child_nurseries: list[Nursery] = []
        # None only in the root of the tree, which never runs, and there only for a moment.
        self.scope: CancelScope = scope  # type: ignore[assignment]
        self.exited = False
        self.is_parked = False
        self.lots_to_break: list[ParkingLot] = []
        self.abort_fn: Callable[[Callable[[], Any]], Any] | None = None
        self.custom_sleep_data: Any = None
        self.waiting_for: object = None
        # What the scheduler needs to resume it: the bound method, made once, and what the wait returns or raises.
        self._send = coro.send
        self._value: Any = None
        self._error: BaseException | None = None
        # A task without a nursery that could be told (main, handlers) reports its outcome here.
        self._done: Callable[[Any, BaseException | None], None] | None = None
        # The name's source: a name is rarely read, so the string is made when it is.
        self._label = label

    def dismantle(self) -> None:
        """Forget everything that may refer back to the task, which has ended."""
        del self.context, self.coro, self._send, self.scheduler, self.scope, self.child_nurseries
        self.parent_nursery = self.eventual_parent_nursery = self._value = self._error = self._done = None

    @property
    def name(self) -> str:
        """The name given at the start of the task, else the qualified name of its function."""
        label = self._label
        while isinstance(label, functools.partial):
            label = label.func
        if not isinstance(label, str):
            try:
                label = f"{label.__module__}.{label.__qualname__}"  # type: ignore[attr-defined]
            except AttributeError:
                label = repr(label)
        return label

    @name.setter
    def name(self, name: str) -> None:
        self._label = name

    def __repr__(self) -> str:
        return f"<Task {self.name!r} at {id(self):#x}>"


def current_scheduler() -> Scheduler:
    """Return the scheduler of the workflow that runs this code.

    Raises:
        WorkflowMisuseError: Outside of a workflow.
    """
    scheduler = SCHEDULER.get()
    if scheduler is None:
        raise WorkflowMisuseError(_OUTSIDE)
    return scheduler


def current_task() -> Task:
    """Return the task that runs this code.

    Raises:
        WorkflowMisuseError: Outside of a workflow's task.
    """
    scheduler = SCHEDULER.get()
    if scheduler is None:
        raise WorkflowMisuseError(_OUTSIDE)
    task = scheduler.current
    if task is None:
        raise WorkflowMisuseError(
            "this works inside a workflow's task only, not in a query, a validator or a predicate: those may only look"
        )
    return task


def current_time() -> float:
    """Return the workflow's time, in seconds: the time of the fact being processed.

    Raises:
        WorkflowMisuseError: Outside of a workflow.
    """
    return current_scheduler().now
