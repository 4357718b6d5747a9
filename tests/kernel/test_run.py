"""One run: facts in, decisions out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import inf

import pytest

import wfactors as wf
from tests.kernel.story import BEGIN, Story, boom, close_all, payload
from wfactors.convert import DataPort
from wfactors.errors import NonDeterminismError
from wfactors.model import events
from wfactors.model.events import (
    ActivityCancelAsked,
    ActivityScheduled,
    CancelSent,
    CarriedSignal,
    ChildCancelAsked,
    ChildScheduled,
    RunCancelled,
    RunCompleted,
    RunContinued,
    SignalSent,
    TimerCancelled,
    TimerSet,
    UpdateCompleted,
)
from wfactors.model.options import ActivityOptions, Retry
from wfactors.model.payloads import Payload
from wfactors.model.status import OnCancel, ParentClose


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


class Declined(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@wf.activity
async def step(n: int) -> int:
    return n


@wf.activity(raises=(Declined,), start_to_close=30, retry=wf.Retry(attempts=5))
async def charge(cents: int) -> str:
    raise Declined("no funds")


@wf.activity(on_cancel="abandon")
async def forget(n: int) -> int:
    return n


@wf.workflow
async def child(n: int) -> int:
    return n


# --- Turns -----------------------------------------------------------------------------------------------------------


@wf.workflow
async def two_steps(n: int) -> int:
    first = await step(n)
    return first + await step(first)


def test_a_turn_is_a_fact_and_its_decisions():
    """Each call is scheduled when its turn has come, and the value of the last one is the result."""
    story = Story(two_steps).start(1)
    assert story.decisions == [ActivityScheduled(0, "step", "home", payload([1]))]
    assert story.completed(0, 10).decisions == [ActivityScheduled(1, "step", "home", payload([10]))]
    assert story.completed(1, 5).decisions == [RunCompleted(payload(15))]
    assert story.run.final == RunCompleted(payload(15))
    assert story.run.events == 6


def test_events_counts_those_before_the_current_turn():
    """The author sees how long the history was when the turn began."""
    seen = []

    @wf.workflow
    async def count() -> None:
        seen.append(wf.info().events)
        await step(1)
        seen.append(wf.info().events)

    Story(count).start().completed(0, 1)
    assert seen == [0, 2]


def test_the_options_of_a_call_can_be_taken_once():
    """What the engine needs beside the decision comes from the decorator."""
    story = Story(workflow_of(charge, 5)).start()
    assert story.run.take_activity_options(0) == ActivityOptions(retry=Retry(attempts=5), start_to_close=30.0)
    with pytest.raises(KeyError):
        story.run.take_activity_options(0)


def workflow_of(activity, *args):
    @wf.workflow(name="one")
    async def one() -> object:
        return await activity(*args)

    return one


def test_fan_out_schedules_in_order_and_takes_outcomes_in_any():
    """Ten calls at once; the results stand in the order of the calls."""

    @wf.workflow
    async def fan() -> list[int]:
        return list(await wf.gather(*[step(n) for n in range(10)]))

    story = Story(fan).start()
    assert [decision.call for decision in story.decisions] == list(range(10))
    for call in reversed(range(10)):
        story.completed(call, call * 2)
    assert story.result == [n * 2 for n in range(10)]


def test_facts_after_the_end_are_ignored():
    """A signal acknowledged before the run ended may stand after its end."""
    story = Story(workflow_of(step, 1)).start().completed(0, 1)
    assert story.signal("late").decisions == []
    assert story.run.events == 5


def test_time_never_goes_back():
    """A fact with an earlier time happens at the time of the one before."""

    @wf.workflow
    async def clock() -> list[float]:
        times = [wf.current_time()]
        await step(1)
        return [*times, wf.current_time(), wf.now().timestamp()]

    story = Story(clock).start().after(-100).completed(0, 1)
    assert story.result == [BEGIN, BEGIN, BEGIN]


def test_a_timer_is_set_and_fires():
    """A sleep is one timer; its number comes with the fact."""

    @wf.workflow
    async def nap() -> str:
        await wf.sleep(timedelta(days=30))
        return "up"

    story = Story(nap).start()
    at = BEGIN + 30 * 24 * 3600
    assert story.decisions == [TimerSet(0, at)]
    assert story.run.next_deadline == at
    story.after(at - story.time).timer(0)
    assert story.result == "up"
    assert story.run.next_deadline == inf


def test_a_timeout_that_is_left_is_cancelled():
    """The timer goes with the scope it belongs to."""

    @wf.workflow
    async def patient() -> int:
        with wf.fail_after(60):
            return await step(1)

    story = Story(patient).start()
    assert story.decisions == [ActivityScheduled(0, "step", "home", payload([1])), TimerSet(0, BEGIN + 60)]
    assert story.completed(0, 7).decisions == [TimerCancelled(0), RunCompleted(payload(7))]


def test_a_stale_timer_is_ignored_and_an_unknown_one_refused():
    """A timer may fire after its deadline was passed by another fact."""

    @wf.workflow
    async def nap() -> None:
        await wf.sleep(10)
        await step(1)

    story = Story(nap).start().after(20).signal("anything")
    assert story.decisions == [ActivityScheduled(0, "step", "home", payload([1]))]
    assert story.timer(0).decisions == []
    with pytest.raises(NonDeterminismError, match="no timer 5 was set"):
        story.timer(5)


# --- Outcomes of activities ------------------------------------------------------------------------------------------


def test_an_expected_failure_comes_back_as_itself():
    """A type named in raises= is caught by its own except clause, fields and all."""

    @wf.workflow
    async def pay() -> str:
        try:
            return await charge(100)
        except Declined as error:
            return f"declined: {error.reason}"

    story = Story(pay)
    failure = story.application.data.failure_from_exception(Declined("no funds"), (Declined,))
    story.start().failed(0, failure)
    assert story.result == "declined: no funds"


def test_any_other_failure_is_an_activity_error():
    """Type, message and attempt are kept; the workflow fails with it if nobody catches it."""
    story = Story(workflow_of(charge, 5)).start().failed(0, boom("broken"), attempt=5)
    assert story.failure.type == "wfactors.errors.ActivityError"
    assert story.failure.message == "charge: ValueError: broken"
    assert story.failure.cause == boom("broken")


def test_the_error_of_a_call_points_to_the_line_of_the_author():
    """The innermost frame of the author's code is the call."""
    story = Story(workflow_of(step, 1)).start().failed(0)
    assert "return await activity(*args)" in story.failure.traceback


