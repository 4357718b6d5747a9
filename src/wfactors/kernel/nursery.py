"""Nurseries: tasks that live no longer than a block of code. Trio's semantics, in a deterministic order."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVarTuple

from wfactors.kernel.cancel_tree import refresh
from wfactors.kernel.lowlevel import never_abort, park, pass_turn, reschedule
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.task import SCHEDULER, current_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, KeysView
    from types import TracebackType

    from wfactors.kernel.task import Task

__all__ = ["TASK_STATUS_IGNORED", "Nursery", "TaskStatus", "open_nursery"]

Ts = TypeVarTuple("Ts")

_NOT_STARTED = object()


class TaskStatus(Protocol):
    """What ``Nursery.start`` gives to the new task, as its keyword argument ``task_status``."""

    def started(self, value: Any = None) -> None:
        """Report that the task is set up: ``start`` returns ``value`` and the task goes on in the nursery."""


def open_nursery(strict_exception_groups: bool | None = None) -> NurseryManager:  # noqa: FBT001 - as in Trio
    """Open a nursery.

    Use it as ``async with open_nursery() as nursery: nursery.start_soon(fn, *args)``. The block is left when all tasks
    of the nursery have ended. If one of them, or the block, raises, the others are cancelled and everything that was
    raised comes out in one ``ExceptionGroup``.

    Args:
        strict_exception_groups: For Trio's signature; ``False`` is refused, there are no loose groups here.
    """
    if strict_exception_groups is False:
        raise ValueError("a nursery always raises exception groups: strict_exception_groups=False is not supported")
    return NurseryManager()


class NurseryManager:
    """What ``open_nursery`` returns; good for one ``async with``."""

    __slots__ = ("_nursery",)

    async def __aenter__(self) -> Nursery:
        """Open the nursery in the current task."""
        scope = CancelScope()
        scope.__enter__()
        assert scope._task is not None
        self._nursery = nursery = Nursery(scope._task, scope)
        return nursery

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Wait for all tasks; see ``open_nursery`` for what is raised."""
        nursery = self._nursery
        if nursery._scheduler.is_unwinding or (SCHEDULER.get() is None and isinstance(exc, GeneratorExit)):
            nursery._drop(exc)
            return False
        remaining = nursery.cancel_scope._close(await nursery._join(exc))
        if remaining is None:
            return True
        # A raise sets __context__ to the exception being handled; keep the one that tells the story.
        context = remaining.__context__
        try:
            raise remaining
        finally:
            remaining.__context__ = context
            # Otherwise the traceback and this frame refer to each other.
            del remaining, exc, context

    def __enter__(self) -> NoReturn:
        raise RuntimeError("use 'async with open_nursery(...)', not 'with open_nursery(...)'")

    def __exit__(self, *_: object) -> NoReturn:
        raise AssertionError("never called: __enter__ raises")


