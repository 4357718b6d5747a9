"""Ways to break one line of Python: each is a place in the text and what stands there instead."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from typing import Any

import attrs

TEXT_CHANGED = "text changed"

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}


@attrs.frozen
class Break:
    """A change of the text.

    Attributes:
        line: Where it begins, from 1.
        what: The change in words.
        start: Offset in the text, in bytes.
        end: Where the part ends that is replaced.
        text: What is put there.
    """

    line: int
    what: str
    start: int
    end: int
    text: bytes

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text + source[self.end :]


def breaks_of(source: bytes) -> dict[int, list[Break]]:
    """All breaks of what stands inside functions, by line. What is outside of them runs when a module is imported."""
    offsets = list(itertools.accumulate(map(len, source.splitlines(keepends=True)), initial=0))
    found: dict[int, list[Break]] = {}
    for statement in _inside(ast.parse(source).body, is_inside=False):
        for node in _nodes(statement):
            for old, what, new in _changes(node):
                made = _made(old, what, new, offsets)
                found.setdefault(made.line, []).append(made)
    return found


def _inside(body: list[ast.stmt], *, is_inside: bool) -> Iterator[ast.stmt]:
    """The outermost statements of functions, without docstrings."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and not is_inside:
            has_docstring = ast.get_docstring(statement, clean=False) is not None
            yield from statement.body[1:] if has_docstring else statement.body
        elif isinstance(statement, ast.ClassDef):
            yield from _inside(statement.body, is_inside=is_inside)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Below a statement, without annotations, which nothing depends on here, and the parts of f-strings."""
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child)


def _made(old: Any, what: str, new: ast.AST, offsets: list[int]) -> Break:
    start = offsets[old.lineno - 1] + old.col_offset
    end = offsets[old.end_lineno - 1] + old.end_col_offset
    text = ast.unparse(new).encode()
    return Break(old.lineno, what, start, end, b"(%b)" % text if isinstance(old, ast.expr) else text)


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, str, ast.AST]]:  # noqa: C901  One line or two for each kind.
    """What can be broken in a node, how, and by what."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield test, "condition negated", ast.UnaryOp(ast.Not(), test)
        case ast.Compare(left, [operator], rights) if type(operator) in _OPPOSITE:
            yield node, "comparison swapped", ast.Compare(left, [_OPPOSITE[type(operator)]()], rights)
        case ast.BoolOp(ast.And(), values):
            yield node, "and -> or", ast.BoolOp(ast.Or(), values)
        case ast.BoolOp(ast.Or(), values):
            yield node, "or -> and", ast.BoolOp(ast.And(), values)
        case ast.BinOp(left, operator, right) if type(operator) in _OTHER:
            yield node, "operator changed", ast.BinOp(left, _OTHER[type(operator)](), right)
        case ast.Constant(bool(value)):
            yield node, "constant flipped", ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield node, "constant changed", ast.Constant(value + 1)
        case ast.Constant(str(value)) if value:
            yield node, TEXT_CHANGED, ast.Constant(value + "x")
        case ast.Return(ast.expr() as value) if not _is_none(value):
            yield node, "returns None", ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Assign() | ast.AugAssign() | ast.Delete() | ast.Expr(ast.Call() | ast.Await()):
            yield node, "statement dropped", ast.Pass()
        case _:
            pass


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
