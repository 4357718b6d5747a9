"""Production engines in a world of faults, all of it decided by one seed."""

from __future__ import annotations

from wfactors.testing.simulator.api import SimulationFailure, SimulationReport, simulate
from wfactors.testing.simulator.faults import Odds
from wfactors.testing.simulator.run import Outcome, run_seed, run_twice
from wfactors.testing.simulator.simulation import Simulation

__all__ = [
    "Odds",
    "Outcome",
    "Simulation",
    "SimulationFailure",
    "SimulationReport",
    "run_seed",
    "run_twice",
    "simulate",
]
