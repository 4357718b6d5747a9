"""Take in one item of a mailbox: what it means for the instance, and the turn it leads to.

A turn happens whole or not at all. Author code that fails is part of the history; author code that cannot be replayed,
does not come back, or an engine that stumbles, parks this instance and harms no other.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from wfactors.actors.author_code import AuthorCode
from wfactors.actors.deadlines import failure_of
from wfactors.actors.instance import Instance, State
from wfactors.actors.mail import Mail, Start, TimerDue
from wfactors.actors.verdict import SCHEDULE_TO_CLOSE
from wfactors.actors.watchdog import TurnInterrupted, TurnTime
from wfactors.errors import (
    HistoryTooLong,
    QueryError,
    UpdateRejected,
    WorkflowClosed,
    WorkflowNotFound,
    WorkflowStuckError,
)
from wfactors.model.events import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    CancelRequested,
    ChildCompleted,
    ChildFailed,
    ChildStarted,
    Event,
    Fact,
    RequestCompleted,
    RequestFailed,
    RunStarted,
    RunTerminated,
    SignalReceived,
    TimerFired,
    UpdateReceived,
)
from wfactors.model.failures import Failure
from wfactors.model.messages import (
    ActivityOutcome,
    Cancel,
    ChildAccepted,
    ChildOutcome,
    ParentClosed,
    Query,
    RequestOutcome,
    Resume,
    Sender,
    Signal,
    StartChild,
    Terminate,
    Update,
)
from wfactors.model.payloads import NULL
from wfactors.model.records import Reply, TaskKey
from wfactors.model.status import ParentClose
from wfactors.model.wire import encode_run_of_events, encode_value

if TYPE_CHECKING:
    from wfactors.actors.partition import Partition

__all__ = ["Turns"]

_log = logging.getLogger("wfactors.instance")
_REPLY_SECONDS = 3600.0
_EVENTS_AT_ONCE = 64


class Turns:
    """Runs the turns of one partition's instances."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._author_code = AuthorCode(partition.watchdog)
        self._unfinished: Iterator[None] | None = None
        self._table: dict[type, Callable[[Instance, Mail, Any, float], Iterator[None] | None]] = {
            Start: self._start,
            TimerDue: self._timer,
            ActivityOutcome: self._activity,
            ChildOutcome: self._child,
            ChildAccepted: self._child_accepted,
            RequestOutcome: self._request,
            Signal: self._signal,
            Update: self._update,
            Query: self._query,
            Cancel: self._cancel,
            ParentClosed: self._parent_closed,
            Terminate: self._terminate,
            Resume: self._resume,
            StartChild: self._started_child,
        }

    def take(self, instance: Instance, mail: Mail) -> None:
        """Take in ``mail``, with all that follows from it inside the partition; of a large turn, the first part."""
        self.do(self.taking(instance, mail))

    def do(self, parts: Iterator[None]) -> None:
        """Do the first part of something, and have the others done before anything else."""
        self._unfinished = parts
        self.go_on()

    @property
    def is_unfinished(self) -> bool:
        """Whether there is more of the mail taken last: ``go_on``, before any other is taken in or a batch sealed."""
        return self._unfinished is not None

    def go_on(self) -> None:
        """Do the next part."""
        assert self._unfinished is not None
        if next(self._unfinished, _FINISHED):
            self._unfinished = None

    def taking(self, instance: Instance, mail: Mail) -> Iterator[None]:
        """The parts of ``take``."""
        now = max(instance.time, self._partition.clock.now())
        # The first question is answered at once; the time it asks for is never later than that of the run.
        is_due = instance.wake_at is not None and instance.wake_at <= now
        if is_due and instance.run is not None and instance.run.next_deadline <= now and instance.state is State.READY:
            yield from self._turn(instance, TimerFired(now, 0))
            if instance.is_parked or instance.start is not None:
                # It stands still now, or continued as a new run, which must start before it takes in anything.
                instance.mail.insert(0 if instance.is_parked else 1, mail)
                self._partition.queue(instance)
                return
        mail.is_taken = True
        parts = self._table[type(mail.content)](instance, mail, mail.content, now)
        if parts is not None:
            yield from parts
        if mail.is_taken and mail.is_stored:
            self._partition.draft.messages_removed.append(mail.id)

    def refuse_unknown(self, key: str, mail: Mail) -> None:
        """Answer mail for an instance that does not exist."""
        if mail.done is not None:
            self._partition.after_commit(partial(mail.done, WorkflowNotFound(key)))
        sender = mail.content.sender if isinstance(mail.content, Signal | Cancel) else None
        if sender is not None:
            self._reply_to(sender, "not_found", mail)

    def refuse_question(self, key: str, mail: Mail, id: str, why: str) -> None:
        """Answer a query to the workflow ``id``, or an update of it, whose code cannot run."""
        self._answer(key, mail, QueryError(id, why))
        if mail.is_stored:
            self._partition.draft.messages_removed.append(mail.id)
        self._partition.wake()

    # --- Contents ---

    def _start(self, instance: Instance, mail: Mail, content: object, now: float) -> Iterator[None]:
        if instance.start is None or instance.state is not State.READY:
            return
        withdrawn = instance.withdrawal if instance.header.run == 1 else None
        if withdrawn is not None:
            # Cancelled before it started: it never does.
            instance.mail.remove(withdrawn)
            yield from self.taking(instance, withdrawn)
            return
        header, carried = instance.header, instance.carried
        fact = RunStarted(
            time=now,
            workflow=header.workflow,
            id=header.id,
            instance=header.instance,
            run=header.run,
            queue=header.queue,
            input=instance.start,
            parent=header.parent,
            signals=() if carried is None else carried.signals,
            context=header.context,
            attributes=header.attributes if header.attributes is not None else NULL,
            cancel_reason=None if carried is None else carried.cancel_reason,
        )
        pending, instance.start = instance.start, None
        instance.started_at = now
        instance.wake_at = None
        if not (yield from self._turn(instance, fact, mail)):
            instance.start, instance.started_at = pending, None

    def _timer(self, instance: Instance, mail: Mail, content: TimerDue, now: float) -> Iterator[None]:
        if instance.state is not State.READY or instance.run is None:
            return
        if instance.start is not None and instance.wake_at is not None and instance.wake_at <= now:
            yield from self._start(instance, mail, content, now)
            return
        partition = self._partition
        if instance.start is None and instance.deadlines:
            partition.deadlines.check(instance, now)
            self._set_timer(instance)
        if instance.wake_at == content.at and content.at > now:
            # The clock went back since. (Any other entry than the one set last is an old one: it ends here.)
            partition.push_timer(content.at, instance.key)

    def _activity(self, instance: Instance, mail: Mail, content: ActivityOutcome, now: float) -> Iterator[None]:
        if not mail.is_stored:
            self._partition.draft.tasks_removed.append(TaskKey(instance.key, content.run, content.call))
        if not self._is_expected(instance, content.run, is_open=content.call in instance.ledger.activities):
            return
        fact: Fact
        if content.is_cancelled and content.call in instance.ledger.unwanted:
            fact = ActivityCancelled(now, content.call)
        elif content.is_cancelled:
            failure = instance.overdue.pop(content.call, None) or failure_of(None)
            fact = ActivityFailed(now, content.call, failure, content.attempt, SCHEDULE_TO_CLOSE)
        elif content.failure is not None:
            fact = ActivityFailed(now, content.call, content.failure, content.attempt, content.deadline)
        else:
            fact = ActivityCompleted(now, content.call, content.result)
        yield from self._turn(instance, fact, mail)

    def _child(self, instance: Instance, mail: Mail, content: ChildOutcome, now: float) -> Iterator[None]:
        if self._is_expected(instance, content.run, is_open=content.call in instance.ledger.children):
            if content.failure is not None:
                yield from self._turn(instance, ChildFailed(now, content.call, content.failure), mail)
            else:
                yield from self._turn(instance, ChildCompleted(now, content.call, content.result), mail)

    def _child_accepted(self, instance: Instance, mail: Mail, content: ChildAccepted, now: float) -> Iterator[None]:
        if self._is_expected(instance, content.run, is_open=content.call in instance.ledger.children):
            yield from self._turn(instance, ChildStarted(now, content.call), mail)

    def _request(self, instance: Instance, mail: Mail, content: RequestOutcome, now: float) -> Iterator[None]:
        if self._is_expected(instance, content.run, is_open=content.call in instance.ledger.requests):
            if content.reason is None:
                yield from self._turn(instance, RequestCompleted(now, content.call), mail)
            else:
                yield from self._turn(instance, RequestFailed(now, content.call, content.reason), mail)

    def _signal(self, instance: Instance, mail: Mail, content: Signal, now: float) -> Iterator[None]:
        if mail.id in instance.ledger.taken:
            self._acknowledge(instance, mail, content.sender)
            return
        fact = SignalReceived(now, content.name, content.payload, mail.id)
        if instance.state is State.READY:
            if (yield from self._turn(instance, fact, mail)):
                self._acknowledge(instance, mail, content.sender)
        elif mail.is_stored and mail.done is None and content.sender is None:
            # It was acknowledged while the run was still open: it must stand in the history, if only at its end. At
            # that time: the clock of this node may be behind that of the one where the run ended.
            instance.note([attrs.evolve(fact, time=instance.closed_at or now)])
            self._partition.touch(instance)
        else:
            self._refuse(instance, mail, content.sender)

    def _cancel(self, instance: Instance, mail: Mail, content: Cancel, now: float) -> Iterator[None]:
        if instance.state is not State.READY:
            self._refuse(instance, mail, content.sender)
        elif (yield from self._request_cancel(instance, CancelRequested(now, content.reason), mail)):
            self._acknowledge(instance, mail, content.sender)

    def _parent_closed(self, instance: Instance, mail: Mail, content: ParentClosed, now: float) -> Iterator[None]:
        if content.policy is ParentClose.TERMINATE:
            yield from self._terminate(instance, mail, Terminate("the parent ended"), now)
        elif instance.state is State.READY:
            yield from self._request_cancel(instance, CancelRequested(now, "the parent ended"), mail)

    def _request_cancel(self, instance: Instance, fact: CancelRequested, mail: Mail) -> Generator[None, None, bool]:
        # A run that has not started is ended by the fact, and never starts.
        pending, instance.start = instance.start, None
        if (yield from self._turn(instance, fact, mail)):
            return True
        instance.start = pending
        return False

    def _terminate(self, instance: Instance, mail: Mail, content: Terminate, now: float) -> Iterator[None]:
        if instance.state is State.CLOSED:
            self._refuse(instance, mail, None)
            return
        failure = Failure("wfactors.errors.WorkflowTerminated", content.reason or "terminated", kind="terminated")
        yield from self._end(instance, RunTerminated(now, content.reason, failure))
        self._acknowledge(instance, mail, None)

    def _resume(self, instance: Instance, mail: Mail, content: Resume, now: float) -> None:
        # Loading it is what resumes it; by now it has been loaded.
        if instance.state is State.CLOSED:
            self._refuse(instance, mail, None)
        else:
            self._acknowledge(instance, mail, None)

    def _started_child(self, instance: Instance, mail: Mail, content: StartChild, now: float) -> None:
        parent = content.parent
        body = ChildAccepted(parent.run, parent.call)
        self._partition.send(parent.partition, parent.instance, body, f"{instance.key}/accepted")

    # --- Questions ---

    def _update(self, instance: Instance, mail: Mail, content: Update, now: float) -> Iterator[None]:
        partition = self._partition
        if instance.state is not State.READY or instance.run is None:
            self._answer(instance.key, mail, WorkflowClosed(instance.header.id, instance.status.value))
            return
        if mail.id in instance.ledger.taken:
            self._answer_again(instance, mail)
            return
        try:
            self._author_code.call(instance.header.id, partial(instance.check_update, content.name, content.input))
        except UpdateRejected as error:
            self._answer(instance.key, mail, error)
            if instance.run.is_spoiled:
                # Its validator changed what it should only look at, and a refused update leaves no trace.
                partition.replay_again(instance)
            return
        except BaseException as error:
            self._answer(
                instance.key, mail, UpdateRejected(instance.header.id, f"update {content.name!r}: {_reason(error)}")
            )
            partition.replay_again(instance)
            return
        if mail.done is not None:
            instance.update_waiters[mail.id] = mail.done
        yield from self._turn(instance, UpdateReceived(now, mail.id, content.name, content.input), mail)
        partition.touch(instance)

    def _answer_again(self, instance: Instance, mail: Mail) -> None:
        """The update is in the history; its answer was lost, with an owner for example."""
        if mail.done is not None:
            instance.update_waiters[mail.id] = mail.done
        answer = instance.ledger.answers.get(mail.id)
        if answer is not None:
            self._partition.effects.apply(instance, [answer])

    def _query(self, instance: Instance, mail: Mail, content: Query, now: float) -> None:
        if instance.run is None:
            mail.is_taken = False
            if instance.state is State.PARKED:
                mail.is_taken = True
                self._answer(
                    instance.key, mail, QueryError(instance.header.id, f"the workflow is parked: {instance.parked}")
                )
            else:
                self._partition.reload_for_query(instance, mail)
            return
        answer: object
        try:
            ask = partial(instance.query, content.name, content.input)
            answer = self._author_code.call(instance.header.id, ask)
        except QueryError as error:
            answer = error
            is_spoiled = instance.run.is_spoiled
        except BaseException as error:
            # Interrupted, or SystemExit and its like: nobody knows what it has left undone.
            answer = QueryError(instance.header.id, f"query {content.name!r}: {_reason(error)}")
            is_spoiled = True
        else:
            is_spoiled = instance.run.is_spoiled
        self._answer(instance.key, mail, answer)
        if is_spoiled:
            # It changed what it should only look at: build the run again from the history.
            self._partition.replay_again(instance)

    def _answer(self, key: str, mail: Mail, answer: object) -> None:
        draft = self._partition.draft
        if mail.done is not None:
            self._partition.after_commit(partial(mail.done, answer))
        elif mail.is_stored:
            if isinstance(answer, Exception):
                data = encode_value({"error": type(answer).__name__, "message": str(answer)})
            else:
                data = encode_value({"result": answer})
            id = mail.content.reply_to if isinstance(mail.content, Query) else mail.id
            draft.replies.append(Reply(id, key, data, self._partition.clock.now() + _REPLY_SECONDS))

    def _acknowledge(self, instance: Instance, mail: Mail, sender: Sender | None) -> None:
        if mail.done is not None:
            self._partition.after_commit(partial(mail.done, None))
        if sender is not None:
            self._reply_to(sender, None, mail)

    def _refuse(self, instance: Instance, mail: Mail, sender: Sender | None) -> None:
        if mail.done is not None:
            error = WorkflowClosed(instance.header.id, instance.status.value)
            self._partition.after_commit(partial(mail.done, error))
        if sender is not None:
            self._reply_to(sender, instance.status.value, mail)

    def _reply_to(self, sender: Sender, reason: str | None, mail: Mail) -> None:
        body = RequestOutcome(sender.run, sender.call, reason)
        self._partition.send(sender.partition, sender.instance, body, f"{mail.id}/answer")

    # --- The turn itself ---

    def _is_expected(self, instance: Instance, run: int, *, is_open: bool) -> bool:
        return instance.state is State.READY and run == instance.header.run and is_open

    def _turn(self, instance: Instance, fact: Fact, mail: Mail | None = None) -> Generator[None, None, bool]:
        """Feed one fact and do what the decisions ask for; False if the instance had to be parked instead.

        Between two parts mail may arrive, and waits. Nothing else of this partition is decided or sealed meanwhile.
        """
        assert instance.run is not None
        partition = self._partition
        if instance.trace is not None and mail is not None:
            instance.trace.link(mail)
        # From now on it has something to be written, so it does not leave memory between two parts.
        partition.touch(instance)
        time = None if partition.reporter is None else TurnTime()
        try:
            decisions = yield from instance.feed(self._author_code, fact, time)
            if partition.reporter is not None and time is not None:
                partition.reporter.turn(time.seconds)
            events = [fact, *decisions]
            encoded = encode_run_of_events(events) if len(events) <= _EVENTS_AT_ONCE else None
        except TurnInterrupted as error:
            self._park(instance, mail, f"TurnInterrupted: a turn took too long\n{error}")
            return False
        except Exception as error:
            _log.exception("workflow %s: a turn crashed", instance.header.id)
            self._park(instance, mail, _reason(error))
            return False
        rest: Iterator[None] | None
        if encoded is not None:
            instance.note(events, encoded)
            rest = partition.effects.apply(instance, decisions)
        else:
            rest = yield from self._carry_out(instance, events)
        if instance.state is State.READY:
            rest = self._after(instance)
        if rest is not None:
            yield from rest
        return True

    def _carry_out(self, instance: Instance, events: Sequence[Event]) -> Generator[None, None, Iterator[None] | None]:
        """Note many events and carry them out, some at each step; what fails on the way is a fault of the engine."""
        parts = [events[start : start + _EVENTS_AT_ONCE] for start in range(0, len(events), _EVENTS_AT_ONCE)]
        for part in parts:
            instance.note(part)
            yield
        rest: Iterator[None] | None = None
        for part in parts:
            rest = self._partition.effects.apply(instance, part)
            yield
        return rest

    def _after(self, instance: Instance) -> Iterator[None] | None:
        """See what the turn has left; returns the rest of the run's end if it ends here."""
        assert instance.run is not None
        if instance.start is not None:
            return None
        self._set_timer(instance)
        limits, ledger = self._partition.limits, instance.ledger
        if instance.events > limits.history_events_max:
            error = HistoryTooLong(instance.events, limits.history_events_max)
            failure = Failure(f"{HistoryTooLong.__module__}.HistoryTooLong", str(error))
            return self._end(instance, RunTerminated(instance.time, "history too long", failure))
        if instance.events > limits.history_events_warning and not instance.warned:
            instance.warned = True
            _log.warning(
                "workflow %s has %d events; it fails at %d: use wf.continue_as_new()",
                instance.header.id,
                instance.events,
                limits.history_events_max,
            )
        elif instance.wake_at is None and not (ledger.activities or ledger.children or ledger.requests):
            reason = instance.run.stuck_reason()
            if reason is not None:
                self._park(instance, None, _reason(WorkflowStuckError(reason)))
        return None

    def _set_timer(self, instance: Instance) -> None:
        deadline = instance.next_deadline
        wake_at = None if deadline == _NEVER else deadline
        if wake_at != instance.wake_at:
            instance.wake_at = wake_at
            if wake_at is not None:
                self._partition.push_timer(wake_at, instance.key)

    def _end(self, instance: Instance, event: RunTerminated) -> Iterator[None]:
        """End the run without its code taking part."""
        instance.time = max(instance.time, event.time)
        instance.start = None
        instance.note([event])
        self._partition.touch(instance)
        rest = self._partition.effects.apply_end(instance, event)
        instance.drop_run()
        if rest is not None:
            yield from rest

    def _park(self, instance: Instance, mail: Mail | None, reason: str) -> None:
        self._partition.parking.park(instance, reason)
        if mail is not None:
            mail.is_taken = False
            self._partition.parking.keep(instance, mail)


_NEVER = float("inf")
_FINISHED = True


def _reason(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()
