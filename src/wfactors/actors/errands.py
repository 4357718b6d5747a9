"""What a partition asks the store on the way, for which no turn waits: one question after the other.

In their order, since a sender's signals arrive in its order. While the store does not answer, the first one is asked
again and the others wait behind it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import trio

from wfactors.errors import StoreUnavailable

__all__ = ["Errands"]

_log = logging.getLogger("wfactors.partition")
_RETRY_SECONDS = 0.5


class Errands:
    """The errands of one partition.

    Args:
        name: Of the partition, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, errand: Callable[[], Awaitable[None]]) -> None:
        """Run ``errand`` behind those that wait; it must do nothing before the store has answered."""
        self._waiting.append(errand)
        self._arrived.set()

    async def run(self) -> None:
        """Run errands until cancelled."""
        is_degraded = False
        while True:
            while not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            try:
                await self._waiting[0]()
            except StoreUnavailable as error:
                if not is_degraded:
                    _log.warning("partition %s waits for the store, %d errands: %s", self._name, len(self), error)
                is_degraded = True
                await trio.sleep(_RETRY_SECONDS)
            else:
                is_degraded = False
                self._waiting.popleft()