def test_a_passed_deadline_is_an_activity_timeout():
    """It names the deadline."""

    @wf.workflow
    async def wait() -> str:
        try:
            await step(1)
        except wf.ActivityTimeout as error:
            return f"{error.deadline} of attempt {error.attempt}"
        return "?"

    story = Story(wait).start().failed(0, boom(kind="timeout"), attempt=2, deadline="heartbeat")
    assert story.result == "heartbeat of attempt 2"


def test_a_result_that_does_not_fit_fails_the_call():
    """The path to the misfit is in the message."""

    @wf.workflow
    async def strict() -> str:
        try:
            await step(1)
        except wf.ConversionError as error:
            return str(error)
        return "?"

    assert "the result of step()" in Story(strict).start().completed(0, "text").result


def test_outcomes_of_unknown_calls_are_refused():
    """The history belongs to other code."""
    story = Story(two_steps).start(1)
    with pytest.raises(NonDeterminismError, match="no call 7 was made"):
        story.completed(7)


def test_an_outcome_of_another_kind_is_refused():
    """An activity does not end like a child."""
    story = Story(two_steps).start(1)
    with pytest.raises(NonDeterminismError, match="call 0 is of another kind: activity step"):
        story.child_completed(0)


def test_a_second_outcome_is_refused():
    """A call has one; ``is_pending`` tells the engine."""
    story = Story(two_steps).start(1)
    assert story.run.is_pending(0)
    story.completed(0, 1)
    assert not story.run.is_pending(0)
    with pytest.raises(NonDeterminismError, match="does not wait for it"):
        story.completed(0, 1)


# --- Cancelling activities -------------------------------------------------------------------------------------------


@wf.workflow
async def impatient() -> str:
    with wf.move_on_after(5) as scope:
        return f"got {await step(1)}"
    return f"moved on, caught {scope.cancelled_caught}"


def test_a_cancelled_scope_asks_and_waits():
    """The scope is left when the attempt has stopped, not before."""
    story = Story(impatient).start().after(10).timer(0)
    assert story.decisions == [ActivityCancelAsked(0)]
    assert story.run.waiting() == ["activity step (call 0, asked to stop)"]
    assert story.stopped(0).result == "moved on, caught True"


def test_a_value_wins_over_the_cancellation():
    """As in Trio: what was done is done."""
    story = Story(impatient).start().after(10).timer(0).completed(0, 3)
    assert story.result == "got 3"


def test_a_failure_wins_over_the_cancellation():
    """It is raised through the scope."""
    story = Story(impatient).start().after(10).timer(0).failed(0)
    assert story.failure.type == "wfactors.errors.ActivityError"


def test_a_value_that_comes_late_but_first_is_taken():
    """A fact beats a deadline that it passes."""
    assert Story(impatient).start().after(10).completed(0, 3).result == "got 3"


