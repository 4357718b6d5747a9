"""``simulate``: run a scenario of one's own in many worlds of faults."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import attrs

from wfactors.testing.simulator.run import Outcome, Scenario, run_seed
from wfactors.testing.simulator.simulation import PATIENCE_SECONDS, STORM_SECONDS

__all__ = ["SimulationFailure", "SimulationReport", "simulate"]

_SEEDS_MAX = 10**9


@attrs.frozen
class SimulationReport:
    """What ``simulate`` has run.

    Attributes:
        seeds: All of them, in order.
        counts: How often each fault, operation, event and rare path came up: ``report.counts["fault crash"]``.
        virtual_seconds: Over all seeds.
    """

    seeds: Sequence[int]
    counts: Counter[str]
    virtual_seconds: float


class SimulationFailure(AssertionError):
    """A promise was broken in one of the worlds: one of wfactors's, or one that the scenario asserts.

    Attributes:
        seed: What repeats it.
        violations: What was broken, in words.
        trace: All that happened, a line each.
    """

    def __init__(self, name: str, outcome: Outcome) -> None:
        self.seed = outcome.seed
        self.violations = outcome.violations
        self.trace = outcome.trace.text()
        lines = [f"seed {self.seed}:", *(f"  {text}" for text in outcome.violations)]
        if outcome.error is not None:
            lines += [line.rstrip() for line in traceback.format_exception(outcome.error)]
        lines.append(f"repeat it with: simulate({name}, seeds=[{self.seed}])")
        super().__init__("\n".join(lines))


def simulate(
    scenario: Scenario,
    seeds: int | Iterable[int] = 100,
    *,
    faults: Collection[str] | None = None,
    storm: float = STORM_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> SimulationReport:
    """Run a scenario once for each seed, until one breaks something.

    The scenario is an async function that is given a ``Simulation``. It opens ``sim.engines(register=[...])``, does in
    that block what clients do, with ``sim.client`` and ``sim.random``, and asserts what must be true. The engines are
    the production ones, on a memory store behind a layer of faults, in virtual time; the seed decides which faults
    there are, when, and the order of everything. So a seed repeats its run, as long as the scenario itself draws
    nothing from elsewhere. Activities that are ``def`` run on the loop instead of a thread.

    Args:
        scenario: What to run.
        seeds: Which, or how many: then they begin with one that the system draws.
        faults: Only these, of the names of the fields of ``wfactors.testing.simulator.Odds``; all if not given.
        storm: The longest time that faults last, in virtual seconds.
        patience: The time within which all workflows must have ended, after the faults.

    Raises:
        SimulationFailure: A promise was broken; it says how to repeat the run.
        ValueError: ``faults`` names one that there is not.
    """
    if isinstance(seeds, int):
        first = random.SystemRandom().randrange(_SEEDS_MAX)
        seeds = range(first, first + seeds)
    done: list[int] = []
    counts: Counter[str] = Counter()
    seconds = 0.0
    for seed in seeds:
        outcome = run_seed(seed, scenario, faults=faults, storm=storm, patience=patience)
        if outcome.violations:
            raise SimulationFailure(getattr(scenario, "__name__", repr(scenario)), outcome) from outcome.error
        done.append(seed)
        counts += outcome.trace.counts
        seconds += outcome.seconds
    return SimulationReport(done, counts, seconds)
