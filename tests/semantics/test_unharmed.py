"""What one broken thing may not take along: its neighbours, the partition, the next owner."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
import trio

import wfactors as wf
from wfactors.model.messages import Message, Query
from wfactors.model.payloads import NULL

SHORT = wf.Limits(turn_warning_seconds=0.1, turn_seconds_max=0.2)


@wf.workflow
async def sleeper() -> int:
    await wf.sleep(5)
    return 1


@wf.workflow
async def forever() -> None:
    await wf.sleep_forever()


@wf.workflow
async def parent_of_kid() -> None:
    await wf.start_child(sleeper, id="kid")


def spoil(backend: Any, statement: str, value: object) -> None:
    """Write to the file what no engine would."""
    with closing(sqlite3.connect(backend._path)) as connection:
        connection.execute(statement, (value,))
        connection.commit()


# In memory there are no rows to break.
on_file = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@on_file
@pytest.mark.parametrize(("column", "value"), [("first", "x"), ("count", "x"), ("data", 5)])
async def test_a_history_that_cannot_be_read_parks_its_workflow_alone(backend, autojump_clock, column, value) -> None:
    """The engine opens, a neighbour runs, the broken one says why it stands still."""
    async with backend.engine(sleeper) as engine:
        await engine.start(sleeper, id="broken")
        await trio.sleep(1)
    spoil(backend, f"UPDATE events SET {column} = ?", value)
    async with backend.engine(sleeper) as engine:
        await trio.sleep(3000)
        assert 1 == await engine.run(sleeper)
        assert "StoreCorrupt" in (await (await engine.get("broken")).describe()).parked


@on_file
async def test_a_child_whose_id_is_held_by_a_broken_row_harms_no_neighbour(backend, autojump_clock) -> None:
    """Whether the id is free cannot be read; the engine goes on."""
    async with backend.engine(sleeper, forever) as engine:
        await engine.start(forever, id="kid")
        await trio.sleep(1)
    spoil(backend, "UPDATE headers SET context = ? WHERE id = 'kid'", b"\xff{")
    async with backend.engine(sleeper, forever, parent_of_kid) as engine:
        await engine.start(parent_of_kid)
        await trio.sleep(3000)
        assert 1 == await engine.run(sleeper)


@on_file
@pytest.mark.parametrize(
    "ask", [lambda: wf.signal("broken", "x", 1), lambda: wf.cancel("broken")], ids=["signal", "cancel"]
)
async def test_a_request_to_what_cannot_be_read_fails(backend, autojump_clock, ask) -> None:
    """Its sender is told, and replays the same; its message is not left behind."""

    @wf.workflow
    async def sender() -> str:
        try:
            await ask()
        except wf.StoreCorrupt as error:
            await wf.sleep(10)
            return str(error)
        return "accepted"

    store = backend.store()
    async with backend.engine(forever) as engine:
        await engine.start(forever, id="broken")
        await trio.sleep(1)
    spoil(backend, "UPDATE headers SET context = ? WHERE id = 'broken'", b"\xff{")
    async with backend.engine(sender) as engine:
        await engine.start(sender, id="s")
        await trio.sleep(5)
    async with backend.engine(sender, store=store) as engine:
        with trio.fail_after(1_000):
            assert "workflow 'broken' cannot be read" in await (await engine.get("s")).result()
        await trio.sleep(1)
        connection = sqlite3.connect(backend._path)
        assert [] == connection.execute("SELECT id FROM inbox").fetchall()
        connection.close()


@on_file
async def test_a_query_from_afar_of_what_cannot_be_read_harms_nobody(backend, autojump_clock) -> None:
    """Its partition does not restart, and a neighbour runs."""
    store = backend.store()
    async with backend.engine(forever) as engine:
        await engine.start(forever, id="broken")
        await trio.sleep(1)
        instance = (await engine.get("broken")).instance
    async with store.open():
        await store.send([Message("q", "0:default", instance, Query("anything", NULL, "answer"))])
    spoil(backend, "UPDATE headers SET context = ? WHERE id = 'broken'", b"\xff{")
    async with backend.engine(forever, sleeper, store=store) as engine:
        await trio.sleep(10)
        assert 1 == await engine.run(sleeper)
        assert 2 == engine.statistics().partitions[0].epoch


@on_file
async def test_an_id_of_the_engines_own_form_is_refused(backend, autojump_clock) -> None:
    """Nobody can take the id that the child of an instance will have."""
    async with backend.engine(forever) as engine:
        parent = await engine.start(forever)
        for id in (f"{parent.instance}.0", f"{parent.instance}~x"):
            with pytest.raises(ValueError, match="engine's own"):
                await engine.start(forever, id=id)
        assert parent.instance == (await engine.get(parent.id)).instance


async def test_a_parked_child_is_terminated_with_its_parent(backend, autojump_clock) -> None:
    """parent_close="terminate" takes none of its code."""

    @wf.workflow
    async def stuck_later() -> None:
        await wf.sleep(1)
        await wf.Event().wait()

    @wf.workflow
    async def parent() -> None:
        await wf.start_child(stuck_later, id="kid", parent_close="terminate")
        await wf.sleep(10)

    async with backend.engine(parent, stuck_later) as engine:
        await engine.run(parent)
        kid = await engine.get("kid")
        await kid.wait_closed()
        assert wf.Status.TERMINATED == (await kid.describe()).status


async def test_a_poison_is_not_tried_again_by_the_next_owner(backend, autojump_clock) -> None:
    """What held the loop stays parked over a takeover, until somebody resumes it."""
    turns = []

    @wf.workflow
    async def poison() -> None:
        turns.append(1)
        while True:
            pass

    async with backend.engine(poison, sleeper, limits=SHORT) as engine:
        handle = await engine.start(poison, id="p")
        while (await handle.describe()).parked is None:
            await trio.sleep(1)
    async with backend.engine(poison, sleeper, limits=SHORT) as engine:
        assert 1 == await engine.run(sleeper)
        assert "TurnInterrupted" in (await (await engine.get("p")).describe()).parked
    assert [1] == turns


async def test_tasks_that_keep_each_other_busy_are_interrupted(backend, autojump_clock) -> None:
    """No step of them is long, and there is no end of them: the workflow is parked, and its neighbours go on."""

    @wf.workflow
    async def restless() -> None:
        async with wf.open_nursery() as nursery:

            async def spin() -> None:
                while True:
                    await wf.checkpoint()

            nursery.start_soon(spin)
            nursery.start_soon(spin)

    async with backend.engine(restless, sleeper, limits=SHORT) as engine:
        handle = await engine.start(restless, id="r")
        assert 1 == await engine.run(sleeper)
        while (parked := (await handle.describe()).parked) is None:
            await trio.sleep(1)
        assert "TurnInterrupted" in parked
        assert "did not come to rest" in parked
        assert "restless.<locals>.spin" in parked
        assert 1 == await engine.run(sleeper)
