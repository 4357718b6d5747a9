"""Group commit: what waits together is committed together, fails alone, and is never done behind a caller's back."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import wfactors as wf
import wfactors.actors.node
from tests.stores.sqlite_kit import names_in
from wfactors.errors import LeaseLost, StoreCorrupt, StoreUnavailable
from wfactors.stores.liveness import NodeLocks
from wfactors.stores.sqlite import SqliteStore
from wfactors.stores.sqlite_session import Session
from wfactors.stores.sqlite_thread import Job, WorkThread
from wfactors.stores.sqlite_writer import Writer
from wfactors.testing.conformance.builders import SHOP, Owner, append, header, node, request, signal

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db", synchronous="normal", poll_idle_seconds=None)
    async with store.open():
        yield store


class Gate:
    """An operation that keeps the writer busy until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: Any, arguments: Sequence[Any]) -> list[Any]:
        self.entered.set()
        self.opened.wait()
        return list(arguments)


async def busy(store: SqliteStore, nursery: trio.Nursery) -> Gate:
    gate = Gate()
    nursery.start_soon(store._session.writer_thread.run, gate, 1)
    await trio.to_thread.run_sync(gate.entered.wait)
    return gate


async def test_calls_that_wait_together_share_one_commit(store: SqliteStore) -> None:
    """A hundred creates behind a busy writer are one transaction."""
    async with trio.open_nursery() as nursery:
        gate = await busy(store, nursery)
        for number in range(100):
            nursery.start_soon(store.create, [request(header(f"i{number}"))])
        await trio.testing.wait_all_tasks_blocked()
        gate.opened.set()
    statistics = store.statistics()
    assert (statistics.commits, statistics.units, statistics.units_max) == (2, 101, 100)
    assert len((await store.dump())["headers"]) == 100


async def test_each_call_of_a_group_gets_its_own_answer(store: SqliteStore) -> None:
    """Of ten starts of one id that are committed together, one creates it."""
    created = []

    async def create(number: int) -> None:
        (outcome,) = await store.create([request(header(f"i{number}", id="same"))])
        created.append((outcome.created, outcome.header.instance))

    async with trio.open_nursery() as nursery:
        gate = await busy(store, nursery)
        for number in range(10):
            nursery.start_soon(create, number)
        await trio.testing.wait_all_tasks_blocked()
        gate.opened.set()
    winners = [instance for is_created, instance in created if is_created]
    assert len(winners) == 1
    assert {instance for _, instance in created} == set(winners)


async def test_a_call_that_fails_harms_none_of_its_group(store: SqliteStore) -> None:
    """A refused batch, one that SQLite cannot bind and a good message are sent together: only the good one is there."""
    owner = await Owner.take(store)
    await owner.commit(headers=[header()], appends=[append()])
    raised: list[type[BaseException]] = []

    async def expect_error(call: Any, argument: Any) -> None:
        try:
            await call(argument)
        except (LeaseLost, OverflowError) as error:
            raised.append(type(error))

    stale = Owner(store, owner.node, SHOP, owner.epoch - 1, owner.sequence)
    async with trio.open_nursery() as nursery:
        gate = await busy(store, nursery)
        nursery.start_soon(expect_error, store.commit, stale.next_batch(headers=[header("i7")]))
        nursery.start_soon(expect_error, store.create, [request(header("i8", run=2**70))])
        nursery.start_soon(store.send, [signal()])
        nursery.start_soon(store.create, [request(header("i9"))])
        await trio.testing.wait_all_tasks_blocked()
        gate.opened.set()
    assert sorted(kind.__name__ for kind in raised) == ["LeaseLost", "OverflowError"]
    dump = await store.dump()
    assert [row["instance"] for row in dump["headers"]] == ["i1", "i9"]
    assert [row["id"] for row in dump["inbox"]] == ["m1"]
    await owner.commit(headers=[header("i2")])


async def test_a_call_that_is_cancelled_while_it_waits_is_withdrawn(store: SqliteStore) -> None:
    """Cancelled behind a busy writer, a call returns at once and writes nothing."""
    async with trio.open_nursery() as nursery:
        gate = await busy(store, nursery)
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.create([request(header())])
        with trio.move_on_after(0.01) as late:
            await store.create([request(header())])
        assert late.cancelled_caught
        gate.opened.set()
    assert await store.find("order-i1") is None
    assert store.statistics().units == 1


async def test_a_call_that_is_cancelled_while_it_is_written_learns_the_result(store: SqliteStore) -> None:
    """Once the writer has a call, cancelling it changes nothing: it returns what it would have returned."""
    results = []

    async def call(gate: Gate, scope: trio.CancelScope) -> None:
        with scope:
            results.append(await store._session.writer_thread.run(gate, "done"))

    gate, scope = Gate(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, gate, scope)
        await trio.to_thread.run_sync(gate.entered.wait)
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        gate.opened.set()
    assert results == ["done"]


