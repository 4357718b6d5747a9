"""Workflows in virtual time: races decided to the millisecond, fakes, recorded calls."""

from __future__ import annotations

import inspect
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import trio

import wfactors as wf
from wfactors.testing import call, open_tester, run_in_virtual_time

THREE_DAYS = timedelta(days=3)
SHORT = timedelta(milliseconds=1)


class Declined(Exception):
    """The card is not accepted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@wf.activity(raises=Declined, retry=wf.Retry(attempts=3, first=10))
async def charge(card: str, cents: int, note: str = "") -> str:
    raise AssertionError("the real one is not for tests")


@wf.activity
async def double(n: int) -> int:
    return 2 * n


@wf.activity(start_to_close=5)
def in_thread(n: int) -> str:
    trio.from_thread.run_sync(lambda: None)
    return f"thread {n}"


class Payments:
    """Activities with state."""

    @wf.activity
    async def refund(self, cents: int) -> str:
        return f"real {cents}"


@wf.workflow
async def approval() -> str:
    with wf.move_on_after(THREE_DAYS) as patience:
        return await wf.signals("approve", str).receive()
    assert patience.cancelled_caught
    return "nobody"


@wf.workflow
async def month() -> int:
    total = 0
    for day in range(30):
        total += await double(day)
        await wf.sleep(timedelta(days=1))
    return total


@wf.workflow
async def pay(card: str) -> str:
    return await charge(card, cents=100)


@wf.workflow(raises=Declined)
async def deliver(order: str) -> str:
    await wf.sleep(timedelta(days=2))
    return f"{order} delivered"


@wf.workflow
async def shop(order: str) -> str:
    return await deliver(order)


@wf.workflow
async def patient() -> str:
    try:
        await wf.sleep_forever()
    finally:
        with wf.CancelScope(shield=True):
            await double(1)


# --- Time ------------------------------------------------------------------------------------------------------------


async def test_a_month_takes_no_time(tester):
    """Thirty days with thirty activities: the figure is printed, the limit is for a busy machine."""
    tester.register(double)
    began, began_cpu, before = time.perf_counter(), time.process_time(), tester.now
    assert await tester.run(month) == 870
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(f"a month took {took * 1e3:.1f} ms, {took_cpu * 1e3:.1f} ms of them computing")
    assert tester.now - before == timedelta(days=30)
    assert took_cpu < 1.0


@pytest.mark.parametrize(
    ("early", "expected"), [(SHORT, "yes"), (timedelta(0), "nobody"), (-SHORT, "nobody")], ids=["before", "at", "after"]
)
async def test_a_signal_races_with_a_deadline(tester, early, expected):
    """A millisecond before the deadline the signal wins; at it and after it the deadline does."""
    answers = []

    async def approve() -> None:
        try:
            await tester.signal("order", "approve", "yes")
        except wf.WorkflowClosed:
            answers.append("too late")

    tester.after(THREE_DAYS - early, approve)
    assert expected == await tester.run(approval, id="order")
    await tester.sleep(1)
    assert answers == ([] if expected == "yes" else ["too late"])


async def test_callbacks_come_at_their_time_in_their_order(tester):
    seen = []
    begin = tester.now
    tester.at(begin + timedelta(days=2), lambda: seen.append(("at", tester.now - begin)))
    tester.after(3600, seen.append, "an hour")
    tester.at(begin.timestamp() + 60, seen.append, "a minute")
    await tester.sleep(timedelta(days=2))
    assert seen == ["a minute", "an hour", ("at", timedelta(days=2))]


async def test_a_callback_that_fails_ends_the_test(autojump_clock):
    """What it raises comes out as it is, not in a group, and says which line asked for it."""
    with pytest.raises(ZeroDivisionError) as caught:  # noqa: PT012 - the block of the tester is what raises
        async with open_tester() as tester:
            line = inspect.currentframe().f_lineno + 1
            tester.after(10, lambda: 1 / 0)
            await tester.run(approval)
    assert caught.value.__notes__ == [f"raised by what tester.at() or after() was given at {__file__}:{line}"]


@pytest.mark.parametrize("bad", [-1, float("inf"), float("nan"), timedelta(seconds=-1)])
async def test_a_callback_in_the_past_is_refused(tester, bad):
    with pytest.raises(ValueError, match="a time to come"):
        tester.after(bad, print)


@pytest.mark.wfactors(now=datetime(2031, 5, 1, tzinfo=UTC))
async def test_the_time_to_begin_with_can_be_chosen(tester):
    assert tester.now == datetime(2031, 5, 1, tzinfo=UTC)
    await tester.run(deliver, "x")
    assert tester.now == datetime(2031, 5, 3, tzinfo=UTC)


async def test_threads_work_while_the_time_stands_still(tester):
    """A deadline of five virtual seconds does not pass while a thread works."""

    @wf.workflow
    async def threads() -> list[str]:
        return await wf.gather(*[in_thread(n) for n in range(4)])

    tester.register(in_thread)
    before = tester.now
    assert await tester.run(threads) == [f"thread {n}" for n in range(4)]
    assert tester.now == before
    assert sorted(it.args[0] for it in tester.calls(in_thread)) == [0, 1, 2, 3]


def test_the_tester_wants_a_mock_clock():
    async def main() -> None:
        async with open_tester():
            raise AssertionError

    with pytest.raises(RuntimeError, match="run_in_virtual_time"):
        trio.run(main)


def test_what_waits_for_ever_fails_at_once():
    with pytest.raises(trio.TooSlowError):
        run_in_virtual_time(trio.Event().wait)


# --- Fakes -----------------------------------------------------------------------------------------------------------


async def test_a_fake_returns_and_its_calls_are_recorded(tester):
    tester.fake(charge, returns="receipt")
    assert await tester.run(pay, "visa") == "receipt"
    assert tester.calls(charge) == [call("visa", 100)]
    assert tester.calls(charge) == [call(cents=100, card="visa")]
    tester.calls(charge).assert_once_with("visa", cents=100)
    tester.calls(charge).assert_any("visa", 100)
    tester.calls(charge).assert_times(1)
    tester.calls(double).assert_never()


async def test_expectations_say_what_there_was(tester):
    tester.fake(charge, returns="receipt")
    await tester.run(pay, "visa")
    calls = tester.calls(charge)
    for check in (
        calls.assert_never,
        lambda: calls.assert_times(2),
        lambda: calls.assert_once_with("amex", 100),
        lambda: calls.assert_any("amex", 100),
    ):
        with pytest.raises(AssertionError, match=r"call\('visa', 100\)"):
            check()
    assert calls[0] != call("visa")
    assert calls[0] != "visa"


async def test_a_fake_fails_and_is_tried_again(tester):
    """The engine's own retries, in virtual time: one call, two attempts, ten seconds."""
    tester.fake(charge, sequence=[OSError("down"), "receipt"])
    before = tester.now
    assert await tester.run(pay, "visa") == "receipt"
    (only,) = tester.calls(charge)
    assert (only.attempts, only.at, tester.now - before) == (2, before, timedelta(seconds=10))


