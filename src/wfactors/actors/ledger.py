"""What a run has asked for and not got yet, read off its events: the same whether they are new or replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from wfactors.model.events import (
    ActivityCancelAsked,
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    CancelSent,
    ChildCompleted,
    ChildFailed,
    ChildScheduled,
    Event,
    RequestCompleted,
    RequestFailed,
    RunStarted,
    SignalReceived,
    SignalSent,
    UpdateCompleted,
    UpdateReceived,
)
from wfactors.model.ids import child_key
from wfactors.model.status import ParentClose

__all__ = ["Child", "Ledger"]

_ANSWERS_MAX = 100


@attrs.frozen
class Child:
    """A child that has not ended yet."""

    key: str
    id: str
    queue: str
    parent_close: ParentClose


class Ledger:
    """The open calls of one run.

    Attributes:
        activities: Call number to activity name.
        unwanted: Call numbers of activities that the workflow has cancelled.
        children: Call number to the child.
        requests: Call numbers of signals and cancels sent, not answered yet.
        updates: Ids of updates that run.
        answers: How the last updates ended, for senders who ask again because they did not hear it.
        taken: Ids of the messages that are in the history, so that one sent again is not taken in again.
    """

    __slots__ = ("_instance", "_run", "activities", "answers", "children", "requests", "taken", "unwanted", "updates")

    def __init__(self, instance: str, run: int) -> None:
        self._instance = instance
        self._run = run
        self.activities: dict[int, str] = {}
        self.unwanted: set[int] = set()
        self.children: dict[int, Child] = {}
        self.requests: set[int] = set()
        self.updates: set[str] = set()
        self.answers: dict[str, UpdateCompleted] = {}
        self.taken: set[str] = set()

    def note(self, events: Sequence[Event]) -> None:
        """Take events of the history into account."""
        notes = _NOTES
        for event in events:
            note = notes.get(type(event))
            if note is not None:
                note(self, event)

    def _activity_scheduled(self, event: ActivityScheduled) -> None:
        self.activities[event.call] = event.activity

    def _activity_ended(self, event: ActivityCompleted | ActivityFailed | ActivityCancelled) -> None:
        self.activities.pop(event.call, None)
        self.unwanted.discard(event.call)

    def _activity_unwanted(self, event: ActivityCancelAsked) -> None:
        self.unwanted.add(event.call)

    def _child_scheduled(self, event: ChildScheduled) -> None:
        key = child_key(self._instance, self._run, event.call)
        self.children[event.call] = Child(key, event.id or key, event.queue, event.parent_close)

    def _child_ended(self, event: ChildCompleted | ChildFailed) -> None:
        self.children.pop(event.call, None)

    def _request_sent(self, event: SignalSent | CancelSent) -> None:
        self.requests.add(event.call)

    def _request_ended(self, event: RequestCompleted | RequestFailed) -> None:
        self.requests.discard(event.call)

    def _started(self, event: RunStarted) -> None:
        self.taken.update(signal.message for signal in event.signals)

    def _signal(self, event: SignalReceived) -> None:
        self.taken.add(event.message)

    def _update_received(self, event: UpdateReceived) -> None:
        self.updates.add(event.update)
        self.taken.add(event.update)

    def _update_completed(self, event: UpdateCompleted) -> None:
        self.updates.discard(event.update)
        answers = self.answers
        answers[event.update] = event
        if len(answers) > _ANSWERS_MAX:
            del answers[next(iter(answers))]


_NOTES: dict[type, Callable[[Ledger, Any], None]] = {
    ActivityScheduled: Ledger._activity_scheduled,
    ActivityCancelAsked: Ledger._activity_unwanted,
    ActivityCompleted: Ledger._activity_ended,
    ActivityFailed: Ledger._activity_ended,
    ActivityCancelled: Ledger._activity_ended,
    ChildScheduled: Ledger._child_scheduled,
    ChildCompleted: Ledger._child_ended,
    ChildFailed: Ledger._child_ended,
    SignalSent: Ledger._request_sent,
    CancelSent: Ledger._request_sent,
    RequestCompleted: Ledger._request_ended,
    RequestFailed: Ledger._request_ended,
    RunStarted: Ledger._started,
    SignalReceived: Ledger._signal,
    UpdateReceived: Ledger._update_received,
    UpdateCompleted: Ledger._update_completed,
}
