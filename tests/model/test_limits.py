"""Limits refuse what makes no sense."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wfactors.model.limits import Limits


def test_defaults_are_accepted() -> None:
    """The documented defaults hold."""
    limits = Limits()
    assert (limits.activities, limits.threads, limits.resident_instances) == (1_000, 40, 10_000)
    assert (limits.history_events_warning, limits.history_events_max) == (10_000, 50_000)
    assert (limits.payload_bytes, limits.turn_warning_seconds, limits.turn_seconds_max) == (2 * 2**20, 2.0, None)


def test_an_engine_may_run_no_activities() -> None:
    """A node for workflows alone is a sensible thing."""
    assert Limits(activities=0).activities == 0


def test_an_activity_may_have_a_limit_of_its_own() -> None:
    """Each by its name."""
    assert Limits(concurrency={"charge": 1, "mail": 20}).concurrency == {"charge": 1, "mail": 20}


def test_a_watchdog_may_be_switched_off() -> None:
    """Infinite seconds mean never."""
    assert Limits(turn_warning_seconds=math.inf, turn_seconds_max=math.inf).turn_seconds_max == math.inf


@pytest.mark.parametrize(("lease", "limit"), [(1, 2), (10, 5), (600, 30), (math.inf, 30)])
def test_a_turn_is_interrupted_well_before_the_lease_ends(lease: float, limit: float) -> None:
    """After half of it, but not so early that a slow machine would be to blame."""
    assert Limits().turn_limit(lease) == limit


@pytest.mark.parametrize(("seconds", "lease"), [(0.5, 1), (5, 10), (300, 600), (300, math.inf), (math.inf, 10)])
def test_a_turn_may_be_given_half_the_lease_or_any_time(seconds: float, lease: float) -> None:
    """What was chosen is kept."""
    assert Limits(turn_warning_seconds=0.1, turn_seconds_max=seconds).turn_limit(lease) == seconds


def test_a_turn_longer_than_half_the_lease_is_refused() -> None:
    """The message says what to give instead."""
    with pytest.raises(ValueError, match=r"turn_seconds_max=30\).*lease of 10 s.*lease of 60 s or more.*5 s or less"):
        Limits(turn_seconds_max=30).turn_limit(10)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"activities": -1},
        {"threads": 0},
        {"concurrency": {"charge": 0}},
        {"concurrency": {"charge": 1.5}},
        {"concurrency": {"charge": True}},
        {"resident_instances": 0},
        {"resident_history_bytes": 0},
        {"history_events_warning": 0},
        {"history_events_warning": 11, "history_events_max": 10},
        {"payload_bytes": 0},
        {"turn_warning_seconds": 0},
        {"turn_warning_seconds": math.nan},
        {"turn_warning_seconds": 3, "turn_seconds_max": 2},
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    """A number that makes no sense is an error, naming its limit."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        Limits(**nonsense)


@pytest.mark.parametrize(
    "wrong", [{"activities": "5"}, {"activities": True}, {"turn_seconds_max": "30"}, {"concurrency": 5}]
)
def test_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    """A wrong type is a TypeError, naming the limit."""
    with pytest.raises(TypeError, match=next(iter(wrong))):
        Limits(**wrong)
