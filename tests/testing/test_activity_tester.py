"""One attempt of an activity, with a given past, deadlines, and an end from outside."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf
from wfactors.testing import open_activity, run_activity


@wf.activity(heartbeat=10)
async def copy(count: int) -> int:
    done = wf.last_heartbeat(int) or 0
    for number in range(done, count):
        await trio.sleep(1)
        wf.heartbeat(number + 1)
    return count - done


@wf.activity(start_to_close=5)
async def slow() -> None:
    await trio.sleep(10)


@wf.activity
async def about() -> dict[str, object]:
    info = wf.activity_info()
    return {"attempt": info.attempt, "workflow": info.workflow, "context": wf.activity_context()}


@wf.activity
async def broken(text: str) -> None:
    raise LookupError(text)


@wf.activity
def broken_thread() -> None:
    raise LookupError("in a thread")


@wf.activity
def beating(count: int) -> str:
    for number in range(count):
        wf.heartbeat(number)
    return "done"


@wf.activity
def until_cancelled() -> None:
    while True:
        wf.heartbeat()


@wf.activity
async def liar() -> int:
    return "no number"  # type: ignore[return-value]


async def test_an_activity_runs(autojump_clock):
    assert await run_activity(copy, 3) == 3


async def test_a_later_attempt_goes_on_where_the_last_one_stopped(autojump_clock):
    assert await run_activity(copy, 10, attempt=2, last_heartbeat=7) == 3


async def test_heartbeats_are_seen(autojump_clock):
    async with open_activity(copy, 3) as attempt:
        await attempt.wait_heartbeats(2)
        assert attempt.heartbeats == [1, 2]
        assert attempt.info.activity == "copy"
    assert attempt.heartbeats == [1, 2, 3]
    assert await attempt.result() == 3


async def test_too_few_heartbeats_are_told(autojump_clock):
    async with open_activity(copy, 1) as attempt:
        with pytest.raises(AssertionError, match="after 1 heartbeats, not 2"):
            await attempt.wait_heartbeats(2)


async def test_it_is_cancelled(autojump_clock):
    async with open_activity(copy, 100) as attempt:
        await attempt.wait_heartbeats(2)
        attempt.cancel()
    assert attempt.heartbeats == [1, 2]
    assert attempt.is_cancelled
    assert await attempt.result() is None


@pytest.mark.parametrize(
    ("options", "deadline"),
    [
        ({}, "start_to_close"),
        ({"start_to_close": 60, "heartbeat": 2}, "heartbeat"),
        ({"schedule_to_close": 1}, "schedule_to_close"),
    ],
)
async def test_a_deadline_passes(autojump_clock, options, deadline):
    with pytest.raises(wf.ActivityTimeout) as caught:
        await run_activity(slow, **options)
    assert caught.value.deadline == deadline


async def test_it_knows_what_it_is_told(autojump_clock):
    expected = {"attempt": 4, "workflow": "shop", "context": {"user": "ada"}}
    assert expected == await run_activity(about, attempt=4, workflow="shop", context={"user": "ada"})


async def test_what_it_raises_is_raised(autojump_clock):
    with pytest.raises(LookupError, match="gone"):
        await run_activity(broken, text := "gone")
    with pytest.raises(LookupError, match="gone"):
        await run_activity(broken, keywords={"text": text})
    with pytest.raises(LookupError, match="thread"):
        await run_activity(broken_thread)


async def test_values_that_do_not_fit_are_told(autojump_clock):
    with pytest.raises(wf.ConversionError, match="result"):
        await run_activity(liar)
    with pytest.raises(wf.ConversionError, match="count"):
        await run_activity(copy, "many")
    with pytest.raises(TypeError):
        await run_activity(copy)


async def test_a_thread_runs_while_the_time_stands_still(autojump_clock):
    before = trio.current_time()
    async with open_activity(beating, 3, start_to_close=1) as attempt:
        assert await attempt.result() == "done"
    assert attempt.heartbeats[-1] == 2
    assert trio.current_time() == before


async def test_a_thread_is_cancelled_at_its_heartbeat(autojump_clock):
    async with open_activity(until_cancelled) as attempt:
        await attempt.wait_heartbeats(1)
        attempt.cancel()
    assert attempt.is_cancelled


async def test_it_runs_in_real_time_too():
    assert await run_activity(beating, 1) == "done"
