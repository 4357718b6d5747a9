"""One seed, from an empty store to the audit."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import attrs
import trio
from trio.testing import MockClock

from wfactors.convert import DataPort
from wfactors.model.records import InstanceFilter
from wfactors.model.status import Status
from wfactors.model.wire import decode_events
from wfactors.registry import Registry
from wfactors.testing.auditor import audit
from wfactors.testing.simulator.clients import Teller
from wfactors.testing.simulator.determinism import deterministic
from wfactors.testing.simulator.faults import swarm
from wfactors.testing.simulator.invariants import signals_between, signals_handed_over
from wfactors.testing.simulator.trace import Trace
from wfactors.testing.simulator.workload import application, draw_plan
from wfactors.testing.simulator.world import Endless, Process, World
from wfactors.workflow import Application

__all__ = ["Outcome", "simulate", "simulate_twice"]

_FINISH_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_SETTLE_SECONDS = 8
_ENDS_SECONDS = 3600.0
_OPEN = InstanceFilter(status=(Status.OPEN,))
_REPLAYED = Application(registry=Registry(application(None, "good")), data=DataPort())


@attrs.frozen
class Outcome:
    """What came of one seed.

    Attributes:
        violations: What was broken, in words; empty if all is well.
        seconds: How much virtual time passed.
    """

    seed: int
    violations: Sequence[str]
    trace: Trace
    seconds: float
    error: BaseException | None = None


def simulate(seed: int) -> Outcome:
    """Run one seed; the same seed gives the same trace, in any process."""
    random = Random(seed)
    worlds: list[World] = []

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            world = World(seed, swarm(random), nursery, application)
            worlds.append(world)
            return await _run(world, random)

    seconds = 0.0
    with deterministic(seed):
        try:
            seconds = trio.run(main, clock=MockClock(autojump_threshold=0))
        except* Endless as group:
            worlds[0].violations.append("I1: the engines go round in a circle")
            worlds[0].error = group
    world = worlds[0]
    return Outcome(seed, world.violations, world.trace, seconds, world.error)


def simulate_twice(seed: int) -> Outcome:
    """Run one seed twice; that the runs differ is a violation too."""
    first, second = simulate(seed), simulate(seed)
    difference = first.trace.first_difference(second.trace)
    if difference:
        return attrs.evolve(first, violations=[*first.violations, f"determinism: {difference}"])
    return first


async def _run(world: World, random: Random) -> float:
    try:
        with trio.fail_after(_ENDS_SECONDS):
            await _live(world, random)
    except Exception as error:
        world.broken("simulation", repr(error), error)
    world.nursery.cancel_scope.cancel()
    return trio.current_time()


async def _live(world: World, random: Random) -> None:
    world.slots = [None] * random.choices((1, 2, 3, 4, 5), (5, 6, 4, 1, 1))[0]
    for slot in range(len(world.slots)):
        world.start_process(slot)
    ids = [f"wf-{number}" for number in range(random.choices((1, 2, 3, 4), (3, 4, 3, 1))[0])]
    draw = draw_plan(random, ids, world.queues)
    far, far_link = world.client("client")
    async with trio.open_nursery() as clients:
        for id in ids:
            clients.start_soon(Teller(world, id, draw(), far).run)
        await world.storm(random.uniform(0.5, 4.0))
        await world.heal()
        with trio.move_on_after(_FINISH_SECONDS) as patience:
            await _finished(world, clients)
        if patience.cancelled_caught:
            await _say_what_is_left(world)
            clients.cancel_scope.cancel()
    if not world.violations:
        await _check_leaks(world)
    await world.shut_down()
    await _audit(world)
    if far_link.changes.is_watched or any(link.changes.is_watched for link in world.links):
        world.broken("I10", "somebody still waits for changes")


async def _finished(world: World, clients: trio.Nursery) -> None:
    """Wait until nothing is open, on its way or left over."""
    state = world.store._state  # noqa: SLF001 - looking without a trace
    while True:
        await trio.sleep(_LOOK_SECONDS)
        if clients.child_tasks or world.in_flight or any(state.tasks.all()):
            continue
        if any(row.status is Status.OPEN for row in state.headers.rows.values()):
            continue
        if not any(len(inbox) for inbox in state.inboxes.values()):
            return


async def _say_what_is_left(world: World) -> None:
    dump = await world.store.dump()
    for row in dump["headers"]:
        if row["status"] == "open":
            world.broken("I1", f"{row['id']} is open after {_FINISH_SECONDS} s, parked: {row['parked']}")
    for table in ("tasks", "inbox"):
        for row in dump[table]:
            world.broken("I1", f"left in {table}: {row}")
    world.broken("I1", f"not finished: {world.in_flight} calls in flight")


async def _check_leaks(world: World) -> None:
    """Nothing may be left in memory either; what was answered and not heard is asked for again, some seconds later."""
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
        busy = [item for item in partition.residents.values() if item.status is Status.OPEN or item.mail]
        known = partition.intake._known  # noqa: SLF001
        if busy or known or partition._waiters:  # noqa: SLF001
            yield f"{process.name}, {partition.name}: {busy} {known} {partition._waiters}"  # noqa: SLF001
    if node.activities is not None:
        figures = node.activities.statistics()
        if any((figures.running, figures.reserved, figures.waiting, figures.unsettled, figures.reporting)):
            yield f"{process.name}: {figures}"


async def _audit(world: World) -> None:
    dump = await world.store.dump()
    for violation in audit(dump, world.entries, _REPLAYED):
        world.broken(violation.invariant, violation.text)
    histories: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for row in dump["events"]:
        histories[str(row["instance"]), int(str(row["run"]))] += decode_events(str(row["data"]).encode())
    ids = {str(row["instance"]): str(row["id"]) for row in dump["headers"]}
    for text in (*signals_between(histories, ids), *signals_handed_over(histories)):
        world.broken("I6", text)
    world.trace_line("audit", "dump", hash_of(dump))


def hash_of(dump: Any) -> str:
    """A digest of a dump, equal in every process."""
    return hashlib.blake2b(repr(dump).encode(), digest_size=8).hexdigest()
