"""The pages about the rules: ``python -m wfactors.testing.lint.pages docs/reference/lint`` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

from wfactors.testing.lint.rules import RULES, Rule

__all__ = ["index_page", "page", "write_pages"]

_SEVERITIES = {
    "error": "it breaks replay, or blocks everything else on the loop",
    "warning": "it does so in cases that the linter cannot tell from others",
    "hint": "it works, and there is something better",
}


def page(rule: Rule) -> str:
    """The page about one rule, in Markdown."""
    bad = rule.bad.strip("\n")
    good = rule.good.strip("\n")
    queries = " Holds in queries and validators too." if rule.in_queries else ""
    silence = f"`# noqa: {rule.code}` at the end of the line, or [by configuration](../../how-to/lint.md)."
    if rule.code == "WF100":
        silence = "only by leaving the file out."
    return f"""# {rule.code}: {rule.name}

{rule.summary}

Severity: {rule.severity.value} ({_SEVERITIES[rule.severity.value]}).{queries}

## Why

{rule.why}

## Instead

{rule.instead}

## Found

```py
{bad}
```

## Fine

```py
{good}
```

Silenced by {silence}
"""


def index_page() -> str:
    """The list of all rules, in Markdown."""
    rows = "\n".join(
        f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.severity.value} | {rule.summary} |"
        for rule in RULES.values()
    )
    return f"""# Rules of `wfactors lint`

What they look at: functions decorated with `@wf.workflow`, and the functions, methods and lambdas of the same file that
they use, directly or not. Activities are not looked at. How to run it, and how to choose rules:
[Check workflows with `wfactors lint`](../../how-to/lint.md).

| Rule | Name | Severity | What it finds |
|---|---|---|---|
{rows}
"""


def write_pages(folder: Path) -> None:
    """Write all pages into a folder."""
    for rule in RULES.values():
        (folder / f"{rule.code}.md").write_text(page(rule), encoding="utf-8")
    (folder / "index.md").write_text(index_page(), encoding="utf-8")


if __name__ == "__main__":  # pragma: no cover
    write_pages(Path(sys.argv[1]))
