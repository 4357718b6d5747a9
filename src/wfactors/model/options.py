"""How an activity is to be run: its retries and deadlines, as the author wrote them and as the task row keeps them."""

from __future__ import annotations

import builtins
import math
from datetime import timedelta
from typing import Any

import attrs

from wfactors.model.status import OnCancel

__all__ = ["ActivityOptions", "Retry", "duration", "seconds"]


def seconds(value: float | timedelta | None, what: str) -> float | None:
    """A duration in seconds; ValueError or TypeError, naming ``what``, for anything that is not a positive time."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be seconds or a timedelta, not {type(value).__name__}")
    if math.isnan(value) or value <= 0:
        raise ValueError(f"{what} must be positive, not {value}")
    return None if math.isinf(value) else float(value)


def _type_names(types: Any) -> tuple[str, ...]:
    names = []
    for item in types if isinstance(types, tuple | list) else (types,):
        if isinstance(item, str):
            names.append(_full_name(item))
        elif isinstance(item, type) and issubclass(item, BaseException):
            names.append(f"{item.__module__}.{item.__qualname__}")
        else:
            raise TypeError(f"Retry(never=...) takes exception types, not {item!r}")
    return tuple(names)


def _full_name(name: str) -> str:
    if "." in name:
        return name
    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return f"builtins.{name}"
    raise ValueError(
        f"Retry(never=...): no built-in exception is named {name!r}: give the type itself, or its qualified "
        f"name, such as 'shop.errors.{name}'"
    )


def duration(value: float | timedelta, what: str) -> float:
    """A time in seconds that may be 0 but has an end; ValueError or TypeError, naming ``what``, for anything else."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{what} must be seconds or a timedelta, not {type(value).__name__}")
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{what} must be 0 or more, not {number!r}")
    return float(number)


def _first(value: float | timedelta) -> float:
    return duration(value, "Retry(first=...)")


def _maximum(value: float | timedelta) -> float:
    return duration(value, "Retry(maximum=...)")


@attrs.frozen
class Retry:
    """How often and how soon a failed activity is tried again.

    Attempt n + 1 starts ``first * backoff ** (n - 1)`` seconds after attempt n ended, at most ``maximum``.

    Args:
        attempts: How many attempts at most; None for no limit.
        first: Seconds (or a timedelta) before the second attempt.
        backoff: The factor from one wait to the next.
        maximum: The longest wait in seconds (or a timedelta).
        jitter: Share of each wait, from 0 to 1, that is drawn at random.
        never: Exception types that are not retried, with all that derive from them; or their qualified names
            (``"shop.errors.Declined"``; a built-in one by its bare name).

    Raises:
        TypeError, ValueError: An argument makes no sense.
    """

    attempts: int | None = 3
    first: float = attrs.field(default=1.0, converter=_first)
    backoff: float = 2.0
    maximum: float = attrs.field(default=100.0, converter=_maximum)
    jitter: float = 0.0
    never: tuple[str, ...] = attrs.field(default=(), converter=_type_names)

    def __attrs_post_init__(self) -> None:
        if self.attempts is not None:
            if not isinstance(self.attempts, int):
                raise TypeError(f"Retry(attempts=...) must be a whole number or None, not {self.attempts!r}")
            if isinstance(self.attempts, bool) or self.attempts < 1:
                raise ValueError(f"Retry(attempts=...) must be 1 or more, or None, not {self.attempts!r}")
        for name, value in (("backoff", self.backoff), ("jitter", self.jitter)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Retry({name}=...) must be a number, not {value!r}")
        if not (math.isfinite(self.backoff) and self.backoff >= 1):
            raise ValueError(f"Retry(backoff=...) must be 1 or more, not {self.backoff!r}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Retry(jitter=...) must be between 0 and 1, not {self.jitter!r}")

    def delay_seconds(self, attempt: int, draw: float = 0.0) -> float:
        """The wait after ``attempt`` (from 1) failed; ``draw`` in [0, 1) is the random number for the jitter."""
        exponent = attempt - 1
        try:
            wait = self.first * self.backoff**exponent
        except OverflowError:
            wait = self.maximum
        wait = min(wait, self.maximum)
        return wait * (1 - self.jitter * draw)

    def is_exhausted(self, attempt: int) -> bool:
        """Whether ``attempt`` (from 1) was the last one."""
        return self.attempts is not None and attempt >= self.attempts


@attrs.frozen
class ActivityOptions:
    """What the engine must know to run one activity; times in seconds, None for no limit.

    Attributes:
        retry: When a failed attempt is followed by another.
        start_to_close: The longest time of one attempt.
        schedule_to_close: The longest time from the call to its outcome, over all attempts.
        heartbeat: The longest time between two heartbeats of an attempt.
        on_cancel: Whether a cancelled scope waits for the running attempt to stop.
    """

    retry: Retry = attrs.field(factory=Retry)
    start_to_close: float | None = None
    schedule_to_close: float | None = None
    heartbeat: float | None = None
    on_cancel: OnCancel = OnCancel.WAIT
