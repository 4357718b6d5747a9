"""One attempt: what comes of the author's function, and that nothing it does harms anything else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from tests.actors.activity_kit import EPOCH, HeldClock, make_task, running, value_of
from wfactors.activity import heartbeat
from wfactors.errors import PermanentError
from wfactors.model.options import Retry

if TYPE_CHECKING:
    from wfactors.model.messages import ActivityOutcome

# --- Values ----------------------------------------------------------------------------------------------------------


async def double(x: int) -> int:
    return 2 * x


def double_in_thread(x: int) -> int:
    assert not trio.lowlevel.in_trio_run()
    return 2 * x


@attrs.frozen
class Point:
    x: int
    y: int


async def mirror(point: Point, *, axis: str = "x") -> Point:
    return Point(point.x, -point.y) if axis == "x" else Point(-point.x, point.y)


async def outcome_of(
    function: Any, *args: object, raises: tuple[type[BaseException], ...] = (), hold: Any = None, **task: Any
) -> Any:
    """Run one attempt, and one after it to see that the node is unharmed."""
    async with running(function, double, raises=raises, hold=hold) as kit:
        await kit.assign(make_task(function, *args, **task))
        outcome = await kit.outcome()
        await kit.assign(make_task(double, 4, call=99))
        assert value_of((await kit.outcomes(2))[1].result) == 8
        return outcome


async def test_an_async_activity_returns_its_value(autojump_clock: Any) -> None:
    """The value comes back as converted by its annotation."""
    outcome = await outcome_of(double, 21)
    assert (value_of(outcome.result), outcome.attempt, outcome.failure) == (42, 1, None)


async def test_a_plain_function_runs_in_a_thread(autojump_clock: Any) -> None:
    """A ``def`` activity does not block the loop."""
    assert value_of((await outcome_of(double_in_thread, 21, hold=HeldClock(autojump_clock))).result) == 42


async def test_arguments_and_result_go_by_annotations(autojump_clock: Any) -> None:
    """Structured values arrive as their types."""
    assert value_of((await outcome_of(mirror, {"x": 1, "y": 2})).result) == {"x": 1, "y": -2}


async def unconvertible() -> int:
    return object()  # type: ignore[return-value]


async def huge() -> str:
    return "x" * 2000


async def test_a_result_that_cannot_be_stored_fails_the_call_for_good(autojump_clock: Any) -> None:
    """Not convertible, too large: permanent, for no retry can mend it."""
    outcome = await outcome_of(unconvertible, retry=Retry())
    assert outcome.failure.is_permanent
    assert "the result of unconvertible" in outcome.failure.message
    outcome = await outcome_of(huge, retry=Retry())
    assert (outcome.failure.type, outcome.failure.is_permanent) == ("wfactors.errors.PayloadTooLarge", True)


async def test_arguments_that_do_not_fit_fail_the_call_for_good(autojump_clock: Any) -> None:
    """The function changed since the call was recorded, or the row is no good."""
    for args in (["text"], [1, 2], []):
        outcome = await outcome_of(double, *args, retry=Retry())
        assert outcome.failure.is_permanent


# --- Failures --------------------------------------------------------------------------------------------------------


class CardDeclined(Exception):
    def __init__(self, cents: int) -> None:
        super().__init__(f"no {cents} cents")
        self.cents = cents


class Hopeless(PermanentError):
    pass


async def decline(cents: int) -> None:
    raise CardDeclined(cents) from KeyError("card")


async def give_up() -> None:
    raise Hopeless("never")


async def give_up_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)


def fail_in_thread() -> None:
    raise CardDeclined(5)


async def test_an_exception_is_recorded(autojump_clock: Any) -> None:
    """Type, message, cause and the author's part of the traceback; its fields if it is expected."""
    failure = (await outcome_of(decline, 7, raises=(CardDeclined,))).failure
    assert (failure.type_name, failure.message, failure.cause.type) == (
        "CardDeclined",
        "no 7 cents",
        "builtins.KeyError",
    )
    assert "raise CardDeclined(cents)" in failure.traceback
    assert "attempt.py" not in failure.traceback.replace("test_attempt.py", "")
    assert b"cents" in bytes(failure.details)


async def test_an_exception_of_a_thread_is_recorded(autojump_clock: Any) -> None:
    """It makes no difference where it was raised."""
    assert (await outcome_of(fail_in_thread, hold=HeldClock(autojump_clock))).failure.message == "no 5 cents"