async def test_a_sequence_that_is_used_up_fails_for_good(tester):
    tester.fake(charge, sequence=[])
    with pytest.raises(wf.WorkflowFailed, match="used up"):
        await tester.run(pay, "visa")


async def test_a_fake_raises_what_comes_back_as_itself(tester):
    tester.fake(charge, raises=Declined("no funds"))

    @wf.workflow(raises=Declined)
    async def careful() -> str:
        try:
            return await charge("visa", 1)
        except Declined as error:
            return error.reason

    assert await tester.run(careful) == "no funds"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_fake_is_a_plain_function(tester, is_async):
    async def slowly(card: str, cents: int) -> str:
        await trio.sleep(60)
        return f"{card} {cents}"

    tester.fake(charge, slowly if is_async else lambda card, cents: f"{card} {cents}")
    before = tester.now
    assert await tester.run(pay, "visa") == "visa 100"
    assert tester.now - before == timedelta(seconds=60 if is_async else 0)


async def test_a_fake_can_take_its_time_and_change(tester):
    tester.fake(charge, returns="slow", delay=timedelta(hours=1))
    before = tester.now
    assert await tester.run(pay, "visa") == "slow"
    assert tester.now - before == timedelta(hours=1)
    tester.fake(charge, returns="fast")
    assert await tester.run(pay, "visa") == "fast"


