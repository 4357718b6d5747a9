"""Call author code from the engine: Trio out of its reach, the watchdog watching, and whatever it does, the loop whole.

An interrupt of the watchdog is asynchronous. It may strike not in author code but just behind it, at any call that the
engine makes. So Trio's context is put back only after ``Watchdog.end`` has returned, when nothing strikes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, TypeVar

import trio

from wfactors.actors.guard import TrioGuard
from wfactors.actors.watchdog import TurnInterrupted, TurnTime, Watchdog

if TYPE_CHECKING:
    from wfactors.kernel.run import Run
    from wfactors.model.events import Decision

__all__ = ["AuthorCode"]

T = TypeVar("T")

_STACKS_MAX = 5


class AuthorCode:
    """Runs one function of an author's at a time."""

    __slots__ = ("_began", "_guard", "_watchdog")

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._guard = TrioGuard()
        self._began = 0.0

    @trio.lowlevel.enable_ki_protection
    def call(self, subject: str, function: Callable[[], T], time: TurnTime | None = None) -> T:
        """Return what ``function`` returns, or raise what it raises; ``subject`` names its workflow.

        How long it took is added to ``time``, if that is given.

        Ctrl-C is not for the workflow that happens to run: Trio gives it to the main task. So a KeyboardInterrupt out
        of author code is the author's own, and a failure like others.

        Raises:
            TurnInterrupted: It took too long; with its stack.
        """
        watchdog, guard = self._watchdog, self._guard
        stack: str | None = None
        self._began = perf_counter()
        try:
            # Inside: from its last statement on, an interrupt may strike.
            watchdog.begin(subject, time)
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
            if time is not None:
                time.add(perf_counter() - self._began)
            if stack is not None:
                # In place of what it returned or raised meanwhile.
                raise TurnInterrupted(stack)
        raise AssertionError("not reached: an interrupted call has raised")

    def rest_of_turn(
        self, subject: str, run: Run, time: TurnTime | None = None
    ) -> Generator[None, None, list[Decision]]:
        """Go on with a turn whose first part, ``call(subject, partial(run.begin, fact))``, was not all of it.

        Does one part after each step, and returns the decisions.

        Args:
            subject: The workflow.
            run: Its run.
            time: What the first part took, if anybody wants to know what all of them take.

        Raises:
            TurnInterrupted: One part took too long, or all of them together; with its stack.
        """
        if time is None:
            time = TurnTime()
            time.add(perf_counter() - self._began)
        while True:
            yield
            began = thread_time()
            decisions = self.call(subject, run.go_on, time)
            if decisions is not None:
                return decisions
            time.worked(thread_time() - began)
            self._watchdog.check(subject, time, partial(self._read_stacks, subject, run))

    def _read_stacks(self, subject: str, run: Run) -> str:
        """Where the tasks are. Their names may be made by author code: that must not take the place of the reason."""
        try:
            return self.call(subject, partial(_stacks, run))
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            return f"(their names cannot be read: {type(error).__name__})"


def _stacks(run: Run) -> str:
    lines = []
    for stack in run.stacks(_STACKS_MAX):
        lines.append(f"  task {stack.name}\n")
        lines += [f'    File "{frame.file}", line {frame.line}, in {frame.function}\n' for frame in stack.frames]
    return "".join(lines)
