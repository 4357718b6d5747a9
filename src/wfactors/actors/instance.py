"""One resident instance: its replayed run, its mailbox, and what of it is not durable yet.

This is the only place where kernel and store meet. A *turn* takes one item of the mailbox, makes a fact of it, feeds
the kernel and notes the decisions; it happens whole or not at all. What they ask for is done by ``effects.py``.
The actor has no Trio task of its own: a turn never waits, so the partition's dispatcher runs it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Sequence
from enum import Enum
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from wfactors.actors.ledger import Ledger
from wfactors.actors.mail import Mail
from wfactors.actors.tracing import RunTrace
from wfactors.errors import QueryError, UpdateRejected
from wfactors.kernel.run import Run
from wfactors.model.events import (
    Decision,
    Event,
    Fact,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunTerminated,
)
from wfactors.model.failures import Failure
from wfactors.model.messages import Cancel, ParentClosed
from wfactors.model.payloads import Payload
from wfactors.model.records import Append, HeaderRow
from wfactors.model.status import Status
from wfactors.model.wire import encode_run_of_events, join_events

if TYPE_CHECKING:
    from wfactors.actors.author_code import AuthorCode
    from wfactors.actors.closing import RunCloser
    from wfactors.actors.watchdog import TurnTime
    from wfactors.telemetry.reporter import Reporter

__all__ = ["Instance", "State"]

_AWAITED_MAX = 20


class State(Enum):
    """Where the actor stands.

    ::

        LOADING --history replayed--> READY --final event--> CLOSED
           |                            |
           `--cannot go on--> PARKED <--'      PARKED --resume, takeover--> LOADING
    """

    LOADING = "loading"
    READY = "ready"
    PARKED = "parked"
    CLOSED = "closed"


class Instance:
    """The actor of one instance, as long as it is resident.

    Attributes:
        header: The row as last read or made; the mutable part is kept in the fields below until ``snapshot``.
        run: The kernel's run; None while loading or parked, and for closed instances that nobody queried.
        mail: What has arrived and waits for its turn.
        time: Of the last fact; facts never go back in time.
        deadlines: A heap of (schedule-to-close deadline, call) of activities; those that have ended are dropped late.
        overdue: What to record of calls that were withdrawn because their time was over.
        weight: The bytes of history that the partition counts for it.
        trace: The spans of the run; None if nobody wants them.
        pins: Batches that hold something of this instance and are not durable yet; while there are any, it stays.
    """

    __slots__ = (
        "_chunks",
        "_closer",
        "_first_unsaved",
        "_tracer",
        "_unsaved_count",
        "attributes",
        "carried",
        "closed_at",
        "context",
        "deadlines",
        "events",
        "failure",
        "header",
        "history_bytes",
        "is_dirty",
        "is_queued",
        "key",
        "ledger",
        "mail",
        "overdue",
        "parked",
        "pins",
        "result",
        "run",
        "start",
        "started_at",
        "state",
        "status",
        "time",
        "trace",
        "update_waiters",
        "wake_at",
        "warned",
        "weight",
    )

    def __init__(self, key: str, closer: RunCloser, tracer: Reporter | None = None) -> None:
        self.key = key
        self._closer = closer
        self._tracer = tracer
        self.state = State.LOADING
        self.mail: deque[Mail] = deque()
        self.update_waiters: dict[str, Callable[[object], None]] = {}
        self.pins = 0
        self.is_dirty = False
        self.is_queued = False
        self.warned = False
        self.time = 0.0
        self.weight = 0
        self.header: HeaderRow
        self.run: Run | None = None
        self.ledger: Ledger

    @property
    def is_settled(self) -> bool:
        """Whether all that has reached it is taken in and durable."""
        return self.state is not State.LOADING and not (self.mail or self.is_queued or self.is_dirty or self.pins)

    def adopt(self, header: HeaderRow, carried: RunContinued | None = None) -> None:
        """Begin from a header as the store has it, or as a parent made it; ``carried`` ended the run before it."""
        self.header = header
        self.status = header.status
        self.parked = header.parked
        self.started_at = header.started_at
        self.closed_at = header.closed_at
        self.wake_at = header.wake_at
        self.events = header.events
        self.history_bytes = header.history_bytes
        self.start = header.start
        self.result = header.result
        self.failure = header.failure
        self.attributes = header.attributes
        self.context = header.context
        self.carried = carried
        self.begin_ledger()
        self._chunks: list[bytes] = []
        self._first_unsaved = header.events
        self._unsaved_count = 0
        self.deadlines: list[tuple[float, int]] = []
        self.overdue: dict[int, Failure] = {}

    def begin_ledger(self) -> None:
        """Know nothing of what the run has begun, before its history is read."""
        self.ledger = Ledger(self.header.instance, self.header.run)
        self.trace = RunTrace(self.header, self._tracer) if self._tracer is not None else None

    @property
    def next_deadline(self) -> float:
        """When it wants to be woken without mail: for a timer of its code, or a deadline of an activity call."""
        assert self.run is not None
        heap = self.deadlines
        while heap and heap[0][1] not in self.ledger.activities:
            heapq.heappop(heap)
        return min(heap[0][0], self.run.next_deadline) if heap else self.run.next_deadline

    @property
    def awaited(self) -> tuple[str, ...]:
        """The signals its code waits for, as the header shows them; none unless it could take one in now."""
        run = self.run
        if run is None or not run.signals.awaited or self.state is not State.READY:
            return ()
        return tuple(islice(run.signals.awaited, _AWAITED_MAX))

    @property
    def withdrawal(self) -> Mail | None:
        """What says that nobody wants the run any more, if it lies in the mailbox; see ``Turns``."""
        for mail in self.mail:
            if mail.done is None and isinstance(mail.content, Cancel | ParentClosed):
                return mail
        return None

    @property
    def is_parked(self) -> bool:
        """Whether it stands still."""
        return self.state is State.PARKED

    @property
    def is_loading(self) -> bool:
        """Whether its history is being replayed; mail waits."""
        return self.state is State.LOADING

    @property
    def is_idle(self) -> bool:
        """Whether it could leave memory: nothing to do, nothing unsaved."""
        return not (self.mail or self.is_dirty or self.pins or self.update_waiters) and self.state is not State.LOADING

    def feed(
        self, author_code: AuthorCode, fact: Fact, time: TurnTime | None = None
    ) -> Generator[None, None, list[Decision]]:
        """One turn of the kernel, in parts; notes nothing, so a turn that fails leaves the history as it was.

        Args:
            author_code: Calls it.
            fact: What happened.
            time: Is told what the author's code takes, if anybody wants to know.
        """
        assert self.run is not None, "a turn needs a replayed run"
        self.time = max(self.time, fact.time)
        id, run = self.header.id, self.run
        decisions = author_code.call(id, partial(run.begin, fact), time)
        return decisions if decisions is not None else (yield from author_code.rest_of_turn(id, run, time))

    def query(self, name: str, input: Payload) -> Payload:
        """Answer a query; raises QueryError."""
        if self.started_at is None:
            raise QueryError(self.header.id, self._not_started())
        assert self.run is not None
        return self.run.query(name, input)

    def check_update(self, name: str, input: Payload) -> None:
        """See whether an update can be taken in; raises UpdateRejected."""
        if self.started_at is None:
            raise UpdateRejected(self.header.id, self._not_started())
        assert self.run is not None
        self.run.check_update(name, input)

    def _not_started(self) -> str:
        when = "has not started yet" if self.status is Status.OPEN else "ended before it had started"
        return f"workflow {self.header.id!r} {when}"

    def note(self, events: Sequence[Event], encoded: bytes | None = None) -> None:
        """Add events to the history, the fact and the decisions of one turn; ``encoded`` if that is done already."""
        chunk = encode_run_of_events(events) if encoded is None else encoded
        self._chunks.append(chunk)
        self.history_bytes += len(chunk) + 1
        count = len(events)
        self.events += count
        self._unsaved_count += count
        self.ledger.note(events)
        if self.trace is not None:
            self.trace.note(events, None if self.run is None else self.run.calls.spans)

    def close(self, event: RunCompleted | RunFailed | RunCancelled | RunContinued | RunTerminated) -> None:
        """Set the outcome that the final event tells."""
        self.closed_at = self.time
        self.wake_at = None
        self.parked = None
        self.state = State.CLOSED
        match event:
            case RunCompleted(result):
                self.status, self.result = Status.COMPLETED, result
            case RunFailed(failure):
                self.status, self.failure = Status.FAILED, failure
            case RunCancelled(failure):
                self.status, self.failure = Status.CANCELLED, failure
            case RunContinued():
                self.status = Status.CONTINUED
            case RunTerminated(_, _, failure):
                self.status = Status.TERMINATED if failure is None or failure.kind == "terminated" else Status.FAILED
                self.failure = failure

    def take_append(self) -> Append | None:
        """The events that no batch holds yet."""
        if not self._chunks:
            return None
        first, count = self._first_unsaved, self._unsaved_count
        append = Append(self.key, self.header.run, first, count, join_events(self._chunks))
        self._chunks = []
        self._first_unsaved += count
        self._unsaved_count = 0
        return append

    def snapshot(self) -> HeaderRow:
        """The header row as it stands now."""
        old = self.header
        # Every field by name: attrs.evolve costs several times as much, and this is once per instance and batch.
        self.header = HeaderRow(
            instance=old.instance,
            run=old.run,
            id=old.id,
            workflow=old.workflow,
            queue=old.queue,
            partition=old.partition,
            root_id=old.root_id,
            created_at=old.created_at,
            status=self.status,
            parked=self.parked,
            started_at=self.started_at,
            closed_at=self.closed_at,
            wake_at=self.wake_at,
            events=self.events,
            history_bytes=self.history_bytes,
            start=self.start,
            result=self.result,
            failure=self.failure,
            parent=old.parent,
            parent_close=old.parent_close,
            attributes=self.attributes,
            context=self.context,
            awaited=self.awaited,
        )
        return self.header

    def drop_run(self) -> None:
        """Forget the replayed run; its coroutines are closed without effect, soon."""
        run, self.run = self.run, None
        if run is not None:
            self._closer.close(self.header.id, run)
