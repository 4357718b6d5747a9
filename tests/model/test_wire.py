"""What is stored can be read, and what cannot be read is told with its place."""

from __future__ import annotations

from typing import Any

import pytest

from wfactors.errors import StoreCorrupt
from wfactors.model.events import ActivityScheduled, RunCompleted, SignalReceived
from wfactors.model.messages import Cancel, Sender, Signal
from wfactors.model.options import Retry
from wfactors.model.payloads import NULL, Payload
from wfactors.model.records import NodeRow
from wfactors.model.wire import (
    decode_body,
    decode_events,
    decode_events_in_parts,
    decode_value,
    encode_body,
    encode_event,
    encode_events,
    encode_run_of_events,
    encode_value,
    join_events,
)

EVENTS = [
    SignalReceived(1.5, "go", Payload(b'{"x":1}'), "message-1"),
    ActivityScheduled(0, "step", "home", Payload(b"[1]")),
    RunCompleted(NULL),
]


# --- Events ----------------------------------------------------------------------------------------------------------


def test_events_are_read_as_they_were_written() -> None:
    """Payloads included, byte by byte."""
    assert decode_events(encode_events(EVENTS)) == EVENTS


def test_a_row_joined_of_parts_is_the_row_written_at_once() -> None:
    """However the events were divided."""
    whole = encode_events(EVENTS)
    assert join_events([encode_event(event) for event in EVENTS]) == whole
    assert join_events([encode_run_of_events(EVENTS[:2]), encode_run_of_events(EVENTS[2:])]) == whole


def test_a_long_row_is_read_in_parts() -> None:
    """Some hundred events at a time, none twice and none left out."""
    events = EVENTS * 200
    parts = list(decode_events_in_parts(encode_events(events)))
    assert [256, 256, 88] == [len(part) for part in parts]
    assert events == [event for part in parts for event in part]


def test_a_row_as_it_stands_in_a_store() -> None:
    """Every release reads this one."""
    row = b'{"v":1,"events":[["RunCompleted",{"result":[1, 2]}]]}'
    assert decode_events(row) == [RunCompleted(Payload(b"[1, 2]"))]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b'{"v":2,"events":[]}', "events of version 2, this release reads up to 1"),
        (b'{"v":1,"events":[["Unheard",{}]]}', "no event is called 'Unheard'"),
        (b'{"v":1,"events":[["RunCompleted",5]]}', "Expected `object`"),
        (b'{"v":1,"events":[["RunCompleted"', "truncated"),
        (b'{"v":1,"events":[["\xff",{}]]}', "utf-8"),
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
    ],
)
def test_a_row_that_cannot_be_read(row: bytes, words: str) -> None:
    """It is told where it is and what is wrong with it."""
    with pytest.raises(StoreCorrupt, match=f"^row 7 of x: .*{words}"):
        decode_events(row, "row 7 of x")
    with pytest.raises(StoreCorrupt, match=f"^row 7 of x: .*{words}"):
        list(decode_events_in_parts(row, "row 7 of x"))


# --- Messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [Cancel("why"), Signal("go", NULL, Sender("0:home", "key", 1, 4))])
def test_messages_are_read_as_they_were_written(body: Any) -> None:
    """With the name of their class."""
    assert decode_body(encode_body(body)) == body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'["Unheard",{}]', "no message is called 'Unheard'"),
        (b'["Signal",{}]', "missing required field"),
        (b"5", "Expected `array`"),
        (b'["Cancel",{"reason":"\xff"}]', "utf-8"),
    ],
)
def test_a_message_that_cannot_be_read(data: bytes, words: str) -> None:
    """It is told where it is and what is wrong with it."""
    with pytest.raises(StoreCorrupt, match=f"^message m: .*{words}"):
        decode_body(data, "message m")


# --- Values ----------------------------------------------------------------------------------------------------------


def test_values_are_read_as_they_were_written() -> None:
    """As bytes or as text, whatever the store gives."""
    retry = Retry(attempts=None, never=("a.E",))
    data = encode_value(retry)
    assert [decode_value(form, Retry) for form in (data, data.decode())] == [retry, retry]


def test_a_value_that_cannot_be_read() -> None:
    """It is told where it is and what is wrong with it."""
    with pytest.raises(StoreCorrupt, match=r"^options of task t: .*Expected"):
        decode_value(b'{"attempts":"many"}', Retry, "options of task t")


def test_names_of_a_node_are_kept_in_a_tuple() -> None:
    """Any iterable will do to make a row of it; the row never changes."""
    row = NodeRow(node="n", queues=["a", "b"], lease_until=2.0, joined_at=1.0, workflows={"order": 1})
    assert (row.queues, row.workflows, row.activities) == (("a", "b"), ("order",), ())
