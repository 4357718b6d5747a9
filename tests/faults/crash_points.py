"""Crash before and after every statement of a workload that uses everything."""

from __future__ import annotations

import logging
import os
import random
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
from wfactors.testing.auditor import audit, results
from wfactors.testing.crashes import Outcome, fork, points, sweep

SECONDS_MAX = 15.0


def store_of(folder: Path) -> wf.SqliteStore:
    """The store of one point."""
    return wf.SqliteStore(folder / "store.db", synchronous="normal")


def work(folder: Path) -> None:
    """Run the workload; ends itself at its point."""
    trio.run(_run, folder, False)


def check(folder: Path) -> list[str]:
    """Finish the workload, audit the store, compare the results with those of the undisturbed run."""
    dump = trio.run(_run, folder, True)
    entries = workload.log().read()
    found = [str(violation) for violation in audit(dump, entries, workload.application())]
    # Whether a child of a workflow that is terminated at once has begun is a matter of chance.
    ended = repr([result for result in results(dump) if result[0] != "linger"])
    expected = folder.parent / "expected"
    if not expected.exists():
        expected.write_text(ended)
    elif ended != expected.read_text():
        found.append(f"other results than undisturbed: {ended}")
    return found


async def _run(folder: Path, is_last: bool) -> dict[str, list[dict[str, object]]]:
    log = workload.use_log(folder / "effects")
    random.seed(folder.name)
    store = store_of(folder)
    with trio.fail_after(SECONDS_MAX):
        async with wf.open_engine(store, register=workload.REGISTER, queues=workload.QUEUES, grace=1) as engine:
            for partition in engine.statistics().partitions:
                log.note("owner", partition=partition.partition, epoch=partition.epoch, node=engine.name)
            try:
                await workload.tell_stories(engine)
                await workload.settle(engine)
            except trio.Cancelled:
                await _show(engine)
                raise
        if not is_last:
            return {}
        async with store.open():
            return await store.dump()


async def _show(engine: wf.Engine) -> None:
    """Say what did not end in time."""
    with trio.CancelScope(shield=True):
        async for item in engine.list(status="open"):
            described = await (await engine.get(item.id)).describe()
            print(f"open: {item.workflow} {item.id} run {item.run} {described.waits_for}")
        print(engine.statistics())


def main(
    every: Annotated[int, typer.Option(min=1, help="Only each n-th statement.")] = 1,
    offset: Annotated[int, typer.Option(min=-1, help="Statements to skip first; -1 for a random number.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Where to keep the stores; a temporary one if not given.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Points at once.")] = 2,
) -> None:
    """Crash at every point, finish, audit; exits with 1 if any promise was broken."""
    logging.disable(logging.WARNING)
    skipped = random.SystemRandom().randrange(every) if offset < 0 else offset
    print(f"every {every}th statement from {skipped + 1}")
    with tempfile.TemporaryDirectory(prefix="wfactors-crashes-") as temporary:
        place = Path(temporary) if folder is None else folder
        place.mkdir(exist_ok=True)
        (undisturbed := place / "undisturbed").mkdir()
        began = time.perf_counter()
        # In a child: a process that is forked from must not have had threads.
        if os.waitpid(fork(lambda: _undisturbed(undisturbed)), 0)[1]:
            sys.exit("the undisturbed run has failed")
        outcomes = _sweep(every, skipped, place, parallel)
        failed = [outcome for outcome in outcomes if outcome.problems]
        reached = sum(outcome.is_reached for outcome in outcomes)
        for outcome in failed:
            print(f"{outcome.point} ({outcome.statement}):", *outcome.problems, sep="\n    ")
        print(f"{reached} crashes in {time.perf_counter() - began:.1f} s, {len(failed)} with broken promises")
        sys.exit(bool(failed) or reached == 0)


def _undisturbed(folder: Path) -> None:
    problems = check(folder)
    assert problems == []


def _sweep(every: int, skipped: int, place: Path, parallel: int) -> list[Outcome]:
    outcomes = []
    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("crashing", total=None)
        for outcome in sweep(
            work, check, points(every, skipped), place, parallel=parallel, seconds_max=SECONDS_MAX + 5
        ):
            outcomes.append(outcome)
            bad = sum(bool(each.problems) for each in outcomes)
            progress.update(task, completed=len(outcomes), description=f"{outcome.point}, {bad} with broken promises")
    return outcomes


if __name__ == "__main__":
    typer.run(main)
