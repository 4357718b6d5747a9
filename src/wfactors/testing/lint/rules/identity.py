"""WF117: what an object is called in memory."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.rules.base import Context, Hit, Rule

__all__ = ["IDENTITY", "check_identity"]

IDENTITY = Rule(
    code="WF117",
    name="identity",
    severity=Severity.WARNING,
    summary="A workflow uses `id()` or `hash()`.",
    why="`id()` is an address in memory, and the `hash()` of a string, and of everything that contains one, is chosen "
    "anew by every process. Sorted by them, stored or passed on they differ in every replay.",
    instead="Use a value of the object itself as its key: a name, a number. For a digest that stays, use "
    "`hashlib.sha256`; for a new id, `wf.uuid4()`.",
    bad="""
import wfactors as wf


@wf.workflow
async def shard(user: str, groups: list[str]) -> int:
    groups.sort(key=id)
#                   ^ WF117
    return hash(user) % 10
#          ^ WF117
""",
    good="""
import hashlib

import wfactors as wf


@wf.workflow
async def shard(user: str, groups: list[str]) -> int:
    groups.sort()
    return int(hashlib.sha256(user.encode()).hexdigest(), 16) % 10
""",
)


def check_identity(node: ast.AST, context: Context) -> Iterator[Hit]:
    """Every use of ``id`` and ``hash`` as such."""
    assert isinstance(node, ast.Name)
    if isinstance(node.ctx, ast.Load) and not context.is_reader:
        name = context.resolver.name(node)
        if name in {"builtins.id", "builtins.hash"}:
            shown = name.removeprefix("builtins.")
            message = f"{shown}() is different in every process: use a value of the object as its key"
            yield Hit(IDENTITY, node, message)
