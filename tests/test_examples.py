"""Every example runs, and prints what its docstring says."""

from __future__ import annotations

import ast
import importlib.util
import re
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*/__main__.py")])
NEEDS = {"encryption.py": "cryptography", "tracing.py": "opentelemetry.sdk", "web.py": "quart_trio"}


def name_of(program: Path) -> str:
    """What one types after ``python examples/``."""
    return program.parent.name if program.name == "__main__.py" else program.name


def promised(program: Path) -> str:
    """What the docstring says the program prints."""
    docstring = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8")))
    assert docstring is not None, f"{name_of(program)} says nothing of itself"
    before, mark, output = docstring.partition("Prints::\n\n")
    assert before, f"{name_of(program)} teaches nothing"
    assert mark, f"{name_of(program)} does not say what it prints"
    return textwrap.dedent(output) + "\n"


def run(program: Path) -> int:
    """Run a program in this process, and return its exit code."""
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_the_example_prints_what_it_says(
    program: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run as ``python examples/NAME`` runs it, in this process."""
    if name_of(program) in NEEDS and not is_installed(NEEDS[name_of(program)]):
        pytest.skip(f"needs {NEEDS[name_of(program)]}")
    monkeypatch.setattr(sys, "argv", [str(program)])
    exit_code = run(program.parent if program.name == "__main__.py" else program)
    assert (0, promised(program)) == (exit_code, capfd.readouterr().out)


def test_an_example_runs_by_itself(tmp_path: Path) -> None:
    """The interpreter alone, from any folder, with warnings as errors."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "simple.py")]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert (promised(EXAMPLES / "simple.py"), "") == (result.stdout, result.stderr)


def test_every_file_is_run_and_listed() -> None:
    """No file in examples/ is beside a program, and the README has a line for each program."""
    folders = {program.parent for program in PROGRAMS if program.name == "__main__.py"}
    beside = {path for path in EXAMPLES.rglob("*.py") if path not in PROGRAMS and path.parent not in folders}
    assert set() == beside
    listed = re.findall(r"^\| \[([\w.]+)\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name_of(program) for program in PROGRAMS) == sorted(listed)


def test_every_file_of_a_folder_is_used() -> None:
    """What lies beside a ``__main__.py`` is named in its docstring or its code, or imported by one that is."""
    for program in PROGRAMS:
        if program.name == "__main__.py":
            files = [path for path in program.parent.glob("*.py") if path != program]
            text = "".join(path.read_text(encoding="utf-8") for path in [program, *files])
            unused = [
                path.name for path in files if not re.search(rf"\b{path.stem}(\.py| import|$)", text, re.MULTILINE)
            ]
            assert [] == unused
