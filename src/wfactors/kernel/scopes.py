"""Cancel scopes, with Trio's semantics.

The tree of scopes is stored upwards only. A scope knows the scope around it (``_parent``) and the task that entered
it; a task knows the innermost scope it is in. Entering a scope is thus two assignments, and so is leaving it. What is
*below* a scope is found when it is needed, which is rare (a cancellation, a shield that changes): it is the inner
part of its task's chain of scopes, and the children of the nurseries whose scopes are in that part, and so on.

Each scope caches whether code in it is cancelled, ``_is_cancelled``, by itself or by a scope further out that no
shield hides. ``cancel_tree.refresh`` keeps the cache true: a change of a cause walks down from where it happened, as
far as anything changes.

A scope closed while others inside it are still open (which takes a generator that yields within a scope, or a manual
``__exit__``) *abandons* them: they stay cancelled for good, unlinked from the rest, and leave quietly.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Self

from wfactors.errors import Cancelled
from wfactors.kernel.cancel_tree import abandon, corrupted, refresh
from wfactors.kernel.scope_settings import ScopeSettings
from wfactors.kernel.task import SCHEDULER, Task, current_scheduler, current_task

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CancelScope"]


class CancelScope(ScopeSettings):
    """A part of the code that can be cancelled as a whole, at once or when its deadline passes.

    ::

        with CancelScope() as scope:
            ...                      # scope.cancel() makes every wait in here raise Cancelled, from then on
        if scope.cancelled_caught:
            ...

    A scope may be cancelled before it is entered; it can be used once.

    Args:
        deadline: When to cancel, in the workflow's time: seconds or an aware ``datetime``.
        relative_deadline: The same, counted from the moment the scope is entered: seconds or a ``timedelta``.
        shield: Hide cancellations of scopes further out from the code inside.

    Attributes:
        cancelled_caught: The scope was left by a ``Cancelled`` of its own, which it caught.
        cancel_reason: What was given to ``cancel``.

    Raises:
        ValueError: A deadline is NaN or a naive ``datetime``, a relative one is negative, or both are given.
    """

    __slots__ = ()

    # --- Entering and leaving --------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Make this the innermost scope of the current task.

        Raises:
            RuntimeError: It was entered before, or there is no current task.
        """
        scheduler = SCHEDULER.get()
        if scheduler is None or (task := scheduler.current) is None:
            task = current_task()
        if self._has_been_entered:
            raise RuntimeError("Each CancelScope may only be used for a single 'with' block")
        self._has_been_entered = True
        self._task = task
        self._parent = parent = task.scope
        if self._relative_deadline != inf:
            self._deadline = task.scheduler.now + self._relative_deadline
            self._relative_deadline = inf
        if self._deadline != inf and not self._cancel_called:
            if self._deadline <= task.scheduler.now:
                self._cancel_called = True
            else:
                self._update_timer()
        self._is_cancelled = self._cancel_called or (parent._is_cancelled and not self._shield)
        task.scope = self
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Leave the scope; its own ``Cancelled`` ends here, also out of exception groups."""
        task = self._task
        if (
            exc is None
            and task is not None
            and task.scope is self
            and task.scheduler.current is task
            and self._nursery is None
        ):
            self._leave(task)
            return False
        remaining = self._close(exc)
        if remaining is None:
            return True
        if remaining is exc:
            return False
        # A raise sets __context__ to the exception being handled; keep the one that tells the story.
        context = remaining.__context__
        try:
            raise remaining
        finally:
            remaining.__context__ = context
            # Otherwise the traceback and this frame refer to each other.
            del remaining, exc, context

    def _leave(self, task: Task) -> None:
        task.scope = self._parent  # type: ignore[assignment]
        self._detach()

    def _detach(self) -> None:
        if self._serial:
            self._task.scheduler.timers.disarm(self)  # type: ignore[union-attr]
        self._task = self._parent = self._nursery = None

    def _close(self, exc: BaseException | None) -> BaseException | None:
        """Leave the scope; return what is left of ``exc`` when the cancellations of this scope are taken out of it."""
        owner = self._task
        if owner is None:
            return corrupted(f"attempted to exit {self!r} which had already been exited", exc, "")
        if owner.scheduler.is_unwinding or (SCHEDULER.get() is None and isinstance(exc, GeneratorExit)):
            # The coroutine is being evicted or was garbage: it must not be held up, and nobody minds the order.
            if owner.scope is self:
                owner.scope = self._parent  # type: ignore[assignment]
            self._detach()
            return exc
        task = current_task()
        misnested = task.scope is not self
        if not misnested:
            task.scope = self._parent  # type: ignore[assignment]
        elif not self._is_abandoned:
            if not self._encloses(task.scope):
                return corrupted(f"attempted to exit {self!r} from unrelated {task!r}", exc)
            exc = corrupted(f"attempted to exit {self!r} in {task!r} that's still within its child {task.scope!r}", exc)
            abandon(task.scope, self)
            task.scope = self._parent  # type: ignore[assignment]
        if exc is not None and self._owns_cancellation():
            exc = self._filter(exc)
        if misnested or (self._nursery is not None and self._nursery._children):
            self._abandon_insides()
        self._detach()
        return exc

    def _owns_cancellation(self) -> bool:
        if self._is_abandoned:
            return True
        parent = self._parent
        return self._is_cancelled and (parent is None or self._shield or not parent._is_cancelled)

    def _filter(self, exc: BaseException) -> BaseException | None:
        if isinstance(exc, Cancelled):
            self.cancelled_caught = True
            return None
        if isinstance(exc, BaseExceptionGroup):
            caught, rest = exc.split(Cancelled)
            if caught is not None:
                self.cancelled_caught = True
            return rest
        return exc

    def _encloses(self, scope: CancelScope | None) -> bool:
        while scope is not None:
            if scope is self:
                return True
            scope = scope._parent
        return False

    def _abandon_insides(self) -> None:
        # This is the way out of a mistake, so it may look at every task of the workflow.
        assert self._task is not None
        self._is_abandoned = True
        self._parent = None
        self._cancel_called = True
        inside = [task for task in self._task.scheduler.live_tasks() if self._encloses(task.scope)]
        for task in inside:
            abandon(task.scope, None)
        self._is_cancelled = True
        refresh([(task, self) for task in inside])

    # --- Cancelling ------------------------------------------------------------------------------

    def cancel(self, reason: str | None = None) -> None:
        """Cancel everything in the scope: waits in it raise ``Cancelled``, now and later. Idempotent.

        Args:
            reason: Why, for whoever reads ``cancel_reason``.
        """
        if self._cancel_called:
            return
        self._cancel_called = True
        self.cancel_reason = reason
        if self._task is not None:
            if self._serial:
                self._task.scheduler.timers.disarm(self)
            self._recalculate()

    @property
    def cancel_called(self) -> bool:
        """Whether the scope was cancelled or its deadline has passed; not whether that had an effect."""
        if not self._cancel_called and self._deadline != inf:
            if self._task is not None:
                now = self._task.scheduler.now
            elif not self._has_been_entered:
                now = current_scheduler().now
            else:
                return False
            if now >= self._deadline:
                self.cancel()
        return self._cancel_called

    def _recalculate(self) -> None:
        parent = self._parent
        is_cancelled = self._cancel_called or (parent is not None and parent._is_cancelled and not self._shield)
        if is_cancelled != self._is_cancelled:
            self._is_cancelled = is_cancelled
            assert self._task is not None
            inside = [(self._task, self)]
            if self._nursery is not None:
                inside.extend((child, self) for child in self._nursery._children)
            refresh(inside)

    def _update_timer(self) -> None:
        if self._task is None or self._cancel_called:
            return
        scheduler = self._task.scheduler
        if self._deadline != inf:
            scheduler.timers.arm(self, self._deadline)
            if self._deadline <= scheduler.now:
                scheduler.needs_attention = True
        elif self._serial:
            scheduler.timers.disarm(self)

    def _effective_deadline(self) -> float:
        if self._is_cancelled:
            return -inf
        earliest = inf
        scope: CancelScope | None = self
        while scope is not None:
            earliest = min(earliest, scope._deadline)
            if scope._shield:
                break
            scope = scope._parent
        return earliest

    def __repr__(self) -> str:
        binding = "active" if self._task is not None else "exited" if self._has_been_entered else "unbound"
        state = ""
        scheduler = SCHEDULER.get()
        if self._cancel_called:
            state = ", cancelled"
        elif self._deadline != inf and scheduler is not None:
            left = self._deadline - scheduler.now
            state = f", deadline is {abs(left):.2f} seconds {'from now' if left >= 0 else 'ago'}"
        return f"<wfactors.CancelScope at {id(self):#x}, {binding}{state}>"


def bound_scope(task: Task) -> CancelScope:
    """Return a new scope as the innermost of a task that never runs, and so cannot enter one."""
    scope = CancelScope()
    scope._has_been_entered = True
    scope._task = task
    scope._parent = task.scope
    task.scope = scope
    return scope
