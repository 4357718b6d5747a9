"""The decisions of a turn: written down when it is live, compared with the recorded ones when it is a replay.

The comparison happens as each decision is made, so that a difference is found at the line of the author's code that
makes it. That line must not go on: ``Recorder`` stops the scheduler, which then runs no further step of any task, and
``Halt`` takes the running step to its end. Whatever the author's code catches on the way changes nothing any more.

Replay costs what comparing costs: callers look at ``next`` first and encode nothing when it is what they are about to
issue. Where it is not they encode after all, since an argument that does not convert was an error in the live turn
too, one that left no decision.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wfactors.errors import NonDeterminismError
from wfactors.kernel.decisions import describe_both, is_same
from wfactors.model.events import PatchApplied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from wfactors.kernel.scheduler import Scheduler
    from wfactors.model.events import Decision
    from wfactors.model.payloads import Payload

__all__ = ["Halt", "Recorder"]

_STACKS_MAX = 5


class Halt(BaseException):
    """Ends a step of the author's code after the scheduler was stopped. Nobody but the kernel ever sees it."""


class Recorder:
    """What the code of a run decides in a turn.

    Args:
        scheduler: Stopped when replay finds a difference.
        is_strict: Compare payloads too.
        plain: What of them is compared, if their bytes differ.

    Attributes:
        decisions: Those of the turn so far.
        next: When replaying: the recorded decision that must come next; None if there is none, if the turn is live,
            or if the caller must ``issue`` in full because replay is strict.
        is_replaying: The turn is a replay.
        position: Index in the history of the fact that began the turn.
    """

    __slots__ = (
        "_index",
        "_is_strict",
        "_patches",
        "_plain",
        "_recorded",
        "_scheduler",
        "decisions",
        "is_replaying",
        "next",
        "position",
    )

    def __init__(
        self, scheduler: Scheduler, *, is_strict: bool = False, plain: Callable[[Payload], bytes] = bytes
    ) -> None:
        self._scheduler = scheduler
        self._is_strict = is_strict
        self._plain = plain
        self._recorded: Sequence[Decision] = ()
        self._index = 0
        self._patches: dict[str, bool] = {}
        self.decisions: list[Decision] = []
        self.next: Decision | None = None
        self.is_replaying = False
        self.position = 0

    # --- A turn ------------------------------------------------------------------------------------------------------

    def begin(self, position: int, recorded: Sequence[Decision] | None) -> None:
        """Begin the turn of the fact at ``position``; with ``recorded`` it is a replay."""
        self.position = position
        self.decisions = []
        self._index = 0
        if recorded is None:
            self.is_replaying = False
            self._recorded = ()
            self.next = None
        else:
            self.is_replaying = True
            self._recorded = recorded
            self.next = recorded[0] if recorded and not self._is_strict else None

    def end(self) -> None:
        """End the turn: whatever is recorded beyond what the code did is a difference."""
        if self._index < len(self._recorded) and self._scheduler.failure is None:
            left = self.expected()
            if left is not None:
                self._differ(left, None)

    def take(self) -> None:
        """Make the decision that ``next`` holds."""
        recorded = self._recorded
        index = self._index
        self.decisions.append(recorded[index])
        self._index = index = index + 1
        self.next = recorded[index] if index < len(recorded) and not self._is_strict else None

    # --- Decisions ---------------------------------------------------------------------------------------------------

    def issue(self, decision: Decision) -> bool:
        """Make a decision; return False if the scheduler is stopped (for callers that are not the author's code)."""
        scheduler = self._scheduler
        if scheduler.is_evicting or scheduler.failure is not None:
            return False
        if not self.is_replaying:
            self.decisions.append(decision)
            return True
        recorded = self.expected()
        if recorded is None or not is_same(recorded, decision, self._plain if self._is_strict else None):
            self._differ(recorded, decision)
            return False
        self.take()
        return True

    def issue_or_halt(self, decision: Decision) -> None:
        """Make a decision of the author's code, which goes no further if it was the wrong one."""
        if not self.issue(decision):
            raise Halt

    def check_running(self) -> None:
        """End the step if the scheduler is stopped or being closed: what follows must not happen."""
        if self._scheduler.is_evicting or self._scheduler.failure is not None:
            raise Halt

    def patched(self, patch: str) -> bool:
        """Whether this run takes the new branch of ``patch``: decided the first time it is asked, for the whole run.

        A live turn decides for the new one and says so in the history. A replay looks whether the history says so.
        """
        answer = self._patches.get(patch)
        if answer is not None:
            return answer
        if self._scheduler.is_evicting:
            return False
        answer = self._take_patch(patch) if self.is_replaying else self.issue(PatchApplied(patch))
        self._patches[patch] = answer
        return answer

    def _take_patch(self, patch: str) -> bool:
        index = self._index
        recorded = self._recorded
        # Marks of patches that the code no longer asks for may stand before it.
        while index < len(recorded) and type(recorded[index]) is PatchApplied:
            if recorded[index] == PatchApplied(patch):
                while self._index <= index:
                    self._take_mark()
                return True
            index += 1
        return False

    def expected(self) -> Decision | None:
        """Pass by the marks of patches the code no longer asks for, and return what is recorded next, if anything.

        When the old branch is gone from the code, so may the question be: the new branch is then the only one.
        """
        while self._index < len(self._recorded):
            recorded = self._recorded[self._index]
            if type(recorded) is not PatchApplied:
                return recorded
            self._take_mark()
        return None

    def _take_mark(self) -> None:
        mark = self._recorded[self._index]
        assert type(mark) is PatchApplied
        self._patches.setdefault(mark.id, True)
        self.take()

    # --- Differences -------------------------------------------------------------------------------------------------

    def refuse_fact(self, fact: str, reason: str) -> None:
        """Stop because the fact of this turn is for something the code never did."""
        self._stop(NonDeterminismError(self.position, fact, reason, self._where()))

    def _differ(self, recorded: Decision | None, issued: Decision | None) -> None:
        first, second = describe_both(recorded, issued, self._plain)
        self._stop(NonDeterminismError(self.position + 1 + self._index, first, second, self._where()))

    def _stop(self, error: NonDeterminismError) -> None:
        self._scheduler.stop(error)

    def _where(self) -> str:
        lines = list(_running_frames()) if self._scheduler.current is not None else []
        if not lines:
            lines = list(self._waiting_frames())
        return "\n      ".join(lines)

    def _waiting_frames(self) -> Iterator[str]:
        """Where each task waits: the lines of the author's code in it, outermost first."""
        stacks = self._scheduler.stacks()
        for stack in stacks[:_STACKS_MAX]:
            lines = [f"{it.file}:{it.line} {it.function}" for it in stack.frames if not _is_engine(it.file)]
            if lines:
                yield from lines[:-1]
                yield f"{lines[-1]} (waiting)"
        if len(stacks) > _STACKS_MAX:
            yield f"and {len(stacks) - _STACKS_MAX} more tasks"


# --- Helpers ---------------------------------------------------------------------------------------------------------

_PACKAGE = __file__[: -len("kernel/replay.py")]


def _is_engine(file: str) -> bool:
    return file.startswith(_PACKAGE)


def _running_frames() -> Iterator[str]:
    """The lines of the author's code that are on the stack, outermost first."""
    found: list[str] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != "wfactors.kernel.scheduler":
        if not _is_engine(frame.f_code.co_filename):
            found.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return reversed(found)