async def test_a_fake_that_returns_the_wrong_type_is_found_out(tester):
    tester.fake(charge, returns=object())
    with pytest.raises(wf.WorkflowFailed, match="charge"):
        await tester.run(pay, "visa")


async def test_a_method_is_faked_without_an_instance(tester):
    @wf.workflow
    async def back() -> str:
        return await wf.activities(Payments).refund(5)

    tester.fake(Payments.refund, lambda cents: f"fake {cents}")
    assert await tester.run(back) == "fake 5"
    tester.calls(Payments.refund).assert_once_with(5)


async def test_a_real_method_is_recorded(tester):
    @wf.workflow
    async def back() -> str:
        return await wf.activities(Payments).refund(5)

    tester.register(Payments())
    assert await tester.run(back) == "real 5"
    tester.calls(Payments.refund).assert_once_with(cents=5)


async def test_misuse_of_fakes_is_refused(tester):
    with pytest.raises(TypeError, match="one of"):
        tester.fake(charge, returns=1, raises=OSError)
    with pytest.raises(TypeError, match="decorated"):
        tester.fake(print)
    await tester.engine()
    with pytest.raises(RuntimeError, match=r"before the engine is started, by engine\(\) or with the first workflow"):
        tester.fake(double, returns=1)
    with pytest.raises(RuntimeError, match=r"before the engine is started, by engine\(\) or with the first workflow"):
        tester.register(double)


# --- Children --------------------------------------------------------------------------------------------------------


async def test_a_child_is_faked(tester):
    """It runs once, however often the child is replayed."""
    tester.fake(deliver, lambda order: f"fake {order}")
    assert await tester.run(shop, "hat") == "fake hat"
    assert tester.calls(deliver) == [call("hat")]


async def test_a_faked_child_fails_as_itself(tester):
    tester.fake(deliver, raises=Declined("closed"))
    with pytest.raises(wf.WorkflowFailed) as caught:
        await tester.run(shop, "hat")
    assert caught.value.failure.type.endswith("ChildWorkflowError") or "Declined" in str(caught.value.failure)
    assert "closed" in str(caught.value)


async def test_a_listener_hears_of_children(tester):
    """It gets the call and a handle, with which it may take part."""
    seen = []

    async def listen(child, handle):
        seen.append((child, child.parent_id, (await handle.describe()).workflow))

    tester.register(deliver)
    tester.on_child(listen)
    assert await tester.run(shop, "hat", id="shop-1") == "hat delivered"
    assert seen == [(call("hat"), "shop-1", "deliver")]
    tester.calls(shop).assert_once_with("hat")


# --- From outside ----------------------------------------------------------------------------------------------------


async def test_a_workflow_is_cancelled(tester):
    tester.register(double)
    tester.after(timedelta(days=1), tester.cancel, "p", "closing time")
    with pytest.raises(wf.WorkflowCancelled):
        await tester.run(patient, id="p")
    tester.calls(double).assert_once_with(1)


async def test_the_engine_restarts_in_the_middle(tester):
    """What goes on is replayed by the next engine."""
    tester.register(double)
    handle = await tester.start(month)
    await tester.sleep(timedelta(days=10))
    await tester.restart()
    assert await tester.result(await tester.get(handle.id, month)) == 870
    tester.calls(double).assert_times(30)


async def test_a_deadlock_says_who_waits_for_what(tester):
    with pytest.raises(AssertionError, match="nobody knows the activity double") as caught:
        await tester.run(month, id="m")
    assert "m (month)" in str(caught.value)
    assert "activity double" in str(caught.value)


