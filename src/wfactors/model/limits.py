"""How much one engine takes on at once, and how large things may become."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

__all__ = ["Limits"]

_TURN_SECONDS_LEAST = 2.0
_TURN_SECONDS_MOST = 30.0


def _count(least: int) -> Callable[[object, attrs.Attribute[int], int], None]:
    def check(_: object, attribute: attrs.Attribute[int], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"Limits({attribute.name}=...) must be an int, not {type(value).__name__}")
        if value < least:
            raise ValueError(f"Limits({attribute.name}=...) must be {least} or more, not {value}")

    return check


def _seconds(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"Limits({attribute.name}=...) must be seconds, not {type(value).__name__}")
    if math.isnan(value) or value <= 0:
        raise ValueError(f"Limits({attribute.name}=...) must be positive, not {value}")


def _concurrency(_: object, attribute: attrs.Attribute[Mapping[str, int]], value: Mapping[str, Any]) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"Limits({attribute.name}=...) must be a mapping of names to numbers, not {value!r}")
    for activity, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"Limits({attribute.name}={{{activity!r}: ...}}) must be 1 or more, not {number!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of one engine.

    Args:
        activities: Attempts of activities that run at once; 0 for an engine that runs workflows alone.
        threads: How many of them may be plain functions, each in a thread of its own.
        concurrency: By name of an activity, how many attempts of it run at once on this engine.
        resident_instances: Workflows kept in memory; the least recently used are put to sleep beyond it.
        resident_history_bytes: Size of their histories together, above which they are put to sleep too.
        history_events_warning: Events in a run's history from which on the log warns.
        history_events_max: Events at which the run fails with HistoryTooLong.
        payload_bytes: Size of one argument list, result or signal, once converted.
        turn_warning_seconds: How long a step of a workflow may block the loop before the log warns.
        turn_seconds_max: When it is interrupted and the workflow parked, as one is whose tasks keep each other busy
            for so long; ``math.inf`` for never. It must not be more than half the lease of the engine, which cannot be
            renewed meanwhile. If it is not given it is that half, but 2 seconds or more and 30 or less.

    Raises:
        ValueError: A number makes no sense.
        TypeError: It is no number.
    """

    activities: int = attrs.field(default=1_000, validator=_count(0))
    threads: int = attrs.field(default=40, validator=_count(1))
    concurrency: Mapping[str, int] = attrs.field(factory=dict[str, int], validator=_concurrency)
    resident_instances: int = attrs.field(default=10_000, validator=_count(1))
    resident_history_bytes: int = attrs.field(default=256 * 2**20, validator=_count(1))
    history_events_warning: int = attrs.field(default=10_000, validator=_count(1))
    history_events_max: int = attrs.field(default=50_000, validator=_count(1))
    payload_bytes: int = attrs.field(default=2 * 2**20, validator=_count(1))
    turn_warning_seconds: float = attrs.field(default=2.0, validator=_seconds)
    turn_seconds_max: float | None = attrs.field(default=None, validator=attrs.validators.optional(_seconds))

    def __attrs_post_init__(self) -> None:
        if self.history_events_warning > self.history_events_max:
            raise ValueError(
                f"Limits(history_events_warning={self.history_events_warning}) is above "
                f"history_events_max={self.history_events_max}"
            )
        if self.turn_seconds_max is not None and self.turn_warning_seconds > self.turn_seconds_max:
            raise ValueError(
                f"Limits(turn_warning_seconds={self.turn_warning_seconds}) is above "
                f"turn_seconds_max={self.turn_seconds_max}"
            )

    def turn_limit(self, lease_seconds: float) -> float:
        """After how many seconds an engine with this lease interrupts a turn.

        A turn holds up the renewal of the lease, which is asked for each third of it. The half leaves time for that.

        Raises:
            ValueError: ``turn_seconds_max`` was given, and is more than half the lease.
        """
        most = lease_seconds / 2
        if self.turn_seconds_max is None:
            return min(max(most, _TURN_SECONDS_LEAST), _TURN_SECONDS_MOST)
        if most < self.turn_seconds_max < math.inf:
            raise ValueError(
                f"Limits(turn_seconds_max={self.turn_seconds_max:g}) is above half the lease of {lease_seconds:g} s: "
                f"a busy workflow would cost the engine its lease before it is interrupted. Give a lease of "
                f"{2 * self.turn_seconds_max:g} s or more, or a limit of {most:g} s or less"
            )
        return self.turn_seconds_max
