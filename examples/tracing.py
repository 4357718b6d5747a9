"""Tracing with OpenTelemetry: one trace from the client over the workflow to every attempt of an activity.

The trace's id travels as context: ``inject`` it at the start, ``extract`` it in the activity, and the spans of the
activities hang under the span of the client that asked, whatever process they run in and however often they were
restarted. ``wf.logger`` in a workflow carries the ids of the workflow, and is silent during replay.

wfactors itself makes no spans and metrics yet (of workflows, timers, children): that is a layer still to come. What you
see here is what an application can do by itself, and it will go on to work.

Needs the extra ``otel``.

Prints::

    INFO order workflow=checkout id=order-7 run=1: charging 4200
    INFO order workflow=checkout id=order-7 run=1: paid with receipt-4200
    spans of one trace:
      POST /orders
        charge attempt=1 ERROR
        charge attempt=2 OK
        ship attempt=1 OK
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import wfactors as wf

exporter = InMemorySpanExporter()  # an OTLP exporter in real life
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("shop")


@contextmanager
def attempt_span() -> Iterator[trace.Span]:
    """A span for this attempt, under the client's."""
    info = wf.activity_info()
    parent = propagate.extract(wf.activity_context())
    with tracer.start_as_current_span(info.activity, parent) as span:
        span.set_attributes({"workflow.id": info.workflow_id, "workflow.run": info.run, "attempt": info.attempt})
        yield span
        span.set_status(trace.StatusCode.OK)


@wf.activity(retry=wf.Retry(attempts=2, first=0.01))
async def charge(cents: int) -> str:
    with attempt_span():
        if wf.activity_info().attempt == 1:
            raise ConnectionError("the bank does not answer")
        return f"receipt-{cents}"


@wf.activity
async def ship() -> None:
    with attempt_span() as span:
        span.add_event("handed to the carrier")


@wf.workflow
async def checkout(cents: int) -> None:
    wf.logger.info("charging %d", cents)
    receipt = await charge(cents)
    wf.logger.info("paid with %s", receipt)
    await ship()


def show(spans: Sequence[ReadableSpan], parent: int | None = None, indent: str = "  ") -> None:
    """Print spans as a tree."""
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        if (span.parent.span_id if span.parent else None) != parent or span.context is None:
            continue
        attempt = (span.attributes or {}).get("attempt")
        print(f"{indent}{span.name}" + ("" if attempt is None else f" {attempt=!s} {span.status.status_code.name}"))
        show(spans, span.context.span_id, indent + "  ")


async def main() -> None:
    handler = logging.StreamHandler(sys.stdout)
    words = "%(levelname)s order workflow=%(workflow)s id=%(workflow_id)s run=%(workflow_run)s: %(message)s"
    handler.setFormatter(logging.Formatter(words))
    log = logging.getLogger("wfactors.workflow")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    async with wf.open_engine("memory://", register=[checkout, charge, ship]) as engine:
        with tracer.start_as_current_span("POST /orders"):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            handle = await engine.start(checkout, 4200, id="order-7", context=carrier)
        await handle.result()
    log.removeHandler(handler)
    spans = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    print("spans of one trace:")
    show(spans)


if __name__ == "__main__":
    trio.run(main)
