"""Where output goes, and how it looks: tables on a terminal, whole lines in a pipe, JSON for machines.

Colours are the terminal's own sixteen, so they suit a light and a dark one; ``NO_COLOR`` switches them off. Every
colour stands beside a word or a sign that says the same.
"""

# ruff: noqa: PLC0415 - a node has nothing to paint, as a rule

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wfactors.cli.text import safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["STYLES", "error_console", "fitted", "out_console", "print_json", "status_text"]

STYLES = {
    "open": "cyan",
    "parked": "bold yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "magenta",
    "terminated": "magenta",
    "continued": "dim",
}
SIGNS = {
    "open": "●",
    "parked": "‖",
    "completed": "✓",
    "failed": "✗",
    "cancelled": "⊘",
    "terminated": "■",
    "continued": "→",
}
_WIDTH_PIPED = 100_000
_COLUMN_WIDTH_MIN = 4


def out_console() -> Console:
    """Standard output: as wide as the terminal, or as what is written if it is none."""
    return _console(is_error=False)


def error_console() -> Console:
    """Standard error."""
    return _console(is_error=True)


def _console(*, is_error: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if is_error else sys.stdout
    is_narrow = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=is_error, highlight=False, markup=False, width=None if is_narrow else _WIDTH_PIPED)


def fitted(naturals: Sequence[int], is_flexible: Sequence[bool], room: int) -> list[int]:
    """Widths of columns that together fit into ``room``: what is too wide gives way, the widest first.

    Args:
        naturals: How wide each would be.
        is_flexible: Which ones may be cut.
        room: Cells there are.
    """
    widths = list(naturals)
    while sum(widths) > room:
        widest = max((width, -index) for index, width in enumerate(widths) if is_flexible[index])
        if widest[0] <= _COLUMN_WIDTH_MIN:
            break
        widths[-widest[1]] -= 1
    return widths


def print_json(value: Any) -> None:
    """Write one JSON value to standard output: indented on a terminal, on one line in a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")
    sys.stdout.flush()


def status_text(status: str, parked: str | None = None) -> Text:
    """A status with its sign and its colour."""
    from rich.text import Text

    word = "parked" if parked is not None and status == "open" else status
    return Text(f"{SIGNS[word]} {word}", style=STYLES[word])


def print_problem(sentence: str, hint: str) -> None:
    """Say on standard error what is wrong and what to do next."""
    from rich.text import Text

    text = Text("error: ", style="bold red")
    text.append(safe(sentence, keep_lines=True), style="not bold default")
    if hint:
        text.append(f"\n  {safe(hint, keep_lines=True)}", style="not bold default")
    error_console().print(text, soft_wrap=True)


def print_note(sentence: str) -> None:
    """Say on standard error what is worth knowing."""
    from rich.text import Text

    text = Text("note: ", style="yellow")
    text.append(safe(sentence, keep_lines=True), style="default")
    error_console().print(text, soft_wrap=True)
