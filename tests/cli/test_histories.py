"""wfactors export and wfactors replay: of a store that no node serves."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.cli_kit import data, run
from tests.cli.leftovers import DEPTH, leave
from wfactors.cli import histories
from wfactors.cli.app import app

MODULE = "tests.cli.leftovers:REGISTERED"


def verdicts(*arguments: str) -> dict[str, str]:
    """The verdict on each history, whatever the exit code."""
    return {item["id"]: item["verdict"] for item in json.loads(run("replay", *arguments, "--json").stdout)["histories"]}


def test_export_of_what_is_not_there(left: str) -> None:
    """Code 3: a run that never was, and one that has not begun."""
    missing = run("export", "again", "--run", "9", "-s", left)
    unbegun = run("export", "waiting", "-s", left)
    assert (3, 3) == (missing.exit_code, unbegun.exit_code)
    assert "workflow again has no run 9" in missing.stderr
    assert "workflow waiting has not started" in unbegun.stderr


def test_the_open_ones_are_replayed(left: str) -> None:
    """Those that have begun; the others with --closed."""
    is_open = {"listener", "idle", "sleepers", "stuck", "a\nb", "a\\x0ab"}
    assert dict.fromkeys(is_open, "ok") == verdicts(MODULE, "-s", left)
    closed = data("replay", MODULE, "--closed", "-s", left)
    assert 0 == closed["failed"]
    assert closed["replayed"] > len(is_open) + DEPTH


def test_a_workflow_that_the_code_does_not_have(left: str) -> None:
    """It is told apart from a difference, in words too."""
    assert {"nest": "unknown"} == verdicts("tests.cli.leftovers:leaf", "--id", "nest", "-s", left)
    result = run("replay", "tests.cli.leftovers:leaf", "--id", "nest", "-s", left)
    assert 1 == result.exit_code
    assert "UnknownWorkflow" in result.stdout
    assert "1 history replayed, 1 do not replay" in result.stdout


def test_an_id_that_is_not_there(left: str) -> None:
    """Code 3, as everywhere."""
    assert 3 == run("replay", MODULE, "--id", "nobody", "-s", left).exit_code


def test_what_was_removed_meanwhile_is_passed_by(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list and the look at it; nobody asked for it by name."""

    async def chosen(*_: object) -> list[str]:
        return ["removed", "listener"]

    monkeypatch.setattr(histories, "_chosen", chosen)
    assert {"listener": "ok"} == verdicts(MODULE, "-s", left)


def test_there_is_nothing_to_replay(tmp_path: Path) -> None:
    """Code 0, and how to replay more."""
    url = f"sqlite:///{tmp_path}/empty.db"
    run("migrate", "-s", url)
    result = run("replay", MODULE, "-s", url)
    assert 0 == result.exit_code
    assert "there is nothing to replay" in result.stdout


def test_a_history_that_cannot_be_read_is_told_beside_the_others(tmp_path: Path) -> None:
    """One damaged row does not hide what the other histories say."""
    url = f"sqlite:///{tmp_path}/damaged.db"
    leave(url)
    (key,) = (item["instance"] for item in data("list", "-s", url)["workflows"] if item["id"] == "listener")
    with sqlite3.connect(tmp_path / "damaged.db") as connection:
        connection.execute("UPDATE events SET data = x'00' WHERE instance = ?", [key])
    connection.close()
    found = verdicts(MODULE, "-s", url)
    assert "error" == found.pop(key)
    assert {"ok"} == set(found.values())


@pytest.mark.parametrize(("text", "code"), [("", 1), ('{"v": 1, "events": []}', 1)])
def test_a_history_from_standard_input(text: str, code: int) -> None:
    """It is named so where it is wrong."""
    result = CliRunner().invoke(app, ["replay", MODULE, "-"], input=text)
    assert code == result.exit_code
    assert "✗ standard input" in result.stdout


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Code 2: it is no history that fails, but the command line."""
    (tmp_path / "picture.json").write_bytes(b"\xff\xfe")
    for name in ("missing.json", "picture.json"):
        result = run("replay", MODULE, str(tmp_path / name))
        assert 2 == result.exit_code
        assert "cannot be read" in result.stderr
