"""What the simulator has found in the engine, each told as the shortest story that shows it."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf
from wfactors.convert import DataPort
from wfactors.model import events
from wfactors.model.messages import Message, Signal, Terminate
from wfactors.model.payloads import Payload
from wfactors.stores.changes import inbox_topic
from wfactors.testing.clocks import VirtualClock


@wf.workflow
async def brief() -> str:
    return "done"


@wf.workflow
async def patient() -> None:
    await wf.signals("go", int).receive()


class SlowToAnswer(wf.MemoryStore):
    """The answer to ``create`` comes a second after the instance is there; counts the commits that are refused."""

    refused = 0

    async def create(self, requests):
        outcomes = await super().create(requests)
        await trio.sleep(1)
        return outcomes

    async def commit(self, batch):
        try:
            await super().commit(batch)
        except wf.StoreCorrupt:
            self.refused += 1
            raise


async def test_an_instance_that_ended_before_its_client_heard_of_it_is_not_begun_again(autojump_clock) -> None:
    """The owner found it in the store by itself, and was done with it when the client told of it. Seed 758."""
    store = SlowToAnswer(clock=VirtualClock(autojump_clock).now)
    async with wf.open_engine(store, register=[brief], clock=VirtualClock(autojump_clock)) as engine:
        handle = await engine.start(brief)
        assert "done" == await handle.result()
        assert [events.RunStarted, events.RunCompleted] == [type(event) for event in await handle.history()]
    assert 0 == store.refused


class Behind:
    """The clock of a node that is an hour behind."""

    def __init__(self, clock):
        self._clock = clock

    def now(self):
        return self._clock.now() - 3600

    async def sleep_until(self, at):
        await self._clock.sleep_until(at + 3600)


async def test_time_does_not_go_back_when_a_run_is_ended_unread(autojump_clock) -> None:
    """Its code is not needed for that, but what time it was is."""
    clock = VirtualClock(autojump_clock)
    store = wf.MemoryStore(clock=clock.now)
    async with wf.open_engine(store, register=[patient], clock=clock) as engine:
        handle = await engine.start(patient, id="p")
    async with wf.open_engine(store, clock=Behind(clock)) as engine:
        handle = await engine.get("p")
        await handle.terminate("enough")
        times = [event.time for event in await handle.history() if hasattr(event, "time")]
    assert 2 == len(times)
    assert sorted(times) == times


@pytest.fixture
async def parked(autojump_clock):
    """A store with an engine that lacks the workflow of the one instance, which is parked; and a client elsewhere."""
    clock = VirtualClock(autojump_clock)
    store = wf.MemoryStore(clock=clock.now)
    client = wf.Client(store, DataPort(), now=clock.now)
    async with wf.open_engine(store, clock=clock):
        handle = await client.start("nobody knows this", id="x")
        while (await handle.describe()).parked is None:
            await trio.sleep(1)
        yield handle


async def test_an_update_from_afar_of_a_parked_workflow_is_answered(autojump_clock, parked) -> None:
    """As one of a client in the process of the owner is: that it is parked."""
    with trio.fail_after(60), pytest.raises(wf.QueryError, match="parked"):
        await parked.update("improve")


async def test_what_a_parked_workflow_was_sent_does_not_outlive_it(autojump_clock, parked) -> None:
    """Once it is terminated, a signal that was acknowledged stands in the history, and no row is left."""
    await parked.signal("go", 1)
    await parked.terminate("enough")
    await trio.sleep(60)
    store = parked._client.store
    assert [] == (await store.dump())["inbox"]
    assert [events.RunTerminated, events.SignalReceived] == [type(event) for event in await parked.history()]


async def test_what_comes_with_the_end_of_a_parked_workflow_overtakes_nothing(autojump_clock, parked) -> None:
    """A signal that was accepted while the end was not yet written stands behind those from before. Seed 9841."""
    await parked.signal("go", 1)
    header = parked._header
    end, late = Terminate("enough"), Signal("go", Payload(b"2"))
    messages = [
        Message(f"m{number}", header.partition, header.instance, body) for number, body in enumerate((end, late))
    ]
    assert [None, None] == await parked._client.store.send(messages)
    await trio.sleep(60)
    payloads = [bytes(event.payload) for event in await parked.history() if isinstance(event, events.SignalReceived)]
    assert [b"1", b"2"] == payloads


async def test_a_replay_check_passes_over_what_nobody_knows(autojump_clock) -> None:
    """A run that was ended by force, for want of its code, does not differ from it."""
    clock = VirtualClock(autojump_clock)
    async with wf.open_engine(wf.MemoryStore(clock=clock.now), clock=clock, replay_check="always") as engine:
        handle = await engine.start("nobody knows this", id="x")
        while (await handle.describe()).parked is None:
            await trio.sleep(1)
        await handle.terminate("enough")
        await engine.replay_check.wait_idle()
        statistics = engine.statistics().replay_check
    assert (0, []) == (statistics.differences, engine.replay_check.latest)
    assert statistics.skipped > 0


class Deaf(wf.MemoryStore):
    """A store that a node joins without ever hearing of it."""

    left: tuple[str, ...] = ()

    async def join(self, node, lease_seconds):
        await super().join(node, lease_seconds)
        raise wf.StoreUnavailable("the answer was lost")

    async def leave(self, node):
        await super().leave(node)
        self.left += (node,)


async def test_a_node_that_ends_while_it_joins_says_good_bye(autojump_clock) -> None:
    """Its row may be there already, and others would wait for the end of its lease."""
    store = Deaf(clock=VirtualClock(autojump_clock).now)
    with trio.move_on_after(1):
        async with wf.open_engine(store, lease=10, clock=VirtualClock(autojump_clock)):
            raise AssertionError("it cannot have joined")
    assert 1 == len(store.left)
    assert [] == await store.nodes()


class SlowToSay(wf.MemoryStore):
    """A commit that sends something is there at once, everybody hears of it, and its answer comes a second later."""

    async def commit(self, batch):
        await super().commit(batch)
        if batch.messages:
            self.changes.publish([inbox_topic(batch.partition)])
            await trio.sleep(1)


@wf.workflow
async def sender() -> str:
    try:
        await wf.signal("late", "go", 1)
    except wf.WorkflowNotFound:
        return "refused"
    return "accepted"


async def test_what_a_workflow_sends_is_passed_on_once(autojump_clock) -> None:
    """Read in the inbox before the answer to the commit that put it there, it is not taken in again. Seed 6534."""
    clock = VirtualClock(autojump_clock)
    async with wf.open_engine(SlowToSay(clock=clock.now), register=[sender, patient], clock=clock) as engine:
        handle = await engine.start(sender)
        # By now it was looked for, and not found.
        await trio.sleep(0.5)
        late = await engine.start(patient, id="late")
        assert "refused" == await handle.result()
        await trio.sleep(10)
        assert events.SignalReceived not in [type(event) for event in await late.history()]
