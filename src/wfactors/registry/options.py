"""The options of calls, checked when they are given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from wfactors.model.arguments import member
from wfactors.model.options import Retry, seconds
from wfactors.model.status import OnCancel

__all__ = ["activity_options", "without_none"]


def activity_options(
    retry: Retry | None,
    start_to_close: float | timedelta | None,
    schedule_to_close: float | timedelta | None,
    heartbeat: float | timedelta | None,
    on_cancel: OnCancel | str | None,
) -> dict[str, Any]:
    """The options of an activity that were given, checked: what was not given is left out."""
    if retry is not None and not isinstance(retry, Retry):
        raise TypeError(f"retry must be a Retry, not {retry!r}: write Retry(attempts={retry!r}) or the like")
    given = {
        "retry": retry,
        "start_to_close": seconds(start_to_close, "start_to_close"),
        "schedule_to_close": seconds(schedule_to_close, "schedule_to_close"),
        "heartbeat": seconds(heartbeat, "heartbeat"),
        "on_cancel": None if on_cancel is None else member(OnCancel, on_cancel, "on_cancel"),
    }
    return without_none(given)


def without_none(given: dict[str, Any]) -> dict[str, Any]:
    """What was given: the rest is decided elsewhere."""
    return {name: value for name, value in given.items() if value is not None}
