"""What the benchmarks share: fresh stores, and figures as text, CSV or JSON."""

from __future__ import annotations

import csv
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from wfactors import tune_process

TEMPORARY = ":temporary:"
_WIDE = 1000

Store = Annotated[str, typer.Option(help=f"URL of the store; '{TEMPORARY}' as its path makes a new file each time.")]
Repeat = Annotated[int, typer.Option(min=1, help="Measure this often.")]
Format = Annotated[Literal["text", "csv", "json"], typer.Option(help="How to print the figures.")]
Plot = Annotated[Path | None, typer.Option(help="Draw the figures into this PNG file; needs the extra 'plot'.")]


def fresh(store: str, repeat: int = 1) -> Iterator[str]:
    """The URL of a fresh store, ``repeat`` times; temporary files are removed when the next one is asked for.

    The process is tuned as ``wfactors run`` tunes its own: a benchmark is an engine's own process.
    """
    tune_process()
    for _ in range(repeat):
        if TEMPORARY not in store:
            yield store
            continue
        with tempfile.TemporaryDirectory(prefix="wfactors-benchmark-") as folder:
            yield store.replace("/" + TEMPORARY, "/" + str(Path(folder) / "store.db"))


def report(title: str, results: Sequence[Any], format: str, *, key: str | None = None) -> None:
    """Print results (attrs values of one class), and their median where there are several.

    Args:
        title: What was measured.
        results: A value for each measurement.
        format: How to print them.
        key: The field that tells measurements apart; as text, those with the same value are told by their median.
    """
    rows = [attrs.asdict(result) for result in results]
    if format == "csv":
        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif format == "json":
        print(json.dumps(rows, indent=2))
    else:
        console = Console()
        rows = rows if key is None else _medians(rows, key)
        table = _wide_table(title, rows, key)
        if Measurement.get(console, console.options.update(max_width=_WIDE), table).maximum > console.width:
            table = _long_table(title, rows, key)
        console.print(table)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (from 0 to 1) of the others lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The k of y ~ x^k that fits the points best; 0 where there are not two sizes to compare."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    if len({x for x, _ in logs}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in logs], [y for _, y in logs]).slope


# --- Tables ----------------------------------------------------------------------------------------------------------


def _wide_table(title: str, rows: Sequence[dict[str, Any]], key: str | None) -> Table:
    """A line for each measurement."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    if len(rows) > 1 and key is None:
        table.add_section()
        table.add_row(*(_shown(_median([row[name] for row in rows])) for name in rows[0]), style="bold")
    return table


def _long_table(title: str, rows: Sequence[dict[str, Any]], key: str | None) -> Table:
    """A line for each figure, for where the other does not fit."""
    table = Table(title=title)
    table.add_column("figure" if key is None else key)
    if key is not None:
        headings = [_shown(row[key]) for row in rows]
    else:
        headings = ["median", "least", "most"] if len(rows) > 1 else ["value"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for name in rows[0]:
        if name != key:
            values = [row[name] for row in rows]
            several = values if key is not None else [_median(values), min(values), max(values)]
            table.add_row(name, *map(_shown, several if len(set(values)) > 1 else values[:1]))
    return table


def _medians(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """One row for each value of ``key``."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return [{name: _median([row[name] for row in group]) for name in group[0]} for group in groups.values()]


def _median(values: Sequence[Any]) -> Any:
    if all(isinstance(value, int | float) for value in values):
        return statistics.median(values)
    return "median" if len(set(values)) > 1 else values[0]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
