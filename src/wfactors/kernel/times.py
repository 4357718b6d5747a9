"""Durations and points in time as an author may give them, turned into seconds."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["to_seconds", "to_timestamp"]


def to_seconds(duration: float | timedelta) -> float:
    """Return a duration in seconds."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    return duration


def to_timestamp(moment: float | datetime) -> float:
    """Return a point in time in seconds since the epoch.

    Raises:
        ValueError: A ``datetime`` without a time zone: what it means would depend on the machine.
    """
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise ValueError(f"{moment!r} has no time zone: use an aware datetime, such as datetime.now(UTC)")
        return moment.timestamp()
    return moment