async def test_a_parked_workflow_says_why(tester):
    @wf.workflow
    async def stuck() -> None:
        await wf.Event().wait()

    with pytest.raises(AssertionError, match="WorkflowStuckError"):
        await tester.run(stuck)


async def test_a_workflow_that_waits_for_ever_shows_its_lines(tester):
    """The signal that never comes is named; and the code that waits is shown, task by task."""

    async def patient() -> None:
        await wf.signals("never", str).receive()

    @wf.workflow
    async def waits() -> None:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(patient)
            await wf.sleep_forever()

    with pytest.raises(AssertionError, match="'w' will never end") as caught:
        await tester.run(waits, id="w")
    lines = str(caught.value).splitlines()
    assert lines[1] == "  w (waits)"
    assert lines[2] == "    waits for signal 'never'"
    assert lines[4::2] == ["      await wf.sleep_forever()", '      await wf.signals("never", str).receive()']
    places = [line.partition(".py:")[2].rpartition("<locals>.")[2] for line in lines[3::2]]
    assert places == ["waits", "patient"]


async def test_the_description_survives_code_that_does_not_replay(tester):
    """It says so in the place of the lines."""
    turns = iter(range(100))

    @wf.workflow
    async def moody() -> None:
        await wf.sleep(next(turns) + 1)
        await wf.signals("never", str).receive()

    await tester.start(moody, id="m")
    await tester.sleep(60)
    waits = "  m (moody)\n    waits for signal 'never'\n"
    assert f"{waits}    where in its code is not known: at event 1 the history" in await tester.describe()


async def test_nothing_open_is_said_so(tester):
    assert await tester.describe() == "  no workflow is open"


async def test_another_workflow_may_be_started_later(tester):
    await tester.engine()
    tester.after(1, tester.signal, "a", "approve", "yes")
    assert await tester.run(approval, id="a") == "yes"
    assert await tester.run(deliver, "hat") == "hat delivered"
    tester.calls(deliver).assert_once_with("hat")


async def test_a_workflow_on_a_queue_of_its_own_runs(tester):
    @wf.workflow(queue="night")
    async def nightly() -> str:
        return wf.info().queue

    assert await tester.run(nightly) == "night"


async def test_a_workflow_that_is_registered_may_be_faked(tester):
    """The fake comes first, for workflows and for activities."""
    tester.register(deliver, double)
    tester.fake(deliver, returns="by hand")
    tester.fake(double, returns=7)
    assert await tester.run(shop, "hat") == "by hand"
    assert await tester.run(month) == 30 * 7


async def test_a_workflow_may_be_started_by_its_name(tester):
    """As a client of another program would."""
    tester.register(approval)
    tester.after(1, tester.signal, "a", "approve", "yes")
    assert await tester.run("approval", id="a") == "yes"


async def test_settling_waits_for_threads(tester):
    """What they bring is still of this moment."""
    gate = threading.Event()

    @wf.activity
    def gated() -> str:
        assert gate.wait(timeout=30)
        return "through"

    @wf.workflow
    async def through() -> str:
        return await gated()

    tester.register(gated)
    handle = await tester.start(through)
    before = tester.now
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tester.settle)
        with trio.fail_after(3600):
            while not tester.hold.is_held:
                await trio.lowlevel.checkpoint()
        gate.set()
    assert (await handle.describe()).status == "completed"
    assert tester.now == before


async def test_who_waits_for_what_names_no_activity_that_is_known(tester):
    """Only an activity that nobody knows is worth a line of advice."""
    tester.fake(charge, returns="receipt", delay=3600)
    await tester.start(pay, "visa", id="p")
    await tester.sleep(1)
    told = await tester.describe()
    assert "waits for activity charge" in told
    assert "nobody knows" not in told


def test_calls_written_by_hand_are_compared_as_they_are():
    """Nobody knows the signature, so a keyword is no position; nor is a call anything else."""
    assert call(1, b=2) == call(1, b=2)
    assert call(1, b=2) != call(1, 2)
    assert call(1) != (1,)
