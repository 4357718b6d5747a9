"""The signals of a run: kept by name in the order of arrival, until somebody reads them.

A signal belongs to its name, not to an object: it waits here before anybody has asked for it, whoever asks first gets
the first, and what nobody has read is carried over to the next run when this one continues as new.
"""

from __future__ import annotations

from collections import deque
from functools import partial

import attrs

from wfactors.errors import WouldBlock
from wfactors.kernel.lowlevel import (
    Abort,
    RaiseCancel,
    cancel_shielded_checkpoint,
    checkpoint_if_cancelled,
    current_task,
    park,
    reschedule,
)
from wfactors.kernel.task import Task
from wfactors.model.events import CarriedSignal, SignalReceived
from wfactors.model.payloads import Payload

__all__ = ["SignalQueue", "SignalStatistics", "Signals"]


@attrs.frozen
class SignalStatistics:
    """What the channel of a signal looks like now.

    Attributes:
        current_buffer_used: How many signals of this name nobody has read.
        tasks_waiting_receive: How many tasks wait for one.
    """

    current_buffer_used: int
    tasks_waiting_receive: int


class SignalQueue:
    """The signals of one name. Either nobody waits or nothing is kept."""

    __slots__ = ("_awaited", "_kept", "_waiting", "name")

    def __init__(self, name: str, awaited: dict[str, None]) -> None:
        self.name = name
        # That of all queues of the run: this name is in it while a task waits here.
        self._awaited = awaited
        # With the number of its arrival among all signals of the run.
        self._kept: deque[tuple[int, CarriedSignal | SignalReceived]] = deque()
        # A dict as an ordered set: who waits longest is served first, and who is cancelled leaves in O(1).
        self._waiting: dict[Task, None] = {}

    def __str__(self) -> str:
        return f"signal {self.name!r}"

    @property
    def kept(self) -> deque[tuple[int, CarriedSignal | SignalReceived]]:
        return self._kept

    def put(self, arrival: int, signal: CarriedSignal | SignalReceived) -> None:
        """Give the signal to whoever waits longest, or keep it."""
        for task in self._waiting:
            self._leave(task)
            reschedule(task, signal.payload)
            return
        self._kept.append((arrival, signal))

    def receive_nowait(self) -> Payload:
        """Take the first signal, or raise WouldBlock."""
        if not self._kept:
            raise WouldBlock
        return self._kept.popleft()[1].payload

    async def receive(self) -> Payload:
        """Take the first signal, waiting for one if necessary. Cancelled, it has taken nothing."""
        await checkpoint_if_cancelled()
        if self._kept:
            payload = self.receive_nowait()
            await cancel_shielded_checkpoint()
            return payload
        task = current_task()
        self._waiting[task] = None
        self._awaited[self.name] = None
        task.waiting_for = self
        received: Payload = await park(task, partial(self._abort, task))
        return received

    def statistics(self) -> SignalStatistics:
        return SignalStatistics(current_buffer_used=len(self._kept), tasks_waiting_receive=len(self._waiting))

    def _abort(self, task: Task, _: RaiseCancel) -> Abort:
        self._leave(task)
        return Abort.SUCCEEDED

    def _leave(self, task: Task) -> None:
        del self._waiting[task]
        if not self._waiting:
            del self._awaited[self.name]


class Signals:
    """All signals of a run.

    Attributes:
        awaited: The names that tasks wait for, a dict as an ordered set, the one awaited longest first.
            The queues keep it, so nobody has to look through all there ever were.
    """

    __slots__ = ("_arrivals", "_queues", "awaited")

    def __init__(self) -> None:
        self._queues: dict[str, SignalQueue] = {}
        self.awaited: dict[str, None] = {}
        self._arrivals = 0

    def queue(self, name: str) -> SignalQueue:
        """The one queue of this name."""
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = SignalQueue(name, self.awaited)
        return queue

    def arrived(self, signal: CarriedSignal | SignalReceived) -> None:
        """Take in a signal."""
        self._arrivals += 1
        self.queue(signal.name).put(self._arrivals, signal)

    def unread(self) -> tuple[CarriedSignal, ...]:
        """What nobody has read, in the order of arrival."""
        kept = sorted((entry for queue in self._queues.values() for entry in queue.kept), key=_arrival)
        return tuple(CarriedSignal(signal.name, signal.payload, signal.message) for _, signal in kept)


def _arrival(entry: tuple[int, object]) -> int:
    return entry[0]
