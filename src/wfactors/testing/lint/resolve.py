"""What an expression stands for, as far as one file tells: something imported, or a function or class of the file.

Where it cannot be told the answer is None, and no rule fires: an unknown value is no finding.
"""

from __future__ import annotations

import ast
import builtins

import attrs

from wfactors.testing.lint.names import AnyFunction, Binding, Module, Scope, is_function, position
from wfactors.testing.lint.vocabulary import canonical

__all__ = ["Class", "External", "Function", "Instance", "Resolver", "Value"]

_BUILTINS = frozenset(dir(builtins))
_DEPTH_MAX = 60
_PARTIALS = {"functools.partial", "functools.partialmethod"}
_IMPORTS = {"builtins.__import__", "importlib.import_module"}
_OPTIONAL = {"typing.Optional", "typing.Annotated", "typing.Final", "typing.ClassVar"}


@attrs.frozen
class External:
    """Something from outside of the file, by its dotted name; ``()`` in it is what a call returned.

    ``session.get`` of ``session = requests.Session()`` is ``requests.Session().get``.
    """

    name: str


@attrs.frozen
class Function:
    """A function, method or lambda of the file."""

    node: AnyFunction


@attrs.frozen
class Class:
    """A class of the file."""

    node: ast.ClassDef


@attrs.frozen
class Instance:
    """An instance of a class of the file."""

    node: ast.ClassDef


Value = External | Function | Class | Instance


