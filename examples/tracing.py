"""Tracing with OpenTelemetry: one trace from the client over the workflow to every attempt of an activity.

An engine that is given ``telemetry`` reports a span for the workflow under that of the client which started it, and
below it one for each call, each attempt, each timer and each child, whatever process they run in and however often they
were restarted. ``wf.span`` adds spans of the workflow's own. In an activity the span of the attempt is the current one,
so what your libraries report hangs under it. The ids of spans derive from the workflow, which takes an ``IdGenerator``
that can be told them: the one line of OpenTelemetry's setup that is special.

Needs the extra ``otel``.

Prints::

    INFO checkout: charging 4200
    INFO checkout: paid with receipt-4200
    spans of one trace:
      POST /orders
        workflow checkout
          payment
            activity charge
              attempt charge: ConnectionError: the bank does not answer
              attempt charge
                POST /charges
          timer
          child ship
            workflow ship
              activity label
                attempt label
    attempts of charge: 1 retried, 1 returned
"""

import logging
import sys
from collections.abc import Sequence

import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import wfactors as wf
from wfactors.telemetry import IdGenerator

exporter = InMemorySpanExporter()  # an OTLP exporter in real life, behind a BatchSpanProcessor
provider = TracerProvider(id_generator=IdGenerator())
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("shop")

reader = InMemoryMetricReader()  # a PeriodicExportingMetricReader in real life
meters = MeterProvider([reader])


@wf.activity(retry=wf.Retry(attempts=2, first=0.01))
async def charge(cents: int) -> str:
    if wf.activity_info().attempt == 1:
        raise ConnectionError("the bank does not answer")
    with tracer.start_as_current_span("POST /charges"):  # an instrumented HTTP client would do it by itself
        return f"receipt-{cents}"


@wf.activity
def label(receipt: str) -> str:
    return f"to be sent: {receipt}"


@wf.workflow
async def ship(receipt: str) -> str:
    return await label(receipt)


@wf.workflow
async def checkout(cents: int) -> str:
    wf.logger.info("charging %d", cents)
    with wf.span("payment", {"cents": cents}) as span:
        receipt = await charge(cents)
        span.set_attribute("receipt", receipt)
    wf.logger.info("paid with %s", receipt)
    await wf.sleep(0.01)
    return await ship(receipt)


def show(spans: Sequence[ReadableSpan], parent: int | None = None, indent: str = "  ") -> None:
    """Print spans as a tree."""
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        if (span.parent.span_id if span.parent else None) != parent or span.context is None:
            continue
        print(f"{indent}{span.name}" + (f": {span.status.description}" if span.status.description else ""))
        show(spans, span.context.span_id, indent + "  ")


def attempts() -> str:
    """How the attempts of ``charge`` ended, from the metrics."""
    data = reader.get_metrics_data()
    assert data is not None
    points = [
        point
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "wfactors.activity.attempts"
        for point in metric.data.data_points
        if point.attributes and point.attributes["wfactors.activity"] == "charge"
    ]
    return ", ".join(sorted(f"{point.value} {point.attributes['wfactors.outcome']}" for point in points))


async def main() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(levelname)s %(workflow)s: %(message)s"))
    logged: set[str] = set()
    handler.addFilter(lambda record: logged.add(record.trace_id) is None)
    log = logging.getLogger("wfactors.workflow")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    register = [checkout, ship, charge, label]
    async with wf.open_engine("memory://", register=register, telemetry=wf.Telemetry(provider, meters)) as engine:
        with tracer.start_as_current_span("POST /orders"):
            await engine.run(checkout, 4200)
    log.removeHandler(handler)
    spans = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == logged
    print("spans of one trace:")
    show(spans)
    print("attempts of charge:", attempts())


if __name__ == "__main__":
    trio.run(main)
