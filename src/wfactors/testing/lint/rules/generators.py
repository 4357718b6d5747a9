"""WF120, WF121: asynchronous generators, whose clean-up happens when nobody waits for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.resolve import Function
from wfactors.testing.lint.rules.awaits import yields
from wfactors.testing.lint.rules.base import Context, Hit, Rule
from wfactors.testing.lint.vocabulary import SCOPES

__all__ = ["NOT_CLOSED", "YIELD_IN_SCOPE", "check_loops", "check_yields"]

NOT_CLOSED = Rule(
    code="WF120",
    name="generator-not-closed",
    severity=Severity.WARNING,
    summary="An asynchronous generator is looped over without being closed.",
    why="If the loop is left early, by `break`, `return`, an exception or a cancellation, the generator stays where "
    "it is. Its `finally` runs when the garbage collector or the end of the workflow gets to it, where it cannot "
    "await.",
    instead="`async with contextlib.aclosing(pages()) as stream:` closes it at the end of the block; or make it a "
    "channel with `@wf.as_safe_channel`.",
    bad="""
from collections.abc import AsyncIterator

import wfactors as wf


@wf.activity
async def fetch(number: int) -> str: ...


async def pages() -> AsyncIterator[str]:
    for number in range(10):
        yield await fetch(number)


@wf.workflow
async def find(word: str) -> str:
    async for page in pages():
#                     ^ WF120
        if word in page:
            return page
    return ""
""",
    good="""
from collections.abc import AsyncIterator
from contextlib import aclosing

import wfactors as wf


@wf.activity
async def fetch(number: int) -> str: ...


async def pages() -> AsyncIterator[str]:
    for number in range(10):
        yield await fetch(number)


@wf.workflow
async def find(word: str) -> str:
    async with aclosing(pages()) as stream:
        async for page in stream:
            if word in page:
                return page
    return ""
""",
)

YIELD_IN_SCOPE = Rule(
    code="WF121",
    name="yield-in-scope",
    summary="A generator yields inside of a nursery or cancel scope.",
    why="Whoever loops over it runs inside that scope without knowing it: it may be cancelled by a deadline that is "
    "not its own, and scopes may be left in another order than they were entered. Trio forbids the same, for the same "
    "reasons.",
    instead="`@wf.as_safe_channel` runs the generator in a task of its own. A context manager made by "
    "`@contextlib.asynccontextmanager` may yield inside of scopes.",
    bad="""
from collections.abc import AsyncIterator

import wfactors as wf


async def ticks() -> AsyncIterator[int]:
    with wf.move_on_after(60):
        for number in range(10):
            await wf.sleep(10)
            yield number
#           ^ WF121


@wf.workflow
async def count() -> list[int]:
    return [number async for number in wf.as_safe_channel(ticks)]
""",
    good="""
from collections.abc import AsyncIterator

import wfactors as wf


@wf.as_safe_channel
async def ticks() -> AsyncIterator[int]:
    with wf.move_on_after(60):
        for number in range(10):
            await wf.sleep(10)
            yield number


@wf.workflow
async def count() -> list[int]:
    async with ticks() as stream:
        return [number async for number in stream]
""",
)

_SAFE_ENDS = ("contextmanager", "as_safe_channel", "fixture")


def check_loops(node: ast.AST, context: Context) -> Iterator[Hit]:
    """``async for`` over the call of a generator of this file."""
    if isinstance(node, ast.AsyncFor):
        loops = [node.iter]
    else:
        assert isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        loops = [it.iter for it in node.generators if it.is_async]
    for loop in loops:
        called = context.resolver.value(loop.func) if isinstance(loop, ast.Call) else None
        function = called.node if isinstance(called, Function) else None
        if isinstance(function, ast.AsyncFunctionDef) and not function.decorator_list and yields(function):
            message = f"{function.name}() is not closed if the loop is left early: use contextlib.aclosing()"
            yield Hit(NOT_CLOSED, loop, message)


def check_yields(node: ast.AST, context: Context) -> Iterator[Hit]:
    """``yield`` inside of a scope."""
    function = context.function
    if isinstance(function, ast.Lambda) or any(
        name.endswith(_SAFE_ENDS) for name in context.kinds.decorators(function)
    ):
        return
    for around in context.module.ancestors(node):
        if around is function:
            return
        for item in around.items if isinstance(around, ast.With | ast.AsyncWith) else []:
            name = context.resolver.name(item.context_expr)
            if name in SCOPES:
                shown = "wf." + name.removeprefix("wfactors.")
                yield Hit(
                    YIELD_IN_SCOPE, node, f"yield inside of {shown}: decorate the generator with @wf.as_safe_channel"
                )
                return
