"""One seed, from an empty store to the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from random import Random

import attrs
import trio

from wfactors.testing.simulator.clock import Endless, JumpingClock
from wfactors.testing.simulator.determinism import deterministic
from wfactors.testing.simulator.faults import NO_FAULTS, swarm
from wfactors.testing.simulator.process import leaf_of
from wfactors.testing.simulator.simulation import PATIENCE_SECONDS, STORM_SECONDS, Simulation
from wfactors.testing.simulator.trace import Trace
from wfactors.testing.simulator.wandering import wandering
from wfactors.testing.simulator.world import World

__all__ = ["Outcome", "Scenario", "run_seed", "run_twice"]

Scenario = Callable[[Simulation], Awaitable[object]]

_ENDS_SECONDS = 3600.0


@attrs.frozen
class Outcome:
    """What came of one seed.

    Attributes:
        violations: What was broken, in words; empty if all is well.
        seconds: How much virtual time passed.
        error: What was raised, if anything was.
    """

    seed: int
    violations: Sequence[str]
    trace: Trace
    seconds: float
    error: BaseException | None = None


def run_seed(
    seed: int,
    scenario: Scenario = wandering,
    *,
    faults: Collection[str] | None = None,
    storm: float = STORM_SECONDS,
    patience: float = PATIENCE_SECONDS,
    is_rerun: bool = False,
) -> Outcome:
    """Run one seed; the same seed gives the same trace, in any process. A rerun is not audited again."""
    random = Random(seed)
    odds = swarm(random, faults)
    worlds: list[World] = []

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            world = World(seed, odds, nursery)
            worlds.append(world)
            if odds == NO_FAULTS:
                world.watch.calm_since = 0.0
            sim = Simulation(world, random, storm=storm, patience=patience, is_rerun=is_rerun)
            return await _run(sim, scenario, patience)

    seconds = 0.0
    with deterministic(seed):
        try:
            seconds = trio.run(main, clock=JumpingClock())
        except BaseException as error:
            if not _is_endless(error):
                raise
            worlds[0].violations.append("I1: the engines go round in a circle")
            worlds[0].error = error
    world = worlds[0]
    return Outcome(seed, world.violations, world.trace, seconds, world.error)


def run_twice(seed: int) -> Outcome:
    """Run one seed twice; that the runs differ is a violation too."""
    first, second = run_seed(seed), run_seed(seed, is_rerun=True)
    # What only the audit finds is in the first trace alone.
    difference = "" if first.violations else first.trace.first_difference(second.trace)
    if difference:
        return attrs.evolve(first, violations=[*first.violations, f"determinism: {difference}"])
    return first


async def _run(sim: Simulation, scenario: Scenario, patience: float) -> float:
    try:
        with trio.fail_after(_ENDS_SECONDS + patience):
            await scenario(sim)
    except Exception as error:
        leaf = leaf_of(error)
        sim.world.broken("scenario", f"{type(leaf).__name__}: {leaf}", error)
    sim.world.nursery.cancel_scope.cancel()
    return trio.current_time()


def _is_endless(error: BaseException) -> bool:
    """Whether ``Endless`` was raised in a task, or in Trio's own loop."""
    if isinstance(error, trio.TrioInternalError) and error.__cause__ is not None:
        error = error.__cause__
    return isinstance(leaf_of(error), Endless)
