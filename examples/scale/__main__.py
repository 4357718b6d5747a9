"""Scale out: starters and workers are processes of their own, and know each other only by the store.

``worker.py`` runs workflows and activities, ``starter.py`` starts them and waits for results, ``thumbnails.py`` is what
they share. The first worker to come owns the workflows of the queue, the activities go to whoever has room; when a
worker dies, another takes over what it had. ``python examples/scale`` runs two workers and a starter.

Prints::

    started 4 albums
    40 thumbnails by 2 processes
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import trio
import typer

HERE = Path(__file__).parent


async def main(store: str) -> None:
    workers = []
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            command = [sys.executable, str(HERE / "worker.py"), store]
            workers.append(await nursery.start(_run_worker, command))
        await trio.run_process([sys.executable, str(HERE / "starter.py"), store, "4", "10"])
        for worker in workers:
            worker.terminate()


async def _run_worker(command: list[str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    """Run a worker; ready when it says so."""
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with process.stdout:
        await process.stdout.receive_some()
        task_status.started(process)
        await process.wait()


def command(store: Annotated[str, typer.Option(help="URL of a store; a temporary file if left out.")] = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, store or f"sqlite:///{Path(folder) / 'scale.db'}")


if __name__ == "__main__":
    typer.run(command)
