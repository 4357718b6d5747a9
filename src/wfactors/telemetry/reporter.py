"""The one object through which an engine reports; whatever OpenTelemetry does, the engine goes on.

An exporter, a sampler or a processor of the user's may raise. That is said once in the log and harms nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from wfactors.model.failures import Failure
from wfactors.model.records import TaskRow
from wfactors.model.spans import Lineage, run_path, span_id
from wfactors.telemetry.metrics import Source, meters_of
from wfactors.telemetry.records import Record
from wfactors.telemetry.spans import Tracing, end_span

if TYPE_CHECKING:
    from wfactors.telemetry.settings import Telemetry

__all__ = ["AttemptReport", "Reporter"]

_log = logging.getLogger("wfactors.telemetry")


class Reporter:
    """Reports what one engine does.

    Attributes:
        is_tracing: Whether there are spans to be reported.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        provider = telemetry.tracer_provider or trace.get_tracer_provider()
        self._tracing = None if isinstance(provider, trace.NoOpTracerProvider) else Tracing(provider)
        self._meters = meters_of(telemetry.meter_provider or metrics.get_meter_provider())
        self._failures: set[type[Exception]] = set()
        self._longest_turn = 0.0

    @property
    def is_tracing(self) -> bool:
        return self._tracing is not None

    @contextmanager
    def observed(self, source: Source) -> Iterator[None]:
        """Ask ``source`` for its figures inside the block, whenever somebody reads them."""
        self._meters.sources[source] = None
        try:
            yield
        finally:
            del self._meters.sources[source]

    # --- Partitions --------------------------------------------------------------------------------------------------

    def spans(self, lineage: Lineage, workflow: str, records: Sequence[Record]) -> None:
        """Spans of a run, which are over and durable; only if there are to be any."""
        assert self._tracing is not None, "nobody collects spans that nobody wants"
        self._safely(self._tracing.write, lineage, workflow, records)

    def run_ended(self, workflow: str, status: str) -> None:
        """A run has ended, and that is durable."""
        self._safely(self._meters.ends.add, 1, {"wfactors.workflow": workflow, "wfactors.status": status})

    def turn(self, seconds: float) -> None:
        """A turn has held the loop for so long. Each of them would cost as much to record as a short one takes."""
        self._longest_turn = max(self._longest_turn, seconds)

    def committed(self, seconds: float, events: int, turns: int) -> None:
        """A batch is durable."""
        meters = self._meters
        self._safely(meters.commit_seconds.record, seconds)
        self._safely(meters.commit_events.record, events)
        self._safely(meters.events.add, events)
        self._safely(meters.turns.add, turns)
        self._safely(meters.turn_seconds.record, self._longest_turn)
        self._longest_turn = 0.0

    # --- Activities --------------------------------------------------------------------------------------------------

    def attempt(self, task: TaskRow, now: float) -> AttemptReport:
        """An attempt begins: in its own task, whose current span it becomes."""
        report = AttemptReport(self, task, now)
        if self._tracing is not None:
            self._safely(report.start, self._tracing)
        return report

    def attempt_ended(self, activity: str, outcome: str, seconds: float) -> None:
        attributes = {"wfactors.activity": activity, "wfactors.outcome": outcome}
        self._safely(self._meters.attempts.add, 1, attributes)
        self._safely(self._meters.attempt_seconds.record, seconds, attributes)

    # --- Trouble -----------------------------------------------------------------------------------------------------

    def _safely(self, tell: Callable[..., object], *what: object) -> None:
        try:
            tell(*what)
        except Exception as error:  # noqa: BLE001  Whatever it is, it must not reach the engine.
            if type(error) not in self._failures:
                self._failures.add(type(error))
                _log.exception("telemetry failed; the engine goes on (said once for each type of error)")


class AttemptReport:
    """One attempt of an activity, as it is reported."""

    def __init__(self, reporter: Reporter, task: TaskRow, now: float) -> None:
        self._reporter = reporter
        self._task = task
        self._began_at = now
        self._span: trace.Span | None = None

    def start(self, tracing: Tracing) -> None:
        """Begin the span, under that of the call."""
        task, key = self._task, self._task.key
        call = f"{run_path(key.instance, key.run)}/{key.call}"
        attributes: Mapping[str, Any] = {
            "wfactors.id": task.id,
            "wfactors.run": key.run,
            "wfactors.workflow": task.workflow,
            "wfactors.activity": task.activity,
            "wfactors.queue": task.queue,
            "wfactors.call": key.call,
            "wfactors.attempt": task.attempt,
        }
        record = Record(
            name=f"attempt {task.activity}",
            kind="server",
            id=span_id(f"{call}/{task.attempt}"),
            parent=span_id(call),
            started_at=self._began_at,
            attributes=attributes,
        )
        lineage = Lineage.of(key.instance, task.context)
        self._span = tracing.start(lineage, task.workflow, record, task.context)

    def end(self, outcome: str, failure: Failure | None, now: float) -> None:
        """The attempt is over: it returned, failed, is retried, was cancelled, or was dropped with its node."""
        reporter = self._reporter
        reporter.attempt_ended(self._task.activity, outcome, max(now - self._began_at, 0.0))
        if self._span is not None:
            reporter._safely(self._span.set_attribute, "wfactors.outcome", outcome)  # noqa: SLF001  Parts of one thing.
            reporter._safely(end_span, self._span, now, failure)  # noqa: SLF001  As above.
