"""The scopes of a module: which name is bound where, and to what.

One pass over the tree, without recursion, so that the depth of an expression does not matter. Annotations are not
visited: they are not run in a workflow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import attrs

__all__ = ["AnyFunction", "Binding", "Module", "Scope", "is_function", "position", "read_module"]

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_LEAVES = ast.expr_context | ast.operator | ast.unaryop | ast.boolop | ast.cmpop
_Work = tuple[ast.AST, "Scope"]


@attrs.define(eq=False)
class Binding:
    """One place where a name gets a value.

    Attributes:
        node: Where.
        scope: Of the code that does it; another one than the name's after ``global`` or ``nonlocal``.
        value: What it is bound to, where that is an expression of its own.
        annotation: What the author says of it.
        target: What an import means, as a dotted name; "" for other bindings.
    """

    node: ast.AST
    scope: Scope
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    target: str = ""


@attrs.define(eq=False)
class Scope:
    """A module, class, function or comprehension.

    Attributes:
        node: Which one.
        parent: The scope around it.
        bindings: Of the names that are its own.
        is_global: For each name that is declared to be another scope's: whether that is the module.
        shared: Names that functions inside of this one rebind.
    """

    node: ast.AST
    parent: Scope | None = None
    bindings: dict[str, list[Binding]] = attrs.field(factory=dict)
    is_global: dict[str, bool] = attrs.field(factory=dict)
    shared: set[str] = attrs.field(factory=set)

    @property
    def function(self) -> Scope:
        """The function, class or module that the code is in: this one, unless it is a comprehension."""
        scope = self
        while isinstance(scope.node, _Comprehension) and scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def root(self) -> Scope:
        """The module."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def owner(self, name: str) -> Scope | None:
        """The scope in which code of this one finds a name; None if it is bound nowhere in the file."""
        scope: Scope | None = self
        while scope is not None:
            if scope is self or not isinstance(scope.node, ast.ClassDef):
                is_global = scope.is_global.get(name)
                if is_global:
                    root = scope.root
                    return root if name in root.bindings else None
                if is_global is None and name in scope.bindings:
                    return scope
            scope = scope.parent
        return None


@attrs.define(eq=False)
class Module:
    """What is known of the names of a file.

    Attributes:
        scope: Of the module itself.
        scopes: For each node the scope that its code runs in.
        parents: For each node the one around it.
        inner: For each function and class its own scope.
        names: Each use of a name.
        functions: Each function and lambda.
        stars: The modules from which everything is imported.
    """

    scope: Scope
    scopes: dict[ast.AST, Scope] = attrs.field(factory=dict)
    parents: dict[ast.AST, ast.AST] = attrs.field(factory=dict)
    inner: dict[ast.AST, Scope] = attrs.field(factory=dict)
    names: list[ast.Name] = attrs.field(factory=list)
    functions: list[AnyFunction] = attrs.field(factory=list)
    stars: list[str] = attrs.field(factory=list)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the nearest first."""
        current = self.parents.get(node)
        while current is not None:
            yield current
            current = self.parents.get(current)

    def class_of(self, function: ast.AST) -> ast.ClassDef | None:
        """The class whose method it is."""
        around = self.scopes[function].node
        return around if isinstance(around, ast.ClassDef) else None


def is_function(node: ast.AST) -> bool:
    """Whether it is a function with a name."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def position(node: ast.AST) -> tuple[int, int]:
    """Line and offset; nodes without one are at the beginning."""
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def read_module(tree: ast.Module) -> Module:
    """Find the scopes and bindings of a module."""
    module = Module(Scope(tree))
    reader = _Reader(module)
    work: list[_Work] = [(tree, module.scope)]
    while work:
        node, scope = work.pop()
        module.scopes[node] = scope
        children = [work for work in reader.children(node, scope) if not isinstance(work[0], _LEAVES)]
        for child, _ in children:
            module.parents[child] = node
        work.extend(reversed(children))
    _settle(module)
    return module


def _settle(module: Module) -> None:
    """Move the bindings that ``global`` and ``nonlocal`` send elsewhere: a declaration may come after some use."""
    for scope in [*module.inner.values()]:
        for name, is_global in scope.is_global.items():
            moved = scope.bindings.pop(name, [])
            start = scope.root if is_global else scope.parent
            owner = start.owner(name) if start is not None else None
            if owner is None:
                owner = scope.root
            owner.shared.add(name)
            if moved:
                owner.bindings.setdefault(name, []).extend(moved)


