"""Queries look, updates change: validated, recorded, then run."""

from __future__ import annotations

import attrs
import pytest
import trio

import wfactors as wf


@attrs.define
class Item:
    name: str
    price: int


@wf.activity
async def price_of(name: str) -> int:
    return len(name)


@wf.workflow
async def cart(wanted: int) -> list[Item]:  # noqa: C901 - handlers beside each other
    items: list[Item] = []

    @wf.query
    def contents() -> list[Item]:
        return items

    @wf.query(name="cheapest below")
    def cheapest(limit: int) -> Item | None:
        return min((item for item in items if item.price < limit), key=lambda item: item.price, default=None)

    @wf.query
    def fails() -> None:
        raise KeyError("broken query")

    @wf.query
    def misuses() -> None:
        wf.uuid4()

    @wf.query
    def meddles() -> int:
        items.append(Item("never", 0))
        return len(items)

    @wf.update
    async def add(name: str) -> int:
        items.append(Item(name, await price_of(name)))
        return len(items)

    @add.validator
    def check(name: str) -> None:
        if not name:
            raise ValueError("a name is not empty")

    @wf.update
    def clear() -> None:
        items.clear()

    @wf.update
    async def breaks() -> None:
        raise ValueError("no luck")

    @wf.update
    async def lingers() -> str:
        await wf.sleep_forever()
        return "never"

    await wf.wait_until(lambda: len(items) >= wanted)
    return items


@wf.workflow
async def meddled_with(how: str) -> list[str]:
    """Its validator and its query do what they must not: they only look."""
    seen: list[str] = []
    opened, scope = wf.Event(), wf.CancelScope()

    @wf.update
    def refused() -> None:
        seen.append("never")

    @refused.validator
    @wf.query
    def meddles() -> None:
        if how == "wakes a task":
            opened.set()
        elif how == "cancels":
            scope.cancel()
        else:
            scope.deadline = wf.current_time() + {"sets a deadline": 5, "sets a deadline in the past": -5}[how]
        raise ValueError("no luck")

    async def wait() -> None:
        await opened.wait()
        seen.append(str(await price_of("woken")))

    async with wf.open_nursery() as nursery:
        nursery.start_soon(wait)
        with scope:
            await wf.signals("go").receive()
        seen.append(f"cancelled: {scope.cancelled_caught}")
        await wf.signals("stop").receive()
        nursery.cancel_scope.cancel()
    return seen


@pytest.fixture(params=[1, 1000], ids=["evicted", "resident"])
def limits(request: pytest.FixtureRequest) -> wf.Limits:
    """Every behaviour also for a workflow that has left memory in between."""
    return wf.Limits(resident_instances=request.param)


async def make_room(engine: wf.Engine) -> None:
    """With room for one, another workflow takes the place."""
    await (await engine.start(cart, 1, on_conflict="use_existing", id="other")).query("contents")


async def test_a_query_sees_the_state(backend, autojump_clock, limits) -> None:
    """Its result is converted by its annotation, its arguments are checked."""
    async with backend.engine(cart, price_of, limits=limits) as engine:
        handle = await engine.start(cart, 3, id="c")
        assert 1 == await handle.update("add", "pear")
        assert 2 == await handle.update("add", "fig")
        await make_room(engine)
        assert [Item("pear", 4), Item("fig", 3)] == await handle.query("contents", result_type=list[Item])
        assert {"name": "fig", "price": 3} == await handle.query("cheapest below", 100)
        assert await handle.query("cheapest below", 1) is None


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("unknown", [], "unknown"),
        ("fails", [], "broken query"),
        ("misuses", [], "may only look"),
        ("contents", [1], "argument"),
        ("cheapest below", ["x"], "expected an integer"),
    ],
)
async def test_a_query_that_cannot_be_answered(backend, autojump_clock, limits, name, arguments, told) -> None:
    """QueryError, and the workflow does not notice."""
    async with backend.engine(cart, price_of, limits=limits) as engine:
        handle = await engine.start(cart, 1)
        with pytest.raises(wf.QueryError, match=told):
            await handle.query(name, *arguments)
        await make_room(engine)
        await handle.update("add", "pear")
        assert [Item("pear", 4)] == await handle.result()
        assert not any("Query" in type(event).__name__ for event in await handle.history())


async def test_a_query_that_changes_the_state_changes_no_history(backend, autojump_clock) -> None:
    """What a query appended is gone when the workflow is built again from its history."""
    async with backend.engine(cart, price_of) as engine:
        handle = await engine.start(cart, 2, id="c")
        assert 1 == await handle.query("meddles")
    async with backend.engine(cart, price_of) as engine:
        assert [] == await (await engine.get("c")).query("contents")


async def test_a_refused_update_leaves_no_trace(backend, autojump_clock, limits) -> None:
    """By the validator, for an unknown name, for arguments that do not fit."""
    async with backend.engine(cart, price_of, limits=limits) as engine:
        handle = await engine.start(cart, 1)
        await make_room(engine)
        for name, arguments, told in [
            ("add", [""], "not empty"),
            ("unknown", [], "unknown"),
            ("add", [1], "expected a string"),
        ]:
            with pytest.raises(wf.UpdateRejected, match=told):
                await handle.update(name, *arguments)
        assert ["RunStarted"] == [type(event).__name__ for event in await handle.history()]


