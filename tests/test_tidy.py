"""Limits that a reader feels, held by machine."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wfactors

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "wfactors"
CODE = sorted(path for folder in ("src", "tests", "examples", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P95_MAX = 40
FILE_LINES_MAX = 500
KERNEL_FILE_LINES_MAX = 350

CACHES = {"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
HOSTS_ALLOWED = {"trio.readthedocs.io", "localhost", "example.com", "example.org"}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of each function of a file, without its decorators and its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert first is not None
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - first


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file that belongs to the repository, with git at hand or without."""
    roots = [ROOT / name for name in (".ci", "benchmarks", "changelog.d", "docs", "examples", "src", "tests", "web")]
    paths = [path for path in ROOT.iterdir() if path.suffix in {".md", ".py", ".toml"}]
    paths += [path for root in roots for path in root.rglob("*") if not CACHES.intersection(path.parts)]
    for path in sorted(paths):
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield path.relative_to(ROOT), content.decode("utf-8")


def test_functions_are_short() -> None:
    """No function is longer than the limit, and 19 of 20 are much shorter."""
    lengths = dict(entry for path in CODE for entry in functions(path))
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}
    assert statistics.quantiles(lengths.values(), n=20)[-1] <= FUNCTION_LINES_P95_MAX


def test_files_are_short() -> None:
    """No file of the package is longer than the limit; the kernel's is lower."""
    too_long = {}
    for path in PACKAGE.rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = KERNEL_FILE_LINES_MAX if "kernel" in path.relative_to(PACKAGE).parts else FILE_LINES_MAX
        if lines > limit:
            too_long[str(path.relative_to(ROOT))] = (lines, limit)
    assert too_long == {}


def test_no_path_of_a_machine() -> None:
    """The repository works wherever it is cloned."""
    pattern = re.compile(r"(?<![\w.~}/-])/(?:root|work|Users|home/\w+)\b")
    found = [f"{path}: {match[0]}" for path, text in texts() for match in pattern.finditer(text)]
    assert [entry for entry in found if not entry.startswith("tests/test_tidy.py")] == []


def test_no_host_but_the_allowed_ones() -> None:
    """Packages come from wherever the machine's own clients are set up to find them."""
    pattern = re.compile(r"\bhttps?://([\w.-]+\.[a-z]{2,}|localhost)", re.IGNORECASE)
    found = {(str(path), match[1]) for path, text in texts() for match in pattern.finditer(text)}
    assert {(path, host) for path, host in found if host not in HOSTS_ALLOWED} == set()


def test_no_unfinished_work() -> None:
    """What is open is an issue, not a comment."""
    pattern = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    found = [
        f"{path}: {match[0]}" for path, text in texts() if path.suffix == ".py" for match in pattern.finditer(text)
    ]
    assert found == []


def public_modules() -> list[str]:
    """The modules of the package without a leading underscore, whose dependencies are installed."""
    found = pkgutil.walk_packages(wfactors.__path__, prefix="wfactors.")
    return ["wfactors", *(entry.name for entry in found if not entry.name.rpartition(".")[2].startswith("_"))]


@pytest.mark.parametrize("name", public_modules())
def test_public_names_exist_and_are_documented(name: str) -> None:
    """A module says what it is, and what its ``__all__`` lists exists and says what it does."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wfactors"):
            raise
        pytest.skip(f"needs {error.name}")
    silent = []
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        own = value.__doc__ if not inspect.isclass(value) else vars(value).get("__doc__")
        if (inspect.isclass(value) or inspect.isroutine(value)) and not own:
            silent.append(public)
    assert silent == []
    assert module.__doc__
