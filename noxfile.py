"""What CI runs. `nox` runs all of it, `nox -l` lists it, `nox -s NAME -- ...` runs one with arguments for its tool."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "layers", "package", "docs", "kernel", "tests", "coverage"]

# uv then trusts the certificates that the system trusts, as pip does: behind a company's proxy it makes the difference.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")

OLDEST, NEWEST = "3.11", "3.13"
PYTHONS = [OLDEST, NEWEST]
BRANCHES_MIN = 95


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Check the rules and the format."""
    session.install("ruff>=0.12", "towncrier>=24.8")
    session.run("ruff", "check", "--output-format=concise", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """Check the types, twice: mypy and pyright, both strict."""
    session.install("-e", ".[all,test]", "mypy>=1.16", "pyright[nodejs]>=1.1.400")
    session.run("mypy", *session.posargs)
    session.run("pyright", "--warnings", *session.posargs)


@nox.session(python=OLDEST)
def layers(session: nox.Session) -> None:
    """Check that a layer imports only what is below it."""
    session.install("-e", ".[all]", "import-linter>=2.1")
    session.run("lint-imports", "--no-logo", *session.posargs)


@nox.session(python=OLDEST)
def package(session: nox.Session) -> None:
    """Build the wheel and use it as a user does: nothing but its own dependencies beside it."""
    wheel = build_wheel(session)
    names = zipfile.ZipFile(wheel).namelist()
    lacking = {"wfactors/__init__.py", "wfactors/py.typed"} - set(names)
    foreign = [name for name in names if not name.startswith(("wfactors/", "wfactors-"))]
    if lacking or foreign:
        session.error(f"the wheel lacks {sorted(lacking)} and should not have {foreign}")
    clean = Path(session.create_tmp()).resolve() / "clean"
    shutil.rmtree(clean, ignore_errors=True)
    session.run("python", "-m", "venv", str(clean), silent=True)
    python = str(clean / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel), external=True)
    session.run(python, "-m", "pip", "check", external=True)
    with session.chdir(clean):
        session.run(str(clean / "bin" / "wfactors"), "--version", external=True)
        session.run(
            python, "-W", "error", "-c", "import wfactors; print(*wfactors.__all__)", external=True, silent=True
        )


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Run the Python blocks of the README and of docs/."""
    install_wheel(session)
    session.run("pytest", "-q", "tests/test_docs.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel; on the oldest Python they are measured for coverage."""
    install_wheel(session)
    arguments = session.posargs or ["-q", "-n", "auto", "--dist", "worksteal", "--ignore", "tests/test_docs.py"]
    if session.python == OLDEST:
        session.run("coverage", "erase")
        session.run("coverage", "run", "-m", "pytest", *arguments)
    else:
        session.run("pytest", *arguments)


@nox.session(python=OLDEST)
def kernel(session: nox.Session) -> None:
    """Check that the tests of kernel and model reach every branch of them, without those of the layers above."""
    install_wheel(session)
    data = f"--data-file={Path(session.create_tmp()).resolve() / 'coverage'}"
    session.run("coverage", "erase", data)
    session.run("coverage", "run", data, "-m", "pytest", "-q", "tests/kernel", "tests/model", *session.posargs)
    session.run("coverage", "combine", "--quiet", data)
    session.run("coverage", "report", data, "--include=*/wfactors/kernel/*,*/wfactors/model/*", "--fail-under=100")


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Report what the tests on the oldest Python reached; run those first."""
    session.install("coverage[toml]>=7.10")
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", *session.posargs)
    # The report's percentage is of lines and branches together; the branches alone are to reach as much.
    file = Path(session.create_tmp()).resolve() / "coverage.json"
    session.run("coverage", "json", "--quiet", "-o", str(file))
    totals = json.loads(file.read_text())["totals"]
    share = 100 * totals["covered_branches"] / totals["num_branches"]
    session.log(f"branches: {share:.2f} % of {totals['num_branches']:,}")
    if share < BRANCHES_MIN:
        session.error(f"the tests are to reach {BRANCHES_MIN} % of the branches")


# --- Helpers ---------------------------------------------------------------------------------------------------------


def build_wheel(session: nox.Session) -> Path:
    """Build the wheel from the working tree and return its path."""
    folder = Path(session.create_tmp()).resolve() / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    session.install("hatchling>=1.27")
    session.run("hatchling", "build", "-t", "wheel", "-d", str(folder), silent=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(session: nox.Session) -> None:
    """Install the built wheel with what the tests need."""
    session.install(f"{build_wheel(session)}[test]")
