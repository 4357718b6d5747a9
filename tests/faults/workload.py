"""A workload that uses everything once, as stories that can be begun again by another process after any crash."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

import wfactors as wf
from wfactors.convert import DataPort
from wfactors.registry import Registry
from wfactors.testing.auditor import EffectLog
from wfactors.workflow import Application

QUEUES = ("default", "far")
_log: list[EffectLog] = []


def log() -> EffectLog:
    """The effect log of this process."""
    return _log[0]


def use_log(path: Path) -> EffectLog:
    """Let activities and stories of this process write to the log at ``path``."""
    _log[:] = [EffectLog(path)]
    return log()


# --- Activities ------------------------------------------------------------------------------------------------------

_SOON = wf.Retry(attempts=50, first=0.01, backoff=1.0)


@wf.activity(retry=_SOON)
async def add(a: int, b: int) -> int:
    log().effect()
    return a + b


@wf.activity(retry=_SOON)
async def fail_first(value: int) -> int:
    log().effect()
    if wf.activity_info().attempt == 1:
        raise ValueError("the first attempt fails")
    return value


@wf.activity(retry=_SOON)
def add_in_thread(a: int, b: int) -> int:
    log().effect()
    return a + b


# --- Workflows -------------------------------------------------------------------------------------------------------


@wf.workflow
async def sequential(count: int) -> int:
    total = 0
    for number in range(count):
        total = await add(total, number)
    return total


@wf.workflow
async def fan_out(count: int) -> list[int]:
    return list(await wf.gather(*(add(number, number) for number in range(count)), add_in_thread(1, 1)))


@wf.workflow
async def leaf(number: int) -> int:
    await wf.sleep(0.005)
    return await add(number, 1)


@wf.workflow
async def family(chosen: str) -> list[int]:
    handle = await wf.start_child(leaf, 1, id=chosen)
    others = await wf.gather(leaf(2), leaf.options(queue="far")(3))
    return [await handle.result(), *others]


@wf.workflow
async def receiver(words: list[str]) -> list[str]:
    wanted, seen = set(words), []
    async for word in wf.signals("word", str):
        if word in wanted:
            wanted.discard(word)
            seen.append(word)
        if not wanted:
            break
    return sorted(seen)


@wf.workflow
async def sender(target: str, words: list[str]) -> int:
    for word in words:
        await wf.signal(target, "word", word)
    return len(words)


@wf.workflow
async def naps() -> str:
    await wf.sleep(0.01)
    with wf.move_on_after(0.005):
        await wf.sleep_forever()
    await wf.gather(wf.sleep(0.003), wf.sleep(0.001))
    return "rested"


@wf.workflow
async def again(left: int, total: int) -> int:
    total = await add(total, await wf.side_effect(lambda: 1))
    wf.uuid4()
    if left:
        wf.continue_as_new(left - 1, total)
    return total


@wf.workflow
async def careful() -> None:
    try:
        await wf.sleep_forever()
    finally:
        with wf.CancelScope(shield=True):
            await add(1, 1)


@wf.workflow
async def linger() -> None:
    await wf.sleep_forever()


@wf.workflow
async def stubborn() -> None:
    await wf.gather(linger(), wf.sleep_forever())


@wf.workflow
async def ledger(entries: int) -> int:
    amounts: dict[str, int] = {}

    @wf.update
    async def book(name: str, amount: int) -> int:
        amounts[name] = await add(amount, 0)
        return len(amounts)

    await wf.wait_until(lambda: len(amounts) == entries)
    await wf.wait_until(lambda: True)
    return sum(amounts.values())


@wf.workflow
async def retried() -> int:
    return await fail_first(7)


@wf.workflow
async def ticker(ticks: int) -> int:
    total = 0
    for _ in range(ticks):
        total = await add(total, 1)
        await wf.sleep(0.002)
    return total


REGISTER = (add, fail_first, add_in_thread, sequential, fan_out, leaf, family, receiver, sender, naps, again, careful)
REGISTER += (linger, stubborn, ledger, retried, ticker)


def application() -> Application:
    """The workflows without an engine, to replay histories."""
    return Application(registry=Registry(REGISTER), data=DataPort())


# --- Stories ---------------------------------------------------------------------------------------------------------


class Teller:
    """A client that writes down what it asks for and what was acknowledged, and may have done so before."""

    def __init__(self, client: wf.Client, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix
        # A client that was not there before has nothing to look up.
        self._before = [] if prefix else log().read()

    async def begin(self, workflow: Any, *args: Any, id: str) -> wf.Handle[Any]:
        """Start it unless it was started before."""
        name = self._prefix + id
        try:
            handle = await self._client.start(workflow, *args, id=name, on_conflict="use_existing", reuse="reject")
        except wf.WorkflowAlreadyStarted as error:
            return error.handle
        log().note("start", id=name, instance=handle.instance)
        return handle

    def name(self, id: str) -> str:
        """The id as it is in the store."""
        return self._prefix + id

    async def signal(self, handle: wf.Handle[Any], name: str, value: object) -> None:
        """Send a signal, unless it was acknowledged before."""
        fields = {"instance": handle.instance, "name": name, "payload": json.dumps(value), "sender": "client"}
        if any(entry.kind == "signal" and entry.fields == fields for entry in self._before):
            return
        await self._ask("signal", fields, lambda: handle.signal(name, value))

    async def ask(self, kind: str, handle: wf.Handle[Any], request: Callable[[], Awaitable[object]]) -> None:
        """Ask something of a workflow; one that has ended needs it no more."""
        await self._ask(kind, {"instance": handle.instance}, request)

    async def result(self, handle: wf.Handle[Any]) -> object:
        """Wait for the result, and write down that it was told."""
        value = await handle.result()
        log().note("result", instance=handle.instance, payload=json.dumps(value, separators=(",", ":")))
        return value

    async def _ask(self, kind: str, fields: dict[str, Any], request: Callable[[], Awaitable[object]]) -> None:
        log().note(f"{kind}?", **fields)
        try:
            await request()
        except wf.WorkflowClosed:
            return
        except wf.UpdateRejected as error:
            # The same update, sent before the crash, let the workflow end before this one was through.
            if "WorkflowClosed" in str(error):
                return
            raise
        log().note(kind, **fields)


async def _plain(teller: Teller) -> None:
    handles = [
        await teller.begin(sequential, 3, id="sequential"),
        await teller.begin(fan_out, 4, id="fan-out"),
        await teller.begin(family, teller.name("chosen"), id="family"),
        await teller.begin(naps, id="naps"),
        await teller.begin(again, 2, 0, id="again"),
        await teller.begin(retried, id="retried"),
    ]
    for handle in handles:
        await teller.result(handle)


async def _signals(teller: Teller) -> None:
    ours, theirs = ["c0", "c1", "c2"], ["s0", "s1"]
    handle = await teller.begin(receiver, ours + theirs, id="receiver")
    await teller.begin(sender, teller.name("receiver"), theirs, id="sender")
    for word in ours:
        await teller.signal(handle, "word", word)
    await teller.result(handle)


async def _ends(teller: Teller) -> None:
    handle = await teller.begin(careful, id="careful")
    await teller.ask("cancel", handle, lambda: handle.cancel("enough"))
    other = await teller.begin(stubborn, id="stubborn")
    await teller.ask("terminate", other, lambda: other.terminate("enough"))
    for ended in (handle, other):
        await ended.wait_closed()


async def _updates(teller: Teller) -> None:
    handle = await teller.begin(ledger, 2, id="ledger")
    for name, amount in (("a", 5), ("b", 6)):
        await teller.ask("update", handle, lambda name=name, amount=amount: handle.update("book", name, amount))
    await teller.result(handle)


async def _removal(teller: Teller) -> None:
    name = teller.name("gone")
    if any(entry.kind == "remove?" and entry["id"] == name for entry in teller._before):
        try:
            handle = await teller._client.get(name)
        except wf.WorkflowNotFound:
            return
    else:
        handle = await teller.begin(sequential, 1, id="gone")
    await handle.wait_closed()
    log().note("remove?", instance=handle.instance, id=name)
    try:
        await handle.remove()
    except wf.WorkflowNotFound:
        return
    log().note("remove", instance=handle.instance, id=name)


STORIES = (_plain, _signals, _ends, _updates, _removal)


async def tell_stories(engine: wf.Client, prefix: str = "") -> None:
    """Tell all stories at once, half of them straight to the engine, if it is one, and half by way of the store."""
    far = wf.Client(engine.store, engine.data)
    order = list(STORIES)
    random.shuffle(order)
    async with trio.open_nursery() as nursery:
        for number, story in enumerate(order):
            nursery.start_soon(story, Teller(far if number % 2 else engine, prefix))


async def settle(engine: wf.Client) -> None:
    """Wait until nothing is open and nothing is left to be taken in."""
    for item in [item async for item in engine.list(status="open")]:
        await (await engine.get(item.id)).wait_closed()
    for item in [item async for item in engine.list()]:
        # Its owner answers once it has taken in what the inbox held before, of activities cut off by its end, say.
        with contextlib.suppress(wf.QueryError):
            await (await engine.get(item.id)).query("nothing")
