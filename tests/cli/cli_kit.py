"""The command, in this process and in others."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from wfactors.cli.app import app

SHOP = """
import trio
import wfactors as wf

@wf.activity
async def add(a: int, b: int) -> int:
    return a + b

@wf.activity(retry=wf.Retry(attempts=2, first=0.001))
async def unlucky() -> None:
    raise ValueError("no luck")

@wf.activity
async def block() -> None:
    print("blocking", flush=True)
    await trio.sleep_forever()

@wf.workflow
async def total(numbers: list[int]) -> int:
    result = 0
    for number in numbers:
        result = await add(result, number)
    return result

@wf.workflow
async def parent() -> int:
    return await total([1, 2])

@wf.workflow
async def broken() -> None:
    await unlucky()

@wf.workflow
async def blocked() -> None:
    await block()

@wf.workflow
async def chat() -> list[str]:
    notes: list[str] = []

    @wf.query
    def read() -> list[str]:
        return notes

    @wf.update
    async def write(note: str) -> int:
        if not note:
            raise ValueError("an empty note")
        notes.append(note)
        return len(notes)

    await wf.signals("end", bool).receive()
    return notes

@wf.workflow
async def nap(seconds: float) -> str:
    await wf.sleep(seconds)
    return "awake"

@wf.workflow
async def negate(number: int) -> int:
    return -number

registered = [total, add]

def make() -> list[object]:
    return registered
"""


def run(*arguments: str, **environment: str) -> Result:
    """Run a command in this process."""
    return CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200", **environment}).invoke(app, list(arguments))


def data(*arguments: str, **environment: str) -> Any:
    """What a command that succeeds says in JSON."""
    result = run(*arguments, "--json", **environment)
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)


def command(*arguments: str) -> list[str]:
    """The command line that runs a command in another process."""
    return [sys.executable, "-m", "wfactors", *arguments]


@contextmanager
def process(*arguments: str, cwd: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command in another process; killed at the end of the block if it is still there."""
    with subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    ) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                started.kill()


def read_until(stream: Any, words: str) -> str:
    """The first line with these words; fails at the end of the stream."""
    seen = []
    for line in stream:
        if words in line:
            return str(line)
        seen.append(line)
    raise AssertionError(f"no line with {words!r} in {seen}")


def read_all(stream: Any, *words: str) -> None:
    """Read until each of these words has come, in whatever order; fails at the end of the stream."""
    seen = []
    while missing := [word for word in words if not any(word in line for line in seen)]:
        line = stream.readline()
        assert line, f"no line with {missing} in {seen}"
        seen.append(line)


def node_line(folder: Path, *arguments: str) -> tuple[str, ...]:
    """The arguments that run a node of the shop."""
    return "run", "shop.py", "--store", f"sqlite:///{folder}/shop.db", "--json", *arguments


@contextmanager
def node(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Mapping[str, Any]]]:
    """A node of the shop in a process of its own, and what it said when it was ready."""
    with process(*node_line(folder, *arguments), cwd=folder) as started:
        yield started, json.loads(read_until(started.stdout, "ready"))


class Terminal:
    """The terminal that a command believes to be on: what it shows, and the keys that are pressed.

    Attributes:
        shown: All that was written so far, with the codes that move and colour.
    """

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self.shown = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, words: str) -> None:
        """Until it is shown; fails at the end of the command."""
        while words not in self.shown:
            assert self._read(), f"{words!r} was never shown: {self.shown}"

    def wait(self) -> int:
        """The exit code, once all has been shown."""
        while self._read():
            continue
        return self._process.wait()

    def _read(self) -> bool:
        try:
            self.shown += os.read(self._master, 65_536).decode("utf-8", "replace")
        except OSError:  # What Linux says at the end of a terminal.
            return False
        return True


@contextmanager
def terminal(*arguments: str, cwd: Path, columns: int = 120) -> Iterator[Terminal]:
    """A command on a terminal; killed at the end of the block if it is still there."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment, stdin=slave, stdout=slave, stderr=slave
    ) as started:
        os.close(slave)
        try:
            yield Terminal(master, started)
        finally:
            os.close(master)
            if started.poll() is None:
                started.kill()
