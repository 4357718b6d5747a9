"""What must be true once the faults have stopped: all is finished, nothing is left over, everything replays."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import trio

from wfactors.model.records import InstanceFilter
from wfactors.model.status import Status
from wfactors.model.wire import decode_events
from wfactors.testing.auditor import audit
from wfactors.testing.simulator.invariants import handed_over, signals_between
from wfactors.testing.simulator.process import Process
from wfactors.testing.simulator.world import World

__all__ = ["check_histories", "check_memory", "check_removal", "is_all_done", "say_what_is_left"]

_SETTLE_SECONDS = 8
_REPLIES_SECONDS = 7200.0
_REMOVED_AT_ONCE = 1_000


def is_all_done(world: World) -> bool:
    """Whether nothing is open, and nothing on its way to somebody."""
    state = world.store._state  # noqa: SLF001 - looking without a trace
    if any(row.status is Status.OPEN for row in state.headers.rows.values()) or any(state.tasks.all()):
        return False
    return not any(len(inbox) for inbox in state.inboxes.values())


async def say_what_is_left(world: World, patience: float) -> None:
    """It has not finished: I1."""
    dump = await world.store.dump()
    for row in dump["headers"]:
        if row["status"] == "open":
            world.broken("I1", f"{row['id']} is open {patience} s after the faults, parked: {row['parked']}")
    for table in ("tasks", "inbox"):
        for row in dump[table]:
            world.broken("I1", f"left in {table}: {row}")
    world.broken("I1", f"not finished {patience} s after the faults: {world.in_flight} calls in flight")


# --- I10 -------------------------------------------------------------------------------------------------------------


async def check_memory(world: World) -> None:
    """Nothing may be left in the engines; what was answered and not heard is asked for again, some seconds later."""
    left: list[str] = []
    for _ in range(_SETTLE_SECONDS):
        left = [text for process in world.alive for text in _left_in(process)]
        if not left:
            return
        await trio.sleep(1)
    for text in left:
        world.broken("I10", text)


def _left_in(process: Process) -> Iterator[str]:
    if process.engine is None:
        return
    node = process.engine._node  # noqa: SLF001 - figures that nobody else needs
    for partition in node.partitions:
        residents = [item for item in partition.residents.values() if item.is_loading or not item.is_idle]
        intake, draft = partition.intake, partition.draft
        left: list[Any] = [
            [item.key for item in residents],
            intake._known,  # noqa: SLF001
            intake._held,  # noqa: SLF001
            intake._behind_kept,  # noqa: SLF001
            len(partition.errands),
            partition._waiters,  # noqa: SLF001
            partition._loose,  # noqa: SLF001
            draft.actions,
        ]
        if any(left) or draft.has_rows:
            yield f"{process.name}, {partition.name}: {left}"
    if node.activities is not None:
        figures = node.activities.statistics()
        if any((figures.running, figures.reserved, figures.waiting, figures.unsettled, figures.reporting)):
            yield f"{process.name}: {figures}"


async def check_removal(world: World, tasks_before: int) -> None:
    """All engines are gone: no task may be left, no subscription, no node that said good-bye; no row after removal."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    if tasks != tasks_before:
        world.broken("I10", f"{tasks} tasks are left of {tasks_before}")
    if any(link.changes.is_watched for link in world.links):
        world.broken("I10", "somebody still waits for changes")
    world.store_ahead += _REPLIES_SECONDS
    store = world.store
    await store.take_reply("expire those that are old")
    # A dump leaves out replies that are too old to be taken, and a removal takes those of what it removes.
    if replies := store._state.replies.rows:  # noqa: SLF001 - what no reading shows
        world.broken("I10", f"replies that nobody took are left: {list(replies)}")
    await store.remove_finished(world.store_now(), _REMOVED_AT_ONCE)
    for table, rows in (await store.dump()).items():
        for row in rows:
            is_known = table == "partitions" or (table == "nodes" and row["node"] not in world.said_good_bye)
            if not is_known:
                world.broken("I10", f"left in {table} when all was removed: {row}")
    if await store.count(InstanceFilter()):
        world.broken("I10", "instances are left when all was removed")


# --- The audit -------------------------------------------------------------------------------------------------------


async def check_histories(world: World, *, is_rerun: bool) -> None:
    """Audit the store; that of a rerun is the same, and audited already."""
    dump = await world.store.dump()
    world.trace_line("audit", "dump", hash_of(dump))
    if is_rerun:
        return
    for violation in audit(dump, world.entries, world.crew.application):
        world.broken(violation.invariant, violation.text)
    histories: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for row in dump["events"]:
        histories[str(row["instance"]), int(str(row["run"]))] += decode_events(str(row["data"]).encode())
    ids = {str(row["instance"]): str(row["id"]) for row in dump["headers"]}
    for text in (*signals_between(histories, ids), *handed_over(histories)):
        world.broken("I6", text)
    for text in world.watch.broken_promises():
        world.broken("I1", text)


def hash_of(dump: Any) -> str:
    """A digest of a dump, equal in every process."""
    return hashlib.blake2b(repr(dump).encode(), digest_size=8).hexdigest()
