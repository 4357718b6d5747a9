"""Requests whose answer was lost with the owner, asked again under the same id."""

from __future__ import annotations

import trio
from trio.testing import MockClock

import wfactors as wf
from wfactors.model.messages import Update
from wfactors.model.payloads import Payload
from wfactors.testing.clocks import VirtualClock


@wf.workflow
async def counter() -> int:
    total = 0

    @wf.update
    async def add(number: int) -> int:
        nonlocal total
        await wf.sleep(number)
        total += number
        return total

    await wf.signals("stop").receive()
    return total


async def test_an_update_whose_answer_was_lost_is_answered_again(autojump_clock: MockClock) -> None:
    """Asked again while it runs, when it is done, and by the next owner: carried out once, answered each time."""
    clock = VirtualClock(autojump_clock)
    store = wf.MemoryStore(clock=clock.now)
    answers = []

    async def ask(client: wf.Client, id: str) -> None:
        handle = await client.get("c")
        body = Update("add", Payload(client.data.to_payload([5])))
        answers.append(await client.requests._update_remote(handle._header, body, id))

    async with wf.open_engine(store, register=[counter], clock=clock) as engine:
        await engine.start(counter, id="c")
        await ask(engine, "same")
        await ask(engine, "same")
        with trio.move_on_after(1):
            await ask(engine, "other")
        await ask(engine, "other")
    async with wf.open_engine(store, register=[counter], clock=clock) as engine:
        await ask(engine, "same")
        await (await engine.get("c")).signal("stop")
        assert 10 == await (await engine.get("c")).result()
    assert ["5", "5", "10", "5"] == [bytes(result).decode() for result, _ in answers]