class _Reader:
    """Notes what a node binds, and says which nodes are inside of it and in which scope their code runs."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def children(self, node: ast.AST, scope: Scope) -> list[_Work]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._function(node, scope)
            case ast.Lambda():
                return self._lambda(node, scope)
            case ast.ClassDef():
                return self._class(node, scope)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node, scope)
            case ast.AnnAssign():
                self._bind(node.target, scope, node.value, node.annotation)
                return _in(scope, node.target, node.value)
            case _:
                self._note(node, scope)
                return _in(scope, *ast.iter_child_nodes(node))

    # --- New scopes --------------------------------------------------------------------------------------------------

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> list[_Work]:
        self._add(node.name, Binding(node, scope))
        inner = self._enter(node, scope)
        self._module.functions.append(node)
        self._parameters(node.args, inner)
        outside = _in(scope, *node.decorator_list, *node.args.defaults, *node.args.kw_defaults)
        return outside + _in(inner, *node.body)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> list[_Work]:
        inner = self._enter(node, scope)
        self._module.functions.append(node)
        self._parameters(node.args, inner)
        return _in(scope, *node.args.defaults, *node.args.kw_defaults) + _in(inner, node.body)

    def _class(self, node: ast.ClassDef, scope: Scope) -> list[_Work]:
        self._add(node.name, Binding(node, scope))
        inner = self._enter(node, scope)
        outside = _in(scope, *node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords))
        return outside + _in(inner, *node.body)

    def _comprehension(self, node: _Comprehension, scope: Scope) -> list[_Work]:
        inner = Scope(node, scope)
        work: list[_Work] = []
        for index, generator in enumerate(node.generators):
            self._module.parents[generator] = node
            self._module.scopes[generator] = inner
            self._bind(generator.target, inner)
            work += _in(scope if index == 0 else inner, generator.iter) + _in(inner, generator.target, *generator.ifs)
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return work + _in(inner, *values)

    def _enter(self, node: ast.AST, scope: Scope) -> Scope:
        inner = self._module.inner[node] = Scope(node, scope)
        return inner

    def _parameters(self, arguments: ast.arguments, inner: Scope) -> None:
        plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in plain:
            self._add(argument.arg, Binding(argument, inner, annotation=argument.annotation))
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                self._add(rest.arg, Binding(rest, inner))

    # --- Bindings ----------------------------------------------------------------------------------------------------

    def _note(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Name():
                self._module.names.append(node)
            case ast.Assign():
                for target in node.targets:
                    self._bind(target, scope, node.value)
            case ast.NamedExpr():
                self._bind(node.target, scope.function, node.value)
            case ast.For() | ast.AsyncFor():
                self._bind(node.target, scope)
            case ast.Import() | ast.ImportFrom():
                self._import(node, scope)
            case ast.Global() | ast.Nonlocal():
                for name in node.names:
                    scope.function.is_global[name] = isinstance(node, ast.Global)
            case _:
                self._note_in_passing(node, scope)

    def _note_in_passing(self, node: ast.AST, scope: Scope) -> None:
        """What binds a name beside doing something else."""
        match node:
            case ast.withitem() if node.optional_vars is not None:
                self._bind(node.optional_vars, scope, node.context_expr)
            case ast.AugAssign() | ast.Delete():
                for target in node.targets if isinstance(node, ast.Delete) else [node.target]:
                    if isinstance(target, ast.Name) and target.id in scope.function.is_global:
                        self._bind(target, scope)
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() if node.name is not None:
                self._add(node.name, Binding(node, scope))
            case ast.MatchMapping() if node.rest is not None:
                self._add(node.rest, Binding(node, scope))
            case _:
                pass

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                top = alias.name.partition(".")[0]
                target = alias.name if alias.asname else top
                self._add(alias.asname or top, Binding(node, scope, target=target))
            else:
                source = "." * node.level + (node.module or "")
                if alias.name == "*":
                    self._module.stars.append(source)
                else:
                    self._add(alias.asname or alias.name, Binding(node, scope, target=f"{source}.{alias.name}"))

    def _bind(
        self, target: ast.expr, scope: Scope, value: ast.expr | None = None, annotation: ast.expr | None = None
    ) -> None:
        work: list[tuple[ast.expr, ast.expr | None]] = [(target, value)]
        while work:
            one, its_value = work.pop()
            if isinstance(one, ast.Name):
                self._add(one.id, Binding(one, scope, its_value, annotation))
            elif isinstance(one, ast.Starred):
                work.append((one.value, None))
            elif isinstance(one, ast.Tuple | ast.List):
                values: list[ast.expr | None] = [None] * len(one.elts)
                if isinstance(its_value, ast.Tuple | ast.List) and len(its_value.elts) == len(one.elts):
                    values = [*its_value.elts]
                work += zip(one.elts, values, strict=True)

    def _add(self, name: str, binding: Binding) -> None:
        binding.scope.bindings.setdefault(name, []).append(binding)


def _in(scope: Scope, *nodes: ast.AST | None) -> list[_Work]:
    return [(node, scope) for node in nodes if node is not None]
