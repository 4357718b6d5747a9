"""Durable time: a sleep of a month costs a row in the store, and nothing in memory.

``sleep``, ``sleep_until``, ``move_on_after``, ``fail_after`` and deadlines of scopes are Trio's, on the workflow's own
clock: the time of the fact that is being processed, the same in every replay. A timer that is no longer wanted is
cancelled with its scope.

This program runs on Trio's ``MockClock``, which skips the waiting; so can your tests.

Prints::

    day  0.0: trial started
    day  7.0: a mail with tips
    day 23.0: a reminder
    day 30.0: trial over
    day 30.0: trial started
    day 33.0: subscribed on day 3, no more mail
"""

from datetime import timedelta

import trio
from trio.testing import MockClock

import wfactors as wf

DAY = 24 * 3600


@wf.activity
async def tell(words: str) -> None:
    print(f"day {trio.current_time() / DAY:4.1f}: {words}")


async def remind() -> None:
    await wf.sleep(timedelta(days=7))
    await tell("a mail with tips")
    await wf.sleep(timedelta(days=16))
    await tell("a reminder")
    await wf.sleep_forever()


@wf.workflow
async def trial() -> bool:
    started = wf.now()
    await tell("trial started")
    with wf.move_on_after(timedelta(days=30)) as month:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(remind)
            await wf.signals("subscribe").receive()
            nursery.cancel_scope.cancel()  # and the timers of the reminders with it
    if month.cancelled_caught:
        await tell("trial over")
        return False
    await tell(f"subscribed on day {(wf.now() - started).days}, no more mail")
    return True


async def main() -> None:
    clock = wf.TrioClock()
    async with wf.open_engine(wf.MemoryStore(clock.now), register=[trial, tell], clock=clock) as engine:
        await engine.run(trial)
        handle = await engine.start(trial)
        await trio.sleep(3 * DAY)
        await handle.signal("subscribe")
        await handle.result()


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
