"""What the tests of the SQLite store share: rows, an owner, and other processes on the same file."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREAMBLE = """
import os, sys, trio
from wfactors.stores.sqlite import SqliteStore
from wfactors.testing.conformance.builders import *
path = sys.argv[1]

def tell(word):
    sys.stdout.write(word + "\\\\n")
    sys.stdout.flush()

def hear():
    return sys.stdin.readline().strip()

"""


class Other:
    """Another process on the same file: it says a word when it is ready and goes on when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hear(self) -> str:
        """The next word it says; "" when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def another_process(path: Path, source: str) -> Iterator[Other]:
    """Run ``source`` (which has ``path``, ``tell`` and ``hear``) in a process that does not outlive the block."""
    command = [sys.executable, "-c", PREAMBLE.replace("\\\\n", "\\n") + source, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Other(process)
        finally:
            process.kill()


def names_in(folder: Path) -> list[str]:
    """The files of a folder."""
    return sorted(path.name for path in folder.iterdir())
