"""The rules, and which nodes each of their checks looks at."""

from __future__ import annotations

import ast

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.rules.awaits import (
    BUSY_LOOP,
    NOT_AWAITED,
    READ_BEFORE_AWAIT,
    check_awaits,
    check_busy_loop,
    check_read_before_await,
)
from wfactors.testing.lint.rules.base import Check, Context, Hit, Rule
from wfactors.testing.lint.rules.cancellation import CAUGHT, SUPPRESSED, check_handlers, check_suppress
from wfactors.testing.lint.rules.generators import NOT_CLOSED, YIELD_IN_SCOPE, check_loops, check_yields
from wfactors.testing.lint.rules.identity import IDENTITY, check_identity
from wfactors.testing.lint.rules.pages_world import WORLD
from wfactors.testing.lint.rules.sets import SET_ITERATION, check_sets
from wfactors.testing.lint.rules.shared import GLOBAL_READ, GLOBAL_WRITE, check_globals
from wfactors.testing.lint.rules.world import check_name, check_time_zone
from wfactors.testing.lint.source import SYNTAX_ERROR

__all__ = ["CHECKS", "RULES", "Check", "Context", "Hit", "Rule"]

UNREADABLE = Rule(
    code=SYNTAX_ERROR,
    name="unreadable",
    severity=Severity.ERROR,
    summary="The file cannot be checked: a syntax error, an unknown encoding, code nested too deeply.",
    why="What cannot be parsed cannot be checked; Python could not import it either.",
    instead="The message says what is wrong. A file that is not meant to be Python 3 is left out with `exclude` in "
    "`[tool.wfactors.lint]`.",
    bad="""
def checkout(:
#            ^ WF100
""",
    good="""
def checkout(): ...
""",
)

RULES: dict[str, Rule] = {
    rule.code: rule
    for rule in sorted(
        (
            UNREADABLE,
            *WORLD,
            SET_ITERATION,
            GLOBAL_WRITE,
            GLOBAL_READ,
            NOT_AWAITED,
            READ_BEFORE_AWAIT,
            BUSY_LOOP,
            CAUGHT,
            SUPPRESSED,
            IDENTITY,
            NOT_CLOSED,
            YIELD_IN_SCOPE,
        ),
        key=lambda rule: rule.code,
    )
}

_SETS = (
    ast.For,
    ast.YieldFrom,
    ast.FormattedValue,
    ast.Starred,
    ast.ListComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.Assign,
)
_LOOPS = (ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_NODES: tuple[tuple[Check, tuple[type[ast.AST], ...]], ...] = (
    (check_name, (ast.Name, ast.Attribute, ast.Call)),
    (check_time_zone, (ast.Call,)),
    (check_sets, (*_SETS, ast.Call)),
    (check_globals, (ast.Name,)),
    (check_awaits, (ast.Call,)),
    (check_read_before_await, (ast.AugAssign, ast.Assign)),
    (check_busy_loop, (ast.While,)),
    (check_handlers, (ast.Try, ast.TryStar)),
    (check_suppress, (ast.Call,)),
    (check_loops, _LOOPS),
    (check_yields, (ast.Yield, ast.YieldFrom)),
    (check_identity, (ast.Name,)),
)

CHECKS: dict[type[ast.AST], list[Check]] = {}
for _check, _types in _NODES:
    for _type in _types:
        CHECKS.setdefault(_type, []).append(_check)
