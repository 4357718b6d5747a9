"""Production engines in a world of faults, all of it decided by one seed."""

from __future__ import annotations

from wfactors.testing.simulator.run import Outcome, simulate, simulate_twice

__all__ = ["Outcome", "simulate", "simulate_twice"]
