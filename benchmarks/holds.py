"""How long the event loop is held without a checkpoint: by the engine, and by turns of workflows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from wfactors.actors.author_code import AuthorCode


class Holds(trio.abc.Instrument):
    """Watches each step of each task; the time that turns of workflows take is counted apart.

    Measured on the processor: what neighbours on the machine take from this thread, and the wait for the interpreter
    while another thread has it, are not the engine's doing.
    """

    def __init__(self) -> None:
        self._started = time.thread_time()
        self._engine = 0.0
        self._turn = 0.0

    @property
    def engine_ms(self) -> float:
        """The longest step, without what is in it of turns."""
        return round(self._engine * 1e3, 3)

    @property
    def turn_ms(self) -> float:
        """The longest part of a turn."""
        return round(self._turn * 1e3, 3)

    def before_task_step(self, _: trio.lowlevel.Task) -> None:
        """Trio resumes a task."""
        self._started = time.thread_time()

    def after_task_step(self, _: trio.lowlevel.Task) -> None:
        """It waits again, or has ended."""
        self._engine = max(self._engine, time.thread_time() - self._started)

    def count_turn(self, seconds: float) -> None:
        """A part of a turn took so long."""
        self._turn = max(self._turn, seconds)
        self._started += seconds


@contextmanager
def watched() -> Iterator[Holds]:
    """Watch the loop inside the block."""
    seen = Holds()
    call = AuthorCode.call

    def timed(self: AuthorCode, subject: str, function: Callable[[], Any], *more: Any) -> Any:
        started = time.thread_time()
        try:
            return call(self, subject, function, *more)
        finally:
            seen.count_turn(time.thread_time() - started)

    AuthorCode.call = timed  # type: ignore[method-assign]
    trio.lowlevel.add_instrument(seen)
    try:
        yield seen
    finally:
        trio.lowlevel.remove_instrument(seen)
        AuthorCode.call = call  # type: ignore[method-assign]
