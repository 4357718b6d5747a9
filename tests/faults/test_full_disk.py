"""No room left, or no right to write, while an engine runs: nothing is lost, and it goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import wfactors as wf
from wfactors.convert import DataPort
from wfactors.registry import Registry
from wfactors.testing.auditor import audit
from wfactors.testing.clocks import AutojumpHold, VirtualClock
from wfactors.workflow import Application

BYTES = 200_000
PAGES = 300


@wf.activity
async def produce(number: int) -> str:
    return str(number) * BYTES


@wf.workflow
async def hoard(count: int) -> int:
    return sum([len(await produce(number)) for number in range(count)])


@wf.workflow
async def small() -> str:
    await wf.sleep(1)
    return "small"


REGISTER = (produce, hoard, small)


def allow(store: wf.SqliteStore, pages: int) -> None:
    """Give the store more room, as somebody would who cleans up the disk."""
    connection = store._session.writer._connection
    assert connection is not None
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


@pytest.mark.parametrize("lease", [3600, 5], ids=["lease-lives", "lease-ends"])
async def test_a_full_disk_holds_the_engine_up_and_no_more(
    lease: float, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Commits are retried, statistics say why; with room again everything ends as it would have."""
    clock, hold = VirtualClock(autojump_clock), AutojumpHold(autojump_clock)
    store = wf.SqliteStore(
        tmp_path / "store.db", clock=clock.now, hold=hold, poll_idle_seconds=None, max_page_count=PAGES
    )
    async with wf.open_engine(store, register=REGISTER, clock=clock, hold=hold, lease=lease) as engine:
        large = await engine.start(hoard, 10, id="large")
        while (why := engine.statistics().degraded_because) is None:
            await trio.sleep(0.1)
        assert "full" in why
        with trio.move_on_after(60):
            await large.result()
        with pytest.raises(wf.StoreFull):
            await engine.start(hoard, 1, id="refused", attributes={"filler": "x" * BYTES})
        allow(store, 100 * PAGES)
        other = await engine.start(small)
        assert 10 * BYTES == await large.result()
        assert "small" == await other.result()
        assert engine.statistics().degraded_because is None
    async with store.open():
        dump = await store.dump()
    assert [] == audit(dump, application=Application(registry=Registry(REGISTER), data=DataPort()))


async def test_a_read_only_file_is_refused_at_the_start(nobodys_folder: Path) -> None:
    """StoreUnavailable that says what to do, before anything runs."""
    path = nobodys_folder / "store.db"
    async with wf.open_engine(wf.SqliteStore(path), register=REGISTER):
        pass
    path.chmod(0o444)
    with pytest.raises(wf.StoreUnavailable):
        async with wf.open_engine(wf.SqliteStore(path), register=REGISTER):
            pass


async def test_a_file_that_becomes_read_only_holds_the_engine_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The writer is told that it may not write: retried, in view, and over when it may again."""
    clock, hold = VirtualClock(autojump_clock), AutojumpHold(autojump_clock)
    store = wf.SqliteStore(tmp_path / "store.db", clock=clock.now, hold=hold, poll_idle_seconds=None)
    async with wf.open_engine(store, register=REGISTER, clock=clock, hold=hold, lease=3600) as engine:
        handle = await engine.start(small)
        connection = store._session.writer._connection
        assert connection is not None
        connection.execute("PRAGMA query_only = ON")
        while (why := engine.statistics().degraded_because) is None:
            await trio.sleep(0.1)
        assert "readonly" in why
        connection.execute("PRAGMA query_only = OFF")
        assert "small" == await handle.result()
