"""Say in the log that an activity is called which no running engine has: the call waits, and somebody should know."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wfactors.actors.errands import Errands
    from wfactors.stores.base import Store

__all__ = ["Unserved"]

_log = logging.getLogger("wfactors.activities")


class Unserved:
    """Looks once, among all nodes, for each activity that this node does not run.

    Args:
        store: Knows the nodes.
        errands: Of the partition that calls them.
    """

    def __init__(self, store: Store, errands: Errands) -> None:
        self._store = store
        self._errands = errands
        self._seen: set[tuple[str, str]] = set()

    def note(self, queue: str, activity: str) -> None:
        """``activity`` is to run on ``queue``, and not on this node."""
        if (queue, activity) not in self._seen:
            self._seen.add((queue, activity))
            self._errands.add(partial(self._look, queue, activity))

    async def _look(self, queue: str, activity: str) -> None:
        nodes = await self._store.nodes()
        if not any(node.is_alive and queue in node.queues and activity in node.activities for node in nodes):
            _log.warning(
                "no running engine has activity %r of queue %r: calls of it wait for one that has", activity, queue
            )