class Resolver:
    """Answers for one module; every answer is found once."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._known: dict[ast.AST, Value | None] = {}
        self._attributes: dict[ast.ClassDef, dict[str, list[Binding]]] = {}
        self._depth = 0

    # --- Values ------------------------------------------------------------------------------------------------------

    def value(self, node: ast.AST | None) -> Value | None:
        """What an expression stands for."""
        if node is None or node not in self.module.scopes or self._depth > _DEPTH_MAX:
            return None
        if node not in self._known:
            # What is defined by itself is unknown.
            self._known[node] = None
            self._depth += 1
            try:
                self._known[node] = self._value(node)
            finally:
                self._depth -= 1
        return self._known[node]

    def name(self, node: ast.AST | None) -> str:
        """The dotted name of something from outside; "" for everything else."""
        found = self.value(node)
        return found.name if isinstance(found, External) else ""

    def _value(self, node: ast.AST) -> Value | None:
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self.member(self.value(node.value), node.attr)
            case ast.Call():
                return self._call(node)
            case ast.Await() | ast.NamedExpr():
                return self.value(node.value)
            case ast.Subscript():
                # set[str] makes a set; what is in a container is unknown.
                found = self.value(node.value)
                is_class = isinstance(found, Class) or (isinstance(found, External) and "()" not in found.name)
                return found if is_class and self.name(node.value) != "os.environ" else None
            case ast.Lambda():
                return Function(node)
            case _:
                return None

    def _name(self, node: ast.Name) -> Value | None:
        scope = self.module.scopes[node]
        owner = scope.owner(node.id)
        if owner is None:
            return self._from_elsewhere(node.id)
        binding = self.binding(node)
        if binding is None:
            return None
        return self.of_binding(binding)

    def _from_elsewhere(self, name: str) -> Value | None:
        for star in self.module.stars:
            found = canonical(f"{star}.{name}")
            if star.partition(".")[0] == "wfactors" or name not in _BUILTINS:
                return External(found)
        return External(f"builtins.{name}") if name in _BUILTINS else None

    def binding(self, node: ast.Name) -> Binding | None:
        """Where a name got its value, if it can be told."""
        scope = self.module.scopes[node]
        owner = scope.owner(node.id)
        if owner is None:
            return None
        bindings = owner.bindings[node.id]
        if len(bindings) == 1:
            return bindings[0]
        definitions = [one for one in bindings if one.target or is_function(one.node)]
        if len(definitions) == len(bindings):
            # An import with a fallback, or an overloaded function.
            return bindings[0] if bindings[0].target else bindings[-1]
        if owner.function is scope.function and node.id not in owner.shared:
            before = [one for one in bindings if position(one.node) < position(node)]
            return before[-1] if before else None
        return None

    def of_binding(self, binding: Binding) -> Value | None:
        """What a name stands for that is bound there."""
        if binding.target:
            return External(canonical(binding.target))
        node = binding.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return Function(node)
        if isinstance(node, ast.ClassDef):
            return Class(node)
        if isinstance(node, ast.arg):
            return self._parameter(binding, node)
        if binding.value is not None:
            found = self.value(binding.value)
            if found is not None:
                return found
        return self.instance_of(binding.annotation, binding.scope)

    def _parameter(self, binding: Binding, node: ast.arg) -> Value | None:
        function = binding.scope.node
        owner = self.module.class_of(function)
        arguments = function.args if isinstance(function, AnyFunction) else None
        if owner is not None and arguments is not None and is_function(function):
            first = [*arguments.posonlyargs, *arguments.args][:1]
            decorators = {self.name(it) for it in getattr(function, "decorator_list", [])}
            if first == [node] and "builtins.staticmethod" not in decorators:
                is_class = "builtins.classmethod" in decorators or getattr(function, "name", "") == "__new__"
                return Class(owner) if is_class else Instance(owner)
        return self.instance_of(binding.annotation, binding.scope)

    # --- Calls -------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Value | None:
        function = self.value(node.func)
        match function:
            case External(name) if name in _PARTIALS and node.args:
                return self.value(node.args[0])
            case External("builtins.super"):
                return self._super(node)
            case External("builtins.type") if len(node.args) == 1:
                found = self.value(node.args[0])
                return Class(found.node) if isinstance(found, Instance) else None
            case External("builtins.getattr") if len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                return self.member(self.value(node.args[0]), str(node.args[1].value))
            case External(name):
                return self._call_outside(name, node)
            case Class(of):
                return Instance(of)
            case Function(of) if isinstance(node.func, ast.Attribute) and node.func.attr == "options":
                return function
            case Function(of) if not isinstance(of, ast.Lambda):
                return self.instance_of(of.returns, self.module.scopes[of])
            case _:
                return None

    def _call_outside(self, name: str, node: ast.Call) -> Value | None:
        if name in _IMPORTS and node.args:
            first = node.args[0]
            return External(str(first.value)) if isinstance(first, ast.Constant) else None
        if name.startswith("wfactors.activities().") and name.endswith(".options"):
            return External(name.removesuffix(".options"))
        return External(f"{name}()")

    def _super(self, node: ast.Call) -> Value | None:
        scope: Scope | None = self.module.scopes[node]
        while scope is not None and not isinstance(scope.node, ast.ClassDef):
            scope = scope.parent
        for base in scope.node.bases if scope is not None and isinstance(scope.node, ast.ClassDef) else []:
            match self.value(base):
                case Class(of):
                    return Instance(of)
                case External(name):
                    return External(f"{name}()")
                case _:
                    continue
        return None

    # --- Members -----------------------------------------------------------------------------------------------------

    def member(self, of: Value | None, name: str, depth: int = 0) -> Value | None:
        """The attribute of a value."""
        match of:
            case External(outer):
                return External(canonical(f"{outer}.{name}"))
            case Function() if name == "options":
                return of
            case Class(node) | Instance(node) if depth < _DEPTH_MAX:
                return self._member(node, name, depth)
            case _:
                return None

    def _member(self, node: ast.ClassDef, name: str, depth: int) -> Value | None:
        own = self.module.inner[node].bindings.get(name, ())
        functions = [it.node for it in own if isinstance(it.node, ast.FunctionDef | ast.AsyncFunctionDef)]
        plain = [it for it in functions if "typing.overload" not in {self.name(one) for one in it.decorator_list}]
        if plain:
            # The first: a property comes before its setter.
            return Function(plain[0])
        for binding in [*own, *self.attributes(node).get(name, ())]:
            found = self.of_binding(binding)
            if found is not None:
                return found
        for base in node.bases:
            match self.value(base):
                case External(outer):
                    return External(canonical(f"{outer}().{name}"))
                case Class() as base_class:
                    found = self.member(base_class, name, depth + 1)
                    if found is not None:
                        return found
                case _:
                    continue
        return None

    def attributes(self, node: ast.ClassDef) -> dict[str, list[Binding]]:
        """What the methods of a class assign to attributes of ``self``."""
        if not self._attributes:
            self._collect_attributes()
        return self._attributes.get(node, {})

    def _collect_attributes(self) -> None:
        for node in self.module.inner:
            if isinstance(node, ast.ClassDef):
                self._attributes[node] = {}
        for name in self.module.names:
            attribute = self.module.parents.get(name)
            scope = self.module.scopes[name]
            owner = self.module.class_of(scope.node) if is_function(scope.node) else None
            if owner is None or not isinstance(attribute, ast.Attribute) or not isinstance(attribute.ctx, ast.Store):
                continue
            parameters = getattr(scope.node, "args").args  # noqa: B009  It is a function.
            if not parameters or parameters[0].arg != name.id:
                continue
            around = self.module.parents.get(attribute)
            found = self._attributes[owner].setdefault(attribute.attr, [])
            if isinstance(around, ast.Assign):
                found.append(Binding(attribute, scope, around.value))
            elif isinstance(around, ast.AnnAssign):
                found.append(Binding(attribute, scope, around.value, around.annotation))

    # --- Annotations -------------------------------------------------------------------------------------------------

    def instance_of(self, annotation: ast.expr | None, scope: Scope) -> Value | None:
        """A value of which only the type is known."""
        match self.type_of(annotation, scope):
            case Class(node):
                return Instance(node)
            case External(name) if name != "builtins.None":
                return External(f"{name}()")
            case _:
                return None

    def type_of(self, annotation: ast.expr | None, scope: Scope, depth: int = 0) -> Value | None:
        """The class that an annotation names; of a union with None the other member."""
        if annotation is None or depth > _DEPTH_MAX:
            return None
        match annotation:
            case ast.Name():
                return self._named(annotation.id, scope)
            case ast.Attribute():
                return self.member(self.type_of(annotation.value, scope, depth + 1), annotation.attr)
            case ast.Constant(value=str(text)):
                return self.type_of(_parsed(text), scope, depth + 1)
            case ast.Subscript():
                outer = self.type_of(annotation.value, scope, depth + 1)
                inner = annotation.slice.elts[:1] if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
                if isinstance(outer, External) and outer.name.replace("typing_extensions", "typing") in _OPTIONAL:
                    return self.type_of(inner[0], scope, depth + 1) if inner else None
                return outer
            case ast.BinOp(op=ast.BitOr()):
                sides = [annotation.left, annotation.right]
                rest = [side for side in sides if not (isinstance(side, ast.Constant) and side.value is None)]
                return self.type_of(rest[0], scope, depth + 1) if len(rest) == 1 else None
            case _:
                return None

    def _named(self, name: str, scope: Scope) -> Value | None:
        owner = scope.owner(name)
        if owner is None:
            return self._from_elsewhere(name)
        bindings = owner.bindings[name]
        last = bindings[-1]
        if last.target or isinstance(last.node, ast.ClassDef):
            return self.of_binding(last)
        # An alias for a type.
        return self.value(last.value) if len(bindings) == 1 else None


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
