"""From ``kill -9`` of the owner to the first step of its successor, on one SQLite file.

Two processes run engines; one owns the partition and runs a workflow that never rests, the other stands by. The owner
is killed, and the clock stops when the successor runs an activity that its own turn has called.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import attrs
import typer

from benchmarks.harness import Format, Repeat, report
from tests.faults.crew import Crew, open_crew
from tests.faults.scenes import hear_effects, start_tickers

app = typer.Typer(add_completion=False)

_TICKS_BEFORE = 20


@attrs.frozen
class Result:
    """One measurement, in the order of the CSV columns."""

    store: str
    lease_seconds: float
    recovery_seconds: float


def measure(crew: Crew) -> Result:
    """Kill the owner in the middle of its work."""
    hear_effects(crew, crew.owner, _TICKS_BEFORE)
    began = time.perf_counter()
    crew.kill(crew.owner)
    seconds = crew.hear_progress() - began
    crew.start_worker()
    return Result("sqlite", crew.lease, seconds)


@app.command()
def main(repeat: Repeat = 5, lease: float = 10.0, format: Format = "text") -> None:
    """Measure; the lease shows that nobody waited for it."""
    with tempfile.TemporaryDirectory(prefix="wfactors-benchmark-") as folder, open_crew(Path(folder), 2, lease) as crew:
        start_tickers(crew, 10_000)
        results = [measure(crew) for _ in range(repeat)]
    report("kill -9 of the owner to first progress", results, format)


if __name__ == "__main__":
    app()
