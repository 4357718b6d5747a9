"""An application that is killed before and after each call of its store, and what it must have come to in the end."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta

import pytest
import trio

import wfactors as wf
from wfactors.testing import CrashFailure, assert_survives_crashes

pytest_plugins = ["pytester"]


@wf.activity
async def charge(cents: int) -> str:
    return f"{cents} charged"


@wf.activity
def pack(item: str) -> str:
    return f"{item} packed"


@wf.workflow
async def ship(item: str) -> str:
    await wf.sleep(timedelta(days=30))
    return await pack(item)


@wf.workflow
async def checkout(cents: int) -> list[str]:
    approved = await wf.signals("approve", bool).receive()
    return [await charge(cents), await ship("hat"), str(approved)]


REGISTER = [charge, pack, ship, checkout]


async def started(tester, *args, id="order-7") -> wf.Handle:
    try:
        return await tester.start(*args, id=id, reuse="reject")
    except wf.WorkflowAlreadyStarted as error:
        return error.handle


async def careful(tester) -> list[str]:
    """As every program is that may be restarted."""
    handle = await started(tester, checkout, 100)
    with contextlib.suppress(wf.WorkflowClosed):
        await handle.signal("approve", True)
    return await tester.result(handle)


async def careless(tester) -> str:
    """Gives no id, so it starts a second one."""
    return await tester.run(ship, "hat")


async def quick(tester) -> str:
    return await tester.result(await started(tester, ship, "hat"))


def test_an_application_that_may_be_restarted_survives_every_crash():
    """Two at each call: a child, a thread, a signal and a month of sleep come to the same end each time."""
    report = assert_survives_crashes(careful, register=REGISTER)
    assert report.calls > 20
    assert report.crashes == 2 * report.calls


def test_what_it_starts_need_not_be_registered():
    """As for a tester, also where the next life finds it in the store before it starts it."""

    @wf.workflow
    async def second() -> str:
        await wf.sleep(60)
        return "second"

    async def both(tester) -> list[str]:
        handles = [await started(tester, ship, "hat"), await started(tester, second, id="second")]
        return [await tester.result(handle) for handle in handles]

    assert assert_survives_crashes(both, register=[pack]).crashes > 20


def test_a_workflow_that_is_started_twice_is_found():
    """From the moment on at which the first is there; and the words of the failure repeat it."""
    with pytest.raises(CrashFailure, match=r"careless does not survive \d+ of \d+ crashes") as caught:
        assert_survives_crashes(careless, register=REGISTER)
    first = caught.value.points[0]
    assert f'assert_survives_crashes(careless, at="{first}", ...)' in str(caught.value)
    assert "its workflows ended also [('ship', 'completed', '\"hat packed\"')]" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1 + 3 + 2
    with pytest.raises(CrashFailure, match=rf"1 of 1 crashes\n  killed {first} \(\w+\)") as again:
        assert_survives_crashes(careless, register=REGISTER, at=first)
    assert again.value.points == (first,)


def once_more(life_that_matters: int):
    """An application whose third life, at the earliest, starts a workflow of its own."""
    lives = []

    async def application(tester) -> str:
        lives.append(tester)
        handle = await started(tester, ship, "hat")
        result = await tester.result(handle)
        if len(lives) == life_that_matters:
            await tester.run(ship, "again")
        lives.clear()
        return result

    return application


@pytest.mark.parametrize("again", [7, "all"])
def test_a_second_crash_during_the_recovery_is_found(again):
    """What goes wrong only then passes with one crash, and the point of the failure repeats it."""
    options = {"register": REGISTER, "every": 10}
    assert assert_survives_crashes(once_more(3), **options).crashes > 0
    with pytest.raises(CrashFailure, match="its workflows ended also") as caught:
        assert_survives_crashes(once_more(3), again=again, **options)
    where = caught.value.points[0]
    assert re.fullmatch(r"(before|after) \d+, (before|after) \d+", where)
    with pytest.raises(CrashFailure, match=f"killed {where} ") as repeated:
        assert_survives_crashes(once_more(3), register=REGISTER, at=where)
    assert repeated.value.points == (where,)


def test_a_careful_application_survives_a_second_crash():
    """In the second life it is killed too: about twice as often in all, each time the same for one seed."""
    once = assert_survives_crashes(quick, register=REGISTER)
    twice = assert_survives_crashes(quick, register=REGISTER, again=7)
    assert twice == assert_survives_crashes(quick, register=REGISTER, again=7)
    assert twice.crashes > 2 * once.crashes


def test_another_result_is_found():
    """What the application counts in memory is gone with it."""

    async def counts(tester) -> int:
        await quick(tester)
        return len(tester.calls(pack))

    with pytest.raises(CrashFailure, match="it returned 0, undisturbed 1"):
        assert_survives_crashes(counts, register=REGISTER)


def test_an_error_that_only_a_restart_raises_is_found():
    """The id is in use."""

    async def strict(tester) -> str:
        return await tester.result(await tester.start(ship, "hat", id="one"))

    with pytest.raises(CrashFailure, match="it raised WorkflowAlreadyStarted: "):
        assert_survives_crashes(strict, register=REGISTER)


def test_a_workflow_that_does_not_replay_is_found():
    """Its next life decides otherwise than its history."""
    lives = iter(range(1_000))

    @wf.workflow
    async def moody() -> None:
        await wf.sleep(next(lives) + 1)

    async def application(tester) -> None:
        await tester.result(await started(tester, moody))

    with pytest.raises(CrashFailure, match="the history and the code differ"):
        assert_survives_crashes(application, replay_check=None)


def test_nothing_that_a_killed_application_tries_reaches_the_store():
    """Not even from a handler that nobody can cancel."""

    @wf.workflow
    async def listens() -> list[str]:
        with wf.move_on_after(60):
            return [await wf.signals("last words", str).receive()]
        return []

    async def application(tester) -> object:
        handle = await started(tester, listens)
        try:
            return await tester.result(handle)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await handle.signal("last words", "not dead")
            raise

    assert assert_survives_crashes(application).crashes > 20


def test_what_the_undisturbed_run_raises_is_raised():
    """It is a mistake of the test, and nobody was killed."""

    async def wrong(tester) -> None:
        await tester.start(ship)

    with pytest.raises(TypeError, match="missing a required argument: 'item'"):
        assert_survives_crashes(wrong)


def test_only_some_points():
    """Each fifth call."""
    everything = assert_survives_crashes(quick, register=REGISTER)
    some = assert_survives_crashes(quick, register=REGISTER, every=5)
    assert some.calls == everything.calls
    assert some.crashes == 2 * (everything.calls // 5)


async def idle(tester) -> None:
    """Asks nothing of the store."""


@pytest.mark.parametrize(
    ("application", "options", "error", "words"),
    [
        (quick, {"every": 0}, ValueError, "every must be 1 or more, not 0"),
        (quick, {"again": "some"}, ValueError, "again must be a seed or \"all\", not 'some'"),
        (quick, {"at": "17"}, ValueError, 'at must be like "before 17" or "after 17", not \'17\''),
        (quick, {"at": "after 1000"}, ValueError, "quick was killed nowhere: it makes"),
        (idle, {}, ValueError, "idle was killed nowhere: it makes 0 calls of its store"),
        (quick, {"store": wf.MemoryStore()}, TypeError, "has its own store"),
    ],
)
def test_a_check_that_would_check_nothing_is_refused(application, options, error, words):
    """With words that say why."""
    with pytest.raises(error, match=words):
        assert_survives_crashes(application, register=REGISTER, **options)


def test_the_fixture_takes_the_options_of_the_marker(pytester):
    """So a file says once what its tests register."""
    pytester.makepyfile(
        """
        import pytest
        import wfactors as wf

        @wf.activity
        async def double(n: int) -> int:
            return 2 * n

        @wf.workflow
        async def year(n: int) -> int:
            await wf.sleep(365 * 24 * 3600)
            return await double(n)

        pytestmark = pytest.mark.wfactors(register=[double])

        async def application(tester):
            try:
                handle = await tester.start(year, 4, id="it", reuse="reject")
            except wf.WorkflowAlreadyStarted as error:
                handle = error.handle
            return await tester.result(handle)

        def test_it(assert_survives_crashes):
            assert assert_survives_crashes(application).crashes > 20
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
