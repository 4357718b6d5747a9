"""How fast a store writes and reads: ``python -m benchmarks.store_commit --store sqlite:////tmp/bench.db``.

The figures are medians; the raw line is what the bare ``sqlite3`` module needs for one small commit on the same disk,
since only ratios survive a change of machine.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable

import attrs
import trio

from wfactors.model.messages import Message, Signal
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, Batch, CreateRequest, HeaderRow, Lease, NodeRow, TaskKey, TaskRow
from wfactors.stores.base import Store
from wfactors.stores.url import open_store_from_url

PARTITION = "0:default"
INPUT = Payload(b'{"order": 12345, "items": ["apple", "pear", "plum"], "total": "99.95"}')
EVENTS = (
    b'{"v":1,"events":[' + b",".join([b'["ActivityScheduled",{"call":1,"activity":"charge","input":[1]}]'] * 3) + b"]}"
)
OPTIONS = ActivityOptions()


def header(number: int, prefix: str = "i") -> HeaderRow:
    return HeaderRow(
        instance=f"{prefix}{number:09}",
        run=1,
        id=f"{prefix}{number:09}",
        workflow="checkout",
        queue="default",
        partition=PARTITION,
        root_id=f"{prefix}{number:09}",
        created_at=1e9 + number,
        wake_at=2e9 + number,
        events=3,
        history_bytes=len(EVENTS),
    )


def task(number: int, call: int, prefix: str = "i") -> TaskRow:
    key = TaskKey(f"{prefix}{number:09}", 1, call)
    return TaskRow(key, PARTITION, "default", "charge", INPUT, OPTIONS, key.instance, "checkout", 1e9)


def milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"p50 {ordered[len(ordered) // 2] * 1e3:.3f} ms, p99 {ordered[len(ordered) * 99 // 100] * 1e3:.3f} ms"


class Raw:
    """One row in one transaction with ``synchronous=FULL``, nothing around it."""

    def __init__(self, folder: str) -> None:
        self._connection = sqlite3.connect(f"{folder}/raw.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE rows (a TEXT, b BLOB)")

    def commit(self, number: int) -> float:
        started = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO rows VALUES (?, ?)", (f"{number:09}", EVENTS))
        self._connection.execute("COMMIT")
        return time.perf_counter() - started

    def close(self) -> None:
        self._connection.close()


class Owner:
    """Commits batches one after the other, as a journal does."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store = store
        self._epoch = lease.epoch
        self._sequence = lease.sequence

    async def commit(self, **parts: object) -> float:
        self._sequence += 1
        batch = Batch(PARTITION, self._epoch, self._sequence, **parts)
        started = time.perf_counter()
        await self._store.commit(batch)
        return time.perf_counter() - started


async def small_commits(owner: Owner, repeats: int) -> tuple[str, str]:
    """A small batch through the store and a bare commit in turn, so that both see the same disk."""
    times, bare = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        raw = Raw(folder)
        for number in range(repeats):
            row = header(number, "s")
            appends = [Append(row.instance, 1, 0, 3, EVENTS)]
            times.append(await owner.commit(headers=[row], appends=appends, tasks=[task(number, 1, "s")]))
            bare.append(raw.commit(number))
        raw.close()
    return milliseconds(times), milliseconds(bare)


