"""Memory channels: how tasks of one workflow hand values to each other.

A channel is one ``_State`` with two kinds of handles on it, for sending and for receiving. Handles can be cloned, and
the channel is open in a direction as long as one handle of that direction is. Whoever has to wait is queued in the
state, in order of arrival, and noted at the handle it waits on, because closing a handle wakes the tasks on that
handle alone. ``task.custom_sleep_data`` leads from the task back to that handle.

The state has either values in its buffer, or waiting receivers; and waiting senders only if the buffer is full.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import partial
from math import inf
from typing import Any, Generic, Self, TypeVar

import attrs

from wfactors.errors import BrokenResourceError, ClosedResourceError, EndOfChannel, WouldBlock
from wfactors.kernel.lowlevel import (
    Abort,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
    park,
    reschedule,
)
from wfactors.kernel.task import Task

__all__ = ["MemoryChannelStatistics", "MemoryReceiveChannel", "MemorySendChannel", "open_memory_channel"]

T = TypeVar("T")
SendType_contra = TypeVar("SendType_contra", contravariant=True)
ReceiveType_co = TypeVar("ReceiveType_co", covariant=True)

_NOTHING: Any = object()


# A class, so that one can write open_memory_channel[int](5) and a type checker knows what is sent.
class open_memory_channel(tuple["MemorySendChannel[T]", "MemoryReceiveChannel[T]"]):  # noqa: N801
    """Open a channel and return its two ends, ``(send_channel, receive_channel)``: data flows from left to right.

    Sending and receiving are atomic under cancellation: either a value goes over, or ``Cancelled`` is raised and the
    channel is as it was. Close the sending end to let receivers know that no more will come.

    Args:
        max_buffer_size: How many values may wait in the channel before ``send`` blocks: an integer from 0, or
            ``math.inf``. With 0 a value goes straight from a sender to a receiver.

    Raises:
        TypeError: ``max_buffer_size`` is neither.
        ValueError: It is negative.
    """

    __slots__ = ()

    def __new__(  # type: ignore[misc]  # Returns the pair, not an instance of itself.
        cls, max_buffer_size: float
    ) -> tuple[MemorySendChannel[T], MemoryReceiveChannel[T]]:
        """Return the two ends."""
        if max_buffer_size != inf and not isinstance(max_buffer_size, int):
            raise TypeError("max_buffer_size must be an integer or math.inf")
        if max_buffer_size < 0:
            raise ValueError("max_buffer_size must be >= 0")
        state: _State[T] = _State(max_buffer_size)
        return MemorySendChannel(state), MemoryReceiveChannel(state)

    def __init__(self, max_buffer_size: float) -> None: ...


@attrs.frozen
class MemoryChannelStatistics:
    """What a channel looks like now.

    Attributes:
        current_buffer_used: How many values are in the buffer.
        max_buffer_size: How many fit in.
        open_send_channels: How many handles for sending are open.
        open_receive_channels: How many handles for receiving are open.
        tasks_waiting_send: How many tasks are blocked in ``send``.
        tasks_waiting_receive: How many tasks are blocked in ``receive``.
        peak_buffer_used: The most values that were ever in the buffer.
    """

    current_buffer_used: int
    max_buffer_size: int | float
    open_send_channels: int
    open_receive_channels: int
    tasks_waiting_send: int
    tasks_waiting_receive: int
    peak_buffer_used: int


@attrs.define(eq=False)
class _State(Generic[T]):
    max_buffer_size: int | float
    data: deque[T] = attrs.field(factory=deque, init=False)
    senders: int = attrs.field(default=0, init=False)
    receivers: int = attrs.field(default=0, init=False)
    # Who waits to send, with the value; who waits to receive.
    send_tasks: OrderedDict[Task, T] = attrs.field(factory=OrderedDict, init=False)
    receive_tasks: OrderedDict[Task, None] = attrs.field(factory=OrderedDict, init=False)
    peak_buffer_used: int = attrs.field(default=0, init=False)

    def statistics(self) -> MemoryChannelStatistics:
        return MemoryChannelStatistics(
            current_buffer_used=len(self.data),
            max_buffer_size=self.max_buffer_size,
            open_send_channels=self.senders,
            open_receive_channels=self.receivers,
            tasks_waiting_send=len(self.send_tasks),
            tasks_waiting_receive=len(self.receive_tasks),
            peak_buffer_used=self.peak_buffer_used,
        )


class _Handle:
    """What both ends have in common: they are closed in the same ways."""

    __slots__ = ("__weakref__", "_closed", "_state", "_waiting")

    def __init__(self, state: _State[Any]) -> None:
        # Any: one base cannot be covariant for receivers and contravariant for senders.
        self._state = state
        self._closed = False
        # The tasks that wait on this handle; the state has those of all clones.
        self._waiting: dict[Task, None] = {}

    def close(self) -> None: ...  # Each end has its own.

    def clone(self) -> Self:
        """Return another handle on the same end, which is open until all of them are closed.

        Raises:
            ClosedResourceError: This handle is closed.
        """
        if self._closed:
            raise ClosedResourceError
        return type(self)(self._state)

    async def aclose(self) -> None:
        """Close this handle as ``close`` does, then execute a checkpoint."""
        self.close()
        await checkpoint()

    def statistics(self) -> MemoryChannelStatistics:
        """Return the statistics of the channel as a whole."""
        return self._state.statistics()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class MemorySendChannel(_Handle, Generic[SendType_contra]):
    """The end of a channel that values go into."""

    __slots__ = ()
    _state: _State[SendType_contra]

    def __init__(self, state: _State[Any]) -> None:
        super().__init__(state)
        state.senders += 1

    def __repr__(self) -> str:
        return f"<send channel at {id(self):#x}, using buffer at {id(self._state):#x}>"

    def send_nowait(self, value: SendType_contra) -> None:
        """Send a value if that is possible at once.

        Raises:
            WouldBlock: The buffer is full and nobody waits to receive.
            ClosedResourceError: This handle is closed.
            BrokenResourceError: Every receiving handle is closed.
        """
        if not self._hand_over(value):
            raise WouldBlock

    async def send(self, value: SendType_contra) -> None:
        """Send a value, waiting for room or a receiver if necessary.

        Raises:
            ClosedResourceError: This handle is closed, or was while the task waited.
            BrokenResourceError: Every receiving handle is closed, or was while the task waited.
        """
        await checkpoint_if_cancelled()
        if self._hand_over(value):
            await cancel_shielded_checkpoint()
            return
        task = current_task()
        self._waiting[task] = None
        self._state.send_tasks[task] = value
        task.custom_sleep_data = task.waiting_for = self
        await park(task, partial(self._abort, task))

    def close(self) -> None:
        """Close this handle without a checkpoint: tasks that wait on it get ``ClosedResourceError``.

        With the last handle, receivers get ``EndOfChannel`` once the buffer is empty.
        """
        if self._closed:
            return
        self._closed = True
        state = self._state
        for task in self._waiting:
            del state.send_tasks[task]
            reschedule(task, error=ClosedResourceError())
        self._waiting.clear()
        state.senders -= 1
        if state.senders == 0:
            assert not state.send_tasks
            for task in state.receive_tasks:
                _wake(task, error=EndOfChannel())
            state.receive_tasks.clear()

    def _hand_over(self, value: SendType_contra) -> bool:
        if self._closed:
            raise ClosedResourceError
        state = self._state
        if state.receivers == 0:
            raise BrokenResourceError
        if state.receive_tasks:
            assert not state.data
            task, _ = state.receive_tasks.popitem(last=False)
            _wake(task, value)
        elif len(state.data) < state.max_buffer_size:
            state.data.append(value)
            state.peak_buffer_used = max(state.peak_buffer_used, len(state.data))
        else:
            return False
        return True

    def _abort(self, task: Task, _: object) -> Abort:
        del self._waiting[task]
        del self._state.send_tasks[task]
        return Abort.SUCCEEDED


class MemoryReceiveChannel(_Handle, Generic[ReceiveType_co]):
    """The end of a channel that values come out of, one by one or by ``async for``, until all senders are closed."""

    __slots__ = ()
    _state: _State[ReceiveType_co]

    def __init__(self, state: _State[Any]) -> None:
        super().__init__(state)
        state.receivers += 1

    def __repr__(self) -> str:
        return f"<receive channel at {id(self):#x}, using buffer at {id(self._state):#x}>"

    def receive_nowait(self) -> ReceiveType_co:
        """Return the next value if there is one.

        Raises:
            WouldBlock: There is none yet.
            EndOfChannel: There is none, and every sending handle is closed.
            ClosedResourceError: This handle is closed.
        """
        value: ReceiveType_co = self._take()
        if value is _NOTHING:
            raise WouldBlock
        return value

    async def receive(self) -> ReceiveType_co:
        """Return the next value, waiting for it if necessary.

        Raises:
            EndOfChannel: There is none, and every sending handle is closed, or was while the task waited.
            ClosedResourceError: This handle is closed, or was while the task waited.
        """
        await checkpoint_if_cancelled()
        value: ReceiveType_co = self._take()
        if value is not _NOTHING:
            await cancel_shielded_checkpoint()
            return value
        task = current_task()
        self._waiting[task] = None
        self._state.receive_tasks[task] = None
        task.custom_sleep_data = task.waiting_for = self
        received: ReceiveType_co = await park(task, partial(self._abort, task))
        return received

    def close(self) -> None:
        """Close this handle without a checkpoint: tasks that wait on it get ``ClosedResourceError``.

        With the last handle, what is in the buffer is dropped and senders get ``BrokenResourceError``.
        """
        if self._closed:
            return
        self._closed = True
        state = self._state
        for task in self._waiting:
            del state.receive_tasks[task]
            reschedule(task, error=ClosedResourceError())
        self._waiting.clear()
        state.receivers -= 1
        if state.receivers == 0:
            assert not state.receive_tasks
            for task in state.send_tasks:
                _wake(task, error=BrokenResourceError())
            state.send_tasks.clear()
            state.data.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReceiveType_co:
        try:
            return await self.receive()
        except EndOfChannel:
            raise StopAsyncIteration from None

    def _take(self) -> Any:
        if self._closed:
            raise ClosedResourceError
        state = self._state
        if state.send_tasks:
            # The sender that has waited longest gets the place in the buffer that is about to be free.
            task, value = state.send_tasks.popitem(last=False)
            _wake(task)
            state.data.append(value)
        if state.data:
            return state.data.popleft()
        if state.senders == 0:
            raise EndOfChannel
        return _NOTHING

    def _abort(self, task: Task, _: object) -> Abort:
        del self._waiting[task]
        del self._state.receive_tasks[task]
        return Abort.SUCCEEDED


def _wake(task: Task, value: object = None, error: BaseException | None = None) -> None:
    # It may wait on any clone of the other end, and that clone's close() must not find it any more.
    handle: _Handle = task.custom_sleep_data
    del handle._waiting[task]
    reschedule(task, value, error)
