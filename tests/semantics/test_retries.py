"""Retries and deadlines of activities, to the second: time is virtual."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
import trio

import wfactors as wf


@attrs.define
class CardDeclined(Exception):
    code: int


class Unknown(Exception):
    pass


class Attempts:
    """When each attempt began, in virtual time from the first; attempts before the ``good`` one fail."""

    def __init__(self, good: int = 1_000, error: BaseException | None = None) -> None:
        self.good = good
        self.error = error or ValueError("not yet")
        self.times: list[float] = []

    @wf.activity(raises=(CardDeclined,))
    async def attempt(self) -> int:
        self.times.append(trio.current_time())
        number = wf.activity_info().attempt
        if number < self.good:
            raise self.error
        return number

    @property
    def waits(self) -> list[float]:
        """Seconds between one attempt and the next."""
        return [round(later - earlier, 2) for earlier, later in zip(self.times, self.times[1:], strict=False)]


@wf.workflow
async def tries(attempts: int | None, first: float, backoff: float, maximum: float, never: list[str]) -> str:
    retry = wf.Retry(attempts=attempts, first=first, backoff=backoff, maximum=maximum, never=tuple(never))
    try:
        number = await wf.activities(Attempts).attempt.options(retry=retry)()
    except wf.ActivityError as error:
        return f"{error.type} {error.message!r} in attempt {error.attempt}"
    except CardDeclined as error:
        return f"declined with {error.code}"
    return f"good in attempt {number}"


@wf.workflow
async def tries_by_default() -> str:
    try:
        await wf.activities(Attempts).attempt()
    except wf.ActivityError as error:
        return f"failed in attempt {error.attempt}"
    return "good"


class Slow:
    """Activities that take as long as they are told, and count how often they are begun."""

    def __init__(self) -> None:
        self.begun = 0

    @wf.activity(start_to_close=10, retry=wf.Retry(attempts=2, first=1))
    async def work(self, seconds: float) -> str:
        self.begun += 1
        await trio.sleep(seconds)
        return "done"

    @wf.activity(schedule_to_close=timedelta(seconds=10), retry=wf.Retry(attempts=None, first=4, backoff=1))
    async def fail(self, seconds: float) -> str:
        self.begun += 1
        await trio.sleep(seconds)
        raise ValueError("no luck")

    @wf.activity(heartbeat=10, retry=wf.Retry(attempts=2, first=1))
    async def beat(self, pause: float, count: int) -> str:
        self.begun += 1
        for _ in range(count):
            wf.heartbeat()
            await trio.sleep(pause)
        return "done"

    @wf.activity(heartbeat=10, retry=wf.Retry(first=1))
    async def copy(self, chunks: float) -> list[int]:
        done = wf.last_heartbeat(list[int]) or []
        for number in range(len(done), int(chunks)):
            done.append(wf.activity_info().attempt)
            wf.heartbeat(done)
            await trio.sleep(2)
            if number in {1, 3}:
                raise ValueError("interrupted")
        return done


@wf.workflow
async def outcome_of(name: str, first: float, second: int | None) -> str:
    activity = getattr(wf.activities(Slow), name)
    arguments = [first] if second is None else [first, second]
    try:
        return str(await activity(*arguments))
    except wf.ActivityTimeout as error:
        cause = "" if error.failure.cause is None else f" after {error.failure.cause.message}"
        return f"{error.deadline} in attempt {error.attempt}{cause}"


async def test_the_first_retry_waits_first_and_the_next_ones_backoff(backend, autojump_clock) -> None:
    """Attempt n + 1 starts first * backoff ** (n - 1) after attempt n ended, at most maximum."""
    attempts = Attempts(good=6)
    async with backend.engine(tries, attempts) as engine:
        assert "good in attempt 6" == await engine.run(tries, 10, 0.5, 3.0, 10.0, [])
    assert [0.5, 1.5, 4.5, 10.0, 10.0] == attempts.waits


async def test_by_default_there_are_three_attempts(backend, autojump_clock) -> None:
    """The first retry after one second, the second after two."""
    attempts = Attempts()
    async with backend.engine(tries_by_default, attempts) as engine:
        assert "failed in attempt 3" == await engine.run(tries_by_default)
    assert [1.0, 2.0] == attempts.waits


async def test_attempts_live_on_the_task_and_the_history_gets_the_outcome(backend, autojump_clock) -> None:
    """Nine failed attempts leave no event."""
    async with backend.engine(tries, Attempts(good=10)) as engine:
        handle = await engine.start(tries, None, 1, 1, 1, [])
        await trio.sleep(4.5)
        (waiting,) = (await handle.describe()).waits_for
        assert "last failure: ValueError: not yet" in waiting
        assert "good in attempt 10" == await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
    assert ["RunStarted", "ActivityScheduled", "ActivityCompleted", "RunCompleted"] == kinds


async def test_retries_go_on_over_restarts(backend, autojump_clock) -> None:
    """A wait that passes while no engine runs ends at the next start; the number of the attempt goes on."""
    attempts = Attempts(good=3)
    async with backend.engine(tries, attempts) as engine:
        await engine.start(tries, 3, 100, 1, 100, [], id="t")
        await trio.sleep(1)
    await trio.sleep(50)
    async with backend.engine(tries, attempts, limits=wf.Limits(resident_instances=1)) as engine:
        assert "good in attempt 3" == await (await engine.get("t")).result()
    assert [100, 100] == [round(wait) for wait in attempts.waits]


@pytest.mark.parametrize(
    ("error", "never", "told"),
    [
        (wf.PermanentError("give up"), [], "wfactors.errors.PermanentError 'give up' in attempt 1"),
        (KeyError("k"), ["builtins.LookupError"], "builtins.KeyError \"'k'\" in attempt 1"),
        (CardDeclined(51), [f"{__name__}.CardDeclined"], "declined with 51"),
    ],
    ids=["permanent", "never", "never and raises"],
)
async def test_what_is_permanent_is_not_retried(backend, autojump_clock, error, never, told) -> None:
    """PermanentError, and the types named in ``never`` with those derived from them."""
    attempts = Attempts(error=error)
    async with backend.engine(tries, attempts) as engine:
        assert told == await engine.run(tries, 5, 1, 2, 10, never)
    assert 1 == len(attempts.times)


async def test_a_type_in_raises_comes_back_as_itself_when_retries_are_used_up(backend, autojump_clock) -> None:
    """Its fields are structured; and it is retried like any other."""
    attempts = Attempts(error=CardDeclined(51))
    async with backend.engine(tries, attempts) as engine:
        assert "declined with 51" == await engine.run(tries, 3, 1, 1, 1, [])
    assert 3 == len(attempts.times)


async def test_start_to_close_is_a_deadline_of_each_attempt(backend, autojump_clock) -> None:
    """It is retried by the policy, and the error names it."""
    slow = Slow()
    async with backend.engine(outcome_of, slow) as engine:
        start = trio.current_time()
        assert "start_to_close in attempt 2" == await engine.run(outcome_of, "work", 11, None)
        assert 21 <= trio.current_time() - start < 22
        assert "done" == await engine.run(outcome_of, "work", 9, None)
    assert 3 == slow.begun


async def test_schedule_to_close_is_a_deadline_over_all_attempts(backend, autojump_clock) -> None:
    """It ends the running attempt, and a call whose next attempt would start too late; nothing is retried then."""
    slow = Slow()
    async with backend.engine(outcome_of, slow) as engine:
        start = trio.current_time()
        assert "schedule_to_close in attempt 1" == await engine.run(outcome_of, "fail", 30, None)
        assert 10 <= trio.current_time() - start < 11
        start = trio.current_time()
        assert "schedule_to_close in attempt 2 after no luck" == await engine.run(outcome_of, "fail", 2, None)
        assert 8 <= trio.current_time() - start < 9
    assert 3 == slow.begun


async def test_a_missing_heartbeat_ends_the_attempt_and_is_retried(backend, autojump_clock) -> None:
    """ActivityTimeout names the heartbeat."""
    slow = Slow()
    async with backend.engine(outcome_of, slow) as engine:
        assert "heartbeat in attempt 2" == await engine.run(outcome_of, "beat", 11, 3)
    assert 2 == slow.begun


async def test_heartbeats_keep_a_long_activity_alive(backend, autojump_clock) -> None:
    """An activity of ten minutes outlives its heartbeat deadline and any lease."""
    slow = Slow()
    async with backend.engine(outcome_of, slow, lease=5) as engine:
        assert "done" == await engine.run(outcome_of, "beat", 6, 100)
    assert 1 == slow.begun


async def test_the_last_heartbeat_is_there_for_the_next_attempt(backend, autojump_clock) -> None:
    """Each attempt goes on where the last one stopped."""
    async with backend.engine(outcome_of, Slow()) as engine:
        assert "[1, 1, 2, 2, 3]" == await engine.run(outcome_of, "copy", 5, None)


async def test_the_last_heartbeat_survives_a_restart(backend, autojump_clock) -> None:
    """The engine stops in the middle of an attempt; the next one knows how far it came."""
    async with backend.engine(outcome_of, Slow(), grace=0) as engine:
        await engine.start(outcome_of, "copy", 2, None, id="c")
        await trio.sleep(1)
    async with backend.engine(outcome_of, Slow()) as engine:
        assert "[1, 2]" == await (await engine.get("c")).result()
