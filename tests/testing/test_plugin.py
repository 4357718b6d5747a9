"""The pytest plugin in projects of its own: with trio_mode and without, with other clocks, and where nobody uses it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

WORKFLOWS = """
    import datetime

    import pytest, trio
    import wfactors as wf

    @wf.activity
    async def double(n: int) -> int:
        return 2 * n

    @wf.workflow
    async def year(n: int) -> int:
        await wf.sleep(datetime.timedelta(days=365))
        return await double(n)
"""


def run(pytester: pytest.Pytester, source: str, *arguments: str, mode: bool = True) -> pytest.RunResult:
    """Run one file in a process of its own."""
    pytester.makepyfile(test_it=WORKFLOWS + source)
    pytester.makeini(f"[pytest]\ntrio_mode = {str(mode).lower()}\nfilterwarnings = error\naddopts = --strict-markers\n")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("mode", [True, False])
def test_the_fixtures_need_no_ceremony(pytester, mode):
    """No clock among the arguments, no marker, and a year is over at once."""
    result = run(
        pytester,
        """
    pytestmark = pytest.mark.wfactors(register=[double])

    async def test_tester(tester):
        assert await tester.run(year, 4) == 8

    async def test_engine_and_store(engine, store):
        async with engine(year, double) as first:
            handle = await first.start(year, 4)
        async with engine(year, double) as second:
            assert await (await second.get(handle.id)).result() == 8
            assert second.store is store

    async def test_with_the_clock_as_an_argument(tester, autojump_clock):
        assert await tester.run(year, 4) == 8
        assert autojump_clock.current_time() >= 365 * 24 * 3600

    @pytest.fixture
    async def started(tester):
        return await tester.start(year, 5)

    async def test_an_async_fixture(started, tester):
        assert await tester.result(started) == 10

    @pytest.mark.wfactors(now=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    async def test_options(tester):
        assert tester.now.year == 2030
        assert await tester.run(year, 1) == 2

    async def test_virtual_time_alone(virtual_time):
        await trio.sleep(1e6)
    """,
        mode=mode,
    )
    result.assert_outcomes(passed=6)


def test_a_test_that_hangs_fails_at_once(pytester):
    """As does one that is over the limit of its marker; the test after them is not harmed."""
    result = run(
        pytester,
        """
    async def test_hangs(tester):
        await trio.Event().wait()

    @pytest.mark.wfactors(limit=3600)
    async def test_too_long(tester):
        await tester.sleep(7200)

    @pytest.mark.wfactors(real_limit=0.2)
    async def test_never_ends(tester):
        while True:
            await trio.sleep(1)

    async def test_after(tester):
        await tester.sleep(7200)
    """,
    )
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(["*TooSlowError*"])
    result.stdout.fnmatch_lines(["*always something left to do*"])


def test_a_store_of_the_users_own(pytester):
    result = run(
        pytester,
        """
    @pytest.fixture
    def store(virtual_time, tmp_path):
        return wf.SqliteStore(tmp_path / "it.db", clock=virtual_time.clock.now, hold=virtual_time.hold,
                              poll_idle_seconds=None)

    async def test_on_sqlite(tester):
        tester.register(double)
        assert await tester.run(year, 4) == 8
        assert type(tester.store).__name__ == "SqliteStore"
    """,
    )
    result.assert_outcomes(passed=1)


def test_others_are_left_alone(pytester):
    """Tests without the fixtures keep their clock; the plugin can be kept away."""
    source = """
    def test_plain():
        pass

    async def test_real_time():
        assert type(trio.lowlevel.current_clock()).__name__ == "SystemClock"

    @pytest.fixture
    def tester():
        return 7

    def test_own_fixture(tester):
        assert tester == 7
    """
    run(pytester, source).assert_outcomes(passed=3)
    run(pytester, source, "-p", "no:wfactors").assert_outcomes(passed=3)


def test_the_plugin_imports_pytest_and_nobody_else_does(pytester):
    """``wfactors.testing`` works where pytest is not installed."""
    pytester.makepyfile(
        check="""
        import sys
        sys.modules["pytest"] = None
        import wfactors.testing
        assert wfactors.testing.open_tester
        """
    )
    assert pytester.runpython("check.py").ret == 0
