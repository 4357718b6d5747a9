"""How waiting tasks learn that the store may have changed, without asking it again and again.

A waiter subscribes to a topic *before* it reads, reads, and waits; so a change between the two is not missed. A
notice carries nothing: whoever is woken reads again. The store publishes what it committed itself, topic by topic, and
``publish_all`` when another process wrote something it cannot name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import trio

__all__ = ["NODES_TOPIC", "Changes", "Subscription", "inbox_topic", "instance_topic", "reply_topic", "tasks_topic"]

NODES_TOPIC = "nodes"
"""A node joined, left or was buried, or a partition was acquired or released."""


def inbox_topic(partition: str) -> str:
    """A message or a created instance is there for the partition; what its owner's own commit put there is no news."""
    return f"inbox/{partition}"


def tasks_topic(queue: str) -> str:
    """A task of the queue is free, or a held one was asked to stop."""
    return f"tasks/{queue}"


def instance_topic(instance: str) -> str:
    """A run of the instance ended or was parked, or the instance was removed."""
    return f"instance/{instance}"


def reply_topic(id: str) -> str:
    """A reply is there."""
    return f"reply/{id}"


class Subscription:
    """One waiter's view of some topics: a flag that stays up from a change until it is waited for."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: trio.Event | None = None

    @property
    def has_notice(self) -> bool:
        """Whether ``wait`` would return at once."""
        return self._is_set

    def notify(self) -> None:
        """Say that something may have changed."""
        self._is_set = True
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Return once something may have changed since the last return; a checkpoint either way.

        Cancelled while waiting, it forgets nothing: the next call returns at once if a change came meanwhile.
        """
        if self._is_set:
            await trio.lowlevel.checkpoint()
        else:
            self._event = trio.Event()
            await self._event.wait()
        self._is_set = False


class Changes:
    """The topics of one opened store and who waits for them."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[int, Subscription]] = {}

    @contextmanager
    def subscribe(self, *topics: str) -> Iterator[Subscription]:
        """Hear of changes of ``topics`` inside the block; starts without a notice."""
        subscription = Subscription()
        for topic in topics:
            self._topics.setdefault(topic, {})[id(subscription)] = subscription
        try:
            yield subscription
        finally:
            for topic in topics:
                waiting = self._topics[topic]
                del waiting[id(subscription)]
                if not waiting:
                    del self._topics[topic]

    def publish(self, topics: Iterable[str]) -> None:
        """Notify whoever waits for one of ``topics``."""
        for topic in topics:
            for subscription in self._topics.get(topic, {}).values():
                subscription.notify()

    def publish_all(self) -> None:
        """Notify everybody: something changed, nobody knows what."""
        for waiting in self._topics.values():
            for subscription in waiting.values():
                subscription.notify()

    @property
    def is_watched(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(self._topics)
