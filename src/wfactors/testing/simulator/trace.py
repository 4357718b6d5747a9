"""What happened in one simulated run, cheap enough to be kept always: lines, equal in a rerun, and counts."""

from __future__ import annotations

import hashlib
from collections import Counter

__all__ = ["Trace"]

Line = tuple[float, str, str, object]


class Trace:
    """The lines of one run, and how often each thing worth counting happened.

    Attributes:
        lines: (virtual time, who, what, details); plain values only, so that they compare and print.
        counts: By name, as ``fault lost answer`` or ``call commit``; what a report sums up.
    """

    __slots__ = ("counts", "lines")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.counts: Counter[str] = Counter()

    def digest(self) -> str:
        """A short text that is equal for equal runs, in other processes too."""
        return hashlib.blake2b(repr(self.lines).encode(), digest_size=8).hexdigest()

    def text(self) -> str:
        """The run for people, a line each."""
        return "\n".join(f"{at:10.4f}  {who:<10} {what:<22} {details}" for at, who, what, details in self.lines)

    def first_difference(self, other: Trace) -> str:
        """Where two runs of one seed part; empty if they do not."""
        for number, (ours, theirs) in enumerate(zip(self.lines, other.lines, strict=False)):
            if ours != theirs:
                return f"line {number}: {ours} in one run, {theirs} in the other"
        if len(self.lines) != len(other.lines):
            return f"one run has {len(self.lines)} lines, the other {len(other.lines)}"
        return ""