@pytest.mark.parametrize("function", [give_up, give_up_in_a_nursery])
async def test_a_permanent_error_is_not_retried(function: Any, autojump_clock: Any) -> None:
    """PermanentError, a class below it, or a group with one."""
    outcome = await outcome_of(function, retry=Retry(attempts=5))
    assert (outcome.attempt, outcome.failure.is_permanent) == (1, True)


@pytest.mark.parametrize("never", [CardDeclined, "builtins.Exception", f"{__name__}.CardDeclined"])
async def test_types_named_in_never_are_not_retried(never: Any, autojump_clock: Any) -> None:
    """By class or name, their own or a base's."""
    outcome = await outcome_of(decline, 7, retry=Retry(attempts=5, never=(never,)))
    assert (outcome.attempt, outcome.failure.is_permanent) == (1, True)


# --- Hostile functions -----------------------------------------------------------------------------------------------

CAUGHT: list[BaseException] = []


class OwnBaseException(BaseException):
    pass


async def exit_program() -> None:
    raise SystemExit(3)


async def interrupt() -> None:
    raise KeyboardInterrupt


async def raise_own_base() -> None:
    raise OwnBaseException("mine")


async def exit_generator() -> None:
    raise GeneratorExit


def exit_program_in_thread() -> None:
    raise SystemExit(3)


async def stop_iteration() -> None:
    raise StopIteration


def stop_iteration_in_thread() -> None:
    raise StopIteration


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (exit_program, "base_exception"),
        (interrupt, "base_exception"),
        (raise_own_base, "base_exception"),
        (exit_generator, "base_exception"),
        (exit_program_in_thread, "base_exception"),
        (stop_iteration, "error"),
        (stop_iteration_in_thread, "error"),
    ],
)
async def test_a_base_exception_fails_its_call_alone(function: Any, kind: str, autojump_clock: Any) -> None:
    """What would end a program ends one call."""
    assert (await outcome_of(function, hold=HeldClock(autojump_clock))).failure.kind == kind


async def catch_a_cancelled() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            CAUGHT.append(error)
            raise


async def leak_a_cancelled() -> None:
    await catch_a_cancelled()
    raise CAUGHT.pop()


async def leak_a_cancelled_in_a_group() -> None:
    await catch_a_cancelled()
    raise BaseExceptionGroup("both", [CAUGHT.pop(), ValueError("and this")])


@pytest.mark.parametrize("function", [leak_a_cancelled, leak_a_cancelled_in_a_group])
async def test_a_cancelled_of_somebody_else_is_a_failure(function: Any, autojump_clock: Any) -> None:
    """Nobody cancelled the attempt, so it was not cancelled."""
    outcome: ActivityOutcome = await outcome_of(function)
    assert outcome.failure is not None
    assert not outcome.is_cancelled


async def leave_a_nursery_open() -> str:
    await trio.open_nursery().__aenter__()
    return "done"


async def leave_a_busy_nursery_open() -> str:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)
    await trio.sleep(1)
    return "done"


async def leave_a_scope_open() -> str:
    trio.CancelScope().__enter__()
    return "done"


async def leave_scopes_twice() -> str:
    scope = trio.CancelScope()
    scope.__enter__()
    scope.__exit__(None, None, None)
    scope.__exit__(None, None, None)
    return "done"


@pytest.mark.parametrize(
    "function", [leave_a_nursery_open, leave_a_busy_nursery_open, leave_a_scope_open, leave_scopes_twice]
)
async def test_a_corrupted_scope_stack_fails_its_call_alone(function: Any, autojump_clock: Any) -> None:
    """Scopes and nurseries left open do not end the tasks beside."""
    outcome = await outcome_of(function)
    assert outcome.failure.type == "builtins.RuntimeError"


