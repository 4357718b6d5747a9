"""Runs the source of Trio's own test modules in a world where ``trio`` means the kernel.

Nothing of Trio's text is in this repository: the source is taken from the installed package, compiled, and executed in
a namespace whose ``__import__`` answers with the stand-ins of ``shim.py`` for everything below ``trio``, and with the
real thing for everything else. The real ``trio`` stays what it is for the rest of the process.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import itertools
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from tests.kernel.trio_suite import points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Private attributes of Trio's objects that its tests read: what they are called here, what is observed from outside.
RENAMED = {"_child_nurseries": "child_nurseries"}
OBSERVED = {"_schedule_points": points.schedules, "_cancel_points": points.cancels}


@attrs.frozen
class TrioTest:
    """One test of Trio's, with the parameters of one of its cases.

    Attributes:
        id: The function's name and, in brackets, the case's.
        name: The function's name.
        function: The test, sync or async.
        arguments: The parameters of this case.
        fixtures: The names of the arguments that are left: fixtures.
    """

    id: str
    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    fixtures: tuple[str, ...]


def execute(name: str, stand_ins: Mapping[str, ModuleType]) -> dict[str, Any]:
    """Execute the source of a module of Trio's in a namespace of its own, and return that.

    Raises:
        LookupError: The installed version of Trio does not ship the module.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(f"the installed Trio has no {name}: it has moved its tests, so look for them and mend this")
    path = Path(spec.origin)
    tree = _Renamer().visit(ast.parse(path.read_text(), str(path)))
    namespace: dict[str, Any] = {
        "__name__": name,
        "__package__": name.rpartition(".")[0],
        "__file__": str(path),
        "__builtins__": vars(builtins) | {"__import__": _Importer(stand_ins)},
        **{f"_observed{attribute}": function for attribute, function in OBSERVED.items()},
    }
    exec(compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True), namespace)
    return namespace


def load(name: str, stand_ins: Mapping[str, ModuleType]) -> list[TrioTest]:
    """Execute a test module (such as ``trio._tests.test_sync``) and return its tests in order.

    Raises:
        LookupError: The installed version of Trio does not ship the module, or it holds no test.
    """
    namespace = execute(name, stand_ins)
    functions = [f for key, f in namespace.items() if key.startswith("test_") and inspect.isfunction(f)]
    tests = [test for function in functions for test in _cases(function)]
    if not tests:
        raise LookupError(f"{name} of the installed Trio holds no test: it has moved them, so look for them")
    return tests


class _Renamer(ast.NodeTransformer):
    """Translate private attributes of Trio's objects that its tests look at."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = RENAMED.get(node.attr, node.attr)
        if node.attr in OBSERVED and isinstance(node.ctx, ast.Load):
            return ast.Call(ast.Name(f"_observed{node.attr}", ast.Load()), [node.value], [])
        return node


class _Importer:
    """An ``__import__`` that knows some modules by another meaning."""

    def __init__(self, stand_ins: Mapping[str, ModuleType]) -> None:
        self._stand_ins = stand_ins

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature is Python's
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level:
            assert globals is not None
            name = importlib.util.resolve_name("." * level + name, globals["__package__"])
        root = name.partition(".")[0]
        if name not in self._stand_ins:
            if root == "trio":
                raise ImportError(f"shim.py has no stand-in for {name}")
            return __import__(name, globals, locals, fromlist or (), 0)
        return self._stand_ins[name if fromlist else root]


def _cases(function: Callable[..., Any]) -> Iterator[TrioTest]:
    """Expand the ``parametrize`` marks as pytest does; the last one given varies slowest."""
    marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
    axes = [list(_axis(*mark.args, **mark.kwargs)) for mark in reversed(marks)]
    parameters = list(inspect.signature(function).parameters)
    for case in itertools.product(*axes):
        arguments = {key: value for _, values in case for key, value in values.items()}
        ids = "-".join(id_ for id_, _ in reversed(case))
        yield TrioTest(
            id=f"{function.__name__}[{ids}]" if ids else function.__name__,
            name=function.__name__,
            function=function,
            arguments=arguments,
            fixtures=tuple(name for name in parameters if name not in arguments),
        )


def _axis(names: str, values: list[Any], ids: Any = None) -> Iterator[tuple[str, dict[str, Any]]]:
    keys = [key.strip() for key in names.split(",")]
    for index, value in enumerate(values):
        if callable(ids):
            id_ = ids(value)
        elif ids is not None:
            id_ = ids[index]
        else:
            id_ = getattr(value, "__name__", None) or str(value)
        yield id_, dict(zip(keys, value if len(keys) > 1 else [value], strict=True))
