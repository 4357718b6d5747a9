"""Any file gives findings or none; nothing makes the linter crash."""

from __future__ import annotations

import ast
import random
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from wfactors.testing.lint import RULES, check_bytes, check_file

CORPUS = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
PROGRAMS = [program for rule in RULES.values() for program in (rule.bad, rule.good) if rule.code != "WF100"]
TREES = [ast.parse(program) for program in PROGRAMS]


def test_real_files(rng) -> None:
    """A sample of Python's own library, with every function taken for a workflow."""
    for path in rng.sample(CORPUS, 40):
        assert isinstance(check_bytes(path.read_bytes(), str(path), is_everything=True), list)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_programs_with_parts_exchanged(random_: random.Random) -> None:
    """Expressions and statements of the examples in each other's place: valid syntax, no sense."""
    tree = ast.parse(random_.choice(PROGRAMS))
    for _ in range(random_.randrange(1, 8)):
        exchange(tree, random_)
    try:
        source = ast.unparse(ast.fix_missing_locations(tree))
    except ValueError:
        # Something in an f-string that has no way to be written.
        reject()
    for finding in check_bytes(source.encode(), is_everything=random_.random() < 0.5):
        assert finding.code in RULES


def exchange(tree: ast.Module, random_: random.Random) -> None:
    """Put a part of some program in the place of a part of this one."""
    places = [
        (node, field)
        for node in ast.walk(tree)
        for field, value in ast.iter_fields(node)
        if isinstance(value, ast.expr)
        or (isinstance(value, list) and value and isinstance(value[0], ast.stmt | ast.expr))
    ]
    node, field = random_.choice(places)
    old = getattr(node, field)
    kind = ast.stmt if isinstance(old, list) and isinstance(old[0], ast.stmt) else ast.expr
    parts = [it for it in ast.walk(random_.choice(TREES)) if isinstance(it, kind)]
    # A copy: the same node twice in a tree would be another kind of mistake.
    part = ast.parse(ast.unparse(random_.choice(parts))).body
    new = part if kind is ast.stmt else part[0].value if part and isinstance(part[0], ast.Expr) else None
    if new is None or isinstance(getattr(node, "ctx", None), ast.Store):
        return
    if isinstance(old, list):
        old[random_.randrange(len(old))] = new[0] if isinstance(new, list) else new
    else:
        setattr(node, field, new)


@given(st.binary(max_size=300))
def test_any_bytes(data) -> None:
    """At most one finding, that it is no Python."""
    assert len(check_bytes(data)) <= 1


@given(st.text(max_size=200))
def test_any_text(text) -> None:
    """Whatever can be written."""
    assert len(check_bytes(text.encode(errors="surrogatepass"))) <= 1


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"x = 1\ny = (\n", 2, "syntax error: '(' was never closed"),
        (b"\xff\xfe", 1, "cannot be decoded"),
        (b"# coding: nonsense\n", 1, "cannot be decoded: unknown encoding: nonsense"),
        (b"# coding: ascii\nx = '\xe4'\n", 1, "cannot be decoded"),
        (b"x = 1\0", 1, "null bytes"),
        (b"print 'hello'\n", 1, "syntax error: Missing parentheses"),
        (b"(" * 500 + b")" * 500, 1, "too many nested parentheses"),
        (b"-" * 20_000 + b"1", 1, "too deeply nested"),
        (b'{\n  "cells": [\n', 2, "never closed"),
    ],
)
def test_what_is_no_python_is_one_finding(data, line, words) -> None:
    """With its line, and the reason."""
    (finding,) = check_bytes(data, "x.py")
    assert ("x.py", "WF100") == (finding.path, finding.code)
    assert words in finding.message
    if sys.version_info < (3, 12):
        assert line == finding.line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings(encoding) -> None:
    """As the file declares them; Python knows no UTF-16 source."""
    program = (
        f"# coding: {encoding}\nimport wfactors as wf, time\n@wf.workflow\nasync def f():\n    'äö', time.time()\n"
    )
    findings = check_bytes(program.encode(encoding))
    expected = [(1, 1, "WF100")] if encoding == "utf-16" else [(5, 11, "WF101")]
    assert expected == [(it.line, it.column, it.code) for it in findings]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end) -> None:
    """All three that Python knows."""
    lines = [
        "import wfactors as wf, time",
        "@wf.workflow",
        "async def f():",
        "    time.time()  # noqa",
        "    time.time()",
    ]
    assert [(5, 5)] == [(it.line, it.column) for it in check_bytes(end.join(lines).encode())]


def test_long_and_deep_code() -> None:
    """A sum of ten thousand terms, a chain of calls, ten thousand statements."""
    head = "import wfactors as wf, time\n@wf.workflow\nasync def f():\n"
    statements = "".join(f"    x{n} = x{n - 1}\n" for n in range(1, 10_000))
    chain = "    y = z" + ".a()" * 400 + "\n"
    (finding,) = check_bytes(f"{head}    x0 = 1\n{statements}{chain}    time.time()\n".encode())
    assert (10_005, "WF101") == (finding.line, finding.code)
    long_sum = " + ".join(["time.time()"] * 900)
    assert {"WF101"} == {it.code for it in check_bytes(f"{head}    {long_sum}\n".encode())}


def test_names_that_are_defined_by_themselves() -> None:
    """Circles end."""
    program = """
import wfactors as wf
a = b
b = a
class C(C): ...
class D(E): ...
class E(D):
    x: "E.x"
    def m(self):
        self.x = self.x
        return self.m()
def f() -> "f": return g()
def g() -> "g": return f()
global nothing

@wf.workflow
async def flow(p: "p"):
    global missing
    a(), b(), C().m(), D().y, E().m(), E().x.y, f().x, p.q, missing
    x = {x for x in x}
    list(x)
    with x as x: ...
"""
    assert isinstance(check_bytes(program.encode()), list)


def test_a_file_that_cannot_be_read(tmp_path) -> None:
    """Is a finding as well."""
    (finding,) = check_file(tmp_path)
    assert "WF100" == finding.code
    assert "cannot be read" in finding.message


def test_nothing_is_imported_or_run(tmp_path, monkeypatch) -> None:
    """A module that would do harm does none."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil_module_of_wfactors.py"
    path.write_text("import wfactors\nopen('harm', 'w')\nraise SystemExit(3)\n")
    assert [] == check_file(path)
    assert ["evil_module_of_wfactors.py"] == [it.name for it in tmp_path.iterdir()]
    assert path.stem not in sys.modules
