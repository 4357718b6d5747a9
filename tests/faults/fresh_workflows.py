"""Workflows that use much of the vocabulary, in ways whose order could depend on hashes but must not."""

from __future__ import annotations

import decimal
import enum
from datetime import timedelta
from typing import Any

import attrs

import wfactors as wf
from tests.histories import workflows


class Grade(enum.Enum):
    GOOD = "good"
    BAD = "bad"


@attrs.frozen
class Stall:
    name: str
    price: decimal.Decimal
    grade: Grade = Grade.GOOD
    tags: frozenset[str] = frozenset()


@wf.activity
async def fetch(name: str) -> str:
    return name


@wf.activity
async def weigh(stall: Stall) -> int:
    return len(stall.tags)


@wf.activity(on_cancel="abandon")
async def advertise(words: dict[str, int]) -> None: ...


@wf.workflow(name="fresh.porter")
async def porter(load: str) -> str:
    return load


@wf.workflow(name="fresh.bazaar")
async def bazaar(names: list[str]) -> dict[str, Any]:
    """Sets of strings, read in order; calls at once; a race; a dict on the way through."""
    wanted = {name.lower() for name in names} | {"salt", "rice", "tea", "figs"}
    fetched = await wf.gather(*[fetch(name) for name in sorted(wanted)])
    stalls = [
        Stall(name, decimal.Decimal(len(name)), Grade.GOOD if name < "m" else Grade.BAD, frozenset(wanted))
        for name in sorted(wanted)
    ]
    weights = dict(zip(sorted(wanted), await wf.gather(*[weigh(stall) for stall in stalls]), strict=True))
    wf.set_attributes(stalls=len(stalls), first=min(wanted))
    first = await wf.race(fetch("by land"), fetch("by sea"), wf.sleep(60))
    with wf.move_on_after(timedelta(seconds=5)):
        await advertise({name: weights[name] for name in sorted(weights, key=lambda name: (weights[name], name))})
    return {"fetched": sorted(set(fetched)), "weights": weights, "first": str(first)}


@wf.workflow(name="fresh.caravan")
async def caravan(count: int) -> list[str]:
    """Many children, in nurseries, joined by a channel."""
    if not 0 < count <= 8:
        raise ValueError("no caravan")
    send, receive = wf.open_memory_channel[str](count)
    seen: list[str] = []

    async def lead(number: int, sender: Any) -> None:
        async with sender:
            try:
                await sender.send(await porter(f"load {number}"))
            except wf.ChildWorkflowError as error:
                await sender.send(error.failure.kind)

    async with wf.open_nursery() as nursery:
        async with send:
            for number in range(count):
                nursery.start_soon(lead, number, send.clone())
        async with receive:
            async for load in receive:
                seen.append(load)
                if len(seen) == 2:
                    wf.logger.info("half way")
    return seen


@wf.workflow(name="fresh.inn")
async def inn(beds: int) -> dict[str, int]:
    """Signals, updates, a query, locks, a random number; continues as new when it is full."""
    guests: dict[str, int] = {}
    lock = wf.Lock()

    @wf.query
    def list_guests() -> list[str]:
        return sorted(guests)

    @wf.update
    async def book(name: str) -> int:
        async with lock:
            guests[name] = wf.random.randrange(beds)
            await fetch(name)
        return guests[name]

    arrivals = wf.signals("arrive", str)
    with wf.move_on_after(3600):
        while len(guests) < beds:
            guests[await arrivals.receive()] = int(wf.uuid4().int % beds)
    if wf.patched("full") and len(guests) >= beds:
        wf.continue_as_new(beds)
    return dict(sorted(guests.items()))


ALL = [bazaar, caravan, inn, porter, *workflows.ALL]
"""Also those of the recorded histories."""

ACTIVITIES = [fetch, weigh, advertise, workflows.charge, workflows.ship, workflows.notify]

ARGUMENTS: dict[str, list[Any]] = {
    "fresh.bazaar": [["Silk", "Tea", "Zinc"]],
    "fresh.caravan": [4],
    "fresh.inn": [2],
    "histories.checkout": ["visa", ["hat", "shoe"]],
    "histories.family": [1],
    "histories.counter": [1],
    "histories.tidy": [],
    "histories.broken": ["visa"],
}
"""By name, with what each is started. ``porter`` and ``parcel`` are children of others alone."""
