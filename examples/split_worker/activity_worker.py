"""Runs the activities of one queue and no workflow: as many as the work needs, where the data and the hardware are."""

import os
import sys

import trio
from report import Cruncher

import wfactors as wf


async def main(store: str) -> None:
    cruncher = Cruncher(os.environ.get("WORKER_NAME", "a cruncher"))
    async with wf.open_engine(store, register=[cruncher], queues=["heavy"], workflows=False):
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