async def tree(owner: Owner, repeats: int) -> str:
    """The tree benchmark's batch: 750 new instances, 800 tasks, 2,500 events."""
    times = []
    for number in range(repeats):
        rows = [header(number * 750 + at, "t") for at in range(750)]
        appends = [Append(row.instance, 1, 0, 3, EVENTS) for row in rows]
        tasks = [task(number * 750 + at % 750, at // 750, "t") for at in range(800)]
        gc.collect()
        times.append(await owner.commit(headers=rows, appends=appends, tasks=tasks))
    return milliseconds(times)


async def updates(owner: Owner, repeats: int) -> str:
    """Headers that are there already, replaced whole: 100 instances that took a turn."""
    times = []
    for number in range(repeats):
        rows = [attrs.evolve(header(at, "t"), wake_at=3e9 + number, events=number) for at in range(100)]
        appends = [Append(row.instance, 1, 3 + number, 1, EVENTS) for row in rows]
        times.append(await owner.commit(headers=rows, appends=appends))
    return milliseconds(times)


async def concurrent(operation: Callable[[int], Awaitable[object]], callers: int, calls: int) -> str:
    async def caller(at: int) -> None:
        for call in range(calls):
            await operation(at * calls + call)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for at in range(callers):
            nursery.start_soon(caller, at)
    return f"{callers * calls / (time.perf_counter() - started):,.0f}/s"


async def read(operation: Callable[[int], Awaitable[object]], repeats: int) -> str:
    times = []
    for number in range(repeats):
        started = time.perf_counter()
        await operation(number)
        times.append(time.perf_counter() - started)
    return f"p50 {statistics.median(times) * 1e6:.1f} us"


async def measure(url: str) -> None:
    store = open_store_from_url(url)
    async with store.open():
        await store.join(NodeRow("bench", ["default"], 0.0, 0.0), 1e6)
        lease = await store.acquire(PARTITION, "bench")
        assert lease is not None
        owner = Owner(store, lease)
        print(f"store: {url}, {store.durability().detail}")
        through, bare = await small_commits(owner, 1000)
        print(f"bare sqlite3 commit of one row      {bare}")
        print(f"commit of a small batch             {through}")
        print(f"750 headers, 800 tasks, 2500 events {await tree(owner, 20)}")
        print(f"100 headers replaced, 100 appends   {await updates(owner, 50)}")

        async def create(number: int) -> None:
            await store.create([CreateRequest(header(number, "c"))])

        async def send(number: int) -> None:
            instance = f"t{number % 750:09}"
            refusals = await store.send([Message(f"m{number}", PARTITION, instance, Signal("s", INPUT))])
            assert refusals == [None]

        async def claim(_: int) -> None:
            await store.claim("bench", {"default": ["charge"]}, 2e9, 1)

        for callers in (1, 10, 100):
            print(f"{callers:3} callers: create {await concurrent(create, callers, 20)}", end=", ")
            print(f"send {await concurrent(send, callers, 20)}, claim {await concurrent(claim, callers, 20)}")
            await store.remove_finished(0.0, 1)

        print(f"header            {await read(lambda n: store.header(f't{n % 750:09}'), 3000)}")
        print(f"find              {await read(lambda n: store.find(f't{n % 750:09}'), 3000)}")
        print(f"history           {await read(lambda n: store.history(f't{n % 750:09}', 1), 3000)}")
        print(f"wakes, 1          {await read(lambda _: store.wakes(PARTITION, 9e9, 1), 3000)}")
        print(f"wakes, 1000       {await read(lambda _: store.wakes(PARTITION, 9e9, 1000), 100)}")
        print(f"inbox, 1          {await read(lambda _: store.inbox(PARTITION, 0, 1), 3000)}")
        print(f"take_reply, none  {await read(lambda _: store.take_reply('none'), 3000)}")
        print(f"tasks of a run    {await read(lambda n: store.tasks(f't{n % 750:09}', 1), 500)}")


async def opening(url: str, sleeping: int) -> None:
    store = open_store_from_url(url)
    async with store.open():
        await store.join(NodeRow("bench", ["default"], 0.0, 0.0), 1e6)
        lease = await store.acquire(PARTITION, "bench")
        assert lease is not None
        owner = Owner(store, lease)
        for start in range(0, sleeping, 5000):
            await owner.commit(headers=[header(start + at, "z") for at in range(5000)])
    started = time.perf_counter()
    async with store.open():
        opened = time.perf_counter()
        await store.wakes(PARTITION, 9e9, 1000)
        ended = time.perf_counter()
    print(f"open with {sleeping:,} sleeping {(opened - started) * 1e3:.1f} ms, and the first 1000 wakes", end=" ")
    print(f"{(ended - opened) * 1e3:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="")
    parser.add_argument("--sleeping", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        trio.run(measure, arguments.store or f"sqlite:///{folder}/bench.db")
        trio.run(opening, arguments.store or f"sqlite:///{folder}/sleeping.db", arguments.sleeping)


if __name__ == "__main__":
    main()
