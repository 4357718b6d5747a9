"""Signals: durable, in order, buffered, and never anybody else's problem."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf
from wfactors.model import events
from wfactors.model.messages import Message, Query, Signal, Terminate
from wfactors.model.payloads import Payload
from wfactors.model.records import InstanceFilter


@wf.workflow
async def collect(count: int) -> list[int]:
    numbers = wf.signals("number", int)
    return [await numbers.receive() for _ in range(count)]


@wf.workflow
async def collect_late(count: int) -> list[int]:
    await wf.sleep(10)
    return [await wf.signals("number", int).receive() for _ in range(count)]


@wf.workflow
async def collect_tolerantly() -> list[str]:
    numbers = wf.signals("number", int)
    seen = []
    while len(seen) < 2:
        try:
            seen.append(f"got {await numbers.receive()}")
        except wf.ConversionError:
            seen.append("unfit")
    return seen


@wf.workflow
async def collect_over_runs(seen: list[int]) -> list[int]:
    await wf.sleep(10)
    seen = [*seen, await wf.signals("number", int).receive()]
    if len(seen) < 4:
        wf.continue_as_new(seen)
    return seen


@wf.workflow
async def tell(id: str, value: int) -> str:
    try:
        await wf.signal(id, "number", value)
    except wf.WorkflowNotFound:
        return "not found"
    except wf.WorkflowClosed:
        return "closed"
    return "told"


@wf.activity
async def forever() -> None:
    await trio.sleep_forever()


@wf.workflow
async def family() -> None:
    """Waits for one thing of each kind."""

    async def until_asked() -> None:
        with wf.move_on_after(3600):
            await wf.signals("approve").receive()

    async with wf.open_nursery() as nursery:
        nursery.start_soon(wf.signals("go").receive)
        nursery.start_soon(until_asked)
        nursery.start_soon(forever)
        nursery.start_soon(collect, 1)


@wf.workflow
async def many_names(count: int) -> None:
    async with wf.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(wf.signals(f"number {number}").receive)


@wf.workflow
async def in_turn(names: list[str], runs: int) -> None:
    for name in names:
        await wf.signals(name).receive()
    if runs > 1:
        wf.continue_as_new(names, runs - 1)
    await wf.Event().wait()


def gate(name: str) -> wf.Workflow[..., None]:
    """Code of one name that waits for another signal each time."""

    @wf.workflow(name="gate")
    async def gate() -> None:
        await wf.signals(name).receive()

    return gate


@wf.workflow
async def both(name: str) -> None:
    async with wf.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(wf.signals(name).receive)


async def awaited(handle: wf.Handle[object]) -> list[str]:
    """The signals it waits for, as anybody can read them in the store."""
    await trio.sleep(1)
    description = await handle.describe()
    words = [words for words in description.waits_for if words.startswith("signal")]
    assert [f"signal {name!r}" for name in description.signals] == words
    return list(description.signals)


async def test_signals_arrive_in_order_before_the_channel_exists(backend, autojump_clock) -> None:
    """Two hundred signals sent before anybody listens come out as they went in."""
    async with backend.engine(collect_late) as engine:
        handle = await engine.start(collect_late, 200)
        for number in range(200):
            await handle.signal("number", number)
        assert list(range(200)) == await handle.result()


async def test_signals_arrive_in_order_after_the_channel_exists(backend, autojump_clock) -> None:
    """The same while the workflow waits for each."""
    async with backend.engine(collect) as engine:
        handle = await engine.start(collect, 20)
        for number in range(20):
            await handle.signal("number", number)
        assert list(range(20)) == await handle.result()


async def test_unread_signals_are_kept_up_to_the_limit_of_the_history(backend, autojump_clock) -> None:
    """The one that is too many ends the workflow, and whoever sends the next is told."""
    limits = wf.Limits(history_events_warning=50, history_events_max=100)
    async with backend.engine(collect_late, limits=limits) as engine:
        handle = await engine.start(collect_late, 1000)
        for number in range(99):
            await handle.signal("number", number)
        kinds = [type(event).__name__ for event in await handle.history()]
        assert 99 == kinds.count("SignalReceived")
        with pytest.raises(wf.WorkflowClosed):
            await handle.signal("number", 99)
        with pytest.raises(wf.WorkflowFailed, match="HistoryTooLong"):
            await handle.result()


async def test_a_signal_to_a_closed_workflow_is_refused(backend, autojump_clock) -> None:
    """WorkflowClosed, also from a workflow."""
    async with backend.engine(collect, tell) as engine:
        handle = await engine.start(collect, 0, id="done")
        await handle.result()
        with pytest.raises(wf.WorkflowClosed):
            await handle.signal("number", 1)
        assert "closed" == await engine.run(tell, "done", 1)


async def test_a_signal_to_an_unknown_workflow_is_refused(backend, autojump_clock) -> None:
    """WorkflowNotFound inside a workflow."""
    async with backend.engine(tell) as engine:
        assert "not found" == await engine.run(tell, "nobody", 1)


async def test_a_workflow_signals_another(backend, autojump_clock) -> None:
    """The signal arrives and the sender learns that it was accepted."""
    async with backend.engine(collect, tell) as engine:
        handle = await engine.start(collect, 2, id="collector")
        assert ["told", "told"] == [await engine.run(tell, "collector", number) for number in (7, 8)]
        assert [7, 8] == await handle.result()


async def test_a_signal_crosses_queues(backend, autojump_clock) -> None:
    """The sender's and the receiver's partitions are different ones."""
    async with backend.engine(collect, tell, queues=["default", "other"]) as engine:
        handle = await engine.start(collect, 1, id="there", queue="other")
        assert "told" == await engine.run(tell, "there", 5)
        assert [5] == await handle.result()


async def test_a_payload_that_does_not_fit_raises_at_receive(backend, autojump_clock) -> None:
    """Only the workflow that reads it notices, and may go on."""
    async with backend.engine(collect_tolerantly) as engine:
        handle = await engine.start(collect_tolerantly)
        await handle.signal("number", "not a number")
        await handle.signal("number", 3)
        assert ["unfit", "got 3"] == await handle.result()


async def test_unread_signals_survive_continue_as_new(backend, autojump_clock) -> None:
    """All are there before the first run reads one and continues; each run reads the next, also after a restart."""
    async with backend.engine(collect_over_runs) as engine:
        handle = await engine.start(collect_over_runs, [], id="c")
        for number in range(4):
            await handle.signal("number", number)
        await trio.sleep(15)
    async with backend.engine(collect_over_runs) as engine:
        handle = await engine.get("c")
        assert [0, 1, 2, 3] == await handle.result()
        carried = [[bytes(item.payload) for item in (await handle.history(run))[0].signals] for run in (1, 2, 3, 4)]
    assert [[], [b"1", b"2", b"3"], [b"2", b"3"], [b"3"]] == carried


async def test_signals_are_durable_before_they_are_acknowledged(backend, autojump_clock) -> None:
    """When ``signal`` returns, the store has it; and it is there after the engine is gone."""
    store = backend.store()
    async with backend.engine(collect, store=store) as engine:
        handle = await engine.start(collect, 3, id="c")
        for number in (1, 2):
            await handle.signal("number", number)
            dump = await store.dump()
            assert number == str(dump["events"]).count("SignalReceived") + len(dump["inbox"])
    async with backend.engine(collect) as engine:
        handle = await engine.get("c")
        await handle.signal("number", 3)
        assert [1, 2, 3] == await handle.result()


async def test_signal_with_start_starts_once(backend, autojump_clock) -> None:
    """The first call starts the workflow, the second only signals it."""
    async with backend.engine(collect) as engine:
        first = await engine.signal_with_start(collect, 2, id="s", signal="number", value=1)
        second = await engine.signal_with_start(collect, 2, id="s", signal="number", value=2)
        assert first.instance == second.instance
        assert [1, 2] == await first.result()


async def test_a_client_without_an_engine_reaches_the_owner(backend, autojump_clock) -> None:
    """Start, signal, query and update by way of the store."""

    @wf.workflow
    async def counter() -> int:
        total = 0

        @wf.query
        def current() -> int:
            return total

        @wf.update
        async def add(number: int) -> int:
            nonlocal total
            total += number
            return total

        await wf.signals("stop").receive()
        return total

    store = backend.store()
    async with backend.engine(counter, store=store) as engine:
        client = wf.Client(store, engine.data, now=backend.clock.now)
        handle = await client.start(counter, id="far")
        assert 3 == await handle.update("add", 3)
        assert 10 == await handle.update("add", 7)
        assert 10 == await handle.query("current")
        with pytest.raises(wf.UpdateRejected):
            await handle.update("nothing")
        with pytest.raises(wf.QueryError):
            await handle.query("nothing")
        await handle.signal("stop")
        assert 10 == await handle.result()
        assert 10 == await handle.query("current")
        with pytest.raises(wf.WorkflowClosed):
            await handle.update("add", 1)
        with pytest.raises(wf.WorkflowClosed):
            await handle.signal("stop")


# --- Which ones are waited for ---------------------------------------------------------------------------------------


async def test_a_description_names_the_signals_that_are_waited_for(backend, autojump_clock) -> None:
    """Behind the activities, before the timers and children."""
    async with backend.engine(family, forever, collect) as engine:
        handle = await engine.start(family)
        await trio.sleep(1)
        description = await handle.describe()
        activity, go, approve, timer, child = description.waits_for
        assert ("activity forever", "a timer at", "workflow collect") == (activity[:16], timer[:10], child[:16])
        assert (["signal 'go'", "signal 'approve'"], ["go", "approve"]) == ([go, approve], list(description.signals))


async def test_a_signal_that_two_tasks_wait_for_is_named_until_both_have_one(backend, autojump_clock) -> None:
    """Once, however many wait."""
    async with backend.engine(both) as engine:
        handle = await engine.start(both, "go")
        for _ in range(2):
            assert ["go"] == await awaited(handle)
            await handle.signal("go")
        await handle.result()
        assert [] == await awaited(handle)


async def test_the_store_knows_them_while_nobody_runs_the_workflow(backend, autojump_clock) -> None:
    """Whoever looks asks no engine: one that is gone could not answer."""
    async with backend.shared() as store:
        async with backend.engine(in_turn, store=store) as engine:
            client = wf.Client(store, engine.data, now=backend.clock.now)
            handle = await engine.start(in_turn, ["first", "second"], 2, id="w")
            assert ["first"] == await awaited(handle)
            await handle.signal("first")
            assert ["second"] == await awaited(handle)
        assert ["second"] == await awaited(await client.get("w"))
        assert [("second",)] == [tuple(item.signals) async for item in client.list()]


async def test_none_is_named_where_none_could_be_taken(backend, autojump_clock) -> None:
    """The run that has ended, the one that stands still, and the one that is over; the next run has its own."""
    async with backend.engine(in_turn, many_names) as engine:
        handle = await engine.start(in_turn, ["first", "second"], 2)
        for name in ("first", "second"):
            await handle.signal(name)
        assert ["first"] == await awaited(handle)
        for name in ("first", "second"):
            await handle.signal(name)
        assert [] == await awaited(handle)
        assert ["somebody to resume it (parked)"] == (await handle.describe()).waits_for
        other = await engine.start(many_names, 3)
        assert ["number 0", "number 1", "number 2"] == await awaited(other)
        await other.terminate()
        assert [] == await awaited(other)


async def test_a_terminated_run_that_is_replayed_for_a_query_waits_for_nothing(backend, autojump_clock) -> None:
    """Its code stands where it was stopped; and a signal from before the end, which is noted last, writes its row."""
    async with backend.shared() as store, backend.engine(collect, store=store) as engine:
        handle = await engine.start(collect, 1)
        assert ["number"] == await awaited(handle)
        (header,) = await store.headers(InstanceFilter(), 1)
        bodies = (Terminate("enough"), Query("anything", Payload(b"[]"), "reply"), Signal("number", Payload(b"1")))
        mail = [Message(f"m{at}", header.partition, header.instance, body) for at, body in enumerate(bodies)]
        assert [None] * 3 == await store.send(mail)
        assert [] == await awaited(handle)
        ends = [type(event) for event in (await handle.history())[-2:]]
        assert [events.RunTerminated, events.SignalReceived] == ends


async def test_of_many_the_twenty_that_have_been_waited_for_longest_are_named(backend, autojump_clock) -> None:
    """Each one that comes makes room for another name."""
    async with backend.engine(many_names) as engine:
        handle = await engine.start(many_names, 30)
        assert [f"number {number}" for number in range(20)] == await awaited(handle)
        await handle.signal("number 7")
        assert [f"number {number}" for number in range(21) if number != 7] == await awaited(handle)


async def test_code_that_has_changed_waits_for_another_signal(backend, autojump_clock) -> None:
    """That is told once it is in memory, though its history says nothing of it."""
    async with backend.engine(gate("old")) as engine:
        assert ["old"] == await awaited(await engine.start("gate", id="g"))
    async with backend.engine(gate("new")) as engine:
        handle = await engine.get("g")
        with pytest.raises(wf.QueryError):
            await handle.query("anything")
        assert ["new"] == await awaited(handle)
        await handle.signal("new")
        await handle.result()


@pytest.mark.parametrize("name", ["", "x" * 4097, "\ud800", 7])
async def test_what_no_signal_can_be_called_is_refused_everywhere(backend, autojump_clock, name) -> None:
    """Where one is sent, where a workflow starts with it, where one workflow tells another, where it is waited for."""

    @wf.workflow
    async def tells() -> None:
        await wf.signal("nobody", name)

    @wf.workflow
    async def hears() -> None:
        await wf.signals(name).receive()

    error = TypeError if name == 7 else ValueError
    async with backend.engine(collect, tells, hears) as engine:
        handle = await engine.start(collect, 1)
        with pytest.raises(error, match="the name of a signal"):
            await handle.signal(name)
        with pytest.raises(error, match="the name of a signal"):
            await engine.signal_with_start(collect, 1, id="c", signal=name)
        for workflow in (tells, hears):
            with pytest.raises(wf.WorkflowFailed, match=f"{error.__name__}: the name of a signal"):
                await engine.run(workflow)
