"""WF111: the order of a set."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wfactors.testing.lint.names import Binding, Scope
from wfactors.testing.lint.resolve import Class, External, Function, Instance, Resolver
from wfactors.testing.lint.rules.base import Context, Hit, Rule

__all__ = ["SET_ITERATION", "check_sets", "is_set"]

SET_ITERATION = Rule(
    code="WF111",
    name="set-iteration",
    summary="A workflow goes through a set, in an order that another process does not have.",
    why="Python chooses the hashes of strings anew in every process, so a set of them has another order after a "
    "restart. A workflow that starts activities in that order does not match its history any more.",
    instead="`sorted(...)` has one order; so has a list, and a dict, whose order is that of insertion "
    "(`dict.fromkeys(items)` drops doubles and keeps the order). Asking whether something is in a set is fine, so are "
    "`len`, `sum`, `min`, `max`, `any`, `all`.",
    bad="""
import wfactors as wf


@wf.activity
async def notify(who: str) -> None: ...


@wf.workflow
async def invite(guests: list[str], hosts: set[str]) -> str:
    everyone = set(guests) | hosts
    for guest in everyone:
#                ^ WF111
        await notify(guest)
    await wf.gather(*[notify(host) for host in hosts])
#                                              ^ WF111
    return ", ".join(everyone - hosts)
#                    ^ WF111
""",
    good="""
import wfactors as wf


@wf.activity
async def notify(who: str) -> None: ...


@wf.workflow
async def invite(guests: list[str], hosts: set[str]) -> int:
    for guest in sorted(set(guests) | hosts):
        if guest not in hosts:
            await notify(guest)
    for guest in dict.fromkeys(guests):
        await notify(guest)
    return sum(len(host) for host in hosts)
