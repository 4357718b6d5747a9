"""What an author has inside an activity, and that it is not there outside of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio

from tests.actors.activity_kit import EPOCH, HeldClock, make_task, payload, running, value_of
from wfactors.activity import ActivityInfo, activity_context, activity_info, heartbeat, last_heartbeat
from wfactors.errors import ConversionError, PayloadTooLarge, WorkflowMisuseError
from wfactors.model.options import Retry

START = datetime.fromtimestamp(EPOCH, UTC)


@pytest.mark.parametrize("use", [activity_info, heartbeat, lambda: last_heartbeat(int), activity_context])
def test_outside_of_an_activity_it_is_misuse(use: Any) -> None:
    """A plain call, as in a unit test, is told what is missing."""
    with pytest.raises(WorkflowMisuseError, match="only inside an activity"):
        use()


async def collect(function: Any, *args: object, hold: Any = None, **task: Any) -> list[Any]:
    """Run an activity that puts what it sees into a list."""
    seen: list[Any] = []

    if hold is None:

        async def look() -> None:
            seen.append(function(*args))
    else:

        def look() -> None:
            seen.append(function(*args))

    async with running(look, hold=hold) as kit:
        await kit.assign(make_task("look", **task))
        outcome = await kit.outcome()
        assert outcome.failure is None, outcome.failure
    return seen


async def test_info_tells_the_attempt(autojump_clock: Any) -> None:
    """All of it, with deadlines as aware datetimes."""
    [info] = await collect(activity_info, call=3, attempt=2, start_to_close=5.0, schedule_to_close=60.0, heartbeat=2.0)
    assert info == ActivityInfo(
        activity="look",
        workflow="checkout",
        workflow_id="order-1",
        instance="instance",
        run=1,
        call=3,
        queue="default",
        attempt=2,
        idempotency_key="instance/1/3",
        scheduled_at=START,
        started_at=START,
        start_to_close_at=START + timedelta(seconds=5),
        schedule_to_close_at=START + timedelta(seconds=60),
        heartbeat_at=START + timedelta(seconds=2),
    )


async def test_info_without_deadlines(autojump_clock: Any) -> None:
    """None stands for never."""
    [info] = await collect(activity_info)
    assert (info.start_to_close_at, info.schedule_to_close_at, info.heartbeat_at) == (None, None, None)


async def test_info_in_a_thread(autojump_clock: Any) -> None:
    """A ``def`` activity sees the same."""
    [info] = await collect(activity_info, hold=HeldClock(autojump_clock), start_to_close=5.0)
    assert (info.activity, info.start_to_close_at - info.started_at) == ("look", timedelta(seconds=5))


async def test_context_is_a_copy(autojump_clock: Any) -> None:
    """What propagators sent arrives; changing it changes nothing."""
    context = {"tenant": "acme"}
    [seen] = await collect(activity_context, context=context)
    assert seen == context
    assert seen is not context


async def test_tasks_and_threads_of_an_activity_see_it_too(autojump_clock: Any) -> None:
    """What an activity starts belongs to it."""
    hold = HeldClock(autojump_clock)
    seen: list[int] = []

    async def child() -> None:
        seen.append(activity_info().call)

    def thread() -> None:
        heartbeat("from a thread")
        seen.append(activity_info().call)

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        hold.acquire()
        await trio.to_thread.run_sync(thread)
        hold.release()

    async with running(parent) as kit:
        await kit.assign(make_task(parent, call=8))
        assert (await kit.outcome()).failure is None
    assert seen == [8, 8]


async def test_last_heartbeat_is_that_of_the_attempt_before(autojump_clock: Any) -> None:
    """Not this attempt's own, and none before the first."""
    seen: list[Any] = []

    async def copy() -> None:
        seen.append(last_heartbeat(int))
        heartbeat((last_heartbeat(int) or 0) + 10)
        seen.append(last_heartbeat())
        raise OSError("gone")

    async with running(copy) as kit:
        await kit.assign(make_task(copy, retry=Retry(attempts=3)))
        assert (await kit.outcome()).attempt == 3
    assert seen == [None, None, 10, 10, 20, 20]


async def test_details_outlive_an_attempt_without_a_heartbeat(autojump_clock: Any) -> None:
    """An attempt that says nothing leaves to the next one what it was left."""
    seen: list[Any] = []

    async def copy() -> None:
        seen.append(last_heartbeat(str))
        if activity_info().attempt == 1:
            heartbeat("done: 5")
            heartbeat()
        raise OSError("gone")

    async with running(copy) as kit:
        await kit.assign(make_task(copy, retry=Retry(attempts=3)))
        await kit.outcome()
    assert seen == [None, "done: 5", "done: 5"]


async def test_details_of_another_type_are_refused(autojump_clock: Any) -> None:
    """The mistake shows where it is made."""
    seen: list[type[Exception]] = []

    async def copy() -> None:
        for attempt in (lambda: last_heartbeat(int), lambda: heartbeat(object()), lambda: heartbeat("x" * 2000)):
            try:
                attempt()
            except (ConversionError, PayloadTooLarge) as error:
                seen.append(type(error))

    async with running(copy) as kit:
        await kit.assign(make_task(copy, details=payload("text")))
        await kit.outcome()
    assert [issubclass(kind, ConversionError) for kind in seen] == [True, True, False]


async def test_a_heartbeat_moves_the_deadline_shown(autojump_clock: Any) -> None:
    """``heartbeat_at`` is the next one's."""
    seen: list[Any] = []

    async def beat() -> int:
        await trio.sleep(3)
        heartbeat()
        seen.append(activity_info().heartbeat_at)
        return 1

    async with running(beat) as kit:
        await kit.assign(make_task(beat, heartbeat=5.0))
        assert value_of((await kit.outcome()).result) == 1
    assert seen == [START + timedelta(seconds=8)]
