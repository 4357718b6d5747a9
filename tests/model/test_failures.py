"""Failures as data."""

from __future__ import annotations

import msgspec
import pytest

from wfactors.model.failures import Failure
from wfactors.model.payloads import NULL, Payload


@pytest.mark.parametrize(
    ("failure", "summary"),
    [
        (Failure("shop.CardDeclined", "no funds"), "CardDeclined: no funds"),
        (Failure("shop.Outer.Inner", ""), "Inner"),
        (Failure("a.E", "two\n  lines"), "E: two lines"),
        (Failure("a.E", "x" * 1_000), f"E: {'x' * 300}..."),
        (
            Failure("shop.CardDeclined", "no funds", cause=Failure("builtins.KeyError", "'x'")),
            "CardDeclined: no funds (caused by KeyError: 'x')",
        ),
        (
            Failure("builtins.ExceptionGroup", "two", group=(Failure("a.A", "1"), Failure("a.B", "2"))),
            "ExceptionGroup: two [A: 1; B: 2]",
        ),
        (
            Failure("builtins.ExceptionGroup", "many", group=(Failure("a.A", ""),) * 5),
            "ExceptionGroup: many [A; A; A; and 2 more]",
        ),
    ],
)
def test_summary(failure, summary):
    """One line for people."""
    assert summary == failure.summary()


def test_summary_of_a_long_chain():
    """Only the first causes are told."""
    failure = Failure("a.E", "0")
    for number in range(1, 10):
        failure = Failure("a.E", str(number), cause=failure)

    assert failure.summary() == "E: 9 (caused by E: 8) (caused by E: 7) (caused by E: 6)"


def test_wire_form():
    """It goes through msgspec with all that it holds."""
    failure = Failure("a.E", "m", "t", Failure("a.C", "c"), True, "group", Payload(b'{"x":1}'), (Failure("a.M", "m"),))

    assert failure == msgspec.json.decode(msgspec.json.encode(failure), type=Failure)


def test_written_by_an_older_release():
    """What is missing has its default, what is new is ignored."""
    assert Failure("a.E", "m", details=NULL) == msgspec.json.decode(
        b'{"type":"a.E","message":"m","new":1}', type=Failure
    )
