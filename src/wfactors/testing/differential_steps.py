"""The operations of a comparison: from some numbers and what the oracle holds to a call that all stores get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.records import Batch, InstanceFilter, Reply
from wfactors.model.status import OnConflict, Reuse, Status
from wfactors.stores.base import TaskReport
from wfactors.testing.conformance.builders import (
    MOMENT,
    NOW,
    append,
    closed,
    header,
    node,
    outcome,
    payload,
    query,
    request,
    signal,
    task,
)
from wfactors.testing.differential_words import brief
from wfactors.testing.differential_world import (
    ACTIVITIES,
    IDS,
    LEASE_SECONDS,
    LIMIT,
    NODES,
    PARTITIONS,
    TEXTS,
    Dice,
    Step,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wfactors.model.messages import Message
    from wfactors.model.records import Append, HeaderRow, InboxItem, NodeRow, TaskKey, TaskRow
    from wfactors.stores.base import Store

__all__ = ["STEPS", "Operation"]


@attrs.frozen
class Operation:
    """How to plan one kind of step, and how often it is chosen beside the others."""

    plan: Callable[[World, Dice], Awaitable[Step | None]]
    weight: int = 1


async def nothing(_: World, __: Dice) -> Step | None:
    """No step at all: the first to choose from, so that what a failing sequence does not need is cut down to it."""
    return None


# --- Time and cluster ------------------------------------------------------------------------------------------------


async def advance(world: World, dice: Dice) -> Step | None:
    """Time goes by, sometimes more than a lease, or until just before one ends or a reply expires."""
    ends = [row.lease_until for row in await world.oracle.nodes() if row.is_alive]
    expiries: Any = [row["expires_at"] for row in (await world.oracle.dump())["replies"]]
    end = min(dice.pick((ends, expiries)), default=0.0)
    seconds = dice.pick((1.0, MOMENT, 3.0, max(end - world.clock.now - MOMENT, MOMENT), 11.0))
    world.clock.advance(seconds)

    async def call(store: Store) -> object:
        return await store.now(), [row.node for row in await store.nodes() if row.is_alive]

    return Step(f"{seconds} s", call, lambda _: "done")


async def join(world: World, dice: Dice) -> Step | None:
    """A node joins, or joins again."""
    row = node(dice.pick(NODES), joined_at=world.clock.now, code_version=dice.pick(("1", "2")))

    async def call(store: Store) -> NodeRow:
        return attrs.evolve(await store.join(row, LEASE_SECONDS), liveness="")

    return Step(row.node, call)


async def renew(_: World, dice: Dice) -> Step | None:
    """A node renews its lease, sometimes one that never joined."""
    name = dice.pick((*NODES, *NODES, "nobody"))
    return Step(name, lambda store: store.renew(name, LEASE_SECONDS))


async def leave(_: World, dice: Dice) -> Step | None:
    """A node leaves, or is buried by another."""
    name, is_burial = dice.pick(NODES), dice.below(2) == 1
    if is_burial:
        return Step(f"bury {name}", lambda store: store.bury(name), lambda _: "done")
    return Step(f"leave {name}", lambda store: store.leave(name), lambda _: "done")


async def acquire(world: World, dice: Dice) -> Step | None:
    """A node takes a partition, mostly one that is free, and mostly as a node that is alive."""
    alive = [row.node for row in await world.oracle.nodes() if row.is_alive]
    free = [row.partition for row in await world.oracle.partitions() if row.node not in alive]
    partition = dice.pick(PARTITIONS if dice.is_rare(4) or not free else free)
    name = dice.pick(NODES if dice.is_rare(4) or not alive else alive)
    return Step(f"{partition} {name}", lambda store: store.acquire(partition, name))


async def release(world: World, dice: Dice) -> Step | None:
    """A node gives a partition back, sometimes one that is not its own."""
    row = dice.pick(await world.oracle.partitions())
    name = dice.pick(NODES) if row.node is None or dice.is_rare(4) else row.node
    epoch = row.epoch - (1 if dice.is_rare(4) else 0)
    is_owner = name == row.node and epoch == row.epoch
    return Step(
        f"{row.partition} {name} {epoch}",
        lambda store: store.release(row.partition, name, epoch),
        lambda _: "done" if is_owner else "not its own",
    )


async def cluster(_: World, __: Dice) -> Step | None:
    """Look at nodes and partitions."""

    async def call(store: Store) -> object:
        return [attrs.evolve(row, liveness="") for row in await store.nodes()], await store.partitions()

    return Step("", call, lambda reply: "something" if reply[0] and reply[1] else "nothing")


# --- Batches ---------------------------------------------------------------------------------------------------------


async def commit(world: World, dice: Dice) -> Step | None:
    """The owner of a partition commits a batch; sometimes one that must be refused, or the last one again."""
    if world.last_batch is not None and dice.is_rare(20):
        batch = world.last_batch
        return Step(f"again {brief(batch)}", lambda store: store.commit(batch), lambda _: "repeated")
    rows = [row for row in await world.oracle.partitions() if row.node is not None]
    row = dice.pick(rows or await world.oracle.partitions())
    headers = await _headers(world, dice, row.partition)
    runs = [each for each in await world.runs(row.partition) if each.status is Status.OPEN] + headers
    batch = Batch(
        row.partition,
        row.epoch - (1 if dice.is_rare() else 0),
        row.sequence + 1 + (dice.pick((1, -2)) if dice.is_rare() else 0),
        headers=headers,
        appends=[await _append(world, dice, each) for each in dice.some(_once(runs))],
        tasks=await _tasks(world, dice, row.partition, runs),
        tasks_removed=[each.key for each in dice.some(await world.tasks(row.partition), 2)],
        tasks_cancelled=[each.key for each in dice.some(await world.tasks(row.partition), 2)],
        messages=await _messages(world, dice, row.partition),
        messages_removed=[each.id for each in dice.some(await world.messages(row.partition))],
        replies=[
            Reply(f"r{dice.below(3)}", each.instance, b"\xff\x00", world.time(dice) + 5)
            for each in dice.some(await world.runs(row.partition), 1)
        ],
    )
    return Step(brief(batch), lambda store: store.commit(batch), lambda _: "written", batch)


def _once(runs: Sequence[HeaderRow]) -> list[HeaderRow]:
    return list({(row.instance, row.run): row for row in runs}.values())


async def _headers(world: World, dice: Dice, partition: str) -> list[HeaderRow]:
    """New runs, and changes of open ones, as an owner makes them."""
    headers = []
    for row in dice.some([each for each in await world.runs(partition) if each.status is Status.OPEN]):
        match dice.below(4):
            case 0:
                parked = "unknown workflow" if dice.is_rare() else None
                changes: dict[str, Any] = {"wake_at": world.time(dice), "parked": parked, "events": row.events + 1}
                changes["awaited"] = dice.pick(((), ("go",), ("go", "a'b\x00\N{SNOWMAN}")))
                headers.append(attrs.evolve(row, start=None, attributes=payload(dice.pick(TEXTS)), **changes))
            case 1:
                headers.append(closed(row, Status.CONTINUED, at=world.clock.now))
                start = payload("[2]") if dice.is_rare(4) else None
                headers.append(
                    attrs.evolve(row, run=row.run + 1, created_at=world.clock.now, wake_at=None, start=start)
                )
            case _:
                failure = Failure("ValueError", "no", details=payload(dice.pick(TEXTS)))
                status = dice.pick([each for each in Status if each not in (Status.OPEN, Status.CONTINUED)])
                headers.append(closed(row, status, at=world.clock.now, failure=failure))
    for _ in range(dice.below(3)):
        instance = f"k{world.fresh()}"
        parent = Parent(partition, f"k{dice.below(5)}", 1, 0, "the parent")
        new = header(instance, id=instance, partition=partition, parent=parent, created_at=world.time(dice))
        headers.append(attrs.evolve(new, wake_at=dice.pick((None, world.time(dice)))))
    return headers


async def _append(world: World, dice: Dice, row: HeaderRow) -> Append:
    """The next events of a run; sometimes some that are there already."""
    history = await world.oracle.history(row.instance, row.run)
    end = history[-1].first + history[-1].count if history else 0
    first = history[0].first if history and dice.is_rare(20) else end
    return append(row.instance, row.run, first, 1 + dice.below(3))


async def _tasks(world: World, dice: Dice, partition: str, runs: Sequence[HeaderRow]) -> list[TaskRow]:
    """New tasks of runs, and tasks that their owner held and frees for a retry."""
    tasks = []
    for row in dice.some(runs):
        held_by = dice.pick((None, None, NODES[0]))
        new = task(row.instance, world.fresh(), row.run, partition=partition, activity=dice.pick(ACTIVITIES))
        tasks.append(attrs.evolve(new, available_at=world.time(dice), node=held_by))
    tasks += [
        attrs.evolve(old, node=None, attempt=old.attempt + 1, available_at=world.time(dice))
        for old in dice.some(await world.tasks(partition), 1)
    ]
    return tasks


async def _messages(world: World, dice: Dice, partition: str) -> list[Message]:
    """Messages to this partition and others, sometimes one that is there already."""
    there = [*await world.runs(), header("k0", partition=partition)]
    new = [signal(f"m{world.fresh()}", row.instance, row.partition) for row in dice.some(there)]
    return new + dice.some(await world.messages(partition), 1)


async def wakes(world: World, dice: Dice) -> Step | None:
    """Look for runs that want to be woken, sometimes when one does, or just before."""
    partition, until, limit = dice.pick(PARTITIONS), world.time(dice), 1 + dice.below(5)
    if dice.is_rare(4):
        its = await world.oracle.wakes(partition, world.clock.now + 100, LIMIT)
        until = dice.pick([wake.at for wake in its] or [until]) - dice.pick((MOMENT, 0.0))
    return Step(f"{partition} {until} {limit}", lambda store: store.wakes(partition, until, limit))


async def inbox(world: World, dice: Dice) -> Step | None:
    """Read an inbox, from the start, from somewhere in it, and for one instance. Stores differ in positions alone."""
    partition, index, limit = dice.pick(PARTITIONS), dice.below(4), 1 + dice.below(3)

    instances = sorted({message.instance for message in await world.messages(partition)})
    instance = dice.pick(instances) if instances else "nobody"

    async def call(store: Store) -> list[Message]:
        items = await store.inbox(partition, 0, LIMIT)
        behind: list[InboxItem] = []
        if items:
            behind = await store.inbox(partition, items[index % len(items)].position, limit)
        its = await store.inbox(partition, 0, limit, instance=instance)
        return [item.message for item in (*items, *behind, *its)]

    return Step(f"{partition} {index} {limit} {instance}", call)


# --- Tasks -----------------------------------------------------------------------------------------------------------


async def claim(world: World, dice: Dice) -> Step | None:
    """A node claims tasks, sometimes when the next one is due, or just before."""
    name, limit, now = dice.pick(NODES), 1 + dice.below(4), world.time(dice) + 6
    wanted = {"shop": dice.pick((ACTIVITIES, ACTIVITIES[:1], ACTIVITIES[1:])), "mail": ACTIVITIES}
    next_at = await world.oracle.next_task_at(wanted)
    if next_at is not None and dice.is_rare(4):
        now = next_at - dice.pick((MOMENT, 0.0))

    async def call(store: Store) -> object:
        return await store.claim(name, wanted, now, limit), await store.next_task_at(wanted)

    return Step(f"{name} {wanted} {now} {limit}", call, lambda reply: "something" if reply[0] else "nothing")


async def report(world: World, dice: Dice) -> Step | None:
    """Nodes report how attempts ended; sometimes one that they do not hold."""
    reports = []
    for row in dice.some([each for each in await world.tasks() if each.node is not None or dice.is_rare()]):
        name = NODES[0] if row.node is None or dice.is_rare() else row.node
        attempt = row.attempt - (1 if dice.is_rare() else 0)
        message = outcome(row, f"o{world.fresh()}")
        if dice.below(2):
            details = dice.pick((None, payload('"half"')))
            retry = TaskReport(row.key, name, attempt, message, world.time(dice), Failure("E", "no"), details)
            reports.append(retry)
        else:
            reports.append(TaskReport(row.key, name, attempt, dice.pick((message, message, None))))
    return Step(brief(reports), lambda store: store.report(reports), _some_true)


async def heartbeat(world: World, dice: Dice) -> Step | None:
    """A node says how far its attempts are."""
    rows = [each for each in await world.tasks() if each.node is not None]
    name = dice.pick([each.node or "" for each in rows] or [*NODES])
    beats: list[tuple[TaskKey, int, Any]] = [
        (each.key, each.attempt - (1 if dice.is_rare() else 0), dice.pick((None, payload('"10 %"'))))
        for each in dice.some(rows)
    ]
    return Step(
        f"{name} {brief(beats)}",
        lambda store: store.heartbeat(name, beats),
        lambda reply: (
            "asked to stop"
            if any(each.is_cancel_requested for each in reply)
            else _some_true([each.is_held for each in reply])
        ),
    )


def _some_true(reply: Sequence[bool]) -> str:
    return "applied" if any(reply) else "refused" if reply else "nothing"


# --- Clients ---------------------------------------------------------------------------------------------------------


async def create(world: World, dice: Dice) -> Step | None:
    """Clients create instances; sometimes the same again, after its acknowledgement was lost."""
    requests = []
    for _ in range(1 + dice.below(3)):
        rows = await world.runs()
        is_retry = bool(rows) and dice.is_rare()
        instance = dice.pick(rows).instance if is_retry else f"k{world.fresh()}"
        partition = dice.pick(PARTITIONS)
        new = header(instance, id=dice.pick(IDS), partition=partition, created_at=world.time(dice), wake_at=NOW)
        message = signal(f"m{world.fresh()}", "", "") if dice.below(3) == 1 else None
        choice = {"on_conflict": dice.pick(list(OnConflict)), "reuse": dice.pick(list(Reuse))}
        requests.append(request(new, signal=message, **choice))
    return Step(
        brief(requests),
        lambda store: store.create(requests),
        lambda reply: (
            "created"
            if any(each.created for each in reply)
            else "refused"
            if any(each.is_refused for each in reply)
            else "existing"
        ),
    )


async def send(world: World, dice: Dice) -> Step | None:
    """Clients send messages, also to what has ended, is not there, or lives elsewhere."""
    messages = []
    for row in dice.some([header("nobody"), *await world.runs()], 4):
        partition = dice.pick(PARTITIONS) if dice.is_rare(4) else row.partition
        make = dice.pick((signal, signal, query))
        messages.append(make(f"m{world.fresh()}", row.instance, partition))
        messages += dice.some(await world.messages(row.partition), 1)
    return Step(
        brief(messages),
        lambda store: store.send(messages),
        lambda reply: "accepted" if None in reply else "refused" if reply else "nothing",
    )


async def take_reply(_: World, dice: Dice) -> Step | None:
    """A client takes a reply."""
    id = f"r{dice.below(3)}"
    return Step(id, lambda store: store.take_reply(id))


# --- Reads -----------------------------------------------------------------------------------------------------------


async def look(world: World, dice: Dice) -> Step | None:
    """Look at one instance from every side."""
    row = dice.pick([*await world.runs(), header("nobody")])
    first, limit, partition = dice.below(5), dice.pick((None, 1, 2, 0)), dice.pick(PARTITIONS)

    async def call(store: Store) -> object:
        return (
            await store.find(row.id),
            await store.header(row.instance),
            await store.header(row.instance, row.run),
            await store.history(row.instance, row.run, first, limit),
            await store.tasks(row.instance, row.run),
            await store.held_tasks(partition),
        )

    return Step(
        f"{row.id[:20]!r} {row.instance} {row.run} {first} {limit}",
        call,
        lambda reply: "something" if reply[1] else "nothing",
    )


async def listing(world: World, dice: Dice) -> Step | None:
    """List runs by a filter, in a page, and count them."""
    rows = await world.runs()
    wishes: dict[str, Any] = {
        "status": dice.pick(([Status.OPEN], [Status.COMPLETED, Status.CONTINUED], [Status.FAILED])),
        "queue": dice.pick(("shop", "mail")),
        "id": dice.pick(rows).id if rows else "nobody",
        "is_parked": dice.below(2) == 1,
        "attributes": dice.pick(({"n": 1}, {"vip": True}, {"tier": "gold"}, {"n": True})),
        "parent": f"k{dice.below(5)}",
        "started_after": world.time(dice) - 4,
        "started_before": world.time(dice),
        "closed_before": world.time(dice),
        "workflow": "checkout",
    }
    wanted = InstanceFilter(**{name: wishes[name] for name in dice.some(list(wishes), 2)})
    newest_first, limit = dice.below(2) == 0, 1 + dice.below(6)
    after = dice.pick(rows) if rows and dice.below(2) else None

    async def call(store: Store) -> object:
        page = await store.headers(wanted, limit, after, newest_first=newest_first)
        return page, await store.count(wanted)

    return Step(
        f"{brief(wanted)} {newest_first} {limit}",
        call,
        lambda reply: "something" if reply[0] and reply[1] else "nothing",
    )


async def queues(_: World, __: Dice) -> Step | None:
    """Look at the queues."""
    return Step("", lambda store: store.queues())


# --- Removal ---------------------------------------------------------------------------------------------------------


async def remove(world: World, dice: Dice) -> Step | None:
    """Remove an instance, sometimes one that is open or not there."""
    runs = await world.runs()
    ended = [row for row in runs if row.status not in (Status.OPEN, Status.CONTINUED)]
    choices = [runs, ended, ended, []][dice.below(4)]
    instance = dice.pick(choices).instance if choices else "nobody"
    return Step(instance, lambda store: store.remove(instance))


async def remove_finished(world: World, dice: Dice) -> Step | None:
    """Remove what ended before a time, that of an end or just before it too: instances, or runs that continued."""
    before, limit, is_runs = world.time(dice), dice.pick((1, 2, 0, 3)), dice.below(2) == 1
    if dice.is_rare(3):
        ends = [row.closed_at for row in await world.runs() if row.closed_at is not None]
        before = dice.pick(ends or [before]) - dice.pick((0.0, MOMENT))
    return Step(
        f"{before} {limit} {is_runs}",
        lambda store: store.remove_finished(before, limit, continued_runs_only=is_runs),
        lambda reply: f"{'runs' if is_runs else 'instances'}" if reply else "nothing",
    )


STEPS = {
    "nothing": Operation(nothing),
    "advance": Operation(advance, 2),
    "join": Operation(join, 4),
    "renew": Operation(renew),
    "leave": Operation(leave),
    "acquire": Operation(acquire, 5),
    "release": Operation(release),
    "cluster": Operation(cluster),
    "commit": Operation(commit, 14),
    "wakes": Operation(wakes, 2),
    "inbox": Operation(inbox, 2),
    "claim": Operation(claim, 4),
    "report": Operation(report, 4),
    "heartbeat": Operation(heartbeat, 3),
    "create": Operation(create, 5),
    "send": Operation(send, 4),
    "take_reply": Operation(take_reply, 3),
    "look": Operation(look, 2),
    "listing": Operation(listing, 3),
    "queues": Operation(queues),
    "remove": Operation(remove, 2),
    "remove_finished": Operation(remove_finished, 2),
}