def test_abandoning_asks_and_goes_on():
    """The outcome is ignored whenever it comes."""

    @wf.workflow
    async def abandon() -> str:
        with wf.move_on_after(5):
            await forget(1)
        await step(2)
        return "done"

    story = Story(abandon).start().after(10).timer(0)
    assert story.decisions == [ActivityCancelAsked(0), ActivityScheduled(1, "step", "home", payload([2]))]
    assert not story.run.is_pending(0)
    story.completed(0, 1)
    assert story.decisions == []
    assert story.completed(1, 1).result == "done"


def test_a_call_in_a_cancelled_scope_records_nothing():
    """It raises Cancelled before it takes place."""

    @wf.workflow
    async def late() -> str:
        with wf.CancelScope() as scope:
            scope.cancel()
            await step(1)
        return "nothing"

    assert Story(late).start().decisions == [RunCompleted(payload("nothing"))]


def test_somebody_else_cancels_the_activity():
    """Nobody asked for it here, so it is a failure of the call."""
    story = Story(workflow_of(step, 1)).start().stopped(0)
    assert story.failure.message == "step: Cancelled: somebody cancelled the activity"


# --- Cancelling the run ----------------------------------------------------------------------------------------------


def test_cancelling_the_run():
    """Cancelled leaves the main function, and that is the run's end."""
    story = Story(two_steps).start(1).cancel("no longer needed")
    assert story.decisions == [ActivityCancelAsked(0)]
    story.stopped(0)
    assert (story.failure.kind, story.failure.message) == ("cancelled", "no longer needed")


def test_the_first_reason_to_cancel_stands():
    """Whoever asks later asks for what is under way."""
    story = Story(two_steps).start(1).cancel("no longer needed").cancel("really")
    assert (story.decisions, story.run.cancel_reason) == ([], "no longer needed")
    assert story.stopped(0).failure.message == "no longer needed"


def test_clean_up_under_a_shield():
    """The shielded call runs to its end, and the run is cancelled afterwards."""

    @wf.workflow
    async def tidy() -> None:
        try:
            await wf.sleep_forever()
        finally:
            with wf.CancelScope(shield=True):
                await step(9)

    story = Story(tidy).start().cancel()
    assert story.decisions == [ActivityScheduled(0, "step", "home", payload([9]))]
    assert story.completed(0, 9).failure.kind == "cancelled"


def test_a_run_that_returns_although_cancelled_is_completed():
    """Whoever catches Cancelled at a scope and returns has an answer to give."""

    @wf.workflow
    async def stubborn() -> str:
        try:
            await wf.sleep_forever()
        except wf.Cancelled:
            return "anyway"

    assert Story(stubborn).start().cancel().result == "anyway"


def test_cancelled_before_it_started():
    """No author code runs."""
    story = Story(two_steps).cancel("too late")
    assert story.failure.message == "too late"
    assert story.start(1).decisions == []


def test_terminated():
    """No author code runs, not even clean-up, and queries still work."""
    ran = []

    @wf.workflow
    async def guarded() -> None:
        @wf.query
        def answer() -> int:
            return 42

        try:
            await wf.sleep(5)
        finally:
            ran.append("clean-up")

    story = Story(guarded).start().after(100).terminate()
    assert story.decisions == []
    assert ran == []
    assert isinstance(story.run.final, events.RunTerminated)
    assert story.query("answer") == 42


# --- Children --------------------------------------------------------------------------------------------------------


@wf.workflow
async def parent() -> int:
    return await child(4)


def test_an_awaited_child():
    """Its result is the value of the call."""
    story = Story(parent).start()
    assert story.decisions == [ChildScheduled(0, "child", "home", payload([4]))]
    assert story.child_completed(0, 16).result == 16


@pytest.mark.parametrize("kind", ["error", "terminated", "cancelled"])
def test_a_failed_child(kind):
    """However it ended without a value, the parent gets a ChildWorkflowError."""
    story = Story(parent).start().child_failed(0, boom(kind=kind))
    assert story.failure.type == "wfactors.errors.ChildWorkflowError"


def test_an_awaited_child_ends_before_its_cancelled_call():
    """Structured concurrency: the parent is cancelled when the child has ended."""
    story = Story(parent).start().cancel("stop")
    assert story.decisions == [ChildCancelAsked(0)]
    story.child_failed(0, boom(kind="cancelled"))
    assert story.failure.kind == "cancelled"


def test_a_child_that_completes_although_cancelled():
    """Its value wins, as that of an activity does."""
    assert Story(parent).start().cancel().child_completed(0, 3).result == 3


@wf.workflow
async def beside() -> list[object]:
    handle = await wf.start_child(child, 1, id="my-child", queue="far", parent_close="abandon", attributes={"a": 1})
    await handle.signal("gift", True)
    await handle.cancel()
    return [handle.id, await handle.result(), await handle.result()]


