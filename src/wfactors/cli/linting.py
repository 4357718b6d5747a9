"""What ``wfactors lint`` does: configuration, files, output, exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import attrs
import typer

from wfactors.cli.exits import Exit, Problem
from wfactors.cli.output import error_console, out_console, print_json
from wfactors.cli.running import reporting
from wfactors.cli.text import safe
from wfactors.testing.lint import (
    RULES,
    Config,
    ConfigError,
    Finding,
    check_bytes,
    check_file,
    find_config,
    python_files,
    read_config,
)
from wfactors.testing.lint.config import codes_of, severity_of
from wfactors.testing.lint.output import FORMATS, formatted, rich_line, statistics, summary
from wfactors.testing.lint.pages import page

__all__ = ["LintOptions", "explain_command", "lint_command"]

_STDIN = "-"
_TEXT = "text"


@attrs.frozen(kw_only=True)
class LintOptions:
    """The options of ``wfactors lint``, as they were given."""

    paths: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    per_file_ignore: tuple[str, ...]
    exclude: tuple[str, ...]
    severity: str | None
    format: str
    is_counted: bool
    config: Path | None
    is_isolated: bool
    stdin_filename: str


def lint_command(options: LintOptions) -> None:
    """Check files, write what was found, and exit with 1 if there is anything."""
    with reporting():
        if options.format not in FORMATS:
            raise Problem(Exit.USAGE, f"there is no format {safe(options.format)}", f"there are {', '.join(FORMATS)}")
        try:
            config = _with_options(_configured(options), options)
        except ConfigError as error:
            raise Problem(Exit.USAGE, safe(str(error), keep_lines=True)) from None
        began = time.monotonic()
        found, files = _check(options, config)
        _write(found, options)
        if options.format == _TEXT:
            error_console().print(summary(found, files, time.monotonic() - began), style="dim", soft_wrap=True)
        if found:
            raise typer.Exit(Exit.FAILED)


def explain_command(code: str) -> None:
    """Write the page about a rule."""
    with reporting():
        rule = RULES.get(code.strip().upper())
        if rule is None:
            raise Problem(Exit.USAGE, f"there is no rule {safe(code)}", f"there are {', '.join(RULES)}")
        _write_text(page(rule))


# --- Configuration ---------------------------------------------------------------------------------------------------


def _configured(options: LintOptions) -> Config:
    if options.config is not None:
        return read_config(options.config)
    first = Path.cwd() if options.paths[0] == _STDIN else Path(options.paths[0])
    nearest = None if options.is_isolated else find_config(first if first.is_dir() else first.parent)
    return Config(root=Path.cwd()) if nearest is None else read_config(nearest)


def _with_options(config: Config, options: LintOptions) -> Config:
    """What is selected takes the place of the configuration's selection, the rest adds to it."""
    if options.select:
        config = attrs.evolve(config, select=_codes(options.select, "--select"))
    per_file = dict(config.per_file_ignores)
    for entry in options.per_file_ignore:
        pattern, separator, codes = entry.rpartition(":")
        if not separator or not pattern:
            raise ConfigError(f"--per-file-ignore is written PATTERN:CODES, not {entry!r}")
        per_file[pattern] = (*per_file.get(pattern, ()), *_codes([codes], "--per-file-ignore"))
    severity = options.severity
    return attrs.evolve(
        config,
        ignore=(*config.ignore, *_codes(options.ignore, "--ignore")),
        per_file_ignores=per_file,
        exclude=(*config.exclude, *options.exclude),
        severity=config.severity if severity is None else severity_of(severity, "--severity"),
    )


def _codes(given: Iterable[str], where: str) -> tuple[str, ...]:
    return codes_of([code for text in given for code in text.split(",")], where)


# --- Work ------------------------------------------------------------------------------------------------------------


def _check(options: LintOptions, config: Config) -> tuple[list[Finding], int]:
    found: list[Finding] = []
    files = 0
    named = [Path(path) for path in options.paths if path != _STDIN]
    for path in named:
        if not path.exists():
            raise Problem(Exit.USAGE, f"there is no file or folder {safe(str(path))}")
    if _STDIN in options.paths:
        files += 1
        found += check_bytes(sys.stdin.buffer.read(), options.stdin_filename, config)
    for file in python_files(named, config):
        files += 1
        found += check_file(file, config)
    return found, files


def _write(found: list[Finding], options: LintOptions) -> None:
    if options.is_counted:
        rows = statistics(found)
        if options.format == "json":
            print_json(rows)
        else:
            _write_text("".join(f"{it['count']}\t{it['code']}\t{it['severity']}\t{it['name']}\n" for it in rows))
    elif options.format == _TEXT and sys.stdout.isatty():
        console = out_console()
        for finding in found:
            console.print(rich_line(attrs.evolve(finding, path=safe(finding.path))), soft_wrap=True)
    else:
        _write_text(formatted(found, options.format))


def _write_text(text: str) -> None:
    """Write text that may hold a file name of bytes that are no text."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
