"""Ids that are chosen: a span that is told of twice must have one id, so its id derives from the history."""

from __future__ import annotations

import threading

from opentelemetry.sdk.trace import id_generator

__all__ = ["IdGenerator"]


class IdGenerator(id_generator.IdGenerator):
    """Gives wfactors' spans the ids that derive from their runs, and all other spans those of another generator.

    ::

        provider = TracerProvider(id_generator=IdGenerator())

    Args:
        others: Makes the ids of all other spans; random ones if left out.
    """

    def __init__(self, others: id_generator.IdGenerator | None = None) -> None:
        self._others = others or id_generator.RandomIdGenerator()
        # Of this thread: activities start spans in theirs.
        self._chosen = threading.local()

    def choose(self, trace_id: int, span_id: int) -> None:
        """The next span that this thread starts has these ids; 0 for any."""
        self._chosen.trace_id, self._chosen.span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        """Return the chosen id, once; else another."""
        chosen: int = getattr(self._chosen, "trace_id", 0)
        self._chosen.trace_id = 0
        return chosen or self._others.generate_trace_id()

    def generate_span_id(self) -> int:
        """Return the chosen id, once; else another."""
        chosen: int = getattr(self._chosen, "span_id", 0)
        self._chosen.span_id = 0
        return chosen or self._others.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Whether the ids of other traces are random, as OpenTelemetry means it; chosen ones have 80 random bits."""
        return bool(getattr(self._others, "is_trace_id_random", bool)())
