"""The root of the supervision tree: ``open_engine()``, and ``open_client()`` for a process that runs nothing itself."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import attrs
import trio

from wfactors.actors.attempt import Hold
from wfactors.actors.clock import Clock, SystemClock
from wfactors.actors.closing import RunCloser
from wfactors.actors.gauges import Gauges
from wfactors.actors.node import Node, NodeSettings
from wfactors.actors.partition import PartitionStatistics
from wfactors.actors.replay_check import ReplayCheck, ReplayCheckStatistics, share_of
from wfactors.actors.watchdog import Watchdog
from wfactors.client import Client, ClientStatistics
from wfactors.client.client import Carry
from wfactors.convert import Codec, Converter, DataPort
from wfactors.errors import StoreUnavailable
from wfactors.model.arguments import Kind, check_arguments, has_methods, is_list, is_one_of
from wfactors.model.ids import checked_partitions, validated_queue
from wfactors.model.limits import Limits
from wfactors.model.options import seconds
from wfactors.registry import Registry
from wfactors.stores.base import Store
from wfactors.stores.memory import MemoryStore
from wfactors.stores.url import open_store_from_url
from wfactors.telemetry.settings import Telemetry, carry_of, reporter_of
from wfactors.workflow import Application

__all__ = ["Engine", "EngineStatistics", "open_client", "open_engine"]

_log = logging.getLogger("wfactors.engine")
_LEASE_SECONDS_MIN = 0.1
LEASE_SECONDS = 10.0
GRACE_SECONDS = 30.0
_RETENTION_LOOK_SECONDS_MAX = 3600.0
_REMOVAL_BATCH = 100
_CODECS = Kind("a list, such as [ZlibCodec()]", is_list)
_store_methods = has_methods("open", "commit", "create", "now")
# The other arguments are checked where they are turned into something else.
_KINDS: Mapping[str, Kind] = {
    "store": Kind(
        "a URL, such as 'sqlite:///shop.db', or a store, such as wf.MemoryStore()",
        lambda value: isinstance(value, str) or _store_methods(value),
    ),
    "register": Kind("a list of workflows and activities, such as [checkout, charge]", is_list),
    "queues": Kind("a list of names, such as ['default']", is_list),
    "limits": Kind("wf.Limits(...)", is_one_of(Limits), or_none=True),
    "converter": Kind(
        "an object with encode() and decode(), such as wf.CattrsConverter()",
        has_methods("encode", "decode"),
        or_none=True,
    ),
    "codecs": _CODECS,
    "retired_codecs": _CODECS,
    "grace": Kind("seconds or a timedelta", is_one_of(int, float, timedelta)),
    "workflows": Kind("True or False", is_one_of(bool)),
    "clock": Kind("an object with now() and sleep_until()", has_methods("now", "sleep_until"), or_none=True),
    "code_version": Kind("text, such as '1.4.2'", is_one_of(str)),
    "hold": Kind("an object with acquire() and release()", has_methods("acquire", "release"), or_none=True),
}


@attrs.frozen(kw_only=True)
class EngineStatistics(ClientStatistics):
    """Figures of a running engine, and of the client that it is.

    Attributes:
        node: Its name in the cluster.
        partitions: Of each partition owned here.
        activities: Of the actor that runs activities; None while the node is joining.
        degraded_because: The store's words while commits do not get through; None while all is well.
        replay_check: Of the replay check; None if there is none.
        lease_seconds_left: How long the lease lasts if it is not renewed; None if there is none.
    """

    node: str
    partitions: Sequence[PartitionStatistics]
    activities: Any
    degraded_because: str | None
    replay_check: ReplayCheckStatistics | None = None
    lease_seconds_left: float | None = None


class Engine(Client):
    """A running engine, and a client of its store. Made by ``open_engine``."""

    def __init__(self, store: Store, data: DataPort, node: Node, settings: NodeSettings, carry: Carry | None) -> None:
        super().__init__(
            store,
            data,
            now=settings.clock.now,
            router=node,
            partitions=settings.partitions,
            default_queue=settings.queues[0],
            carry=carry,
        )
        self._node = node
        self.replay_check = node.replay_check

    @property
    def name(self) -> str:
        """The name of this node in the cluster."""
        return self._node.name

    def statistics(self) -> EngineStatistics:
        """Figures of this moment."""
        partitions = self._node.partitions
        activities = self._node.activities
        return EngineStatistics(
            node=self._node.name,
            partitions=[partition.statistics() for partition in partitions],
            activities=None if activities is None else activities.statistics(),
            degraded_because=next(
                (why for partition in partitions if (why := partition.journal.degraded_because) is not None), None
            ),
            replay_check=None if self.replay_check is None else self.replay_check.statistics(),
            lease_seconds_left=self._node.lease_seconds_left,
            **attrs.asdict(super().statistics()),
        )


@asynccontextmanager
async def open_engine(
    store: str | Store = "memory://",
    *,
    register: Sequence[Any] = (),
    queues: Sequence[str] = ("default",),
    limits: Limits | None = None,
    converter: Converter | None = None,
    codecs: Sequence[Codec] = (),
    retired_codecs: Sequence[Codec] = (),
    lease: float | timedelta | None = None,
    grace: float | timedelta = GRACE_SECONDS,
    retention: float | timedelta | None = None,
    partitions: int = 1,
    workflows: bool = True,
    clock: Clock | None = None,
    code_version: str = "",
    hold: Hold | None = None,
    replay_check: str | float | None = None,
    telemetry: Telemetry | None = None,
) -> AsyncIterator[Engine]:
    """Run workflows and activities inside the block.

    Args:
        store: A URL (``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``) or a store object.
        register: Workflows, activities, and objects with activities as methods.
        queues: What this engine serves; the first is the default for what it starts.
        limits: How much it takes on at once; ``Limits(activities=0)`` for one that runs no activities.
        converter: Values to JSON and back; the one of cattrs if not given.
        codecs: Applied to payloads on the way to the store, in order.
        retired_codecs: Only to read payloads of the past.
        lease: Seconds (or a timedelta) after which others take a silent engine for dead; 10 by default, none for a
            memory store.
        grace: Seconds (or a timedelta) that running activities get when the block is left or cancelled.
        retention: Remove closed instances after this time; None keeps them.
        partitions: Of each queue, at most 1,024; every engine of a store must be given the same number.
        workflows: False for an engine that runs activities only.
        clock: Where the time of workflows comes from; for tests.
        code_version: Of the application, shown beside the node.
        hold: Keeps a mock clock from jumping while threads work; for tests.
        replay_check: A share from 0 to 1 of the runs that end is replayed to see whether their code still makes the
            recorded decisions; what differs is logged and counted in ``statistics()`` and harms nobody. ``"always"``,
            for tests, replays every instance after each commit and lets its next turn run on a replayed run.
        telemetry: Where to report spans and metrics to; nowhere if left out.

    Raises:
        StoreUnavailable, StoreVersionError, StoreCorrupt: The store cannot be opened.
        TypeError, ValueError: An argument makes no sense.

    Leaving the block, by whatever way, shuts down in order: no new work, ``grace`` for running activities, what is
    decided is written, partitions are released. Whatever is not finished goes on with the next engine.
    """
    check_arguments(
        _KINDS,
        store=store,
        register=register,
        queues=queues,
        limits=limits,
        converter=converter,
        codecs=codecs,
        retired_codecs=retired_codecs,
        grace=grace,
        workflows=workflows,
        clock=clock,
        code_version=code_version,
        hold=hold,
    )
    limits = Limits() if limits is None else limits
    clock = SystemClock() if clock is None else clock
    queues = _checked_queues(queues)
    grace_seconds = 0.0 if not grace else seconds(grace, "grace") or math.inf
    retention_seconds = seconds(retention, "retention")
    checked_share = share_of(replay_check)
    reporter = reporter_of(telemetry)
    data = DataPort(converter, codecs, limits.payload_bytes, retired_codecs)
    opened = open_store_from_url(store) if isinstance(store, str) else store
    lease_seconds = seconds(lease, "lease") or (math.inf if isinstance(opened, MemoryStore) else LEASE_SECONDS)
    if lease_seconds < _LEASE_SECONDS_MIN:
        raise ValueError(f"lease must be {_LEASE_SECONDS_MIN} s or more, not {lease!r}: it has to be renewed in time")
    watchdog = Watchdog(limits.turn_warning_seconds, limits.turn_limit(lease_seconds))
    settings = NodeSettings(
        store=opened,
        clock=clock,
        application=Application(
            registry=Registry(register), data=data, is_traced=reporter is not None and reporter.is_tracing
        ),
        limits=limits,
        queues=queues,
        partitions=checked_partitions(partitions),
        lease_seconds=lease_seconds,
        runs_workflows=workflows,
        code_version=code_version,
        hold=hold,
        replay_check=None if checked_share is None else ReplayCheck(checked_share),
        reporter=reporter,
    )
    closer = RunCloser(watchdog)
    node = Node(settings, watchdog, closer)
    engine = Engine(opened, data, node, settings, carry_of(telemetry))
    with _unwrapping() as body, watchdog.watching():
        async with opened.open(), closer.open(), trio.open_nursery() as nursery:
            await nursery.start(_run_shielded, node)
            if node.replay_check is not None:
                nursery.start_soon(node.replay_check.run)
            if reporter is not None:
                await nursery.start(Gauges(engine.statistics, opened, clock).run, reporter)
            if retention_seconds is not None:
                nursery.start_soon(_remove_expired, opened, clock, retention_seconds)
            try:
                with body():
                    yield engine
            finally:
                # Bounded: the grace period, then a few seconds for the last commit.
                with trio.CancelScope(shield=True):
                    await node.stop(grace_seconds)
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_client(
    store: str | Store,
    *,
    converter: Converter | None = None,
    codecs: Sequence[Codec] = (),
    retired_codecs: Sequence[Codec] = (),
    payload_bytes: int = Limits().payload_bytes,
    partitions: int = 1,
    telemetry: Telemetry | None = None,
) -> AsyncIterator[Client]:
    """A client of a store inside the block, without an engine: what it starts runs on the engines of the store.

    Takes the arguments of ``open_engine`` that have the same names (``payload_bytes`` is one of its ``Limits``), and
    raises the same errors.
    """
    check_arguments(_KINDS, store=store, converter=converter, codecs=codecs, retired_codecs=retired_codecs)
    data = DataPort(converter, codecs, Limits(payload_bytes=payload_bytes).payload_bytes, retired_codecs)
    opened = open_store_from_url(store) if isinstance(store, str) else store
    client = Client(opened, data, partitions=partitions, carry=carry_of(telemetry))
    with _unwrapping() as body:
        async with opened.open():
            with body():
                yield client


async def _run_shielded(node: Node, *, task_status: trio.TaskStatus[None]) -> None:
    # A cancelled engine shuts down in order: its actors go on until `node.stop` has asked them to end.
    with trio.CancelScope() as scope:
        await node.run(task_status=_ShieldWhenReady(scope, task_status))


class _ShieldWhenReady(trio.TaskStatus[None]):
    """Shields a task from the moment at which it has started.

    Until then it is cancelled like anything: ``nursery.start`` returns when the task was handed over to its nursery or
    has ended, and a task that is cancelled already is not handed over.
    """

    def __init__(self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        self._scope = scope
        self._task_status = task_status

    def started(self, value: None = None) -> None:
        self._task_status.started(value)
        self._scope.shield = trio.current_effective_deadline() > -math.inf


async def _remove_expired(store: Store, clock: Clock, retention_seconds: float) -> None:
    """Remove what closed long ago, in batches small enough to be in nobody's way."""
    while True:
        try:
            removed = await store.remove_finished(clock.now() - retention_seconds, _REMOVAL_BATCH)
        except StoreUnavailable as error:
            _log.warning("expired instances could not be removed for now: %s", error)
            removed = 0
        if removed < _REMOVAL_BATCH:
            await trio.sleep(min(max(retention_seconds / 10, 1.0), _RETENTION_LOOK_SECONDS_MAX))


