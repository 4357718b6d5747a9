"""Call author code from the engine: Trio out of its reach, the watchdog watching, and whatever it does, the loop whole.

An interrupt of the watchdog is asynchronous. It may strike not in author code but just behind it, at any call that the
engine makes. So Trio's context is put back only after ``Watchdog.end`` has returned, when nothing strikes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import thread_time
from typing import TYPE_CHECKING, TypeVar

import trio

from wfactors.actors.guard import TrioGuard
from wfactors.actors.watchdog import TurnInterrupted, Watchdog

if TYPE_CHECKING:
    from wfactors.kernel.run import Run
    from wfactors.model.events import Decision

__all__ = ["AuthorCode"]

T = TypeVar("T")

_STACKS_MAX = 5


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

    def rest_of_turn(self, subject: str, run: Run) -> Generator[None, None, list[Decision]]:
        """Go on with a turn whose first part, ``call(subject, partial(run.begin, fact))``, was not all of it.

        Does one part after each step, and returns the decisions.

        Raises:
            TurnInterrupted: One part took too long, or all of them together; with its stack.
        """
        decisions: list[Decision] | None = None
        spent = 0.0
        while decisions is None:
            yield
            began = thread_time()
            decisions = self.call(subject, run.go_on)
            spent += thread_time() - began
            if decisions is None and spent > self._watchdog.seconds_max:
                # Its tasks keep each other busy. The watchdog, which looks at one part at a time, does not see that.
                raise TurnInterrupted(f"it did not come to rest; its tasks were here:\n{_stacks(run)}")
        return decisions


def _stacks(run: Run) -> str:
    lines = []
    for stack in run.stacks()[:_STACKS_MAX]:
        lines.append(f"  task {stack.name}\n")
        lines += [f'    File "{frame.file}", line {frame.line}, in {frame.function}\n' for frame in stack.frames]
    return "".join(lines)
