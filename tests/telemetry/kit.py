"""A tracer provider and a meter provider that keep what they are told, and words for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

import wfactors as wf
from wfactors.telemetry import IdGenerator


class Watched:
    """What an engine is given as ``telemetry``, and what it has told so far."""

    def __init__(self, *, sampler: Sampler | None = None, processors: Sequence[SpanProcessor] = ()) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, id_generator=IdGenerator(), shutdown_on_exit=False)
        for processor in [*processors, SimpleSpanProcessor(self.exporter)]:
            self.provider.add_span_processor(processor)
        self.tracer = self.provider.get_tracer("tests")
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = wf.Telemetry(self.provider, self.meters)

    # --- Spans ---

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All spans that ended."""
        return self.exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        """The one span of this name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def tree(self) -> list[str]:
        """The names of all spans, each indented below its parent; siblings by the time at which they began."""
        ids = {span.context.span_id for span in self.spans}
        assert len(ids) == len(self.spans), "no two spans have one id"
        lines: list[str] = []

        def show(parent: int | None, depth: int) -> None:
            for span in sorted(self.spans, key=lambda span: (span.start_time, -span.end_time, span.name)):
                above = None if span.parent is None else span.parent.span_id
                if above == parent:
                    lines.append("  " * depth + span.name)
                    show(span.context.span_id, depth + 1)

        show(None, 0)
        assert len(lines) == len(self.spans), "each span hangs under another or is a root"
        return lines

    # --- Metrics ---

    def metrics(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """By name, and by the values of the attributes except the node's name: a number, or (count, sum)."""
        found: dict[str, dict[tuple[str, ...], Any]] = {}
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: dict[tuple[str, ...], Any] = {}
                    for point in metric.data.data_points:
                        labels = tuple(str(value) for key, value in point.attributes.items() if key != "wfactors.node")
                        value = getattr(point, "value", None)
                        points[labels] = (point.count, point.sum) if value is None else value
                    found[metric.name] = points
        return found
