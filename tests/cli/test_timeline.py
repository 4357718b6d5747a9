"""Histories as spans of time, and the words of their events."""

from __future__ import annotations

from wfactors.cli.output import fitted
from wfactors.cli.timeline import event_in_words, spans_of
from wfactors.model import events as E  # noqa: N812  As in the module.
from wfactors.model.failures import Failure
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import NULL, Payload
from wfactors.model.records import TaskKey, TaskRow

FAILURE = Failure("builtins.ValueError", "no \x1b way")


def history(*events: E.Event) -> list[E.Event]:
    start = E.RunStarted(10.0, "w", "id", "key", 1, "default", NULL)
    return [start, *events]


def told(*events: E.Event) -> list[tuple[str, str, float, float | None, str]]:
    return [(it.kind, it.name, it.begin, it.end, it.outcome) for it in spans_of(history(*events))]


def test_activities_end_in_three_ways_or_not_at_all() -> None:
    """The beginning is the time of the fact before the decision."""
    scheduled = [E.ActivityScheduled(call, f"a{call}", "default", NULL) for call in range(4)]
    assert [
        ("activity", "a0", 10.0, 11.0, "done"),
        ("activity", "a1", 10.0, 12.0, "failed"),
        ("activity", "a2", 10.0, 13.0, "cancelled"),
        ("activity", "a3", 10.0, None, "open"),
    ] == told(
        *scheduled,
        E.ActivityCompleted(11.0, 0, NULL),
        E.ActivityFailed(12.0, 1, FAILURE, 3, "heartbeat"),
        E.ActivityCancelAsked(2),
        E.ActivityCancelled(13.0, 2),
    )


def test_the_failure_says_which_attempt_and_deadline() -> None:
    """In one line."""
    events = history(E.ActivityScheduled(0, "a", "default", NULL), E.ActivityFailed(12.0, 0, FAILURE, 3, "heartbeat"))
    assert "attempt 3: heartbeat deadline passed; ValueError: no \x1b way" == spans_of(events)[0].detail


def test_a_fired_timer_ends_all_that_were_due() -> None:
    """One fact for several timers; one set anew begins a new span."""
    assert [
        ("timer", "1.0 s", 10.0, 12.5, "done"),
        ("timer", "2.0 s", 10.0, 12.5, "done"),
        ("timer", "30.0 s", 10.0, 12.5, "cancelled"),
        ("timer", "40.0 s", 12.5, 14.0, "cancelled"),
        ("timer", "2m 30s", 14.0, None, "open"),
    ] == told(
        E.TimerSet(0, 11.0),
        E.TimerSet(1, 12.0),
        E.TimerSet(2, 40.0),
        E.TimerFired(12.5, 0),
        E.TimerCancelled(2),
        E.TimerSet(3, 52.5),
        E.SignalReceived(14.0, "s", NULL, "m"),
        E.TimerSet(3, 164.0),
    )[:4] + told(
        E.TimerSet(0, 11.0),
        E.SignalReceived(14.0, "s", NULL, "m"),
        E.TimerSet(3, 164.0),
    )[2:]


def test_children_requests_updates_and_points() -> None:
    """Each has its kind."""
    assert [
        ("child", "c", 10.0, 13.0, "failed"),
        ("send", "signal go", 10.0, 12.0, "done"),
        ("send", "cancel", 10.0, 12.5, "failed"),
        ("side effect", "roll", 10.0, 10.0, "point"),
        ("patch", "p", 10.0, 10.0, "point"),
        ("attributes", '{"a":1}', 10.0, 10.0, "point"),
        ("update", "u", 11.0, 11.0, "done"),
        ("signal", "s", 14.0, 14.0, "point"),
        ("cancel", "asked to stop", 15.0, 15.0, "point"),
    ] == told(
        E.ChildScheduled(0, "c", "default", NULL),
        E.SignalSent(1, "other", "go", NULL),
        E.CancelSent(2, "other"),
        E.SideEffectRecorded(3, "roll", Payload(b"4")),
        E.PatchApplied("p"),
        E.AttributesSet(Payload(b'{"a":1}')),
        E.UpdateReceived(11.0, "k", "u", NULL),
        E.UpdateCompleted("k"),
        E.RequestCompleted(12.0, 1),
        E.RequestFailed(12.5, 2, "not_found"),
        E.ChildFailed(13.0, 0, FAILURE),
        E.SignalReceived(14.0, "s", NULL, "m"),
        E.CancelRequested(15.0, "why"),
    )


