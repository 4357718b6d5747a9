"""A turn that does not come back is reported, then interrupted; nothing else ever is."""

from __future__ import annotations

import logging
import sys
import threading
import time

import pytest

from wfactors.actors.watchdog import TurnInterrupted, Watchdog


def spin(seconds: float) -> None:
    """Busy code, as in a workflow by mistake."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def run_turn(watchdog: Watchdog, function, *args) -> str | None:
    """One turn as the partition runs it: the stack if it was interrupted."""
    stack = None
    try:
        watchdog.begin("order-1")
        function(*args)
    except TurnInterrupted:
        stack = "caught"
    finally:
        stack = watchdog.end() or stack
    return stack


def test_a_short_turn_is_left_alone() -> None:
    """A turn below the limits ends as if nobody had watched."""
    watchdog = Watchdog(warning_seconds=5, seconds_max=10)
    with watchdog.watching():
        assert run_turn(watchdog, spin, 0.01) is None


def test_an_endless_loop_is_interrupted_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    """The busy function is ended, and its name stands in the stack and in the warning before."""
    watchdog = Watchdog(warning_seconds=0.1, seconds_max=1.0)
    with watchdog.watching(), caplog.at_level(logging.WARNING):
        stack = run_turn(watchdog, spin, 60)
    assert stack is not None
    assert "in spin" in stack
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "a turn of workflow order-1 has held the loop" in warning
    assert "in spin" in warning


def test_author_code_that_catches_everything_is_interrupted_all_the_same() -> None:
    """A loop with ``except BaseException`` is struck again until it ends."""
    watchdog = Watchdog(warning_seconds=0.1, seconds_max=0.2)
    caught = 0

    def stubborn() -> None:
        nonlocal caught
        while caught < 2:
            try:
                spin(60)
            except BaseException:  # noqa: BLE001
                caught += 1

    with watchdog.watching():
        assert run_turn(watchdog, stubborn) is not None
    assert 2 == caught


def test_turns_after_an_interrupted_one_are_not_struck() -> None:
    """Once the turn is over no interrupt is under way."""
    watchdog = Watchdog(warning_seconds=0.1, seconds_max=0.2)
    with watchdog.watching():
        assert run_turn(watchdog, spin, 60) is not None
        assert [None] * 100 == [run_turn(watchdog, spin, 0.001) for _ in range(100)]


def test_time_in_which_the_process_stood_still_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that was under way when the process was stopped for long is not to blame."""
    stopped = 0.0
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + stopped)
    watchdog = Watchdog(warning_seconds=0.1, seconds_max=5)

    def turn() -> None:
        nonlocal stopped
        time.sleep(0.6)
        stopped = 1_000.0
        time.sleep(0.6)

    with watchdog.watching():
        assert run_turn(watchdog, turn) is None


def test_work_counts_although_the_watchdog_could_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call into C that keeps the interpreter to itself holds the loop; one that sleeps lets the watchdog look."""
    monkeypatch.setattr("wfactors.actors.watchdog._LOOK_SECONDS", 0.01)
    watchdog = Watchdog(10, 10)
    watchdog._thread_id = threading.get_ident()
    watchdog._passed()
    time.sleep(0.2)
    assert watchdog._passed() <= 0.02
    began = time.thread_time()
    while time.thread_time() < began + 0.2:
        sum(range(1_000_000))
    assert watchdog._passed() > 0.15


def test_an_interrupt_leaves_traced_code_running() -> None:
    """Under a tracer (a debugger, coverage) the thread goes on behind an interrupted turn."""
    watchdog = Watchdog(warning_seconds=0.1, seconds_max=0.2)
    traced: list[str] = []
    before = sys.gettrace()

    def trace(frame, event, argument):
        traced.append(frame.f_code.co_name)

    with watchdog.watching():
        sys.settrace(trace)
        try:
            assert run_turn(watchdog, spin, 60) is not None
            spin(0.01)
        finally:
            sys.settrace(before)
    assert "spin" == [name for name in traced if name in {"run_turn", "spin"}][-1]
