"""Author code is called so that the loop is whole afterwards, whenever the watchdog strikes."""

from __future__ import annotations

import sys
import time
from random import Random

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


async def test_a_strike_before_the_author_is_called_leaves_the_loop_whole() -> None:
    """The turn counts as interrupted, and nobody watches it any longer."""

    class EarlyWatchdog(Watchdog):
        def begin(self, subject: str) -> None:
            super().begin(subject)
            raise TurnInterrupted

    task = trio.lowlevel.current_task()
    watchdog = EarlyWatchdog(10, 10)
    with pytest.raises(TurnInterrupted):
        AuthorCode(watchdog).call("w", lambda: 5)
    assert watchdog._subject is None
    assert trio.lowlevel.current_task() is task


async def test_what_the_author_raises_comes_through() -> None:
    """Also a KeyboardInterrupt, which is the author's own there."""
    for kind in (ValueError, KeyboardInterrupt, SystemExit):

        def fail(kind: type[BaseException] = kind) -> None:
            raise kind

        with pytest.raises(kind):
            AuthorCode(Watchdog(10, 10)).call("w", fail)
    await trio.lowlevel.checkpoint()


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("is_traced", [False, True], ids=["plain", "traced"])
async def test_interrupts_that_race_with_the_end_of_a_turn(monkeypatch: pytest.MonkeyPatch, is_traced) -> None:
    """Whenever they strike, nothing hangs, and nothing is struck once the turn has ended."""
    monkeypatch.setattr("wfactors.actors.watchdog._LOOK_SECONDS", 0.0004)
    watchdog = Watchdog(warning_seconds=60, seconds_max=0.0004)
    author_code = AuthorCode(watchdog)
    lengths = Random(1)
    task = trio.lowlevel.current_task()
    switch, trace = sys.getswitchinterval(), sys.gettrace()
    sys.setswitchinterval(0.00005)
    if is_traced:
        sys.settrace(lambda frame, event, argument: None)
    interrupted = 0
    try:
        with watchdog.watching():
            for _ in range(400):
                seconds = 0.002 * lengths.random()
                try:
                    author_code.call("w", lambda seconds=seconds: spin(seconds))
                except TurnInterrupted:
                    interrupted += 1
                assert trio.lowlevel.current_task() is task
                spin(0.0005)
    finally:
        sys.settrace(trace)
        sys.setswitchinterval(switch)
    assert interrupted > 20
