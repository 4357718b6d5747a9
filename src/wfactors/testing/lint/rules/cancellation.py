"""WF115, WF116: what keeps a workflow from being cancelled."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from wfactors.testing.lint.rules.awaits import own_nodes
from wfactors.testing.lint.rules.base import Context, Hit, Rule

__all__ = ["CAUGHT", "SUPPRESSED", "check_handlers", "check_suppress"]

CAUGHT = Rule(
    code="WF115",
    name="cancellation-caught",
    in_queries=True,
    summary="An except clause catches cancellation, and does not raise it again.",
    why="A cancelled workflow, deadline or nursery raises `wf.Cancelled`, a `BaseException`, at the next await. "
    "Whoever catches it and goes on keeps the workflow from being cancelled: it waits at the next await to be "
    "cancelled once more, or ends as if nothing had happened. A workflow that leaves memory is unwound in the same "
    "way.",
    instead="Catch `Exception`. To clean up, use `finally`, or raise again at the end of the clause: a bare `raise`. "
    "Clean-up that awaits goes under `wf.CancelScope(shield=True)`. To go on after a deadline, ask "
    "`scope.cancelled_caught`.",
    bad="""
import wfactors as wf


@wf.activity
async def ship() -> None: ...


@wf.workflow
async def deliver() -> str:
    try:
        await ship()
    except:
#   ^ WF115
        return "failed"
    try:
        await ship()
    except (ValueError, wf.Cancelled) as error:
#   ^ WF115
        raise ValueError("no delivery") from error
    return "done"
""",
    good="""
import wfactors as wf


@wf.activity
async def ship() -> None: ...


@wf.workflow
async def deliver() -> str:
    try:
        await ship()
    except Exception:
        return "failed"
    except wf.Cancelled:
        wf.logger.info("cancelled")
        raise
    return "done"
""",
)

SUPPRESSED = Rule(
    code="WF116",
    name="cancellation-suppressed",
    in_queries=True,
    summary="`contextlib.suppress` is given cancellation, or a `finally` clause is left by `return`, `break` or "
    "`continue`.",
    why="Both swallow `wf.Cancelled` like an except clause that does not raise again: see [WF115](WF115.md).",
    instead="Suppress the exceptions that you expect, and return after the `try` statement. To go on after a "
    "cancellation of your own, use a scope: `with wf.move_on_after(60):`, or `wf.CancelScope()` and its `cancel()`.",
    bad="""
from contextlib import suppress

import wfactors as wf


@wf.activity
async def ship() -> None: ...


@wf.workflow
async def deliver() -> str:
    with suppress(BaseException):
#        ^ WF116
        await ship()
    try:
        await ship()
    finally:
        return "done"
#       ^ WF116
""",
    good="""
from contextlib import suppress

import wfactors as wf


@wf.activity
async def ship() -> None: ...


@wf.workflow
async def deliver() -> None:
    with suppress(wf.ActivityError), wf.move_on_after(60):
        await ship()
""",
)

_CAUGHT_NAMES = {
    "wfactors.Cancelled": "wf.Cancelled",
    "builtins.BaseException": "BaseException",
    "builtins.BaseExceptionGroup": "BaseExceptionGroup",
    "builtins.GeneratorExit": "GeneratorExit",
}


def check_handlers(node: ast.AST, context: Context) -> Iterator[Hit]:
    """Except and finally clauses that swallow cancellation."""
    assert isinstance(node, ast.Try | ast.TryStar)
    for leaving in _leaving(node.finalbody):
        word = type(leaving).__name__.lower()
        yield Hit(
            SUPPRESSED, leaving, f"{word} in a finally clause swallows cancellation: put it after the try statement"
        )
    for handler in node.handlers:
        words = _caught_words(handler, context)
        if not words:
            continue
        if not _raises_again(handler):
            yield Hit(
                CAUGHT,
                handler,
                f"{words} catches cancellation: catch Exception, use finally, or end the clause with a bare raise",
            )
        # Whatever comes after it is not asked about cancellation any more.
        return


def _caught_words(handler: ast.ExceptHandler, context: Context) -> str:
    if handler.type is None:
        return "except without a type"
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    for type_ in types:
        name = _CAUGHT_NAMES.get(context.resolver.name(type_))
        if name is not None:
            return f"except {name}"
    return ""


def _raises_again(handler: ast.ExceptHandler) -> bool:
    for node in own_nodes(handler.body):
        if isinstance(node, ast.Raise):
            raised = node.exc
            if raised is None or (isinstance(raised, ast.Name) and raised.id == handler.name):
                return True
    return False


def _leaving(body: Iterable[ast.AST], *, is_in_loop: bool = False) -> Iterator[ast.AST]:
    """The statements by which a clause is left without the exception that is on its way."""
    for node in body:
        if isinstance(node, ast.Return) or (isinstance(node, ast.Break | ast.Continue) and not is_in_loop):
            yield node
        elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
            yield from _leaving(node.body, is_in_loop=True)
            yield from _leaving(node.orelse, is_in_loop=is_in_loop)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _leaving(ast.iter_child_nodes(node), is_in_loop=is_in_loop)


def check_suppress(node: ast.AST, context: Context) -> Iterator[Hit]:
    """``contextlib.suppress(BaseException)``."""
    assert isinstance(node, ast.Call)
    if context.resolver.name(node.func) != "contextlib.suppress":
        return
    for argument in node.args:
        name = _CAUGHT_NAMES.get(context.resolver.name(argument))
        if name is not None:
            message = f"suppress({name}) swallows cancellation: suppress the exceptions that you expect"
            yield Hit(SUPPRESSED, node, message)
            return
