"""The tasks of a workflow: how one is born, where it stands, what its end means to the others."""

from __future__ import annotations

from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, cast

from wfactors.errors import Cancelled
from wfactors.kernel.awaits import TaskStack, task_stack
from wfactors.kernel.cancel_tree import MISNESTING_ADVICE, abandon
from wfactors.kernel.nursery import Nursery
from wfactors.kernel.scopes import bound_scope
from wfactors.kernel.spawning import make_coroutine
from wfactors.kernel.task import SCHEDULER, Task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wfactors.kernel.scheduler import Scheduler
    from wfactors.kernel.scopes import CancelScope

__all__ = ["Outcome", "TaskTree", "forget"]


class Outcome:
    """How the main task ended.

    Attributes:
        finished: It has ended, and so have all handlers.
        value: What it returned.
        error: What it raised, or None. If the workflow was cancelled and nothing went wrong beside that, it is a plain
            ``Cancelled``; if something did, the cancellations are not in the group.
    """

    __slots__ = ("error", "finished", "value")

    def __init__(self) -> None:
        self.finished = False
        self.value: Any = None
        self.error: BaseException | None = None


class TaskTree:
    """The half of a ``Scheduler`` that knows its tasks; see there for the attributes."""

    __slots__ = (
        "_handlers",
        "_init",
        "_main_nursery",
        "is_evicting",
        "is_unwinding",
        "main",
        "main_outcome",
        "ready",
        "root_scope",
    )

    def __init__(self) -> None:
        self.ready: deque[Task] = deque()
        self.is_evicting = False
        self.is_unwinding = False
        self.main: Task | None = None
        self.main_outcome = Outcome()
        # A task that never runs is the root of the tree: main's nursery and, inside of it, that of the handlers.
        # Both count as closed, so that only the scheduler can add to them.
        self._init = root = _root_task(cast("Scheduler", self))
        self.root_scope = bound_scope(root)
        self._main_nursery = Nursery(root, self.root_scope)
        self._handlers = Nursery(root, bound_scope(root))
        self._main_nursery._closed = self._handlers._closed = True

    # --- Starting ----------------------------------------------------------------------------------------------------

    def start(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        *args: Any,
        name: object = None,
        context: Context | None = None,
    ) -> None:
        """Create the main task; ``run`` runs it.

        Args:
            async_fn: The async function.
            args: Its arguments.
            name: The task's name, if not that of the function.
            context: The context variables it runs with; a copy of the current ones if left out.

        Raises:
            TypeError: ``async_fn`` is no async function.
        """
        if self.main is not None or self.is_evicting:
            raise RuntimeError("a scheduler can be started once")
        self.main = self._spawn(async_fn, args, self._main_nursery, name, context)
        self.main._done = self._main_finished

    def spawn(
        self, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...], nursery: Nursery, name: object
    ) -> Task:
        """Create a task in an open nursery; ``Nursery.start_soon`` is the way to call this."""
        if nursery._closed:
            raise RuntimeError("Nursery is closed to new arrivals")
        if self.is_unwinding:
            raise RuntimeError("the workflow is being evicted: no task can be started")
        return self._spawn(async_fn, args, nursery, name)

    def spawn_handler(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        *args: Any,
        done: Callable[[Any, BaseException | None], None],
        name: object = None,
        context: Context | None = None,
    ) -> Task:
        """Run ``async_fn(*args)`` beside the main task, for an update, say.

        Handlers are cancelled when the main task ends, and waited for. What they raise is told to ``done`` alone.

        Args:
            async_fn: The async function.
            args: Its arguments.
            done: Called with ``(value, error)`` when it has ended; not if it is evicted.
            name: The task's name, if not that of the function.
            context: The context variables it runs with; a copy of the current ones if left out.

        Raises:
            RuntimeError: The main task and all handlers have ended already.
            TypeError: ``async_fn`` is no async function.
        """
        if self.main_outcome.finished or self.is_unwinding:
            raise RuntimeError("the workflow has ended: no handler can be started")
        task = self._spawn(async_fn, args, self._handlers, name, context)
        task._done = done
        return task

    def _spawn(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        nursery: Nursery,
        name: object,
        context: Context | None = None,
    ) -> Task:
        scheduler = cast("Scheduler", self)
        if context is None:
            context = copy_context()
        if context.get(SCHEDULER) is not scheduler:
            context.run(SCHEDULER.set, scheduler)
        coro = make_coroutine(async_fn, args, context)
        task = Task(coro, async_fn if name is None else name, context, scheduler, nursery, nursery.cancel_scope)
        nursery._children[task] = None
        self.ready.append(task)
        return task

    # --- Ending ------------------------------------------------------------------------------------------------------

    def _task_ended(self, task: Task, value: Any, error: BaseException | None) -> None:
        task.exited = True
        if task.child_nurseries or (task.scope._is_abandoned and task.scope._parent is None):
            error = self._close_corrupted(task, error)
        for lot in task.lots_to_break:
            lot.break_lot(task)
        nursery = task.parent_nursery
        assert nursery is not None
        del nursery._children[task]
        if task._done is None:
            nursery._child_finished(error)
            return
        task._done(None if error is not None else value, _plain_cancellation(error, nursery.cancel_scope))
        if self.main is not None and self.main.exited and not self._handlers._children:
            self.main_outcome.finished = True

    def _close_corrupted(self, task: Task, error: BaseException | None) -> BaseException:
        assert task.parent_nursery is not None
        abandon(task.scope, task.parent_nursery.cancel_scope)
        for nursery in task.child_nurseries:
            nursery._abandon()
            self.keep(nursery)
        what = "Nursery" if task.child_nurseries else "Cancel scope"
        corruption = RuntimeError(
            f"{what} stack corrupted: {what} surrounding {task!r} was closed before the task exited\n"
            f"{MISNESTING_ADVICE}"
        )
        corruption.__context__ = error
        return corruption

    def _main_finished(self, value: Any, error: BaseException | None) -> None:
        self.main_outcome.value = value
        self.main_outcome.error = error
        self._handlers.cancel_scope.cancel()

    def keep(self, nursery: Nursery) -> None:
        """Hold an abandoned nursery: its tasks are still there, so there must be a way to them."""
        self._init.child_nurseries.append(nursery)

    # --- Looking inside ----------------------------------------------------------------------------------------------

    @property
    def has_live_tasks(self) -> bool:
        """Whether any task has not ended."""
        return any(nursery._children for nursery in self._init.child_nurseries)

    def live_tasks(self) -> list[Task]:
        """Return every task that has not ended, parents before their children."""
        found: list[Task] = [self._init]
        for task in found:
            for nursery in task.child_nurseries:
                found.extend(nursery._children)
        return found[1:]

    def stacks(self, tasks_max: int | None = None) -> list[TaskStack]:
        """Return of live tasks, all or the first, name, what each waits for, and its await chain, innermost last."""
        return [task_stack(task) for task in self.live_tasks()[:tasks_max]]


def forget(task: Task) -> None:
    """Take a task whose coroutine was closed out of the tree."""
    assert task.parent_nursery is not None
    task.parent_nursery._children.pop(task, None)
    task.exited = True
    task.is_parked = False
    for nursery in task.child_nurseries:
        nursery._dismantle()
    task.child_nurseries.clear()
    task.abort_fn = task.custom_sleep_data = task.waiting_for = task._done = None


# --- Helpers ---------------------------------------------------------------------------------------------------------


async def _nothing() -> None:
    """The coroutine of the root task, which never runs."""


def _root_task(scheduler: Scheduler) -> Task:
    coro = _nothing()
    coro.close()
    return Task(coro, "root", Context(), scheduler, None, None)


def _plain_cancellation(error: BaseException | None, scope: CancelScope) -> BaseException | None:
    """Take the cancellations of ``scope`` out of a group, and all else being gone, make it a plain ``Cancelled``."""
    if not isinstance(error, BaseExceptionGroup) or not scope._is_cancelled:
        return error
    caught, rest = error.split(Cancelled)
    if rest is not None or caught is None:
        return rest
    cancelled: BaseException = caught
    while isinstance(cancelled, BaseExceptionGroup):
        cancelled = cancelled.exceptions[0]
    return cancelled
