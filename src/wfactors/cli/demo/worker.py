"""The demo's worker: ``wfactors run`` in a process of its own, which can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import trio

from wfactors.cli.demo.pipeline import QUEUE
from wfactors.cli.exits import Exit, Problem

__all__ = ["Worker", "start_worker"]

_READY_SECONDS = 60
_STOP_SECONDS = 5
_LOG_LINES = 5


class Worker:
    """A running worker.

    Attributes:
        pid: Of its process.
    """

    def __init__(self, process: trio.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process.poll() is None

    async def kill(self) -> None:
        """What ``kill -9`` does; returns when the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end in order, by closing its standard input; kill it if it takes long."""
        assert self._process.stdin is not None
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.aclose()
        with trio.move_on_after(_STOP_SECONDS):
            await self._process.wait()
            return
        await self.kill()

    async def wait_ready(self) -> float:
        """Wait for its readiness line; returns when its code began, once Python had started.

        Raises a Problem with the end of its log if there is no such line.
        """
        with trio.move_on_after(_READY_SECONDS):
            began = await self._read_ready()
            if began is not None:
                return began
        if self.is_running:
            await self.kill()
        # Ctrl-C strikes the whole process group, and the worker may be gone first: here it is raised.
        await trio.lowlevel.checkpoint()
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise Problem(Exit.STORE, "the worker did not start", "\n  ".join([*lines[-_LOG_LINES:], f"log: {self._log}"]))

    async def _read_ready(self) -> float | None:
        assert self._process.stdout is not None
        received = b""
        async for chunk in self._process.stdout:
            received += chunk
            if b"\n" in received:
                line = json.loads(received.partition(b"\n")[0])
                return datetime.fromisoformat(line["began_at"]).timestamp() if line["event"] == "ready" else None
        return None


async def start_worker(url: str, log: Path) -> Worker:
    """Start a worker on a store; what it logs goes to a file.

    It ends when this process does, however that ends: it holds the other end of the worker's standard input.
    """
    command = [sys.executable, "-m", "wfactors", "run", "wfactors.cli.demo.pipeline", "--store", url]
    command += ["--queue", QUEUE, "--exit-with-stdin", "--grace", "3s", "--json"]
    with log.open("ab") as file:
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)
    return Worker(process, log)
