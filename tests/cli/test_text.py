"""What is written for people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfactors.cli.text import (
    ago,
    clock,
    duration,
    iso,
    middle_cut,
    parsed_duration,
    plural,
    safe,
    shortened,
    size,
    unescaped,
)


@given(st.text())
def test_safe_text_can_be_read_back(text: str) -> None:
    """Nothing a terminal would obey is left, and nothing is lost."""
    shown = safe(text)
    assert text == unescaped(shown)
    assert all(character.isprintable() or character == "\u200d" for character in shown)


def test_pictures_made_of_several_stay_whole() -> None:
    """A zero-width joiner between two pictures is harmless; elsewhere it hides."""
    assert "👩\u200d🚀" == safe("👩\u200d🚀")
    assert "a\\u200db" == safe("a\u200db")


@pytest.mark.parametrize("text", ["\\U99999999", "\\x4", "\\q", "\\"])
def test_what_is_no_escape_stays_as_it_is(text: str) -> None:
    """A backslash may be a backslash; and no character has such a number."""
    assert text == unescaped(text)


@pytest.mark.parametrize(("length", "cut"), [(9, "parent.17"), (8, "pare….17"), (4, "pa…7"), (1, "…"), (0, "…")])
def test_the_middle_gives_way(length: int, cut: str) -> None:
    """The end tells children of one parent apart."""
    assert cut == middle_cut("parent.17", length)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("200ms", 0.2), ("1h30m", 5400), ("2d", 172_800), ("0", 0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Seconds, or numbers with units."""
    assert seconds == parsed_duration(text)


@pytest.mark.parametrize("text", ["", "soon", "5 m", "-1", "inf", "nan", "1x", "m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With what would be one."""
    with pytest.raises(ValueError, match="is no duration"):
        parsed_duration(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0034, "3 ms"),
        (4.24, "4.2 s"),
        (119, "119.0 s"),
        (200, "3m 20s"),
        (7260, "2h 1m"),
        (190_000, "2d 4h"),
        (-2, "-2.0 s"),
    ],
)
def test_durations_are_written(seconds: float, words: str) -> None:
    """Two numbers at most."""
    assert words == duration(seconds)


def test_sizes_counts_and_ends() -> None:
    """For people."""
    assert ["17 B", "4.2 KiB", "3.0 GiB", "2.0 TiB"] == [size(n) for n in (17, 4300, 3 * 2**30, 2 * 2**40)]
    assert ["1 file", "2,000 files", "2 activities"] == [
        plural(1, "file"),
        plural(2000, "file"),
        plural(2, "activity", "activities"),
    ]
    assert ["abc", "ab…"] == [shortened("abc", 3), shortened("abcd", 3)]


def test_times() -> None:
    """ISO in UTC for machines; relative, and with the date where it is another day, for people."""
    at = datetime(2024, 5, 6, 7, 8, 9, 123_456, UTC)
    assert ("2024-05-06T07:08:09.123Z", None) == (iso(at), iso(None))
    assert iso(at) == iso(at.timestamp())
    assert "in 1.0 s" == ago(datetime(2024, 5, 6, 7, 8, 10, 123_456, UTC), at)
    assert f"{at.astimezone():%H:%M:%S}" == clock(at, at)
    assert f"{at.astimezone():%Y-%m-%d %H:%M:%S}" == clock(at)
