"""The rules about names from outside, and what their pages say."""

from __future__ import annotations

from wfactors.testing.lint.findings import Severity
from wfactors.testing.lint.rules.base import Rule

__all__ = ["WORLD"]

WORLD = (
    Rule(
        code="WF101",
        name="wall-clock",
        summary="A workflow reads the clock of the machine.",
        why="A replay happens later, so the clock says something else, and code that depends on it takes another way "
        "than the history has. The workflow is then parked with a `NonDeterminismError`.",
        instead="`wf.now()` is an aware `datetime` in UTC, `wf.current_time()` the same in seconds: the time of the "
        "event being processed, the same in every replay. It stands still between two awaits. To measure how long "
        "something takes, measure in the activity.",
        bad="""
import time
from datetime import UTC, datetime

import wfactors as wf


@wf.workflow
async def remind() -> None:
    began = time.time()
#           ^ WF101
    while datetime.now(UTC).year < 2030 and began:
#         ^ WF101
        await wf.sleep(3600)
""",
        good="""
import wfactors as wf


@wf.workflow
async def remind() -> None:
    while wf.now().year < 2030:
        await wf.sleep(3600)
""",
    ),
    Rule(
        code="WF102",
        name="randomness",
        summary="A workflow draws random numbers that nobody records.",
        why="Every replay draws others, and code that depends on them takes another way than the history has.",
        instead="`wf.random` is a generator seeded from the run: `wf.random()`, `wf.random.choice(...)`, "
        "`wf.random.shuffle(...)`. `random.Random(seed)` is fine too where it is made inside the workflow. Neither is "
        "for secrets: make tokens and keys in an activity.",
        bad="""
import random
import secrets

import wfactors as wf


@wf.workflow
async def lottery(names: list[str]) -> tuple[str, str]:
    winner = random.choice(names)
#            ^ WF102
    return winner, secrets.token_hex()
#                  ^ WF102
""",
        good="""
import secrets

import wfactors as wf


@wf.activity
async def make_token() -> str:
    return secrets.token_hex()


@wf.workflow
async def lottery(names: list[str]) -> tuple[str, str]:
    winner = wf.random.choice(names)
    return winner, await make_token()
""",
    ),
    Rule(
        code="WF103",
        name="uuid",
        summary="A workflow makes a UUID from the clock or from chance.",
        why="Every replay makes another one. Passed to an activity it is a different argument each time, and as an "
        "idempotency key it would not protect from anything.",
        instead="`wf.uuid4()` is the same in every replay. `uuid.uuid5(...)` of something known is fine.",
        bad="""
from uuid import uuid4

import wfactors as wf


@wf.workflow
async def order() -> str:
    return str(uuid4())
#              ^ WF103
""",
        good="""
import uuid

import wfactors as wf


@wf.workflow
async def order(customer: str) -> tuple[str, str]:
    return str(wf.uuid4()), str(uuid.uuid5(uuid.NAMESPACE_DNS, customer))
""",
    ),
    Rule(
        code="WF104",
        name="environment",
        summary="A workflow asks the machine that it happens to run on: its environment, names, folders, time zone.",
        why="The next turn may run on another node, after a deployment, or in a container with other settings. A "
        "replay there gets another answer.",
        instead='Pass settings as arguments; or ask once with `await wf.side_effect(os.environ.get, "REGION")`, which '
        "keeps the answer in the history; or ask in an activity. Times keep their own zone: give `fromtimestamp()` "
        "and `astimezone()` one.",
        bad="""
import os
from datetime import datetime

import wfactors as wf


@wf.workflow
async def deploy(at: float) -> str:
    region = os.environ["REGION"]
#            ^ WF104
    return f"{region} at {datetime.fromtimestamp(at)}"
#                         ^ WF104
""",
        good="""
import os
from datetime import UTC, datetime

import wfactors as wf


@wf.workflow
async def deploy(at: float) -> str:
    region = await wf.side_effect(os.environ.get, "REGION")
    return f"{region} at {datetime.fromtimestamp(at, UTC)}"
""",
    ),
    Rule(
        code="WF105",
        name="files",
        in_queries=True,
        summary="A workflow reads or changes the file system.",
        why="The file may be another one when the workflow is replayed, or missing on another node; what is written "
        "would be written again by every replay. And a disk that is slow holds up every workflow of the node.",
        instead="Do it in an activity, and return what the workflow needs. Paths themselves are fine: joining them, "
        "taking their names apart.",
        bad="""
from pathlib import Path

import wfactors as wf


@wf.workflow
async def publish(folder: Path) -> str:
    with open("template.html") as file:
#        ^ WF105
        template = file.read()
    return template + (folder / "x").name + folder.read_text()
#                                           ^ WF105
""",
        good="""
from pathlib import Path

import wfactors as wf


@wf.activity
def read(path: Path) -> str:
    return path.read_text()


@wf.workflow
async def publish(folder: Path) -> str:
    return await read(folder / "template.html")
""",
    ),
    Rule(
        code="WF106",
        name="network",
        in_queries=True,
        summary="A workflow talks to the network, or makes a client that would.",
        why="The answer would not be in the history: a replay asks again, and the answer is another one. The call "
        "would block every workflow of the node while it waits, and nothing would retry it.",
        instead="Do it in an activity, which has retries, deadlines and a result that is recorded. A client that "
        "lives as long as the process belongs to a class with activities as its methods.",
        bad="""
import httpx
import requests

import wfactors as wf

session = requests.Session()


@wf.workflow
async def watch(url: str) -> int:
    async with httpx.AsyncClient() as client:
#              ^ WF106
        await client.get(url)
    return session.get(url).status_code
#          ^ WF106
""",
        good="""
import httpx

import wfactors as wf


class Web:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    @wf.activity(start_to_close=10)
    async def status(self, url: str) -> int:
        return (await self.client.get(url)).status_code


@wf.workflow
async def watch(url: str) -> int:
    return await wf.activities(Web).status(url)
""",
    ),
    Rule(
        code="WF107",
        name="subprocess",
        in_queries=True,
        summary="A workflow starts, or ends, processes.",
        why="Every replay would start it again, and every workflow of the node would wait for it.",
        instead="Run it in an activity: `trio.run_process` there is cancelled with the workflow.",
        bad="""
import subprocess

import wfactors as wf


@wf.workflow
async def build(target: str) -> int:
    return subprocess.run(["make", target]).returncode
#          ^ WF107
""",
        good="""
import trio

import wfactors as wf


@wf.activity(start_to_close=600)
async def make(target: str) -> int:
    return (await trio.run_process(["make", target], check=False)).returncode


@wf.workflow
async def build(target: str) -> int:
    return await make(target)
""",
    ),
    Rule(
        code="WF108",
        name="threads",
        in_queries=True,
        summary="A workflow uses threads, or what threads use to wait for each other.",
        why="A thread runs beside the turn, in an order that no history knows. A lock or queue for threads blocks the "
        "loop that all workflows of the node share, with them the one that would release it.",
        instead="Tasks of a workflow are started in `wf.open_nursery()`; they wait for each other with `wf.Lock`, "
        "`wf.Event`, `wf.open_memory_channel()`. Work that needs a thread is an activity: a plain `def` runs in one.",
        bad="""
import threading
from concurrent.futures import ThreadPoolExecutor

import wfactors as wf

lock = threading.Lock()


@wf.workflow
async def crunch(parts: list[int]) -> int:
    with lock:
#        ^ WF108
        pool = ThreadPoolExecutor()
#              ^ WF108
        return pool.submit(sum, parts).result()
""",
        good="""
import wfactors as wf


@wf.activity
def crunch_part(part: int) -> int:
    return part * part


@wf.workflow
async def crunch(parts: list[int]) -> int:
    return sum(await wf.gather(*(crunch_part(part) for part in parts)))
""",
    ),
    Rule(
        code="WF109",
        name="other-event-loop",
        in_queries=True,
        summary="A workflow uses trio, asyncio or anyio.",
        why="A workflow does not run in Trio's loop but in one of its own, whose waits are kept in the history. "
        "Awaiting anything else raises `WorkflowMisuseError`; and `trio.Cancelled` or `trio.TooSlowError` are never "
        "raised there, so catching them catches nothing.",
        instead="wfactors has Trio's vocabulary, durable: `wf.sleep`, `wf.open_nursery`, `wf.CancelScope`, "
        "`wf.move_on_after`, `wf.Event`, `wf.Cancelled` and the rest. Everything else is for activities, which are "
        "ordinary Trio tasks.",
        bad="""
import asyncio

import trio

import wfactors as wf


@wf.workflow
async def wait() -> None:
    async with trio.open_nursery() as nursery:
#              ^ WF109
        nursery.start_soon(trio.sleep, 5)
#                          ^ WF109
    try:
        await asyncio.sleep(1)
#             ^ WF109
    except trio.Cancelled:
#          ^ WF109
        raise
""",
        good="""
import trio

import wfactors as wf


@wf.activity
async def fetch() -> None:
    await trio.sleep(1)


@wf.workflow
async def wait() -> None:
    async with wf.open_nursery() as nursery:
        nursery.start_soon(wf.sleep, 5)
        nursery.start_soon(fetch)
""",
    ),
    Rule(
        code="WF110",
        name="blocking-call",
        in_queries=True,
        summary="A workflow blocks the loop: it sleeps, waits for a person, a signal or a process.",
        why="All workflows of a node share one loop. While one of them blocks, no other goes on, no timer fires and "
        "no activity starts; after half the lease (5 seconds) the turn is interrupted and the workflow parked.",
        instead="`await wf.sleep(...)` takes no resources, for days. A person's answer is a signal: `await "
        'wf.signals("answer", str).receive()`. Everything else is an activity.',
        bad="""
import time

import wfactors as wf


@wf.workflow
async def approve() -> str:
    time.sleep(60)
#   ^ WF110
    return input("ok? ")
#          ^ WF110
""",
        good="""
import wfactors as wf


@wf.workflow
async def approve() -> str:
    await wf.sleep(60)
    return await wf.signals("ok", str).receive()
""",
    ),
    Rule(
        code="WF118",
        name="output",
        severity=Severity.HINT,
        summary="A workflow prints or logs, and every replay does so again.",
        why="A workflow that leaves memory or moves to another node is replayed from its beginning. Whatever it "
        "writes is written each time.",
        instead="`wf.logger` writes each line once, with the id of the workflow in it.",
        bad="""
import logging

import wfactors as wf

log = logging.getLogger(__name__)


@wf.workflow
async def ship(item: str) -> None:
    print("shipping", item)
#   ^ WF118
    log.info("shipping %s", item)
#   ^ WF118
""",
        good="""
import wfactors as wf


@wf.workflow
async def ship(item: str) -> None:
    wf.logger.info("shipping %s", item)
""",
    ),
    Rule(
        code="WF122",
        name="outside-only",
        in_queries=True,
        summary="A workflow uses what is for activities, or for the program around the engine.",
        why="Heartbeats and attempts are those of activities; an engine or a client talks to a store, which is I/O. "
        "Both raise inside a workflow.",
        instead="In a workflow, `wf.info()` tells about the run, `wf.start_child`, `wf.signal` and `wf.cancel` reach "
        "other workflows. To use a client, do it in an activity.",
        bad="""
import wfactors as wf


@wf.workflow
async def sweep(url: str) -> None:
    wf.heartbeat("begun")
#   ^ WF122
    async with wf.open_client(url) as client:
#              ^ WF122
        await client.remove_finished(before=wf.now())
""",
        good="""
import wfactors as wf


@wf.activity
async def remove_finished(url: str) -> None:
    wf.heartbeat("begun")
    async with wf.open_client(url) as client:
        await client.remove_finished(before=wf.now())


@wf.workflow
async def sweep(url: str) -> None:
    await remove_finished(url)
""",
    ),
)