def test_a_child_beside_its_parent():
    """The handle comes with the acceptance; then signals, cancels and results."""
    story = Story(beside).start()
    attributes = payload({"a": 1})
    assert story.decisions == [
        ChildScheduled(0, "child", "far", payload([1]), "my-child", ParentClose.ABANDON, attributes)
    ]
    assert story.child_started(0).decisions == [SignalSent(1, "my-child", "gift", payload(True))]
    assert story.accepted(1).decisions == [ChildCancelAsked(0)]
    assert story.child_completed(0, 5).result == ["my-child", 5, 5]


def test_a_child_whose_id_is_taken():
    """The refusal is the answer to start_child, not to result."""

    @wf.workflow
    async def starter() -> str:
        try:
            await wf.start_child(child, 1, id="taken")
        except wf.WorkflowAlreadyStarted as error:
            return error.id
        return "?"

    failure = boom("workflow 'taken' is already open", "wfactors.errors.WorkflowAlreadyStarted")
    assert Story(starter).start().child_failed(0, failure).result == "taken"


def test_a_child_with_an_id_of_the_engine_starts_at_once():
    """Nobody can refuse it, so nobody waits; the id derives from the parent's."""

    @wf.workflow
    async def starter() -> str:
        return (await wf.start_child(child, 1)).id

    assert Story(starter).start().result == "key.0"


def test_being_cancelled_ends_the_wait_for_a_handle_not_the_child():
    """Only a plain awaited child cannot outlive its call."""

    @wf.workflow
    async def watcher() -> int:
        handle = await wf.start_child(child, 1)
        with wf.move_on_after(5):
            await handle.result()
        return await handle.result()

    story = Story(watcher).start().after(10).timer(0)
    assert story.decisions == []
    assert story.run.waiting() == ["child workflow child (call 0)"]
    assert story.child_completed(0, 2).result == 2


def test_a_start_that_is_cancelled():
    """The child is asked to stop and left to itself; what becomes of it is ignored."""

    @wf.workflow
    async def starter() -> str:
        with wf.move_on_after(5):
            await wf.start_child(child, 1, id="slow")
        await step(1)
        return "on"

    story = Story(starter).start().after(10).timer(0)
    assert story.decisions == [ChildCancelAsked(0), ActivityScheduled(1, "step", "home", payload([1]))]
    story.child_started(0).child_failed(0, boom(kind="cancelled"))
    assert story.completed(1, 1).result == "on"


# --- Context ---------------------------------------------------------------------------------------------------------


def test_a_call_has_the_context_as_it_was_when_it_was_made():
    """A change is for the calls after it, in this turn and in later ones."""

    @wf.workflow
    async def caller() -> None:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(step, 1)
            await wf.checkpoint()
            wf.context()["user"] = "bob"
            nursery.start_soon(child, 2)
            await wf.signals("go").receive()
            nursery.start_soon(step, 3)
            await wf.checkpoint()
            del wf.context()["user"]

    story = Story(caller).start(context={"user": "ada"})
    assert [dict(story.run.context_of(call)) for call in range(2)] == [{"user": "ada"}, {"user": "bob"}]
    story.signal("go")
    assert dict(story.run.context_of(2)) == {"user": "bob"}
    assert dict(story.run.calls.context) == {}


# --- Requests to others ----------------------------------------------------------------------------------------------


@wf.workflow
async def asker() -> list[str]:
    outcomes = []
    requests = ((wf.signal, "a", "hello", [1]), (wf.cancel, "b", "please"), (wf.signal, "c", "hello"))
    for function, *args in requests:
        try:
            await function(*args)
            outcomes.append("accepted")
        except wf.WorkflowNotFound:
            outcomes.append("not found")
        except wf.WorkflowClosed as error:
            outcomes.append(error.status)
    return outcomes


def test_signals_and_cancels_to_others():
    """Each waits for its answer and raises what it says."""
    story = Story(asker).start()
    assert story.decisions == [SignalSent(0, "a", "hello", payload([1]))]
    assert story.accepted(0).decisions == [CancelSent(1, "b", "please")]
    assert story.refused(1, "not_found").decisions == [SignalSent(2, "c", "hello", payload(None))]
    assert story.refused(2, "failed").result == ["accepted", "not found", "failed"]


# --- Signals ---------------------------------------------------------------------------------------------------------


def test_signals_keep_their_order_before_and_after_the_channel_exists():
    """Two came before anybody asked, one later."""

    @wf.workflow
    async def listener() -> list[int]:
        await step(1)
        channel = wf.signals("n", int)
        return [await channel.receive() for _ in range(3)]

    story = Story(listener).start().signal("n", 1).signal("other", 0).signal("n", 2).completed(0, 1)
    assert story.run.waiting() == ["signal 'n'"]
    assert story.signal("n", 3).result == [1, 2, 3]


