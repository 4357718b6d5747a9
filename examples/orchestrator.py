"""Engine and client in one program: durable work inside an application, with nothing else to run.

The engine is a client, too: start, signal, query, list, all on one object. This program leaves its engine in the middle
of a job, as a deployment or a crash would, and opens another on the same file: it goes on where the first one was.

Prints::

    engine 1: mix
    engine 1: bake
    ... the engine is gone; 1 order is open in the file ...
    engine 2: wrap
    cake for Ada
"""

import tempfile
from pathlib import Path
from typing import Annotated

import trio
import typer

import wfactors as wf


class Kitchen:
    def __init__(self, name: str) -> None:
        self.name = name
        self.baked = trio.Event()

    @wf.activity
    async def step(self, what: str) -> None:
        print(f"{self.name}: {what}")
        if what == "bake":
            self.baked.set()


@wf.workflow
async def cake(customer: str) -> str:
    kitchen = wf.activities(Kitchen)
    await kitchen.step("mix")
    await kitchen.step("bake")
    await wf.signals("cooled", bool).receive()
    await kitchen.step("wrap")
    return f"cake for {customer}"


async def main(store: str) -> None:
    kitchen = Kitchen("engine 1")
    async with wf.open_engine(store, register=[cake, kitchen]) as engine:
        await engine.start(cake, "Ada", id="ada", on_conflict="use_existing")
        await kitchen.baked.wait()

    async with wf.open_client(store) as client:
        print(f"... the engine is gone; {await client.count(status='open')} order is open in the file ...")

    async with wf.open_engine(store, register=[cake, Kitchen("engine 2")]) as engine:
        handle = await engine.get("ada", cake)
        await handle.signal("cooled", True)
        print(await handle.result())


def command(store: Annotated[str, typer.Option(help="URL of a store; a temporary file if left out.")] = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, store or f"sqlite:///{Path(folder) / 'kitchen.db'}")


if __name__ == "__main__":
    typer.run(command)
