"""Options of activities: durations, retries, and what makes no sense."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from wfactors.model.options import ActivityOptions, Retry, seconds
from wfactors.model.wire import decode_value, encode_value


class Refused(Exception):
    pass


# --- Durations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number"),
    [(None, None), (5, 5.0), (0.5, 0.5), (timedelta(minutes=1), 60.0), (math.inf, None)],
)
def test_a_duration_in_seconds(value: Any, number: float | None) -> None:
    """No limit is None, however it was said."""
    assert seconds(value, "heartbeat") == number


@pytest.mark.parametrize("value", [0, -1, timedelta(0), math.nan])
def test_a_duration_that_is_not_positive(value: Any) -> None:
    """No attempt could ever be in time."""
    with pytest.raises(ValueError, match="heartbeat must be positive"):
        seconds(value, "heartbeat")


@pytest.mark.parametrize("value", ["5", True, [5]])
def test_a_duration_of_another_type(value: Any) -> None:
    """A wrong type is a TypeError, naming the option."""
    with pytest.raises(TypeError, match="heartbeat must be seconds or a timedelta"):
        seconds(value, "heartbeat")


# --- Retries ---------------------------------------------------------------------------------------------------------


def test_each_wait_is_longer_up_to_the_maximum() -> None:
    """Attempt n + 1 comes ``first * backoff ** (n - 1)`` seconds after attempt n."""
    retry = Retry(first=timedelta(seconds=2), backoff=3, maximum=timedelta(seconds=30))
    assert [retry.delay_seconds(attempt) for attempt in range(1, 6)] == [2, 6, 18, 30, 30]


def test_the_wait_after_very_many_attempts() -> None:
    """A number above all that a float can hold is above the maximum too."""
    assert Retry(attempts=None).delay_seconds(10_000) == 100.0


def test_jitter_takes_off_a_share_of_the_wait() -> None:
    """Never more than the share, and nothing without it."""
    retry = Retry(first=8, jitter=0.5)
    assert [retry.delay_seconds(1, draw) for draw in (0.0, 0.5, 1.0)] == [8, 6, 4]
    assert Retry(first=8).delay_seconds(1, 0.9) == 8


def test_the_last_attempt() -> None:
    """None is no limit."""
    assert [Retry(attempts=2).is_exhausted(attempt) for attempt in (1, 2, 3)] == [False, True, True]
    assert not Retry(attempts=None).is_exhausted(10**9)


@pytest.mark.parametrize("never", [Refused, [Refused], (f"{__name__}.Refused",)])
def test_what_is_not_retried(never: Any) -> None:
    """One type or several, or their names; kept as names, which is what a stored failure has."""
    assert Retry(never=never).never == (f"{__name__}.Refused",)


def test_a_built_in_exception_by_its_bare_name() -> None:
    """What people write; no other name is known without its module, and such a one would never match."""
    assert Retry(never="ValueError").never == ("builtins.ValueError",)
    for name in ("Refused", "print", ""):
        with pytest.raises(ValueError, match=r"Retry\(never=...\).*the type itself"):
            Retry(never=name)


@pytest.mark.parametrize(
    ("nonsense", "words"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"first": -1}, "first"),
        ({"first": math.inf}, "first"),
        ({"maximum": math.nan}, "maximum"),
        ({"backoff": 0.5}, "backoff"),
        ({"backoff": math.inf}, "backoff"),
        ({"jitter": 1.5}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
    ],
)
def test_numbers_that_make_no_sense(nonsense: dict[str, Any], words: str) -> None:
    """A ValueError names the argument."""
    with pytest.raises(ValueError, match=rf"Retry\({words}=...\)"):
        Retry(**nonsense)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"attempts": 1.5}, "attempts"),
        ({"attempts": "3"}, "attempts"),
        ({"first": "1"}, "first"),
        ({"maximum": False}, "maximum"),
        ({"backoff": "2"}, "backoff"),
        ({"jitter": "x"}, "jitter"),
        ({"jitter": True}, "jitter"),
        ({"never": 5}, "never"),
        ({"never": [int]}, "never"),
    ],
)
def test_arguments_of_another_type(wrong: dict[str, Any], words: str) -> None:
    """A TypeError names the argument."""
    with pytest.raises(TypeError, match=rf"Retry\({words}=...\)"):
        Retry(**wrong)


def test_options_are_stored_with_the_task() -> None:
    """Another process runs the activity just as it was asked for."""
    options = ActivityOptions(retry=Retry(attempts=None, never=(Refused,)), heartbeat=5.0)
    assert decode_value(encode_value(options), ActivityOptions) == options