def test_a_signal_that_does_not_fit_raises_at_receive_and_is_taken():
    """The one after it is received."""

    @wf.workflow
    async def listener() -> list[object]:
        channel = wf.signals("n", int)
        try:
            await channel.receive()
        except wf.ConversionError as error:
            return ["signal 'n'" in str(error), await channel.receive()]
        return []

    assert Story(listener).start().signal("n", "text").signal("n", 5).result == [True, 5]


def test_receivers_are_served_in_the_order_they_came():
    """One signal wakes one of them; one that was cancelled gets none."""

    @wf.workflow
    async def listeners() -> list[str]:
        got = []

        async def listen(name: str, seconds: float) -> None:
            with wf.move_on_after(seconds):
                got.append(f"{name}{await wf.signals('n', int).receive()}")

        async with wf.open_nursery() as nursery:
            nursery.start_soon(listen, "a", 5)
            nursery.start_soon(listen, "b", 50)
            nursery.start_soon(listen, "c", 50)
        return got

    story = Story(listeners).start().after(10).timer(0).signal("n", 1).signal("n", 2)
    assert story.result == ["b1", "c2"]


def test_which_signals_are_awaited_is_known_by_name():
    """In the order in which the waits began; a name stays, where it is, as long as any task waits for it."""

    @wf.workflow
    async def listeners() -> None:
        async def listen(name: str, seconds: float) -> None:
            with wf.move_on_after(seconds):
                await wf.signals(name).receive()

        async with wf.open_nursery() as nursery:
            for name, seconds in (("b", 5), ("a", 50), ("b", 50), ("c", 50)):
                nursery.start_soon(listen, name, seconds)

    story = Story(listeners).start()
    signals = story.run.signals
    assert list(signals.awaited) == ["b", "a", "c"]
    story.signal("a").signal("other")
    assert list(signals.awaited) == ["b", "c"]
    story.after(10).timer(0)
    assert list(signals.awaited) == ["b", "c"]
    story.signal("b")
    assert list(signals.awaited) == ["c"]
    story.after(50).timer(1)
    assert not signals.awaited


def test_who_reads_a_signal_and_waits_for_the_next_stands_behind():
    """The one that has been awaited longest is told first; and a signal that is there already is not awaited."""

    @wf.workflow
    async def reader() -> None:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(wf.signals("other").receive)
            await wf.signals("n").receive()
            await wf.signals("n").receive()
            await wf.signals("n").receive()

    story = Story(reader).start(signals=(CarriedSignal("n", payload(8), "m"),))
    assert list(story.run.signals.awaited) == ["other", "n"]
    story.signal("other").signal("n")
    assert list(story.run.signals.awaited) == ["n"]


@pytest.mark.parametrize(
    ("name", "error"),
    [(3, "TypeError: the name of a signal must be a str, not int"), ("", "must not be empty"), ("\ud800", "Unicode")],
)
def test_what_no_signal_can_be_called_is_not_waited_for(name, error):
    """Nobody could send it, and what is awaited is stored."""

    @wf.workflow
    async def listener() -> None:
        wf.signals(name)

    assert error in Story(listener).start().failure.summary()


def test_receive_nowait_and_statistics():
    """What is there is taken without waiting."""

    @wf.workflow
    async def look() -> list[object]:
        channel = wf.signals("n", int)
        before = channel.statistics().current_buffer_used
        taken = channel.receive_nowait()
        try:
            channel.receive_nowait()
        except wf.WouldBlock:
            return [before, taken, channel.statistics().tasks_waiting_receive]
        return []

    story = Story(look)
    story.start(signals=(CarriedSignal("n", payload(8), "m"),))
    assert story.result == [1, 8, 0]


# --- Continue as new -------------------------------------------------------------------------------------------------


def test_continue_as_new_passes_through_nurseries_and_carries_unread_signals():
    """A group that holds nothing else counts as it."""

    @wf.workflow
    async def forever(n: int) -> int:
        async with wf.open_nursery() as nursery:

            async def again() -> None:
                await wf.signals("go", int).receive()
                wf.continue_as_new(n + 1)

            nursery.start_soon(again)
            nursery.start_soon(wf.sleep_forever)
        return n

    story = Story(forever).start(1).signal("b", 1).signal("a", 2).signal("b", 3).signal("go", 0)
    carried = (
        CarriedSignal("b", payload(1), "message-1"),
        CarriedSignal("a", payload(2), "message-2"),
        CarriedSignal("b", payload(3), "message-3"),
    )
    assert story.decisions == [RunContinued("forever", payload([2]), carried)]


