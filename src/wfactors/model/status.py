"""The closed vocabularies of states and policies that users see."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["OnCancel", "OnConflict", "ParentClose", "Reuse", "Status"]


class Status(StrEnum):
    """Where a run stands. ``parked`` is not a status but a reason beside ``open``."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    CONTINUED = "continued"


class ParentClose(StrEnum):
    """What becomes of a child when its parent ends before it."""

    CANCEL = "cancel"
    TERMINATE = "terminate"
    ABANDON = "abandon"


class OnCancel(StrEnum):
    """What a cancelled scope does about an activity that runs inside it."""

    WAIT = "wait"
    ABANDON = "abandon"


class OnConflict(StrEnum):
    """What ``start`` does when an open instance has the id."""

    FAIL = "fail"
    USE_EXISTING = "use_existing"
    TERMINATE_EXISTING = "terminate_existing"


class Reuse(StrEnum):
    """Whether ``start`` may use an id that only closed instances had."""

    ALLOW = "allow"
    IF_FAILED = "if_failed"
    REJECT = "reject"
