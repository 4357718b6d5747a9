"""Spans of the author's own inside a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wfactors.kernel.spans import Span, new_span
from wfactors.model.ids import validated_name
from wfactors.workflow.inside import inside

__all__ = ["Span", "span"]


def span(name: str, attributes: Mapping[str, Any] | None = None) -> Span:
    """Make a part of the workflow a span of its trace.

    ::

        with wf.span("price", {"items": len(items)}) as span:
            prices = await quote(items)                # the span of the call hangs under this one
            span.set_attribute("total", sum(prices))

    What is called, started and slept inside hangs under it, also in tasks that are started inside. Its times are those
    of ``wf.now()``, its ids are the same in every replay, and it is reported once, when what happened in it is durable.
    An exception that leaves it is kept with it. Nothing of it is in the history, and with ``open_engine`` without
    ``telemetry`` it does nothing, but its ids can be read all the same.

    Args:
        name: What it is called.
        attributes: What is known of it: text, numbers, truth values, and lists of these.

    Raises:
        TypeError, ValueError: ``name`` cannot be a name.
        WorkflowMisuseError: The code may only look: it is a query's, a validator's or a side effect's.
    """
    here = inside("span()")
    here.command("span()")
    return new_span(here.run, validated_name(name), attributes or {}, here.failure if here.app.is_traced else None)
