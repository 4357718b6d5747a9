"""The frame of the tests does what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from trio.testing import MockClock

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py")


async def test_an_async_test_runs_in_trio_under_the_default_limit() -> None:
    assert trio.current_effective_deadline() - trio.current_time() <= 60


async def test_a_jumping_clock_gets_a_limit_of_years(autojump_clock: MockClock) -> None:
    await trio.sleep(365 * 24 * 3600)
    assert autojump_clock.current_time() >= 365 * 24 * 3600


@pytest.mark.time_limit(5)
async def test_a_marker_chooses_the_limit() -> None:
    assert trio.current_effective_deadline() - trio.current_time() <= 5


@pytest.mark.parametrize(
    ("parameter", "waits"), [("", "trio.sleep_forever()"), ("autojump_clock", "trio.Event().wait()")]
)
def test_a_test_that_hangs_fails(pytester: pytest.Pytester, parameter: str, waits: str) -> None:
    """The limit of this conftest ends it, and the test after it is not harmed."""
    result = run_isolated(
        pytester,
        f"""
        import pytest, trio

        @pytest.mark.time_limit(0.05)
        async def test_hangs({parameter}):
            await {waits}

        async def test_after():
            await trio.lowlevel.checkpoint()
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*TooSlowError*", "seed: WFACTORS_TEST_SEED=*"])


def test_an_async_hypothesis_test_is_limited(pytester: pytest.Pytester) -> None:
    result = run_isolated(
        pytester,
        """
        import pytest, trio
        from hypothesis import given, settings, strategies as st

        @pytest.mark.time_limit(0.05)
        @settings(max_examples=2)
        @given(n=st.integers())
        async def test_hangs(n):
            await trio.sleep_forever()
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TooSlowError*"])


def test_random_numbers_repeat_with_the_seed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        def test_draws(rng):
            print("drew", rng.random())
    """
    drawn = []
    for seed in ("1", "1", "2"):
        monkeypatch.setenv("WFACTORS_TEST_SEED", seed)
        result = run_isolated(pytester, source, "-s")
        drawn.append(next(line for line in result.outlines if "drew" in line))
    assert drawn[0] == drawn[1] != drawn[2]


def run_isolated(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Run one file under this conftest in a process of its own."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(test_it=source)
    pytester.makeini("[pytest]\ntrio_mode = true\nmarkers = time_limit(seconds): as in the project\n")
    return pytester.runpytest_subprocess(*arguments)
