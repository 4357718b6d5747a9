"""Split the workers: one kind runs workflows, the other runs activities, in processes of their own.

Workflows need little memory and no hardware; activities may need much of both, or secrets that the others should not
have. ``Limits(activities=0)`` makes a worker for workflows only, ``workflows=False`` one for activities only. They
share a store and nothing else: the worker for workflows has no instance of ``Cruncher`` and need not be able to make
one. ``python examples/split_worker`` runs one of each.

Prints::

    report started
    1000 rows by the big machine
    2000 rows by the big machine
    3000 rows by the big machine
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
import typer

HERE = Path(__file__).parent


async def main(store: str) -> None:
    async with trio.open_nursery() as nursery:
        environment = {**os.environ, "WORKER_NAME": "the big machine"}
        command = [sys.executable, str(HERE / "activity_worker.py"), store]
        nursery.start_soon(partial(trio.run_process, command, env=environment))
        await trio.run_process([sys.executable, str(HERE / "workflow_worker.py"), store])
        nursery.cancel_scope.cancel()  # ends the other worker, with SIGTERM


def command(store: Annotated[str, typer.Option(help="URL of a store; a temporary file if left out.")] = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, store or f"sqlite:///{Path(folder) / 'split.db'}")


if __name__ == "__main__":
    typer.run(command)
