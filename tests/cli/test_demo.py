"""wfactors demo: killed itself, interrupted, run on a folder of the user's."""

from __future__ import annotations

import gzip
import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.cli_kit import process, read_until, run, terminal

FAST = ("demo", "--fast", "--json")


def finished(*arguments: str, cwd: Path) -> dict[str, object]:
    """Run a demo to its end; what it says then."""
    with process(*FAST, *arguments, cwd=cwd) as started:
        output, errors = started.communicate(timeout=120)
    assert 0 == started.returncode, errors
    return json.loads(output)


def test_killed_whole_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9 of the process group, again and again; then the same command line once more."""
    arguments = ("--store", "sqlite:///demo.db", "--files", "16", "--no-kill")
    for words in ("is ready", "press Enter"):
        # It waits for somebody to press Enter, so it does not end before it is killed.
        with process(*FAST, *arguments, "--ask", cwd=tmp_path, start_new_session=True) as started:
            read_until(started.stderr, words)
            os.killpg(started.pid, signal.SIGKILL)
            assert -signal.SIGKILL == started.wait()
    told = finished(*arguments, cwd=tmp_path)
    assert (True, 16, 50, []) == (told["was_continued"], told["files"], told["calls"], told["mistakes"])


def test_interrupted_it_says_how_to_go_on(tmp_path: Path, sigint) -> None:
    """Ctrl-C: code 130, the worker ends too, nothing is lost."""
    arguments = ("--store", "sqlite:///demo.db", "--files", "8", "--no-kill")
    with process(*FAST, *arguments, cwd=tmp_path, start_new_session=True) as started:
        read_until(started.stderr, "is ready")
        os.killpg(started.pid, signal.SIGINT)
        _, errors = started.communicate(timeout=30)
    assert 130 == started.returncode, errors
    assert "wfactors demo --store sqlite:///demo.db" in errors
    assert "Traceback" not in errors
    assert [] == finished(*arguments, cwd=tmp_path)["mistakes"]


def test_a_folder_of_the_users_is_only_read(tmp_path: Path) -> None:
    """Results beside it, each the file again once unpacked; links and the demo's own files are left out."""
    source = tmp_path / "mine"
    (source / "deep").mkdir(parents=True)
    contents = {"a.txt": b"one two two", "deep/b.bin": bytes(range(256)) * 50, "empty": b"", "na me ü.txt": b"x"}
    for name, content in contents.items():
        (source / name).write_bytes(content)
    (source / "link").symlink_to(source / "a.txt")
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    told = finished(str(source), "--no-kill", "--output", str(source / "out"), cwd=tmp_path)
    packed = source / "out" / "packed"
    assert (len(contents), []) == (told["files"], told["mistakes"])
    assert contents == {name: gzip.decompress((packed / f"{name}.gz").read_bytes()) for name in contents}
    after = {path: path.stat().st_mtime_ns for path in before if path != source}
    assert after == {path: time for path, time in before.items() if path != source}


@pytest.mark.parametrize("arguments", [["--store", "memory://"], ["--store", "sqlite://[x"], ["missing-folder"], ["."]])
def test_a_demo_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Code 2: no file to share, no store, no folder, no files."""
    monkeypatch.chdir(tmp_path)
    result = run(*FAST, *arguments)
    assert 2 == result.exit_code
    assert result.stderr


# --- On a terminal ---------------------------------------------------------------------------------------------------


def test_the_story_on_a_terminal(tmp_path: Path) -> None:
    """Bars at the foot, the story above; the kill, Enter for the approval, and what came of it."""
    with terminal("demo", "--fast", "--ask", "--files", "16", "--store", "sqlite:///demo.db", cwd=tmp_path) as shown:
        shown.wait_for("press Enter")
        shown.press("\n")
        assert 0 == shown.wait(), shown.shown
    for words in (
        "16 files, ",
        "made for the demo",
        "kill -9 ",
        "nothing moves, nothing is lost",
        "goes on where the other one was: first progress after ",
        "waits for approval: press Enter, or in another terminal:",
        "approved and summed up: ",
        "unpacked and compared: every file is whole, and in the index once",
        "50 calls, each result recorded exactly once",
        "2, of which 1 killed with kill -9 by this demo",
        "look closer:",
        "the files were made for the demo and are removed now; --keep keeps them",
    ):
        assert words in shown.shown, words
    assert "files" in shown.shown.partition("━")[0]
    assert [] == [path.name for path in (tmp_path / "wfactors-demo").iterdir() if path.is_dir()]


def test_the_story_in_a_pipe(tmp_path: Path) -> None:
    """Lines only; what was made is kept if that was asked for, beside what was kept before."""
    (tmp_path / "wfactors-demo" / "demo-1").mkdir(parents=True)
    arguments = ("demo", "--fast", "--no-kill", "--keep", "--files", "4", "--store", "sqlite:///demo.db")
    with process(*arguments, cwd=tmp_path) as started:
        output, errors = started.communicate(timeout=120)
    assert (0, "") == (started.returncode, errors)
    assert "\x1b" not in output
    assert "workflow demo-2 is started" in output
    assert "1, of which 0 killed" in output
    assert f"the results are in {tmp_path}/wfactors-demo/demo-2" in output
    kept = sorted(path.name for path in (tmp_path / "wfactors-demo").iterdir() if path.is_dir())
    assert ["demo-1", "demo-2", "demo-2-files"] == kept
