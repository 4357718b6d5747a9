"""``wfactors lint``: output, options, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.cli_kit import terminal
from wfactors.cli.app import app
from wfactors.testing.lint import RULES
from wfactors.testing.lint.findings import Finding, Severity
from wfactors.testing.lint.output import formatted, rich_line, summary

CLEAN = "import wfactors as wf\n\n@wf.workflow\nasync def flow() -> None: ...\n"
BAD = "import wfactors as wf, time\n\n@wf.workflow\nasync def flow() -> None:\n    print(time.time())\n"
CLOCK = "time.time() reads the clock of the machine: use wf.now() or wf.current_time()"
PRINT = "print() is repeated in every replay: use wf.logger"


def run(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(app, ["lint", *arguments], input=input)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "clean.py").write_text(CLEAN)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "pyproject.toml").write_text("[tool.wfactors.lint]\nexclude = ['broken.py']\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_text(folder) -> None:
    """One line for each finding on standard output, the sum on standard error, exit code 1."""
    result = run()
    assert f"bad.py:5:5: WF118 {PRINT}\nbad.py:5:11: WF101 {CLOCK}\n" == result.stdout
    assert result.stderr.startswith("2 findings in 1 file, of 2 files in ")
    assert 1 == result.exit_code


def test_clean(folder) -> None:
    """Nothing on standard output, exit code 0."""
    result = run("clean.py")
    assert ("", 0) == (result.stdout, result.exit_code)
    assert result.stderr.startswith("no findings, 1 file in ")


def test_a_syntax_error_is_a_finding(folder) -> None:
    """With its line, and without a crash."""
    result = run("broken.py", "--isolated")
    assert "broken.py:1:7: WF100 syntax error: invalid syntax\n" == result.stdout
    assert 1 == result.exit_code


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        (["--select", "WF101"], ["WF101"]),
        (["--select", "WF101,WF118"], ["WF118", "WF101"]),
        (["--ignore", "WF101"], ["WF118"]),
        (["--ignore", "WF101", "--ignore", "wf118"], []),
        (["--per-file-ignore", "b*.py:WF101"], ["WF118"]),
        (["--severity", "error"], ["WF101"]),
        (["--exclude", "bad.py"], []),
        (["--isolated"], ["WF118", "WF101", "WF100"]),
        (["--config", "other.toml"], ["WF101", "WF100"]),
    ],
)
def test_options(folder, options, codes) -> None:
    """On top of the configuration."""
    (folder / "other.toml").write_text("[tool.wfactors.lint]\nseverity = 'error'\n")
    result = run(".", *options)
    assert codes == [line.split(": ")[1].split()[0] for line in result.stdout.splitlines()]
    assert (1 if codes else 0) == result.exit_code


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.py"],
        ["--format", "xml"],
        ["--select", "E501"],
        ["--severity", "awful"],
        ["--per-file-ignore", "WF101"],
        ["--config", "missing.toml"],
        ["--explain", "WF999"],
        ["--nonsense"],
    ],
)
def test_wrong_usage(folder, arguments) -> None:
    """Exit code 2, nothing on standard output."""
    result = run(*arguments)
    assert (2, "") == (result.exit_code, result.stdout)


def test_flake8_and_ruff(folder) -> None:
    """What editors and CI systems read already."""
    lines = f"bad.py:5:5: WF118 {PRINT}\nbad.py:5:11: WF101 {CLOCK}\n"
    assert lines == run("--format", "flake8").stdout
    assert f"{lines}Found 2 errors.\n" == run("--format", "ruff").stdout
    assert "All checks passed!\n" == run("clean.py", "--format", "ruff").stdout


def test_github(folder) -> None:
    """Annotations, escaped as GitHub wants them."""
    first, _ = run("--format", "github").stdout.splitlines()
    place = "file=bad.py,line=5,col=5,endLine=5,endColumn=23"
    assert f"::notice title=wfactors (WF118),{place}::bad.py:5:5: WF118 {PRINT}" == first
    finding = Finding("a,b:c.py", 1, 2, "WF101", "50% \n", Severity.ERROR, 1, 3)
    assert (
        "::error title=wfactors (WF101),file=a%2Cb%3Ac.py,line=1,col=2,endLine=1,endColumn=3::"
        == (formatted([finding], "github").partition("a,b")[0])
    )
    assert "50%25 %0A\n" == formatted([finding], "github").rpartition("WF101 ")[2]


@pytest.mark.parametrize("option", [["--format", "json"], ["--json"]])
def test_json(folder, option) -> None:
    """With the names that ruff's JSON has."""
    _, clock = json.loads(run(*option).stdout)
    assert {
        "code": "WF101",
        "name": "wall-clock",
        "severity": "error",
        "message": CLOCK,
        "filename": "bad.py",
        "location": {"row": 5, "column": 11},
        "end_location": {"row": 5, "column": 22},
        "url": "docs/reference/lint/WF101.md",
    } == clock
    assert [] == json.loads(run("clean.py", *option).stdout)


def test_statistics(folder) -> None:
    """How often each rule was broken, the most often first."""
    (folder / "bad.py").write_text(f"{BAD}    print(1)\n")
    assert "2\tWF118\thint\toutput\n1\tWF101\terror\twall-clock\n" == run("--statistics").stdout
    rows = json.loads(run("--statistics", "--json").stdout)
    assert {"code": "WF118", "name": "output", "severity": "hint", "count": 2} == rows[0]


def test_standard_input(folder) -> None:
    """For editors; the name decides what the configuration says."""
    assert run("-", input=BAD).stdout.startswith("<stdin>:5:5: WF118")
    result = run("-", "--stdin-filename", "shop.py", "--per-file-ignore", "shop.py:WF118", input=BAD)
    assert result.stdout.startswith("shop.py:5:11: WF101")


def test_explain() -> None:
    """The page of a rule."""
    result = run("--explain", "wf111")
    assert result.stdout.startswith(f"# WF111: {RULES['WF111'].name}\n")
    assert 0 == result.exit_code


def test_a_terminal_gets_colours() -> None:
    """The code in the colour of its severity; the words are the same."""
    finding = Finding("a.py", 1, 2, "WF101", "use [wf]", Severity.ERROR, 1, 3)
    text = rich_line(finding)
    assert "a.py:1:2: WF101 use [wf]" == text.plain
    assert "bold red" in {str(span.style) for span in text.spans}
    assert "1 finding in 1 file, of 1,200 files in 0.50 s" == summary([finding], 1200, 0.5)


def test_a_file_name_that_is_no_text(folder) -> None:
    """Is shown with its bytes, and does not end the command."""
    (folder / "n\udcff.py").write_text(BAD)
    result = subprocess.run([sys.executable, "-m", "wfactors", "lint"], capture_output=True, check=False)
    assert (1, 4) == (result.returncode, result.stdout.count(b"\n"))
    assert b"n\\udcff.py:5:5" in result.stdout


def test_on_a_terminal_the_place_stands_out(folder) -> None:
    """The same words as in a pipe, in colours."""
    with terminal("lint", "bad.py", cwd=folder) as shown:
        assert 1 == shown.wait()
    assert CLOCK in shown.shown
    assert "\x1b[1mbad.py\x1b[0m" in shown.shown
