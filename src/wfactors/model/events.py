"""The events of a history, in two closed vocabularies.

**Facts** came from outside, one a turn; each carries the time at which the engine took it in. **Decisions** are what
the author's code did in the turn of the fact before them; they are stored directly after it, and replay compares them.
A payload that may be absent is NULL then, not None: msgspec decodes no union with Raw (its issue 659).
Adding an event means adding it to one of the unions; every ``match`` over them then fails the type check until it
knows the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from wfactors.model.failures import Failure
from wfactors.model.payloads import NULL, Payload
from wfactors.model.status import ParentClose

# --- Facts -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Parent:
    """The call that started a child: where its outcome goes."""

    partition: str
    instance: str
    run: int
    call: int
    id: str


@attrs.frozen
class CarriedSignal:
    """A signal that nobody had read when its run continued as new."""

    name: str
    payload: Payload
    message: str


@attrs.frozen
class RunStarted:
    """The run begins; everything it knows from the start."""

    time: float
    workflow: str
    id: str
    instance: str
    run: int
    queue: str
    input: Payload
    parent: Parent | None = None
    signals: tuple[CarriedSignal, ...] = ()
    context: Mapping[str, str] = attrs.field(factory=dict)
    attributes: Payload = NULL
    cancel_reason: str | None = None


@attrs.frozen
class ActivityCompleted:
    time: float
    call: int
    result: Payload


@attrs.frozen
class ActivityFailed:
    """The activity failed for good; ``deadline`` names the one that passed, if that was the reason."""

    time: float
    call: int
    failure: Failure
    attempt: int
    deadline: str | None = None


@attrs.frozen
class ActivityCancelled:
    """The activity stopped because its scope was cancelled."""

    time: float
    call: int


@attrs.frozen
class TimerFired:
    """The deadline of a timer has come; every deadline up to ``time`` expires with it."""

    time: float
    timer: int


@attrs.frozen
class SignalReceived:
    time: float
    name: str
    payload: Payload
    message: str


@attrs.frozen
class UpdateReceived:
    time: float
    update: str
    name: str
    input: Payload


@attrs.frozen
class CancelRequested:
    time: float
    reason: str = ""


@attrs.frozen
class ChildStarted:
    """The store accepted the child's id."""

    time: float
    call: int


@attrs.frozen
class ChildCompleted:
    time: float
    call: int
    result: Payload


@attrs.frozen
class ChildFailed:
    """The child failed, was cancelled or terminated, or never started; ``failure.kind`` says which."""

    time: float
    call: int
    failure: Failure


@attrs.frozen
class RequestCompleted:
    """A signal or cancel sent to another instance was accepted there."""

    time: float
    call: int


@attrs.frozen
class RequestFailed:
    """A signal or cancel to another instance was refused; ``reason`` is ``not_found``, ``unreadable`` or its status."""

    time: float
    call: int
    reason: str


@attrs.frozen
class RunTerminated:
    """The run was ended without its code taking part: by somebody, or, with ``failure``, by a limit of the engine."""

    time: float
    reason: str = ""
    failure: Failure | None = None


# --- Decisions -------------------------------------------------------------------------------------------------------


@attrs.frozen
class ActivityScheduled:
    call: int
    activity: str
    queue: str
    input: Payload


@attrs.frozen
class ActivityCancelAsked:
    call: int


@attrs.frozen
class TimerSet:
    timer: int
    at: float


@attrs.frozen
class TimerCancelled:
    timer: int


@attrs.frozen
class ChildScheduled:
    """``id`` is None for a child whose id the engine makes."""

    call: int
    workflow: str
    queue: str
    input: Payload
    id: str | None = None
    parent_close: ParentClose = ParentClose.CANCEL
    attributes: Payload = NULL


@attrs.frozen
class ChildCancelAsked:
    call: int


@attrs.frozen
class SignalSent:
    call: int
    id: str
    name: str
    payload: Payload


@attrs.frozen
class CancelSent:
    call: int
    id: str
    reason: str = ""


@attrs.frozen
class SideEffectRecorded:
    """The value of a function run once inline; with ``failure``, how it failed."""

    call: int
    name: str
    value: Payload = NULL
    failure: Failure | None = None


@attrs.frozen
class PatchApplied:
    """``patched(id)`` was true here: this run takes the new branch."""

    id: str


@attrs.frozen
class AttributesSet:
    """The searchable attributes of the instance after the change, as a JSON object."""

    attributes: Payload


@attrs.frozen
class UpdateCompleted:
    update: str
    result: Payload = NULL
    failure: Failure | None = None


@attrs.frozen
class RunCompleted:
    result: Payload


@attrs.frozen
class RunFailed:
    failure: Failure


@attrs.frozen
class RunCancelled:
    failure: Failure


@attrs.frozen
class RunContinued:
    """The run ends and the next one starts with ``input`` and the signals nobody has read.

    A run that was cancelled leaves that to the next one too (``cancel_reason``): a cancelled scope stays cancelled.
    """

    workflow: str
    input: Payload
    signals: tuple[CarriedSignal, ...] = ()
    cancel_reason: str | None = None


Fact: TypeAlias = (
    RunStarted
    | ActivityCompleted
    | ActivityFailed
    | ActivityCancelled
    | TimerFired
    | SignalReceived
    | UpdateReceived
    | CancelRequested
    | ChildStarted
    | ChildCompleted
    | ChildFailed
    | RequestCompleted
    | RequestFailed
    | RunTerminated
)

Decision: TypeAlias = (
    ActivityScheduled
    | ActivityCancelAsked
    | TimerSet
    | TimerCancelled
    | ChildScheduled
    | ChildCancelAsked
    | SignalSent
    | CancelSent
    | SideEffectRecorded
    | PatchApplied
    | AttributesSet
    | UpdateCompleted
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunContinued
)

Event: TypeAlias = Fact | Decision

FACTS: tuple[type, ...] = Fact.__args__
DECISIONS: tuple[type, ...] = Decision.__args__
FINAL: tuple[type, ...] = (RunCompleted, RunFailed, RunCancelled, RunContinued, RunTerminated)
"""The events with which a run ends."""
