"""kill -9 at random under load: ``python -m tests.faults.kills --kills 50``."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.progress import Progress

import wfactors as wf
from tests.faults import workload
from tests.faults.crew import Crew, open_crew, store_of

LINES_MAX = 120


async def _load(folder: Path, stop: Path) -> None:
    """Tell the stories over and over, three at a time, until asked to stop."""
    async with wf.open_client(store_of(folder)) as client, trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(_tell, client, number, stop)
    workload.log().note("done")


async def _tell(client: wf.Client, number: int, stop: Path) -> None:
    turn = 0
    while not os.path.exists(stop):  # noqa: ASYNC240, PTH110 - it takes microseconds
        with trio.fail_after(60):
            await workload.tell_stories(client, f"{number}-{turn}-")
        turn += 1


def kill_at_random(crew: Crew, kills: int, rng: random.Random, progress: Progress | None = None) -> list[float]:
    """Kill workers under load and replace them; returns the seconds from each death of an owner to progress."""
    stop = crew.folder / "stop"
    client = crew.start(lambda: trio.run(_load, crew.folder, stop))
    task = progress.add_task("killing", total=kills) if progress else None
    recoveries = []
    for _ in range(kills):
        for _ in range(rng.randrange(1, LINES_MAX)):
            crew.hear()
        # The owner more often: that is where it hurts.
        victim = crew.owner if rng.random() < 0.7 and crew.owner in crew.workers else rng.choice(crew.workers)
        was_owner = victim == crew.owner
        began = time.perf_counter()
        crew.kill(victim)
        if was_owner:
            recoveries.append(crew.hear_progress() - began)
        crew.start_worker()
        if progress and task is not None:
            progress.advance(task)
    stop.touch()
    crew.hear_until(lambda entry: entry.kind == "done")
    assert 0 == os.waitpid(client, 0)[1]
    return recoveries


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    workers: Annotated[int, typer.Option(min=2, help="Processes at once.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the random numbers; 0 for a new one.")] = 0,
) -> None:
    """Kill workers under load; exits with 1 if a promise was broken."""
    seed = seed or random.SystemRandom().randrange(1, 2**32)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="wfactors-kills-") as temporary:
        folder = Path(temporary)
        with open_crew(folder, workers) as crew, Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
            recoveries = kill_at_random(crew, kills, random.Random(seed), progress)
            crew.leave()
        problems = crew.audit()
        if problems:
            shutil.copytree(folder, kept := Path(tempfile.mkdtemp(prefix="wfactors-broken-")), dirs_exist_ok=True)
            print(f"kept in {kept}")
        workflows = sum(entry.kind == "start" for entry in workload.use_log(folder / "effects").read())
    for problem in problems:
        print(problem)
    if recoveries:
        print(f"first progress after {statistics.median(recoveries):.3f} s, at most {max(recoveries):.3f} s")
    print(f"{kills} kills, {workflows} workflows started by clients, {len(problems)} broken promises")
    sys.exit(bool(problems))


if __name__ == "__main__":
    typer.run(main)
