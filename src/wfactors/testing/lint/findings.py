"""What the linter says: a finding, and how much it matters."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How much a finding matters, the most first."""

    ERROR = "error"
    """It breaks replay, or blocks everything else on the loop."""
    WARNING = "warning"
    """It does so in cases that the linter cannot tell from others."""
    HINT = "hint"
    """It works, and there is something better."""


@attrs.frozen(order=True)
class Finding:
    """One thing that is wrong, and where.

    Attributes:
        path: The file, as it was named.
        line: From 1.
        column: From 1, in characters.
        code: Of the rule.
        message: One line that says what to do instead.
        severity: How much it matters.
        end_line: Where the code in question ends.
        end_column: As above; the first column after it.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    severity: Severity = attrs.field(order=lambda severity: severity.value)
    end_line: int
    end_column: int
