"""Child workflows as their parent's code sees them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from wfactors.kernel.lowlevel import Abort, RaiseCancel, checkpoint, current_task, park, reschedule
from wfactors.kernel.replay import Halt
from wfactors.model.events import ChildCancelAsked, ChildCompleted, ChildFailed

if TYPE_CHECKING:
    from wfactors.kernel.calls import Calls
    from wfactors.kernel.task import Task

__all__ = ["ChildCall", "ChildOutcome"]

ChildOutcome: TypeAlias = ChildCompleted | ChildFailed


class ChildCall:
    """A child workflow, from the decision to start it.

    Attributes:
        number: The number of the call.
        name: The name of its workflow.
        outcome: The fact that told how it ended, once it has.
        is_accepted: The store has accepted its id, so it has started or will.
        raise_cancel: Set once the scope around ``join`` was cancelled: raises ``Cancelled``.
    """

    __slots__ = (
        "_calls",
        "_is_cancel_asked",
        "_starter",
        "_waiting",
        "is_accepted",
        "name",
        "number",
        "outcome",
        "raise_cancel",
    )

    def __init__(self, calls: Calls, number: int, name: str) -> None:
        self._calls = calls
        self.number = number
        self.name = name
        self.outcome: ChildOutcome | None = None
        self.raise_cancel: RaiseCancel | None = None
        self.is_accepted = False
        self._is_cancel_asked = False
        self._starter: Task | None = None
        # A dict as an ordered set: tasks are woken in the order in which they came.
        self._waiting: dict[Task, None] = {}

    def __str__(self) -> str:
        asked = ", asked to stop" if self._is_cancel_asked else ""
        return f"child workflow {self.name} (call {self.number}{asked})"

    # --- What the author's code does ---------------------------------------------------------------------------------

    async def join(self) -> ChildOutcome:
        """Wait for the child; if the scope is cancelled, cancel the child and go on waiting: it ends first."""
        task = current_task()
        self._waiting[task] = None
        task.waiting_for = self
        outcome: ChildOutcome = await park(task, self._abort_join)
        return outcome

    async def wait_outcome(self) -> ChildOutcome:
        """Wait until the child has ended. If the scope is cancelled the child is left alone."""
        if self.outcome is not None:
            await checkpoint()
            return self.outcome
        task = current_task()
        self._waiting[task] = None
        task.waiting_for = self
        outcome: ChildOutcome = await park(task, partial(self._abort_wait, task))
        return outcome

    async def wait_accepted(self) -> None:
        """Wait until the store has accepted the child's id, or the child has failed to start.

        If the scope is cancelled before that, the child is cancelled and left to itself.
        """
        assert not self.is_accepted, "this is called in the step that schedules the child"
        assert self.outcome is None, "as above"
        task = current_task()
        self._starter = task
        task.waiting_for = f"start of {self}"
        await park(task, self._abort_start)

    def cancel(self) -> None:
        """Ask for the child to be cancelled, if it has not ended and was not asked."""
        if not self.ask_cancel():
            raise Halt

    def ask_cancel(self) -> bool:
        """As ``cancel``, for callers that are not the author's code; False if the run is stopped."""
        if self._is_cancel_asked or self.outcome is not None:
            return True
        self._is_cancel_asked = True
        return self._calls.recorder.issue(ChildCancelAsked(self.number))

    # --- What the engine does ----------------------------------------------------------------------------------------

    def accepted(self) -> None:
        self.is_accepted = True
        self._wake_starter()

    def _wake_starter(self) -> None:
        if self._starter is not None:
            starter, self._starter = self._starter, None
            reschedule(starter)

    def ended(self, outcome: ChildOutcome) -> None:
        self.outcome = outcome
        self._wake_starter()
        waiting, self._waiting = self._waiting, {}
        for task in waiting:
            reschedule(task, outcome)

    # --- Abort functions ---------------------------------------------------------------------------------------------

    def _abort_join(self, raise_cancel: RaiseCancel) -> Abort:
        if not self.ask_cancel():
            return Abort.SUCCEEDED
        self.raise_cancel = raise_cancel
        return Abort.FAILED

    def _abort_wait(self, task: Task, _: RaiseCancel) -> Abort:
        del self._waiting[task]
        return Abort.SUCCEEDED

    def _abort_start(self, _: RaiseCancel) -> Abort:
        self._starter = None
        self.ask_cancel()
        self._calls.abandon(self.number)
        return Abort.SUCCEEDED