@pytest.mark.time_limit(120)
async def test_no_call_is_committed_unknown_to_its_caller(store: SqliteStore, rng: random.Random) -> None:
    """Thousands of calls cancelled at random moments: written is exactly what did not raise Cancelled."""
    known = set()

    async def call(number: int, delay: float) -> None:
        with trio.move_on_after(delay):
            await store.create([request(header(f"i{number}"))])
            known.add(f"i{number}")

    for start in range(0, 3000, 100):
        async with trio.open_nursery() as nursery:
            for number in range(start, start + 100):
                nursery.start_soon(call, number, rng.random() * 0.01)
    written = {str(row["instance"]) for row in (await store.dump())["headers"]}
    assert written == known
    assert 0 < len(known) < 3000


async def test_leaving_the_store_finishes_what_was_asked(tmp_path: Path) -> None:
    """Calls that were made before the block was left are committed and answered."""
    store = SqliteStore(tmp_path / "store.db", poll_idle_seconds=None)
    async with trio.open_nursery() as nursery, store.open():
        gate = await busy(store, nursery)
        nursery.start_soon(store.create, [request(header())])
        await trio.testing.wait_all_tasks_blocked()
        gate.opened.set()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.find("order-i1")
    async with store.open():
        assert await store.find("order-i1") is not None


async def test_a_cancelled_block_ends_its_threads(tmp_path: Path) -> None:
    """Also when the surrounding scope is cancelled, no thread and no file of the log is left."""
    before = threading.active_count()
    store = SqliteStore(tmp_path / "store.db")
    with trio.CancelScope() as scope:
        async with store.open():
            await store.create([request(header())])
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert threading.active_count() == before
    assert names_in(tmp_path) == ["store.db"]


async def test_a_store_can_be_opened_again(tmp_path: Path) -> None:
    """Entering twice at once is refused, one after the other is not."""
    store = SqliteStore(tmp_path / "store.db")
    async with store.open():
        with pytest.raises(StoreUnavailable, match="open already"):
            async with store.open():
                pass
        await store.join(node(), 10)
    async with store.open():
        assert [row.is_alive for row in await store.nodes()] == [False]


class CountingHold:
    def __init__(self) -> None:
        self.held = 0
        self.held_most = 0

    def acquire(self) -> None:
        self.held += 1
        self.held_most = max(self.held_most, self.held)

    def release(self) -> None:
        self.held -= 1


async def test_the_hold_is_told_of_every_job(tmp_path: Path) -> None:
    """While jobs are in flight the hold is held; afterwards, cancelled calls included, it is not."""
    hold = CountingHold()
    store = SqliteStore(tmp_path / "store.db", hold=hold, poll_idle_seconds=None)
    async with store.open():
        async with trio.open_nursery() as nursery:
            gate = await busy(store, nursery)
            nursery.start_soon(store.queues)
            with trio.move_on_after(0.001):
                await store.renew("node-1", 1)
            assert hold.held >= 1
            gate.opened.set()
        assert hold.held == 0
    assert hold.held == 0
    assert hold.held_most >= 2


async def test_a_clock_that_jumps_is_held_while_the_writer_works(tmp_path: Path, mock_clock: Any) -> None:
    """With the hold, Trio's jumping clock does not fire timeouts during a commit."""

    class ClockHold(CountingHold):
        def acquire(self) -> None:
            super().acquire()
            mock_clock.autojump_threshold = float("inf")

        def release(self) -> None:
            super().release()
            if self.held == 0:
                mock_clock.autojump_threshold = 0

    mock_clock.autojump_threshold = 0
    store = SqliteStore(tmp_path / "store.db", hold=ClockHold(), poll_idle_seconds=None)
    async with store.open():
        for number in range(20):
            with trio.fail_after(1):
                await store.create([request(header(f"i{number}"))])
    assert trio.current_time() < 1


async def test_what_the_start_raises_comes_out_of_open() -> None:
    """A thread that cannot start has ended when ``open`` raises."""
    before = threading.active_count()

    def start() -> None:
        raise LeaseLost("no")

    thread = WorkThread("test", start=start, work=lambda jobs: None, finish=lambda: None)
    with pytest.raises(LeaseLost, match="no"):
        await thread.open()
    assert threading.active_count() == before
    await thread.close()