def test_a_cancelled_run_that_continues_leaves_the_cancel_to_the_next():
    """It goes over as often as runs continue, with the first reason, and is in force from the first checkpoint on."""
    before = []

    @wf.workflow
    async def again(n: int) -> None:
        before.append(n)
        with wf.CancelScope(shield=True):
            await step(n)
        if n < 2:
            wf.continue_as_new(n + 1)
        await step(n)
        before.append("never")

    first = Story(again).start(1).cancel("enough").cancel("more").completed(0, 1)
    assert first.decisions == [RunContinued("again", payload([2]), (), "enough")]
    second = Story(again).start(2, cancel_reason="enough").completed(0, 1)
    assert [type(decision) for decision in second.decisions] == [RunCancelled]
    assert second.decisions[0].failure.message == "enough"
    assert before == [1, 2]


def test_continue_as_new_beside_a_failure_is_a_failure():
    """Something went wrong, which must not be lost."""

    @wf.workflow
    async def broken() -> None:
        async def fail() -> None:
            raise ValueError("no")

        async def again() -> None:
            wf.continue_as_new()

        async with wf.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(again)

    failure = Story(broken).start().failure
    assert failure.kind == "group"
    assert "builtins.ValueError" in [member.type for member in failure.group]


# --- Ends ------------------------------------------------------------------------------------------------------------


def test_a_result_that_cannot_be_stored_fails_the_run():
    """The path is told."""

    @wf.workflow
    async def odd() -> object:
        return [object()]

    assert Story(odd).start().failure.type.endswith("Error")


def test_arguments_that_do_not_fit_fail_the_run():
    """The function was changed after the start."""
    assert "n" in Story(two_steps).start("text").failure.message


def test_system_exit_is_told_apart():
    """It ends the run, not the process."""

    @wf.workflow
    async def leave() -> None:
        raise SystemExit(3)

    assert Story(leave).start().failure.kind == "base_exception"


def test_a_keyboard_interrupt_of_the_author_is_a_failure_like_others():
    """A real Ctrl-C never reaches a turn: the engine protects it."""

    @wf.workflow
    async def interrupted() -> None:
        raise KeyboardInterrupt

    assert Story(interrupted).start().failure.kind == "base_exception"


# --- Queries and updates ---------------------------------------------------------------------------------------------


@wf.workflow
async def cart() -> list[str]:  # noqa: C901  One function for each request.
    items: list[str] = []

    @wf.query
    def contents() -> list[str]:
        return items

    @wf.query(name="last")
    def last_item(default: str) -> str:
        return items[-1] if items else default

    @wf.query
    def broken() -> int:
        raise ValueError("no")

    @wf.query
    def greedy() -> int:
        charge(5)
        return 1

    @wf.query
    def sly() -> int:
        try:
            wf.set_attributes(a=1)
        except wf.WorkflowMisuseError:
            return 1
        return 2

    @wf.update
    async def add(item: str) -> int:
        items.append(item)
        await step(len(items))
        return len(items)

    @add.validator
    def check(item: str) -> None:
        if not item:
            raise ValueError("an item has a name")

    @wf.update(name="clear")
    def remove_all() -> None:
        items.clear()

    await wf.signals("done").receive()
    return items


def test_a_query_is_answered_from_memory():
    """Before, between and after turns."""
    story = Story(cart).start()
    assert story.query("contents") == []
    assert story.query("last", "none") == "none"
    story.update("add", "apple")
    assert story.query("contents") == ["apple"]
    story.signal("done").completed(0, 1)
    assert story.query("last", "none") == "apple"


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("missing", [], "has no query 'missing': it has 'contents', 'last'"),
        ("last", [5], "default"),
        ("last", [], "missing a required argument"),
        ("broken", [], "ValueError: no"),
        ("greedy", [], "query 'greedy' may only look, so it cannot call activity 'charge'"),
        ("sly", [], "query 'sly' may only look, so it cannot call set_attributes"),
    ],
)
def test_a_query_that_cannot_be_answered(name, args, words):
    """The reason is told, and the run goes on as if nothing had been asked."""
    story = Story(cart).start()
    with pytest.raises(wf.QueryError, match="query") as caught:
        story.query(name, *args)
    assert words in str(caught.value)
    assert not story.run.is_spoiled
    assert story.signal("done").result == []


