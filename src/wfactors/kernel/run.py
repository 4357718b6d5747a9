"""One run of one workflow: facts in, decisions out.

``feed`` is one turn. It sets the time to that of the fact, applies the fact (which makes a task ready, or delivers a
signal, or cancels), runs the author's code until all of it waits, and returns what it decided::

    run = Run(ports)
    run.feed(RunStarted(...))             # [ActivityScheduled(call=0, ...)]
    run.feed(ActivityCompleted(call=0))   # [TimerSet(timer=0, ...)]
    run.feed(TimerFired(timer=0))         # [RunCompleted(...)]

The decisions of a turn stand in the order in which they were made; then come timers, of which only those count that
are armed when all is quiet; then, if the main function has ended, the final decision. A replay is the same with the
recorded decisions beside each fact; see ``replay``.

A run whose ``feed`` has raised is broken: close it, and build it again from its history.
"""

from __future__ import annotations

from contextvars import Context
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

from wfactors.errors import StoreCorrupt, WorkflowClosed
from wfactors.kernel.calls import Calls
from wfactors.kernel.ending import ContinueAsNew, Final, cancelled_failure, final_of_error
from wfactors.kernel.ports import Ports
from wfactors.kernel.replay import Halt, Recorder
from wfactors.kernel.reports import stuck_reason, waiting
from wfactors.kernel.requests import QueryHandler, Requests, UpdateHandler
from wfactors.kernel.scheduler import Scheduler
from wfactors.kernel.signals import Signals
from wfactors.model import events
from wfactors.model.events import (
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunStarted,
    RunTerminated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wfactors.kernel.scheduler import TaskStack
    from wfactors.model.events import CancelRequested, Decision, Fact, TimerFired
    from wfactors.model.options import ActivityOptions
    from wfactors.model.payloads import Payload

__all__ = ["ContinueAsNew", "Final", "Ports", "QueryHandler", "Run", "UpdateHandler"]

# Of a turn at once: some tenths of a millisecond, if the author's code does little between two waits.
_STEPS_AT_ONCE = 64


class Run:
    """One run of one workflow; see the top of the module.

    Args:
        ports: The author's function and the payloads.
        is_strict: Replay compares payloads too.
        plain: What of them it compares, if their bytes differ; see ``DataPort.plain``.

    Attributes:
        ports: As given.
        scheduler: Runs the author's code.
        recorder: The decisions of the turn.
        calls: The durable calls.
        signals: The signals.
        requests: Who answers which query and update.
        started: The first fact, once it is fed.
        final: How the run ended, once it has.
        variables: The context variables of the main task and of handlers. To be filled before the first fact.
        events: How many events the history had before the current fact.
        cancel_reason: What the first request to cancel said; None if there was none.
    """

    __slots__ = (
        "_timers",
        "calls",
        "cancel_reason",
        "events",
        "final",
        "ports",
        "recorder",
        "requests",
        "scheduler",
        "signals",
        "started",
        "variables",
    )

    def __init__(self, ports: Ports, *, is_strict: bool = False, plain: Callable[[Payload], bytes] = bytes) -> None:
        self.ports = ports
        self.scheduler = Scheduler()
        self.recorder = Recorder(self.scheduler, is_strict=is_strict, plain=plain)
        self.calls = Calls(self.recorder)
        self.signals = Signals()
        self.requests = Requests(self)
        self.started: RunStarted | None = None
        self.final: Final | None = None
        self.variables = Context()
        self.events = 0
        self.cancel_reason: str | None = None
        self._timers = 0

    # --- Turns -------------------------------------------------------------------------------------------------------

    def feed(self, fact: Fact, recorded: Sequence[Decision] | None = None) -> list[Decision]:
        """Take in one fact and return the decisions it led to.

        Args:
            fact: What happened.
            recorded: When replaying: the decisions that stand after the fact in the history.

        Raises:
            NonDeterminismError: The code does not make the recorded decisions.
            StoreCorrupt: No run can have come to this fact.
            CodecError: A payload cannot be read with the codecs that this process has.
        """
        decisions = self.begin(fact, recorded)
        while decisions is None:
            decisions = self.go_on()
        return decisions

    def begin(self, fact: Fact, recorded: Sequence[Decision] | None = None) -> list[Decision] | None:
        """Do the first part of ``feed``; None if there is more, for ``go_on``, before anything else is asked."""
        if self.final is not None:
            # A signal that was acknowledged before the run ended may stand after its end.
            self.events += 1 + len(recorded or ())
            return []
        self.recorder.begin(self.events, recorded)
        self.calls.begin()
        self.scheduler.advance(fact.time)
        _APPLY[type(fact)](self, fact)
        return self.go_on()

    def go_on(self) -> list[Decision] | None:
        """Do the next part of a turn, that is some steps of tasks, and return its decisions if that was the last."""
        scheduler, recorder = self.scheduler, self.recorder
        if self.final is None:
            if not scheduler.run(_STEPS_AT_ONCE):
                return None
            if scheduler.timers.is_changed:
                self._record_timers()
            if scheduler.main_outcome.finished:
                self._finish()
        if recorder.is_replaying:
            recorder.end()
        if scheduler.failure is not None:
            raise scheduler.failure
        decisions = recorder.decisions
        self.events += 1 + len(decisions)
        return decisions

    def _record_timers(self) -> None:
        issue, spans = self.recorder.issue, self.calls.spans
        moved = () if spans is None else self.scheduler.timers.moved
        for timer, at in self.scheduler.take_timer_changes():
            if at is None:
                issue(events.TimerCancelled(timer))
            else:
                self._timers = timer + 1
                issue(events.TimerSet(timer, at))
        if spans is not None:
            spans.note_timers(moved)

    @property
    def is_replaying(self) -> bool:
        """Whether the current turn is a replay."""
        return self.recorder.is_replaying

    @property
    def next_deadline(self) -> float:
        """When the next timer is due, in seconds since the epoch; ``inf`` if there is none."""
        return self.scheduler.next_deadline if self.final is None else inf

    def halt(self, error: BaseException) -> NoReturn:
        """End the step of the author's code that calls this, and the turn: ``feed`` raises ``error``.

        For what is not the author's fault and must not become part of the history.
        """
        self.scheduler.stop(error)
        raise Halt

    def is_pending(self, call: int) -> bool:
        """Whether somebody listens to the outcome of a call; the outcomes of others need not be recorded."""
        return self.final is None and call in self.calls.pending

    def take_activity_options(self, call: int) -> ActivityOptions:
        """The options of an activity that the last live turn has scheduled; can be taken once."""
        return self.calls.take_options(call)

    def context_of(self, call: int) -> Mapping[str, str]:
        """The context to pass on to an activity or child that the last turn has scheduled, as it was at the call."""
        return self.calls.context_of(call)

    @property
    def id(self) -> str:
        """The id of the instance; empty before the run has started."""
        return "" if self.started is None else self.started.id

    # --- Facts -------------------------------------------------------------------------------------------------------

    def _apply_started(self, fact: RunStarted) -> None:
        if self.started is not None:
            raise StoreCorrupt(f"event {self.events} is a second RunStarted: a run starts once")
        self.started = fact
        self.calls.context = fact.context
        for signal in fact.signals:
            self.signals.arrived(signal)
        self.scheduler.start(self.ports.main, fact, name=fact.workflow, context=self.variables.copy())
        if fact.cancel_reason is not None:
            self._cancel(fact.cancel_reason)

    def _apply_timer(self, fact: TimerFired) -> None:
        if fact.timer >= self._timers:
            self.recorder.refuse_fact(f"timer {fact.timer} fired", f"no timer {fact.timer} was set")

    def _apply_cancel(self, fact: CancelRequested) -> None:
        if self.started is None:
            # Cancelled before it started: it never does.
            self._end(RunCancelled(cancelled_failure(fact.reason)))
        else:
            self._cancel(fact.reason)

    def _cancel(self, reason: str) -> None:
        self.cancel_reason = reason if self.cancel_reason is None else self.cancel_reason
        self.scheduler.root_scope.cancel(reason)

    def _apply_terminated(self, fact: RunTerminated) -> None:
        self.final = fact

    # --- The end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self.scheduler.failure is not None:
            return
        outcome = self.scheduler.main_outcome
        if outcome.error is not None:
            assert self.started is not None
            final = final_of_error(
                outcome.error,
                workflow=self.started.workflow,
                cancel_reason=self.cancel_reason,
                unread=self.signals.unread,
                failure=self.ports.failure,
            )
            self._end(final)
        elif type(self.recorder.next) is RunCompleted:
            self.final = self.recorder.next
            self.recorder.take()
        else:
            self._return(outcome.value)

    def _return(self, value: Any) -> None:
        final: RunCompleted | RunFailed
        try:
            final = RunCompleted(self.ports.encode_result(value))
        except Exception as unfit:
            final = RunFailed(self.ports.failure(unfit))
        self._end(final)

    def _end(self, final: RunCompleted | RunFailed | RunCancelled | RunContinued) -> None:
        if self.recorder.issue(final):
            # What was issued or, in a replay, what is recorded.
            last = self.recorder.decisions[-1]
            assert isinstance(last, type(final))
            self.final = last

    # --- Requests ----------------------------------------------------------------------------------------------------

    def query(self, name: str, input: Payload) -> Payload:
        """Answer a query from the state as it is, also when the run has ended.

        Raises:
            QueryError: There is no such query, its arguments do not convert, its function raised, or it did more than
                look.
        """
        return self.requests.query(name, input)

    def check_update(self, name: str, input: Payload) -> None:
        """See whether an update can be taken in.

        Raises:
            UpdateRejected: There is no such update, its arguments do not convert, or its validator refused.
            WorkflowClosed: The run has ended.
        """
        if self.final is not None:
            raise WorkflowClosed(self.id)
        self.requests.check_update(name, input)

    @property
    def is_spoiled(self) -> bool:
        """Whether a query or validator has changed the state of the workflow, as it must not: build the run again."""
        return self.requests.is_spoiled

    # --- Looking inside ----------------------------------------------------------------------------------------------

    def waiting(self) -> list[str]:
        """What the run waits for, in words."""
        return [] if self.final is not None else waiting(self)

    def stuck_reason(self) -> str | None:
        """Why nothing from outside can ever wake the run again; None if something can, or if it has ended."""
        return None if self.final is not None or self.started is None else stuck_reason(self)

    def stacks(self, tasks_max: int | None = None) -> list[TaskStack]:
        """Where the tasks of the author's code are, all of them or the first ones."""
        return self.scheduler.stacks(tasks_max)

    def close(self) -> None:
        """Drop the author's code at once; what it does on the way out is not recorded. Idempotent."""
        for _ in self.closing():
            pass

    def closing(self) -> Iterator[None]:
        """Drop the author's code, some tasks at each step; from the first one on the run cannot be used."""
        if self.calls is None:
            return
        yield from self.scheduler.closing()
        self.scheduler.dismantle()
        if self.calls.spans is not None:
            self.calls.spans.forget_turn()
        for name in _CYCLES:
            setattr(self, name, None)


# What refers back to the run; cut, it is freed at once and not by the next garbage collection, which has to look at
# every workflow in memory to find it.
_CYCLES = ("calls", "ports", "recorder", "requests", "variables")

_APPLY: dict[type, Callable[[Run, Any], None]] = {
    RunStarted: Run._apply_started,
    events.ActivityCompleted: lambda run, fact: run.calls.activity_ended(fact),
    events.ActivityFailed: lambda run, fact: run.calls.activity_ended(fact),
    events.ActivityCancelled: lambda run, fact: run.calls.activity_ended(fact),
    events.TimerFired: Run._apply_timer,
    events.SignalReceived: lambda run, fact: run.signals.arrived(fact),
    events.UpdateReceived: lambda run, fact: run.requests.update(fact),
    events.CancelRequested: Run._apply_cancel,
    events.ChildStarted: lambda run, fact: run.calls.child_started(fact),
    events.ChildCompleted: lambda run, fact: run.calls.child_ended(fact),
    events.ChildFailed: lambda run, fact: run.calls.child_ended(fact),
    events.RequestCompleted: lambda run, fact: run.calls.request_ended(fact),
    events.RequestFailed: lambda run, fact: run.calls.request_ended(fact),
    RunTerminated: Run._apply_terminated,
}
