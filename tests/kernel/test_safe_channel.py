"""``as_safe_channel``. Most of what it promises is held by Trio's own tests, in ``trio_suite``."""

from __future__ import annotations

import pytest

from tests.kernel.drive import run
from wfactors.errors import BrokenResourceError, Cancelled, ClosedResourceError, EndOfChannel
from wfactors.kernel.lowlevel import checkpoint, wait_quiescent
from wfactors.kernel.nursery import open_nursery
from wfactors.kernel.safe_channel import as_safe_channel
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.timeouts import sleep_forever


@as_safe_channel
async def count(stop, record):
    """Yield numbers, and write down how far it got."""
    try:
        for number in range(stop):
            record.append(number)
            yield number
    finally:
        record.append("closed")


def test_values_come_one_by_one_as_they_are_asked_for():
    """The generator is never ahead of its consumer."""
    record = []

    async def main():
        async with count(3, record) as channel:
            async for value in channel:
                await checkpoint()
                assert record == list(range(value + 1))
            with pytest.raises(EndOfChannel):
                await channel.receive()

    run(main)
    assert record == [0, 1, 2, "closed"]


def test_leaving_the_block_closes_the_generator():
    """What was not asked for is not made."""
    record = []

    async def main():
        async with count(3, record) as channel:
            assert await channel.receive() == 0

    run(main)
    assert record == [0, "closed"]


def test_closed_channel_asks_for_nothing_more():
    """A closed channel refuses, and a generator that has not begun never does."""
    record = []

    async def main():
        async with count(3, record) as channel:
            await channel.aclose()
            with pytest.raises(ClosedResourceError):
                await channel.receive()
            await checkpoint()

    run(main)
    assert record == []


def test_value_that_nobody_can_take_ends_the_generator():
    """A consumer that closes the channel while a value is being made is not an error."""

    async def main():
        @as_safe_channel
        async def values():
            yield 1
            await channel.aclose()
            yield 2
            raise AssertionError("never asked for")

        async with values() as channel:
            assert await channel.receive() == 1
            with pytest.raises(ClosedResourceError):
                await channel.receive()
            await wait_quiescent(lambda: True)

    run(main)


def test_failure_of_the_generator_is_raised_as_itself():
    """Not in a group, and a BrokenResourceError of its own is a failure like any other."""

    @as_safe_channel
    async def broken():
        yield 1
        raise BrokenResourceError("mine")

    async def main():
        async with broken() as channel:
            async for _ in channel:
                pass

    with pytest.raises(BrokenResourceError, match="mine"):
        run(main)


def test_two_failures_come_in_a_group_that_says_so():
    """The block's failure and that of the clean-up are both there."""

    @as_safe_channel
    async def broken():
        try:
            yield 1
        finally:
            raise ValueError("clean-up")

    async def main():
        async with broken() as channel:
            await channel.receive()
            raise TypeError("block")

    with pytest.RaisesGroup(ValueError, TypeError) as caught:
        run(main)
    assert caught.value.__notes__ == ["both the block and the generator's clean-up failed"]


def test_nursery_in_the_generator_ends_with_it():
    """Its GeneratorExit comes back in a group and is dropped; its tasks' failures are not."""
    ended = []

    async def fail():
        try:
            await sleep_forever()
        except Cancelled:
            ended.append(True)
            raise ValueError("task") from None

    @as_safe_channel
    async def values(*tasks):
        async with open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)
            yield 1

    async def main(*tasks):
        async with values(*tasks) as channel:
            await channel.receive()

    run(main)
    run(main, sleep_forever)
    with pytest.RaisesGroup(ValueError):
        run(main, fail)
    assert ended == [True]


@pytest.mark.parametrize("others", [[], [KeyError]])
def test_stray_generator_exit_is_reported(others):
    """One GeneratorExit is Python's; a second one is a bug of the generator's."""

    async def fail(error):
        try:
            await sleep_forever()
        except Cancelled:
            raise error from None

    @as_safe_channel
    async def values():
        async with open_nursery() as nursery:
            for error in (GeneratorExit, *others):
                nursery.start_soon(fail, error)
            yield 1

    async def main():
        async with values() as channel:
            await channel.receive()

    with pytest.RaisesGroup(AssertionError, *others):
        run(main)


def test_cancelled_consumer_cancels_the_generator():
    """A scope outside reaches both, and catches what comes out."""
    record = []

    async def main():
        with CancelScope() as scope:
            async with count(3, record) as channel:
                await channel.receive()
                scope.cancel()
                await checkpoint()
        assert scope.cancelled_caught

    run(main)
    assert record == [0, "closed"]
