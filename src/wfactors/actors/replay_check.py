"""Replay what has just become durable, beside the running instance, and report where its code does otherwise.

A workflow that depends on something that is not recorded works until it is replayed: after a restart, weeks later.
This finds it at once. In tests ("always") each instance is replayed after every commit and leaves memory, so that its
next turn runs on a replayed run; in production a share of the runs that have ended is replayed. Either way the check
works on a run of its own: what it finds is logged and counted, and no instance is harmed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from wfactors.actors.author_code import AuthorCode
from wfactors.actors.instance import Instance, State
from wfactors.actors.loader import turns_of
from wfactors.actors.watchdog import TurnInterrupted
from wfactors.errors import NonDeterminismError, StoreUnavailable
from wfactors.model.records import Append, HeaderRow
from wfactors.model.wire import decode_events
from wfactors.workflow import open_run

if TYPE_CHECKING:
    from wfactors.actors.partition import Partition

__all__ = ["ALWAYS", "ReplayCheck", "ReplayCheckStatistics", "ReplayDifference", "share_of"]

_log = logging.getLogger("wfactors.replay_check")
ALWAYS: Final = "always"
_WAITING_MAX = 1_000
_KEPT_MAX = 20


@attrs.frozen
class ReplayDifference:
    """A workflow whose replay did not make the recorded decisions."""

    id: str
    instance: str
    run: int
    workflow: str
    error: BaseException


@attrs.frozen
class ReplayCheckStatistics:
    """Figures of the replay check.

    Attributes:
        replayed: Replays so far.
        differences: Of those, how many did not make the recorded decisions.
        skipped: Not replayed, because too many waited already, the store did not answer, or nobody here knows them.
    """

    replayed: int
    differences: int
    skipped: int


def share_of(replay_check: str | float | None) -> float | None:
    """The share of ended runs that ``open_engine(replay_check=...)`` asks for; inf for "always", None for none."""
    if replay_check is None or replay_check == ALWAYS:
        return None if replay_check is None else float("inf")
    if isinstance(replay_check, bool) or not isinstance(replay_check, int | float):
        raise TypeError(f"replay_check must be 'always', a share from 0 to 1, or None, not {replay_check!r}")
    if not 0 <= replay_check <= 1:
        raise ValueError(f"replay_check must be a share from 0 to 1, not {replay_check!r}")
    return float(replay_check) or None


class ReplayCheck:
    """Checks the instances of all partitions of one engine.

    Args:
        share: As ``share_of`` says.
    """

    def __init__(self, share: float) -> None:
        self._is_always = share == float("inf")
        self._share = 1.0 if self._is_always else share
        # Begins full: of a share of one in n, the first run is among those that are checked.
        self._credit = 1.0 - self._share
        self._waiting: deque[tuple[Partition, str, int]] = deque()
        # The latest runs of open instances that have continued as new.
        self._runs: dict[str, int] = {}
        self._arrived = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._replayed = 0
        self._differences = 0
        self._skipped = 0
        self._latest: deque[ReplayDifference] = deque(maxlen=_KEPT_MAX)

    def committed(self, partition: Partition, instances: Sequence[Instance]) -> None:
        """What these instances have decided is durable now, and whoever is idle of them may leave memory."""
        for instance in instances:
            run = instance.header.run
            if run > 1 and run != self._runs.get(instance.key, 1):
                # The run before has continued as this one, which nobody saw closed.
                self._runs[instance.key] = run
                self._sample(partition, instance.key, run - 1)
            if self._is_always:
                self._add(partition, instance.key, run)
                if instance.state is State.READY and instance.is_idle and instance.start is None:
                    partition.forget(instance)
            elif instance.state is State.CLOSED:
                self._sample(partition, instance.key, run)
            if instance.state is State.CLOSED:
                self._runs.pop(instance.key, None)

    def _sample(self, partition: Partition, key: str, run: int) -> None:
        self._credit += self._share
        if self._credit >= 1:
            self._credit -= 1
            self._add(partition, key, run)

    def _add(self, partition: Partition, key: str, run: int) -> None:
        if len(self._waiting) >= _WAITING_MAX:
            self._skipped += 1
            return
        self._waiting.append((partition, key, run))
        self._arrived.set()
        if self._idle.is_set():
            self._idle = trio.Event()

    async def run(self) -> None:
        """Replay what waits, until cancelled."""
        while True:
            while self._waiting:
                partition, key, run = self._waiting.popleft()
                try:
                    await self._check(partition, key, run)
                except StoreUnavailable:
                    self._skipped += 1
            self._idle.set()
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def wait_idle(self) -> None:
        """Wait until all that was durable when this was called has been replayed."""
        await self._idle.wait()

    async def _check(self, partition: Partition, key: str, run: int) -> None:
        header = await partition.store.header(key, run)
        # Read once, and not compared with the header: the instance goes on meanwhile. What is read is whole turns.
        appends = [] if header is None else await partition.store.history(key, run)
        if header is None or not appends:
            # Removed meanwhile, or never started.
            return
        if header.workflow not in partition.application.registry.workflows:
            # Ended by force, since nobody here knows it.
            self._skipped += 1
            return
        self._replayed += 1
        shadow = Instance(key, partition.closer)
        shadow.adopt(header)
        try:
            await self._replay(partition, shadow, appends)
        except (Exception, TurnInterrupted) as error:
            self._report(header, error)
        finally:
            shadow.drop_run()

    @staticmethod
    async def _replay(partition: Partition, shadow: Instance, appends: Sequence[Append]) -> None:
        header, application = shadow.header, partition.application
        definition = application.registry.workflow(header.workflow)
        run = shadow.run = open_run(
            application, definition, instance=header.instance, run=header.run, queue=header.queue, is_strict=True
        )
        author_code = AuthorCode(partition.watchdog)
        for append in appends:
            for fact, decisions in turns_of(decode_events(append.data, f"history of {header.id!r}")):
                if author_code.call(header.id, partial(run.begin, fact, decisions)) is None:
                    for _ in author_code.rest_of_turn(header.id, run):
                        await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()

    def _report(self, header: HeaderRow, error: BaseException) -> None:
        self._differences += 1
        self._latest.append(ReplayDifference(header.id, header.instance, header.run, header.workflow, error))
        kind = "differs" if isinstance(error, NonDeterminismError) else "failed"
        _log.error("the replay of workflow %s (%s) %s: %s", header.id, header.workflow, kind, error)

    def statistics(self) -> ReplayCheckStatistics:
        """Figures so far."""
        return ReplayCheckStatistics(self._replayed, self._differences, self._skipped)

    @property
    def latest(self) -> list[ReplayDifference]:
        """The latest differences, with the errors themselves; not among the figures, which are plain numbers."""
        return list(self._latest)