class Nursery:
    """Starts tasks; see ``open_nursery``.

    Attributes:
        cancel_scope: The scope around the block and all tasks.
        parent_task: The task that opened the nursery.
    """

    __slots__ = (
        "__weakref__",
        "_children",
        "_closed",
        "_errors",
        "_is_block_running",
        "_is_parent_waiting",
        "_pending_starts",
        "_scheduler",
        "cancel_scope",
        "parent_task",
    )

    def __init__(self, parent_task: Task, cancel_scope: CancelScope) -> None:
        self.parent_task = parent_task
        self.cancel_scope = cancel_scope
        self._scheduler = parent_task.scheduler
        # A dict as an ordered set: a child leaves in O(1), and the order is the same in every replay.
        self._children: dict[Task, None] = {}
        self._errors: list[BaseException] | None = []
        self._is_block_running = True
        self._is_parent_waiting = False
        self._pending_starts = 0
        self._closed = False
        cancel_scope._nursery = self
        parent_task.child_nurseries.append(self)

    @property
    def child_tasks(self) -> KeysView[Task]:
        """The tasks that have not ended, in the order in which they came: a set, frozen at the time of the call."""
        return dict(self._children).keys()

    def start_soon(self, async_fn: Callable[[*Ts], Awaitable[Any]], *args: *Ts, name: object = None) -> None:
        """Start ``async_fn(*args)`` as a task of this nursery; it runs when the current task next waits.

        Args:
            async_fn: An async function (not a coroutine object).
            args: Its arguments; use ``functools.partial`` for keyword arguments.
            name: For people; a string, or something to take a name from.

        Raises:
            RuntimeError: The nursery is closed.
            TypeError: ``async_fn`` is no async function.
        """
        self._scheduler.spawn(async_fn, args, self, name)

    async def start(self, async_fn: Callable[..., Awaitable[Any]], *args: Any, name: object = None) -> Any:
        """Start a task and wait until it calls ``task_status.started(value)``.

        Until then it runs as if under this call: what it raises is raised here, and if this is cancelled so is the
        task. From then on it belongs to the nursery.

        Returns:
            The value given to ``started``.

        Raises:
            RuntimeError: The nursery is closed, or the task ended without calling ``started``.
        """
        if self._closed:
            raise RuntimeError("Nursery is closed to new arrivals")
        self._pending_starts += 1
        try:
            status = await self._start_in_nursery_of_its_own(async_fn, args, name)
            if status.value is _NOT_STARTED:
                raise RuntimeError("child exited without calling task_status.started()")
            return status.value
        finally:
            self._pending_starts -= 1
            self._check_closed()

    async def _start_in_nursery_of_its_own(
        self, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...], name: object
    ) -> _Status:
        status: _Status | None = None
        try:
            async with open_nursery() as nursery:
                status = _Status(nursery, self)
                target = functools.partial(async_fn, task_status=status)
                task = self._scheduler.spawn(target, args, nursery, name)
                task.eventual_parent_nursery = self
        except BaseExceptionGroup as group:
            # Nobody but the one task can have been in there, unless someone took the nursery out of its status.
            if len(group.exceptions) > 1:
                raise
            error: BaseException = next(iter(group.exceptions))
        else:
            assert status is not None, "the block above was left without an error"
            return status
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context
            del error, context

    # --- What the scheduler and the manager call ---------------------------------------------------------------------

    def _add_error(self, error: BaseException) -> None:
        if self._errors is not None:
            self._errors.append(error)
            self.cancel_scope.cancel()

    def _child_finished(self, error: BaseException | None) -> None:
        if error is not None:
            self._add_error(error)
        self._check_closed()

    def _check_closed(self) -> None:
        if self._is_block_running or self._children or self._pending_starts:
            return
        self._closed = True
        if self._is_parent_waiting:
            self._is_parent_waiting = False
            reschedule(self.parent_task)

    async def _join(self, error: BaseException | None) -> BaseException | None:
        """Wait for the children; return all that was raised as a group, or None."""
        task = self.parent_task
        if self._errors is None:
            # Abandoned, and now left by somebody else: there is nothing to wait for and nobody to tell.
            await pass_turn(task)
            return BaseExceptionGroup("Exceptions from a nursery", [error]) if error is not None else None
        if current_task() is not task:
            raise RuntimeError(f"{self!r} cannot be left by {current_task()!r}, which did not open it") from error
        if error is not None:
            self._add_error(error)
        self._is_block_running = False
        self._check_closed()
        if self._closed:
            await pass_turn(task)
        else:
            self._is_parent_waiting = True
            task.waiting_for = self
            # Being cancelled does not end this wait: the children are cancelled too, and they end it.
            await park(task, never_abort)
        popped = task.child_nurseries.pop()
        if popped is not self:
            # Not an assert statement: pytest would rewrite its message, which people search for.
            raise AssertionError("Nursery misnesting detected!")
        errors, self._errors = self._errors, None
        return BaseExceptionGroup("Exceptions from a nursery", errors) if errors else None

    def _abandon(self) -> None:
        """Let the children go, and what they raise with them: the parent task has ended."""
        self.cancel_scope.cancel()
        self._closed = True
        self._errors = None

    def _dismantle(self) -> None:
        """Forget what refers back to the nursery; nothing of the workflow runs any more."""
        del self._scheduler, self.parent_task, self.cancel_scope

    def _drop(self, exc: BaseException | None) -> None:
        """Let go of everything: the task is being evicted, or a generator with a nursery in it was dropped."""
        self._is_block_running = False
        self._abandon()
        if not self._scheduler.is_unwinding:
            self._scheduler.keep(self)
        with suppress(ValueError):
            self.parent_task.child_nurseries.remove(self)
        self.cancel_scope._close(exc)

    def __repr__(self) -> str:
        return f"<Nursery of {self.parent_task.name!r}, {len(self._children)} children>"


class _Status:
    """The task status of ``Nursery.start``: moves the task from the nursery of the call to the one it is meant for."""

    __slots__ = ("_from", "_to", "value")

    def __init__(self, from_nursery: Nursery, to_nursery: Nursery) -> None:
        self._from = from_nursery
        self._to = to_nursery
        self.value: Any = _NOT_STARTED

    def started(self, value: Any = None) -> None:
        if self.value is not _NOT_STARTED:
            raise RuntimeError("called 'started' twice on the same task status")
        self.value = value
        old, new = self._from, self._to
        if old.cancel_scope._is_cancelled:
            # It will end by itself, and a Cancelled on its way must not come to where no scope would catch it.
            return
        assert not new._closed, "a pending start keeps the nursery open"
        moved, old._children = old._children, {}
        for task in moved:
            task.parent_nursery = new
            task.eventual_parent_nursery = None
            new._children[task] = None
            _change_outermost(task, old.cancel_scope, new.cancel_scope)
        refresh((task, new.cancel_scope) for task in moved)
        old._check_closed()

    def __repr__(self) -> str:
        return f"<Task status object at {id(self):#x}>"


def _change_outermost(task: Task, old: CancelScope, new: CancelScope) -> None:
    if task.scope is old:
        task.scope = new
        return
    scope = task.scope
    while scope._parent is not old:
        assert scope._parent is not None
        scope = scope._parent
    scope._parent = new


class _StatusIgnored:
    """The default for a ``task_status`` parameter, so that the function can be called directly too."""

    __slots__ = ()

    def started(self, value: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        return "TASK_STATUS_IGNORED"


TASK_STATUS_IGNORED: TaskStatus = _StatusIgnored()
