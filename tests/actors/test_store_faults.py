"""What a slow, silent or forgetful store may not do to a workflow."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest
import trio

import wfactors as wf
from tests.actors.faulty_store import FaultyStore
from wfactors.actors.journal import Journal
from wfactors.model.messages import Message, Signal
from wfactors.model.payloads import Payload
from wfactors.model.records import NodeRow
from wfactors.stores.changes import NODES_TOPIC, inbox_topic
from wfactors.testing.clocks import VirtualClock

LONG = 3600


@wf.workflow
async def collect(count: int) -> list[int]:
    numbers = wf.signals("number", int)
    return [await numbers.receive() for _ in range(count)]


@wf.workflow
async def quick() -> int:
    return 1


@wf.workflow
async def stuck_later() -> None:
    await wf.sleep(1)
    await wf.Event().wait()


class World:
    """A faulty store, its clock, and engines on it."""

    def __init__(self, clock: Any) -> None:
        self.clock = VirtualClock(clock)
        self.store = FaultyStore(self.clock.now)

    def engine(self, *register: Any, **options: Any) -> AbstractAsyncContextManager[wf.Engine]:
        return wf.open_engine(self.store, register=register, clock=self.clock, **options)

    def client(self, engine: wf.Engine, ahead_seconds: float = 0) -> wf.Client:
        """A client as in another process, its clock ahead by so much."""
        return wf.Client(self.store, engine.data, now=lambda: self.clock.now() + ahead_seconds)


@pytest.fixture
def world(autojump_clock: Any) -> World:
    return World(autojump_clock)


async def test_a_request_outlives_the_restart_of_its_partition(world, autojump_clock) -> None:
    """A read that fails restarts the partition; who asked at that moment is answered by the next one."""
    async with world.engine(collect) as engine:
        handle = await engine.start(collect, 1)
        await trio.sleep(1)
        world.store.failing = {"wakes"}
        world.store.changes.publish([inbox_topic("0:default")])
        await trio.sleep(0.1)
        world.store.failing = set()
        with trio.fail_after(LONG):
            await handle.signal("number", 1)
            assert [1] == await handle.result()


async def test_an_engine_opens_after_an_outage_longer_than_its_lease(world, autojump_clock) -> None:
    """It joins again under a new name, and opens."""

    async def outage() -> None:
        while not world.store.calls["join"]:
            await trio.lowlevel.checkpoint()
        world.store.failing = {"acquire", "renew", "nodes", "join"}
        await trio.sleep(30)
        world.store.failing = set()

    with trio.fail_after(LONG):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outage)
            async with world.engine(quick, lease=10) as engine:
                assert 1 == await engine.run(quick)


async def test_an_engine_that_cannot_open_can_be_given_up(world, autojump_clock) -> None:
    """Waiting for the store ends when its scope is cancelled."""
    world.store.failing = {"join"}
    with trio.move_on_after(30) as waiting:
        async with world.engine(quick):
            pytest.fail("it cannot have opened")
    assert waiting.cancelled_caught
    assert world.store.calls["join"] > 1


async def test_a_signal_sent_again_is_known_in_the_next_run(world, autojump_clock) -> None:
    """The commit's answer is lost with the partition, the client sends the same message to the next owner."""

    @wf.workflow
    async def twice(number: int) -> int:
        value = await wf.signals("number", int).receive()
        return wf.continue_as_new(value) if number == 0 else number + value

    async with world.engine(twice) as engine:
        handle = await engine.start(twice, 0)
        await trio.sleep(1)
        world.store.steal_after_commit = True
        await handle.signal("number", 1)
        await trio.sleep(100)
        events = [*await handle.history(1), *await handle.history(2)]
    assert 1 == sum(type(event).__name__ == "SignalReceived" for event in events)


