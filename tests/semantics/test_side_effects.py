"""Time, chance and side effects: once, and the same in every replay."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
import trio

import wfactors as wf


def drawing(counts: list[int], *, fails: bool = False) -> Any:
    """A workflow that draws everything there is to draw, before and after waits."""

    def count() -> int:
        counts.append(len(counts))
        if fails:
            raise ValueError("no luck")
        return counts[-1]

    @wf.workflow(name="draws")
    async def draws() -> list[str]:
        drawn: list[str] = []
        for _ in range(3):
            drawn.append(str(wf.uuid4()))
            drawn.append(str(wf.random()))
            drawn.append(str(wf.random.randrange(1000)))
            drawn.append(wf.now().isoformat())
            try:
                drawn.append(str(await wf.side_effect(count)))
            except wf.SideEffectError as error:
                drawn.append(error.message)
            await wf.sleep(10)
            wf.logger.info("round of %s", wf.info().id)

        @wf.query
        def seen() -> list[str]:
            return drawn

        await wf.signals("go").receive()
        return drawn

    return draws


@pytest.mark.parametrize("fails", [False, True])
async def test_a_side_effect_runs_once_and_the_rest_is_the_same_in_every_replay(
    backend, autojump_clock, caplog, fails
) -> None:
    """Over restarts and evictions; what it raised is raised again."""
    counts: list[int] = []
    draws = drawing(counts, fails=fails)
    limits = wf.Limits(resident_instances=1)
    seen: list[list[str]] = []
    with caplog.at_level(logging.INFO, logger="wfactors.workflow"):
        async with backend.engine(draws) as engine:
            await engine.start(draws, id="d")
            await trio.sleep(15)
        for _ in range(3):
            async with backend.engine(draws, limits=limits) as engine:
                await trio.sleep(30)
                seen.append(await (await engine.get("d")).query("seen"))
        async with backend.engine(draws) as engine:
            handle = await engine.get("d")
            await handle.signal("go")
            seen.append(await handle.result())
    assert [0, 1, 2] == counts
    assert 1 == len({tuple(drawn) for drawn in seen})
    assert ["no luck"] * 3 == seen[0][4::5] or ["0", "1", "2"] == seen[0][4::5]
    assert 3 == sum(record.getMessage() == "round of d" for record in caplog.records)


async def test_two_side_effects_across_a_checkpoint_run_once_each(backend, autojump_clock) -> None:
    """Each has its own event."""
    runs: list[str] = []

    @wf.workflow
    async def main() -> list[str]:
        def run(name: str) -> str:
            runs.append(name)
            return name

        first = await wf.side_effect(run, "first")
        await wf.checkpoint()
        second = await wf.side_effect(run, "second")
        return [first, second]

    async with backend.engine(main) as engine:
        handle = await engine.start(main)
        assert ["first", "second"] == await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
    assert ["first", "second"] == runs
    assert 2 == kinds.count("SideEffectRecorded")


async def test_chance_differs_from_run_to_run(backend, autojump_clock) -> None:
    """Two instances, and two runs of one, draw different numbers."""

    @wf.workflow
    async def draw(seen: list[str]) -> list[str]:
        seen = [*seen, str(wf.uuid4())]
        if len(seen) < 2:
            wf.continue_as_new(seen)
        return seen

    async with backend.engine(draw) as engine:
        drawn = [*await engine.run(draw, []), *await engine.run(draw, [])]
    assert 4 == len({uuid.UUID(text) for text in drawn})
    assert {4} == {uuid.UUID(text).version for text in drawn}


def patched_version(decorated: Callable[[], bool] | None) -> Any:
    @wf.workflow(name="shop")
    async def shop() -> str:
        await wf.sleep(10)
        branch = "new" if decorated is not None and decorated() else "old"
        await wf.sleep(10)
        return branch

    return shop


async def test_patched_tells_old_runs_from_new_ones(backend, autojump_clock) -> None:
    """A run that came past the place with the old code stays there; all others take the new branch, replays too."""
    old, new = patched_version(None), patched_version(lambda: wf.patched("step"))
    async with backend.engine(old) as engine:
        await engine.start(old, id="past it")
        await trio.sleep(5)
        await engine.start(old, id="before it")
        await trio.sleep(8)
    for _ in range(2):
        async with backend.engine(new, limits=wf.Limits(resident_instances=1)) as engine:
            await engine.start(new, id="afresh", on_conflict="use_existing")
            await trio.sleep(3)
    async with backend.engine(new) as engine:
        results = {id: await (await engine.get(id)).result() for id in ("past it", "before it", "afresh")}
    assert {"past it": "old", "before it": "new", "afresh": "new"} == results


async def test_now_is_the_time_of_the_fact(backend, autojump_clock) -> None:
    """It is aware, in UTC, and does not move within a step."""

    @wf.workflow
    async def main() -> list[bool]:
        first = wf.now()
        await wf.checkpoint()
        return [first == wf.now(), first.tzinfo is UTC, wf.info().started_at == first]

    async with backend.engine(main) as engine:
        assert [True, True, True] == await engine.run(main)


async def test_info(backend, autojump_clock) -> None:
    """What a workflow can know of itself, also as a child."""

    @wf.workflow
    async def tells() -> list[object]:
        info = wf.info()
        return [info.id, info.run, info.workflow, info.queue, info.parent_id, dict(info.attributes)]

    @wf.workflow
    async def parent() -> list[object]:
        return await tells.options(id="kid", attributes={"size": 3})()

    async with backend.engine(parent, tells) as engine:
        assert ["me", 1, "tells", "default", None, {"a": 1}] == await engine.run(tells, id="me", attributes={"a": 1})
        assert ["kid", 1, "tells", "default", "mum", {"size": 3}] == await engine.run(parent, id="mum")
