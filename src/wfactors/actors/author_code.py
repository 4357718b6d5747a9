"""Call author code from the engine: Trio out of its reach, the watchdog watching, and whatever it does, the loop whole.

An interrupt of the watchdog is asynchronous. It may strike not in author code but just behind it, at any call that the
engine makes. So Trio's context is put back only after ``Watchdog.end`` has returned, when nothing strikes any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from wfactors.actors.guard import TrioGuard
from wfactors.actors.watchdog import TurnInterrupted, Watchdog

__all__ = ["AuthorCode"]

T = TypeVar("T")


class AuthorCode:
    """Runs one function of an author's at a time."""

    __slots__ = ("_guard", "_watchdog")

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._guard = TrioGuard()

    @trio.lowlevel.enable_ki_protection
    def call(self, subject: str, function: Callable[[], T]) -> T:
        """Return what ``function`` returns, or raise what it raises; ``subject`` names its workflow.

        Ctrl-C is not for the workflow that happens to run: Trio gives it to the main task. So a KeyboardInterrupt out
        of author code is the author's own, and a failure like others.

        Raises:
            TurnInterrupted: It took too long; with its stack.
        """
        watchdog, guard = self._watchdog, self._guard
        stack: str | None = None
        try:
            # Inside: from its last statement on, an interrupt may strike.
            watchdog.begin(subject)
            guard.__enter__()
            return function()
        except TurnInterrupted:
            stack = "interrupted"
        finally:
            while True:
                try:
                    stack = watchdog.end() or stack
                    break
                except TurnInterrupted:
                    stack = stack or "interrupted"
            guard.__exit__()
            if stack is not None:
                # In place of what it returned or raised meanwhile.
                raise TurnInterrupted(stack)
        raise AssertionError("not reached: an interrupted call has raised")
