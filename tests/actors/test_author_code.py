"""Author code is called so that the loop is whole afterwards, whenever the watchdog strikes."""

from __future__ import annotations

import pytest
import trio

from wfactors.actors.author_code import AuthorCode
from wfactors.actors.watchdog import TurnInterrupted, Watchdog


class LateWatchdog(Watchdog):
    """Strikes where the engine, not the author, is running: as ``end`` is called."""

    def __init__(self, strikes: int) -> None:
        super().__init__(10, 10)
        self.strikes = strikes

    def end(self) -> str | None:
        if self.strikes:
            self.strikes -= 1
            raise TurnInterrupted
        return super().end()


async def test_a_value_comes_back() -> None:
    """And Trio's context is what it was."""
    task = trio.lowlevel.current_task()
    assert 5 == AuthorCode(Watchdog(10, 10)).call("w", lambda: 5)
    assert trio.lowlevel.current_task() is task


@pytest.mark.parametrize("strikes", [1, 3])
async def test_a_late_strike_leaves_the_loop_whole(strikes) -> None:
    """The turn counts as interrupted, and Trio works."""
    task = trio.lowlevel.current_task()
    with pytest.raises(TurnInterrupted):
        AuthorCode(LateWatchdog(strikes)).call("w", lambda: 5)
    assert trio.lowlevel.current_task() is task
    await trio.lowlevel.checkpoint()


async def test_what_the_author_raises_comes_through() -> None:
    """Also a KeyboardInterrupt, which is the author's own there."""
    for kind in (ValueError, KeyboardInterrupt, SystemExit):

        def fail(kind: type[BaseException] = kind) -> None:
            raise kind

        with pytest.raises(kind):
            AuthorCode(Watchdog(10, 10)).call("w", fail)
    await trio.lowlevel.checkpoint()
