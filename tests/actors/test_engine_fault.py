"""A bug of the engine in a turn: the instance is parked, what the turn did is forgotten, all else goes on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

import wfactors as wf
from wfactors.actors.effects import Effects
from wfactors.actors.parking import EngineFault, Parking
from wfactors.testing.clocks import VirtualClock

RUNS: Counter[str] = Counter()


@wf.activity
async def fine() -> int:
    RUNS[wf.activity_info().workflow_id] += 1
    return 1


@wf.activity
async def cursed() -> int:
    return 2


@wf.workflow
async def victim() -> list[int]:
    await wf.sleep(1)
    return await wf.gather(fine(), cursed())


@wf.workflow
async def neighbour() -> int:
    await wf.sleep(10)
    return await fine()


@wf.workflow
async def parent() -> list[int]:
    return await child()


@wf.workflow
async def child() -> list[int]:
    return await wf.gather(fine(), cursed())


class World:
    def __init__(self, clock: Any) -> None:
        self.clock = VirtualClock(clock)
        self.store = wf.MemoryStore(clock=self.clock.now)

    def engine(self) -> Any:
        return wf.open_engine(
            self.store, register=[fine, cursed, victim, neighbour, parent, child], clock=self.clock, lease=600
        )


@pytest.fixture
def world(autojump_clock: Any) -> World:
    RUNS.clear()
    return World(autojump_clock)


@pytest.fixture
def stumbling(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The engine cannot schedule ``cursed``; undone, it can."""
    original = Effects._schedule_activity

    def schedule(self: Any, instance: Any, decision: Any) -> None:
        original(self, instance, decision)
        if decision.activity == "cursed":
            raise KeyError("a bug")

    monkeypatch.setattr(Effects, "_schedule_activity", schedule)
    return monkeypatch


async def parked_reason(handle: Any) -> str:
    with trio.fail_after(1_000):
        while (reason := (await handle.describe()).parked) is None:
            await trio.sleep(1)
    return reason


async def test_the_culprit_is_parked_and_all_else_goes_on(world, stumbling, autojump_clock) -> None:
    """More culprits than the supervisor forgives crashes; none of them did anything of the turn that failed."""
    async with world.engine() as engine:
        others = [await engine.start(neighbour) for _ in range(3)]
        culprits = [await engine.start(victim, id=f"v{number}") for number in range(8)]
        for handle in culprits:
            assert "EngineFault: KeyError: 'a bug'" in await parked_reason(handle)
            assert ["RunStarted", "TimerSet"] == [type(event).__name__ for event in await handle.history()]
        assert [1, 1, 1] == [await handle.result() for handle in others]
        assert [] == [id for id in RUNS if id.startswith("v")]
        # Of eight that fail together each restarts the partition once.
        assert 9 == engine.statistics().partitions[0].epoch
        assert (0, 0) == (engine.statistics().activities.reserved, engine.statistics().activities.unsettled)


async def test_it_waits_for_a_person_and_then_goes_on(world, stumbling, autojump_clock) -> None:
    """The next owner leaves it alone; resumed, with the bug mended, it finishes."""
    async with world.engine() as engine:
        handle = await engine.start(victim, id="v")
        await parked_reason(handle)
        await handle.resume()
        await trio.sleep(100)
        assert "EngineFault" in await parked_reason(handle)
    async with world.engine() as engine:
        await trio.sleep(100)
        assert "EngineFault" in await parked_reason(await engine.get("v"))
        # Its own restart is the only one.
        assert 4 == engine.statistics().partitions[0].epoch
    stumbling.undo()
    async with world.engine() as engine:
        handle = await engine.get("v")
        await handle.resume()
        assert [1, 2] == await handle.result()
        assert {"v": 1} == RUNS


async def test_a_child_made_in_the_same_batch_is_parked(world, stumbling, autojump_clock) -> None:
    """The restart forgets it, its parent makes it again, and it does not get to the same point."""
    async with world.engine() as engine:
        handle = await engine.start(parent)
        await trio.sleep(100)
        (found,) = [item async for item in engine.list(workflow=child)]
        assert "EngineFault" in await parked_reason(await engine.get(found.id))
        assert (await handle.describe()).parked is None
        stumbling.undo()
    async with world.engine() as engine:
        await (await engine.get(found.id)).resume()
        assert [1, 2] == await (await engine.get(handle.id)).result()


async def test_an_end_that_fails_parks_it_too(world, monkeypatch, autojump_clock) -> None:
    """Terminating takes no code of the workflow, but some of the engine's."""

    def stumble(self: Any, instance: Any, event: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Effects, "apply_end", stumble)
    async with world.engine() as engine:
        handle = await engine.start(neighbour, id="n")
        await handle.terminate()
        assert "EngineFault" in await parked_reason(handle)
        assert 1 == await engine.run(neighbour)
    monkeypatch.undo()
    async with world.engine() as engine:
        with pytest.raises(wf.WorkflowTerminated):
            await (await engine.get("n")).result()


async def test_one_that_stumbles_while_it_is_parked_is_for_the_supervisor(world, stumbling, autojump_clock) -> None:
    """The engine ends with the error, as with any crash that comes again and again."""
    stumbling.setattr(Parking, "check", lambda self, key: None)
    with pytest.RaisesGroup(EngineFault, flatten_subgroups=True):
        async with world.engine() as engine:
            await engine.start(victim, id="v")
            await trio.sleep(1_000)
