"""Queues decide which machine runs what: give an engine the queues it serves.

Here two engines share a store: one for everything, one on the machine with the graphics card. Activities and children
run on the queue of their caller unless the decorator, or ``options(queue=...)`` at one call, says otherwise. Work for a
queue that nobody serves waits until somebody does.

Prints::

    laptop: decode holiday.mov
    gpu-1: stabilise holiday.mov
    gpu-1: denoise holiday.mov
    laptop: encode holiday.mov
    open on queue 'tape': 1
"""

import trio

import wfactors as wf


class Machine:
    def __init__(self, name: str) -> None:
        self.name = name

    @wf.activity
    async def work(self, step: str, film: str) -> None:
        print(f"{self.name}: {step} {film}")


@wf.workflow(queue="gpu")
async def enhance(film: str) -> None:
    machine = wf.activities(Machine)
    await machine.work("stabilise", film)
    await machine.work("denoise", film)


@wf.workflow
async def publish(film: str) -> None:
    machine = wf.activities(Machine)
    await machine.work("decode", film)
    await enhance(film)  # a child on the queue "gpu"
    await machine.work("encode", film)


async def main() -> None:
    store = wf.MemoryStore()
    async with (
        wf.open_engine(store, register=[publish, Machine("laptop")]) as laptop,
        wf.open_engine(store, register=[enhance, Machine("gpu-1")], queues=["gpu"]),
    ):
        await laptop.run(publish, "holiday.mov")
        await laptop.start(enhance, "archive.mov", queue="tape")  # nobody serves it
        for queue in await laptop.queues():
            print(f"open on queue {queue.queue!r}: {queue.open_instances}")


if __name__ == "__main__":
    trio.run(main)
