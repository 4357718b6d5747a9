"""The canonical dump, and the decisions that stores share."""

from __future__ import annotations

import json

import pytest

from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.messages import Message, Signal
from wfactors.model.payloads import NULL, Payload
from wfactors.model.records import InboxItem, InstanceFilter, PartitionRow, Reply
from wfactors.model.status import Status
from wfactors.stores.dump import TABLES, canonical, plain
from wfactors.stores.rules import attributes_match, header_matches
from wfactors.testing.conformance.builders import NOW, append, closed, header, node, payload, signal, task

NOTHING = dict.fromkeys(TABLES, ())


def dump(**tables: object) -> dict[str, list[dict[str, object]]]:
    return canonical(**{**NOTHING, **tables}, now=NOW)


def test_tables_are_in_order():
    """A dump has every table, in one order, empty or not."""
    assert tuple(dump()) == TABLES
    assert dump(headers=[header()])["events"] == []


def test_rows_are_sorted():
    """The order in which records are given makes no difference."""
    tables = {
        "headers": [header("b"), header("a", run=10), header("a", run=9)],
        "events": [append("b"), append("a", first=10), append("a", first=9)],
        "tasks": [task("b"), task("a", 10), task("a", 9)],
        "inbox": [InboxItem(7, signal("m7")), InboxItem(3, signal("m3")), InboxItem(1, signal("m1", partition="0:a"))],
        "replies": [Reply("r2", "i1", b"", NOW + 1), Reply("r1", "i1", b"", NOW + 1)],
        "nodes": [node("b"), node("a")],
        "partitions": [PartitionRow("1:a", None, 0, 0), PartitionRow("0:a", None, 0, 0)],
    }
    assert dump(**tables) == dump(**{name: rows[::-1] for name, rows in tables.items()})
    assert [(row["partition"], row["rank"], row["id"]) for row in dump(**tables)["inbox"]] == [
        ("0:a", 0, "m1"),
        ("0:shop", 0, "m3"),
        ("0:shop", 1, "m7"),
    ]


def test_rows_are_plain():
    """A dump is JSON: a person or another program can read all of it."""
    row = closed(
        header(parent=Parent("0:a", "p", 1, 2, "the parent"), attributes=payload('{"a":"ä"}')),
        Status.FAILED,
        failure=Failure("E", "no", cause=Failure("F", "x"), details=payload("[1]")),
    )
    tables = dump(headers=[row], tasks=[task(node="n", details=payload())], nodes=[node()], events=[append()])
    assert json.loads(json.dumps(tables)) == tables
    found = tables["headers"][0]
    assert (found["status"], found["attributes"]) == ("failed", '{"a":"ä"}')
    assert found["parent"] == {"partition": "0:a", "instance": "p", "run": 1, "call": 2, "id": "the parent"}
    assert tables["tasks"][0]["key"] == {"instance": "i1", "run": 1, "call": 0}


def test_what_may_differ_is_left_out():
    """Positions, leases and expired replies are no part of what a store holds."""
    one = dump(inbox=[InboxItem(1, signal())], nodes=[node(lease_until=1.0, is_alive=False, liveness="a")], replies=[])
    other = dump(
        inbox=[InboxItem(9, signal())],
        nodes=[node(lease_until=2.0, is_alive=True, liveness="b")],
        replies=[Reply("r", "i1", b"x", NOW)],
    )
    assert one == other


def test_contents_make_a_difference():
    """What is not left out makes dumps differ."""
    assert dump(headers=[header()]) != dump(headers=[header(wake_at=1.0)])
    assert dump(inbox=[InboxItem(1, signal(text="1"))]) != dump(inbox=[InboxItem(1, signal(text="2"))])
    assert dump(replies=[Reply("r", "i1", b"\xff", NOW + 1)]) != dump(replies=[Reply("r", "i1", b"\xfe", NOW + 1)])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (Status.OPEN, "open"),
        (NULL, "null"),
        ("ä".encode(), "ä"),
        (b"\xff\x00", "hex:ff00"),
        ({"a": (1, Payload(b"[]"))}, {"a": [1, "[]"]}),
        (
            Message("m", "0:a", "i", Signal("s", NULL)),
            {
                "id": "m",
                "partition": "0:a",
                "instance": "i",
                "body": {"name": "s", "payload": "null", "sender": None, "context": {}},
            },
        ),
    ],
)
def test_plain(value: object, expected: object):
    """Values of the model become text, numbers, dicts and lists; bytes that are no text stay exact."""
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


@pytest.mark.parametrize(
    ("attributes", "wanted", "expected"),
    [
        (None, {}, True),
        (None, {"a": None}, False),
        ("not json", {"a": 1}, False),
        ("[" * 100_000, {"a": 1}, False),
        ("[1]", {"a": 1}, False),
        ("[1]", {}, True),
        ('{"a":{"b":[1,true]}}', {"a": {"b": [1, True]}}, True),
        ('{"a":{"b":[1,true]}}', {"a": {"b": (1, 1)}}, False),
        ('{"a":{"b":1}}', {"a": {"b": 1, "c": 2}}, False),
        ('{"a":0}', {"a": False}, False),
        ('{"a":false}', {"a": False}, True),
        ('{"a":NaN}', {"a": float("nan")}, False),
        ('{"a":"1"}', {"a": 1}, False),
        ('{"a":10000000000000001}', {"a": 10000000000000001}, True),
    ],
)
def test_attributes_match(attributes: str | None, wanted: dict[str, object], expected: bool):
    """Attributes are compared as JSON values; what cannot be read matches nothing."""
    data = None if attributes is None else payload(attributes)
    assert attributes_match(data, wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (InstanceFilter(started_after=NOW), True),
        (InstanceFilter(started_after=NOW + 0.001), False),
        (InstanceFilter(started_before=NOW), False),
        (InstanceFilter(started_before=NOW + 0.001), True),
        (InstanceFilter(closed_before=NOW + 1), False),
        (InstanceFilter(closed_before=NOW + 1.001), True),
    ],
)
def test_edges_of_times(wanted: InstanceFilter, expected: bool):
    """A filter's times include the earlier edge and leave out the later one, for stores without an index too."""
    assert header_matches(closed(header(created_at=NOW), at=NOW + 1), wanted) is expected
