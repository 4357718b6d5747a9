"""Parents and children: cancelled, terminated, failed, restarted; near and far, in memory and out of it."""

from __future__ import annotations

import attrs
import pytest
import trio

import wfactors as wf


@attrs.define
class NoRoom(Exception):
    wanted: int


@wf.workflow
async def linger(answer: str) -> str:
    try:
        await wf.sleep_forever()
    except wf.Cancelled:
        return f"{answer} cleaned up"


@wf.workflow
async def obey() -> None:
    await wf.sleep_forever()


@wf.workflow(raises=(NoRoom,))
async def fails(kind: str) -> None:
    if kind == "expected":
        raise NoRoom(3)
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


@wf.workflow
async def double(number: int) -> int:
    await wf.sleep(5)
    return 2 * number


@wf.workflow
async def two_children(queue: str, ids: list[str | None]) -> list[str]:
    first, second = (linger.options(queue=queue, id=id) for id in ids)
    return list(await wf.gather(first("first"), second("second")))


@wf.workflow
async def catches(kind: str) -> list[object]:
    try:
        await fails(kind)
    except NoRoom as error:
        return ["NoRoom", error.wanted]
    except wf.ChildWorkflowError as error:
        return [error.type, error.message, error.failure.cause.type, "in fails" in error.traceback]
    return []


@wf.workflow
async def outlived(seconds: float) -> list[object]:
    start = wf.current_time()
    with wf.move_on_after(seconds) as scope:
        await obey()
    return [scope.cancelled_caught, round(wf.current_time() - start)]


@wf.workflow
async def fan_out(count: int) -> int:
    return sum(await wf.gather(*(double.options(queue=["default", "far"][n % 2])(n) for n in range(count))))


@wf.workflow
async def withdraws(queue: str, id: str | None) -> str:
    async with wf.open_nursery() as nursery:
        nursery.start_soon(double.options(queue=queue, id=id), 1)
        nursery.start_soon(wf.checkpoint)
        await wf.checkpoint()
        nursery.cancel_scope.cancel()
    return "withdrawn"


@wf.workflow
async def starts(policy: str, queue: str, id: str | None) -> str:
    child = await wf.start_child(obey, id=id, queue=queue, parent_close=policy)
    await wf.signals("go").receive()
    return child.id


@wf.workflow
async def meddles(id: str) -> list[str]:
    seen = []
    for target in (id, "nobody"):
        try:
            await wf.cancel(target, "from a workflow")
            seen.append("asked")
            await wf.sleep(1)
            await wf.cancel(target)
        except wf.WorkflowNotFound:
            seen.append("not found")
        except wf.WorkflowClosed as error:
            seen.append(error.status)
    return seen


@wf.workflow
async def cancels_by_handle() -> list[str]:
    child = await wf.start_child(obey)
    await child.cancel()
    for _ in range(2):
        try:
            await child.result()
        except wf.ChildWorkflowError as error:
            kind = error.failure.kind
    await child.cancel()
    return [kind]


@wf.workflow
async def adder() -> int:
    numbers = wf.signals("number", int)
    return await numbers.receive() + await numbers.receive()


@wf.workflow
async def signals_far_away(queue: str, id: str | None) -> int:
    child = await wf.start_child(adder, queue=queue, id=id)
    await child.signal("number", 1)
    await wf.signal(child.id, "number", 2)
    return await child.result()


FAR = pytest.mark.parametrize(("queue", "id"), [("default", None), ("far", None), ("default", "kid"), ("far", "kid")])
QUEUES = ["default", "far"]


@pytest.fixture(params=[1, 1000], ids=["evicted", "resident"])
def limits(request: pytest.FixtureRequest) -> wf.Limits:
    """Every behaviour also for families that are not in memory together."""
    return wf.Limits(resident_instances=request.param)


@pytest.mark.parametrize("ids", [[None, None], ["a", "b"]])
@pytest.mark.parametrize("queue", QUEUES)
async def test_cancelling_the_parent_cancels_both_children_and_their_results_are_seen(
    backend, autojump_clock, limits, queue, ids
) -> None:
    """Also after a restart of the engine, and for children on another queue."""
    async with backend.engine(two_children, linger, queues=QUEUES, limits=limits) as engine:
        await engine.start(two_children, queue, ids, id="p")
        await trio.sleep(10)
    async with backend.engine(two_children, linger, queues=QUEUES, limits=limits) as engine:
        handle = await engine.get("p")
        await handle.cancel()
        assert ["first cleaned up", "second cleaned up"] == await handle.result()
        assert {"completed"} == {item.status.value async for item in engine.list()}


@pytest.mark.parametrize(
    ("kind", "told"),
    [("expected", ["NoRoom", 3]), ("odd", ["builtins.ValueError", "outer", "builtins.KeyError", True])],
)
async def test_a_failed_child(backend, autojump_clock, limits, kind, told) -> None:
    """A type in ``raises=`` comes back as itself, anything else as ChildWorkflowError with all that is known."""
    async with backend.engine(catches, fails, limits=limits) as engine:
        assert told == await engine.run(catches, kind)


async def test_an_awaited_child_cannot_outlive_the_call(backend, autojump_clock, limits) -> None:
    """The scope around the call is cancelled: the child is cancelled, and waited for."""
    async with backend.engine(outlived, obey, limits=limits) as engine:
        assert [True, 20] == await engine.run(outlived, 20)
        (child,) = [item async for item in engine.list(workflow=obey)]
    assert "cancelled" == child.status