async def look_awful() -> None:
    class Awful(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    raise Awful


async def test_an_exception_that_cannot_be_looked_at(autojump_clock: Any) -> None:
    """Its type is recorded at least."""
    assert (await outcome_of(look_awful)).failure.type_name == "Awful"


# --- Deadlines -------------------------------------------------------------------------------------------------------


async def sleep_long(seconds: float) -> str:
    await trio.sleep(seconds)
    return "slept"


async def test_start_to_close_ends_an_attempt(autojump_clock: Any) -> None:
    """Its scope is cancelled at the deadline, and the failure says where it was."""
    started = trio.current_time()
    outcome = await outcome_of(sleep_long, 100, start_to_close=5.0)
    assert trio.current_time() - started == pytest.approx(5.0)
    assert (outcome.deadline, outcome.failure.kind) == ("start_to_close", "timeout")
    assert "await trio.sleep(seconds)" in outcome.failure.traceback


async def test_an_attempt_in_time_is_not_disturbed(autojump_clock: Any) -> None:
    """Deadlines that do not pass leave no trace."""
    outcome = await outcome_of(sleep_long, 4, start_to_close=5.0, schedule_to_close=6.0)
    assert value_of(outcome.result) == "slept"


async def test_schedule_to_close_ends_an_attempt(autojump_clock: Any) -> None:
    """It is the deadline of the call, so it may be nearer than start-to-close."""
    outcome = await outcome_of(sleep_long, 100, start_to_close=50.0, schedule_to_close=7.0, retry=Retry())
    assert (outcome.deadline, outcome.attempt) == ("schedule_to_close", 1)


async def test_no_attempt_starts_after_schedule_to_close(autojump_clock: Any) -> None:
    """A task whose time is over ends as a timeout without having run."""
    outcome = await outcome_of(sleep_long, 0, schedule_to_close=7.0, schedule_deadline=EPOCH - 1.0, retry=Retry())
    assert outcome.deadline == "schedule_to_close"


async def finish_in_spite() -> str:
    try:
        await trio.sleep(100)
    except trio.Cancelled:
        return "finished"
    return "never"


async def test_a_value_counts_though_it_comes_late(autojump_clock: Any) -> None:
    """As with trio.fail_after, what matters is whether Cancelled came out."""
    assert value_of((await outcome_of(finish_in_spite, start_to_close=5.0)).result) == "finished"


async def see_deadline() -> float:
    return trio.current_effective_deadline() - trio.current_time()


async def test_the_author_sees_the_deadline_as_trios_own(autojump_clock: Any) -> None:
    """``trio.current_effective_deadline()`` is the nearest of all."""
    outcome = await outcome_of(see_deadline, start_to_close=9.0, schedule_to_close=20.0, heartbeat=30.0)
    assert value_of(outcome.result) == pytest.approx(9.0)


async def beat_slowly(pause: float, times: int) -> int:
    for number in range(times):
        await trio.sleep(pause)
        heartbeat(number)
    await trio.sleep(pause)
    return times


async def test_heartbeats_keep_an_attempt_alive(autojump_clock: Any) -> None:
    """Each one extends the deadline."""
    assert value_of((await outcome_of(beat_slowly, 4.0, 10, heartbeat=5.0)).result) == 10


async def test_a_missing_heartbeat_ends_an_attempt(autojump_clock: Any) -> None:
    """The time between two of them is limited, also before the first."""
    started = trio.current_time()
    outcome = await outcome_of(beat_slowly, 6.0, 1, heartbeat=5.0)
    assert trio.current_time() - started == pytest.approx(5.0)
    assert (outcome.deadline, outcome.failure.kind) == ("heartbeat", "timeout")


# --- Being stopped ---------------------------------------------------------------------------------------------------


async def test_cancel_reaches_an_attempt_as_cancelled(autojump_clock: Any) -> None:
    """Trio's own Cancelled, at the next checkpoint."""
    async with running(sleep_long) as kit:
        await kit.assign(task := make_task(sleep_long, 100))
        await trio.sleep(1)
        kit.activities.cancel(task.key)
        assert (await kit.outcome()).is_cancelled


async def test_cancel_before_the_first_step(autojump_clock: Any) -> None:
    """The function is not even called."""
    calls = []

    async def remember() -> None:
        calls.append(1)

    async with running(remember) as kit:
        await kit.assign(task := make_task(remember))
        kit.activities.cancel(task.key)
        assert (await kit.outcome()).is_cancelled
    assert calls == []


async def test_a_value_in_spite_of_cancel_completes(autojump_clock: Any) -> None:
    """The work is done; the workflow may look at it or not."""
    async with running(finish_in_spite) as kit:
        await kit.assign(task := make_task(finish_in_spite))
        await trio.sleep(1)
        kit.activities.cancel(task.key)
        outcome = await kit.outcome()
        assert (value_of(outcome.result), outcome.is_cancelled) == ("finished", False)


async def fail_at_clean_up() -> None:
    try:
        await trio.sleep(100)
    finally:
        raise ValueError("while cleaning up")


async def test_a_failure_after_cancel_is_not_retried(autojump_clock: Any) -> None:
    """The next attempt would be cancelled anyway."""
    async with running(fail_at_clean_up) as kit:
        await kit.assign(task := make_task(fail_at_clean_up, retry=Retry()))
        await trio.sleep(1)
        kit.activities.cancel(task.key)
        assert (await kit.outcome()).is_cancelled


@pytest.mark.parametrize("function", [sleep_long, fail_at_clean_up, finish_in_spite])
async def test_the_engines_own_cancellation_passes(function: Any, autojump_clock: Any) -> None:
    """The end of the engine ends attempts, whatever they raise; nothing comes out but what was asked for."""
    async with running(function) as kit:
        await kit.assign(make_task(function, *([100] if function is sleep_long else []), retry=Retry()))
        await trio.sleep(1)
    assert kit.activities.statistics().running == 0


async def fail_in_a_group_at_clean_up() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail_at_clean_up)
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep_forever()


