"""Leases that end at bad moments; each was first found by the simulator."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf
from wfactors.testing.clocks import VirtualClock


@wf.workflow
async def answers() -> int:
    return 42


class LosesFirstLease(wf.MemoryStore):
    """A store that is slow to hand out the partition, and takes the first lease for over meanwhile."""

    has_lost = False

    async def acquire(self, partition, node):
        if not self.has_lost:
            await trio.sleep(5)
        return await super().acquire(partition, node)

    async def renew(self, node, lease_seconds):
        if not self.has_lost:
            self.has_lost = True
            raise wf.LeaseLost("it was over")
        return await super().renew(node, lease_seconds)


async def test_an_engine_that_loses_its_lease_before_it_is_ready_becomes_ready(autojump_clock) -> None:
    """It joins again, and open_engine goes on."""
    clock = VirtualClock(autojump_clock)
    store = LosesFirstLease(clock=clock.now)
    with trio.fail_after(60):
        async with wf.open_engine(store, register=[answers], clock=clock, lease=3) as engine:
            assert 42 == await engine.run(answers)
    assert store.has_lost


async def test_a_turn_may_not_outlast_the_lease(autojump_clock) -> None:
    """Such an engine does not open; without a lease any limit is right."""
    limits = wf.Limits(turn_seconds_max=8)
    clock = VirtualClock(autojump_clock)
    with pytest.raises(ValueError, match="half the lease"):
        async with wf.open_engine(wf.MemoryStore(clock=clock.now), clock=clock, limits=limits, lease=10):
            pass
    async with wf.open_engine(register=[answers], clock=clock, limits=limits) as engine:
        assert 42 == await engine.run(answers)


@pytest.mark.parametrize("lease", [0, -1, float("nan"), 1e-9, 0.09])
async def test_a_lease_that_makes_no_sense_is_refused(lease) -> None:
    """One that is over before it can be renewed would be lost again and again."""
    with pytest.raises(ValueError, match="lease must be"):
        async with wf.open_engine("memory://", register=[answers], lease=lease):
            pass


def test_figures_may_be_asked_for_from_outside_the_loop() -> None:
    """What serves metrics is often another thread, and what prints a summary runs when all is over."""

    async def program() -> tuple[wf.Engine, float | None]:
        async with wf.open_engine(lease=10) as engine:
            statistics = await trio.to_thread.run_sync(engine.statistics)
        return engine, statistics.lease_seconds_left

    engine, left = trio.run(program)
    assert left is not None
    assert 0 < left <= 10
    assert engine.statistics().lease_seconds_left is None