@pytest.mark.parametrize("part", ["pause", "work", "idle"])
async def test_a_thread_that_fails_tells_whoever_waits_and_whoever_comes(part: str) -> None:
    """Whatever part of it raises, nobody waits for ever, and closing ends it."""
    before = threading.active_count()
    entered, opened, finished, broken = [threading.Event() for _ in range(4)]

    def reach(name: str) -> None:
        if name == part and broken.is_set():
            raise OverflowError("timestamp too large")

    def work(jobs: list[Job[Any, Any]]) -> None:
        entered.set()
        opened.wait()
        reach("work")
        for job in jobs:
            job.finish(job.argument)

    thread = WorkThread(
        "test",
        start=lambda: None,
        work=work,
        finish=finished.set,
        idle=lambda: reach("idle"),
        pause=lambda: reach("pause"),
    )
    await thread.open()
    answers: dict[str, str] = {}

    async def call(name: str) -> None:
        try:
            answers[name] = await thread.run(lambda _, arguments: list(arguments), "done")
        except StoreUnavailable as error:
            answers[name] = f"{error}, by {type(error.__cause__).__name__}"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, "in work")
        await trio.to_thread.run_sync(entered.wait)
        nursery.start_soon(call, "behind it")
        await trio.testing.wait_all_tasks_blocked()
        broken.set()
        opened.set()
    await call("later")
    failure = "test: its thread has failed: OverflowError: timestamp too large; close the store and open it again"
    failure += ", by OverflowError"
    assert {
        "in work": failure if part == "work" else "done",
        "behind it": failure,
        "later": failure,
    } == answers
    await thread.close()
    assert finished.is_set()
    assert threading.active_count() == before


async def test_an_engine_whose_writer_fails_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls get StoreUnavailable, its block can be left, and the file serves the next engine."""
    monkeypatch.setattr(wfactors.actors.node, "_FLUSH_SECONDS", 0.1)

    @wf.workflow
    async def brief() -> str:
        return "done"

    def fail(_: list[Job[Any, Any]]) -> None:
        raise OverflowError("timestamp too large")

    store = SqliteStore(tmp_path / "store.db", poll_idle_seconds=None)
    async with wf.open_engine(store, register=[brief], grace=0) as engine:
        assert await engine.run(brief, id="first") == "done"
        store._session.writer_thread._work = fail
        with pytest.raises(StoreUnavailable, match="timestamp too large"):
            await engine.start(brief)
    async with wf.open_engine(store, register=[brief]) as engine:
        assert await (await engine.get("first")).result() == "done"


@pytest.mark.parametrize(("part", "name"), [(Session, "_finish_reading"), (Writer, "finish")])
async def test_a_thread_that_does_not_end_well_leaves_the_others_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    """What it raised at its end comes out of the block, and no thread and no lock is left behind."""
    ended = getattr(part, name)

    def finish(self: Session | Writer) -> None:
        ended(self)
        raise StoreCorrupt("the end")

    before = threading.active_count()
    monkeypatch.setattr(part, name, finish)
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(StoreCorrupt, match="the end"):
        async with store.open():
            liveness = store._session.locks.hold("node-1")
    assert threading.active_count() == before
    there = NodeLocks(str(tmp_path / "store.db"))
    assert there.is_surely_dead("node-1", liveness)
    there.drop("node-1")
    assert names_in(tmp_path) == ["store.db"]


async def test_a_long_read_is_interrupted_when_it_is_cancelled(store: SqliteStore) -> None:
    """A query that would run for hours ends with its caller, and the reader goes on to serve others."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    started = threading.Event()

    def read(connection: Any) -> Any:
        started.set()
        return connection.execute(endless).fetchall()

    async def call(scope: trio.CancelScope) -> None:
        with scope:
            await store._session.read(read)

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, scope)
        await trio.to_thread.run_sync(started.wait)
        scope.cancel()
    assert scope.cancelled_caught
    assert await store.queues() == []


async def test_a_read_on_the_loop_that_meets_a_lock_goes_to_the_reader(store: SqliteStore) -> None:
    """The event loop does not wait for a log that another process is recovering; the reader's thread does."""
    threads = []

    def read(_: Any) -> str:
        threads.append(threading.current_thread())
        if len(threads) == 1:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
            raise error
        return "read"

    assert await store._session.read_inline(read) == "read"
    assert threads[0] is threading.main_thread()
    assert "reader" in threads[1].name


async def test_errors_of_reads_are_translated(store: SqliteStore) -> None:
    """On the loop and in the thread alike; afterwards both go on."""

    def read(connection: Any) -> Any:
        return connection.execute("SELECT * FROM no_such_table").fetchall()

    for way in (store._session.read_inline, store._session.read):
        with pytest.raises(StoreCorrupt, match="no such table"):
            await way(read)
    with pytest.raises(StoreCorrupt, match="no such table"):
        store._session.inline(read)
    assert await store.queues() == []
