"""What lies in an instance's mailbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from wfactors.model.messages import Body, ParentClosed, Terminate
from wfactors.model.status import ParentClose

__all__ = ["Content", "Mail", "Start", "TimerDue", "is_terminating"]


@attrs.frozen
class Start:
    """The run is to begin."""


@attrs.frozen
class TimerDue:
    """The earliest deadline of the run may have come: it was ``at`` when the timer was set."""

    at: float


Content: TypeAlias = Body | Start | TimerDue


class Mail:
    """One item of a mailbox.

    Attributes:
        content: What it says.
        id: The message's id; empty for what never left memory and may be made anew after a crash.
        is_stored: Whether an inbox row holds it, which the batch that takes it in must remove.
        is_taken: Whether a turn has taken it in.
        done: Called once with the answer or the error for the sender, after the commit that took it in.
    """

    __slots__ = ("content", "done", "id", "is_stored", "is_taken")

    def __init__(
        self,
        content: Content,
        id: str = "",
        *,
        is_stored: bool = False,
        done: Callable[[object], None] | None = None,
    ) -> None:
        self.content = content
        self.id = id
        self.is_stored = is_stored
        self.is_taken = False
        self.done = done

    def __repr__(self) -> str:
        return f"<Mail {type(self.content).__name__} {self.id}>"


def is_terminating(content: Content) -> bool:
    """Whether it ends the run without its code taking part."""
    return isinstance(content, Terminate) or (
        isinstance(content, ParentClosed) and content.policy is ParentClose.TERMINATE
    )
