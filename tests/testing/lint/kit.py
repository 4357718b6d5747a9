"""Programs whose comments say what is to be found in them."""

from __future__ import annotations

import re
import textwrap

from wfactors.testing.lint import Config, Finding, check_bytes

HEADER = """
import wfactors as wf

@wf.activity
async def act(value: object = None) -> set[str]: ...

"""
_MARK = re.compile(r"# *\^ (WF\d+)")


def expected(program: str) -> list[tuple[int, int, str]]:
    """Line, column and code of what the comments say: ``#   ^ WF101`` points at the line above."""
    marks = ((number, line, _MARK.fullmatch(line)) for number, line in enumerate(program.splitlines()))
    return [(number, line.index("^") + 1, mark[1]) for number, line, mark in marks if mark]


def found(program: str, config: Config | None = None) -> list[tuple[int, int, str]]:
    """Line, column and code of what is found."""
    return [(it.line, it.column, it.code) for it in check(program, config)]


def check(program: str, config: Config | None = None) -> list[Finding]:
    """What is found in a program."""
    return check_bytes(program.encode(), "shop.py", config or Config())


def workflow(body: str, before: str = "") -> str:
    """A program with a workflow of this body."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"{HEADER}{textwrap.dedent(before)}\n@wf.workflow\nasync def flow() -> None:\n{lines}\n"


def codes(body: str, before: str = "") -> list[str]:
    """The codes of what is found in a workflow of this body, in order."""
    return [finding.code for finding in check(workflow(body, before))]
