"""How the engine's own work shares the event loop: in slices of about a millisecond, whatever its length.

Not only for the sake of others on the loop: a writer thread of a store needs the interpreter for each of its steps, and
waits for as long as Python code runs without a checkpoint. Work is cut where it is consistent: between two turns, two
steps of tasks in a turn, two effects of it, two statements of a batch, two actions after a commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypeVar

import trio

__all__ = ["SLICE_SECONDS", "Pace", "paced_list"]

T = TypeVar("T")

SLICE_SECONDS = 0.001


class Pace:
    """Measures one slice of work after another; the first begins when this is made."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = time.perf_counter() + SLICE_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether the slice has used up its time."""
        return time.perf_counter() >= self._end

    async def keep(self) -> None:
        """Let others on the loop go first if the slice is over, and begin the next one; else return at once."""
        if time.perf_counter() >= self._end:
            await trio.lowlevel.checkpoint()
            self._end = time.perf_counter() + SLICE_SECONDS


async def paced_list(items: Iterable[T]) -> list[T]:
    """The list of ``items``, which are made while it is built; for iterators that do a small part of some work each."""
    made, pace = [], Pace()
    for item in items:
        made.append(item)
        await pace.keep()
    return made
