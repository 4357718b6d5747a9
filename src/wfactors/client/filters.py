"""What a client is asked for: checked here, so that every store finds the same or is never asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from wfactors.convert import DataPort
from wfactors.kernel.times import to_timestamp
from wfactors.model.arguments import Kind, check_arguments, is_list, is_one_of, member
from wfactors.model.ids import validated_text
from wfactors.model.payloads import Payload
from wfactors.model.records import InstanceFilter
from wfactors.model.status import Status
from wfactors.registry import Workflow

__all__ = ["ATTRIBUTES", "check_limit", "instance_filter", "removal_time"]

ATTRIBUTES: Final = Kind("a mapping, such as {'customer': 'ada'}", is_one_of(Mapping), or_none=True)
_TIME: Final = Kind("a datetime with a time zone", is_one_of(datetime), or_none=True)
_FILTERS: Final = {
    "status": Kind(
        "a status such as 'open', or a list of them",
        lambda value: isinstance(value, str) or is_list(value),
        or_none=True,
    ),
    "workflow": Kind("a workflow, or the name of one", is_one_of(str, Workflow), or_none=True),
    "queue": Kind("a str", is_one_of(str), or_none=True),
    "attributes": ATTRIBUTES,
    "started_after": _TIME,
    "started_before": _TIME,
    "parked": Kind("True or False", is_one_of(bool), or_none=True),
}
_REMOVAL: Final = {
    "before": Kind("a datetime with a time zone, or seconds since 1970", is_one_of(datetime, int, float))
}


def instance_filter(
    data: DataPort,
    *,
    status: Status | str | Sequence[Status | str] | None,
    workflow: str | Workflow[..., Any] | None,
    queue: str | None,
    attributes: Mapping[str, Any] | None,
    started_after: datetime | None = None,
    started_before: datetime | None = None,
    parked: bool | None,
) -> InstanceFilter:
    """What ``list`` and ``count`` are given, as stores take it.

    Raises:
        TypeError: Something is of another type.
        ValueError: No such status, text that cannot be stored, or a ``datetime`` without a time zone.
        ConversionError: No attribute can have such a value.
    """
    check_arguments(
        _FILTERS,
        status=status,
        workflow=workflow,
        queue=queue,
        attributes=attributes,
        started_after=started_after,
        started_before=started_before,
        parked=parked,
    )
    name = workflow.name if isinstance(workflow, Workflow) else workflow
    if attributes is not None:
        # As they are stored: a date is found by a date.
        attributes = data.attributes_from_payload(Payload(data.attributes_to_payload(attributes)))
    return InstanceFilter(
        status=None
        if status is None
        else [member(Status, item, "status") for item in ([status] if isinstance(status, str) else status)],
        workflow=None if name is None else validated_text("workflow", name),
        queue=None if queue is None else validated_text("queue", queue),
        attributes=attributes,
        started_after=None if started_after is None else to_timestamp(started_after),
        started_before=None if started_before is None else to_timestamp(started_before),
        is_parked=parked,
    )


def removal_time(before: datetime | float) -> float:
    """When ``remove_finished`` draws the line; TypeError or ValueError for what is no time."""
    check_arguments(_REMOVAL, before=before)
    at = float(to_timestamp(before))
    if math.isnan(at):
        raise ValueError(f"before must be {_REMOVAL['before'].words}, not {before!r}")
    return at


def check_limit(limit: int | None) -> None:
    """TypeError or ValueError for what is no number of items, and not None."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be a whole number or None, not {limit!r}")
    if limit < 0:
        raise ValueError(f"limit must not be negative, but it is {limit}")