async def test_a_signal_that_comes_twice_is_known_some_runs_later(world, autojump_clock) -> None:
    """A network brings it again when the run that took it in has ended, and the next ones, and nothing is in memory."""

    @wf.workflow
    async def chain(number: int) -> None:
        if number == 0:
            await wf.signals("number", int).receive()
        await wf.sleep(1)
        if number < 3:
            wf.continue_as_new(number + 1)

    async with world.engine(chain) as engine:
        handle = await engine.start(chain, 0)
        header = await world.store.header(handle.instance)
        message = Message("m1", header.partition, header.instance, Signal("number", Payload(b"1")))
        assert [None] == await world.store.send([message])
        await trio.sleep(3.5)
    assert [None] == await world.store.send([message])
    async with world.engine(chain) as engine:
        await (await engine.get(handle.id)).result()
        await trio.sleep(100)
        events = [event for run in range(1, 5) for event in await handle.history(run)]
    assert 1 == sum(type(event).__name__ == "SignalReceived" for event in events)


async def test_an_instance_created_while_timers_are_read_begins(world, autojump_clock) -> None:
    """The reading under way does not know of it, so there is another one."""
    async with world.engine(quick) as engine:
        await trio.sleep(1)
        world.store.late_seconds["wakes"] = 1.0
        client = world.client(engine)
        first = await client.start(quick)
        await trio.sleep(0.5)
        second = await client.start(quick)
        with trio.fail_after(LONG):
            assert [1, 1] == [await first.result(), await second.result()]


async def test_a_client_whose_clock_is_ahead_need_not_wait(world, autojump_clock) -> None:
    """Without a delay an instance is due at once, whatever its creator takes for the time."""
    async with world.engine(quick) as engine:
        began = trio.current_time()
        await (await world.client(engine, ahead_seconds=300).start(quick)).result()
        assert trio.current_time() - began < 1


async def test_a_cancel_of_a_parked_workflow_survives_a_slow_commit(world, autojump_clock) -> None:
    """It is acknowledged, so it happens."""
    async with world.engine(stuck_later) as engine:
        handle = await engine.start(stuck_later)
        await trio.sleep(2)
        world.store.late_seconds["commit"] = 1.0
        await handle.cancel()
        with trio.fail_after(LONG), pytest.raises(wf.WorkflowCancelled):
            await handle.result()


async def test_a_query_from_afar_on_a_parked_workflow_is_answered(world, autojump_clock) -> None:
    """QueryError, as for a client beside the owner."""
    async with world.engine(stuck_later) as engine:
        handle = await engine.start(stuck_later, id="s")
        await trio.sleep(2)
        assert (await handle.describe()).parked
        afar = await world.client(engine).get("s")
        with trio.fail_after(LONG), pytest.raises(wf.QueryError, match="parked"):
            await afar.query("anything")


async def test_deadlines_that_never_came_leave_nothing_behind(world, autojump_clock) -> None:
    """A thousand long deadlines of one workflow are one entry of the timers."""

    @wf.workflow
    async def patient(count: int) -> None:
        numbers = wf.signals("number", int)
        for _ in range(count):
            with wf.move_on_after(30 * 86_400):
                await numbers.receive()

    async with world.engine(patient) as engine:
        handle = await engine.start(patient, 1_000)
        for number in range(1_000):
            await trio.sleep(1)
            await handle.signal("number", number)
        await handle.result()
        assert engine.statistics().partitions[0].timers <= 1


async def test_a_node_that_joins_is_not_taken_for_dead(world, autojump_clock) -> None:
    """An answer about nodes that is older than its claim does not make its attempt run twice."""
    runs = []

    @wf.activity(retry=wf.Retry(attempts=1))
    async def work() -> int:
        runs.append(1)
        await trio.sleep(50)
        return 1

    @wf.workflow
    async def employ() -> int:
        return await work()

    async with world.engine(employ, lease=10) as engine:
        handle = await engine.start(employ)
        await trio.sleep(1)
        world.store.late_seconds["nodes"] = 0.5
        world.store.changes.publish([NODES_TOPIC])
        await trio.sleep(0.1)
        world.store.late_seconds.clear()
        async with world.engine(work, lease=10, workflows=False):
            assert 1 == await handle.result()
    assert [1] == runs


