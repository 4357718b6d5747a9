"""What a partition asks the store on the way."""

from __future__ import annotations

import trio
import trio.testing

from wfactors.actors.errands import Errands
from wfactors.errors import StoreUnavailable


async def test_errands_keep_their_order_over_an_outage(autojump_clock, caplog) -> None:
    """The one that the store did not answer is asked again, and those behind it wait; that is said once."""
    errands = Errands("default/0")
    asked: list[str] = []
    outages = [True, True, False]

    async def first() -> None:
        asked.append("first")
        if outages.pop(0):
            raise StoreUnavailable("gone fishing")

    async def second() -> None:
        asked.append("second")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(errands.run)
        errands.add(first)
        errands.add(second)
        await trio.sleep(10)
        assert (0, ["first", "first", "first", "second"]) == (len(errands), asked)
        assert ["partition default/0 waits for the store, 2 errands: gone fishing"] == caplog.messages
        errands.add(second)
        await trio.testing.wait_all_tasks_blocked()
        assert "second" == asked[4]
        nursery.cancel_scope.cancel()
