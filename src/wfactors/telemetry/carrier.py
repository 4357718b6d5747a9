"""What travels with a start, a signal or an update: which span is current where it is sent, as W3C says it."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["carried", "received"]

# Not the global propagator, which may write another format: these strings are read by every node, and by the kernel.
_trace = TraceContextTextMapPropagator()
_baggage = W3CBaggagePropagator()


def carried(context: Mapping[str, str]) -> dict[str, str]:
    """``context`` with ``traceparent``, ``tracestate`` and ``baggage`` of here and now, where it does not say them."""
    if "traceparent" in context:
        return dict(context)
    found: dict[str, str] = {}
    _trace.inject(found)
    _baggage.inject(found)
    return {**found, **context}


def received(context: Mapping[str, str]) -> Context:
    """The baggage that came along, in an otherwise empty context of OpenTelemetry's."""
    return _baggage.extract(context, Context())
