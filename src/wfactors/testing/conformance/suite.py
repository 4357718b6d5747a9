"""What the groups of the suite have in common: the clock and the opened store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wfactors.testing.conformance.builders import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wfactors.stores.base import Store

__all__ = ["Suite"]


class Suite:
    """Fixtures of every group. A subclass says what ``store`` is."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock of the store under test."""
        return ManualClock()

    @pytest.fixture
    def store(self) -> Any:
        """The store under test, empty and not opened yet, whose clock is ``clock``."""
        raise AssertionError(f"{type(self).__name__} must override the fixture `store`")

    @pytest.fixture
    async def opened(self, store: Store) -> AsyncIterator[Store]:
        """The store under test, opened."""
        async with store.open():
            yield store