""",
)

_TYPES = {
    f"{module}.{name}"
    for module, names in {
        "builtins": ("set", "frozenset"),
        "typing": ("Set", "FrozenSet", "AbstractSet", "MutableSet"),
        "collections.abc": ("Set", "MutableSet"),
    }.items()
    for name in names
}
_SAME_KIND = {"union", "intersection", "difference", "symmetric_difference", "copy"}
_ORDERED = {
    f"builtins.{name}"
    for name in (
        "list",
        "tuple",
        "iter",
        "enumerate",
        "zip",
        "map",
        "filter",
        "dict.fromkeys",
        "str",
        "repr",
        "reversed",
    )
} | {
    "collections.deque",
    *(f"itertools.{name}" for name in ("chain", "chain.from_iterable", "islice", "cycle", "product", "permutations")),
    "itertools.combinations",
    "itertools.batched",
}
_ORDERED_METHODS = {"extend", "join", "extendleft", "writelines"}
_UNORDERED = {
    *(f"builtins.{name}" for name in ("sorted", "set", "frozenset", "len", "sum", "min", "max", "any", "all", "bool")),
    "math.fsum",
    "math.prod",
}
_DEPTH_MAX = 40
_ADVICE = "has another order in every process: use sorted(...), a list or a dict"


def check_sets(node: ast.AST, context: Context) -> Iterator[Hit]:
    """Everything that takes the items of a set one after the other."""
    if context.is_reader:
        return
    for taken in _taken_in_order(node, context):
        if is_set(taken, context.resolver):
            yield Hit(SET_ITERATION, taken, f"a set {_ADVICE}")


def _taken_in_order(node: ast.AST, context: Context) -> Iterator[ast.expr]:
    match node:
        case ast.For():
            yield node.iter
        case ast.YieldFrom() | ast.FormattedValue():
            yield node.value
        case ast.Starred(ctx=ast.Load()):
            # Into a set, there is no order to lose.
            if not isinstance(context.parent(node), ast.Set):
                yield node.value
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
            if not _is_consumed_unordered(node, context):
                for generator in node.generators:
                    yield generator.iter
        case ast.Assign(targets=[ast.Tuple() | ast.List()]):
            yield node.value
        case ast.Call():
            yield from _arguments_in_order(node, context)
        case _:
            pass


def _arguments_in_order(node: ast.Call, context: Context) -> Iterator[ast.expr]:
    name = context.resolver.name(node.func)
    if name in _ORDERED and not _is_consumed_unordered(node, context):
        yield from (it for it in node.args if not isinstance(it, ast.Starred))
    elif isinstance(node.func, ast.Attribute):
        if node.func.attr in _ORDERED_METHODS:
            yield from node.args[:1]
        elif node.func.attr == "pop" and not node.args and not node.keywords:
            yield node.func.value


def _is_consumed_unordered(node: ast.expr, context: Context) -> bool:
    """Whether what it makes goes straight into something that does not ask for the order."""
    around = context.parent(node)
    while isinstance(around, ast.Starred):
        around = context.parent(around)
    if isinstance(around, ast.Call) and node in around.args:
        return context.resolver.name(around.func) in _UNORDERED
    return isinstance(around, ast.Compare) and around.left is not node


def is_set(node: ast.expr | None, resolver: Resolver, depth: int = 0) -> bool:
    """Whether an expression is known to be a set."""
    if depth > _DEPTH_MAX:
        return False
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.BitXor() | ast.Sub(), right=right):
            return any(is_set(side, resolver, depth + 1) or _is_view(side) for side in (left, right))
        case ast.IfExp():
            return is_set(node.body, resolver, depth + 1) and is_set(node.orelse, resolver, depth + 1)
        case ast.NamedExpr():
            return is_set(node.value, resolver, depth + 1)
        case ast.Name():
            return _is_set_name(node, resolver, depth)
        case ast.Attribute():
            return _is_set_attribute(node, resolver, depth)
        case ast.Call():
            return _is_set_call(node, resolver, depth)
        case ast.Await(value=ast.Call() as call):
            return _returns_set(call, resolver, is_awaited=True)
        case _:
            return False


def _is_view(node: ast.expr) -> bool:
    """The keys of a dict: what & and - make of them is a set."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _is_set_name(node: ast.Name, resolver: Resolver, depth: int) -> bool:
    owner = resolver.module.scopes.get(node, resolver.module.scope).owner(node.id)
    if owner is None:
        return False
    binding = resolver.binding(node)
    if binding is not None:
        return _binds_set(binding, resolver, depth)
    bindings = owner.bindings.get(node.id, [])
    return bool(bindings) and all(_binds_set(it, resolver, depth) for it in bindings)


def _binds_set(binding: Binding, resolver: Resolver, depth: int) -> bool:
    if isinstance(resolver.module.parents.get(binding.node), ast.withitem):
        return False
    return is_set(binding.value, resolver, depth + 1) or _is_set_type(binding.annotation, binding.scope, resolver)


def _is_set_attribute(node: ast.Attribute, resolver: Resolver, depth: int) -> bool:
    match resolver.value(node.value):
        case Instance(cls) | Class(cls):
            own = resolver.module.inner[cls].bindings.get(node.attr, [])
            values = [*own, *resolver.attributes(cls).get(node.attr, [])]
            return bool(values) and all(_binds_set(it, resolver, depth) for it in values)
        case _:
            return False


def _is_set_call(node: ast.Call, resolver: Resolver, depth: int) -> bool:
    if resolver.name(node.func) in _TYPES:
        return True
    if isinstance(node.func, ast.Attribute) and node.func.attr in _SAME_KIND:
        return is_set(node.func.value, resolver, depth + 1)
    return _returns_set(node, resolver, is_awaited=False)


def _returns_set(node: ast.Call, resolver: Resolver, *, is_awaited: bool) -> bool:
    match resolver.value(node.func):
        case Function(function) if isinstance(function, ast.FunctionDef) or is_awaited:
            returns = None if isinstance(function, ast.Lambda) else function.returns
            return _is_set_type(returns, resolver.module.scopes[function], resolver)
        case _:
            return False


def _is_set_type(annotation: ast.expr | None, scope: Scope, resolver: Resolver) -> bool:
    match resolver.type_of(annotation, scope):
        case External(name):
            return name in _TYPES
        case _:
            return False
