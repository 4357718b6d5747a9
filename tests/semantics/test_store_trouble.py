"""The store does not answer, or is full: callers wait, nothing acknowledged is lost, nothing is applied twice."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

import wfactors as wf

WRITES = frozenset({"commit", "report", "create", "send", "renew", "acquire", "claim", "heartbeat"})


class Flaky:
    """A store that can be out of order, as a network or a full disk is.

    Attributes:
        error: What its methods raise; None while all is well.
        loses_answers: They raise after they have done what they were asked.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.error: wf.StoreUnavailable | None = None
        self.only: frozenset[str] | None = None
        self.loses_answers = False

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if name not in WRITES and name not in {"nodes", "header", "history", "inbox", "wakes", "held_tasks", "tasks"}:
            return value

        async def answer(*args: Any, **kwargs: Any) -> Any:
            is_meant = self.error is not None and (self.only is None or name in self.only)
            if is_meant and not self.loses_answers:
                await trio.lowlevel.checkpoint()
                raise self.error
            result = await value(*args, **kwargs)
            if is_meant:
                raise self.error
            return result

        return answer


@wf.activity
async def work(number: int) -> int:
    await trio.sleep(5)
    return number


@wf.workflow
async def works(count: int) -> list[int]:
    numbers = wf.signals("number", int)
    return [await work(await numbers.receive()) for _ in range(count)]


FAILURES = pytest.mark.parametrize(
    "error", [wf.StoreUnavailable("connection refused"), wf.StoreFull("database or disk is full")], ids=["away", "full"]
)


@FAILURES
@pytest.mark.parametrize("loses_answers", [False, True])
async def test_the_batch_is_kept_and_retried_while_the_lease_lasts(
    backend, autojump_clock, caplog, error, loses_answers
) -> None:
    """Callers wait; the log and the figures have the store's own words; then all goes on where it was."""
    async with backend.shared() as shared:
        store = Flaky(shared)
        async with backend.engine(works, work, store=store) as engine, trio.open_nursery() as nursery:
            handle = await engine.start(works, 3)
            await handle.signal("number", 1)
            await trio.sleep(1)
            store.only, store.loses_answers = frozenset({"commit", "report"}), loses_answers
            with caplog.at_level(logging.WARNING, logger="wfactors"):
                store.error = error
                nursery.start_soon(handle.signal, "number", 2)
                await trio.sleep(60)
            assert str(error) == engine.statistics().degraded_because
            assert any(str(error) in record.getMessage() for record in caplog.records)
            store.error = None
            await handle.signal("number", 3)
            assert [1, 2, 3] == await handle.result()
            assert engine.statistics().degraded_because is None
            kinds = [type(event).__name__ for event in await handle.history()]
    assert (3, 3) == (kinds.count("SignalReceived"), kinds.count("ActivityCompleted"))


@wf.workflow
async def counts() -> int:
    total = 0

    @wf.query
    def so_far() -> int:
        return total

    async for number in wf.signals("number", int):
        total += number
    return total


async def test_a_query_sees_committed_state_only(backend, autojump_clock) -> None:
    """It waits as long as the turn before it is not durable: what nobody may see yet could be lost."""
    async with backend.shared() as shared:
        store = Flaky(shared)
        async with backend.engine(counts, store=store) as engine, trio.open_nursery() as nursery:
            handle = await engine.start(counts)
            await handle.signal("number", 1)
            assert 1 == await handle.query("so_far")
            store.error, store.only = wf.StoreUnavailable("away"), frozenset({"commit"})
            nursery.start_soon(handle.signal, "number", 2)
            await trio.sleep(1)
            with trio.move_on_after(10) as patience:
                await handle.query("so_far")
            assert patience.cancelled_caught
            store.error = None
            assert 3 == await handle.query("so_far")


async def test_nothing_begins_before_it_is_committed(backend, autojump_clock) -> None:
    """No activity starts and no result is told while the turn that decided so is not durable."""
    begun: list[str] = []

    @wf.activity
    async def begins() -> None:
        begun.append("activity")

    @wf.workflow
    async def decides() -> None:
        await wf.signals("go").receive()
        await begins()

    @wf.workflow
    async def ends() -> str:
        await wf.signals("go").receive()
        return "ended"

    async with backend.shared() as shared:
        store = Flaky(shared)
        async with backend.engine(decides, ends, begins, store=store) as engine, trio.open_nursery() as nursery:
            first, second = await engine.start(decides), await engine.start(ends)
            await trio.sleep(1)
            store.error, store.only = wf.StoreUnavailable("away"), frozenset({"commit"})
            for handle in (first, second):
                nursery.start_soon(handle.signal, "go")
            with trio.move_on_after(10) as patience:
                await second.result()
            assert (True, []) == (patience.cancelled_caught, begun)
            store.error = None
            assert "ended" == await second.result()
            await first.result()
            assert ["activity"] == begun


async def test_callers_can_time_out_while_the_store_is_away(backend, autojump_clock) -> None:
    """With Trio's own scopes; what they asked may have happened, or not."""
    async with backend.shared() as shared:
        store = Flaky(shared)
        async with backend.engine(works, work, store=store) as engine:
            handle = await engine.start(works, 1)
            store.error, store.only = wf.StoreUnavailable("away"), frozenset({"commit"})
            with trio.move_on_after(10) as scope:
                await handle.signal("number", 1)
            assert scope.cancelled_caught
            store.error = None
            assert [1] == await handle.result()


@pytest.mark.parametrize("loses_answers", [False, True])
async def test_after_the_lease_the_node_starts_again_from_the_store(backend, autojump_clock, loses_answers) -> None:
    """Everything fails for longer than the lease; nothing acknowledged is lost, no signal is taken twice."""
    async with backend.shared() as shared:
        store = Flaky(shared)
        async with backend.engine(works, work, store=store, lease=20) as engine:
            name = engine.name
            handle = await engine.start(works, 3)
            await handle.signal("number", 1)
            await trio.sleep(2)
            store.error, store.loses_answers = wf.StoreUnavailable("away"), loses_answers
            await trio.sleep(100)
            store.error = None
            while not engine.statistics().partitions:
                await trio.sleep(0.5)
            for number in (2, 3):
                await handle.signal("number", number)
            assert [1, 2, 3] == await handle.result()
            kinds = [type(event).__name__ for event in await handle.history()]
            assert loses_answers or engine.name != name
    assert (3, 3) == (kinds.count("SignalReceived"), kinds.count("ActivityCompleted"))