def test_a_query_whose_error_has_no_words():
    """The caller is told the type, and that there was nothing else to tell."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @wf.workflow
    async def silent() -> None:
        @wf.query
        def ask() -> None:
            raise Mute

        await wf.sleep_forever()

    story = Story(silent).start()
    with pytest.raises(wf.QueryError, match=r"query 'ask' of workflow 'id': Mute: \(its str\(\) failed\)"):
        story.query("ask")


def test_a_query_that_wakes_a_task_spoils_the_run():
    """The engine has to build it again."""

    @wf.workflow
    async def fragile() -> None:
        event = wf.Event()

        @wf.query
        def poke() -> None:
            event.set()

        await event.wait()

    story = Story(fragile).start()
    with pytest.raises(wf.QueryError, match="woke a task"):
        story.query("poke")
    assert story.run.is_spoiled


def test_an_update_is_checked_recorded_and_run():
    """Its outcome is a decision, made when its function returns."""
    story = Story(cart).start()
    story.run.check_update("add", payload(["apple"]))
    story.update("add", "apple")
    assert story.decisions == [ActivityScheduled(0, "step", "home", payload([1]))]
    assert story.completed(0, 1).decisions == [UpdateCompleted("update-1", payload(1))]
    assert story.update("clear", id="update-2").decisions == [UpdateCompleted("update-2", payload(None))]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [("missing", [], "has no update"), ("add", [5], "item"), ("add", [""], "an item has a name")],
)
def test_an_update_that_is_refused(name, args, words):
    """Nothing is recorded."""
    story = Story(cart).start()
    with pytest.raises(wf.UpdateRejected, match=words):
        story.run.check_update(name, payload(args))


def test_an_update_that_fails():
    """Its error is the update's, not the run's."""

    @wf.workflow
    async def touchy() -> None:
        @wf.update
        async def fail() -> None:
            raise ValueError("no")

        @wf.update
        async def again() -> None:
            wf.continue_as_new()

        await wf.sleep_forever()

    story = Story(touchy).start().update("fail")
    (decision,) = story.decisions
    assert (decision.failure.type, decision.failure.message) == ("builtins.ValueError", "no")
    (decision,) = story.update("again", id="update-2").decisions
    assert decision.failure.type == "wfactors.errors.WorkflowMisuseError"
    (decision,) = story.update("missing", id="update-3").decisions
    assert decision.failure.type == "wfactors.errors.UpdateRejected"
    assert story.run.final is None


def test_updates_end_with_the_run():
    """They are cancelled and waited for; then comes the end."""
    story = Story(cart).start().update("add", "apple").signal("done")
    assert story.decisions == [ActivityCancelAsked(0)]
    story.stopped(0)
    update, final = story.decisions
    assert update.failure.type == "wfactors.errors.WorkflowClosed"
    assert final == RunCompleted(payload(["apple"]))
    with pytest.raises(wf.WorkflowClosed):
        story.run.check_update("add", payload(["pear"]))


# --- Looking inside --------------------------------------------------------------------------------------------------


def test_waiting_in_words():
    """One line for each thing that is waited for."""

    @wf.workflow
    async def busy() -> None:
        lock = wf.Lock()

        async def hold() -> None:
            async with lock:
                await wf.sleep_forever()

        async with wf.open_nursery() as nursery:
            nursery.start_soon(hold)
            nursery.start_soon(lock.acquire)
            nursery.start_soon(wf.sleep, 60)
            nursery.start_soon(step, 1)
            nursery.start_soon(child, 1)
            nursery.start_soon(wf.signal, "x", "hello")
            nursery.start_soon(wf.signals("go").receive)
            nursery.start_soon(wf.Event().wait)
            nursery.start_soon(wf.wait_until, lambda: False)

    assert Story(busy).start().run.waiting() == [
        "being cancelled",
        "lock",
        "timer 0 until 2023-11-14T22:14:20.000+00:00",
        "activity step (call 0)",
        "child workflow child (call 1)",
        "signal 'hello' to workflow 'x' (call 2)",
        "signal 'go'",
        "event",
        "a condition",
    ]


def test_a_deadline_that_was_moved_is_told_once():
    """Nobody waits for the time it had before."""

    @wf.workflow
    async def patient() -> None:
        with wf.move_on_after(60) as scope:
            scope.deadline += 60
            await step(1)

    assert Story(patient).start().run.waiting() == [
        "activity step (call 0)",
        "timer 0 until 2023-11-14T22:15:20.000+00:00",
    ]


@pytest.mark.parametrize(
    ("name", "is_stuck"),
    [("event", True), ("condition", True), ("signal", False), ("timer", False), ("forever", False), ("call", False)],
)
def test_stuck(name, is_stuck):
    """A run is stuck when nothing from outside could wake any of its tasks."""
    waits = {
        "event": lambda: wf.Event().wait(),
        "condition": lambda: wf.wait_until(lambda: False),
        "signal": lambda: wf.signals("go").receive(),
        "timer": lambda: wf.sleep(5),
        "forever": wf.sleep_forever,
        "call": lambda: step(1),
    }

    @wf.workflow
    async def waiter() -> None:
        await waits[name]()

    reason = Story(waiter).start().run.stuck_reason()
    assert (reason is not None) == is_stuck
    if reason is not None:
        assert (
            reason
            == f"nothing from outside can wake this workflow: waiter waits for {'a ' * (name == 'condition')}{name}"
        )


def test_an_update_keeps_a_run_from_being_stuck():
    """Whoever calls it may change what the condition depends on."""
    assert Story(cart).start().run.stuck_reason() is None


def test_stacks():
    """Where each task is, innermost frame last."""
    (stack,) = Story(two_steps).start(1).run.stacks()
    assert stack.name == "two_steps"
    assert "two_steps" in [frame.function for frame in stack.frames]


def test_closing_records_nothing():
    """What the author's code does on its way out has no effect."""
    after = []

    @wf.workflow
    async def leaving() -> None:
        try:
            await step(1)
        finally:
            after.append(wf.patched("late"))
            wf.set_attributes(a=1)
            after.append("attributes")
            await step(2)
            after.append("never")

    story = Story(leaving).start()
    before = list(story.decisions)
    story.run.close()
    assert after == [False, "attributes"]
    assert story.decisions == before


