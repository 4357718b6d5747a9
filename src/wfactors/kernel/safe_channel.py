"""Asynchronous generators made safe: ``as_safe_channel``.

A generator that yields inside of a nursery or cancel scope lends it to whoever iterates, and then scopes are left in
the wrong order, cancellations arrive in the wrong task, and clean-up happens whenever the garbage collector comes by.
Here the generator gets a task of its own and is never in the middle of a ``yield`` in anybody else's. The consumer
sees a channel; each ``receive`` asks for one value, and the generator does not run further than it was asked to.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from wfactors.errors import BrokenResourceError, EndOfChannel
from wfactors.kernel.channels import MemoryReceiveChannel, MemorySendChannel, open_memory_channel
from wfactors.kernel.combine import plain, raise_unchanged
from wfactors.kernel.limits import Semaphore
from wfactors.kernel.nursery import open_nursery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["SafeReceiveChannel", "as_safe_channel"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def as_safe_channel(
    generator_fn: Callable[P, AsyncGenerator[T, None]],
) -> Callable[P, AbstractAsyncContextManager[SafeReceiveChannel[T]]]:
    """Decorate an async generator function: calling it gives a context manager around a channel of its values.

    ::

        @as_safe_channel
        async def pages(first):
            async with open_nursery() as nursery:
                ...
                yield page

        async with pages(1) as channel:
            async for page in channel:
                ...

    Leaving the block cancels and closes the generator. What it raises is raised by the block, as itself unless both
    fail: then an exception group has both.
    """

    @asynccontextmanager
    @wraps(generator_fn)
    async def manager(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[SafeReceiveChannel[T]]:
        send_channel, receive_channel = open_memory_channel[T](0)
        demand = Semaphore(0)
        try:
            async with open_nursery() as nursery:
                # start(), because only a task that has begun is sure to close the channel and the generator.
                await nursery.start(_serve, generator_fn(*args, **kwargs), send_channel, demand)
                # Not "async with": its checkpoint would replace an exception on its way out by Cancelled.
                with receive_channel:
                    yield SafeReceiveChannel(receive_channel, demand)
                nursery.cancel_scope.cancel("the block around the channel was left")
        except BaseExceptionGroup as group:
            failure = plain(group)
            if failure is group:
                group.add_note("both the block and the generator's clean-up failed")
        else:
            return
        raise_unchanged(failure)

    return manager


class SafeReceiveChannel(Generic[T_co]):
    """The values of a generator: ``receive()``, or ``async for value in channel``. ``as_safe_channel`` makes it."""

    __slots__ = ("_channel", "_demand")

    def __init__(self, channel: MemoryReceiveChannel[T_co], demand: Semaphore) -> None:
        self._channel = channel
        self._demand = demand

    async def receive(self) -> T_co:
        """Have the generator make its next value, and return it.

        Raises:
            EndOfChannel: The generator has ended. If it has raised, the block around the channel raises that.
            ClosedResourceError: The channel is closed.
        """
        self._demand.release()
        return await self._channel.receive()

    async def aclose(self) -> None:
        """Close the channel, so that the generator is asked for nothing more; a checkpoint."""
        await self._channel.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        try:
            return await self.receive()
        except EndOfChannel:
            raise StopAsyncIteration from None


# --- Helpers ---------------------------------------------------------------------------------------------------------


async def _serve(
    generator: AsyncGenerator[Any, None], channel: MemorySendChannel[Any], demand: Semaphore, *, task_status: Any
) -> None:
    with channel:
        try:
            task_status.started()
            await demand.acquire()
            # Who asks and then closes the channel does not want the work done.
            while channel.statistics().open_receive_channels:
                try:
                    value = await anext(generator)
                except StopAsyncIteration:
                    return
                try:
                    await channel.send(value)
                except BrokenResourceError:
                    return
                await demand.acquire()
        finally:
            await _close(generator)


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    try:
        await generator.aclose()
    except BaseExceptionGroup as group:
        # aclose() throws one GeneratorExit in and expects it back. A nursery inside has put a group around it.
        exits, rest = group.split(GeneratorExit)
        if exits is not None and _count(exits) > 1:
            stray = AssertionError("the generator raised GeneratorExit by itself")
            rest = group.derive([*(rest.exceptions if rest is not None else ()), stray])
        if rest is not None:
            raise rest from None


def _count(error: BaseException) -> int:
    return sum(map(_count, error.exceptions)) if isinstance(error, BaseExceptionGroup) else 1
