"""The spans of one run, read off its events: opened by decisions, ended by facts, told of when both are durable.

Like the ledger it is fed every event of the run, recorded or new, so it knows when what is open began, however often
the instance was moved or evicted since. Only what ends in a live turn is reported, with the batch that records it: so
each span is told of once. What is told is lost if the process dies between the commit and the export.

::

    workflow checkout            the run; under the span that started it, or under the parent's call
    |- activity charge           from the decision to the outcome; its attempts are told of by whoever runs them
    |- child ship                the same; the child's own run hangs under it
    |- timer                     a sleep or a deadline that fired
    |- signal approve            a moment; linked to its sender
    |- update add                from its receipt to its answer
    |- send signal approve       from the decision to the answer
    `- price                     the author's own (``wf.span``), with what was called inside below it
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from wfactors.kernel.spans import Span, Spans
from wfactors.model import events as E  # noqa: N812  Two dozen names.
from wfactors.model.failures import CANCELLED, Failure
from wfactors.model.ids import child_key
from wfactors.model.messages import Signal, Update
from wfactors.model.records import HeaderRow
from wfactors.model.spans import Lineage, run_path, span_id
from wfactors.telemetry.records import Kind, Record

if TYPE_CHECKING:
    from wfactors.actors.draft import Action
    from wfactors.actors.mail import Mail
    from wfactors.telemetry.reporter import Reporter

__all__ = ["RunTrace"]

# The journal may let others run between two parts.
_RECORDS_AT_ONCE = 16
# Timers that were cancelled: of a deadline of a day around each step of a long run there are thousands.
_DUE_IN_VAIN_MAX = 100


@attrs.frozen
class _Open:
    """A span that has begun."""

    name: str
    kind: Kind
    id: int
    parent: int | None
    began_at: float
    attributes: dict[str, Any]
    links: Sequence[Lineage] = ()


class RunTrace:
    """The spans of one run.

    Attributes:
        lineage: The trace it belongs to.
        workflow: The name of its workflow.
        records: Spans that ended and are not reported yet.
    """

    __slots__ = (
        "_calls",
        "_due",
        "_header",
        "_links",
        "_parent",
        "_path",
        "_reporter",
        "_span",
        "_spans",
        "_started_at",
        "_time",
        "_timers",
        "_updates",
        "lineage",
        "records",
        "workflow",
    )

    def __init__(self, header: HeaderRow, reporter: Reporter) -> None:
        self.lineage = Lineage.of(header.instance, header.context)
        self.workflow = header.workflow
        self.records: list[Record] = []
        self._header = header
        self._reporter = reporter
        self._path = run_path(header.instance, header.run)
        self._span = span_id(self._path)
        parent = header.parent
        # The id of a child's span derives from its call, so nothing has to travel with the call.
        self._parent = (
            self.lineage.sender if parent is None else span_id(f"{run_path(parent.instance, parent.run)}/{parent.call}")
        )
        self._started_at: float | None = None
        self._time = 0.0
        self._calls: dict[int, _Open] = {}
        self._updates: dict[str, _Open] = {}
        self._timers: dict[int, _Open] = {}
        self._due: list[tuple[float, int]] = []
        self._links: dict[str, Lineage] = {}
        self._spans: Spans | None = None

    # --- What it is fed ----------------------------------------------------------------------------------------------

    def note(self, events: Sequence[E.Event], spans: Spans | None) -> None:
        """Take in events of the turn that has just been run; ``spans`` are the author's."""
        self._spans = spans
        for event in events:
            time: float | None = getattr(event, "time", None)
            if time is not None:
                self._time = time
                while self._due and self._due[0][0] <= time:
                    self._end_timer(heapq.heappop(self._due)[1])
            act = _TABLE.get(type(event))
            if act is not None:
                act(self, event)
        if spans is not None and spans.ended:
            for span in spans.ended:
                self._author_span(span)
            spans.ended.clear()
        # Not longer than the turn: the run is freed when it leaves memory.
        self._spans = None

    def recall(self, events: Sequence[E.Event], spans: Spans | None) -> None:
        """Take in recorded events: what ended in them was reported then."""
        self.note(events, spans)
        self.records.clear()

    def link(self, mail: Mail) -> None:
        """A live turn is about to take in ``mail``; a signal or update may say where it comes from."""
        if isinstance(mail.content, Signal | Update):
            sent = Lineage.sent(mail.content.context)
            if sent is not None:
                self._links[mail.id] = sent

    def carrier(self, call: int) -> dict[str, str]:
        """The context that says: sent by this call."""
        # Whether the run is sampled is known where the spans are told of; a link needs no more than the ids.
        return {"traceparent": f"00-{self.lineage.trace_id:032x}-{self._id_of(call):016x}-{self.lineage.flags:02x}"}

    def reports(self) -> Iterator[Action]:
        """What is to be done when everything noted so far is durable."""
        records, self.records = self.records, []
        for start in range(0, len(records), _RECORDS_AT_ONCE):
            part = records[start : start + _RECORDS_AT_ONCE]
            yield partial(self._reporter.spans, self.lineage, self.workflow, part)

    # --- Facts and decisions -----------------------------------------------------------------------------------------

    def _started(self, event: E.RunStarted) -> None:
        self._started_at = event.time

    def _activity(self, event: E.ActivityScheduled) -> None:
        attributes = {"wfactors.activity": event.activity, "wfactors.queue": event.queue}
        self._open_call(event.call, f"activity {event.activity}", "client", attributes)

    def _child(self, event: E.ChildScheduled) -> None:
        header = self._header
        attributes = {
            "wfactors.child.workflow": event.workflow,
            "wfactors.child.id": event.id or child_key(header.instance, header.run, event.call),
            "wfactors.queue": event.queue,
        }
        self._open_call(event.call, f"child {event.workflow}", "client", attributes)

    def _signal_sent(self, event: E.SignalSent) -> None:
        self._open_call(event.call, f"send signal {event.name}", "producer", {"wfactors.to": event.id})

    def _cancel_sent(self, event: E.CancelSent) -> None:
        self._open_call(event.call, "send cancel", "producer", {"wfactors.to": event.id})

    def _open_call(self, call: int, name: str, kind: Kind, attributes: dict[str, Any]) -> None:
        attributes["wfactors.call"] = call
        parent = self._above(None if self._spans is None else self._spans.calls.get(call))
        self._calls[call] = _Open(name, kind, self._id_of(call), parent, self._time, attributes)

    def _completed(self, event: E.ActivityCompleted | E.ChildCompleted | E.RequestCompleted) -> None:
        self._end(self._calls.pop(event.call, None), "completed")

    def _failed(self, event: E.ActivityFailed | E.ChildFailed) -> None:
        if event.failure.kind == CANCELLED:
            self._end(self._calls.pop(event.call, None), "cancelled")
        else:
            self._end(self._calls.pop(event.call, None), "failed", event.failure)

    def _cancelled(self, event: E.ActivityCancelled) -> None:
        self._end(self._calls.pop(event.call, None), "cancelled")

    def _refused(self, event: E.RequestFailed) -> None:
        self._end(self._calls.pop(event.call, None), "failed", Failure("wfactors.errors.RequestError", event.reason))

    def _timer_set(self, event: E.TimerSet) -> None:
        parent = self._above(None if self._spans is None else self._spans.timers.get(event.timer))
        id = span_id(f"{self._path}/timer/{event.timer}")
        attributes = {"wfactors.timer": event.timer}
        self._timers[event.timer] = _Open("timer", "internal", id, parent, self._time, attributes)
        heapq.heappush(self._due, (event.at, event.timer))

    def _timer_cancelled(self, event: E.TimerCancelled) -> None:
        # It did not fire, so there was nothing; its entry among those due is passed over when it comes to the top.
        self._timers.pop(event.timer, None)
        if len(self._due) > 2 * len(self._timers) + _DUE_IN_VAIN_MAX:
            self._due = [entry for entry in self._due if entry[1] in self._timers]
            heapq.heapify(self._due)

    def _end_timer(self, timer: int) -> None:
        self._end(self._timers.pop(timer, None), "fired")

    def _signal(self, event: E.SignalReceived) -> None:
        id = span_id(f"{self._path}/signal/{event.message}")
        links = self._take_link(event.message)
        opened = _Open(f"signal {event.name}", "consumer", id, self._span, event.time, {}, links)
        self._end(opened, "received")

    def _update(self, event: E.UpdateReceived) -> None:
        id = span_id(f"{self._path}/update/{event.update}")
        links = self._take_link(event.update)
        self._updates[event.update] = _Open(f"update {event.name}", "server", id, self._span, event.time, {}, links)

    def _answered(self, event: E.UpdateCompleted) -> None:
        opened = self._updates.pop(event.update, None)
        self._end(opened, "completed" if event.failure is None else "failed", event.failure)

    def _author_span(self, span: Span) -> None:
        opened = _Open(span.name, "internal", span.number, self._above(span.parent), span.started_at, span.attributes)
        self._record(opened, span.ended_at, {}, span.failure)

    # --- The end -----------------------------------------------------------------------------------------------------

    def _run_completed(self, _: E.RunCompleted) -> None:
        self._end_run("completed", None)

    def _run_failed(self, event: E.RunFailed) -> None:
        self._end_run("failed", event.failure)

    def _run_cancelled(self, _: E.RunCancelled) -> None:
        self._end_run("cancelled", None)

    def _run_continued(self, _: E.RunContinued) -> None:
        self._end_run("continued", None)

    def _run_terminated(self, event: E.RunTerminated) -> None:
        is_terminated = event.failure is None or event.failure.kind == "terminated"
        self._end_run("terminated" if is_terminated else "failed", event.failure)

    def _end_run(self, status: str, failure: Failure | None) -> None:
        header, time = self._header, self._time
        for opened in [*self._calls.values(), *self._updates.values()]:
            self._end(opened, "abandoned")
        if self._spans is not None:
            # The code of a run that is ended by force does not leave its blocks.
            for span in self._spans.open:
                span.ended_at = time
                self._author_span(span)
        started_at = time if self._started_at is None else self._started_at
        links = [attrs.evolve(self.lineage, sender=span_id(run_path(header.instance, header.run - 1)))]
        attributes = {"wfactors.workflow": header.workflow, "wfactors.queue": header.queue, "wfactors.status": status}
        opened = _Open(
            name=f"workflow {header.workflow}",
            kind="server",
            id=self._span,
            parent=self._parent,
            began_at=started_at,
            attributes=attributes,
            links=links if header.run > 1 else (),
        )
        self._record(opened, time, {}, failure)

    # --- Helpers -----------------------------------------------------------------------------------------------------

    def _id_of(self, call: int) -> int:
        return span_id(f"{self._path}/{call}")

    def _above(self, span: Span | None) -> int:
        return self._span if span is None else span.number

    def _take_link(self, message: str) -> Sequence[Lineage]:
        link = self._links.pop(message, None)
        return () if link is None else (link,)

    def _end(self, opened: _Open | None, outcome: str, failure: Failure | None = None) -> None:
        if opened is not None:
            self._record(opened, self._time, {"wfactors.outcome": outcome}, failure)

    def _record(self, opened: _Open, at: float, more: dict[str, Any], failure: Failure | None) -> None:
        identity = {"wfactors.id": self._header.id, "wfactors.run": self._header.run}
        record = Record(
            name=opened.name,
            kind=opened.kind,
            id=opened.id,
            parent=opened.parent,
            started_at=opened.began_at,
            ended_at=at,
            attributes={**identity, **opened.attributes, **more},
            failure=failure,
            links=opened.links,
        )
        self.records.append(record)


_TABLE: dict[type, Callable[[RunTrace, Any], None]] = {
    E.RunStarted: RunTrace._started,
    E.ActivityScheduled: RunTrace._activity,
    E.ActivityCompleted: RunTrace._completed,
    E.ActivityFailed: RunTrace._failed,
    E.ActivityCancelled: RunTrace._cancelled,
    E.ChildScheduled: RunTrace._child,
    E.ChildCompleted: RunTrace._completed,
    E.ChildFailed: RunTrace._failed,
    E.SignalSent: RunTrace._signal_sent,
    E.CancelSent: RunTrace._cancel_sent,
    E.RequestCompleted: RunTrace._completed,
    E.RequestFailed: RunTrace._refused,
    E.TimerSet: RunTrace._timer_set,
    E.TimerCancelled: RunTrace._timer_cancelled,
    E.SignalReceived: RunTrace._signal,
    E.UpdateReceived: RunTrace._update,
    E.UpdateCompleted: RunTrace._answered,
    E.RunCompleted: RunTrace._run_completed,
    E.RunFailed: RunTrace._run_failed,
    E.RunCancelled: RunTrace._run_cancelled,
    E.RunContinued: RunTrace._run_continued,
    E.RunTerminated: RunTrace._run_terminated,
}
