"""What cannot go on stands still, in view, and harms nobody; what is put to sleep comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import wfactors as wf
from wfactors.actors.intake import Intake
from wfactors.actors.mail import Mail
from wfactors.model.messages import Forward


@wf.activity
async def add(a: int, b: int) -> int:
    return a + b


@wf.workflow
async def summing(count: int) -> int:
    """Sums numbers that arrive as signals, each through an activity."""
    total = 0

    @wf.query
    def so_far() -> int:
        return total

    numbers = wf.signals("number", int)
    for _ in range(count):
        total = await add(total, await numbers.receive())
    return total


@wf.workflow
async def stuck() -> None:
    await wf.Event().wait()


def version_one() -> Any:
    @wf.workflow(name="changing")
    async def changing() -> int:
        await wf.sleep(10)
        first = await add(1, 2)
        await wf.sleep(10)
        return first

    return changing


def version_two() -> Any:
    @wf.workflow(name="changing")
    async def changing() -> int:
        await wf.sleep(20)
        first = await add(1, 2)
        await wf.sleep(10)
        return first

    return changing


async def parked_reason(handle: wf.Handle) -> str:
    """Wait until the workflow is parked."""
    while (reason := (await handle.describe()).parked) is None:
        await trio.sleep(1)
    return reason


async def test_changed_code_parks_and_a_fixed_deployment_goes_on(backend, autojump_clock) -> None:
    """A NonDeterminismError with both sides, the neighbours unharmed, and the old code finishes the work."""
    async with backend.engine(version_one(), add, summing) as engine:
        await engine.start("changing", id="c")
        await engine.start(summing, 1, id="neighbour")
        await trio.sleep(1)
    async with backend.engine(version_two(), add, summing) as engine:
        reason = await parked_reason(await engine.get("c"))
        neighbour = await engine.get("neighbour")
        await neighbour.signal("number", 1)
        assert 1 == await neighbour.result()
    assert "NonDeterminismError" in reason
    assert "history has: " in reason
    assert "the code did: " in reason
    async with backend.engine(version_one(), add) as engine:
        handle = await engine.get("c")
        assert 3 == await handle.result()
        assert (await handle.describe()).parked is None


async def test_a_parked_workflow_keeps_what_it_is_sent(backend, autojump_clock) -> None:
    """Signals to it are accepted, and read once it goes on."""
    async with backend.engine(add) as engine:
        handle = await engine.start(summing, 2, id="s")
        await parked_reason(handle)
        await handle.signal("number", 1)
        await handle.signal("number", 2)
        with pytest.raises(wf.QueryError, match="parked"):
            await handle.query("so_far")
    async with backend.engine(summing, add) as engine:
        assert 3 == await (await engine.get("s")).result()


async def test_a_parked_workflow_can_be_terminated(backend, autojump_clock) -> None:
    """Terminating takes no code of the workflow."""
    async with backend.engine(add) as engine:
        handle = await engine.start(summing, 1)
        await parked_reason(handle)
        await handle.terminate("give up")
        with pytest.raises(wf.WorkflowTerminated, match="give up"):
            await handle.result()


async def test_terminating_a_parked_workflow_leaves_no_mail(backend, autojump_clock) -> None:
    """What was kept for it is gone with it: acknowledged signals stand in its history, a sender gets its answer."""

    @wf.workflow
    async def teller(id: str) -> str:
        try:
            await wf.signal(id, "number", 3)
        except wf.WorkflowClosed as error:
            return error.status
        return "accepted"

    store = backend.store()
    async with backend.engine(add, teller, store=store) as engine:
        handle = await engine.start(summing, 1, id="s")
        await parked_reason(handle)
        await handle.signal("number", 1)
        await handle.signal("number", 2)
        told = await engine.start(teller, "s")
        await trio.sleep(1)
        assert 3 == len((await store.dump())["inbox"])
        await handle.terminate()
        assert "terminated" == await told.result()
        assert [] == (await store.dump())["inbox"]
        assert 2 == sum(type(event).__name__ == "SignalReceived" for event in await handle.history())


async def test_a_parked_child_is_cancelled_with_its_parent(backend, autojump_clock) -> None:
    """parent_close="cancel" resumes it, as a cancel from outside does."""

    @wf.workflow
    async def parent() -> None:
        await wf.start_child(stuck, id="kid")
        await wf.sleep(10)

    async with backend.engine(parent, stuck) as engine:
        await engine.run(parent)
        kid = await engine.get("kid")
        with trio.fail_after(1_000):
            await kid.wait_closed()
        assert wf.Status.CANCELLED == (await kid.describe()).status


async def test_a_child_that_is_parked_at_once_has_been_started(backend, autojump_clock) -> None:
    """start_child() returns, whether its workflow is unknown or stuck."""

    @wf.workflow
    async def parent() -> list[str]:
        children = [await wf.start_child(kid, id=kid.name, parent_close="abandon") for kid in (stuck, unknown)]
        return [child.id for child in children]

    @wf.workflow
    async def unknown() -> None:
        pass

    async with backend.engine(parent, stuck) as engine:
        with trio.fail_after(1_000):
            assert ["stuck", "unknown"] == await engine.run(parent)
        for name in ("stuck", "unknown"):
            assert await parked_reason(await engine.get(name))


async def test_a_stuck_workflow_is_parked_and_can_be_cancelled(backend, autojump_clock) -> None:
    """Nothing from outside could wake it; cancelling does."""
    async with backend.engine(stuck) as engine:
        handle = await engine.start(stuck)
        assert "WorkflowStuckError" in await parked_reason(handle)
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()


async def test_resume_tries_again(backend, autojump_clock) -> None:
    """A resumed workflow that still cannot go on is parked again."""
    async with backend.engine(add) as engine:
        handle = await engine.start(summing, 1)
        await parked_reason(handle)
        await handle.resume()
        assert "UnknownWorkflow" in await parked_reason(handle)


@pytest.mark.parametrize("instances", [1, 3, 1000])
async def test_putting_instances_to_sleep_changes_nothing(backend, autojump_clock, instances) -> None:
    """With room for one, for three or for all in memory the results are the same."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.engine(summing, add, limits=limits) as engine:
        handles = [await engine.start(summing, 3, id=f"s{number}") for number in range(6)]
        for turn in range(3):
            for number, handle in enumerate(handles):
                await handle.signal("number", number + turn)
                await trio.sleep(1)
        assert [3 * number + 3 for number in range(6)] == [await handle.result() for handle in handles]
        assert 5 == await handles[1].query("so_far") - 1
        evictions = sum(partition.evictions for partition in engine.statistics().partitions)
        assert (evictions > 0) == (instances < 6)


