"""``python -m tests.faults.fuzz --cases 1000000 --seed 1``: malformed input, and what came of it.

The exit code is 1 if anything but a documented error came out of a reader, if one took longer than a few seconds, or
if a well-formed neighbour was read otherwise afterwards. Each find comes with the command that repeats it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import random
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.faults.fuzz_stores import MemoryRows, SqliteRows
from tests.faults.fuzz_targets import Histories, Payloads, Rows, Target

TARGETS: dict[str, Callable[[str], Target]] = {
    "histories": Histories,
    "payloads": Payloads,
    "rows": Rows,
    "memory": MemoryRows,
    "sqlite": SqliteRows,
}
SHARES = {"histories": 0.6, "payloads": 0.3, "rows": 0.0985, "memory": 0.001, "sqlite": 0.0005}
"""Of all cases: whole engines are slower than readers."""

CASE_SECONDS_MAX = 5.0
CHECKED_EVERY = 2_000
FINDS_MAX = 20

console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Hung(BaseException):
    """A case took more processor time than any may."""


@attrs.frozen
class Find:
    """A case that came out as nothing documented."""

    target: str
    seed: str
    number: int
    words: str

    @property
    def command(self) -> str:
        return f"python -m tests.faults.fuzz --seed {self.seed} --only {self.target}:{self.number}"

    def __str__(self) -> str:
        return f"{self.target} case {self.number}: {self.words}\n  {self.command}"


@attrs.define
class Report:
    """What the cases of one target came to."""

    cases: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    finds: dict[str, Find] = attrs.field(factory=dict)

    def note(self, find: Find) -> None:
        """Keep the first of each kind."""
        self.finds.setdefault(find.words.splitlines()[-1], find)


def fuzz(
    name: str,
    seed: str,
    numbers: range,
    *,
    tick: Callable[[int], None] = lambda count: None,
    target: Target | None = None,
) -> Report:
    """Run the cases of these numbers on one target; the same seed and number are the same case."""
    target = target or TARGETS[name](seed)
    report = Report()
    start = time.process_time()
    with _strays() as strays, _limited(strays) as limit:
        for number in numbers:
            limit(CASE_SECONDS_MAX)
            made = target.make(case_rng(name, seed, number))
            outcome, words = _one(target, made, strays)
            report.outcomes[outcome] += 1
            if words:
                report.note(Find(name, seed, number, words))
            report.cases += 1
            if report.cases % CHECKED_EVERY == 0:
                tick(CHECKED_EVERY)
                limit(60 * CASE_SECONDS_MAX)
                _check(target, report, Find(name, seed, number, ""))
            if len(report.finds) >= FINDS_MAX:
                break
        limit(60 * CASE_SECONDS_MAX)
        _check(target, report, Find(name, seed, numbers[-1], ""))
    tick(report.cases % CHECKED_EVERY)
    report.seconds = time.process_time() - start
    return report


def case_rng(name: str, seed: str, number: int) -> random.Random:
    return random.Random(f"{seed} {name} {number}")


def _one(target: Target, made: tuple[Any, ...], strays: list[str]) -> tuple[str, str]:
    """What the case came to, and what is wrong with that, if anything."""
    try:
        outcome, words = target.read(*made) or "read", ""
    except target.expected as error:
        outcome, words = type(error).__name__, ""
    except (Exception, Hung) as error:  # noqa: BLE001  This is what it looks for.
        outcome = type(error).__name__
        words = "".join(traceback.format_exception(error, limit=-4)).strip()[-1500:]
    if strays:
        outcome, words = "stray", "; ".join(strays)
        strays.clear()
    return outcome, words


def _check(target: Target, report: Report, find: Find) -> None:
    try:
        target.check()
    except Exception as error:  # noqa: BLE001  As above.
        report.outcomes["neighbour"] += 1
        report.note(attrs.evolve(find, words=f"a case up to here: {error!r:.500}"))


@contextlib.contextmanager
def _strays() -> Iterator[list[str]]:
    """Warnings, and exceptions that nobody could raise: coroutines never awaited, errors in finalisers."""
    found: list[str] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: found.append(f"{unraisable.err_msg} {unraisable.exc_value!r}")
    gc.collect()
    # What engines say of broken rows, many times over.
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield found
    finally:
        sys.unraisablehook = before
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _limited(strays: list[str]) -> Iterator[Callable[[float], None]]:
    """A function that allows so many seconds of processor time from now on; after them Hung is raised.

    It is noted among the strays too: an author's code that catches it, or fails with it, must not hide it.
    """

    def interrupt(*_: Any) -> None:
        strays.append("took too long")
        raise Hung

    before = signal.signal(signal.SIGVTALRM, interrupt)
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_VIRTUAL, seconds) and None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# --- The command -----------------------------------------------------------------------------------------------------


@app.command()
def main(
    cases: Annotated[int, typer.Option(help="How many, over all targets.", min=3)] = 100_000,
    seed: Annotated[str, typer.Option(help="What the cases are made from; by chance if not given.")] = "",
    only: Annotated[str, typer.Option(help="A target, or TARGET:NUMBER for one case.", metavar="TARGET")] = "",
) -> None:
    """Feed malformed input to what reads histories, payloads and rows."""
    seed = seed or str(random.SystemRandom().randrange(2**32))
    name, _, number = only.partition(":")
    if number:
        _repeat(name, seed, int(number))
        return
    names = [name] if name else list(TARGETS)
    reports = {}
    start = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for each in names:
            total = cases if name else max(1, round(cases * SHARES[each]))
            task = progress.add_task(each, total=total)
            reports[each] = fuzz(each, seed, range(total), tick=functools.partial(progress.advance, task))
    _show(reports, seed, time.perf_counter() - start)
    raise typer.Exit(1 if any(report.finds for report in reports.values()) else 0)


def _repeat(name: str, seed: str, number: int) -> None:
    console.print(f"{TARGETS[name](seed).make(case_rng(name, seed, number))!r:.3000}", markup=False, soft_wrap=True)
    report = fuzz(name, seed, range(number, number + 1))
    console.print(*report.outcomes, *[find.words for find in report.finds.values()], markup=False)
    raise typer.Exit(1 if report.finds else 0)


def _show(reports: dict[str, Report], seed: str, seconds: float) -> None:
    table = Table("target", "cases", "outcomes", "cases a second", "finds", title=f"seed {seed}, {seconds:.0f} s")
    for name, report in reports.items():
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in report.outcomes.most_common())
        rate = f"{report.cases / report.seconds:,.0f}"
        table.add_row(name, f"{report.cases:,}", outcomes, rate, str(len(report.finds)))
    console.print(table)
    for report in reports.values():
        for find in report.finds.values():
            console.print(str(find), markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
