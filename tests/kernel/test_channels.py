"""Memory channels."""

from __future__ import annotations

import math

import pytest

from tests.kernel.drive import run
from wfactors.errors import BrokenResourceError, Cancelled, ClosedResourceError, EndOfChannel, WouldBlock
from wfactors.kernel.channels import (
    MemoryChannelStatistics,
    MemoryReceiveChannel,
    MemorySendChannel,
    open_memory_channel,
)
from wfactors.kernel.lowlevel import wait_quiescent
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.scopes import CancelScope


async def settle():
    """Let every other task run until it waits."""
    await wait_quiescent(lambda: True)


def statistics(**changes):
    """The statistics of an unbuffered channel that nobody uses, with changes."""
    values = {
        "current_buffer_used": 0,
        "max_buffer_size": 0,
        "open_send_channels": 1,
        "open_receive_channels": 1,
        "tasks_waiting_send": 0,
        "tasks_waiting_receive": 0,
        "peak_buffer_used": 0,
    }
    return MemoryChannelStatistics(**(values | changes))


def test_values_arrive_in_order():
    """What is sent is received, first in, first out, until the sender closes."""

    async def main():
        send, receive = open_memory_channel(1)

        async def produce():
            async with send:
                for number in range(5):
                    await send.send(number)

        async with open_nursery() as nursery:
            nursery.start_soon(produce)
            async with receive:
                return [value async for value in receive]

    assert run(main) == [0, 1, 2, 3, 4]


def test_the_type_of_the_values_can_be_given():
    """``open_memory_channel[int](5)`` is for type checkers; it returns the two ends all the same."""
    send, receive = open_memory_channel[int](5)
    assert type(send) is MemorySendChannel
    assert type(receive) is MemoryReceiveChannel
    send.send_nowait(7)
    assert receive.receive_nowait() == 7


def test_unbuffered_channel_hands_over_from_task_to_task():
    """Without a buffer a value goes over only when both sides are there."""

    async def main():
        send, receive = open_memory_channel(0)
        with pytest.raises(WouldBlock):
            send.send_nowait(1)
        with pytest.raises(WouldBlock):
            receive.receive_nowait()
        async with open_nursery() as nursery:
            nursery.start_soon(send.send, "a")
            await settle()
            assert send.statistics() == statistics(tasks_waiting_send=1)
            assert await receive.receive() == "a"
            nursery.start_soon(settle)
            nursery.start_soon(send.send, "b")
            assert await receive.receive() == "b"
        assert receive.statistics() == statistics()

    run(main)


def test_buffered_channel_counts_what_it_holds():
    """The buffer takes as much as it is told, and remembers how full it was."""
    send, receive = open_memory_channel(2)
    for value in "ab":
        send.send_nowait(value)
    with pytest.raises(WouldBlock):
        send.send_nowait("c")
    assert receive.receive_nowait() == "a"
    assert send.statistics() == statistics(current_buffer_used=1, max_buffer_size=2, peak_buffer_used=2)


def test_unlimited_channel_never_blocks_senders():
    """``math.inf`` is a size too."""
    send, receive = open_memory_channel(math.inf)
    for value in range(1_000):
        send.send_nowait(value)
    assert [receive.receive_nowait() for _ in range(1_000)] == list(range(1_000))


def test_waiting_receivers_are_served_in_order():
    """The value goes to who has waited longest, though another asks before that one runs."""
    got = []

    async def main():
        send, receive = open_memory_channel(5)

        async def take(name):
            got.append((name, await receive.receive()))

        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(take, name)
            await settle()
            assert send.statistics().tasks_waiting_receive == 3
            for value in range(3):
                await send.send(value)
                with pytest.raises(WouldBlock):
                    receive.receive_nowait()

    run(main)
    assert got == [("a", 0), ("b", 1), ("c", 2)]


def test_waiting_senders_are_served_in_order():
    """The place that becomes free belongs to who has waited longest."""

    async def main():
        send, receive = open_memory_channel(1)
        send.send_nowait("a")
        async with open_nursery() as nursery:
            nursery.start_soon(send.send, "b")
            nursery.start_soon(send.send, "c")
            await settle()
            got = [receive.receive_nowait()]
            with pytest.raises(WouldBlock):
                send.send_nowait("too early")
            got += [await receive.receive(), await receive.receive()]
        return got

    assert run(main) == ["a", "b", "c"]


