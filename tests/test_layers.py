"""The contracts of import-linter hold, and would notice if they did not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the copy of the project in ``folder``."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
            "--no-logo",
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the sources and of the contracts, to be spoilt."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(project: Path) -> None:
    result = lint_imports(project)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


@pytest.mark.parametrize("package", ["kernel", "model"])
def test_the_core_may_not_import_what_touches_the_world(project: Path, package: str) -> None:
    modules = ["asyncio", "random", "socket", "threading", "time", "trio"]
    spoilt = project / "src" / "wfactors" / package / "spoilt.py"
    spoilt.write_text("".join(f"import {module}\n" for module in modules))
    result = lint_imports(project)
    assert result.returncode == 1
    assert [module for module in modules if f"wfactors.{package}.spoilt -> {module}" not in result.stdout] == []


@pytest.mark.parametrize(
    ("below", "above"),
    [("model", "kernel"), ("kernel", "stores"), ("stores", "kernel"), ("errors", "model"), ("stores", "client")],
)
def test_a_layer_may_not_import_one_above_or_beside_it(project: Path, below: str, above: str) -> None:
    package = project / "src" / "wfactors"
    if not (package / above).exists():
        (package / f"{above}.py").touch()
    target = package / below / "spoilt.py" if (package / below).is_dir() else package / f"{below}.py"
    with target.open("a") as file:
        file.write(f"import wfactors.{above}\n")
    result = lint_imports(project)
    assert result.returncode == 1
    assert f"wfactors.{below} is not allowed to import wfactors.{above}" in result.stdout


def test_a_module_without_a_layer_is_noticed(project: Path) -> None:
    (project / "src" / "wfactors" / "stray.py").touch()
    result = lint_imports(project)
    assert result.returncode == 1
    assert "stray" in result.stdout
