"""How OpenTelemetry is told of spans: those that are over at once, with their times; those of attempts as they run.

Both have the ids that were chosen for them. OpenTelemetry lets nobody give a span an id; but the provider's id
generator is asked for one in ``start_span``, and ours answers what was chosen just before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation import set_span_in_context

from wfactors.__about__ import __version__
from wfactors.model.failures import Failure
from wfactors.model.spans import Lineage
from wfactors.telemetry.carrier import received
from wfactors.telemetry.records import Record

if TYPE_CHECKING:
    from opentelemetry.trace import TraceState

    from wfactors.telemetry.ids import IdGenerator

__all__ = ["Tracing", "end_span"]

_NANOSECONDS = 1_000_000_000


class Tracing:
    """Tells a tracer provider of spans.

    Args:
        provider: One of the SDK, with our ``IdGenerator``.

    Raises:
        ValueError: It is another.
    """

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._ids = _checked_ids(provider)
        self._sampler = cast("Any", provider).sampler
        self._tracer = provider.get_tracer("wfactors", __version__)

    def write(self, lineage: Lineage, workflow: str, records: Sequence[Record]) -> None:
        """Tell of spans of one run, which are over; raises what went wrong with one of them when all were told of."""
        flags, state = self._decision(lineage, workflow)
        problem: Exception | None = None
        for record in records:
            try:
                span = self._start(lineage, record, flags, state)
                end_span(span, record.ended_at, record.failure)
            except Exception as error:  # noqa: BLE001  Somebody else's processor, and the next span may suit it.
                problem = error
        if problem is not None:
            raise problem

    def start(self, lineage: Lineage, workflow: str, record: Record, context: Mapping[str, str]) -> Span:
        """Begin a span that runs, and make it the current one of this task, with the baggage in ``context``."""
        flags, state = self._decision(lineage, workflow)
        span = self._start(lineage, record, flags, state)
        otel_context.attach(set_span_in_context(span, received(context)))
        return span

    def _start(self, lineage: Lineage, record: Record, flags: TraceFlags, state: TraceState) -> Span:
        parent = record.parent
        if parent is None:
            context = Context()
        elif parent == lineage.sender:
            context = _remote(lineage)
        else:
            above = SpanContext(lineage.trace_id, parent, is_remote=False, trace_flags=flags, trace_state=state)
            context = set_span_in_context(NonRecordingSpan(above), Context())
        self._ids.choose(lineage.trace_id, record.id)
        try:
            return self._tracer.start_span(
                record.name,
                context,
                SpanKind[record.kind.upper()],
                cast("Any", record.attributes),
                [Link(_span_context(link)) for link in record.links],
                int(record.started_at * _NANOSECONDS),
            )
        finally:
            # A tracer that is switched off asks for none.
            self._ids.choose(0, 0)

    def _decision(self, lineage: Lineage, workflow: str) -> tuple[TraceFlags, TraceState]:
        """Whether the run is sampled: known before its span is told of, which is only when it is over."""
        context = Context() if lineage.sender is None else _remote(lineage)
        result = self._sampler.should_sample(
            context, lineage.trace_id, f"workflow {workflow}", SpanKind.SERVER, None, None
        )
        flags = TraceFlags.SAMPLED if result.decision.is_sampled() else TraceFlags.DEFAULT
        return TraceFlags(flags), result.trace_state


def end_span(span: Span, at: float, failure: Failure | None) -> None:
    """End a span; with ``failure`` it has failed."""
    ended_at = int(at * _NANOSECONDS)
    if failure is not None:
        # As stored: where a codec conceals failures, their words stay out of the trace.
        attributes = {"exception.type": failure.type, "exception.message": failure.message}
        if failure.traceback:
            attributes["exception.stacktrace"] = failure.traceback
        span.add_event("exception", attributes, ended_at)
        span.set_status(Status(StatusCode.ERROR, failure.summary()))
    span.end(ended_at)


# --- Helpers ---------------------------------------------------------------------------------------------------------


def _span_context(lineage: Lineage) -> SpanContext:
    state = trace.TraceState.from_header([lineage.state]) if lineage.state else None
    return SpanContext(lineage.trace_id, lineage.sender or 0, True, TraceFlags(lineage.flags), state)


def _remote(lineage: Lineage) -> Context:
    return set_span_in_context(NonRecordingSpan(_span_context(lineage)), Context())


def _checked_ids(provider: trace.TracerProvider) -> IdGenerator:
    ids = getattr(provider, "id_generator", None)
    if hasattr(ids, "choose"):
        return cast("IdGenerator", ids)
    if ids is None:
        problem = f"{type(provider).__name__} makes no spans that could be given ids"
    else:
        problem = f"its id generator is {type(ids).__name__}, which makes new ids each time"
    raise ValueError(
        f"telemetry: the tracer provider cannot be used: {problem}. Write "
        "TracerProvider(id_generator=wfactors.telemetry.IdGenerator()), TracerProvider being that of "
        "opentelemetry.sdk.trace, and give it to wf.Telemetry(...) or set it as the global one before the engine is "
        "opened. For metrics alone write wf.Telemetry(opentelemetry.trace.NoOpTracerProvider())"
    )
