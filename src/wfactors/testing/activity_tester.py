"""Call one activity as the engine would: with a given attempt, details of heartbeats and deadlines; cancel it.

::

    assert await run_activity(copy, "a", "b", attempt=2, last_heartbeat=3) == 10

    async with open_activity(copy, "a", "b", heartbeat=10) as attempt:
        await attempt.wait_heartbeats(2)
        attempt.cancel()
    assert attempt.heartbeats == [1, 2]
    assert attempt.is_cancelled

It is the code of the engine that runs the attempt, in the Trio task or thread in which it would run there; arguments,
result and details are converted as there. There is no workflow, no store and no retry. Under a MockClock deadlines
pass in virtual time, which stands still while a thread works.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import trio
from trio.testing import MockClock

from wfactors.activity import ActivityInfo
from wfactors.actors.attempt import Attempt
from wfactors.actors.calls import ActivityCall
from wfactors.actors.clock import Clock, SystemClock
from wfactors.actors.engine import _unwrapping
from wfactors.actors.verdict import Ending, Failed, Returned, Stop
from wfactors.convert import Codec, Converter, DataPort
from wfactors.errors import ActivityTimeout, ConversionError
from wfactors.model.ids import PartitionId
from wfactors.model.options import ActivityOptions, Retry, seconds
from wfactors.model.payloads import Payload
from wfactors.model.records import TaskKey, TaskRow
from wfactors.registry import Activity
from wfactors.testing.clocks import AutojumpHold, VirtualClock

__all__ = ["ActivityAttempt", "open_activity", "run_activity"]


class ActivityAttempt:
    """One attempt under test; ``open_activity`` makes it.

    Attributes:
        heartbeats: The details of its heartbeats so far, as they were given; None for one without.
        is_cancelled: It has ended because it was cancelled.
    """

    def __init__(self, call: ActivityCall, result_type: Any, data: DataPort) -> None:
        self.heartbeats: list[Any] = []
        self.is_cancelled = False
        self._call = call
        self._result_type = result_type
        self._data = data
        self._attempt: Attempt
        self._ending: Ending | None = None
        self._raised: BaseException | None = None
        self._ended = trio.Event()
        self._beat = trio.Event()

    def cancel(self) -> None:
        """Ask it to stop, as when the scope around the call is cancelled in the workflow."""
        self._attempt.ask_to_stop(Stop.CANCELLED)

    @property
    def info(self) -> ActivityInfo:
        """What ``wf.activity_info()`` says in it now."""
        return self._attempt.info()

    async def wait_heartbeats(self, count: int = 1) -> None:
        """Wait until it has sent so many heartbeats; raises AssertionError if it ends before."""
        while len(self.heartbeats) < count:
            assert not self._ended.is_set(), f"it ended after {len(self.heartbeats)} heartbeats, not {count}"
            await self._beat.wait()
        await trio.lowlevel.checkpoint()

    async def result(self) -> Any:
        """Wait for its end; what it returned, as the workflow would get it.

        Raises:
            ActivityTimeout: A deadline passed.
            trio.Cancelled: Never: where it was cancelled, the result is None and ``is_cancelled`` is True.
            BaseException: What the activity raised, itself; a ConversionError for values that do not fit.
        """
        await self._ended.wait()
        ending = self._ending
        if isinstance(ending, Returned):
            return self._data.from_payload(ending.result, self._result_type, f"the result of {self._call.name}")
        if isinstance(ending, Failed):
            if ending.deadline is not None:
                raise ActivityTimeout(self._call.name, ending.failure, self._attempt.task.attempt, ending.deadline)
            if self._raised is not None:
                raise self._raised
            raise ConversionError(ending.failure.message)
        return None

    # --- The engine's side ---

    async def _run(self) -> None:
        self._ending = await self._attempt.run()
        self.is_cancelled = not isinstance(self._ending, Returned | Failed)
        self._ended.set()
        self._beat.set()

    def beat(self, attempt: Attempt) -> None:
        """It has sent a heartbeat; for the engine's side of it."""
        details = attempt.details
        self.heartbeats.append(None if details is None else self._call.decode_details(details, Any))
        self._beat.set()
        self._beat = trio.Event()

    def thread_ended(self, attempt: Attempt) -> None:
        """The thread of a cancelled attempt has ended; for the engine's side of it."""

    def keeping(self, call: ActivityCall) -> ActivityCall:
        """The call, with what its function raises kept as it is."""
        function = call.function

        async def in_task(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                self._raised = error
                raise

        def in_thread(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                self._raised = error
                raise

        return attrs.evolve(call, function=in_task if call.is_async else in_thread)


@asynccontextmanager
async def open_activity(
    activity: Activity[..., Any],
    *args: Any,
    keywords: Mapping[str, Any] | None = None,
    attempt: int = 1,
    last_heartbeat: Any = None,
    start_to_close: float | timedelta | None = None,
    schedule_to_close: float | timedelta | None = None,
    heartbeat: float | timedelta | None = None,
    retry: Retry | None = None,
    workflow: str = "test",
    workflow_id: str = "test",
    queue: str = "default",
    context: Mapping[str, str] | None = None,
    converter: Converter | None = None,
    codecs: tuple[Codec, ...] = (),
    clock: Clock | None = None,
) -> AsyncIterator[ActivityAttempt]:
    """Run one attempt beside the block; one that still runs at its end is waited for (``cancel()`` it to be quick).

    Args:
        activity: The decorated function; a method of an instance: ``Payments(pool).charge``.
        args: Its arguments.
        keywords: Keyword arguments.
        attempt: Which attempt this is, from 1.
        last_heartbeat: What the last heartbeat of an earlier attempt said.
        start_to_close: Instead of that of the decorator, as the three that follow.
        schedule_to_close: What is left of it when the attempt starts.
        heartbeat: The longest time between heartbeats.
        retry: What the activity cannot see, but for ``Retry(never=...)``.
        workflow: Name of the workflow that called it.
        workflow_id: Its id.
        queue: Where it is run.
        context: What ``wf.activity_context()`` gives.
        converter: As for ``open_engine``.
        codecs: As for ``open_engine``.
        clock: The time of ``activity_info()``.

    Raises:
        TypeError: The arguments do not fit the function.
        ConversionError: One cannot be converted.
    """
    data = DataPort(converter, codecs)
    definition = activity.definition
    call = ActivityCall.of(activity, data)
    given: dict[str, Any] = {
        "retry": retry,
        "start_to_close": seconds(start_to_close, "start_to_close"),
        "schedule_to_close": seconds(schedule_to_close, "schedule_to_close"),
        "heartbeat": seconds(heartbeat, "heartbeat"),
    }
    options = attrs.evolve(
        activity.resolve(ActivityOptions()), **{name: value for name, value in given.items() if value is not None}
    )
    time_of, hold = _clock_and_hold(clock)
    now = time_of.now()
    row = TaskRow(
        key=TaskKey("test", 1, 0),
        partition=str(PartitionId(queue, 0)),
        queue=queue,
        activity=definition.name,
        input=Payload(data.args_to_payload(definition.signature, args, keywords or {})),
        options=options,
        id=workflow_id,
        workflow=workflow,
        scheduled_at=now,
        attempt=attempt,
        available_at=now,
        schedule_deadline=None if options.schedule_to_close is None else now + options.schedule_to_close,
        details=None if last_heartbeat is None else call.encode_details(last_heartbeat),
        context=dict(context or {}),
    )
    running = ActivityAttempt(call, definition.signature.return_type, data)
    running._attempt = Attempt(row, running.keeping(call), time_of, running, hold)  # noqa: SLF001  Its own module.
    with _unwrapping() as body:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running._run, name=f"activity {definition.name}")  # noqa: SLF001  As above.
            with body():
                yield running


async def run_activity(activity: Activity[..., Any], *args: Any, **options: Any) -> Any:
    """Run one attempt of an activity to its end and return its result; takes the options of ``open_activity``.

    Raises what ``ActivityAttempt.result`` raises.
    """
    async with open_activity(activity, *args, **options) as running:
        return await running.result()


def _clock_and_hold(clock: Clock | None) -> tuple[Clock, AutojumpHold | None]:
    current = trio.lowlevel.current_clock()
    if isinstance(current, MockClock):
        return clock or VirtualClock(current), AutojumpHold(current)
    return clock or SystemClock(), None