async def test_a_tree_over_restarts(backend, autojump_clock) -> None:
    """Thirty children on two queues, engines that live for two seconds each."""
    limits = wf.Limits(resident_instances=1)
    async with backend.engine(fan_out, double, queues=QUEUES) as engine:
        await engine.start(fan_out, 30, id="f")
    for _ in range(5):
        async with backend.engine(fan_out, double, queues=QUEUES, limits=limits):
            await trio.sleep(2)
    async with backend.engine(fan_out, double, queues=QUEUES) as engine:
        assert 870 == await (await engine.get("f")).result()
        assert 31 == await engine.count()


@FAR
async def test_a_child_withdrawn_in_the_step_that_started_it(backend, autojump_clock, queue, id) -> None:
    """It never starts."""
    async with backend.engine(withdraws, double, queues=QUEUES) as engine:
        assert "withdrawn" == await engine.run(withdraws, queue, id)
        await trio.sleep(10)
        for item in [item async for item in engine.list(workflow=double)]:
            assert (None, "cancelled") == (item.started_at, item.status)


@FAR
@pytest.mark.parametrize("ending", ["returns", "cancelled", "terminated"])
@pytest.mark.parametrize(
    ("policy", "status"), [("cancel", "cancelled"), ("terminate", "terminated"), ("abandon", "open")]
)
async def test_parent_close(backend, autojump_clock, queue, id, ending, policy, status) -> None:
    """However the parent ends, wherever the child is."""
    async with backend.engine(starts, obey, queues=QUEUES) as engine:
        handle = await engine.start(starts, policy, queue, id)
        await trio.sleep(1)
        if ending == "returns":
            await handle.signal("go")
            await handle.result()
        else:
            await (handle.cancel() if ending == "cancelled" else handle.terminate())
            await handle.wait_closed()
        await trio.sleep(1)
        (child,) = [item async for item in engine.list(workflow=obey)]
        assert (status, handle.id) == (child.status, child.parent)


async def test_a_workflow_cancels_another(backend, autojump_clock, limits) -> None:
    """WorkflowNotFound and WorkflowClosed as for clients."""
    async with backend.engine(meddles, obey, limits=limits) as engine:
        handle = await engine.start(obey, id="victim")
        assert ["asked", "cancelled", "not found"] == await engine.run(meddles, "victim")
        with pytest.raises(wf.WorkflowCancelled, match="from a workflow"):
            await handle.result()


async def test_a_child_is_cancelled_by_its_handle(backend, autojump_clock, limits) -> None:
    """Its result tells, any number of times; one that has ended is left alone."""
    async with backend.engine(cancels_by_handle, obey, limits=limits) as engine:
        assert ["cancelled"] == await engine.run(cancels_by_handle)


@FAR
async def test_signals_to_children_in_order(backend, autojump_clock, limits, queue, id) -> None:
    """By the handle and by the id, also before the child has begun."""
    async with backend.engine(signals_far_away, adder, queues=QUEUES, limits=limits) as engine:
        assert 3 == await engine.run(signals_far_away, queue, id)


async def test_a_child_whose_type_is_unknown_is_parked_and_its_parent_waits(backend, autojump_clock) -> None:
    """Until somebody knows it."""
    async with backend.engine(outlived) as engine:
        await engine.start(outlived, 1000, id="p")
        await trio.sleep(10)
        assert ["obey"] == [item.workflow async for item in engine.list(parked=True)]
    async with backend.engine(outlived, obey) as engine:
        assert [True, 1000] == await (await engine.get("p")).result()


@wf.workflow
async def tries(seconds: float) -> str:
    """Calls a child that nobody here knows, for so long."""
    with wf.move_on_after(seconds) as patience:
        await obey()
    return "moved on" if patience.cancelled_caught else "obeyed"


async def test_a_deadline_holds_around_a_child_that_cannot_start(backend, autojump_clock) -> None:
    """The child never starts, and needs no code for that."""
    async with backend.engine(tries) as engine:
        began = trio.current_time()
        assert "moved on" == await engine.run(tries, 10)
        assert 10 <= trio.current_time() - began < 11
        (child,) = [item async for item in engine.list(workflow="obey")]
        assert ("cancelled", None, None) == (child.status.value, child.parked, child.started_at)
        kinds = [type(event).__name__ for event in await (await engine.get(child.id)).history()]
    assert ["CancelRequested", "RunCancelled"] == kinds


async def test_whoever_cancels_a_workflow_that_cannot_start_ends_it(backend, autojump_clock) -> None:
    """Whether it is parked by then or about to be."""
    async with backend.engine(tries) as engine:
        for seconds in (0, 1):
            handle = await engine.start(obey)
            await trio.sleep(seconds)
            await handle.cancel("enough")
            with pytest.raises(wf.WorkflowCancelled, match="enough"):
                await handle.result()


async def test_a_workflow_cancelled_before_a_node_took_it_never_starts(backend, autojump_clock) -> None:
    """What its client takes back has no effect when a node comes."""
    async with wf.open_client(backend.store()) as client:
        handle = await client.start(outlived, 1000)
        await handle.cancel("enough")
    async with backend.engine(outlived, obey) as engine:
        handle = await engine.get(handle.id)
        with pytest.raises(wf.WorkflowCancelled, match="enough"):
            await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
    assert ["CancelRequested", "RunCancelled"] == kinds
