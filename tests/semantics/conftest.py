"""One application on each store, in virtual time, opened and closed as often as a test likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from trio.testing import MockClock

import wfactors as wf
from wfactors.stores.base import Store
from wfactors.testing.clocks import AutojumpHold, VirtualClock

# A test that waits for what never comes must not simulate the renewals of a lease for years.
LIMIT_VIRTUAL_SECONDS = 24 * 3600.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit each test of this folder to a day of virtual time, unless it says otherwise."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("time_limit") is None:
            item.add_marker(pytest.mark.time_limit(LIMIT_VIRTUAL_SECONDS))


class _Opened:
    """A store that is open already, and stays so when an engine is done with it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        yield


class Backend:
    """The data of one test, and engines on it.

    Attributes:
        clock: The time of workflows: Trio's.
    """

    def __init__(self, kind: str, folder: Path, mock_clock: MockClock) -> None:
        self.kind = kind
        self.clock = VirtualClock(mock_clock)
        self._path = folder / "store.db"
        self._memory: wf.MemoryStore | None = None
        self._hold = AutojumpHold(mock_clock)

    def store(self) -> Store:
        """The store: for SQLite a new object on the same file, as another process would have."""
        if self.kind == "memory":
            if self._memory is None:
                self._memory = wf.MemoryStore(clock=self.clock.now)
            return self._memory
        return wf.SqliteStore(self._path, clock=self.clock.now, hold=self._hold, poll_idle_seconds=None)

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[Store]:
        """One opened store for several engines: what the nodes of a cluster see, in virtual time."""
        store = self.store()
        async with store.open():
            yield cast("Store", _Opened(store))

    def engine(self, *register: Any, **options: Any) -> AbstractAsyncContextManager[wf.Engine]:
        """An engine on the data; options as for ``wf.open_engine``."""
        store = options.pop("store", None) or self.store()
        # Each renewal is a commit, and a day of virtual time has 26,000 of them with the default.
        options.setdefault("lease", 600)
        return wf.open_engine(store, register=register, clock=self.clock, hold=self._hold, **options)


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock) -> Backend:
    """Both stores. The test must take ``autojump_clock`` itself as well, or pytest-trio does not see it."""
    return Backend(request.param, tmp_path, autojump_clock)


@pytest.fixture
def names() -> Sequence[str]:
    """Ids that some system would stumble over."""
    return ["a/b", "a:b", "%2e%2e", "..", "x\x00y", "' OR 1=1 --", '"', "🙂", "\u202eabc", "x" * 4096]
