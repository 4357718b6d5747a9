"""One running engine as a member of the cluster: its lease, its activities, the partitions it owns.

Liveness is the node's: what it holds lives and dies with one row. A node whose lease is lost drops everything in
memory and joins again under a new name, as if its process had just been started.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from wfactors.actors.activities import Activities
from wfactors.actors.attempt import Hold
from wfactors.actors.clock import Clock
from wfactors.actors.closing import RunCloser
from wfactors.actors.parking import EngineFault
from wfactors.actors.partition import Partition, PartitionContext
from wfactors.actors.replay_check import ReplayCheck
from wfactors.actors.supervisor import keep_running
from wfactors.actors.watchdog import Watchdog
from wfactors.errors import LeaseLost, StoreCorrupt, StoreFull, StoreUnavailable
from wfactors.model.ids import PartitionId
from wfactors.model.limits import Limits
from wfactors.model.records import Lease, NodeRow
from wfactors.stores.base import Store
from wfactors.stores.changes import NODES_TOPIC
from wfactors.workflow import Application

if TYPE_CHECKING:
    from wfactors.telemetry.reporter import Reporter

__all__ = ["Node", "NodeSettings"]

T = TypeVar("T")

_log = logging.getLogger("wfactors.node")
_STANDBY_SECONDS_MAX = 0.5
_RETRY_SECONDS = 0.25
_FLUSH_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class NodeSettings:
    """How a node takes part.

    Attributes:
        queues: Served by its activities and, with ``runs_workflows``, owned by its partitions.
        partitions: Of each queue; the same for all nodes of a store.
        lease_seconds: How long the others wait before they take a silent node for dead; ``math.inf`` for no lease.
        code_version: Of the application, shown beside the node.
        replay_check: Replays what was committed; None for not.
        reporter: Told of spans and metrics; None for not.
    """

    store: Store
    clock: Clock
    application: Application
    limits: Limits
    queues: Sequence[str]
    partitions: int
    lease_seconds: float
    runs_workflows: bool
    code_version: str
    hold: Hold | None
    replay_check: ReplayCheck | None = None
    reporter: Reporter | None = None


class Node:
    """The member of the cluster that this engine is."""

    def __init__(self, settings: NodeSettings, watchdog: Watchdog, closer: RunCloser) -> None:
        self._settings = settings
        self._watchdog = watchdog
        self._closer = closer
        self._owned: dict[str, Partition] = {}
        self._activities: Activities | None = None
        self._session = trio.CancelScope()
        # By partition and instance: why it is parked instead of run by the partition's next owner here.
        self._condemned: dict[str, dict[str, str]] = {}
        self._has_joined = False
        self._valid_until = math.inf
        # Asked for from other threads too, and when the loop is gone.
        self._loop_time = trio.lowlevel.current_clock().current_time
        self._is_stopping = False
        self.replay_check = settings.replay_check
        self.name = ""

    # --- For clients in this process ---

    def owner(self, partition: str) -> Partition | None:
        """The owner of ``partition``, if it is here."""
        return self._owned.get(partition)

    @property
    def partitions(self) -> Sequence[Partition]:
        """Those owned now."""
        return list(self._owned.values())

    @property
    def lease_seconds_left(self) -> float | None:
        """How long the lease lasts if it is not renewed; None if there is none. From any thread."""
        return None if self._valid_until == math.inf else self._valid_until - self._loop_time()

    @property
    def activities(self) -> Activities | None:
        """The actor that runs activities now."""
        return self._activities

    # --- Life ---

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until stopped or cancelled; ready when each partition is owned or known to be another's.

        Cancelled, it drops what it holds at once; the next owner replays. ``stop()`` is the ordered way.
        """
        # Whoever waits until the node is ready waits through a lease that was lost on the way there.
        ready = _Once(task_status.started)
        while not self._is_stopping:
            self.name = _new_name()
            try:
                with trio.CancelScope() as self._session:
                    await self._take_part(ready)
            except* LeaseLost as group:
                _log.warning("node %s lost its lease and joins again: %s", self.name, group.exceptions[0])

    async def stop(self, grace_seconds: float) -> None:
        """Shut down in order: no new work; activities get ``grace_seconds``; write what is decided; give up the rest.

        Cancelled, or when the time is over, it stops at once; everything is recoverable.
        """
        self._is_stopping = True
        try:
            if self._activities is not None:
                await self._activities.drain(grace_seconds)
            with trio.move_on_after(_FLUSH_SECONDS):
                for partition in self.partitions:
                    await partition.flush()
        finally:
            # Also when a second Ctrl-C strikes here: nobody else can end the session.
            self._session.cancel()

    async def _take_part(self, ready: _Once) -> None:
        settings = self._settings
        try:
            await self._join()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_lease)
                activities = self._new_activities()
                await nursery.start(activities.run)
                self._activities = activities
                if settings.runs_workflows:
                    await self._start_partitions(nursery)
                ready.started()
        finally:
            self._activities = None
            self._valid_until = math.inf
            with trio.move_on_after(_FLUSH_SECONDS, shield=True):
                try:
                    await settings.store.leave(self.name)
                except StoreUnavailable as error:
                    _log.warning("node %s could not say good-bye; its lease will end: %s", self.name, error)

    def _new_activities(self) -> Activities:
        settings = self._settings
        application = settings.application
        return Activities(
            store=settings.store,
            clock=settings.clock,
            registry=application.registry,
            data=application.data,
            node=self.name,
            queues=settings.queues,
            limits=settings.limits,
            owner_of=self.owner,
            hold=settings.hold,
            reporter=settings.reporter,
        )

    # --- The lease ---

    async def _join(self) -> None:
        settings = self._settings
        registry = settings.application.registry
        row = NodeRow(
            node=self.name,
            queues=list(settings.queues),
            lease_until=0.0,
            joined_at=settings.clock.now(),
            code_version=settings.code_version,
            activities=sorted(registry.activities) if settings.limits.activities else [],
            workflows=sorted(registry.workflows),
        )
        asked_at = trio.current_time()
        join = partial(settings.store.join, row, settings.lease_seconds)
        # Whoever opens an engine is told of a store that takes no writes; a node that was there waits for better times.
        await _patiently(join, but_not=() if self._has_joined else StoreFull)
        self._has_joined = True
        self._valid_until = asked_at + settings.lease_seconds

    async def _keep_lease(self) -> None:
        """Renew the lease; raises LeaseLost when it is over. Buries nodes that are gone on the way."""
        settings = self._settings
        if settings.lease_seconds == math.inf:
            return
        while True:
            await trio.sleep(settings.lease_seconds / 3)
            asked_at = trio.current_time()
            with trio.move_on_at(self._valid_until) as patience:
                await _patiently(partial(settings.store.renew, self.name, settings.lease_seconds))
                self._valid_until = asked_at + settings.lease_seconds
                await _patiently(self._bury_dead)
            if patience.cancelled_caught and trio.current_time() >= self._valid_until:
                # A turn may have held the loop. That it is parked must be written, if nobody has taken over yet (the
                # epoch decides), or the next owner meets it again.
                with trio.move_on_after(settings.lease_seconds / 10):
                    for partition in self.partitions:
                        await partition.flush()
                raise LeaseLost(f"node {self.name} could not renew its lease in time")

    async def _bury_dead(self) -> None:
        for node in await self._settings.store.nodes():
            if not node.is_alive:
                _log.warning("node %s is gone; what it held is handed out again", node.node)
                await self._settings.store.bury(node.node)

    # --- Partitions ---

    async def _start_partitions(self, nursery: trio.Nursery) -> None:
        """Start an owner for each partition; returns when each is owned or known to be another's."""
        queues, numbers = self._settings.queues, range(self._settings.partitions)
        names = [str(PartitionId(queue, number)) for queue in queues for number in numbers]
        waiting, all_ready = set(names), trio.Event()

        def started(name: str) -> None:
            waiting.discard(name)
            if not waiting:
                all_ready.set()

        for name in names:
            own = partial(self._own, name, _Once(partial(started, name)))
            nursery.start_soon(partial(keep_running, f"partition {name}", own))
        await all_ready.wait()

    async def _own(self, name: str, ready: _Once) -> None:
        """Own the partition whenever nobody else does."""
        store = self._settings.store
        complaint = ""
        with store.changes.subscribe(NODES_TOPIC) as subscription:
            while True:
                try:
                    lease = await _patiently(partial(store.acquire, name, self.name))
                except StoreCorrupt as error:
                    # Nobody can own it before the row is mended; the other partitions go on.
                    lease = None
                    if complaint != str(error):
                        complaint = str(error)
                        _log.error("partition %s cannot be owned: %s", name, error)
                if lease is not None:
                    await self._run_partition(lease, ready)
                    continue
                ready.started()
                # A stand-by: the owner leaves (a notice), or its lease ends (nobody tells).
                with trio.move_on_after(min(_STANDBY_SECONDS_MAX, self._settings.lease_seconds / 3)):
                    await subscription.wait()

    async def _run_partition(self, lease: Lease, ready: _Once) -> None:
        settings = self._settings
        assert self._activities is not None
        condemned = self._condemned.setdefault(lease.partition, {})
        context = PartitionContext(
            store=settings.store,
            clock=settings.clock,
            application=settings.application,
            activities=self._activities,
            watchdog=self._watchdog,
            closer=self._closer,
            limits=settings.limits,
            node=self.name,
            partitions_per_queue=settings.partitions,
            replay_check=settings.replay_check,
            reporter=settings.reporter,
            condemned=condemned,
        )
        partition = Partition(context, lease)
        self._owned[lease.partition] = partition
        try:
            try:
                await partition.run(task_status=ready)
            finally:
                # At once, and not after the wait below: a partition that has stopped answers nobody.
                if self._owned.get(lease.partition) is partition:
                    del self._owned[lease.partition]
                if self._activities is not None:
                    self._activities.disown(lease.partition)
        except* LeaseLost:
            _log.warning("partition %s was taken over by another node", lease.partition)
        except* EngineFault as group:
            for fault in _leaves(group):
                if fault.instance in condemned:
                    # Parking it stumbles too: that is for the supervisor.
                    raise
                _log.error(
                    "partition %s starts again without instance %s", lease.partition, fault.instance, exc_info=fault
                )
                condemned[fault.instance] = f"{fault} (a bug of wfactors; the log has more)"
            await trio.sleep(_RETRY_SECONDS)
        except* StoreUnavailable as group:
            _log.warning("partition %s starts again: %s", lease.partition, group.exceptions[0])
            await trio.sleep(_RETRY_SECONDS)


class _Once(trio.TaskStatus[None]):
    """Tells that something has started, once, however often it starts again."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def started(self, value: None = None) -> None:  # noqa: ARG002 - Trio's signature
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()


def _leaves(group: BaseExceptionGroup[EngineFault]) -> Iterator[EngineFault]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _patiently(operation: Callable[[], Awaitable[T]], but_not: type[StoreFull] | tuple[()] = ()) -> T:
    """Ask the store until it answers; what is ``but_not`` to be waited for is raised."""
    delay = _RETRY_SECONDS
    while True:
        try:
            return await operation()
        except but_not:
            raise
        except StoreUnavailable as error:
            _log.warning("the store does not answer, asking again in %.2f s: %s", delay, error)
            await trio.sleep(delay)
            delay = min(delay * 2, 5.0)


def _new_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
