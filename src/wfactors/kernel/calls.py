"""The durable calls of a run: activities, children, requests to other instances, side effects.

Every call takes the next number, also one that fails before it is recorded (because an argument does not convert): so
in a replay it cannot be taken for the call that follows it. A call that is waited for is in ``pending`` until the fact
of its outcome arrives, which wakes its task with the fact itself; what that means for the author is the business of
the layer above.

What a cancelled scope does to a call in it, in Trio's terms: the abort function asks for the call to be cancelled (a
decision) and answers FAILED, so the wait goes on until the outcome is known. Outcome "cancelled" raises ``Cancelled``;
any other one wins over the cancellation, as it would had it come first. A call that is *abandoned* is asked too, but
its wait ends at once, and the outcome is ignored whenever it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from wfactors.kernel.children import ChildCall
from wfactors.kernel.lowlevel import Abort, RaiseCancel, reschedule
from wfactors.model.events import (
    ActivityCancelAsked,
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    CancelSent,
    ChildCompleted,
    ChildFailed,
    ChildScheduled,
    ChildStarted,
    RequestCompleted,
    RequestFailed,
    SideEffectRecorded,
    SignalSent,
)
from wfactors.model.options import ActivityOptions
from wfactors.model.status import OnCancel, ParentClose

if TYPE_CHECKING:
    from wfactors.kernel.replay import Recorder
    from wfactors.kernel.spans import Spans
    from wfactors.kernel.task import Task
    from wfactors.model.failures import Failure
    from wfactors.model.payloads import Payload

__all__ = ["ActivityCall", "Calls", "ChildCall", "RequestCall"]

Encode: TypeAlias = Callable[..., "Payload"]

_NO_CONTEXT: Mapping[str, str] = {}


class ActivityCall:
    """An activity that a task waits for.

    Attributes:
        raise_cancel: Set once the scope around the call was cancelled: raises ``Cancelled``.
    """

    __slots__ = ("_calls", "_is_abandoning", "_task", "name", "number", "raise_cancel")

    def __init__(self, calls: Calls, number: int, name: str, task: Task, *, is_abandoning: bool) -> None:
        self._calls = calls
        self.number = number
        self.name = name
        self._task = task
        self._is_abandoning = is_abandoning
        self.raise_cancel: RaiseCancel | None = None

    def __str__(self) -> str:
        asked = ", asked to stop" if self.raise_cancel is not None else ""
        return f"activity {self.name} (call {self.number}{asked})"

    def ended(self, fact: ActivityCompleted | ActivityFailed | ActivityCancelled) -> None:
        reschedule(self._task, fact)

    def abort(self, raise_cancel: RaiseCancel) -> Abort:
        """The abort function of the wait for the outcome."""
        calls = self._calls
        is_asked = calls.recorder.issue(ActivityCancelAsked(self.number))
        if self._is_abandoning or not is_asked:
            calls.abandon(self.number)
            return Abort.SUCCEEDED
        self.raise_cancel = raise_cancel
        return Abort.FAILED


class RequestCall:
    """A signal or cancel to another instance whose acceptance a task waits for."""

    __slots__ = ("_calls", "_task", "number", "what")

    def __init__(self, calls: Calls, number: int, what: str, task: Task) -> None:
        self._calls = calls
        self.number = number
        self.what = what
        self._task = task

    def __str__(self) -> str:
        return f"{self.what} (call {self.number})"

    def ended(self, fact: RequestCompleted | RequestFailed) -> None:
        reschedule(self._task, fact)

    def abort(self, _: RaiseCancel) -> Abort:
        """The abort function of the wait for the answer: what was sent is sent, nobody listens to the answer."""
        self._calls.abandon(self.number)
        return Abort.SUCCEEDED


PendingCall: TypeAlias = ActivityCall | ChildCall | RequestCall


class Calls:
    """The calls of a run.

    Attributes:
        recorder: Where the decisions go.
        pending: The calls without an outcome, by number.
        context: What is passed on to activities and children.
        spans: The spans of the author's; None while there was none.
    """

    __slots__ = ("_abandoned", "_contexts", "_first", "_next", "_options", "context", "pending", "recorder", "spans")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.pending: dict[int, PendingCall] = {}
        self.context: Mapping[str, str] = _NO_CONTEXT
        self.spans: Spans | None = None
        self._next = 0
        # The first call of the current turn, and the contexts of those made before the context was last changed in it.
        self._first = 0
        self._abandoned: set[int] = set()
        self._options: dict[int, ActivityOptions] = {}
        self._contexts: dict[int, Mapping[str, str]] = {}

    # --- What the author's code does ---------------------------------------------------------------------------------

    def activity(
        self,
        task: Task,
        name: str,
        queue: str,
        options: ActivityOptions,
        encode: Encode,
        *what: Any,
    ) -> ActivityCall:
        """Schedule an activity with the input ``encode(*what)``.

        The caller then parks ``task`` with the call's ``abort`` and gets the fact.
        """
        number = self._next
        self._next = number + 1
        if self.spans is not None:
            self.spans.note_call(number)
        recorder = self.recorder
        recorded = recorder.next
        if type(recorded) is ActivityScheduled and recorded.call == number and recorded.activity == name:
            recorder.take()
        else:
            recorder.issue_or_halt(ActivityScheduled(number, name, queue, encode(*what)))
            if not recorder.is_replaying:
                self._options[number] = options
        is_abandoning = options.on_cancel is OnCancel.ABANDON
        call = ActivityCall(self, number, name, task, is_abandoning=is_abandoning)
        self.pending[number] = call
        task.waiting_for = call
        return call

    def child(
        self,
        name: str,
        queue: str,
        encode: Encode,
        *what: Any,
        id: str | None,
        parent_close: ParentClose,
        attributes: Payload,
    ) -> ChildCall:
        """Schedule a child workflow with the input ``encode(*what)``."""
        number = self._take_number()
        recorder = self.recorder
        recorded = recorder.next
        if (
            type(recorded) is ChildScheduled
            and recorded.call == number
            and recorded.workflow == name
            and recorded.id == id
        ):
            recorder.take()
        else:
            payload = encode(*what)
            recorder.issue_or_halt(ChildScheduled(number, name, queue, payload, id, parent_close, attributes))
        call = ChildCall(self, number, name)
        self.pending[number] = call
        return call

    def signal(self, task: Task, id: str, name: str, encode: Callable[[], Payload]) -> RequestCall:
        """Send a signal to another instance. The caller then parks ``task`` with the call's ``abort``."""
        number = self._take_number()
        recorded = self.recorder.next
        if type(recorded) is SignalSent and recorded.call == number and recorded.id == id and recorded.name == name:
            self.recorder.take()
        else:
            self.recorder.issue_or_halt(SignalSent(number, id, name, encode()))
        return self._request(number, f"signal {name!r} to workflow {id!r}", task)

    def cancel(self, task: Task, id: str, reason: str) -> RequestCall:
        """Ask for another instance to be cancelled. The caller then parks ``task`` with the call's ``abort``."""
        number = self._take_number()
        self.recorder.issue_or_halt(CancelSent(number, id, reason))
        return self._request(number, f"cancel of workflow {id!r}", task)

    def side_effect(self, name: str, call: Callable[[], tuple[Payload, Failure | None]]) -> SideEffectRecorded:
        """Run ``call`` once and record what it returns (a value, or how it failed); a replay takes that."""
        number = self._take_number()
        recorder = self.recorder
        if recorder.is_replaying:
            recorded = recorder.expected()
            if type(recorded) is SideEffectRecorded and recorded.call == number and recorded.name == name:
                recorder.take()
                return recorded
            # Not to be run a second time, whatever it would return: this is a difference.
            recorder.issue_or_halt(SideEffectRecorded(number, name))
        recorder.check_running()
        value, failure = call()
        effect = SideEffectRecorded(number, name, value, failure)
        recorder.issue_or_halt(effect)
        return effect

    def abandon(self, number: int) -> None:
        """Listen no longer: the outcome will be ignored."""
        del self.pending[number]
        self._abandoned.add(number)

    def _take_number(self) -> int:
        number = self._next
        self._next = number + 1
        if self.spans is not None:
            self.spans.note_call(number)
        return number

    def _request(self, number: int, what: str, task: Task) -> RequestCall:
        call = RequestCall(self, number, what, task)
        self.pending[number] = call
        task.waiting_for = call
        return call

    # --- What the engine does ----------------------------------------------------------------------------------------

    def activity_ended(self, fact: ActivityCompleted | ActivityFailed | ActivityCancelled) -> None:
        call = self.pending.pop(fact.call, None)
        if type(call) is ActivityCall:
            call.ended(fact)
        else:
            self._refuse(fact, call)

    def child_started(self, fact: ChildStarted) -> None:
        call = self.pending.get(fact.call)
        if type(call) is ChildCall:
            call.accepted()
        elif call is not None or fact.call >= self._next:
            # Else the outcome was quicker, which is as well.
            self._refuse(fact, call)

    def child_ended(self, fact: ChildCompleted | ChildFailed) -> None:
        call = self.pending.pop(fact.call, None)
        if type(call) is ChildCall:
            call.ended(fact)
        else:
            self._refuse(fact, call)

    def request_ended(self, fact: RequestCompleted | RequestFailed) -> None:
        call = self.pending.pop(fact.call, None)
        if type(call) is RequestCall:
            call.ended(fact)
        else:
            self._refuse(fact, call)

    def take_options(self, number: int) -> ActivityOptions:
        """The options of an activity scheduled in a live turn; once."""
        return self._options.pop(number)

    def context_of(self, number: int) -> Mapping[str, str]:
        """The context to pass on to an activity or child scheduled in this turn."""
        return self._contexts.get(number, self.context)

    def change_context(self, context: Mapping[str, str]) -> None:
        """Pass on ``context`` from now on; the calls made before keep what they have."""
        for number in range(self._first, self._next):
            self._contexts.setdefault(number, self.context)
        self.context = context

    def begin(self) -> None:
        """Begin a turn."""
        self._first = self._next
        if self._contexts:
            self._contexts.clear()
        if self.spans is not None:
            self.spans.forget_turn()

    def _refuse(self, fact: Any, call: PendingCall | None) -> None:
        if call is None and fact.call in self._abandoned:
            return
        kind = type(fact).__name__
        if call is not None:
            reason = f"call {fact.call} is of another kind: {call}"
        elif fact.call < self._next:
            reason = f"call {fact.call} does not wait for it (it has its outcome, or never had one)"
        else:
            reason = f"no call {fact.call} was made"
        self.recorder.refuse_fact(f"{kind} of call {fact.call}", reason)