async def test_resuming_many_reads_each_kept_message_once(world, autojump_clock) -> None:
    """The next owner's reading costs what there is to read, not that for each instance."""
    async with world.engine() as engine:
        handles = [await engine.start(collect, 3) for _ in range(20)]
        await trio.sleep(1)
        for handle in handles:
            assert (await handle.describe()).parked
            for number in range(3):
                await handle.signal("number", number)
        await trio.sleep(1)
    world.store.messages_read = 0
    async with world.engine(collect) as engine:
        for handle in handles:
            assert [0, 1, 2] == await (await engine.get(handle.id)).result()
    # Once as the mail of its instance, once as what is new in the inbox.
    assert world.store.messages_read <= 2 * 60


class StolenStore(wf.MemoryStore):
    """Once told to, another node has the partition when the next commit arrives."""

    is_to_be_stolen = False

    async def commit(self, batch: Any) -> None:
        if self.is_to_be_stolen:
            self.is_to_be_stolen = False
            row = self._state.partitions[batch.partition]
            await self.join(NodeRow("thief", ["default"], 0.0, 0.0), 3600)
            self._state.partitions[batch.partition] = attrs.evolve(row, node="thief", epoch=row.epoch + 1)
        await super().commit(batch)


async def test_leaving_while_a_partition_is_taken_over_waits_for_nothing(world, autojump_clock, monkeypatch) -> None:
    """A workflow that was handed to a partition which still asks the store is left to the next owner, at once."""
    waits = 0
    wait_idle = Journal.wait_idle

    async def counted(self: Journal) -> None:
        nonlocal waits
        waits += 1
        assert waits < 10, "the shutdown goes round in a circle"
        await wait_idle(self)

    monkeypatch.setattr(Journal, "wait_idle", counted)
    async with world.engine(quick, collect) as engine:
        await engine.start(collect, 1)
        await trio.sleep(1)
        world.store.failing = {"wakes"}
        world.store.late_seconds["nodes"] = 3
        world.store.changes.publish([inbox_topic("0:default")])
        # It starts again a quarter of a second later, and asks who is there.
        await trio.sleep(1)
        world.store.failing = set()
        handle = await engine.start(quick)
        began = trio.current_time()
    assert 1 > trio.current_time() - began
    world.store.late_seconds.clear()
    async with world.engine(quick, collect) as engine:
        assert 1 == await (await engine.get(handle.id)).result()


async def test_a_lease_lost_in_the_last_commit_of_a_shutdown(autojump_clock) -> None:
    """The engine ends, and writes nothing more to the partition; its next owner goes on."""
    clock = VirtualClock(autojump_clock)
    store = StolenStore(clock=clock.now)

    @wf.activity
    async def slow() -> int:
        await trio.sleep(5)
        return 7

    @wf.workflow
    async def calls() -> int:
        return await slow()

    async with wf.open_engine(store, register=[calls, slow], clock=clock, lease=10, grace=30) as engine:
        handle = await engine.start(calls, id="c")
        await trio.sleep(1)
        before = (await store.dump())["events"]
        store.is_to_be_stolen = True
        left_at = trio.current_time()
    # Five seconds of its activity, and no waiting for what cannot come.
    assert trio.current_time() - left_at < 20
    dump = await store.dump()
    assert (before, "thief") == (dump["events"], dump["partitions"][0]["node"])
    assert [handle.id] == [row["id"] for row in dump["headers"] if row["status"] == "open"]
    await store.leave("thief")
    async with wf.open_engine(store, register=[calls, slow], clock=clock, lease=10) as engine:
        with trio.fail_after(LONG):
            assert 7 == await (await engine.get("c")).result()
