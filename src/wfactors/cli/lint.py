"""``wfactors lint``: its options and its help. What it does is in ``linting``."""

# ruff: noqa: PLC0415 - help and shell completion must not wait for the linter

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wfactors.cli.options import Json, globals_of

__all__ = ["lint"]


def lint(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="Files and folders; - for standard input; . if left out.")
    ] = None,
    *,
    select: Annotated[list[str] | None, typer.Option(metavar="CODES", help="Only these rules: WF101,WF11.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CODES", help="Not these rules.")] = None,
    per_file_ignore: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN:CODES", help="Not these rules in these files; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Not these files; may be repeated.")
    ] = None,
    severity: Annotated[str | None, typer.Option(help="The least that is reported: error, warning or hint.")] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="text, flake8, ruff, github or json.")] = "text",
    counts: Annotated[bool, typer.Option("--statistics", help="Show only how often each rule was broken.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Another pyproject.toml than the nearest with a table tool.wfactors.lint."),
    ] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Read no pyproject.toml.")] = False,
    stdin_filename: Annotated[str, typer.Option(metavar="PATH", help="What standard input is called.")] = "<stdin>",
    explain: Annotated[str | None, typer.Option(metavar="CODE", help="Show the page about a rule and exit.")] = None,
    as_json: Json = False,
) -> None:
    """Find what in workflows would not survive a replay, without importing or running anything.

    Exit code 0 without findings, 1 with, 2 for wrong usage. [bold]# noqa: WF101[/bold] silences a line.
    """
    from wfactors.cli.linting import LintOptions, explain_command, lint_command

    if explain is not None:
        explain_command(explain)
        return
    lint_command(
        LintOptions(
            paths=tuple(paths or ["."]),
            select=tuple(select or ()),
            ignore=tuple(ignore or ()),
            per_file_ignore=tuple(per_file_ignore or ()),
            exclude=tuple(exclude or ()),
            severity=severity,
            format="json" if globals_of(context, None, json=as_json).json else format,
            is_counted=counts,
            config=config,
            is_isolated=isolated,
            stdin_filename=stdin_filename,
        )
    )