def test_ids_stand_as_they_are() -> None:
    """Whoever shows them makes them safe: twice would name another id."""
    events = (
        E.ChildScheduled(0, "c", "default", NULL, "a\\b\n"),
        E.SignalSent(1, "\\", "go", NULL),
        E.CancelSent(2, "\\"),
    )
    assert ["a\\b\n", "to \\", "to \\"] == [span.detail for span in spans_of(history(*events))]


def test_a_pending_activity_tells_of_its_attempts() -> None:
    """The task knows what the history does not."""
    task = TaskRow(
        TaskKey("key", 1, 0),
        "0:default",
        "default",
        "a",
        NULL,
        ActivityOptions(),
        "id",
        "w",
        10.0,
        attempt=2,
        node="n",
        failure=FAILURE,
        is_cancel_requested=True,
    )
    (span,) = spans_of(history(E.ActivityScheduled(0, "a", "default", NULL)), [task])
    assert "attempt 2, runs on n, asked to stop, the last one failed: ValueError: no \x1b way" == span.detail


def test_an_event_in_words() -> None:
    """Its fields, safe and short."""
    assert "call=1 failure=ValueError: no \\x1b way attempt=2" == event_in_words(E.ActivityFailed(1.0, 1, FAILURE, 2))
    long = E.SignalReceived(1.0, "s\n", Payload(b'"' + b"x" * 100 + b'"'), "m")
    assert 'name=s\\x0a payload="' + "x" * 58 + "… message=m" == event_in_words(long)


def test_the_first_event_in_words() -> None:
    """Its parent by id, what it carries shortened; what is empty is left out."""
    parent = E.Parent("0:default", "parent-key", 1, 4, "the\tparent")
    carried = (E.CarriedSignal("go", NULL, "m"),)
    start = E.RunStarted(10.0, "w", "id", "key", 2, "default", NULL, parent=parent, signals=carried)
    words = event_in_words(start)
    assert words.startswith("workflow=w id=id instance=key run=2 queue=default input=null parent=the\\x09parent")
    assert "signals=(CarriedSignal(name='go'" in words
    assert "context" not in words


def test_what_has_no_beginning_is_left_out() -> None:
    """A damaged history is shown as far as it goes."""
    task = TaskRow(TaskKey("key", 1, 9), "0:default", "default", "a", NULL, ActivityOptions(), "id", "w", 10.0)
    events = history(
        E.ActivityCompleted(11.0, 1, NULL),
        E.ActivityCancelAsked(2),
        E.TimerCancelled(3),
        E.UpdateCompleted("k"),
        E.RunTerminated(12.0, "enough"),
    )
    assert [] == spans_of(events, [task])


def test_an_update_that_fails() -> None:
    """With its failure."""
    events = history(E.UpdateReceived(11.0, "k", "u", NULL), E.UpdateCompleted("k", failure=FAILURE))
    (span,) = spans_of(events)
    assert ("failed", "ValueError: no \x1b way") == (span.outcome, span.detail)


def test_columns_give_way_the_widest_first() -> None:
    """Rigid ones stay, nothing gets narrower than it can be read."""
    assert [10, 20, 20] == fitted([10, 40, 30], [False, True, True], 50)
    assert [10, 4, 4] == fitted([10, 40, 30], [False, True, True], 5)
    assert [1, 2] == fitted([1, 2], [True, True], 9)
