"""WF112, WF113: what a module has for all workflows together, and for no history."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.names import Module, is_function
from wfactors.testing.lint.resolve import Instance, Resolver
from wfactors.testing.lint.rules.base import Context, Hit, Rule

__all__ = ["GLOBAL_READ", "GLOBAL_WRITE", "check_globals"]

GLOBAL_WRITE = Rule(
    code="WF112",
    name="global-write",
    in_queries=True,
    summary="A workflow changes what belongs to its module.",
    why="The change is in the memory of one process and in no history. Every replay makes it again: a counter counts "
    "twice, a list gets the item once more. Other workflows see it, in whatever order they happen to run.",
    instead="Keep state in local variables of the workflow; functions inside of it can share them (`nonlocal`), "
    "queries and updates too. What several workflows share belongs to a store of your own, behind activities, or to a "
    "workflow that the others send signals to.",
    bad="""
import wfactors as wf

orders: list[str] = []
count = 0


@wf.workflow
async def order(item: str) -> int:
    global count
    count += 1
#   ^ WF112
    orders.append(item)
#   ^ WF112
    return len(item)
""",
    good="""
import wfactors as wf

PRICES = {"tea": 250}


@wf.workflow
async def order(item: str) -> int:
    total = 0

    @wf.update
    async def add(item: str) -> None:
        nonlocal total
        total += PRICES[item]

    await wf.wait_until(lambda: total > 1000)
    return total
""",
)

GLOBAL_READ = Rule(
    code="WF113",
    name="global-read",
    severity=Severity.WARNING,
    summary="A workflow reads what belongs to its module and is changed by other code.",
    why="What it reads depends on what else ran in this process, and when. A replay, perhaps in another process, "
    "reads something else. Tables that nothing changes are fine, and are no finding.",
    instead="Pass the value as an argument, read it with `await wf.side_effect(...)`, which keeps it in the history, "
    "or ask for it in an activity.",
    bad="""
import wfactors as wf

rates: dict[str, float] = {}


def update_rates(new: dict[str, float]) -> None:
    rates.update(new)


@wf.workflow
async def convert(cents: int, currency: str) -> float:
    return cents * rates[currency]
#                  ^ WF113
""",
    good="""
import wfactors as wf

rates: dict[str, float] = {}


def update_rates(new: dict[str, float]) -> None:
    rates.update(new)


@wf.workflow
async def convert(cents: int, currency: str) -> float:
    return cents * await wf.side_effect(lambda: rates[currency])
""",
)

_MUTATORS = {
    *(
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "clear",
        "update",
        "setdefault",
        "add",
        "discard",
        "sort",
    ),
    *("reverse", "appendleft", "extendleft", "popleft", "rotate", "subtract", "move_to_end", "difference_update"),
    *("intersection_update", "symmetric_difference_update", "__setitem__", "__delitem__"),
}
_CONTAINERS = {
    *(f"builtins.{name}()" for name in ("list", "dict", "set", "bytearray")),
    *(f"collections.{name}()" for name in ("defaultdict", "deque", "Counter", "OrderedDict", "ChainMap")),
    *(f"weakref.{name}()" for name in ("WeakKeyDictionary", "WeakValueDictionary", "WeakSet")),
}
_LITERALS = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
_STREAMS = (
    "itertools.",
    "builtins.iter()",
    "builtins.map()",
    "builtins.zip()",
    "builtins.filter()",
    "builtins.enumerate()",
)

_changed_names: WeakKeyDictionary[Module, set[str]] = WeakKeyDictionary()


def check_globals(node: ast.AST, context: Context) -> Iterator[Hit]:
    """Names of the module that are bound or changed here, or read here and changed elsewhere."""
    assert isinstance(node, ast.Name)
    module = context.module
    if module.scopes[node].owner(node.id) is not module.scope:
        return
    bindings = module.scope.bindings[node.id]
    is_state = not any(it.target or is_function(it.node) or isinstance(it.node, ast.ClassDef) for it in bindings)
    if isinstance(node.ctx, ast.Store | ast.Del) or _is_changed(node, context.resolver, is_state=is_state):
        yield Hit(
            GLOBAL_WRITE,
            node,
            f"{node.id} belongs to the module, so every replay changes it again: keep state in local variables",
        )
    elif is_state and not context.is_reader and node.id in _changed(context.resolver):
        yield Hit(
            GLOBAL_READ,
            node,
            f"{node.id} belongs to the module and is changed elsewhere: pass it as an argument, or read it in "
            "wf.side_effect()",
        )


def _is_changed(node: ast.Name, resolver: Resolver, *, is_state: bool) -> bool:
    """Whether the code around a name of the module changes what it stands for."""
    parents = resolver.module.parents
    around = parents.get(node)
    match around:
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            return True
        case ast.Subscript(ctx=ast.Store() | ast.Del()) if around.value is node:
            return True
        case ast.Attribute() | ast.Subscript() if is_state:
            return _is_mutated(node, resolver)
        case ast.Call(args=[first, *_]) if first is node and is_state:
            return resolver.name(around.func) == "builtins.next" and _is_stream(node, resolver)
        case _:
            return False


def _is_mutated(node: ast.Name, resolver: Resolver) -> bool:
    """``name.append(...)``, ``name["key"].append(...)``, ``name.items.append(...)``, ``name.count += 1``."""
    parents = resolver.module.parents
    current: ast.AST = node
    around = parents.get(node)
    while isinstance(around, ast.Attribute | ast.Subscript) and around.value is current:
        if not isinstance(around.ctx, ast.Load):
            return True
        current, around = around, parents.get(around)
    is_called = isinstance(around, ast.Call) and around.func is current
    if not (is_called and isinstance(current, ast.Attribute) and current.attr in _MUTATORS):
        return False
    # What update() does to an object of which nothing is known is unknown as well.
    is_own = isinstance(resolver.value(node), Instance) and current.value is not node
    return is_own or _is_container(node, resolver)


def _is_container(node: ast.Name, resolver: Resolver) -> bool:
    for binding in resolver.module.scope.bindings[node.id]:
        if isinstance(binding.value, _LITERALS) or resolver.name(binding.value) in _CONTAINERS:
            return True
    return False


def _is_stream(node: ast.Name, resolver: Resolver) -> bool:
    return any(
        isinstance(binding.value, ast.GeneratorExp) or resolver.name(binding.value).startswith(_STREAMS)
        for binding in resolver.module.scope.bindings[node.id]
    )


def _changed(resolver: Resolver) -> set[str]:
    """The names of the module that functions rebind, or whose values they change."""
    module = resolver.module
    if module not in _changed_names:
        found = set(module.scope.shared)
        for node in module.names:
            scope = module.scopes[node]
            if scope.function is module.scope or node.id in found or scope.owner(node.id) is not module.scope:
                continue
            if _is_changed(node, resolver, is_state=True):
                found.add(node.id)
        _changed_names[module] = found
    return _changed_names[module]
