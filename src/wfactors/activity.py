"""What an author uses inside an activity: who it runs for, and how it says that it is still alive.

::

    @wf.activity(heartbeat=10)
    async def copy(source: str, target: str) -> int:
        done = wf.last_heartbeat(int) or 0             # go on where the last attempt stopped
        for number, chunk in enumerate(chunks(source, skip=done), done):
            await put(target, chunk, key=f"{wf.activity_info().idempotency_key}/{number}")
            wf.heartbeat(number + 1)
        return number + 1

All of it works in an ``async def`` activity, in tasks that it starts, in a ``def`` activity, and in threads started
from either with ``trio.to_thread.run_sync``. Outside of an activity it raises WorkflowMisuseError.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol, TypeVar, overload

import attrs

from wfactors.errors import WorkflowMisuseError

__all__ = ["ActivityInfo", "activity_context", "activity_info", "heartbeat", "last_heartbeat"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class ActivityInfo:
    """One attempt of one activity call.

    Attributes:
        activity: Name of the activity.
        workflow: Name of the workflow that called it.
        workflow_id: The id people use for that instance.
        instance: Key of the instance.
        run: Number of its run, from 1.
        call: Number of the call within the run, from 0.
        queue: The queue it was taken from.
        attempt: Number of this attempt, from 1.
        idempotency_key: The same on every attempt of this call and on no other call.
        scheduled_at: When the workflow called it (UTC).
        started_at: When this attempt started (UTC).
        start_to_close_at: When this attempt must have ended; None for never.
        schedule_to_close_at: When the call must have ended, over all attempts; None for never.
        heartbeat_at: When the next heartbeat must have come; None for never.
    """

    activity: str
    workflow: str
    workflow_id: str
    instance: str
    run: int
    call: int
    queue: str
    attempt: int
    idempotency_key: str
    scheduled_at: datetime
    started_at: datetime
    start_to_close_at: datetime | None = None
    schedule_to_close_at: datetime | None = None
    heartbeat_at: datetime | None = None


class RunningActivity(Protocol):
    """What the engine puts behind these functions for the time of an attempt."""

    def info(self) -> ActivityInfo:
        """The attempt as it is now."""
        ...

    def beat(self, details: object) -> None:
        """Take a heartbeat; only in Trio's thread."""
        ...

    def details_before(self, type: Any) -> Any:
        """What the last heartbeat of the attempts before this one said, as ``type``; None if there was none."""
        ...

    def context(self) -> Mapping[str, str]:
        """What the client's context propagators sent along."""
        ...


# Set in the attempt's own task, so that it is seen there, in the tasks and threads started from it, and nowhere else.
running_activity: ContextVar[RunningActivity] = ContextVar("wfactors.running_activity")


def activity_info() -> ActivityInfo:
    """Tell which attempt of which call this is, and its deadlines."""
    return _running("activity_info()").info()


def heartbeat(details: object = None) -> None:
    """Say that the attempt is alive, which extends its heartbeat deadline.

    ``details`` are kept for the next attempt, which reads them with ``last_heartbeat``; None leaves those there are.
    They are written at most about once a second, so this may be called often.

    In a thread this is also where cancellation arrives: it raises ``trio.Cancelled`` once the attempt is asked to stop.
    In an ``async def`` activity it does not; there the next checkpoint raises.

    Raises:
        ConversionError: ``details`` cannot be converted.
        PayloadTooLarge: They are larger than the limit.
        WorkflowMisuseError: Outside of an activity.
    """
    running = _running("heartbeat()")
    # There is an engine then, so Trio is there; workflow code alone does not load it.
    import trio  # noqa: PLC0415

    if trio.lowlevel.in_trio_run():
        running.beat(details)
        return
    trio.from_thread.check_cancelled()
    trio.from_thread.run_sync(running.beat, details)
    trio.from_thread.check_cancelled()


@overload
def last_heartbeat(type: type[T]) -> T | None: ...
@overload
def last_heartbeat(type: Any = ...) -> Any: ...
def last_heartbeat(type: Any = Any) -> Any:
    """Return what the last heartbeat of an attempt before this one said, as ``type``; None if none said anything.

    Raises:
        ConversionError: It does not fit ``type``.
        WorkflowMisuseError: Outside of an activity.
    """
    return _running("last_heartbeat()").details_before(type)


def activity_context() -> dict[str, str]:
    """Return what the client's context propagators sent along with the workflow."""
    return dict(_running("activity_context()").context())


def _running(what: str) -> RunningActivity:
    running = running_activity.get(None)
    if running is None:
        raise WorkflowMisuseError(f"{what} works only inside an activity that an engine runs")
    return running
