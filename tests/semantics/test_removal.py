"""Removal: by hand, by age, by retention; in each case everything of an instance goes, and nothing of others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio

import wfactors as wf

TABLES = ("headers", "events", "tasks", "inbox", "replies")


@wf.activity
async def double(number: int) -> int:
    return 2 * number


@wf.activity
async def never_ends() -> None:
    await trio.sleep_forever()


@wf.activity
async def ends_late() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(5)


@wf.workflow
async def leaf(number: int) -> int:
    return await double(number)


@wf.workflow
async def busy(number: int, rounds: int = 2) -> int:
    """Uses everything that leaves rows: activities, timers, children, signals, updates, another run."""

    @wf.query
    def asked() -> int:
        return number

    @wf.update
    async def add(more: int) -> int:
        nonlocal number
        doubled = await double(more)
        number += doubled
        return number

    wf.set_attributes(number=number)
    await wf.gather(leaf(number), leaf.options(id=f"leaf-{wf.info().id}-{wf.info().run}")(number), wf.sleep(10))
    await wf.signals("go").receive()
    if rounds > 1:
        wf.continue_as_new(number, rounds - 1)
    return number


@wf.workflow
async def stops_hard() -> None:
    await never_ends()


@wf.workflow
async def stops_slowly() -> None:
    await ends_late()


async def use(engine: wf.Engine, id: str) -> wf.Handle[int]:
    """Run ``busy`` to its end."""
    handle = await engine.start(busy, 1, id=id)
    assert 5 == await handle.update("add", 2)
    assert 5 == await handle.query("asked")
    for _ in range(3):
        await handle.signal("go")
    assert 5 == await handle.result()
    return handle


def rows(dump: dict[str, list[dict[str, object]]]) -> dict[str, int]:
    """How many rows each table has, nodes and partitions aside."""
    return {table: len(dump[table]) for table in TABLES}


async def test_nothing_of_a_removed_instance_is_left(backend, autojump_clock) -> None:
    """Instance, runs, histories, tasks, inbox: as many rows as before it; the children are instances of their own."""
    store = backend.store()
    async with backend.engine(busy, leaf, double, store=store, queues=["default", "other"]) as engine:
        await use(engine, "stays")
        await trio.sleep(1)
        before = rows(await store.dump())
        handle = await use(engine, "goes")
        await trio.sleep(1)
        during = rows(await store.dump())
        assert during["headers"] > before["headers"]
        await handle.remove()
        for child in [item async for item in engine.list(workflow=leaf)]:
            if child.parent == "goes":
                await (await engine.get(child.id)).remove()
        assert before == rows(await store.dump())
        with pytest.raises(wf.WorkflowNotFound):
            await engine.get("goes")
        with pytest.raises(wf.WorkflowNotFound):
            await handle.remove()
        with pytest.raises(wf.WorkflowNotFound):
            await handle.result()
        assert 5 == await (await engine.get("stays")).result()
        await use(engine, "goes")


async def test_removal_is_refused_while_open_and_for_unknown_ids(backend, autojump_clock) -> None:
    """WorkflowStillOpen; the instance goes on."""
    async with backend.engine(busy, leaf, double) as engine:
        handle = await engine.start(busy, 1)
        with pytest.raises(wf.WorkflowStillOpen):
            await handle.remove()
        for _ in range(2):
            await handle.signal("go")
        assert 1 == await handle.result()


async def test_the_activity_of_a_removed_instance_harms_nobody(backend, autojump_clock) -> None:
    """A terminated workflow is removed while its attempt still runs: the attempt ends, the queue goes on."""
    store = backend.store()
    async with backend.engine(stops_hard, never_ends, leaf, double, store=store) as engine:
        handle = await engine.start(stops_hard)
        await trio.sleep(1)
        await handle.terminate()
        await handle.remove()
        await trio.sleep(10)
        assert 6 == await engine.run(leaf, 3, id="neighbour")
        assert 0 == engine.statistics().activities.running
        await (await engine.get("neighbour")).remove()
        await trio.sleep(1)
        assert dict.fromkeys(TABLES, 0) == rows(await store.dump())
    async with backend.engine(leaf, double) as engine:
        assert 6 == await engine.run(leaf, 3)


async def test_an_outcome_that_comes_after_the_removal_leaves_nothing(backend, autojump_clock) -> None:
    """Neither a row nor an outcome that waits for its commit."""
    store = backend.store()
    async with backend.engine(stops_slowly, ends_late, store=store) as engine:
        handle = await engine.start(stops_slowly)
        await trio.sleep(1)
        await handle.terminate()
        await handle.remove()
        await trio.sleep(10)
        activities = engine.statistics().activities
        assert (0, 0) == (activities.running, activities.unsettled)
        assert dict.fromkeys(TABLES, 0) == rows(await store.dump())


@wf.workflow
async def answers_late() -> None:
    @wf.update
    async def secret() -> str:
        await wf.sleep(3)
        return "secret"

    await wf.signals("go").receive()


async def test_an_answer_that_nobody_took_goes_with_its_workflow(backend, autojump_clock) -> None:
    """The asker of an update is gone when its answer comes; it stays no longer than its workflow."""
    store = backend.store()
    async with backend.engine(answers_late, store=store) as engine:
        handle = await wf.Client(store, engine.data).start(answers_late)
        with trio.move_on_after(1) as impatience:
            await handle.update("secret")
        assert impatience.cancelled_caught
        await trio.sleep(5)
        assert 1 == len((await store.dump())["replies"])
        await handle.signal("go")
        await handle.result()
        await handle.remove()
        assert dict.fromkeys(TABLES, 0) == rows(await store.dump())


@pytest.mark.parametrize("is_by_age", [False, True])
async def test_whoever_asks_a_workflow_that_is_removed_meanwhile_is_told(backend, autojump_clock, is_by_age) -> None:
    """A question that waits for a node goes with its workflow; the asker gets WorkflowNotFound, as if it came later."""
    store = backend.store()
    async with backend.engine(leaf, double, store=store) as engine:
        await engine.run(leaf, 1, id="goes")
    async with store.open():
        client = wf.Client(store, engine.data)
        handle = await client.get("goes")
        found: list[str] = []

        async def ask() -> None:
            with pytest.raises(wf.WorkflowNotFound) as caught:
                await handle.query("anything")
            found.append(caught.value.id)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            assert 1 == rows(await store.dump())["inbox"]
            if is_by_age:
                later = datetime.fromtimestamp(backend.clock.now() + 1, UTC)
                assert 1 <= await client.remove_finished(later)
            else:
                await handle.remove()
        assert ["goes"] == found


async def test_removal_by_age_in_batches(backend, autojump_clock) -> None:
    """The earliest first, at most as many as asked for; open ones stay."""
    async with backend.engine(leaf, double, stops_hard, never_ends) as engine:
        open_one = await engine.start(stops_hard)
        for number in range(130):
            await engine.run(leaf, number, id=f"l{number}")
            if number == 109:
                await trio.sleep(100)
                middle = datetime.fromtimestamp(backend.clock.now(), UTC)
                await trio.sleep(100)
        assert 5 == await engine.remove_finished(middle, limit=5)
        assert 105 == await engine.remove_finished(before=middle)
        assert 0 == await engine.remove_finished(before=middle)
        assert {f"l{number}" for number in range(110, 130)} == {item.id async for item in engine.list(workflow=leaf)}
        assert 1 == await engine.count(status="open")
        await open_one.terminate()


@pytest.mark.parametrize("retention", [600.0, timedelta(minutes=10)])
async def test_retention_removes_closed_instances_and_its_time_can_be_changed(
    backend, autojump_clock, retention
) -> None:
    """The engine does it by itself; open ones stay however old they are."""
    async with backend.engine(leaf, double, busy) as engine:
        await engine.start(busy, 1, id="open")
        for number in range(110):
            await engine.run(leaf, number)
    async with backend.engine(leaf, double, busy, retention=timedelta(hours=2)) as engine:
        await trio.sleep(1800)
        assert 110 <= await engine.count(workflow=leaf)
    async with backend.engine(leaf, double, busy, retention=retention) as engine:
        await trio.sleep(10)
        assert 0 == await engine.count(status=["completed", "continued"])
        assert 1 == await engine.count()
        await engine.run(leaf, 1)
        await trio.sleep(500)
        assert 1 == await engine.count(workflow=leaf)
        await trio.sleep(200)
        assert 0 == await engine.count(workflow=leaf)
