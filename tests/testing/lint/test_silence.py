"""``# noqa``, ``[tool.wfactors.lint]``, and which files are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.lint.kit import codes
from wfactors.testing.lint import Config, ConfigError, Severity, check_file, find_config, python_files, read_config

PROGRAM = "import wfactors as wf, time\n@wf.workflow\nasync def f():\n    print(time.time())\n"


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("# noqa", []),
        ("# NOQA", []),
        ("#noqa", []),
        ("# noqa: WF101", ["WF118"]),
        ("# noqa:WF101", ["WF118"]),
        ("# noqa: wf101", ["WF118"]),
        ("# noqa: WF118, WF101", []),
        ("# noqa: WF118 WF101", []),
        ("# noqa: WF1", []),
        ("# noqa: E501", ["WF118", "WF101"]),
        ("# noqa: E501, WF101 - because", ["WF118"]),
        ("# noqa: WF101  # type: ignore", ["WF118"]),
        ("# type: ignore  # noqa: WF101", ["WF118"]),
        ("# nothing", ["WF118", "WF101"]),
        ("; '# noqa'", ["WF118", "WF101"]),
        ("# wfactors: noqa", []),
        ("# wfactors: noqa: WF101", ["WF118"]),
    ],
)
def test_comments(comment, left) -> None:
    """A code silences itself and what begins with it; without codes, everything."""
    assert left == codes(f"print(time.time()) {comment}", "import time")


@pytest.mark.parametrize("line", ["# wfactors: noqa", "# ruff: noqa", "# flake8: noqa", "# wfactors: noqa: WF1"])
def test_comments_for_the_whole_file(line) -> None:
    """Wherever they stand."""
    assert [] == codes("print(time.time())", f"import time\n{line}")


def test_the_end_of_a_long_call_counts_too() -> None:
    """Formatters move the comment there."""
    assert [] == codes("print(\n    1,\n)  # noqa: WF118")
    assert ["WF118"] == codes("print(\n    1,  # noqa: WF118\n)")


def write(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_configuration(tmp_path) -> None:
    """All of it."""
    path = write(
        tmp_path,
        """
[tool.wfactors.lint]
select = ["WF1"]
ignore = ["wf118"]
exclude = ["build"]
severity = "warning"
workflow-decorators = ["a.b"]
activity-decorators = ["a.c"]

[tool.wfactors.lint.per-file-ignores]
"tests/*" = ["WF101"]
""",
    )
    expected = Config(
        select=("WF1",),
        ignore=("WF118",),
        exclude=("build",),
        severity=Severity.WARNING,
        workflow_decorators=("a.b",),
        activity_decorators=("a.c",),
        per_file_ignores={"tests/*": ("WF101",)},
        root=tmp_path,
    )
    assert expected == read_config(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.wfactors.lint]\nselect = ['E5']", "select: there is no rule 'E5'"),
        ("[tool.wfactors.lint]\nselect = ['']", "select: there is no rule ''"),
        ("[tool.wfactors.lint]\nselect = 'WF101'", "select: a list of strings, not 'WF101'"),
        ("[tool.wfactors.lint]\nselct = []", "has no option 'selct'; it has select, ignore"),
        ("[tool.wfactors.lint]\nseverity = 'bad'", "severity: error, warning or hint, not 'bad'"),
        ("[tool.wfactors.lint]\nper-file-ignores = []", "per-file-ignores: a table from patterns to codes"),
        ("[tool.wfactors]\nlint = 1", "tool.wfactors.lint is no table"),
        ("[tool", "pyproject.toml: "),
    ],
)
def test_configuration_that_makes_no_sense(tmp_path, text, words) -> None:
    """Is refused, with the place and what would be right."""
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, text))
    assert words in str(caught.value)


def test_the_nearest_configuration_counts(tmp_path) -> None:
    """Files without the table are passed over."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    outer = write(tmp_path, "[tool.wfactors.lint]\n")
    write(tmp_path / "a", "[project]\n")
    assert outer == find_config(inner)
    (tmp_path / "pyproject.toml").unlink()
    assert find_config(inner) != outer


@pytest.mark.parametrize(
    ("config", "left"),
    [
        (Config(), ["WF118", "WF101"]),
        (Config(select=("WF101",)), ["WF101"]),
        (Config(ignore=("WF10",)), ["WF118"]),
        (Config(severity=Severity.WARNING), ["WF101"]),
        (Config(per_file_ignores={"shop.py": ("WF118",)}), ["WF101"]),
        (Config(per_file_ignores={"s*.py": ("WF",)}), []),
        (Config(per_file_ignores={"inner/*": ("WF118",)}), ["WF101"]),
        (Config(per_file_ignores={"inner": ("WF118",)}), ["WF101"]),
        (Config(per_file_ignores={"other/*": ("WF118",)}), ["WF118", "WF101"]),
    ],
)
def test_what_is_chosen(tmp_path, config, left) -> None:
    """By code, severity and path; patterns are relative to the configuration."""
    path = tmp_path / "inner" / "shop.py"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    config = Config(
        **{**{name: getattr(config, name) for name in config.__slots__ if name[0] != "_"}, "root": tmp_path}
    )
    assert left == [it.code for it in check_file(path, config)]


def test_which_files(tmp_path) -> None:
    """Hidden folders, caches, environments, notebooks and what is excluded are left out; each file comes once."""
    wanted = ["a.py", "b/c.py", "b/d/e.py"]
    others = [
        ".hidden/x.py",
        "__pycache__/x.py",
        "venv/x.py",
        "node_modules/x.py",
        "b/skip/x.py",
        "b/x.ipynb",
        "b/x.txt",
    ]
    for name in [*wanted, *others, "venv/pyvenv.cfg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    (tmp_path / "b" / "broken.py").symlink_to(tmp_path / "missing")
    config = Config(exclude=("b/skip",), root=tmp_path)
    paths = [tmp_path, tmp_path / "a.py", tmp_path / "b"]
    assert [tmp_path / name for name in wanted] == list(python_files(paths, config))
    named = [tmp_path / "b/x.txt", tmp_path / "b/x.ipynb", tmp_path / "venv/x.py"]
    assert [named[0], named[2]] == list(python_files(named, config))
