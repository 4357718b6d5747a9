"""What must hold after every step, and what must hold at the end.

After each call that the store carried out, ``Watch`` looks at what it changed: who owns a partition, whether a commit
came from its owner, whether histories grow without gaps and record each outcome and each message once. At the end
``wfactors.testing.auditor`` reads everything, and ``signals_between`` looks at what workflows sent to each other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from wfactors.model import events
from wfactors.model.events import FINAL, Event
from wfactors.model.records import Append, Batch, Lease
from wfactors.model.wire import decode_events

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EPOCH", "Watch", "handed_over", "signals_between"]

RunKey = tuple[str, int]

# When the simulated time is 0; and how often clocks are read again, or the store asked for what nobody told.
EPOCH = 1_700_000_000.0
_POLL_SECONDS = 1.0

_OUTCOMES = (
    events.ActivityCompleted,
    events.ActivityFailed,
    events.ActivityCancelled,
    events.ChildCompleted,
    events.ChildFailed,
    events.RequestCompleted,
    events.RequestFailed,
)


class Watch:
    """Follows what the store carries out.

    Args:
        broken: Told each violation.
        count: Told each rare path.
        lease_seconds: Of all nodes.

    Attributes:
        started: The runs whose beginning is in the store.
        calm_since: When the faults ended; ``inf`` while they last.
    """

    def __init__(
        self, broken: Callable[[str, str], None], count: Callable[[str], None], lease_seconds: float = 0.0
    ) -> None:
        self._broken = broken
        self._count = count
        self._late_max = lease_seconds + _POLL_SECONDS
        self._owners: dict[str, tuple[int, str]] = {}
        self._owned_since: dict[str, float] = {}
        self._sequences: dict[str, int] = {}
        self._lengths: dict[RunKey, int] = {}
        self._times: dict[RunKey, float] = {}
        self._timers: dict[RunKey, dict[int, float]] = defaultdict(dict)
        self._outcomes: set[tuple[str, int, int]] = set()
        self._messages: set[tuple[str, str]] = set()
        self._ended: set[RunKey] = set()
        self._closed_at: dict[str, float] = {}
        self._asked_to_end: set[tuple[str, str]] = set()
        self._promises: list[tuple[str, str, float]] = []
        self.started: set[RunKey] = set()
        self.calm_since = math.inf

    # --- What clients were promised: I1 ---

    def promised(self, kind: str, instance: str, now: float) -> None:
        """A ``"cancel"`` or ``"terminate"`` was acknowledged."""
        self._promises.append((kind, instance, now))

    def broken_promises(self) -> Iterable[str]:
        """What was acknowledged and never happened, when all is over.

        A run may end by itself before it takes in what lies in its inbox; it has no more time for that than the inbox
        takes to be read.
        """
        for kind, instance, at in self._promises:
            in_time = max(at, self.calm_since) + self._late_max
            if (kind, instance) not in self._asked_to_end and self._closed_at.get(instance, math.inf) > in_time:
                yield f"the accepted {kind} of {instance} is lost"

    # --- Owners: I2, I5 ---

    def acquired(self, lease: Lease, node: str, now: float) -> None:
        """A node owns a partition."""
        epoch, owner = self._owners.get(lease.partition, (0, ""))
        if lease.epoch <= epoch:
            self._broken("I2", f"{lease.partition}: epoch {lease.epoch} after {epoch}")
        if owner and owner != node:
            self._count("rare takeover")
        self._owners[lease.partition] = (lease.epoch, node)
        self._owned_since[lease.partition] = now

    def committed(self, batch: Batch, now: float, clock: float) -> None:
        """A batch was written, at ``now``; the clock of the process it came from said ``clock``."""
        partition = batch.partition
        epoch = self._owners.get(partition, (0, ""))[0]
        if batch.epoch != epoch:
            self._broken("I5", f"{partition}: a commit under epoch {batch.epoch} was accepted, it is {epoch}")
        before = self._sequences.get(partition, 0)
        if batch.sequence == before:
            self._count("rare commit repeated")
            return
        if batch.sequence != before + 1:
            self._broken("I2", f"{partition}: batch {batch.sequence} was accepted after {before}")
        self._sequences[partition] = batch.sequence
        since = max(self.calm_since, self._owned_since.get(partition, 0.0))
        for append in batch.appends:
            self._appended(append, now, clock, since)
        for header in batch.headers:
            if header.parked is not None:
                self._count("rare parked")
        if batch.replies:
            self._count("rare reply by way of the store")

    # --- Histories: I2, I3, I6, I8 ---

    def _appended(self, append: Append, now: float, clock: float, since: float) -> None:
        key = (append.instance, append.run)
        length = self._lengths.get(key, 0)
        if append.first != length:
            self._broken("I2", f"run {key}: events from {append.first} on were appended to {length}")
        self._lengths[key] = append.first + append.count
        for event in decode_events(append.data):
            self._count(f"event {type(event).__name__}")
            self._event(key, event, now)
            self._timer(key, event, clock - now, since)

    def _event(self, key: RunKey, event: Event, now: float) -> None:
        time = getattr(event, "time", None)
        if time is not None:
            if time < self._times.get(key, 0.0):
                self._broken("I2", f"run {key}: time goes back at {type(event).__name__}")
            self._times[key] = time
        if key in self._ended and not isinstance(event, events.SignalReceived):
            self._broken("I3", f"run {key}: after its end there is {type(event).__name__}")
        if isinstance(event, _OUTCOMES):
            call = (*key, event.call)
            if call in self._outcomes:
                self._broken("I3", f"call {call} has two outcomes")
            self._outcomes.add(call)
        elif isinstance(event, events.SignalReceived | events.UpdateReceived):
            id = event.message if isinstance(event, events.SignalReceived) else event.update
            if (key[0], id) in self._messages:
                self._broken("I6", f"message {id} is in the history of {key[0]} twice")
            self._messages.add((key[0], id))
        elif isinstance(event, events.RunStarted):
            self.started.add(key)
        elif isinstance(event, events.CancelRequested):
            self._asked_to_end.add(("cancel", key[0]))
        elif isinstance(event, FINAL):
            self._ended.add(key)
            if isinstance(event, events.RunTerminated):
                self._asked_to_end.add(("terminate", key[0]))
            if not isinstance(event, events.RunContinued):
                self._closed_at[key[0]] = now

    def _timer(self, key: RunKey, event: Event, skew: float, since: float) -> None:
        """Early is broken always, by the clock of the owner; late only once an owner could be in time."""
        timers = self._timers[key]
        if isinstance(event, events.TimerSet):
            timers[event.timer] = event.at
        elif isinstance(event, events.TimerCancelled):
            timers.pop(event.timer, None)
        elif isinstance(event, events.TimerFired):
            due = {timer: at for timer, at in timers.items() if at <= event.time}
            if not due:
                self._broken("I8", f"run {key}: a timer fired at {event.time}, armed are {timers}")
                return
            late = event.time - max(min(due.values()), since + EPOCH + skew)
            if late > self._late_max:
                self._broken("I8", f"run {key}: a timer fired {late:.3f} s late")
            if since != math.inf:
                self._count("rare timer after the faults")
            for timer in due:
                del timers[timer]


def signals_between(histories: Mapping[RunKey, Sequence[Event]], ids: Mapping[str, str]) -> Iterable[str]:
    """What is wrong with the signals that workflows sent to each other: I6.

    Args:
        histories: Of all runs.
        ids: The id people use of each instance.
    """
    received: dict[str, list[str]] = defaultdict(list)
    for key in sorted(histories):
        for event in histories[key]:
            if isinstance(event, events.SignalReceived):
                received[ids[key[0]]].append(bytes(event.payload).decode())
    for key, history in sorted(histories.items()):
        accepted = {event.call for event in history if isinstance(event, events.RequestCompleted)}
        refused = {event.call for event in history if isinstance(event, events.RequestFailed)}
        told: dict[str, list[str]] = defaultdict(list)
        for event in history:
            if isinstance(event, events.SignalSent):
                word = bytes(event.payload).decode()
                count = received[event.id].count(word)
                if count > 1 or (count == 0 and event.call in accepted) or (count and event.call in refused):
                    answer = "accepted" if event.call in accepted else "refused" if event.call in refused else "open"
                    yield f"{event.id} got {word} {count} times from {key}, which was {answer}"
                elif event.call in accepted:
                    told[event.id].append(word)
        yield from _disorder(key, told, received)


def _disorder(key: RunKey, told: Mapping[str, list[str]], received: Mapping[str, list[str]]) -> Iterable[str]:
    for id, words in told.items():
        places = [received[id].index(word) for word in words]
        if places != sorted(places):
            yield f"{id} got what {key} sent in another order: {received[id]}, not {words}"


def handed_over(histories: Mapping[RunKey, Sequence[Event]]) -> Iterable[str]:
    """What is wrong with what runs left to the next one: a cancel, and all unread signals in their order; I6."""
    for (instance, run), history in sorted(histories.items()):
        if not history or not isinstance(history[-1], events.RunContinued):
            continue
        left = [signal.message for signal in history[-1].signals]
        was_cancelled = any(
            isinstance(event, events.CancelRequested) or getattr(event, "cancel_reason", None) is not None
            for event in history[:-1]
        )
        after = histories.get((instance, run + 1), ())
        start = next((event for event in after if isinstance(event, events.RunStarted)), None)
        if start is not None and [signal.message for signal in start.signals] != left:
            yield f"run {run} of {instance} left {left}, the next one got {start.signals}"
        if start is not None and was_cancelled != (start.cancel_reason is not None):
            yield f"run {run} of {instance} was{'' if was_cancelled else ' not'} cancelled, unlike the next one"
