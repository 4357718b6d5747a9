"""``python -m wfactors.testing.simulator --seeds 0:10000 --report``: run seeds, say what they found.

The exit code is 0 if nothing was broken and everything was reached, 1 if something was broken, and 2 if nothing was
broken but some fault, operation or rare path never came up, so that the run proves little.
"""

from __future__ import annotations

import random
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from wfactors.testing.simulator.report import WANTED, Summary, run_seeds
from wfactors.testing.simulator.run import Outcome, run_twice

_EXITS = {"passed": 0, "failed": 1, "inconclusive": 2}
_SHOWN_MAX = 20

console = Console()
app = typer.Typer(add_completion=False)


@app.command()
def main(
    seeds: Annotated[
        str, typer.Option(help="FIRST:END, or a number of seeds to be chosen at random.", metavar="A:B")
    ] = "100",
    *,
    jobs: Annotated[int, typer.Option(help="Processes to run them on.", min=1)] = 1,
    trace: Annotated[bool, typer.Option("--trace", help="Print what happened in each seed.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Show a table of all that was counted.")] = False,
) -> None:
    """Run production engines in simulated worlds of faults, and check that nothing is lost."""
    first, end = _range(seeds)
    if trace:
        summary = _run_traced(first, end)
    else:
        with Progress(
            TextColumn("seeds {task.fields[first]}:{task.fields[end]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[bad]}"),
            TimeRemainingColumn(),
            console=console,
        ) as progress:
            bar = progress.add_task("", total=end - first, first=first, end=end, bad="")

            def on_part(part: Summary) -> None:
                progress.advance(bar, part.seeds)
                for failure in part.failures:
                    progress.update(bar, bad=f"seed {failure.seed} failed")
                    progress.console.print(failure.command, style="red", highlight=False, soft_wrap=True)

            summary = run_seeds(first, end, jobs, on_part=on_part)
        if report:
            _show_counts(summary)
    raise typer.Exit(_show_verdict(summary, is_whole=not trace))


def _range(seeds: str) -> tuple[int, int]:
    """The seeds asked for; chosen by the system if only a number of them is given."""
    first, colon, end = seeds.partition(":")
    try:
        if not colon:
            start = random.SystemRandom().randrange(10**9)
            return start, start + int(first)
        if int(end) > int(first):
            return int(first), int(end)
    except ValueError:
        pass
    raise typer.BadParameter(f"{seeds!r} is neither FIRST:END nor a number")


def _run_traced(first: int, end: int) -> Summary:
    from wfactors.testing.simulator.report import Failure  # noqa: PLC0415

    summary = Summary()
    for seed in range(first, end):
        outcome: Outcome = run_twice(seed)
        console.print(outcome.trace.text(), highlight=False, markup=False, soft_wrap=True)
        if outcome.error is not None:
            import traceback  # noqa: PLC0415

            console.print("".join(traceback.format_exception(outcome.error)), highlight=False, markup=False)
        summary.seeds += 1
        if outcome.violations:
            summary.failures.append(Failure(seed, outcome.violations))
    return summary


def _show_counts(summary: Summary) -> None:
    table = Table("what", "times", "in of the seeds", title="What the seeds reached")
    table.columns[1].justify = table.columns[2].justify = "right"
    for name, count in sorted(summary.counts.items()):
        table.add_row(name, f"{count:,}", f"{summary.reached[name] / summary.seeds:.2%}")
    for name in sorted({*WANTED} - summary.reached.keys()):
        table.add_row(name, "never", "", style="red")
    console.print(table)
    console.print(
        f"{summary.seeds:,} seeds, each run twice, {len(summary.digests):,} of them different; "
        f"{summary.virtual_seconds / 3600:,.1f} virtual hours; "
        f"{summary.seeds_per_second:.0f} seeds a second and core"
    )


def _show_verdict(summary: Summary, *, is_whole: bool) -> int:
    for failure in summary.failures[:_SHOWN_MAX]:
        console.print(f"seed {failure.seed}:", style="red")
        for text in failure.violations:
            console.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"  {failure.command}", style="bold", highlight=False, soft_wrap=True)
    verdict = summary.verdict if is_whole or summary.failures else "passed"
    if verdict == "inconclusive":
        console.print(f"never reached: {', '.join(summary.missing)}", style="yellow")
    console.print(f"{verdict}: {len(summary.failures)} of {summary.seeds} seeds broke something", style="bold")
    return _EXITS[verdict]


if __name__ == "__main__":
    app()