async def test_a_query_on_a_closed_workflow_replays_it(backend, autojump_clock) -> None:
    """Also after a restart of the engine."""
    async with backend.engine(summing, add) as engine:
        handle = await engine.start(summing, 1, id="s")
        await handle.signal("number", 4)
        assert 4 == await handle.result()
        assert 4 == await handle.query("so_far")
    async with backend.engine(summing, add) as engine:
        assert 4 == await (await engine.get("s")).query("so_far")


@pytest.mark.parametrize("is_changed", [True, False])
async def test_a_query_on_a_closed_workflow_whose_code_is_not_what_it_was(backend, autojump_clock, is_changed) -> None:
    """The error says that the workflow is closed, and why it cannot be asked; by way of the store too."""
    store = backend.store()
    async with backend.engine(version_one(), add, store=store) as engine:
        assert 3 == await engine.run("changing", id="c")
    async with backend.engine(*[version_two()] * is_changed, add, store=store) as engine:
        for client in (engine, wf.Client(store, engine.data)):
            handle = await client.get("c")
            with pytest.raises(wf.QueryError) as caught:
                await handle.query("anything")
            text = "the workflow is closed (completed), and its history cannot be replayed for the query"
            assert text in str(caught.value)
            assert ("NonDeterminismError" if is_changed else "UnknownWorkflow") in str(caught.value)
            assert "parked" not in str(caught.value)
            assert ("completed", None) == ((await handle.describe()).status, (await handle.describe()).parked)


async def test_a_history_that_grows_too_long_fails_its_workflow(backend, autojump_clock) -> None:
    """HistoryTooLong at the limit, and only there."""

    @wf.workflow
    async def endless() -> None:
        while True:
            await wf.sleep(1)

    limits = wf.Limits(history_events_warning=50, history_events_max=100)
    async with backend.engine(endless, limits=limits) as engine:
        handle = await engine.start(endless)
        with pytest.raises(wf.WorkflowFailed, match="HistoryTooLong"):
            await handle.result()
        assert 100 < len(await handle.history()) < 105


def sending(*, is_changed: bool) -> Any:
    @wf.workflow(name="sending")
    async def sending() -> str:
        await wf.sleep(2 if is_changed else 1)
        await wf.signal("receiver", "number", 5)
        return "sent"

    return sending


async def test_a_message_on_its_way_out_is_not_mail_of_a_parked_workflow(backend, autojump_clock, monkeypatch) -> None:
    """Its owner died before it passed a signal on, and the sender was parked since: the signal arrives all the same."""
    take, read, kept_mail = Intake.take, Intake._read, Intake.kept_mail
    is_read = trio.Event()

    def take_all_but_forwards(self: Intake, key: str, mail: Mail) -> None:
        if not isinstance(mail.content, Forward):
            take(self, key, mail)

    async def read_first(self: Intake, key: str) -> list[Mail]:
        mail = await kept_mail(self, key)
        is_read.set()
        return mail

    async def read_last(self: Intake) -> None:
        await is_read.wait()
        await read(self)

    with monkeypatch.context() as patch:
        patch.setattr(Intake, "take", take_all_but_forwards)
        async with backend.engine(sending(is_changed=False), summing, add) as engine:
            await engine.start(summing, 1, id="receiver")
            await engine.start("sending", id="sender")
            await trio.sleep(5)
        async with backend.engine(sending(is_changed=True), summing, add) as engine:
            with pytest.raises(wf.QueryError, match="NonDeterminismError"):
                await (await engine.get("sender")).query("anything")
    monkeypatch.setattr(Intake, "kept_mail", read_first)
    monkeypatch.setattr(Intake, "_read", read_last)
    async with backend.engine(sending(is_changed=False), summing, add) as engine:
        assert "sent" == await (await engine.get("sender")).result()
        assert 5 == await (await engine.get("receiver")).result()
