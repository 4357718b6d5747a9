"""What can be set on a cancel scope: its deadline, absolute or relative, and its shield."""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING

from wfactors.kernel.task import current_scheduler
from wfactors.kernel.times import to_seconds, to_timestamp

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from wfactors.kernel.nursery import Nursery
    from wfactors.kernel.scopes import CancelScope
    from wfactors.kernel.task import Task

__all__ = ["ScopeSettings"]


class ScopeSettings:
    """The state of a cancel scope and the part of it that an author can set; ``CancelScope`` adds what it does."""

    __slots__ = (
        "__weakref__",
        "_cancel_called",
        "_deadline",
        "_has_been_entered",
        "_is_abandoned",
        "_is_cancelled",
        "_nursery",
        "_parent",
        "_relative_deadline",
        "_serial",
        "_shield",
        "_task",
        "_timer",
        "_timer_at",
        "cancel_reason",
        "cancelled_caught",
    )

    if TYPE_CHECKING:
        _timer_at: float

        def _update_timer(self) -> None: ...
        def _recalculate(self) -> None: ...

    def __init__(
        self,
        *,
        relative_deadline: float | timedelta = inf,
        deadline: float | datetime = inf,
        shield: bool = False,
    ) -> None:
        self._deadline = inf
        self._relative_deadline = inf
        if deadline is not inf or relative_deadline is not inf:
            self._set_initial_deadlines(to_timestamp(deadline), to_seconds(relative_deadline))
        self._shield = shield
        self._cancel_called = False
        self.cancelled_caught = False
        self.cancel_reason: str | None = None
        self._has_been_entered = False
        # While active: the task that entered it and the scope around it. Not active: None.
        self._task: Task | None = None
        self._parent: CancelScope | None = None
        self._nursery: Nursery | None = None
        self._is_cancelled = False
        self._is_abandoned = False
        # The serial number under which the deadline is armed, 0 if it is not; and the timer that was reported.
        self._serial = 0
        self._timer = -1

    def _set_initial_deadlines(self, deadline: float, relative_deadline: float) -> None:
        if isnan(deadline):
            raise ValueError("deadline must not be NaN")
        if isnan(relative_deadline):
            raise ValueError("relative deadline must not be NaN")
        if relative_deadline < 0:
            raise ValueError("timeout must be non-negative")
        if inf not in {relative_deadline, deadline}:
            raise ValueError("Cannot specify both a deadline and a relative deadline")
        self._deadline = float(deadline)
        self._relative_deadline = float(relative_deadline)

    @property
    def deadline(self) -> float:
        """When the scope is cancelled, in seconds of the workflow's time; ``inf`` for never. Can be set."""
        self._refuse_if_relative()
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float | datetime) -> None:
        at = to_timestamp(deadline)
        if isnan(at):
            raise ValueError("deadline must not be NaN")
        self._refuse_if_relative()
        self._deadline = float(at)
        self._update_timer()

    def _refuse_if_relative(self) -> None:
        if self._relative_deadline != inf:
            raise RuntimeError("a relative cancel scope has no absolute deadline before it is entered")

    @property
    def relative_deadline(self) -> float:
        """Seconds until the deadline, from now or, before the scope is entered, from that moment. Can be set."""
        if self._has_been_entered:
            return self._deadline - current_scheduler().now
        self._refuse_if_absolute()
        return self._relative_deadline

    @relative_deadline.setter
    def relative_deadline(self, relative_deadline: float | timedelta) -> None:
        seconds = to_seconds(relative_deadline)
        if isnan(seconds):
            raise ValueError("relative deadline must not be NaN")
        if seconds < 0:
            raise ValueError("relative deadline must be non-negative")
        if self._has_been_entered:
            self._deadline = current_scheduler().now + float(seconds)
            self._update_timer()
        else:
            self._refuse_if_absolute()
            self._relative_deadline = float(seconds)

    def _refuse_if_absolute(self) -> None:
        if self._deadline != inf:
            raise RuntimeError("a cancel scope with an absolute deadline has no relative one before it is entered")

    @property
    def is_relative(self) -> bool | None:
        """Whether the deadline counts from the moment of entering; None once the scope was entered."""
        if self._has_been_entered:
            return None
        return self._relative_deadline != inf

    @property
    def shield(self) -> bool:
        """Whether cancellations of scopes further out are hidden from the code inside. Can be set."""
        return self._shield

    @shield.setter
    def shield(self, shield: bool) -> None:
        if not isinstance(shield, bool):
            raise TypeError("shield must be a bool")
        self._shield = shield
        if self._task is not None:
            self._recalculate()
