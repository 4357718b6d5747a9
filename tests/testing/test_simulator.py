"""The simulator itself: 500 seeds, other ones each time, and what makes its verdict worth something."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections import Counter

import pytest
import trio
from typer.testing import CliRunner

from wfactors.testing.mutants import MUTANTS, hunt, mutated
from wfactors.testing.scheduler import seeded_scheduler
from wfactors.testing.simulator import clock, run_seed, run_twice
from wfactors.testing.simulator.__main__ import app
from wfactors.testing.simulator.report import (
    SEEDS_FOR_ALL,
    SEEDS_FOR_COMMON,
    SELDOM,
    WANTED,
    Failure,
    Summary,
    run_seeds,
)

CHUNKS = 2
# With the workload of their time they found something; what it was is a test of its own in tests/semantics.
FOUND = (24, 253, 476, 708, 1323, 1631, 758, 1364, 1470, 3009, 3073, 6534)


def order(seed: int) -> list[int]:
    """The order in which Trio runs ten tasks that are ready at once, three times over."""
    ran: list[int] = []

    async def one(number: int) -> None:
        for _ in range(3):
            ran.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(one, number)

    with seeded_scheduler(seed):
        trio.run(main)
    return ran


def test_the_seed_decides_the_order_of_tasks() -> None:
    """Trio keeps its dice in private; this fails when it moves them."""
    orders = [order(seed) for seed in range(20)]
    assert orders == [order(seed) for seed in range(20)]
    assert 20 == len({tuple(item) for item in orders})


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_five_hundred_seeds(chunk) -> None:
    """Other ones on each push: nothing is lost, every rerun is the same, no two seeds are, and much came up."""
    # In parts, for as many workers; the seed of the session, which is shown, decides which.
    first = (int(os.environ["WFACTORS_TEST_SEED"]) * CHUNKS + chunk) * SEEDS_FOR_COMMON
    print(f"python -m wfactors.testing.simulator --seeds {first}:{first + SEEDS_FOR_COMMON}")
    summary = run_seeds(first, first + SEEDS_FOR_COMMON)
    assert [] == [(failure.command, failure.violations) for failure in summary.failures]
    assert SEEDS_FOR_COMMON == len(summary.digests)
    assert [] == summary.missing


@pytest.mark.parametrize("seed", FOUND)
def test_seeds_that_once_found_something(seed) -> None:
    """They find nothing any more."""
    assert [] == run_twice(seed).violations


def test_a_seed_gives_the_same_run_in_another_process() -> None:
    """Also under another hash seed."""
    code = "from wfactors.testing.simulator import run_seed; print(run_seed(7).trace.digest())"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert {f"{run_seed(7).trace.digest()}\n".encode()} == told


@pytest.mark.parametrize(
    "name",
    [
        "an epoch is used twice",
        "a claimed task stays free",
        "messages are never removed",
        "timers fire a little early",
        "time may go back",
        "the sequence begins anew with each lease",
        "signals do not go over to the next run",
        "wake-ups are not read after a takeover",
        "timers fire late",
        "a node leaves its row behind",
        "taken messages are remembered for ever",
        "an accepted terminate is lost",
    ],
)
def test_a_planted_bug_is_found(name) -> None:
    """Within a few seeds; ``python -m wfactors.testing.mutants`` plants the others."""
    assert hunt(name, 30).seeds is not None


def test_a_planted_bug_leaves_with_its_block() -> None:
    """The engine is as it was; there are at least thirty of them."""
    assert len(MUTANTS) >= 30
    before = [vars(target)[attribute] for target, attribute, _ in MUTANTS.values()]
    for name in MUTANTS:
        with mutated(name):
            pass
    assert before == [vars(target)[attribute] for target, attribute, _ in MUTANTS.values()]


def test_a_rerun_that_differs_is_a_violation(monkeypatch) -> None:
    """Something the seed does not decide gets in."""
    chance = iter(range(100))
    monkeypatch.setattr("wfactors.testing.simulator.world.World.skew", lambda _: float(next(chance)))
    assert any("determinism" in text for text in run_twice(3).violations)


# --- Verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_in_which_time_stands_still_ends(monkeypatch) -> None:
    """A task that can always run keeps the clock from jumping; shielded, nothing but the end of the loop ends it."""
    monkeypatch.setattr(clock, "_READINGS_MAX", 1000)

    async def spin(_: object) -> None:
        with trio.CancelScope(shield=True):
            while True:
                await trio.lowlevel.checkpoint()

    assert ["I1: the engines go round in a circle"] == run_seed(1, spin).violations
    # What that loop has left behind goes now, noisily, and not in the next test.
    gc.collect()
    assert [] == run_seed(1).violations


def test_what_was_not_reached_proves_nothing() -> None:
    """The verdict counts what came up, and failures count more."""
    summary = Summary(seeds=SEEDS_FOR_ALL, reached=Counter(WANTED))
    assert "passed" == summary.verdict
    summary.reached["fault cut"] = 0
    assert ("inconclusive", ["fault cut"]) == (summary.verdict, summary.missing)
    summary.add(Summary(failures=[Failure(5, ["I1: lost"])]))
    assert "failed" == summary.verdict
    assert "python -m wfactors.testing.simulator --seeds 5:6 --trace" == summary.failures[0].command


def test_what_is_seldom_reached_is_demanded_of_many_seeds_only() -> None:
    """And of very few seeds nothing but that they were more."""
    assert set(WANTED) > SELDOM
    summary = Summary(seeds=SEEDS_FOR_COMMON, reached=Counter(set(WANTED) - SELDOM))
    assert "passed" == summary.verdict
    summary.seeds = SEEDS_FOR_ALL
    assert SELDOM == set(summary.missing)
    summary.seeds = SEEDS_FOR_COMMON - 1
    assert ("inconclusive", 1) == (summary.verdict, len(summary.missing))


def test_the_command_says_that_few_seeds_prove_nothing() -> None:
    """Exit code 2, and a table with what is missing."""
    result = CliRunner().invoke(app, ["--seeds", "0:2", "--report"])
    assert 2 == result.exit_code
    assert "inconclusive" in result.output
    assert "never" in result.output


def test_the_command_repeats_a_failure() -> None:
    """Exit code 1, the trace, and the line to run it again."""
    with mutated("messages are never removed"):
        result = CliRunner().invoke(app, ["--seeds", "0:1", "--trace"])
        assert 1 == result.exit_code
        assert "BROKEN" in result.output
        result = CliRunner().invoke(app, ["--seeds", "0:1"])
    assert 1 == result.exit_code
    assert "--seeds 0:1 --trace" in result.output


@pytest.mark.parametrize("seeds", ["x", "5:1", "1:y"])
def test_the_command_refuses_what_is_no_range(seeds) -> None:
    """And says what it takes."""
    result = CliRunner().invoke(app, ["--seeds", seeds])
    assert 2 == result.exit_code
    assert "FIRST:END" in result.output
