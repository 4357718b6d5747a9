"""The spans of one run, as they are read off its events."""

from __future__ import annotations

from typing import Any

from wfactors.actors.tracing import RunTrace
from wfactors.model.events import SignalReceived, TimerCancelled, TimerSet
from wfactors.model.payloads import NULL
from wfactors.testing.conformance import builders

_DAY = 86_400.0


def test_timers_that_were_cancelled_are_forgotten() -> None:
    """A deadline of a day around each step of a long run: what is kept does not grow, and the rest still fires."""
    reporter: Any = None
    trace = RunTrace(builders.header(), reporter)
    trace.note([TimerSet(0, _DAY), TimerSet(1, _DAY + 1)], None)
    for timer in range(2, 2000):
        trace.note([TimerSet(timer, 2 * _DAY), TimerCancelled(timer)], None)
    assert len(trace._due) < 200
    trace.note([SignalReceived(_DAY + 1, "late", "m1", NULL)], None)
    assert ["timer", "timer", "signal late"] == [record.name for record in trace.records]
    assert [0, 1] == [record.attributes["wfactors.timer"] for record in trace.records[:2]]
