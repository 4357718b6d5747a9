"""The pictures of the benchmarks; needs the extra ``plot``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

__all__ = ["bars", "distribution", "growth"]


def bars(path: Path, title: str, unit: str, values: Mapping[str, Sequence[float]]) -> None:
    """A bar for each name, as high as the median, with every measurement as a dot on it."""
    with _axes(path, title) as axes:
        medians = [sorted(group)[len(group) // 2] for group in values.values()]
        places = axes.bar(list(values), medians, color="#9db8d9", width=0.6)
        axes.bar_label(places, fmt="{:,.4g}", padding=3)
        for name, group in values.items():
            axes.plot([name] * len(group), group, "o", color="#24456b", markersize=4)
        axes.set_ylabel(unit)


def growth(path: Path, title: str, x: str, y: str, points: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """How ``y`` grows with ``x``, on logarithmic axes: a straight line for each power."""
    with _axes(path, title) as axes:
        for name, group in points.items():
            ordered = sorted(group)
            axes.loglog([at for at, _ in ordered], [value for _, value in ordered], "o-", label=name, markersize=4)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend()


def distribution(path: Path, title: str, x: str, samples: Mapping[str, Sequence[float]]) -> None:
    """Which share of the samples lies below ``x``, a line for each name; the last percent is not shown."""
    with _axes(path, title) as axes:
        for name, group in samples.items():
            ordered = sorted(group)[: max(len(group) * 99 // 100, 1)]
            shares = [100 * (number + 1) / len(group) for number in range(len(ordered))]
            axes.plot(ordered, shares, label=f"{name}, p50 {ordered[len(group) // 2]:.3g}", drawstyle="steps-post")
        axes.set_xlabel(x)
        axes.set_ylabel("% of samples below")
        axes.legend()


@contextmanager
def _axes(path: Path, title: str) -> Iterator[Any]:
    """Axes to draw on; the file is written at the end."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise typer.BadParameter("needs matplotlib: pip install 'wfactors[plot]'", param_hint="--plot") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    yield axes
    figure.savefig(path, dpi=120)
