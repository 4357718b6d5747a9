"""``# noqa``: how an author says that a finding is meant to be."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable

from wfactors.testing.lint.findings import Finding
from wfactors.testing.lint.source import SYNTAX_ERROR

__all__ = ["Silence"]

_CODES = r"(?P<codes>[A-Z]+[0-9]*(?:[\s,]+[A-Z]+[0-9]*\b(?!:))*)"
_LINE = re.compile(rf"#\s*noqa(?::\s*{_CODES})?", re.IGNORECASE)
_FILE = re.compile(rf"#\s*(?:wfactors|ruff|flake8)\s*:\s*noqa(?::\s*{_CODES})?\s*", re.IGNORECASE)
_ALL = ("",)


class Silence:
    """The comments of a file that silence findings.

    ``# noqa`` silences its line, ``# noqa: WF101`` one rule there, ``# noqa: WF1`` every rule whose code begins so. A
    comment in a line of its own that says ``# wfactors: noqa`` or ``# wfactors: noqa: WF101`` is about the whole file.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[int, tuple[str, ...]] = {}
        self._file: tuple[str, ...] = ()
        if "noqa" in text.lower():
            self._read(text)

    def without_silenced(self, found: Iterable[Finding]) -> list[Finding]:
        """The findings that no comment is about."""
        return [finding for finding in found if not self._is_silenced(finding)]

    def _is_silenced(self, finding: Finding) -> bool:
        # Formatters put the comment of a call over several lines at its last one.
        lines = (self._lines.get(finding.line, ()), self._lines.get(finding.end_line, ()))
        return finding.code != SYNTAX_ERROR and any(
            finding.code.startswith(one) for it in (*lines, self._file) for one in it
        )

    def _read(self, text: str) -> None:
        try:
            for token in tokenize.generate_tokens(io.StringIO(text, newline=None).readline):
                if token.type == tokenize.COMMENT:
                    self._comment(token)
        except (tokenize.TokenError, SyntaxError):
            # What was read until here counts.
            return

    def _comment(self, token: tokenize.TokenInfo) -> None:
        whole = _FILE.match(token.string)
        if whole is not None:
            self._file += _codes(whole)
            return
        line = _LINE.search(token.string)
        if line is not None:
            self._lines[token.start[0]] = _codes(line)


def _codes(match: re.Match[str]) -> tuple[str, ...]:
    listed = match["codes"]
    return _ALL if listed is None else tuple(re.split(r"[\s,]+", listed.upper()))
