"""Retries live on the task, not in the history: fifty attempts are still one event.

Attempt n + 1 starts ``first * backoff ** (n - 1)`` seconds after attempt n has failed, at most ``maximum``. What no
retry can mend is a ``PermanentError``, or a type in ``never=``. The idempotency key is the same on every attempt, so
that the other side can tell a second try from a second order.

This program runs on Trio's ``MockClock``, which skips the waiting.

Prints::

    0.0 s: attempt 1 of book('K-1')
    0.5 s: attempt 2 of book('K-1')
    1.5 s: attempt 3 of book('K-1')
    3.5 s: attempt 4 of book('K-1')
    seat 12A, one key for all attempts: True, events: 4
    3.5 s: attempt 1 of book('sold out')
    book: PermanentError: no seats
"""

import trio
from trio.testing import MockClock

import wfactors as wf

keys: set[str] = set()


@wf.activity(retry=wf.Retry(attempts=10, first=0.5, backoff=2, maximum=60), start_to_close=30)
async def book(flight: str) -> str:
    info = wf.activity_info()
    keys.add(info.idempotency_key)
    print(f"{trio.current_time():.1f} s: attempt {info.attempt} of book({flight!r})")
    if flight == "sold out":
        raise wf.PermanentError("no seats")
    if info.attempt < 4:
        raise ConnectionError("try again")
    return "seat 12A"


@wf.workflow
async def travel(flight: str) -> str:
    return await book(flight)


async def main() -> None:
    clock = wf.TrioClock()
    async with wf.open_engine(wf.MemoryStore(clock.now), register=[travel, book], clock=clock) as engine:
        handle = await engine.start(travel, "K-1")
        seat = await handle.result()
        print(f"{seat}, one key for all attempts: {len(keys) == 1}, events: {len(await handle.history())}")
        try:
            await engine.run(travel, "sold out")
        except wf.WorkflowFailed as error:
            print(error.failure.message)


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
