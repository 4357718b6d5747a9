"""Two engines on one store: one owns, the other stands by; what a dead one held is handed out again."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import wfactors as wf


@wf.workflow
async def counts() -> list[int]:
    numbers = wf.signals("number", int)
    seen = []
    for _ in range(4):
        seen.append(await numbers.receive())
        await wf.sleep(1)
    return seen


@wf.activity
async def attempt(seconds: float) -> int:
    await trio.sleep(seconds)
    return wf.activity_info().attempt


@wf.workflow
async def calls(seconds: float) -> int:
    return await attempt(seconds)


async def open_until_told(
    backend: Any, store: Any, options: dict[str, Any], *, task_status: trio.TaskStatus[tuple[Any, trio.Event]]
) -> None:
    """An engine that is left in order once the event is set."""
    leave = trio.Event()
    async with backend.engine(counts, calls, attempt, store=store, **options) as engine:
        task_status.started((engine, leave))
        await leave.wait()


async def test_the_second_engine_stands_by_and_takes_over(backend, autojump_clock) -> None:
    """When the first one leaves; its workflows go on where they were, and clients of the second notice nothing."""
    async with backend.shared() as store, trio.open_nursery() as nursery:
        _, leave = await nursery.start(open_until_told, backend, store, {})
        async with backend.engine(counts, calls, attempt, store=store) as second:
            assert [] == second.statistics().partitions
            handle = await second.start(counts, id="c")
            await handle.signal("number", 1)
            await trio.sleep(5)
            leave.set()
            for number in (2, 3, 4):
                await handle.signal("number", number)
            assert [1, 2, 3, 4] == await handle.result()
            assert 1 == len(second.statistics().partitions)


@pytest.mark.parametrize("instances", [1, 1000])
async def test_a_dead_owner_is_replaced_when_its_lease_ends(backend, autojump_clock, instances) -> None:
    """Within one lease; what it had running is attempted again, and what it commits afterwards is refused."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.shared() as store, trio.open_nursery() as nursery:
        first, _ = await nursery.start(open_until_told, backend, store, {"lease": 10, "grace": 0})
        handle = await first.start(counts, id="c")
        await handle.signal("number", 1)
        calling = await first.start(calls, 30, id="d")
        await trio.sleep(5)
        async with backend.engine(counts, calls, attempt, store=store, lease=10, limits=limits) as second:
            start = trio.current_time()
            await store.leave(first.name)  # As if it had been found dead: its lease is over, and it does not know.
            while not second.statistics().partitions:
                await trio.sleep(0.1)
            assert trio.current_time() - start <= 10
            handle = await second.get("c")
            for number in (2, 3, 4):
                await handle.signal("number", number)
            assert [1, 2, 3, 4] == await handle.result()
            assert 2 == await (await second.get("d")).result()
        assert "d" == calling.id
        nursery.cancel_scope.cancel()


async def test_an_idle_engine_writes_nothing_but_its_lease(backend, autojump_clock) -> None:
    """An hour of a sleeping workflow: no commit, no claim, one renewal in a third of the lease."""
    asked: dict[str, int] = {}

    class Counting:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            value = getattr(self._store, name)
            if callable(value):
                asked[name] = asked.get(name, 0) + 1
            return value

    async with (
        backend.shared() as store,
        backend.engine(counts, calls, attempt, store=Counting(store), lease=60) as engine,
    ):
        await engine.start(counts)
        await trio.sleep(10)
        asked.clear()
        await trio.sleep(3600)
        seen = dict(asked)
    assert 180 == pytest.approx(seen.pop("renew"), abs=2)
    assert {"nodes"} >= set(seen)


async def test_a_node_taken_for_dead_claims_nothing_and_joins_again(backend, autojump_clock) -> None:
    """It hears of it at its next claim, not at its next renewal; the task runs under its new name, once."""
    names = []

    @wf.activity
    async def once() -> int:
        names.append("ran")
        return 1

    @wf.workflow
    async def asks() -> int:
        return await once()

    async with (
        backend.shared() as store,
        backend.engine(asks, store=store, limits=wf.Limits(activities=0)) as owner,
        backend.engine(once, store=store, workflows=False) as worker,
    ):
        dead = worker.name
        await store.leave(dead)
        with trio.fail_after(60):
            assert 1 == await owner.run(asks)
        assert ["ran"] == names
        assert dead != worker.name


async def test_an_idle_engine_reads_one_number_of_its_file(tmp_path) -> None:
    """With the poll on, in real time: it asks SQLite whether another process wrote, and nothing else."""
    store = wf.SqliteStore(tmp_path / "store.db", poll_idle_seconds=0.01)
    statements: list[str] = []
    many = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def note(statement: str) -> None:
        statements.append(statement)
        if len(statements) == 30:
            token.run_sync_soon(many.set)

    async with wf.open_engine(store, register=[counts], lease=600) as engine:
        handle = await engine.start(counts)
        with pytest.raises(wf.QueryError):
            await handle.query("nothing")  # it sees what is committed: the first turn is through
        session = store._session
        connections = [session.writer._connection, session._inline]
        assert None not in connections
        for connection in connections:
            connection.set_trace_callback(note)
        with trio.fail_after(30):
            await many.wait()
        # The callbacks stay: to take one off while its thread is in it waits for that thread, which waits for us.
        assert {"PRAGMA data_version"} == set(statements)


class ReadsLate:
    """A store that answers one question for held tasks much later, with what was true when it was asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_next_late = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def held_tasks(self, partition: str) -> Any:
        rows = await self._store.held_tasks(partition)
        if rows and self.is_next_late:
            self.is_next_late = False
            await trio.sleep(20)
        return rows


async def test_what_an_owner_read_of_a_node_that_left_since_changes_nothing(backend, autojump_clock) -> None:
    """The node reported its attempt and left; the next attempt runs elsewhere by now, and is not handed out again."""
    attempts: list[int] = []

    @wf.activity(name="once", retry=wf.Retry(first=1))
    async def once() -> int:
        attempts.append(wf.activity_info().attempt)
        await trio.sleep(5 if len(attempts) == 1 else 50)
        if len(attempts) == 1:
            raise OSError("the first time it fails")
        return len(attempts)

    @wf.workflow
    async def calls_once() -> int:
        return await once()

    async with backend.shared() as shared, trio.open_nursery() as nursery:
        store = ReadsLate(shared)

        async def worker(until: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
            async with backend.engine(once, store=shared):
                task_status.started()
                await until.wait()

        async with backend.engine(calls_once, store=store) as owner:
            failing, succeeding = trio.Event(), trio.Event()
            await nursery.start(worker, failing)
            handle = await owner.start(calls_once)
            await trio.sleep(1)
            store.is_next_late = True
            await nursery.start(worker, succeeding)  # Its joining makes the owner look for orphans.
            await trio.sleep(4.5)
            failing.set()
            assert 2 == await handle.result()
            succeeding.set()
    assert [1, 2] == attempts
    assert not store.is_next_late
