"""What the decisions of a turn ask for: rows in the draft, mail for neighbours, actions after the commit.

Inside the partition a message runs ahead of the commit; the journal stores it if it is still unread when the batch
that caused it is sealed. Everything that leaves the partition (an activity, a child whose id people chose, a signal to
somebody elsewhere) is a row of the batch and begins after the commit.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from wfactors.actors.instance import Instance, State
from wfactors.actors.ledger import Child
from wfactors.actors.mail import Mail, Start
from wfactors.errors import WorkflowClosed
from wfactors.model.events import (
    ActivityCancelAsked,
    ActivityScheduled,
    AttributesSet,
    CancelSent,
    ChildCancelAsked,
    ChildScheduled,
    Event,
    Parent,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunTerminated,
    SignalSent,
    UpdateCompleted,
)
from wfactors.model.failures import Failure
from wfactors.model.ids import child_key
from wfactors.model.messages import (
    ActivityOutcome,
    Body,
    Cancel,
    ChildOutcome,
    Forward,
    Message,
    ParentClosed,
    Sender,
    Signal,
    StartChild,
)
from wfactors.model.records import HeaderRow, Reply, TaskKey, TaskRow
from wfactors.model.status import ParentClose, Status
from wfactors.model.wire import encode_value

if TYPE_CHECKING:
    from wfactors.actors.partition import Partition

__all__ = ["Effects"]

_REPLY_SECONDS = 3600.0
_CALLS_AT_ONCE = 64
_FINISHED = True


class Effects:
    """Carries out the decisions of one partition's instances."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._table: dict[type, Callable[[Instance, Any], Iterator[None] | None]] = {
            ActivityScheduled: self._schedule_activity,
            ActivityCancelAsked: self._cancel_activity,
            ChildScheduled: self._start_child,
            ChildCancelAsked: self._cancel_child,
            SignalSent: self._send_signal,
            CancelSent: self._send_cancel,
            AttributesSet: self._set_attributes,
            UpdateCompleted: self._answer_update,
            RunCompleted: self._close,
            RunFailed: self._close,
            RunCancelled: self._close,
            RunContinued: self._close,
            RunTerminated: self._close,
        }

    def apply(self, instance: Instance, events: Sequence[Event]) -> Iterator[None] | None:
        """Carry out the decisions among ``events``, which are in the history; cannot fail but by a bug of the engine.

        Returns:
            The rest, if the last one ends a run with very many open calls: to be gone through, a part after each step,
            before anything else is decided or sealed.
        """
        table = self._table
        rest: Iterator[None] | None = None
        for event in events:
            action = table.get(type(event))
            if action is not None:
                rest = action(instance, event)
        return rest

    def apply_end(self, instance: Instance, event: RunTerminated) -> Iterator[None] | None:
        """Carry out the end of a run that its own code took no part in; returns the rest as ``apply`` does."""
        return self._close(instance, event)

    # --- Activities ---

    def _schedule_activity(self, instance: Instance, decision: ActivityScheduled) -> None:
        assert instance.run is not None
        partition, header, run = self._partition, instance.header, instance.run
        options = run.take_activity_options(decision.call)
        key = TaskKey(instance.key, header.run, decision.call)
        deadline = None if options.schedule_to_close is None else instance.time + options.schedule_to_close
        if deadline is not None:
            heapq.heappush(instance.deadlines, (deadline, decision.call))
        is_ours = partition.activities.reserve(key, partition.name, decision.queue, decision.activity)
        if not is_ours and not partition.activities.serves(decision.queue, decision.activity):
            partition.unserved.note(decision.queue, decision.activity)
        partition.draft.tasks[key] = TaskRow(
            key=key,
            partition=partition.name,
            queue=decision.queue,
            activity=decision.activity,
            input=decision.input,
            options=options,
            id=header.id,
            workflow=header.workflow,
            scheduled_at=instance.time,
            available_at=instance.time,
            node=partition.node if is_ours else None,
            schedule_deadline=deadline,
            context=run.context_of(decision.call),
        )

    def _cancel_activity(self, instance: Instance, decision: ActivityCancelAsked) -> None:
        self._withdraw_task(instance, decision.call)

    def _withdraw_task(self, instance: Instance, call: int) -> None:
        partition = self._partition
        key = TaskKey(instance.key, instance.header.run, call)
        unsaved = partition.draft.tasks.pop(key, None)
        if unsaved is None:
            partition.draft.tasks_cancelled.append(key)
            partition.draft.actions.append(partial(partition.activities.cancel, key))
            return
        # Nobody has seen it: it never starts.
        partition.activities.unreserve([key])
        partition.deliver(instance, Mail(ActivityOutcome(key.run, call, 1, is_cancelled=True)))

    # --- Children ---

    def _start_child(self, instance: Instance, decision: ChildScheduled) -> None:
        partition, header = self._partition, instance.header
        key = child_key(instance.key, header.run, decision.call)
        assert instance.run is not None
        context = dict(instance.run.context_of(decision.call))
        parent = Parent(partition.name, instance.key, header.run, decision.call, header.id)
        target = partition.partition_of(decision.queue, header.root_id)
        if decision.id is None and target == partition.name:
            child = HeaderRow(
                instance=key,
                run=1,
                id=key,
                workflow=decision.workflow,
                queue=decision.queue,
                partition=partition.name,
                root_id=header.root_id,
                created_at=instance.time,
                wake_at=instance.time,
                start=decision.input,
                parent=parent,
                parent_close=decision.parent_close,
                attributes=_attributes(decision.attributes),
                context=context,
            )
            partition.add_child(child)
            return
        body = StartChild(
            workflow=decision.workflow,
            id=decision.id or key,
            queue=decision.queue,
            input=decision.input,
            parent=parent,
            parent_close=decision.parent_close,
            root_id=header.root_id,
            attributes=decision.attributes,
            context=context,
        )
        self._send_out(target, key, body, f"{key}/start")

    def _cancel_child(self, instance: Instance, decision: ChildCancelAsked) -> None:
        child = instance.ledger.children.get(decision.call)
        if child is not None:
            self._tell_child(instance, child, Cancel("the parent cancelled the call"), f"{child.key}/cancel")

    def _tell_child(self, instance: Instance, child: Child, body: Body, id: str) -> None:
        target = self._partition.partition_of(child.queue, instance.header.root_id)
        if target != self._partition.name:
            self._partition.draft.messages.append(Message(id, target, child.key, body))
        elif child.id == child.key:
            self._partition.deliver_to(child.key, Mail(body, id))
        else:
            # Its start goes by way of the inbox; what follows must not overtake it.
            self._send_out(target, child.key, body, id)

    # --- Signals and cancels to others ---

    def _send_signal(self, instance: Instance, decision: SignalSent) -> None:
        context = {} if instance.trace is None else instance.trace.carrier(decision.call)
        signal = Signal(decision.name, decision.payload, context=context)
        self._request(instance, decision.call, decision.id, signal=signal)

    def _send_cancel(self, instance: Instance, decision: CancelSent) -> None:
        self._request(instance, decision.call, decision.id, cancel=Cancel(decision.reason))

    def _request(
        self, instance: Instance, call: int, id: str, *, signal: Signal | None = None, cancel: Cancel | None = None
    ) -> None:
        partition = self._partition
        sender = Sender(partition.name, instance.key, instance.header.run, call)
        body = Forward(id, sender, signal, cancel)
        self._send_out(partition.name, instance.key, body, f"{instance.key}/{sender.run}/{call}/request")

    def _send_out(self, target: str, key: str, body: Body, id: str) -> None:
        """By way of the store: durable first, then taken in by the partition it is for."""
        partition = self._partition
        partition.draft.messages.append(Message(id, target, key, body))
        if target == partition.name:
            partition.draft.actions.append(partial(partition.intake.take_own, key, Mail(body, id, is_stored=True)))

    # --- The rest ---

    def _set_attributes(self, instance: Instance, decision: AttributesSet) -> None:
        instance.attributes = decision.attributes

    def _answer_update(self, instance: Instance, decision: UpdateCompleted) -> None:
        partition = self._partition
        done = instance.update_waiters.pop(decision.update, None)
        if done is not None:
            partition.draft.actions.append(partial(done, decision))
        else:
            data = encode_value({"result": decision.result, "failure": decision.failure})
            partition.draft.replies.append(Reply(decision.update, instance.key, data, instance.time + _REPLY_SECONDS))

    def _close(
        self, instance: Instance, event: RunCompleted | RunFailed | RunCancelled | RunContinued | RunTerminated
    ) -> Iterator[None] | None:
        instance.close(event)
        if (reporter := self._partition.reporter) is not None:
            ended = partial(reporter.run_ended, instance.header.workflow, instance.status.value)
            self._partition.draft.actions.append(ended)
        waiters, instance.update_waiters = instance.update_waiters, {}
        for done in waiters.values():
            self._partition.draft.actions.append(
                partial(done, WorkflowClosed(instance.header.id, instance.status.value))
            )
        rest = self._withdraw_everything(instance, event)
        # Its first part is done.
        return None if next(rest, _FINISHED) else chain((None,), rest)

    def _withdraw_everything(self, instance: Instance, event: object) -> Iterator[None]:
        for number, call in enumerate(list(instance.ledger.activities), 1):
            self._withdraw_task(instance, call)
            if number % _CALLS_AT_ONCE == 0:
                yield
        for number, child in enumerate(list(instance.ledger.children.values()), 1):
            if child.parent_close is not ParentClose.ABANDON:
                self._tell_child(instance, child, ParentClosed(child.parent_close), f"{child.key}/parent-closed")
            if number % _CALLS_AT_ONCE == 0:
                yield
        if isinstance(event, RunContinued):
            self._continue_as_new(instance, event)
        elif instance.header.parent is not None:
            self._tell_parent(instance, instance.header.parent)

    def _tell_parent(self, instance: Instance, parent: Parent) -> None:
        if instance.status is Status.COMPLETED:
            assert instance.result is not None
            body = ChildOutcome(parent.run, parent.call, result=instance.result)
        else:
            body = ChildOutcome(parent.run, parent.call, failure=instance.failure or _terminated())
        id = f"{instance.key}/outcome"
        if parent.partition == self._partition.name:
            self._partition.deliver_to(parent.instance, Mail(body, id))
        else:
            self._partition.draft.messages.append(Message(id, parent.partition, parent.instance, body))

    def _continue_as_new(self, instance: Instance, event: RunContinued) -> None:
        self._partition.flush_instance(instance)
        instance.drop_run()
        old, taken = instance.header, instance.ledger.taken
        instance.adopt(
            HeaderRow(
                instance=old.instance,
                run=old.run + 1,
                id=old.id,
                workflow=event.workflow,
                queue=old.queue,
                partition=old.partition,
                root_id=old.root_id,
                created_at=instance.time,
                wake_at=instance.time,
                start=event.input,
                parent=old.parent,
                parent_close=old.parent_close,
                attributes=old.attributes,
                context=old.context,
            ),
            carried=event,
        )
        # Whoever did not get the answer sends the same message again, maybe to the next run.
        instance.ledger.taken |= taken
        instance.state = State.READY
        instance.mail.appendleft(Mail(Start()))
        self._partition.begin(instance)


def _terminated() -> Failure:
    return Failure("wfactors.errors.WorkflowTerminated", "terminated", kind="terminated")


def _attributes(payload: Any) -> Any:
    return None if bytes(payload) == b"null" else payload
