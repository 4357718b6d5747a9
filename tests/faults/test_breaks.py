"""The ways to break a line do what they say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import wfactors
from tests.faults.breaks import breaks_of

SOURCE = '''
LIMIT = 5 if True else 6

def f(a: "text", é="ü" + "x") -> int:
    """Documentation."""
    b: list[3] = []
    if a < 1 and not é:
        b = [f"é{a + 1}"]
        b.append(a)
        return a * 2
    elif a is None:
        raise ValueError("no")
    def g():
        return True
    return None
'''


@pytest.mark.parametrize(
    ("line", "what", "becomes"),
    [
        (7, "condition negated", "    if (not (a < 1 and (not é))):"),
        (7, "and -> or", "    if (a < 1 or not é):"),
        (7, "comparison swapped", "    if (a >= 1) and not é:"),
        (7, "constant changed", "    if a < (2) and not é:"),
        (8, "statement dropped", "        pass"),
        (9, "statement dropped", "        pass"),
        (10, "returns None", "        return None"),
        (10, "operator changed", "        return (a + 2)"),
        (11, "comparison swapped", "    elif (a is not None):"),
        (12, "statement dropped", "        pass"),
        (12, "text changed", "        raise ValueError(('nox'))"),
        (14, "constant flipped", "        return (False)"),
    ],
)
def test_each_way(line: int, what: str, becomes: str) -> None:
    """One place changes, all else stays."""
    source = SOURCE.encode()
    (change,) = [change for change in breaks_of(source)[line] if change.what == what]
    before, after = SOURCE.splitlines(), change.applied(source).decode().splitlines()
    assert becomes == after[line - 1]
    assert before[: line - 1] + before[line:] == after[: line - 1] + after[line:]


def test_what_runs_at_import_is_left_alone() -> None:
    """Nor are annotations, docstrings and the parts of f-strings changed."""
    assert {7, 8, 9, 10, 11, 12, 14} == set(breaks_of(SOURCE.encode()))
    assert {"statement dropped"} == {change.what for change in breaks_of(SOURCE.encode())[8]}


def test_all_breaks_of_the_package_are_python() -> None:
    """A break that is none would make any test red."""
    path = Path(wfactors.__file__).parent / "kernel" / "calls.py"
    source = path.read_bytes()
    changes = [change for changes in breaks_of(source).values() for change in changes]
    assert len(changes) > 100
    for change in changes:
        broken = change.applied(source)
        assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))