@pytest.mark.parametrize("how", ["wakes a task", "cancels", "sets a deadline", "sets a deadline in the past"])
@pytest.mark.parametrize(
    "request_of", [lambda handle: handle.query("meddles"), lambda handle: handle.update("refused")]
)
async def test_who_may_only_look_and_does_more_leaves_no_trace(backend, autojump_clock, how, request_of) -> None:
    """Waking a task or moving a deadline is refused, and what follows is as if nobody had asked."""
    async with backend.engine(meddled_with, price_of) as engine:
        handle = await engine.start(meddled_with, how, id="m")
        with pytest.raises((wf.QueryError, wf.UpdateRejected), match="may only look"):
            await request_of(handle)
        await trio.sleep(100)
        assert ["RunStarted"] == [type(event).__name__ for event in await handle.history()]
        await handle.signal("go")
        await trio.sleep(1)
    async with backend.engine(meddled_with, price_of) as engine:
        handle = await engine.get("m")
        await handle.signal("stop")
        assert ["cancelled: False"] == await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
    assert ["RunStarted", "SignalReceived", "SignalReceived", "RunCompleted"] == kinds


async def test_an_update_is_recorded_then_run(backend, autojump_clock, limits) -> None:
    """The caller gets its result, or its error."""
    async with backend.engine(cart, price_of, limits=limits) as engine:
        handle = await engine.start(cart, 2)
        assert 1 == await handle.update("add", "pear")
        await make_room(engine)
        assert await handle.update("clear") is None
        with pytest.raises(wf.UpdateRejected, match="no luck"):
            await handle.update("breaks")
        kinds = [type(event).__name__ for event in await handle.history()]
    assert ["UpdateReceived", "ActivityScheduled", "ActivityCompleted", "UpdateCompleted"] == kinds[1:5]
    assert ["UpdateReceived", "UpdateCompleted"] * 2 == kinds[5:]


async def test_an_update_goes_on_over_a_restart(backend, autojump_clock) -> None:
    """It was recorded, so it is finished although its caller is gone."""
    begun = trio.Event()

    @wf.activity(name="price_of")
    async def slow(name: str) -> int:
        begun.set()
        await trio.sleep_forever()
        return 0

    async with backend.engine(cart, slow, grace=0) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(cart, 1, id="c")
        nursery.start_soon(handle.update, "add", "pear")
        await begun.wait()
        nursery.cancel_scope.cancel()
    async with backend.engine(cart, price_of) as engine:
        assert [{"name": "pear", "price": 4}] == await (await engine.get("c")).result()


async def test_an_update_of_a_workflow_that_ends_meanwhile(backend, autojump_clock) -> None:
    """It is cancelled with the main function, and its caller is told."""
    async with backend.engine(cart, price_of) as engine:
        handle = await engine.start(cart, 1)
        async with trio.open_nursery() as nursery:

            async def linger() -> None:
                with pytest.raises((wf.WorkflowClosed, wf.UpdateRejected)):
                    await handle.update("lingers")

            nursery.start_soon(linger)
            await trio.sleep(1)
            await handle.update("add", "pear")
        assert [Item("pear", 4)] == await handle.result()


@wf.workflow
async def renews(run: int) -> int:
    """Continues as new after ten seconds, with an update that takes longer."""

    @wf.update
    async def slow() -> str:
        await wf.sleep(60)
        return "never"

    await wf.sleep(10 if run == 1 else 100)
    return wf.continue_as_new(run + 1) if run == 1 else run


async def test_an_update_of_a_workflow_that_continues_as_new_meanwhile(backend, autojump_clock) -> None:
    """Its sender is told that it was not finished, and may send it again: the workflow is open."""
    async with backend.engine(renews) as engine:
        handle = await engine.start(renews, 1)
        with pytest.raises(wf.UpdateRejected, match="continued as a new one before it had finished the update; send"):
            await handle.update("slow")
        assert "never" == await handle.update("slow")
        assert 2 == await handle.result()


async def test_an_update_of_a_workflow_that_is_terminated_meanwhile(backend, autojump_clock) -> None:
    """None of its code runs any more, and its caller is told."""
    async with backend.engine(cart, price_of) as engine:
        handle = await engine.start(cart, 1)

        async def linger() -> None:
            with pytest.raises(wf.WorkflowClosed):
                await handle.update("lingers")

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(linger)
                await trio.sleep(1)
                await handle.terminate()


async def test_many_updates_at_once_are_each_run_once(backend, autojump_clock, limits) -> None:
    """Fifty callers, fifty different results."""
    async with backend.engine(cart, price_of, limits=limits) as engine:
        handle = await engine.start(cart, 50)
        results: list[int] = []

        async def add(number: int) -> None:
            results.append(await handle.update("add", f"item {number}"))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(add, number)
        assert list(range(1, 51)) == sorted(results)
        assert 50 == len(await handle.result())


async def test_a_query_on_a_closed_workflow(backend, autojump_clock, limits) -> None:
    """It is answered from the history; an update is refused."""
    async with backend.engine(cart, price_of, limits=limits) as engine:
        handle = await engine.start(cart, 1)
        await handle.update("add", "pear")
        await handle.result()
        await make_room(engine)
        assert [{"name": "pear", "price": 4}] == await handle.query("contents")
        with pytest.raises(wf.WorkflowClosed):
            await handle.update("add", "fig")
