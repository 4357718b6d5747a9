"""A person decides, and may take days: wait for a signal under a durable deadline.

``move_on_after`` around ``receive()`` is all there is to it. While it waits the workflow is a row in the store, over
any number of deployments. Who waits, for what and until when is there to be listed.

This program runs on Trio's ``MockClock``, which skips the waiting.

Prints::

    waiting: expense-1 until day 3, expense-2 until day 3, expense-3 until day 3
    expense-1: paid 120, approved by Grace
    expense-2: refused by Grace: no receipt
    expense-3: nobody decided in 3 days, sent to the board
"""

from datetime import UTC, datetime, timedelta

import attrs
import trio
from trio.testing import MockClock

import wfactors as wf


@attrs.frozen
class Decision:
    who: str
    is_approved: bool
    reason: str = ""


@wf.activity
async def pay(amount: int) -> str:
    return f"paid {amount}"


@wf.workflow
async def expense(amount: int, patience: timedelta) -> str:
    with wf.move_on_after(patience):
        decision = await wf.signals("decision", Decision).receive()
        if decision.is_approved:
            return f"{await pay(amount)}, approved by {decision.who}"
        return f"refused by {decision.who}: {decision.reason}"
    return f"nobody decided in {patience.days} days, sent to the board"


async def main() -> None:
    clock = wf.TrioClock()
    began = datetime.fromtimestamp(clock.now(), UTC)
    async with wf.open_engine(wf.MemoryStore(clock.now), register=[expense, pay], clock=clock) as engine:
        handles = [
            await engine.start(expense, amount, timedelta(days=3), id=f"expense-{number}")
            for number, amount in enumerate([120, 80, 9000], 1)
        ]
        await trio.sleep(3600)
        waiting = [item async for item in engine.list(workflow=expense, status="open")]
        deadlines = sorted((item.id, (item.wake_at - began).days) for item in waiting if item.wake_at is not None)
        print("waiting:", ", ".join(f"{id} until day {days}" for id, days in deadlines))
        await handles[0].signal("decision", Decision("Grace", is_approved=True))
        await handles[1].signal("decision", Decision("Grace", is_approved=False, reason="no receipt"))
        for handle in handles:
            print(f"{handle.id}: {await handle.result()}")


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
