"""From one file to its findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wfactors.testing.lint.config import Config
from wfactors.testing.lint.findings import Finding
from wfactors.testing.lint.functions import Kinds, Reached, reached_functions
from wfactors.testing.lint.names import read_module
from wfactors.testing.lint.resolve import Resolver
from wfactors.testing.lint.rules import CHECKS, Context, Hit
from wfactors.testing.lint.silence import Silence
from wfactors.testing.lint.source import Source, parse, too_deep, unreadable

__all__ = ["check_bytes", "check_file"]

_DEFAULT = Config()


def check_file(path: Path, config: Config = _DEFAULT) -> list[Finding]:
    """Check a file. Its findings in their order; one that cannot be read has exactly one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return _chosen([unreadable(str(path), f"cannot be read: {error.strerror}")], str(path), config)
    return check_bytes(data, str(path), config)


def check_bytes(
    data: bytes, path: str = "<stdin>", config: Config = _DEFAULT, *, is_everything: bool = False
) -> list[Finding]:
    """Check the content of a file.

    Args:
        data: The content, in whatever encoding it says it has.
        path: For the findings, and for what the configuration says about this file.
        config: Which rules.
        is_everything: Take every function for a workflow: for trying the rules on code that has none.
    """
    source = parse(path, data)
    if isinstance(source, Finding):
        return _chosen([source], path, config)
    if not is_everything and not _may_have_workflows(source, config):
        return []
    try:
        found = sorted(set(_findings(source, config, is_everything=is_everything)))
    except RecursionError:
        return _chosen([too_deep(path)], path, config)
    found = _chosen(_without_doubles(found), path, config)
    return Silence(source.text).without_silenced(found) if found else []


def _may_have_workflows(source: Source, config: Config) -> bool:
    """Whether a decorator of workflows can have got into the file at all."""
    packages = {"wfactors", *(name.partition(".")[0] for name in config.workflow_decorators)}
    return any(package in source.text for package in packages)


def _findings(source: Source, config: Config, *, is_everything: bool) -> Iterator[Finding]:
    resolver = Resolver(read_module(source.tree))
    kinds = Kinds(resolver, config.workflow_decorators, config.activity_decorators)
    for reached in reached_functions(resolver, kinds, is_everything=is_everything):
        context = Context(reached.node, reached.is_reader, resolver, kinds)
        for node in reached.code:
            for check in CHECKS.get(type(node), ()):
                for hit in check(node, context):
                    yield _finding(hit, reached, source)


def _finding(hit: Hit, reached: Reached, source: Source) -> Finding:
    where = f" (in {reached.name}, called by workflow {reached.workflow}())" if reached.name else ""
    line, offset = getattr(hit.node, "lineno", 1), getattr(hit.node, "col_offset", 0)
    end_line, end_offset = getattr(hit.node, "end_lineno", line), getattr(hit.node, "end_col_offset", offset + 1)
    return Finding(
        path=source.path,
        line=line,
        column=source.column(line, offset),
        code=hit.rule.code,
        message=hit.message + where,
        severity=hit.rule.severity,
        end_line=end_line,
        end_column=source.column(end_line, end_offset),
    )


def _without_doubles(found: list[Finding]) -> list[Finding]:
    """One finding of a rule at a place: a function that two workflows call is checked once for each."""
    seen: dict[tuple[int, int, str], Finding] = {}
    for finding in found:
        seen.setdefault((finding.line, finding.column, finding.code), finding)
    return list(seen.values())


def _chosen(found: list[Finding], path: str, config: Config) -> list[Finding]:
    return [finding for finding in found if config.wants(finding.code, finding.severity, path)]
