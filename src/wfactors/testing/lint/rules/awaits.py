"""WF114, WF119, WF123: awaits that are missing, and what an await in the wrong place does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.resolve import External, Function
from wfactors.testing.lint.rules.base import Context, Hit, Rule
from wfactors.testing.lint.vocabulary import WAITS

__all__ = [
    "BUSY_LOOP",
    "NOT_AWAITED",
    "READ_BEFORE_AWAIT",
    "check_awaits",
    "check_busy_loop",
    "check_read_before_await",
]

NOT_AWAITED = Rule(
    code="WF114",
    name="not-awaited",
    in_queries=True,
    summary="An activity, a workflow or a wait is called, and nothing awaits it.",
    why="The call makes a coroutine, which does nothing until it is awaited: no activity runs, nothing goes into the "
    "history, and Python warns at some later time, if at all. As a condition it is always true.",
    instead="`await` it. To let several run at once, give the coroutines to `wf.gather` or `wf.race`, or the function "
    "and its arguments to a nursery: `nursery.start_soon(charge, order)`.",
    bad="""
import wfactors as wf


@wf.activity
async def charge(cents: int) -> bool: ...


@wf.workflow
async def checkout(cents: int) -> bool:
    wf.sleep(5)
#   ^ WF114
    if charge(cents):
#      ^ WF114
        async with wf.open_nursery() as nursery:
            nursery.start_soon(charge(cents))
#                              ^ WF114
    return charge(cents)
#          ^ WF114
""",
    good="""
import wfactors as wf


@wf.activity
async def charge(cents: int) -> bool: ...


@wf.workflow
async def checkout(cents: int) -> bool:
    await wf.sleep(5)
    if await charge(cents):
        async with wf.open_nursery() as nursery:
            nursery.start_soon(charge, cents)
    return all(await wf.gather(charge(1), charge(2)))
""",
)

READ_BEFORE_AWAIT = Rule(
    code="WF119",
    name="read-before-await",
    severity=Severity.WARNING,
    summary="A variable that others change too is read before an await, and written after it.",
    why="`total += await price(item)` reads `total`, waits, and then writes the sum of what it read. An update, "
    "signal or task that changes `total` meanwhile is undone. This is deterministic, and wrong in every replay.",
    instead="Await first, then change: `cents = await price(item)`, `total += cents`.",
    bad="""
import wfactors as wf


@wf.activity
async def price(item: str) -> int: ...


@wf.workflow
async def shop() -> int:
    total = 0

    @wf.update
    async def add(item: str) -> None:
        nonlocal total
        total += await price(item)
#       ^ WF119

    await wf.signals("done", bool).receive()
    return total
""",
    good="""
import wfactors as wf


@wf.activity
async def price(item: str) -> int: ...


@wf.workflow
async def shop() -> int:
    total = 0

    @wf.update
    async def add(item: str) -> None:
        nonlocal total
        cents = await price(item)
        total += cents

    await wf.signals("done", bool).receive()
    return total
""",
)

BUSY_LOOP = Rule(
    code="WF123",
    name="busy-loop",
    severity=Severity.WARNING,
    in_queries=True,
    summary="A loop without an end has no await in it.",
    why="Nothing else on the node runs while it does, so nothing can ever end it; after half the lease (5 "
    "seconds) the turn is interrupted and the workflow parked.",
    instead="Wait for what the loop is waiting for: `await wf.wait_until(lambda: ready)`, a signal, `wf.sleep`.",
    bad="""
import wfactors as wf


@wf.workflow
async def watch() -> None:
    polls = 0
    while True:
#   ^ WF123
        polls += 1
""",
    good="""
import wfactors as wf


@wf.workflow
async def watch() -> None:
    polls = 0
    while True:
        polls += 1
        await wf.sleep(60)
""",
)

_NESTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


# --- WF114 -----------------------------------------------------------------------------------------------------------


def check_awaits(node: ast.AST, context: Context) -> Iterator[Hit]:
    """Calls that make a coroutine which is lost."""
    assert isinstance(node, ast.Call)
    words = _coroutine_words(node, context)
    if words and _is_lost(node, context):
        around = context.parent(node)
        is_started = isinstance(around, ast.Call)
        how = "give start_soon() the function and its arguments" if is_started else "await it"
        yield Hit(NOT_AWAITED, node, f"{words} is not awaited, so it does nothing: {how}")


def _coroutine_words(node: ast.Call, context: Context) -> str:
    """What a call is, if what it returns must be awaited; else ""."""
    match context.resolver.value(node.func):
        case External(name) if name in WAITS:
            return f"wf.{name.removeprefix('wfactors.')}()"
        case External(name) if (
            name.startswith("wfactors.activities().") and "()" not in name[len("wfactors.activities()") :]
        ):
            return f"activity {name.rpartition('.')[2]}()" if not name.endswith(".options") else ""
        case Function(function) if isinstance(node.func, ast.Attribute) and node.func.attr == "options":
            return ""
        case Function(function) if not isinstance(function, ast.Lambda):
            if context.kinds.is_durable(function):
                kind = "activity" if context.kinds.is_activity(function) else "workflow"
                return f"{kind} {function.name}()"
            is_plain = isinstance(function, ast.AsyncFunctionDef) and not function.decorator_list
            return f"{function.name}()" if is_plain and not yields(function) else ""
        case _:
            return ""


def yields(function: ast.AsyncFunctionDef | ast.FunctionDef) -> bool:
    """Whether a function is a generator."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function.body))


