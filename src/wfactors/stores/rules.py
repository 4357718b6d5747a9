"""Decisions that every store takes the same way, as pure functions of rows; a store may say them in its language."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from wfactors.model.messages import ActivityOutcome, Message
from wfactors.model.records import CreateOutcome, CreateRequest, HeaderRow, InstanceFilter, TaskRow
from wfactors.model.status import OnConflict, Reuse, Status

if TYPE_CHECKING:
    from wfactors.model.payloads import Payload

__all__ = ["attributes_match", "cancelled_outcome", "header_matches", "without_creation"]


def without_creation(
    request: CreateRequest, same_key: HeaderRow | None, open_run: HeaderRow | None, latest: HeaderRow | None
) -> CreateOutcome | None:
    """How a request ends that inserts nothing; None if its row is to be inserted.

    Args:
        request: What is asked.
        same_key: The latest run of the instance with the request's key.
        open_run: The open run that has the id.
        latest: The latest run that had the id, if none is open.
    """
    if same_key is not None:
        return CreateOutcome(created=True, header=same_key)
    if open_run is not None:
        return CreateOutcome(False, open_run, is_refused=request.on_conflict is not OnConflict.USE_EXISTING)
    if latest is None or request.reuse is Reuse.ALLOW:
        return None
    if request.reuse is Reuse.IF_FAILED and latest.status is not Status.COMPLETED:
        return None
    return CreateOutcome(False, latest, is_refused=True)


def cancelled_outcome(task: TaskRow) -> Message:
    """What the inbox gets for a task that was removed because nobody wants it and nobody ran it."""
    key = task.key
    return Message(
        id=f"{key.instance}/{key.run}/{key.call}/cancelled",
        partition=task.partition,
        instance=key.instance,
        body=ActivityOutcome(run=key.run, call=key.call, attempt=task.attempt, is_cancelled=True),
    )


def header_matches(row: HeaderRow, filter: InstanceFilter) -> bool:
    """Whether the filter lets a run through."""
    return (
        (filter.status is None or row.status in filter.status)
        and (filter.workflow is None or row.workflow == filter.workflow)
        and (filter.queue is None or row.queue == filter.queue)
        and (filter.id is None or row.id == filter.id)
        and (filter.root_id is None or row.root_id == filter.root_id)
        and (filter.is_parked is None or (row.parked is not None) == filter.is_parked)
        and (filter.parent is None or (row.parent is not None and row.parent.instance == filter.parent))
        and _times_match(row, filter)
        and (filter.attributes is None or attributes_match(row.attributes, filter.attributes))
    )


def attributes_match(attributes: Payload | None, wanted: Mapping[str, object]) -> bool:
    """Whether a JSON object has all of ``wanted``; what is no object has nothing, so it matches only an empty wish."""
    if not wanted:
        return True
    try:
        found = json.loads(bytes(attributes)) if attributes is not None else None
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    return all(name in found and _json_equal(found[name], value) for name, value in wanted.items())


def _times_match(row: HeaderRow, filter: InstanceFilter) -> bool:
    return (
        (filter.started_after is None or row.created_at >= filter.started_after)
        and (filter.started_before is None or row.created_at < filter.started_before)
        and (filter.closed_before is None or (row.closed_at is not None and row.closed_at < filter.closed_before))
    )


def _json_equal(found: object, wanted: object) -> bool:
    # To Python, True equals 1; to JSON it does not.
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, dict) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(_json_equal(value, wanted[name]) for name, value in found.items())
    if isinstance(found, list) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(_json_equal, found, wanted))
    if isinstance(found, float) and math.isnan(found):
        return False
    return found == wanted
