"""Which trace a run belongs to, and what its spans are called."""

from __future__ import annotations

import pytest

from wfactors.model.spans import Lineage, run_path, span_id

TRACE, SPAN = "ab" * 16, "cd" * 8


def test_the_trace_of_the_sender() -> None:
    """With its span, its flags and its state; a later version of the header may say more."""
    expected = Lineage(int(TRACE, 16), int(SPAN, 16), 1, "vendor=1")
    assert expected == Lineage.of("any", {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"})
    assert Lineage(int(TRACE, 16), int(SPAN, 16), 3) == Lineage.sent({"traceparent": f"01-{TRACE}-{SPAN}-03-more"})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-1-2-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_is_no_traceparent(header: str) -> None:
    """It counts for nothing."""
    assert None is Lineage.sent({"traceparent": header})


def test_the_trace_of_a_root_is_its_key() -> None:
    """And that of everything below it."""
    key = "0123456789abcdef" * 2
    assert {int(key, 16)} == {Lineage.of(each, {}).trace_id for each in (key, f"{key}.0", f"{key}.0.2-1", f"{key}~ff")}


@pytest.mark.parametrize("key", ["i1", "0" * 32])
def test_a_key_that_is_no_id_of_a_trace(key: str) -> None:
    """It gets one all the same, which is not zero."""
    assert 0 < Lineage.of(key, {}).trace_id < 2**128


def test_ids_of_spans_differ() -> None:
    """They are 64 bits of a hash, and stay what they are for ever."""
    paths = [run_path("i1", 1), run_path("i1", 2), run_path("i1", 1) + "/0", run_path("i1", 1) + "/0/1"]
    assert 4 == len({span_id(path) for path in paths})
    assert 0xDADE5217C853E5DB == span_id("i1/1")