def own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a body without those of functions and classes inside of it."""
    work: list[ast.AST] = [*body]
    while work:
        node = work.pop()
        yield node
        if not isinstance(node, _NESTED):
            work.extend(ast.iter_child_nodes(node))


def _is_lost(node: ast.Call, context: Context) -> bool:
    around = context.parent(node)
    match around:
        case ast.Expr():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return not _is_read(name, around, context)
        case ast.Return():
            return isinstance(context.module.scopes[node].function.node, ast.AsyncFunctionDef)
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            return around.test is node
        case ast.UnaryOp() | ast.BinOp() | ast.Compare() | ast.FormattedValue() | ast.AugAssign():
            return True
        case ast.Attribute() | ast.Subscript():
            return around.value is node and not _is_of_coroutine(around)
        case ast.For() | ast.AsyncFor():
            return around.iter is node
        case ast.Call(func=ast.Attribute(attr="start_soon"), args=[first, *_]):
            return first is node
        case _:
            return False


def _is_of_coroutine(node: ast.expr) -> bool:
    """``coroutine.close()`` and the like."""
    return isinstance(node, ast.Attribute) and node.attr in {"close", "send", "throw", "__await__", "__name__"}


def _is_read(name: str, assignment: ast.AST, context: Context) -> bool:
    """Whether a name that was just bound is used anywhere."""
    module = context.module
    owner = module.scopes[assignment].owner(name)
    return any(
        node.id == name and isinstance(node.ctx, ast.Load) and module.scopes[node].owner(name) is owner
        for node in module.names
    )


# --- WF119 -----------------------------------------------------------------------------------------------------------


def check_read_before_await(node: ast.AST, context: Context) -> Iterator[Hit]:
    """``shared += await ...``, and the same written out."""
    match node:
        case ast.AugAssign(target=target, value=value):
            pass
        case ast.Assign(targets=[ast.Name() as target], value=ast.BinOp(left=ast.Name(id=left), right=value)):
            if left != target.id:
                return
        case _:
            return
    if _is_shared(target, context) and _awaits(value):
        shown = (
            target.id
            if isinstance(target, ast.Name)
            else f".{target.attr}"
            if isinstance(target, ast.Attribute)
            else "[]"
        )
        yield Hit(
            READ_BEFORE_AWAIT,
            node,
            f"{shown} is read before the await, so changes made meanwhile are lost: await first, then change it",
        )


def _is_shared(target: ast.expr, context: Context) -> bool:
    base = target
    while isinstance(base, ast.Attribute | ast.Subscript):
        base = base.value
    if not isinstance(base, ast.Name):
        # The attribute of what a call returned: anybody's.
        return False
    scope = context.module.scopes[base].function
    owner = scope.owner(base.id)
    if owner is None:
        return False
    if owner is not scope or base.id in owner.shared:
        return True
    return target is not base and isinstance(target, ast.Attribute) and base.id == "self"


def _awaits(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Await) for node in own_nodes([ast.Expr(value)]))


# --- WF123 -----------------------------------------------------------------------------------------------------------


def check_busy_loop(node: ast.AST, context: Context) -> Iterator[Hit]:
    """``while True`` that neither waits nor ends."""
    assert isinstance(node, ast.While)
    if not (isinstance(node.test, ast.Constant) and node.test.value):
        return
    ways_out = ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Break | ast.Return | ast.Raise | ast.Yield | ast.YieldFrom
    if not any(isinstance(it, ways_out) or _calls_unknown(it, context) for it in own_nodes(node.body)):
        yield Hit(BUSY_LOOP, node, "this loop never waits and never ends: await something in it")


def _calls_unknown(node: ast.AST, context: Context) -> bool:
    """Whether it is a call that may end the loop by an exception: next(), or one that nothing is known of."""
    if isinstance(node, ast.Subscript):
        return True
    return isinstance(node, ast.Call) and context.resolver.name(node.func) not in {"builtins.print", "builtins.len"}
