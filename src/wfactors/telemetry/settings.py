"""What a program says of telemetry when it opens an engine or a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from wfactors.telemetry.reporter import Reporter

__all__ = ["Telemetry", "carry_of", "reporter_of"]


@attrs.frozen
class Telemetry:
    """Where an engine reports spans and metrics to, by way of OpenTelemetry: for ``open_engine`` and ``open_client``.

    A client reports nothing of its own: it sends along which span is current, so that what it starts hangs under it.

    ::

        from opentelemetry.sdk.trace import TracerProvider
        from wfactors.telemetry import IdGenerator

        provider = TracerProvider(id_generator=IdGenerator())
        async with wf.open_engine(url, register=[...], telemetry=wf.Telemetry(provider)):
            ...

    Args:
        tracer_provider: Makes the spans; OpenTelemetry's global one if left out. It must choose ids by
            ``wfactors.telemetry.IdGenerator``. ``opentelemetry.trace.NoOpTracerProvider()`` for no spans.
        meter_provider: Takes the metrics; OpenTelemetry's global one if left out, and nobody if there is none.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None


def carry_of(telemetry: Telemetry | None) -> Callable[[Mapping[str, str]], dict[str, str]] | None:
    """What adds to a context in which span it is sent, for a client; None for nothing."""
    if telemetry is None:
        return None
    _check(telemetry)
    from wfactors.telemetry.carrier import carried  # noqa: PLC0415  OpenTelemetry comes when it is asked for.

    return carried


def reporter_of(telemetry: Telemetry | None) -> Reporter | None:
    """What an engine reports through; None for nothing.

    Raises:
        ValueError: The tracer provider cannot give a span an id that is chosen for it.
    """
    if telemetry is None:
        return None
    _check(telemetry)
    from wfactors.telemetry.reporter import Reporter  # noqa: PLC0415  As above.

    return Reporter(telemetry)


def _check(telemetry: object) -> None:
    if not isinstance(telemetry, Telemetry):
        raise TypeError(f"telemetry must be wf.Telemetry(...), not {telemetry!r}")
