"""What the steps of a comparison are planned with: numbers that decide, the oracle, the state to begin in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from wfactors.model.records import Batch, InstanceFilter
from wfactors.testing.conformance.builders import (
    MOMENT,
    NOW,
    append,
    header,
    node,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wfactors.model.messages import Message
    from wfactors.model.records import HeaderRow, TaskRow
    from wfactors.stores.base import Store
    from wfactors.testing.conformance.builders import ManualClock

__all__ = [
    "ACTIVITIES",
    "EVERYTHING",
    "IDS",
    "LEASE_SECONDS",
    "LIMIT",
    "NODES",
    "PARTITIONS",
    "TEXTS",
    "Dice",
    "Step",
    "World",
    "settle",
]

T = TypeVar("T")

NODES = ("node-1", "node-2", "node-3")
PARTITIONS = ("0:shop", "1:shop", "0:mail", "0:a'b\x00\N{SNOWMAN}")
ACTIVITIES = ("charge", "ship")
IDS = ("order", "Order", "a'b\x00\N{SNOWMAN}", "x" * 4096)
LEASE_SECONDS = 10.0
TEXTS = ("null", '{"tier":"gold","n":1}', '{"n":1.0,"vip":true}', '"\\u00e4"', "[]")
EVERYTHING = InstanceFilter()
LIMIT = 1000


class Dice:
    """Numbers that decide; 0, the simplest choice, once they are used up."""

    def __init__(self, numbers: bytes) -> None:
        self._numbers = iter(numbers)

    def below(self, end: int) -> int:
        """A number from 0 up to and without ``end``."""
        return next(self._numbers, 0) % end

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, which must not be empty."""
        return choices[self.below(len(choices))]

    def some(self, choices: Sequence[T], most: int = 3) -> list[T]:
        """A few of the choices, each once, in their order."""
        if not choices:
            return []
        picked = {self.below(len(choices)) for _ in range(self.below(most + 1))}
        return [choices[index] for index in sorted(picked)]

    def is_rare(self, out_of: int = 10) -> bool:
        """True once in a while; 0 is the plain case."""
        return self.below(out_of) == out_of - 1


@attrs.frozen
class Step:
    """One call for all stores: what it is, in words; how to make it; and what its reply is called."""

    what: str
    call: Callable[[Store], Awaitable[Any]]
    label: Callable[[Any], str] | None = None
    batch: Batch | None = None

    def outcome(self, reply: Any) -> str:
        """How the operation ended, in a word or two."""
        if isinstance(reply, type):
            return reply.__name__
        if self.label is not None:
            return self.label(reply)
        return "something" if reply else "nothing"


class World:
    """What the planning of steps goes by: the oracle, the clock, and counters for what must be fresh."""

    def __init__(self, oracle: Store, clock: ManualClock) -> None:
        self.oracle = oracle
        self.clock = clock
        self.last_batch: Batch | None = None
        self._count = 0

    def fresh(self) -> int:
        """A number never given before."""
        self._count += 1
        return self._count

    def time(self, dice: Dice) -> float:
        """A time near the clock's: some seconds from it, often a moment more or less than a time that others have."""
        return self.clock.now + dice.below(9) - 4 + dice.pick((0.0, MOMENT, 0.0, -MOMENT))

    def learn(self, step: Step, reply: Any) -> None:
        """Remember the last batch that was written, to send it again."""
        if step.batch is not None and not isinstance(reply, type):
            self.last_batch = step.batch

    async def runs(self, partition: str | None = None) -> list[HeaderRow]:
        """All runs, or those of a partition, oldest first."""
        rows = await self.oracle.headers(EVERYTHING, LIMIT, newest_first=False)
        return [row for row in rows if partition in (None, row.partition)]

    async def tasks(self, partition: str | None = None) -> list[TaskRow]:
        """All tasks of runs that are there, or those of a partition."""
        runs = await self.runs(partition)
        return [each for row in runs for each in await self.oracle.tasks(row.instance, row.run)]

    async def messages(self, partition: str) -> list[Message]:
        """What is in a partition's inbox."""
        return [item.message for item in await self.oracle.inbox(partition, 0, LIMIT)]


async def settle(store: Store) -> None:
    """Begin where most operations can succeed: nodes are there, and each partition has an owner, runs and tasks."""
    for name in NODES:
        await store.join(node(name), LEASE_SECONDS)
    for number, partition in enumerate(PARTITIONS):
        await store.acquire(partition, NODES[number % len(NODES)])
        names = [f"s{number}-{index}" for index in range(3)]
        await store.commit(
            Batch(
                partition,
                epoch=1,
                sequence=1,
                headers=[header(name, id=name, partition=partition, wake_at=NOW + 1) for name in names],
                appends=[append(name, first=first) for name in names for first in range(3)],
                tasks=[task(name, partition=partition) for name in names],
            )
        )
