"""``simulate``, for workflows of a user's own: what it finds, and how a finding is told and repeated."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

import wfactors as wf
from wfactors.testing.simulator import SimulationFailure, run_seed
from wfactors.testing.simulator import simulate as simulate_


class Bank:
    """The world outside: it remembers what was done to it, also by a process that died over it."""

    def __init__(self, *, asks_first: bool) -> None:
        self.charged: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._asks_first = asks_first

    @wf.activity(retry=wf.Retry(attempts=10, first=0.1))
    async def charge(self, order: str) -> str:
        """Take a hundred, and be slow to say so."""
        key = wf.activity_info().idempotency_key
        if not self._asks_first or key not in self._seen:
            self._seen.add(key)
            self.charged[order] += 100
        await trio.sleep(0.3)
        return f"receipt of {order}"

    @wf.activity
    def stamp(self, text: str) -> str:
        """Not async: on the loop in a simulation, in a thread in production."""
        wf.heartbeat()
        return f"{text}, stamped"


@wf.workflow
async def checkout(order: str) -> str:
    await wf.sleep(0.2)
    receipt = await wf.activities(Bank).charge(order)
    with wf.move_on_after(1):
        await wf.signals("hurry", int).receive()
    return await wf.activities(Bank).stamp(receipt)


def shop_of(*, asks_first):
    async def shop(sim):
        bank = Bank(asks_first=asks_first)
        async with sim.engines(register=[checkout, bank], partitions=2):
            handles = [await sim.client.start(checkout, f"o{number}", id=f"o{number}") for number in range(3)]
            await trio.sleep(sim.random.uniform(0, 1))
            await handles[0].signal("hurry", 1)
            for number, handle in enumerate(handles):
                assert f"receipt of o{number}, stamped" == await handle.result()
        assert bank.charged == dict.fromkeys(["o0", "o1", "o2"], 100), f"charged {dict(bank.charged)}"

    return shop


def test_an_application_that_is_right(simulate) -> None:
    """Nothing is found, though processes died, and the report says what the seeds went through."""
    report = simulate(shop_of(asks_first=True), seeds=range(30))
    assert list(range(30)) == list(report.seeds)
    assert report.counts["fault crash"] > 0
    assert report.virtual_seconds > 30


def test_an_effect_that_is_not_idempotent_is_found(simulate) -> None:
    """The seed, what was asserted and how to repeat it are told; repeated, it is the same run."""
    with pytest.raises(SimulationFailure, match="charged") as found:
        simulate(shop_of(asks_first=False), seeds=range(100))
    failure = found.value
    assert f"repeat it with: simulate(shop, seeds=[{failure.seed}])" in str(failure)
    with pytest.raises(SimulationFailure) as again:
        simulate(shop_of(asks_first=False), seeds=[failure.seed])
    assert (failure.trace, failure.violations) == (again.value.trace, again.value.violations)


_started = Counter()


@wf.workflow
async def moody(name: str) -> None:
    _started[name] += 1
    for _ in range(_started[name]):
        await wf.sleep(0.1)


def test_a_workflow_that_does_not_replay_is_found(simulate) -> None:
    """Nobody asserts that; wfactors does."""

    async def scenario(sim):
        _started.clear()
        async with sim.engines(register=[moody]):
            await (await sim.client.start(moody, "x", id="x")).result()

    with pytest.raises(SimulationFailure, match="NonDeterminismError|does not replay"):
        simulate(scenario, seeds=[1])


def test_a_workflow_that_does_not_end_is_found(simulate) -> None:
    """Within the patience asked for."""

    async def scenario(sim):
        async with sim.engines(register=[endless], nodes=1):
            await sim.client.start(endless, id="endless")

    with pytest.raises(SimulationFailure, match="endless is open 20 s after the faults"):
        simulate(scenario, seeds=[1], patience=20, storm=0.5)


@wf.workflow
async def endless() -> None:
    while True:
        await wf.sleep(5)


def test_only_the_faults_asked_for_happen(simulate) -> None:
    """And one that there is not is a mistake."""
    report = simulate(shop_of(asks_first=True), seeds=range(20), faults=["slow"])
    assert {"fault slow"} == {name for name in report.counts if name.startswith("fault")}
    with pytest.raises(ValueError, match="no such faults: .'fire'.; there are fails,"):
        simulate(shop_of(asks_first=True), seeds=[0], faults=["fire"])


def test_a_number_of_seeds_is_other_ones_each_time(simulate) -> None:
    """The report has them."""
    first, second = (simulate(shop_of(asks_first=True), seeds=2, faults=[]).seeds for _ in range(2))
    assert 2 == len(first)
    assert first != second


def test_a_scenario_runs_the_same_twice() -> None:
    """Line by line."""
    shop = shop_of(asks_first=True)
    assert run_seed(5, shop).trace.lines == run_seed(5, shop).trace.lines


def test_the_fixture_is_the_function(simulate) -> None:
    """Nothing else."""
    assert simulate is simulate_
