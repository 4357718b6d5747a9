"""What the engine says, as plain data, before OpenTelemetry is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from wfactors.model.failures import Failure
from wfactors.model.spans import Lineage

__all__ = ["Figure", "Kind", "Record"]

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]


@attrs.frozen(kw_only=True)
class Record:
    """A span that is over; or, without an end, one that begins.

    Attributes:
        kind: As OpenTelemetry means it.
        parent: The id of the span it hangs under; None at the root of a trace.
        failure: What made it fail, if it did.
        links: To spans of other traces, or of other runs.
    """

    name: str
    kind: Kind
    id: int
    parent: int | None
    started_at: float
    attributes: Mapping[str, Any]
    ended_at: float = 0.0
    failure: Failure | None = None
    links: Sequence[Lineage] = ()


@attrs.frozen
class Figure:
    """One value of an instrument that is asked for when read, and which queue it is of."""

    value: float
    queue: str | None = None
