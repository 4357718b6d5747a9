"""Activities on a memory store, with a partition whose owner writes down what it is told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import trio

from wfactors.actors.activities import Activities
from wfactors.actors.clock import TrioClock
from wfactors.convert import DataPort
from wfactors.model.limits import Limits
from wfactors.model.options import ActivityOptions, Retry
from wfactors.model.payloads import Payload
from wfactors.model.records import Batch, NodeRow, TaskKey, TaskRow
from wfactors.registry import Registry
from wfactors.registry import activity as wfactors_activity
from wfactors.stores.changes import inbox_topic
from wfactors.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from wfactors.model.messages import ActivityOutcome

EPOCH = 1_700_000_000.0
PARTITION = "0:default"
ONCE = Retry(attempts=1)


def payload(value: object) -> Payload:
    return Payload(msgspec.json.encode(value))


def value_of(stored: Payload) -> Any:
    return msgspec.json.decode(bytes(stored))


def make_task(
    activity: Callable[..., Any] | str, *args: object, call: int = 0, retry: Retry = ONCE, **changes: Any
) -> TaskRow:
    """A row as a partition makes it; deadlines go into its options."""
    options = {
        name: changes.pop(name) for name in ("start_to_close", "schedule_to_close", "heartbeat") if name in changes
    }
    row = TaskRow(
        key=TaskKey("instance", 1, call),
        partition=PARTITION,
        queue="default",
        activity=activity if isinstance(activity, str) else activity.__name__,
        input=payload(list(args)),
        options=ActivityOptions(retry=retry, **options),
        id="order-1",
        workflow="checkout",
        scheduled_at=EPOCH,
        schedule_deadline=EPOCH + options["schedule_to_close"] if "schedule_to_close" in options else None,
    )
    return attrs.evolve(row, **changes)


class RecordingOwner:
    """Writes down outcomes as they come, and lets a test wait for some."""

    def __init__(self) -> None:
        self.received: list[tuple[TaskKey, ActivityOutcome]] = []
        self._changed = trio.Event()

    def receive_outcome(self, key: TaskKey, outcome: ActivityOutcome) -> None:
        self.received.append((key, outcome))
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for(self, number: int) -> list[ActivityOutcome]:
        while len(self.received) < number:
            await self._changed.wait()
        return [outcome for _, outcome in self.received]


class HeldClock:
    """Counts what holds the clock, and holds it."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.count = 0
        self.most = 0

    def acquire(self) -> None:
        self.count += 1
        self.most = max(self.most, self.count)
        self.clock.autojump_threshold = float("inf")

    def release(self) -> None:
        self.count -= 1
        if self.count == 0:
            self.clock.autojump_threshold = 0.0


class Kit:
    """A node that runs ``functions``, and the store it works on.

    ``owner`` is there while the node owns the partition; else "other" does, and outcomes come as messages.
    """

    def __init__(
        self,
        functions: Sequence[Callable[..., Any]],
        limits: Limits | None = None,
        raises: tuple[type[BaseException], ...] = (),
        hold: Any = None,
        is_owner: bool = True,
        store: Any = None,
    ) -> None:
        self.clock = TrioClock(EPOCH)
        self.store = MemoryStore(self.clock.now) if store is None else store
        self.owner: RecordingOwner | None = RecordingOwner() if is_owner else None
        self.activities = Activities(
            store=self.store,
            clock=self.clock,
            registry=Registry([wfactors_activity(name=f.__name__, raises=raises)(f) for f in functions]),
            data=DataPort(limit_bytes=1000),
            node="here",
            queues=["default"],
            limits=limits or Limits(),
            owner_of=lambda partition: self.owner if partition == PARTITION else None,
            hold=hold,
            draw=lambda: 0.0,
        )
        self.sequence = 0

    async def prepare(self) -> None:
        owner = "other" if self.owner is None else "here"
        for node in ("here", "other"):
            await self.store.join(NodeRow(node, ["default"], 0.0, EPOCH), 1e9)
        await self.store.acquire(PARTITION, owner)

    async def commit(self, *tasks: TaskRow, **parts: Any) -> None:
        """Put rows into the store as their partition does."""
        self.sequence += 1
        await self.store.commit(Batch(PARTITION, 1, self.sequence, tasks=tasks, **parts))

    async def assign(self, *tasks: TaskRow) -> None:
        """Have the partition reserve, commit and start tasks here."""
        rows = []
        for task in tasks:
            assert self.activities.reserve(task.key, task.partition, task.queue, task.activity)
            rows.append(attrs.evolve(task, node="here"))
        await self.commit(*rows)
        self.activities.start(rows)

    async def outcomes(self, number: int = 1) -> list[ActivityOutcome]:
        """The first ``number`` outcomes, wherever they go."""
        if self.owner is not None:
            return (await self.owner.wait_for(number))[:number]
        with self.store.changes.subscribe(inbox_topic(PARTITION)) as notice:
            while len(items := await self.store.inbox(PARTITION, 0, 1000)) < number:
                await notice.wait()
        return [item.message.body for item in items[:number]]

    async def outcome(self) -> ActivityOutcome:
        return (await self.outcomes())[0]


@asynccontextmanager
async def running(*functions: Callable[..., Any], **options: Any) -> AsyncIterator[Kit]:
    """A kit whose activities run inside the block and are cancelled at its end."""
    kit = Kit(functions, **options)
    async with kit.store.open(), trio.open_nursery() as nursery:
        await kit.prepare()
        await nursery.start(kit.activities.run)
        yield kit
        nursery.cancel_scope.cancel()