def _checked_queues(queues: Sequence[str]) -> Sequence[str]:
    checked = [validated_queue(queue) for queue in queues]
    if not checked:
        raise ValueError("queues must name at least one queue")
    if len(set(checked)) != len(checked):
        raise ValueError(f"queues must not repeat a name: {checked}")
    return checked


@contextmanager
def _unwrapping() -> Iterator[Any]:
    """Let an exception of the user's block, or one from before it, through as it was raised.

    Not wrapped in the groups of our nurseries.
    """
    raised: BaseException | None = None
    has_begun = False

    @contextmanager
    def body() -> Iterator[None]:
        nonlocal has_begun, raised
        has_begun = True
        try:
            yield
        except BaseException as error:
            raised = error
            raise

    try:
        yield body
    except BaseExceptionGroup as group:
        leaf: BaseException = group
        while not _is_same(leaf, raised) and isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
            leaf = leaf.exceptions[0]
        if raised is not None and _is_same(leaf, raised):
            raise raised from raised.__cause__
        # A second Ctrl-C strikes in the shutdown that the first one caused, but is the user's like it.
        if not has_begun or isinstance(leaf, KeyboardInterrupt):
            raise leaf from leaf.__cause__
        raise


def _is_same(error: BaseException, raised: BaseException | None) -> bool:
    """Whether it is what was raised, which may be a group: nurseries hand on copies of the groups that they pass."""
    if isinstance(error, BaseExceptionGroup) and isinstance(raised, BaseExceptionGroup):
        return len(error.exceptions) == len(raised.exceptions) and all(
            map(_is_same, error.exceptions, raised.exceptions)
        )
    return error is raised
