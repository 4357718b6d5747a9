"""What becomes of a call when an attempt has ended, rule by rule."""

from __future__ import annotations

from tests.actors.activity_kit import EPOCH, make_task, payload
from wfactors.actors.verdict import (
    HEARTBEAT,
    SCHEDULE_TO_CLOSE,
    START_TO_CLOSE,
    Failed,
    Retrial,
    Returned,
    Stop,
    Stopped,
    timeout,
    verdict,
)
from wfactors.model.failures import TIMEOUT, Failure
from wfactors.model.messages import ActivityOutcome
from wfactors.model.options import Retry

THREE = Retry(attempts=3, first=2.0, backoff=10.0)
BAD = Failure("shop.Bad", "broken")
PERMANENT = Failure("shop.Bad", "broken", is_permanent=True)


def decide(ending, stop=None, *, draw=0.0, **task):
    return verdict(make_task("charge", call=7, **task), ending, stop, EPOCH, draw)


def test_a_value_completes_the_call() -> None:
    """The result goes into the outcome, with the attempt that made it."""
    result = payload(1)
    assert decide(Returned(result), attempt=2) == ActivityOutcome(1, 7, 2, result=result)


def test_a_value_counts_even_after_a_wish_to_stop() -> None:
    """Work that is done is done."""
    for stop in (Stop.CANCELLED, Stop.SHUTDOWN):
        assert decide(Returned(payload(1)), stop) == ActivityOutcome(1, 7, 1, result=payload(1))


def test_a_lost_task_is_nobodys_business() -> None:
    """Whatever came of it, another node answers for the task."""
    for ending in (Returned(payload(1)), Failed(BAD), Stopped()):
        assert decide(ending, Stop.LOST) is None


def test_a_shutdown_decides_nothing() -> None:
    """The task stays held until the node has left; a failure may be how the attempt took being stopped."""
    for ending in (Failed(PERMANENT), Stopped()):
        assert decide(ending, Stop.SHUTDOWN) is None


def test_stopped_for_its_workflow_is_cancelled() -> None:
    """Trio's Cancelled came out of it: the call ends as cancelled."""
    assert decide(Stopped(), Stop.CANCELLED) == ActivityOutcome(1, 7, 1, is_cancelled=True)


def test_a_failure_is_tried_again_after_the_policys_wait() -> None:
    """Attempt n + 1 starts first * backoff ** (n - 1) after attempt n ended."""
    assert decide(Failed(BAD), retry=THREE) == Retrial(EPOCH + 2.0, BAD)
    assert decide(Failed(BAD), retry=THREE, attempt=2) == Retrial(EPOCH + 20.0, BAD)


def test_jitter_shortens_the_wait() -> None:
    """The draw takes its share of the wait."""
    retry = Retry(first=10.0, jitter=0.5)
    assert decide(Failed(BAD), retry=retry, draw=0.5) == Retrial(EPOCH + 7.5, BAD)


def test_the_last_attempt_is_final() -> None:
    """With the attempts used up the failure is the outcome."""
    assert decide(Failed(BAD), retry=THREE, attempt=3) == ActivityOutcome(1, 7, 3, failure=BAD)


def test_a_permanent_failure_is_final() -> None:
    """No retry can mend it."""
    assert decide(Failed(PERMANENT), retry=THREE) == ActivityOutcome(1, 7, 1, failure=PERMANENT)


def test_timeouts_of_an_attempt_are_tried_again() -> None:
    """Start-to-close and heartbeat go by the policy, and name themselves when they are final."""
    for deadline in (START_TO_CLOSE, HEARTBEAT):
        assert decide(Failed(BAD, deadline), retry=THREE) == Retrial(EPOCH + 2.0, BAD)
        final = decide(Failed(BAD, deadline), retry=THREE, attempt=3)
        assert final == ActivityOutcome(1, 7, 3, failure=BAD, deadline=deadline)


def test_schedule_to_close_is_final() -> None:
    """The deadline of the call leaves nothing to try."""
    ending = Failed(BAD, SCHEDULE_TO_CLOSE)
    expected = ActivityOutcome(1, 7, 1, failure=BAD, deadline=SCHEDULE_TO_CLOSE)
    assert expected == decide(ending, retry=THREE, schedule_to_close=60.0)


def test_no_attempt_is_promised_after_the_calls_deadline() -> None:
    """If the next attempt could not start in time, the call times out now, caused by the last failure."""
    outcome = decide(Failed(BAD), retry=THREE, schedule_to_close=2.0)
    assert isinstance(outcome, ActivityOutcome)
    assert outcome.deadline == SCHEDULE_TO_CLOSE
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.cause) == (TIMEOUT, BAD)


def test_a_failure_after_cancel_is_not_tried_again() -> None:
    """The next attempt would be cancelled before it began; a final failure stays what it is."""
    assert decide(Failed(BAD), Stop.CANCELLED, retry=THREE) == ActivityOutcome(1, 7, 1, is_cancelled=True)
    assert decide(Failed(PERMANENT), Stop.CANCELLED) == ActivityOutcome(1, 7, 1, failure=PERMANENT)


def test_timeouts_say_which_time_was_too_short() -> None:
    """The message names the option and its value."""
    task = make_task("charge", start_to_close=30.0, schedule_to_close=90.0, heartbeat=0.5, attempt=2)
    assert timeout(task, START_TO_CLOSE).message == "attempt 2 took longer than start_to_close=30 s"
    assert timeout(task, HEARTBEAT).message == "attempt 2 sent no heartbeat for heartbeat=0.5 s"
    assert timeout(task, SCHEDULE_TO_CLOSE).message == "no result within schedule_to_close=90 s of the call"
    late = timeout(task, SCHEDULE_TO_CLOSE, cause=BAD)
    assert late.message == "schedule_to_close=90 s leaves no time for an attempt after number 2, which failed"
    assert late.type == "wfactors.errors.ActivityTimeout"
