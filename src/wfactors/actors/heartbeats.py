"""What a node says to the store of its running attempts, and hears of them: heartbeats out, wishes to stop in.

Attempts of partitions that this node owns need neither: their owner cancels them directly, and their liveness is the
node's. So nothing is asked of the store but

* to keep the details of heartbeats, at most once a second for each attempt, and
* while attempts of other nodes' partitions run here: whether they are still wanted, every two seconds and whenever
  something happened on a queue served here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import trio

from wfactors.actors.attempt import Attempt
from wfactors.actors.verdict import Stop
from wfactors.errors import StoreError
from wfactors.model.records import TaskKey
from wfactors.stores.base import Store
from wfactors.stores.changes import Subscription, tasks_topic

__all__ = ["Heartbeats"]

_log = logging.getLogger("wfactors.activities")

_BEAT_SECONDS_MAX = 1.0
_ASK_SECONDS_MAX = 2.0
# A busy queue publishes all the time; asking after each notice would be a poll without a pause.
_ASK_SECONDS_MIN = 0.2
_RETRY_SECONDS_MAX = 5.0
_BEATS_MAX = 500


class Heartbeats:
    """Keeps the store informed of attempts.

    Args:
        store: Where to.
        node: The name of this node.
        queues: The queues served here.
        running: The attempts that run, by key.
        is_foreign: Whether an attempt's partition is owned by another node now.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        queues: Sequence[str],
        running: dict[TaskKey, Attempt],
        is_foreign: Callable[[Attempt], bool],
    ) -> None:
        self._store = store
        self._node = node
        self._topics = [tasks_topic(queue) for queue in queues]
        self._running = running
        self._is_foreign = is_foreign
        self._foreign: dict[TaskKey, Attempt] = {}
        self._unwritten: dict[TaskKey, Attempt] = {}
        self._notice = Subscription()
        self._asked_at = -math.inf
        self._is_nudged = False
        self._has_news = False

    def beat(self, attempt: Attempt) -> None:
        """Have the attempt's details written soon."""
        self._unwritten[attempt.task.key] = attempt
        self._nudge()

    def watch(self, attempt: Attempt) -> None:
        """Ask from now on whether the attempt is still wanted, as long as its partition is another node's."""
        self._foreign[attempt.task.key] = attempt
        self._nudge()

    def forget(self, attempt: Attempt) -> None:
        """The attempt has ended."""
        for attempts in (self._foreign, self._unwritten):
            if attempts and attempts.get(attempt.task.key) is attempt:
                del attempts[attempt.task.key]

    async def run(self) -> None:
        """Tell and ask until cancelled. Cancelled while the store writes, it is not known whether it did."""
        delay = 0.0
        with self._store.changes.subscribe(*self._topics) as self._notice:
            while True:
                try:
                    await self._round()
                    delay = 0.0
                except StoreError as error:
                    delay = min(max(delay * 2, 0.5), _RETRY_SECONDS_MAX)
                    _log.info("the store took no heartbeats; trying again in %.1f s: %s", delay, error)
                    await trio.sleep(delay)
                    continue
                self._is_nudged = False
                with trio.move_on_at(self._next_at()):
                    await self._notice.wait()
                    # Our own nudges come the same way. One that hides a notice delays an answer, at most two seconds.
                    self._has_news = self._has_news or not self._is_nudged

    def _nudge(self) -> None:
        self._is_nudged = True
        self._notice.notify()

    def _next_at(self) -> float:
        at = min((attempt.next_beat_at for attempt in self._unwritten.values()), default=math.inf)
        return min(at, self._ask_at()) if self._foreign else at

    def _ask_at(self) -> float:
        return self._asked_at + (_ASK_SECONDS_MIN if self._has_news else _ASK_SECONDS_MAX)

    async def _round(self) -> None:
        now = trio.current_time()
        due = {key: attempt for key, attempt in self._unwritten.items() if attempt.next_beat_at <= now}
        if self._foreign and now >= self._ask_at():
            self._foreign = {key: attempt for key, attempt in self._foreign.items() if self._is_foreign(attempt)}
            due |= self._foreign
            self._asked_at = now
            self._has_news = False
        attempts = list(due.values())
        for first in range(0, len(attempts), _BEATS_MAX):
            await self._tell(attempts[first : first + _BEATS_MAX])

    async def _tell(self, attempts: Sequence[Attempt]) -> None:
        now = trio.current_time()
        beats = []
        for attempt in attempts:
            key = attempt.task.key
            is_unwritten = self._unwritten.pop(key, None) is not None
            beats.append((key, attempt.task.attempt, attempt.details if is_unwritten else None))
            attempt.next_beat_at = now + _pause_seconds(attempt)
        try:
            answers = await self._store.heartbeat(self._node, beats)
        except BaseException:
            # Not said after all, or not known to be.
            for attempt, beat in zip(attempts, beats, strict=True):
                if beat[2] is not None and self._running.get(beat[0]) is attempt:
                    self._unwritten.setdefault(beat[0], attempt)
            raise
        for attempt, answer in zip(attempts, answers, strict=True):
            if self._running.get(attempt.task.key) is not attempt:
                continue  # It ended while the store was asked.
            if not answer.is_held:
                attempt.ask_to_stop(Stop.LOST)
            elif answer.is_cancel_requested:
                attempt.ask_to_stop(Stop.CANCELLED)


def _pause_seconds(attempt: Attempt) -> float:
    """How soon the details of an attempt may be written again."""
    limit = attempt.task.options.heartbeat
    return _BEAT_SECONDS_MAX if limit is None else min(_BEAT_SECONDS_MAX, limit / 3)
