"""What an engine is given as telemetry, and what it says of what it cannot use."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import wfactors as wf
from tests.telemetry.kit import Watched


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        (
            TracerProvider(shutdown_on_exit=False),
            "its id generator is RandomIdGenerator, which makes new ids each time",
        ),
        (None, "ProxyTracerProvider makes no spans that could be given ids"),
    ],
    ids=["another generator", "no global provider"],
)
async def test_a_provider_that_cannot_choose_ids(provider: TracerProvider | None, problem: str) -> None:
    """The engine does not open, and says what to write."""
    with pytest.raises(
        ValueError, match=r"TracerProvider\(id_generator=wfactors.telemetry.IdGenerator\(\)\)"
    ) as raised:
        async with wf.open_engine(telemetry=wf.Telemetry(provider)):
            pass
    assert problem in str(raised.value)


async def test_what_is_no_telemetry() -> None:
    """Neither for an engine nor for a client."""
    for opening in (wf.open_engine(telemetry="on"), wf.open_client("memory://", telemetry="on")):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"telemetry must be wf.Telemetry\(...\), not 'on'"):
            async with opening:
                pass


async def test_metrics_alone(autojump_clock) -> None:
    """With OpenTelemetry's own provider of no spans."""

    @wf.workflow
    async def quick() -> None:
        with wf.span("own"):
            await wf.checkpoint()

    @wf.activity
    async def reads() -> bool:
        return trace.get_current_span().get_span_context().is_valid

    @wf.workflow
    async def asks() -> bool:
        return await reads()

    watched = Watched()
    telemetry = wf.Telemetry(trace.NoOpTracerProvider(), watched.meters)
    async with wf.open_engine(register=[quick, asks, reads], clock=wf.TrioClock(), telemetry=telemetry) as engine:
        await engine.run(quick)
        assert await engine.run(asks) is False
    assert {("quick", "completed"): 1, ("asks", "completed"): 1} == watched.metrics()["wfactors.workflow.ends"]
    assert () == watched.spans


def test_the_global_provider_is_taken_if_none_is_given() -> None:
    """In a process of its own, since it can be set once."""
    code = """
import trio, wfactors as wf
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wfactors.telemetry import IdGenerator

exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider(id_generator=IdGenerator()))
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))

@wf.workflow
async def quick() -> None: ...

async def main():
    async with wf.open_engine(register=[quick], telemetry=wf.Telemetry()) as engine:
        await engine.run(quick)
    print(*(span.name for span in exporter.get_finished_spans()))

trio.run(main)
"""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert "workflow quick\n" == result.stdout


def test_nothing_of_opentelemetry_is_imported_without_it() -> None:
    """Not for workflow code, not for an engine: only for one with telemetry."""
    code = """
import sys, trio, wfactors as wf

def loaded():
    return any(name.startswith("opentelemetry") for name in sys.modules)

async def main():
    async with wf.open_engine():
        print(loaded())
    async with wf.open_client("memory://", telemetry=wf.Telemetry()):
        print(loaded())

print(loaded())
trio.run(main)
"""
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ["False", "False", "True"] == result.stdout.split()


def test_only_what_is_there_can_be_imported() -> None:
    """The id generator comes when it is named; anything else is an AttributeError."""
    with pytest.raises(AttributeError, match=r"module 'wfactors.telemetry' has no attribute 'IdGenerators'"):
        wf.telemetry.IdGenerators  # type: ignore[attr-defined]  # noqa: B018
