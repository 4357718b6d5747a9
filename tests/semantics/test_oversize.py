"""As large as the limits let things become: payloads, histories, families. In full with WFACTORS_TEST_FULL=1."""

from __future__ import annotations

import hashlib
import os

import pytest

import wfactors as wf

FULL = bool(os.environ.get("WFACTORS_TEST_FULL"))
MIB = 2**20
SIZES = [MIB, 64 * MIB] if FULL else [4 * MIB]
EVENTS = 100_000 if FULL else 20_000
CHILDREN = 10_000 if FULL else 500
EVENTS_A_TURN = 1_000


@wf.activity
async def grow(text: str) -> str:
    return f"{text}!"


@wf.workflow
async def carrier(text: str) -> str:
    grown = await grow(text)
    received = await wf.signals("more", str).receive()
    return hashlib.sha256(f"{grown}{received}".encode()).hexdigest()


@wf.workflow
async def neighbour() -> str:
    await wf.sleep(1)
    return await grow("small")


@wf.workflow
async def diary(turns: int) -> int:
    pages = 0
    page = wf.signals("page", int)

    @wf.query
    def so_far() -> int:
        return pages

    for _ in range(turns):
        number = await page.receive()
        for _ in range(EVENTS_A_TURN):
            pages += await wf.side_effect(int, number)
    return pages


@wf.workflow
async def leaf(number: int) -> int:
    return number


@wf.workflow
async def root(count: int) -> int:
    return sum(await wf.gather(*[leaf(number) for number in range(count)]))


@pytest.mark.parametrize("size", SIZES)
async def test_large_payloads_arrive_whole(backend, autojump_clock, size) -> None:
    """An argument, a result and a signal at the limit, through a restart; a byte more is refused where it is made."""
    limits = wf.Limits(payload_bytes=size + 10)
    text = "x" * size
    async with backend.engine(carrier, neighbour, grow, limits=limits) as engine:
        await engine.start(carrier, text, id="large")
        assert "small!" == await engine.run(neighbour)
    async with backend.engine(carrier, neighbour, grow, limits=limits) as engine:
        handle = await engine.get("large")
        with pytest.raises(wf.PayloadTooLarge):
            await handle.signal("more", text + "x" * 20)
        await handle.signal("more", text)
        assert hashlib.sha256(f"{text}!{text}".encode()).hexdigest() == await handle.result()


async def test_a_long_history_is_replayed(backend, autojump_clock) -> None:
    """Written by one engine, taken up by the next, which makes the last of it."""
    turns = EVENTS // EVENTS_A_TURN
    limits = wf.Limits(history_events_warning=2 * EVENTS, history_events_max=2 * EVENTS)
    async with backend.engine(diary, limits=limits) as engine:
        handle = await engine.start(diary, turns, id="diary")
        for _ in range(turns - 1):
            await handle.signal("page", 1)
        assert EVENTS - EVENTS_A_TURN == await handle.query("so_far")
    async with backend.engine(diary, limits=limits) as engine:
        handle = await engine.get("diary")
        await handle.signal("page", 1)
        assert EVENTS == await handle.result()
        assert EVENTS + turns + 2 == len(await handle.history())


async def test_a_large_family(backend, autojump_clock) -> None:
    """Every child is started once and answers its parent."""
    async with backend.engine(root, leaf) as engine:
        assert CHILDREN * (CHILDREN - 1) // 2 == await engine.run(root, CHILDREN)
        assert CHILDREN == await engine.count(workflow=leaf, status="completed")
