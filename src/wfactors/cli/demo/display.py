"""How the demo is shown: live bars on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from wfactors.cli.demo.looking import Look

__all__ = ["Display", "LiveDisplay", "PlainDisplay", "open_display"]

_PLAIN_SECONDS = 1.0


class Display(Protocol):
    """What the demo tells its story to."""

    def say(self, text: str, style: str = "", sign: str = " ") -> None:
        """Write a line that stays."""
        ...

    def update(self, look: Look, state: str, style: str = "") -> None:
        """Show where the pipeline is now."""
        ...


@contextmanager
def open_display(console: Console) -> Iterator[Display]:
    """The display that fits the console."""
    began = time.monotonic()
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainDisplay(console, began)
        return
    display = LiveDisplay(console, began)
    with display.live:
        yield display


def _stamp(began: float) -> str:
    return f"{time.monotonic() - began:5.1f} s"


class PlainDisplay:
    """A line now and then, for pipes and logs."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._last = ("", -_PLAIN_SECONDS)

    def say(self, text: str, style: str = "", sign: str = " ") -> None:
        """Write a line."""
        line = Text.assemble((_stamp(self._began), "dim"), " ", (sign, style), " ", (text, style))
        self._console.print(line, soft_wrap=True)

    def update(self, look: Look, state: str, style: str = "") -> None:
        """Write a line if the last one was a while ago and said something else."""
        words = f"files {look.done}/{look.files or '?'}, activities {look.activities}/{look.calls or '?'}, "
        words += f"events {look.events:,}: {state}"
        now = time.monotonic()
        if words == self._last[0] or now - self._last[1] < _PLAIN_SECONDS:
            return
        self._last = (words, now)
        self.say(words, style)


class LiveDisplay:
    """Bars at the foot, the story above."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=None, style="dim", complete_style="cyan", finished_style="green"),
            TextColumn("{task.fields[count]}", justify="right"),
            console=console,
            expand=True,
        )
        self._files = self._add("files")
        self._activities = self._add("activities")
        self._state = Text("")
        self.live = Live(console=console, refresh_per_second=12, get_renderable=self._render)

    def _add(self, name: str) -> TaskID:
        return self._bars.add_task(name, total=None, start=False, count="")

    def _render(self) -> Group:
        head = Text.assemble((_stamp(self._began), "dim"), " ")
        head.append_text(self._state)
        return Group(Text(""), self._bars, head)

    def say(self, text: str, style: str = "", sign: str = " ") -> None:
        """Write a line above the bars; a long one goes on below its own beginning."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(_stamp(self._began), Text(sign, style=style), Text(text, style=style))
        self._console.print(grid)

    def update(self, look: Look, state: str, style: str = "") -> None:
        """Move the bars."""
        self._move(self._files, look.done, look.files)
        self._move(self._activities, look.activities, look.calls)
        self._state = Text.assemble((state, style), (f"   {look.events:,} events, {look.attempts:,} attempts", "dim"))

    def _move(self, task: TaskID, done: int, total: int | None) -> None:
        count = f"{done:>6,} / {total:,}" if total is not None else f"{done:>6,}"
        self._bars.update(task, completed=done, total=total, count=count)