async def raise_a_mixed_group() -> None:
    try:
        await trio.sleep_forever()
    except trio.Cancelled as error:
        raise BaseExceptionGroup("both", [error, ValueError("mine")]) from None


@pytest.mark.parametrize("function", [fail_in_a_group_at_clean_up, raise_a_mixed_group])
async def test_groups_with_the_engines_cancelled(function: Any, autojump_clock: Any) -> None:
    """Only the Cancelled in a group reaches the engine's nursery; the author's part does not end it in error."""
    async with running(function) as kit:
        await kit.assign(make_task(function))
        await trio.sleep(1)
    assert kit.owner.received == [] or kit.owner.received[0][1].failure is not None


# --- Threads ---------------------------------------------------------------------------------------------------------


def work_a_moment() -> str:
    threading.Event().wait(0.02)
    return "worked"


async def test_the_clock_is_held_while_threads_work(autojump_clock: Any) -> None:
    """A mock clock does not jump to the deadline of an attempt that works."""
    hold = HeldClock(autojump_clock)
    async with running(work_a_moment, hold=hold) as kit:
        await kit.assign(*(make_task(work_a_moment, call=call, start_to_close=1.0) for call in range(5)))
        outcomes = await kit.outcomes(5)
    assert [value_of(outcome.result) for outcome in outcomes] == ["worked"] * 5
    assert hold.count == 0
    assert hold.most > 0


class Gate:
    """Lets a thread wait until a test opens it, and beat until it is stopped."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.opened = threading.Event()
        self.ended = threading.Event()

    def wait(self) -> str:
        self.opened.wait(10)
        return "late"

    def beat(self) -> None:
        self.started.set()
        try:
            while True:
                heartbeat()
                self.opened.wait(0.001)
        finally:
            self.ended.set()


async def test_a_thread_that_outlives_its_deadline_is_abandoned(autojump_clock: Any) -> None:
    """The attempt ends at once; the thread keeps its place until it ends."""
    gate = Gate()

    def wait_at_gate() -> str:
        return gate.wait()

    async with running(wait_at_gate) as kit:
        await kit.assign(make_task(wait_at_gate, start_to_close=5.0))
        assert (await kit.outcome()).deadline == "start_to_close"
        statistics = kit.activities.statistics()
        assert (statistics.running, statistics.threads_taken, statistics.threads_abandoned) == (0, 1, 1)
        autojump_clock.autojump_threshold = float("inf")
        gate.opened.set()
        while kit.activities.statistics().threads_taken:
            await trio.lowlevel.checkpoint()
        assert kit.activities.statistics().threads_abandoned == 0
    assert len(kit.owner.received) == 1


async def test_a_thread_stops_at_its_next_heartbeat(autojump_clock: Any) -> None:
    """Cancelled is raised from heartbeat() in the thread, so it can clean up and end."""
    gate = Gate()
    hold = HeldClock(autojump_clock)

    def beat_at_gate() -> None:
        gate.beat()

    async with running(beat_at_gate, hold=hold) as kit:
        await kit.assign(task := make_task(beat_at_gate))
        while not gate.started.is_set():
            await trio.lowlevel.checkpoint()
        kit.activities.cancel(task.key)
        assert (await kit.outcome()).is_cancelled
        while kit.activities.statistics().threads_taken:
            await trio.lowlevel.checkpoint()
    assert hold.count == 0
    assert gate.ended.is_set()
