"""Say in the log that an activity is called which no running engine has: the call waits, and somebody should know."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import trio

from wfactors.errors import StoreUnavailable

if TYPE_CHECKING:
    from wfactors.stores.base import Store

__all__ = ["Unserved"]

_log = logging.getLogger("wfactors.activities")


class Unserved:
    """Looks once, among all nodes, for each activity that this node does not run.

    Args:
        store: Knows the nodes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: set[tuple[str, str]] = set()
        self._questions: deque[tuple[str, str]] = deque()
        self._arrived = trio.Event()

    def note(self, queue: str, activity: str) -> None:
        """``activity`` is to run on ``queue``, and not on this node."""
        question = (queue, activity)
        if question not in self._seen:
            self._seen.add(question)
            self._questions.append(question)
            self._arrived.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._questions:
                queue, activity = self._questions.popleft()
                try:
                    nodes = await self._store.nodes()
                except StoreUnavailable:
                    # It is asked again at the next call.
                    self._seen.discard((queue, activity))
                    continue
                if not any(node.is_alive and queue in node.queues and activity in node.activities for node in nodes):
                    _log.warning(
                        "no running engine has activity %r of queue %r: calls of it wait for one that has",
                        activity,
                        queue,
                    )
