"""A history as spans of time: what was called, when it began, how and when it ended.

Decisions carry no time of their own; theirs is that of the fact before them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import attrs

from wfactors.cli.text import duration, safe, shortened
from wfactors.convert import DataPort
from wfactors.errors import CodecError
from wfactors.model import events as E  # noqa: N812  The vocabulary of this file.
from wfactors.model.events import Event
from wfactors.model.failures import Failure
from wfactors.model.ids import child_key
from wfactors.model.payloads import Payload
from wfactors.model.records import TaskRow

__all__ = ["Outcome", "Span", "event_in_words", "payload_text", "readable", "spans_of"]

Outcome = Literal["open", "done", "failed", "cancelled", "point"]
_PAYLOAD_LENGTH = 60


@attrs.define
class Span:
    """One thing in a history.

    Attributes:
        first: Position of its first event in the history, from 0.
        kind: ``activity``, ``timer``, ``child``, ``signal`` and so on.
        name: Of what was called.
        begin: When, in seconds since the epoch.
        end: When it ended; None if it has not; the same for a point in time.
        outcome: How.
        detail: What else there is to say, as it is: the id of a child that is open, for one.
    """

    first: int
    kind: str
    name: str
    begin: float
    end: float | None = None
    outcome: Outcome = "open"
    detail: str = ""
    attempts: int | None = None

    def close(self, at: float, outcome: Outcome, detail: str = "") -> None:
        """It ended."""
        self.end, self.outcome = at, outcome
        self.detail = detail or self.detail


def spans_of(history: Sequence[Event], tasks: Sequence[TaskRow] = (), gone: Collection[str] = ()) -> list[Span]:
    """Group the events of a history, in the order in which the groups began.

    Args:
        history: The events of one run.
        tasks: Its activity calls that have no outcome yet; they know of attempts.
        gone: Nodes that are not alive.
    """
    return _Grouping(history, {task.key.call: task for task in tasks}, gone).spans


class _Grouping:
    """Goes through a history once."""

    def __init__(self, history: Sequence[Event], tasks: Mapping[int, TaskRow], gone: Collection[str]) -> None:
        self.spans: list[Span] = []
        self._calls: dict[int, Span] = {}
        self._timers: dict[int, tuple[Span, float]] = {}
        self._updates: dict[str, Span] = {}
        self._time = 0.0
        self._instance, self._run = "", 1
        for position, event in enumerate(history):
            self._time = getattr(event, "time", self._time)
            self._take(position, event)
        for call, task in tasks.items():
            if call in self._calls:
                _describe_task(self._calls[call], task, gone)

    def _add(self, position: int, kind: str, name: str, detail: str = "", *, is_point: bool = False) -> Span:
        span = Span(position, kind, name, self._time, detail=detail)
        if is_point:
            span.close(self._time, "point")
        self.spans.append(span)
        return span

    def _end(self, call: int, outcome: Outcome, detail: str = "") -> None:
        span = self._calls.pop(call, None)
        if span is not None:
            span.close(self._time, outcome, detail)

    def _take(self, position: int, event: Event) -> None:
        match event:
            case E.RunStarted():
                self._instance, self._run = event.instance, event.run
            case E.ActivityScheduled():
                self._calls[event.call] = self._add(position, "activity", event.activity)
            case E.ChildScheduled():
                id = event.id or child_key(self._instance, self._run, event.call)
                self._calls[event.call] = self._add(position, "child", event.workflow, id)
            case E.SignalSent():
                self._calls[event.call] = self._add(position, "send", f"signal {event.name}", f"to {event.id}")
            case E.CancelSent():
                self._calls[event.call] = self._add(position, "send", "cancel", f"to {event.id}")
            case E.TimerSet():
                self._set_timer(position, event)
            case E.TimerCancelled():
                if event.timer in self._timers:
                    self._timers.pop(event.timer)[0].close(self._time, "cancelled", "not needed any more")
            case E.TimerFired():
                self._fire(event.time)
            case _:
                self._take_outcome(position, event)

    def _take_outcome(self, position: int, event: Event) -> None:
        match event:
            case E.ActivityCompleted() | E.ChildCompleted() | E.RequestCompleted():
                self._end(event.call, "done")
            case E.ActivityFailed():
                deadline = f"{event.deadline} deadline passed; " if event.deadline else ""
                words = f"attempt {event.attempt}: {deadline}{event.failure.summary()}"
                self._end(event.call, "failed", words)
            case E.ChildFailed():
                self._end(event.call, "failed", event.failure.summary())
            case E.RequestFailed():
                self._end(event.call, "failed", event.reason)
            case E.ActivityCancelled():
                self._end(event.call, "cancelled")
            case E.ActivityCancelAsked() | E.ChildCancelAsked():
                if event.call in self._calls:
                    self._calls[event.call].detail = "asked to stop"
            case E.UpdateCompleted():
                if event.update in self._updates:
                    failure = event.failure
                    outcome: Outcome = "done" if failure is None else "failed"
                    self._updates.pop(event.update).close(self._time, outcome, failure.summary() if failure else "")
            case _:
                self._take_point(position, event)

    def _take_point(self, position: int, event: Event) -> None:
        match event:
            case E.UpdateReceived():
                self._updates[event.update] = self._add(position, "update", event.name)
            case E.SignalReceived():
                self._add(position, "signal", event.name, payload_text(event.payload), is_point=True)
            case E.CancelRequested():
                self._add(position, "cancel", "asked to stop", event.reason, is_point=True)
            case E.SideEffectRecorded():
                detail = payload_text(event.value) if event.failure is None else event.failure.summary()
                self._add(position, "side effect", event.name, detail, is_point=True)
            case E.PatchApplied():
                self._add(position, "patch", event.id, is_point=True)
            case E.AttributesSet():
                self._add(position, "attributes", payload_text(event.attributes), is_point=True)
            case _:
                pass

    def _set_timer(self, position: int, event: E.TimerSet) -> None:
        if event.timer in self._timers:
            self._timers.pop(event.timer)[0].close(self._time, "cancelled", "set anew")
        span = self._add(position, "timer", duration(event.at - self._time))
        self._timers[event.timer] = (span, event.at)

    def _fire(self, at: float) -> None:
        for number, (span, due) in list(self._timers.items()):
            if due <= at:
                del self._timers[number]
                span.close(at, "done")


def _describe_task(span: Span, task: TaskRow, gone: Collection[str]) -> None:
    span.attempts = task.attempt
    words = [f"attempt {task.attempt}"]
    if task.node is None:
        words.append("waits for a node, or for its next attempt")
    else:
        words.append(f"was on {task.node} (gone)" if task.node in gone else f"runs on {task.node}")
    if task.is_cancel_requested:
        words.append("asked to stop")
    if task.failure is not None:
        words.append(f"the last one failed: {task.failure.summary()}")
    span.detail = ", ".join(words)


def readable(event: Event, data: DataPort) -> Event:
    """The event with what codecs did undone, as far as they are at hand."""
    changes: dict[str, Any] = {}
    for name in attrs.fields_dict(type(event)):
        value = getattr(event, name)
        if isinstance(value, Payload):
            changes[name] = Payload(data.plain(value))
        elif isinstance(value, Failure):
            with suppress(CodecError):
                changes[name] = data.reveal(value)
    return attrs.evolve(event, **changes) if changes else event


def payload_text(payload: Payload) -> str:
    """The head of a payload, as it is stored."""
    text = bytes(payload[:500] if isinstance(payload, bytes) else payload).decode("utf-8", "replace")
    return safe(shortened(text, _PAYLOAD_LENGTH), keep_lines=True)


def event_in_words(event: Event) -> str:
    """The fields of an event in one line, payloads shortened."""
    words = []
    for name in attrs.fields_dict(type(event)):
        value: Any = getattr(event, name)
        if name == "time" or value is None or value in ((), {}):
            continue
        if hasattr(value, "summary"):
            shown = safe(value.summary())
        elif isinstance(value, str):
            shown = safe(value)
        elif isinstance(value, int | float):
            shown = str(value)
        elif hasattr(value, "id") and hasattr(value, "call"):
            shown = safe(value.id)
        elif isinstance(value, tuple | Mapping):
            shown = safe(shortened(str(value), _PAYLOAD_LENGTH))
        else:
            shown = payload_text(value)
        words.append(f"{name}={shown}")
    return " ".join(words)