@pytest.mark.parametrize("sends", [True, False])
def test_cancelled_operation_leaves_the_channel_as_it_was(sends):
    """Who is cancelled while waiting, or before, has neither sent nor received."""

    async def main():
        send, receive = open_memory_channel(0)

        async def operate():
            await (send.send("lost") if sends else receive.receive())

        async with open_nursery() as nursery:
            nursery.start_soon(operate)
            await settle()
            nursery.cancel_scope.cancel()
        assert send.statistics() == statistics()
        with CancelScope() as scope:
            scope.cancel()
            with pytest.raises(Cancelled):
                await operate()

    run(main)


def test_closing_the_senders_ends_the_channel():
    """Receivers get what is in the buffer, then the end; those who wait get it at once."""

    async def main():
        send, receive = open_memory_channel(1)
        other = send.clone()
        send.send_nowait("last")
        send.close()
        send.close()
        with pytest.raises(ClosedResourceError):
            send.send_nowait("no")
        with pytest.raises(ClosedResourceError):
            await send.send("no")
        with pytest.raises(ClosedResourceError):
            send.clone()
        assert await receive.receive() == "last"

        async def wait_for_the_end():
            with pytest.raises(EndOfChannel):
                await receive.receive()

        async with open_nursery() as nursery:
            nursery.start_soon(wait_for_the_end)
            nursery.start_soon(wait_for_the_end)
            await settle()
            await other.aclose()
        with pytest.raises(EndOfChannel):
            receive.receive_nowait()
        assert send.statistics() == statistics(max_buffer_size=1, peak_buffer_used=1, open_send_channels=0)

    run(main)


def test_closing_the_receivers_breaks_the_channel():
    """Senders are told that nobody will receive, and what is in the buffer is dropped."""

    async def main():
        send, receive = open_memory_channel(1)
        other = receive.clone()
        send.send_nowait("dropped")
        receive.close()
        receive.close()
        with pytest.raises(ClosedResourceError):
            receive.receive_nowait()
        with pytest.raises(ClosedResourceError):
            receive.clone()

        async def wait_to_send():
            with pytest.raises(BrokenResourceError):
                await send.send("never")

        async with open_nursery() as nursery:
            nursery.start_soon(wait_to_send)
            nursery.start_soon(wait_to_send)
            await settle()
            with other:
                pass
        with pytest.raises(BrokenResourceError):
            send.send_nowait("no")
        assert send.statistics() == statistics(max_buffer_size=1, peak_buffer_used=1, open_receive_channels=0)

    run(main)


def test_closing_a_handle_wakes_only_those_who_wait_on_it():
    """A clone goes on when another handle of the same end is closed."""
    done = []

    async def main():
        send, receive = open_memory_channel(0)
        send_clone, receive_clone = send.clone(), receive.clone()

        async def closed(operation, *args):
            with pytest.raises(ClosedResourceError):
                await operation(*args)
            done.append("closed")

        async def works(operation, *args):
            done.append(await operation(*args))

        async with open_nursery() as nursery:
            nursery.start_soon(closed, send.send, "no")
            nursery.start_soon(works, send_clone.send, "value")
            await settle()
            send.close()
            await settle()
            assert await receive.receive() == "value"
            nursery.start_soon(closed, receive.receive)
            nursery.start_soon(works, receive_clone.receive)
            await settle()
            receive.close()
            await send_clone.send("other")

    run(main)
    assert done == ["closed", None, "closed", "other"]


def test_ends_tell_which_channel_they_are_of():
    """Both ends name the same buffer."""
    send, receive = open_memory_channel(0)
    assert repr(send).startswith("<send channel at")
    assert repr(receive).startswith("<receive channel at")
    assert repr(send).rpartition(" ")[2] == repr(receive).rpartition(" ")[2]


@pytest.mark.parametrize(("size", "error"), [(1.5, TypeError), ("1", TypeError), (-1, ValueError)])
def test_nonsense_sizes_are_refused(size, error):
    """A buffer holds a whole number of values, from zero, or any number."""
    with pytest.raises(error, match="max_buffer_size"):
        open_memory_channel(size)
