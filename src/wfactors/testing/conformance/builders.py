"""Rows, messages and owners for the tests, with defaults for all that a test does not speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from wfactors.model.events import RunStarted
from wfactors.model.ids import PartitionId
from wfactors.model.messages import ActivityOutcome, Message, Query, Signal
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, Batch, CreateRequest, HeaderRow, NodeRow, TaskKey, TaskRow
from wfactors.model.status import Status
from wfactors.model.wire import encode_events

if TYPE_CHECKING:
    from wfactors.model.records import Lease
    from wfactors.stores.base import Store
    from wfactors.stores.changes import Subscription

__all__ = [
    "MAIL",
    "MOMENT",
    "NOW",
    "SHOP",
    "SHOP_TOO",
    "ManualClock",
    "Owner",
    "append",
    "closed",
    "header",
    "heard",
    "key",
    "node",
    "outcome",
    "payload",
    "query",
    "request",
    "signal",
    "task",
]

NOW = 1_700_000_000.0
"""Where the clock of every test begins."""

MOMENT = 2.0**-10
"""About a millisecond, and exact: so much before a time, it has not come; so much later, it has."""

SHOP = "0:shop"
SHOP_TOO = "1:shop"
MAIL = "0:mail"


class ManualClock:
    """A clock that stands still until it is moved; give it to a store as its ``clock``."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self.now += seconds


@attrs.define(eq=False)
class Owner:
    """A partition's owner, which numbers its batches."""

    store: Store
    node: str
    partition: str
    epoch: int
    sequence: int

    @classmethod
    async def take(
        cls, store: Store, partition: str = SHOP, node_name: str = "node-1", lease_seconds: float = 10.0
    ) -> Owner:
        """Join the node and acquire the partition."""
        await store.join(node(node_name), lease_seconds)
        return cls.of(store, node_name, await store.acquire(partition, node_name))

    @classmethod
    def of(cls, store: Store, node_name: str, lease: Lease | None) -> Owner:
        """The owner that has this lease."""
        assert lease is not None, "the partition was not free"
        return cls(store, node_name, lease.partition, lease.epoch, lease.sequence)

    def next_batch(self, **parts: Any) -> Batch:
        """The batch after the last one committed, not committed yet."""
        return Batch(partition=self.partition, epoch=self.epoch, sequence=self.sequence + 1, **parts)

    async def commit(self, **parts: Any) -> Batch:
        """Commit the next batch."""
        batch = self.next_batch(**parts)
        await self.store.commit(batch)
        self.sequence = batch.sequence
        return batch


def payload(text: str = '{"cents":1}') -> Payload:
    """A payload of this JSON text."""
    return Payload(text.encode())


def node(name: str = "node-1", **changes: Any) -> NodeRow:
    """A node that is about to join."""
    row = NodeRow(
        node=name,
        queues=("shop", "mail"),
        lease_until=0.0,
        joined_at=NOW,
        code_version="1.2",
        activities=("charge", "ship"),
        workflows=("checkout",),
    )
    return attrs.evolve(row, **changes)


def header(instance: str = "i1", run: int = 1, **changes: Any) -> HeaderRow:
    """An open run; its id is ``order-<instance>``."""
    partition = changes.get("partition", SHOP)
    row = HeaderRow(
        instance=instance,
        run=run,
        id=f"order-{instance}",
        workflow="checkout",
        queue=PartitionId.parse(partition).queue,
        partition=partition,
        root_id=f"order-{instance}",
        created_at=NOW,
        start=payload(),
    )
    return attrs.evolve(row, **changes)


def closed(row: HeaderRow, status: Status = Status.COMPLETED, at: float = NOW + 1, **changes: Any) -> HeaderRow:
    """The row as it is when its run has ended."""
    return attrs.evolve(row, **{"status": status, "closed_at": at, "start": None, "wake_at": None, **changes})


def request(row: HeaderRow, **changes: Any) -> CreateRequest:
    """A request to create an instance."""
    return attrs.evolve(CreateRequest(row), **changes)


def append(instance: str = "i1", run: int = 1, first: int = 0, count: int = 1, size: int = 0) -> Append:
    """Events of a history; ``size`` bytes of input in the first of them."""
    event = RunStarted(
        time=NOW,
        workflow="checkout",
        id=f"order-{instance}",
        instance=instance,
        run=run,
        queue="shop",
        input=payload(f'"{"x" * size}"'),
    )
    return Append(instance, run, first, count, encode_events([event] * count))


def key(instance: str = "i1", call: int = 0, run: int = 1) -> TaskKey:
    """The key of a task."""
    return TaskKey(instance, run, call)


def task(instance: str = "i1", call: int = 0, run: int = 1, **changes: Any) -> TaskRow:
    """A free task that is due."""
    partition = changes.get("partition", SHOP)
    row = TaskRow(
        key=key(instance, call, run),
        partition=partition,
        queue=PartitionId.parse(partition).queue,
        activity="charge",
        input=payload("[1]"),
        options=ActivityOptions(start_to_close=30.0),
        id=f"order-{instance}",
        workflow="checkout",
        scheduled_at=NOW,
        available_at=NOW,
    )
    return attrs.evolve(row, **changes)


def signal(id: str = "m1", instance: str = "i1", partition: str = SHOP, text: str = "true") -> Message:
    """A signal to an instance."""
    return Message(id, partition, instance, Signal("approve", payload(text)))


def query(id: str = "q1", instance: str = "i1", partition: str = SHOP) -> Message:
    """A query to an instance."""
    return Message(id, partition, instance, Query("contents", payload("[]"), reply_to=id))


def outcome(row: TaskRow, id: str = "outcome-1") -> Message:
    """The message that tells how a task ended."""
    body = ActivityOutcome(row.key.run, row.key.call, row.attempt, result=payload('"done"'))
    return Message(id, row.partition, row.key.instance, body)


async def heard(subscription: Subscription) -> bool:
    """Whether a subscription has a notice now; takes it."""
    has_notice = False

    async def wait() -> None:
        nonlocal has_notice
        await subscription.wait()
        has_notice = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return has_notice
