"""Standard output that cannot be written: full, closed, or left by its reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.cli_kit import SHOP, command, read_until

FULL = "error: standard output cannot be written: No space left on device\n"
CLOSED = "error: standard output cannot be written: Bad file descriptor\n"
COMMANDS = [
    ["--help"],
    ["--version"],
    ["list"],
    ["list", "--json"],
    ["show", "crowd"],
    ["export", "crowd"],
    ["result", "crowd"],
    ["doctor"],
    ["lint", "--explain", "WF101"],
]


def ended(arguments: list[str], url: str, **options: Any) -> tuple[int, str]:
    """The exit code, and what it said on standard error."""
    environment = {**os.environ, "WFACTORS_STORE": url, "COLUMNS": "200", "NO_COLOR": "1"}
    line = command(*arguments)
    done = subprocess.run(line, env=environment, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)
    return done.returncode, done.stderr


def close_output() -> None:
    os.close(1)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk(left: str, arguments: list[str]) -> None:
    """One sentence and code 74, whatever was to be written."""
    with Path("/dev/full").open("wb") as full:
        assert (74, FULL) == ended(arguments, left, stdout=full)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_closed_output(left: str, arguments: list[str]) -> None:
    """The same, and no other file takes its place."""
    assert (74, CLOSED) == ended(arguments, left, preexec_fn=close_output)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_reader_that_has_left(left: str, arguments: list[str]) -> None:
    """It has seen enough: silence, and code 0."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert (0, "") == ended(arguments, left, stdout=writing)
    finally:
        os.close(writing)


@pytest.mark.parametrize("buffering", ["", "1"])
def test_an_output_that_does_not_block(buffering: str) -> None:
    """What does not fit into a pipe that others have made so waits for its reader: nothing is left out."""
    code = (
        "import sys; from wfactors.cli.streams import own_streams; own_streams(); "
        "sys.stdout.write('x' * 300_000); sys.stdout.flush(); sys.stderr.write('y' * 300_000); sys.stderr.flush()"
    )
    line, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONUNBUFFERED": buffering}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with (
        os.fdopen(reading, "rb") as reader,
        subprocess.Popen(line, env=environment, stdout=writing, stderr=writing) as started,
    ):
        os.close(writing)
        assert b"x" * 300_000 + b"y" * 300_000 == reader.read()
    assert 0 == started.returncode


def test_what_says_nothing_needs_no_output(left: str) -> None:
    """An error keeps its code and its words."""
    code, words = ended(["show", "nobody"], left, preexec_fn=close_output)
    assert (3, True) == (code, words.startswith("error: there is no workflow nobody\n"))


def test_errors_that_cannot_be_told_keep_their_code(left: str) -> None:
    """Standard error is full, or closed."""
    line, environment = command("show", "nobody"), {**os.environ, "WFACTORS_STORE": left}
    with Path("/dev/full").open("wb") as full:
        assert 3 == subprocess.run(line, env=environment, stderr=full, timeout=60, check=False).returncode
    done = subprocess.run(line, env=environment, timeout=60, check=False, preexec_fn=lambda: os.close(2))
    assert 3 == done.returncode


def test_what_is_not_written_yet_goes_where_it_should(folder: Path, left: str) -> None:
    """What the code of an application prints comes out, in its order, also without a buffer."""
    (folder / "loud.py").write_text("print('loaded')\n" + SHOP)
    line = command("replay", "loud.py", "-s", left)
    for environment in ({**os.environ}, {**os.environ, "PYTHONUNBUFFERED": "1"}):
        done = subprocess.run(
            line, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert "loaded" == done.stdout.splitlines()[0]


def test_a_node_needs_no_output(folder: Path) -> None:
    """Nobody may hear that it is ready; it serves all the same, and ends in order."""
    line = command("run", "shop.py", "--store", f"sqlite:///{folder}/silent.db")
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(line, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True) as started,
    ):
        assert "No space left on device" in read_until(started.stderr, "standard output cannot be written")
        started.send_signal(signal.SIGTERM)
        _, words = started.communicate(timeout=30)
    assert 0 == started.returncode
    assert "Traceback" not in words
