"""What a rule is, and what its check is given."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import attrs

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.functions import Kinds
from wfactors.testing.lint.names import AnyFunction, Module, Scope
from wfactors.testing.lint.resolve import Resolver

__all__ = ["Check", "Context", "Hit", "Rule"]


@attrs.frozen(kw_only=True)
class Rule:
    """A rule, and the page about it.

    Attributes:
        code: ``WF`` and three digits.
        name: In words, with hyphens.
        severity: How much a finding matters.
        in_queries: It holds in queries and validators too, which only look and are not replayed.
        summary: What it finds: the first sentence of the page.
        why: What would happen; paragraphs.
        instead: What to do; paragraphs.
        bad: A program with findings of this rule alone, each on a line that ends in ``# here``.
        good: A program without.
    """

    code: str
    name: str
    severity: Severity = Severity.ERROR
    in_queries: bool = False
    summary: str
    why: str
    instead: str
    bad: str
    good: str


@attrs.frozen
class Context:
    """Where a check is: a function that runs inside a workflow."""

    function: AnyFunction
    is_reader: bool
    resolver: Resolver
    kinds: Kinds

    @property
    def module(self) -> Module:
        """The names of the file."""
        return self.resolver.module

    @property
    def scope(self) -> Scope:
        """That of the function."""
        return self.module.inner[self.function]

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around another."""
        return self.module.parents.get(node)


@attrs.frozen
class Hit:
    """What a check has found.

    Attributes:
        rule: By which rule.
        node: Where.
        message: What to say.
    """

    rule: Rule
    node: ast.AST
    message: str


Check = Callable[[ast.AST, Context], Iterator[Hit]]
