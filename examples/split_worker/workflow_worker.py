"""Runs workflows and no activity: small, and near the people who ask. This one also asks, and waits for the answer."""

import sys

import trio
from report import yearly_report

import wfactors as wf


async def main(store: str) -> None:
    async with wf.open_engine(store, register=[yearly_report], limits=wf.Limits(activities=0)) as engine:
        handle = await engine.start(yearly_report, 3, id="report", on_conflict="use_existing")
        print("report started", flush=True)
        for line in await handle.result():
            print(line, flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
