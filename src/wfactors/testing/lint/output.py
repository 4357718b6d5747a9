"""How findings are written: for people, for editors, for GitHub, for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.text import Text

from wfactors.testing.lint.findings import Finding, Severity
from wfactors.testing.lint.rules import RULES

__all__ = ["FORMATS", "formatted", "page_of", "rich_line", "statistics", "summary"]

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.HINT: "bold cyan"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "notice"}


def formatted(found: Sequence[Finding], format: str) -> str:
    """All findings in one of ``FORMATS``, as text that ends with a line end, or "" for none."""
    return "".join(f"{line}\n" for line in FORMATS[format](found))


def rich_line(finding: Finding) -> Text:
    """A finding for a terminal."""
    text = Text(finding.path, style="bold")
    text.append(f":{finding.line}:{finding.column}: ", style="not bold dim")
    text.append(finding.code, style=_STYLES[finding.severity])
    text.append(f" {finding.message}", style="not bold default")
    return text


def statistics(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """How often each rule was broken, the most often first."""
    counts = Counter(finding.code for finding in found)
    return [
        {"code": code, "name": RULES[code].name, "severity": RULES[code].severity.value, "count": count}
        for code, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def summary(found: Sequence[Finding], files: int, seconds: float) -> str:
    """One sentence about all of it."""
    speed = f"{_plural(files, 'file')} in {seconds:.2f} s"
    if not found:
        return f"no findings, {speed}"
    places = len({finding.path for finding in found})
    return f"{_plural(len(found), 'finding')} in {_plural(places, 'file')}, of {speed}"


def page_of(code: str) -> str:
    """Where in the documentation a rule is."""
    return f"docs/reference/lint/{code}.md"


# --- The formats -----------------------------------------------------------------------------------------------------


def _plain(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}:{finding.column}: {finding.code} {finding.message}"


def _flake8(found: Sequence[Finding]) -> Iterator[str]:
    yield from map(_plain, found)


def _ruff(found: Sequence[Finding]) -> Iterator[str]:
    yield from map(_plain, found)
    yield f"Found {_plural(len(found), 'error')}." if found else "All checks passed!"


def _github(found: Sequence[Finding]) -> Iterator[str]:
    for it in found:
        place = (
            f"file={_property(it.path)},line={it.line},col={it.column},endLine={it.end_line},endColumn={it.end_column}"
        )
        title = _property(f"wfactors ({it.code})")
        yield f"::{_GITHUB_LEVELS[it.severity]} title={title},{place}::{_data(_plain(it))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _json(found: Sequence[Finding]) -> Iterator[str]:
    entries = [
        {
            "code": it.code,
            "name": RULES[it.code].name,
            "severity": it.severity.value,
            "message": it.message,
            "filename": it.path,
            "location": {"row": it.line, "column": it.column},
            "end_location": {"row": it.end_line, "column": it.end_column},
            "url": page_of(it.code),
        }
        for it in found
    ]
    yield json.dumps(entries, indent=2)


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


FORMATS: dict[str, Callable[[Sequence[Finding]], Iterator[str]]] = {
    "text": _flake8,
    "flake8": _flake8,
    "ruff": _ruff,
    "github": _github,
    "json": _json,
}