def test_abandon_is_an_option_of_the_definition():
    """Said in the decorator, taken for each call."""
    story = Story(workflow_of(forget, 1)).start()
    assert story.run.take_activity_options(0).on_cancel is OnCancel.ABANDON


# --- Faults that are not the author's --------------------------------------------------------------------------------


class Backwards:
    """A codec that the application of a story does not have."""

    name = "backwards"
    conceals = False

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def test_a_missing_codec_ends_the_turn_and_not_the_run():
    """It is a fault of this process: the history must not know of it, and the author's code cannot catch it."""

    @wf.workflow
    async def catching(n: int) -> None:
        try:
            await step(n)
        except BaseException:  # noqa: BLE001  The point of the test.
            await step(2)

    plain = Story(catching).start(1)
    turned = DataPort(codecs=[Backwards()])
    unreadable = Payload(turned.to_payload(5))
    with pytest.raises(wf.CodecError, match="backwards"):
        plain.feed(events.ActivityCompleted(plain.time, 0, unreadable))
    assert plain.run.final is None
    story = Story(catching)
    with pytest.raises(wf.CodecError, match="backwards"):
        story.start(input=Payload(turned.to_payload([1])))
    with pytest.raises(wf.CodecError, match="backwards"):
        Story(cart).start().feed(events.UpdateReceived(BEGIN, "u", "add", Payload(turned.to_payload(["x"]))))


def test_the_answer_to_a_request_may_come_after_its_scope_was_cancelled():
    """What was sent is sent; nobody listens any more."""

    @wf.workflow
    async def hasty() -> str:
        with wf.move_on_after(5):
            await wf.signal("a", "hello")
        await step(1)
        return "on"

    story = Story(hasty).start().after(10).timer(0).refused(0, "not_found")
    assert story.completed(1, 1).result == "on"


def test_an_acceptance_may_come_after_the_outcome():
    """Only one for a child that was never started is refused."""
    story = Story(beside_and_on).start().child_completed(0, 3).child_started(0)
    assert story.decisions == []
    with pytest.raises(NonDeterminismError, match="no call 9 was made"):
        story.child_started(9)


@wf.workflow
async def beside_and_on() -> None:
    await child(1)
    await wf.sleep_forever()


def test_answers_of_another_kind_are_refused():
    """A child does not answer like a request, nor the other way round."""
    with pytest.raises(NonDeterminismError, match="is of another kind: child workflow child"):
        Story(parent).start().accepted(0)
    with pytest.raises(NonDeterminismError, match="is of another kind: signal 'hello' to workflow 'a'"):
        Story(asker).start().child_started(0)


def test_a_time_that_no_calendar_has():
    """A timer in the year 300,000 is told in seconds."""

    @wf.workflow
    async def eternal() -> None:
        await wf.sleep(1e15)

    assert Story(eternal).start().run.waiting() == ["timer 0 until 1000001700000000.0 s"]


def test_a_concealed_failure_without_its_codec():
    """It cannot be told from what is left of it, so the turn ends."""

    @wf.workflow
    async def caller() -> None:
        await step(1)

    class Hiding(Backwards):
        conceals = True

    hidden = DataPort(codecs=[Hiding()]).failure_from_exception(ValueError("secret"))
    with pytest.raises(wf.CodecError, match="backwards"):
        Story(caller).start().failed(0, hidden)


def test_a_side_effect_on_the_way_out_does_not_run():
    """Nobody would know of it."""
    ran = []

    @wf.workflow
    async def leaving() -> None:
        try:
            await wf.sleep_forever()
        finally:
            await wf.side_effect(ran.append, 1)

    Story(leaving).start().run.close()
    assert ran == []


def test_an_unknown_answer_is_refused():
    """A request that was never sent has none."""
    with pytest.raises(NonDeterminismError, match="no call 3 was made"):
        Story(asker).start().accepted(3)
    with pytest.raises(NonDeterminismError, match="no call 3 was made"):
        Story(asker).start().child_completed(3)
