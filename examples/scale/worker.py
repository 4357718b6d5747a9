"""A worker: an engine on the shared store until the process is told to stop. Start as many as there is work for."""

import signal
import sys

import thumbnails
import trio

import wfactors as wf


async def main(store: str) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with wf.open_engine(store, register=[thumbnails], limits=wf.Limits(activities=4), lease=3):
            print("ready", flush=True)
            async for _ in signals:
                break


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
