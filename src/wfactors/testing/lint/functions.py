"""Which functions of a file run inside a workflow: the workflows, and what they call, directly or not."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Collection, Iterable, Iterator

import attrs

from wfactors.testing.lint.names import AnyFunction, Module, is_function
from wfactors.testing.lint.resolve import Class, Function, Instance, Resolver
from wfactors.testing.lint.vocabulary import ACTIVITY, QUERY, WORKFLOW

__all__ = ["Kinds", "Reached", "code_of", "reached_functions"]

# Methods that run when something else does than a call of them.
_IMPLICIT = {
    *("__init__", "__post_init__", "__attrs_post_init__", "__attrs_pre_init__", "__new__", "__call__"),
    *("__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__next__", "__aiter__", "__anext__"),
    *("__await__", "__eq__", "__lt__", "__bool__", "__len__", "__contains__", "__getitem__", "__setitem__"),
}


@attrs.frozen
class Reached:
    """A function that runs inside a workflow.

    Attributes:
        node: The function.
        workflow: The name of the workflow by which it was found.
        name: Its own, with its class; "" if it is the workflow, or inside of it.
        is_reader: Only queries and validators run it: they may look, and are not replayed.
        code: The nodes that run when it does; see ``code_of``.
    """

    node: AnyFunction
    workflow: str
    name: str
    is_reader: bool
    code: tuple[ast.AST, ...] = attrs.field(repr=False)


class Kinds:
    """What the decorators of a function make of it.

    Args:
        resolver: Of the module.
        workflows: More decorators that make a workflow, by their dotted names.
        activities: The same for activities.
    """

    def __init__(self, resolver: Resolver, workflows: Collection[str] = (), activities: Collection[str] = ()) -> None:
        self._resolver = resolver
        self._workflows = {WORKFLOW, *workflows}
        self._activities = {ACTIVITY, *activities}
        # checkout = wf.workflow(_checkout), by the function.
        self._called: dict[ast.AST, str] | None = None

    def decorators(self, node: AnyFunction) -> set[str]:
        """The dotted names of the decorators, with their parentheses gone."""
        listed: list[ast.expr] = [] if isinstance(node, ast.Lambda) else node.decorator_list
        found = {self._resolver.name(it).removesuffix("()") for it in listed}
        return found | {self._by_calls().get(node, "")} - {""}

    def is_workflow(self, node: AnyFunction) -> bool:
        return not self._workflows.isdisjoint(self.decorators(node))

    def is_activity(self, node: AnyFunction) -> bool:
        return not self._activities.isdisjoint(self.decorators(node))

    def is_durable(self, node: AnyFunction) -> bool:
        """Whether a call of it inside a workflow goes into the history."""
        return self.is_workflow(node) or self.is_activity(node)

    def is_reader(self, node: AnyFunction) -> bool:
        """Whether it is a query, or the validator of an update."""
        if isinstance(node, ast.Lambda):
            return False
        is_validator = any(isinstance(it, ast.Attribute) and it.attr == "validator" for it in node.decorator_list)
        return is_validator or QUERY in self.decorators(node)

    def _by_calls(self) -> dict[ast.AST, str]:
        if self._called is None:
            self._called = {}
            known = self._workflows | self._activities
            for name in self._resolver.module.names:
                call = self._resolver.module.parents.get(name)
                if isinstance(call, ast.Call) and name in call.args:
                    decorator = self._resolver.name(call.func).removesuffix("()")
                    target = self._resolver.value(name) if decorator in known else None
                    if isinstance(target, Function):
                        self._called[target.node] = decorator
        return self._called


def reached_functions(resolver: Resolver, kinds: Kinds, *, is_everything: bool = False) -> list[Reached]:
    """Every function that runs inside a workflow, the workflows first.

    Args:
        resolver: Of the module.
        kinds: What is a workflow, and what an activity.
        is_everything: Take every function for a workflow: for trying the rules on code that has none.
    """
    found: dict[ast.AST, Reached] = {}
    # Each with the name of the workflow, its own, and whether it only looks.
    work: deque[tuple[AnyFunction, str, str, bool]] = deque()
    for node in resolver.module.functions:
        if is_everything or kinds.is_workflow(node):
            work.append((node, getattr(node, "name", "lambda"), "", False))
    while work:
        node, workflow, name, is_reader = work.popleft()
        known = found.get(node)
        if known is not None and (is_reader or not known.is_reader):
            continue
        code = tuple(code_of(node, resolver)) if known is None else known.code
        reached = found[node] = Reached(node, workflow, name, is_reader, code)
        for called in dict.fromkeys(_called_by(code, resolver)):
            if not kinds.is_durable(called):
                its_name = "" if _is_inside(called, reached, resolver.module) else _name(called, resolver.module)
                work.append((called, workflow, its_name, is_reader or kinds.is_reader(called)))
    return list(found.values())


def code_of(function: AnyFunction, resolver: Resolver) -> Iterator[ast.AST]:
    """The nodes that run when a function does, outer ones first, in the order of the file.

    Not the bodies of functions inside of it, for those run when they are called; but its lambdas, which run in the same
    workflow as a rule. Not what runs as a side effect, and not annotations.
    """
    work: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else [*reversed(function.body)]
    while work:
        node = work.pop()
        yield node
        work.extend(reversed(_children(node, resolver)))


def _children(node: ast.AST, resolver: Resolver) -> list[ast.AST]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.decorator_list, *node.args.defaults, *(it for it in node.args.kw_defaults if it is not None)]
        case ast.Lambda():
            return [*node.args.defaults, *(it for it in node.args.kw_defaults if it is not None), node.body]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *(it.value for it in node.keywords), *node.body]
        case ast.AnnAssign():
            return [node.target] if node.value is None else [node.target, node.value]
        case ast.If() if resolver.name(node.test) == "typing.TYPE_CHECKING":
            return [*node.orelse]
        case ast.Call() if node.args and resolver.name(node.func) == "wfactors.side_effect":
            return [node.func, *node.args[1:], *node.keywords]
        case _:
            return list(ast.iter_child_nodes(node))


def _called_by(code: Iterable[ast.AST], resolver: Resolver) -> Iterator[AnyFunction]:
    """What code may call: every function it names, whatever it does with it."""
    for node in code:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            # A decorator has it now: @wf.query, @wf.update.
            yield node
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            match resolver.value(node):
                case Function(named):
                    yield named
                    yield from _wrappers(named, resolver)
                case _:
                    pass
        elif isinstance(node, ast.Call) and isinstance(made := resolver.value(node.func), Class):
            yield from _implicit_methods(made, resolver)
        elif isinstance(node, ast.withitem) and isinstance(entered := resolver.value(node.context_expr), Instance):
            yield from _implicit_methods(Class(entered.node), resolver)


def _wrappers(node: AnyFunction, resolver: Resolver) -> Iterator[AnyFunction]:
    """The decorators of a function that are functions of the file: what they return runs in its place."""
    for decorator in [] if isinstance(node, ast.Lambda) else node.decorator_list:
        outer = resolver.value(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if isinstance(outer, Function):
            yield outer.node


def _implicit_methods(made: Class, resolver: Resolver) -> Iterator[AnyFunction]:
    for name in sorted(_IMPLICIT):
        method = resolver.member(made, name)
        if isinstance(method, Function):
            yield method.node


def _is_inside(node: ast.AST, reached: Reached, module: Module) -> bool:
    return reached.name == "" and (node is reached.node or reached.node in module.ancestors(node))


def _name(node: AnyFunction, module: Module) -> str:
    if isinstance(node, ast.Lambda):
        return "a lambda"
    around = module.class_of(node)
    assert is_function(node)
    return f"{node.name}()" if around is None else f"{around.name}.{node.name}()"
