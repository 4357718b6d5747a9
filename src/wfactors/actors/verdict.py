"""What becomes of an activity call when an attempt of it has ended: the rules, without I/O.

* A value completes the call, whatever was asked of the attempt meanwhile: the work is done.
* A stop for want of interest (the workflow cancelled the call) ends it as cancelled. So does a failure after that
  which would have been retried: the next attempt would be cancelled before it began.
* A failure is final when it is permanent or was the last attempt; else the next attempt comes after the policy's wait.
* Start-to-close and heartbeat are deadlines of the attempt, retried like failures. Schedule-to-close is the deadline of
  the call and final. It also ends a call whose next attempt could not start before it: the author then sees an
  ActivityTimeout, caused by the failure of the last attempt, at once instead of at the deadline.
* An attempt stopped because its node shuts down, or whose task is no longer this node's, decides nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import attrs

from wfactors.model.failures import TIMEOUT, Failure
from wfactors.model.messages import ActivityOutcome
from wfactors.model.payloads import Payload
from wfactors.model.records import TaskRow

__all__ = [
    "HEARTBEAT",
    "SCHEDULE_TO_CLOSE",
    "START_TO_CLOSE",
    "Ending",
    "Failed",
    "Retrial",
    "Returned",
    "Stop",
    "Stopped",
    "Verdict",
    "timeout",
    "verdict",
]

START_TO_CLOSE = "start_to_close"
SCHEDULE_TO_CLOSE = "schedule_to_close"
HEARTBEAT = "heartbeat"

_TIMEOUT_TYPE = "wfactors.errors.ActivityTimeout"


class Stop(Enum):
    """Why an attempt was asked to stop."""

    CANCELLED = "the workflow no longer wants it"
    LOST = "the task is no longer this node's"
    SHUTDOWN = "the node shuts down"


@attrs.frozen
class Returned:
    """The attempt returned a value."""

    result: Payload


@attrs.frozen
class Failed:
    """The attempt raised, or the ``deadline`` named stopped it."""

    failure: Failure
    deadline: str | None = None


@attrs.frozen
class Stopped:
    """The attempt ended because it was asked to."""


Ending: TypeAlias = Returned | Failed | Stopped


@attrs.frozen
class Retrial:
    """Another attempt is to follow, from ``at`` on."""

    at: float
    failure: Failure


Verdict: TypeAlias = ActivityOutcome | Retrial | None
"""What to report: an outcome for good, another attempt, or nothing."""


def verdict(task: TaskRow, ending: Ending, stop: Stop | None, now: float, draw: float) -> Verdict:
    """Decide about the call of ``task``; ``draw`` in [0, 1) is the random number for the jitter."""
    run, call, attempt = task.key.run, task.key.call, task.attempt
    if stop is Stop.LOST:
        return None
    if isinstance(ending, Returned):
        return ActivityOutcome(run, call, attempt, result=ending.result)
    if stop is Stop.SHUTDOWN:
        # A failure may be no more than how the attempt took being stopped.
        return None
    if isinstance(ending, Stopped):
        assert stop is Stop.CANCELLED, "an attempt stopped and nobody asked it to"
        return ActivityOutcome(run, call, attempt, is_cancelled=True)
    failure, retry = ending.failure, task.options.retry
    if ending.deadline == SCHEDULE_TO_CLOSE or failure.is_permanent or retry.is_exhausted(attempt):
        return ActivityOutcome(run, call, attempt, failure=failure, deadline=ending.deadline)
    if stop is Stop.CANCELLED:
        return ActivityOutcome(run, call, attempt, is_cancelled=True)
    at = now + retry.delay_seconds(attempt, draw)
    if task.schedule_deadline is not None and at >= task.schedule_deadline:
        late = timeout(task, SCHEDULE_TO_CLOSE, cause=failure)
        return ActivityOutcome(run, call, attempt, failure=late, deadline=SCHEDULE_TO_CLOSE)
    return Retrial(at, failure)


def timeout(task: TaskRow, deadline: str, cause: Failure | None = None, where: str = "") -> Failure:
    """The failure of an attempt or call whose ``deadline`` passed; ``where`` is the traceback of where it was then."""
    options = task.options
    match deadline:
        case "start_to_close":
            message = f"attempt {task.attempt} took longer than start_to_close={_shown(options.start_to_close)}"
        case "heartbeat":
            message = f"attempt {task.attempt} sent no heartbeat for heartbeat={_shown(options.heartbeat)}"
        case _ if cause is not None:
            message = (
                f"schedule_to_close={_shown(options.schedule_to_close)} leaves no time for an attempt after number "
                f"{task.attempt}, which failed"
            )
        case _:
            message = f"no result within schedule_to_close={_shown(options.schedule_to_close)} of the call"
    return Failure(_TIMEOUT_TYPE, message, traceback=where, cause=cause, kind=TIMEOUT)


def _shown(seconds: float | None) -> str:
    # A row that was tampered with may have a deadline that its options know nothing of.
    return "none" if seconds is None else f"{seconds:g} s"
