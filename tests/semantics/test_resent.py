"""Messages that come again, and late; each was first found by the simulator."""

from __future__ import annotations

import trio

import wfactors as wf
from wfactors.model import events
from wfactors.model.messages import Message, Signal
from wfactors.model.payloads import Payload
from wfactors.testing.clocks import VirtualClock


@wf.workflow
async def collects(count: int) -> list[int]:
    numbers = wf.signals("number", int)
    return [await numbers.receive() for _ in range(count)]


class SendsAgain(wf.MemoryStore):
    """A store whose client sends a message again when a commit has removed it and the owner was not told yet."""

    async def commit(self, batch):
        await super().commit(batch)
        if "twice" in batch.messages_removed and not getattr(self, "was_sent", False):
            self.was_sent = True
            header = (await self.header(batch.headers[0].instance)) if batch.headers else None
            assert header is not None
            await self.send([signal(header, 1)])
            await trio.sleep(1)


def signal(header, number):
    return Message("twice", header.partition, header.instance, Signal("number", Payload(b"%d" % number)))


async def test_a_message_sent_again_before_the_owner_hears_of_its_removal_is_taken_in(autojump_clock) -> None:
    """It is known from the history, so it changes nothing, and its row does not stay in the inbox."""
    clock = VirtualClock(autojump_clock)
    store = SendsAgain(clock=clock.now)
    async with wf.open_engine(store, register=[collects], clock=clock) as engine:
        handle = await engine.start(collects, 2, id="c")
        assert [None] == await store.send([signal(await store.header(handle.instance), 1)])
        await trio.sleep(10)
        assert store.was_sent
        assert [] == (await store.dump())["inbox"]
        await handle.signal("number", 2)
        assert [1, 2] == await handle.result()


class ReadsSlowly(SendsAgain):
    """And what was asked behind that message is answered only when there is another one."""

    async def inbox(self, partition, after, limit, *, instance=None):
        if after == 2 and not getattr(self, "was_slow", False):
            self.was_slow = True
            await trio.sleep(10)
        return await super().inbox(partition, after, limit, instance=instance)


async def test_a_message_sent_again_is_taken_in_though_others_are_being_read(autojump_clock) -> None:
    """The owner hears of the removal while it reads on behind the message: that is read again all the same."""
    clock = VirtualClock(autojump_clock)
    store = ReadsSlowly(clock=clock.now)
    async with wf.open_engine(store, register=[collects], clock=clock) as engine:
        handle = await engine.start(collects, 2, id="c")
        header = await store.header(handle.instance)
        assert [None] == await store.send([signal(header, 1)])
        await trio.sleep(5)
        assert store.was_slow
        other = Message("other", header.partition, header.instance, Signal("number", Payload(b"2")))
        assert [None] == await store.send([other])
        assert [1, 2] == await handle.result()
        await trio.sleep(1)
        assert [] == (await store.dump())["inbox"]


class Shifted:
    """The clock of a node that is behind."""

    def __init__(self, clock, seconds):
        self._clock = clock
        self._seconds = seconds

    def now(self):
        return self._clock.now() + self._seconds

    async def sleep_until(self, at):
        await self._clock.sleep_until(at - self._seconds)


async def test_a_late_signal_is_no_earlier_than_the_end_of_its_run(autojump_clock) -> None:
    """The node that takes it in has a clock that is behind; time in a history does not go back."""
    clock = VirtualClock(autojump_clock)
    store = wf.MemoryStore(clock=clock.now)
    async with wf.open_engine(store, register=[collects], clock=clock) as engine:
        handle = await engine.start(collects, 1, id="c")
        await trio.sleep(10)
        header = await store.header(handle.instance)
    assert [None] == await store.send([signal(header, 1)])
    late = Message("late", header.partition, header.instance, Signal("number", Payload(b"2")))
    assert [None] == await store.send([late])
    async with wf.open_engine(store, register=[collects], clock=Shifted(clock, -1000)) as engine:
        handle = await engine.get("c")
        assert [1] == await handle.result()
        await trio.sleep(1)
        history = await handle.history()
    assert isinstance(history[-1], events.SignalReceived)
    times = [event.time for event in history if hasattr(event, "time")]
    assert times == sorted(times)


async def test_a_signal_sent_again_and_taken_in_after_the_end_of_its_run_is_there_once(autojump_clock) -> None:
    """The next owner finds it in the inbox of a closed workflow, whose history has it."""
    clock = VirtualClock(autojump_clock)
    store = wf.MemoryStore(clock=clock.now)
    async with wf.open_engine(store, register=[collects], clock=clock) as engine:
        handle = await engine.start(collects, 1, id="c")
        header = await store.header(handle.instance)
        assert [None] == await store.send([signal(header, 1)])
        assert [1] == await handle.result()
    store._state._put_message(signal(header, 1))  # As if it had come before the end, and nobody had read it yet.
    async with wf.open_engine(store, register=[collects], clock=clock) as engine:
        await trio.sleep(1)
        history = await (await engine.get("c")).history()
        assert [] == (await store.dump())["inbox"]
    assert 1 == sum(isinstance(event, events.SignalReceived) for event in history)


async def test_a_signal_sent_again_to_the_next_run_of_the_same_owner_is_there_once(autojump_clock) -> None:
    """The run that has it in its history continued as new meanwhile; the next one does not take it in again."""

    @wf.workflow
    async def collects_over_runs(seen: list[int]) -> list[int]:
        seen = [*seen, await wf.signals("number", int).receive()]
        return seen if len(seen) == 2 else wf.continue_as_new(seen)

    clock = VirtualClock(autojump_clock)
    store = wf.MemoryStore(clock=clock.now)
    async with wf.open_engine(store, register=[collects_over_runs], clock=clock) as engine:
        handle = await engine.start(collects_over_runs, [], id="c")
        header = await store.header(handle.instance)
        for _ in range(2):
            assert [None] == await store.send([signal(header, 1)])
            await trio.sleep(10)
        await handle.signal("number", 2)
        assert [1, 2] == await handle.result()
        assert [] == (await store.dump())["inbox"]
