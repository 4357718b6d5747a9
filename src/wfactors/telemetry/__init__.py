"""OpenTelemetry: spans of runs, calls, attempts and timers; metrics of turns, commits, activities and leases.

What is reported is decided above (``actors/tracing.py`` reads it off the events); here is how OpenTelemetry is told.
Nothing of OpenTelemetry is imported before an engine or a client is opened with ``telemetry``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wfactors.telemetry.settings import Telemetry

if TYPE_CHECKING:
    from wfactors.telemetry.ids import IdGenerator

__all__ = ["IdGenerator", "Telemetry"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import the id generator, which needs the SDK, when it is named."""
        if name != "IdGenerator":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from wfactors.telemetry.ids import IdGenerator  # noqa: PLC0415

        return IdGenerator
