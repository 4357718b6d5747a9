"""An InstanceFilter as a condition of SQL."""

from __future__ import annotations

from collections.abc import Callable

from wfactors.model.payloads import Payload
from wfactors.model.records import HeaderRow, InstanceFilter
from wfactors.stores.rules import attributes_match

__all__ = ["attributes_predicate", "condition_of", "page_condition"]

_EQUAL = {"workflow": "workflow", "queue": "queue", "id": "id", "root_id": "root_id", "parent": "parent_instance"}
_TIMES = {
    "started_after": "created_at >= ?",
    "started_before": "created_at < ?",
    "closed_before": "closed_at < ?",
}


def condition_of(filter: InstanceFilter) -> tuple[str, list[object]]:
    """The condition on rows of ``headers`` and its values.

    Attributes are compared by a function ``attributes_match(attributes)`` that the caller gives the database, so that
    every store compares alike.
    """
    parts: list[str] = []
    values: list[object] = []
    if filter.status is not None:
        parts.append(f"status IN ({', '.join('?' * len(filter.status))})")
        values += map(str, filter.status)
    for name, column in _EQUAL.items():
        if (wanted := getattr(filter, name)) is not None:
            parts.append(f"{column} = ?")
            values.append(wanted)
    for name, part in _TIMES.items():
        if (wanted := getattr(filter, name)) is not None:
            parts.append(part)
            values.append(wanted)
    if filter.is_parked is not None:
        parts.append("parked IS NOT NULL" if filter.is_parked else "parked IS NULL")
    if filter.attributes is not None:
        parts.append("attributes_match(attributes)")
    return " AND ".join(parts) or "1", values


def attributes_predicate(filter: InstanceFilter) -> Callable[[object], bool]:
    """What ``attributes_match`` does for this filter."""
    wanted = filter.attributes or {}

    def matches(attributes: object) -> bool:
        return attributes_match(Payload(attributes) if isinstance(attributes, bytes) else None, wanted)

    return matches


def page_condition(after: HeaderRow | None, *, newest_first: bool) -> tuple[str, list[object]]:
    """The condition that a row comes behind ``after`` in the order of (created_at, instance, run)."""
    if after is None:
        return "1", []
    sign = "<" if newest_first else ">"
    return f"(created_at, instance, run) {sign} (?, ?, ?)", [after.created_at, after.instance, after.run]
