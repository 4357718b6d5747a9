"""Bring instances into memory: read the history, replay it, a millisecond at a time."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import trio

from wfactors.actors.author_code import AuthorCode
from wfactors.actors.instance import Instance, State
from wfactors.actors.mail import Mail, Start, is_terminating
from wfactors.actors.parking import EngineFault
from wfactors.actors.watchdog import TurnInterrupted
from wfactors.errors import StoreCorrupt, StoreUnavailable, WfactorsError
from wfactors.model.events import DECISIONS, Decision, Event, Fact, RunContinued, RunStarted, SignalReceived
from wfactors.model.failures import Failure
from wfactors.model.messages import ActivityOutcome, Cancel, ChildOutcome, ParentClosed, Query, Resume, StartChild
from wfactors.model.records import Append, CreateRequest, HeaderRow, TaskKey
from wfactors.model.status import Status
from wfactors.model.wire import decode_events, decode_events_in_parts
from wfactors.pace import Pace
from wfactors.workflow import open_run

if TYPE_CHECKING:
    from wfactors.actors.ledger import Ledger
    from wfactors.actors.partition import Partition

__all__ = ["Loader", "turns_of"]

_log = logging.getLogger("wfactors.loader")
_RETRY_SECONDS = 0.5
_EVENTS_AT_ONCE = 256
_RESEND_SECONDS = 600.0


class Loader:
    """Replays the instances of one partition that are asked for.

    One after the other, in the order in which they were asked for: so late timers fire in the order of their time.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._wanted: deque[Instance] = deque()
        self._arrived = trio.Event()
        self._author_code = AuthorCode(partition.watchdog)

    def request(self, instance: Instance) -> None:
        """Load the instance, whose state is LOADING; ``partition.loaded`` is called when it is there."""
        assert instance.state is State.LOADING, instance.state
        self._wanted.append(instance)
        self._arrived.set()

    async def run(self) -> None:
        """Load what is asked for until cancelled."""
        while True:
            while not self._wanted:
                self._arrived = trio.Event()
                await self._arrived.wait()
            instance = self._wanted[0]
            try:
                await self._load(instance)
            except StoreUnavailable as error:
                _log.warning("workflow %s cannot be loaded for now: %s", instance.key, error)
                await trio.sleep(_RETRY_SECONDS)
            else:
                self._wanted.popleft()

    def open(self, instance: Instance) -> None:
        """Make the kernel's run of an instance; raises UnknownWorkflow, and EngineFault if it is condemned."""
        header = instance.header
        self._partition.parking.check(instance.key)
        application = self._partition.application
        definition = application.registry.workflow(header.workflow)
        instance.run = open_run(application, definition, instance=header.instance, run=header.run, queue=header.queue)

    async def _load(self, instance: Instance) -> None:
        partition = self._partition
        # What the store has must be all there is.
        while instance.is_dirty or instance.pins:
            await partition.journal.wait_idle()
            await trio.lowlevel.checkpoint()
        header = await self._header(instance)
        if header is None:
            return
        was_parked = header.parked is not None
        instance.adopt(header)
        is_condemned = partition.parking.is_condemned(instance.key)
        if header.status is Status.OPEN and not is_condemned and not _wants_code(instance, was_parked=was_parked):
            await self._read_ledger(instance)
            instance.state = State.PARKED
            partition.loaded(instance)
            return
        try:
            await self._bring_up(instance, was_parked=was_parked)
        except StoreUnavailable:
            instance.drop_run()
            raise
        except (WfactorsError, TurnInterrupted, EngineFault) as error:
            await self._give_up(instance, error)
        except Exception as error:
            _log.exception("workflow %s could not be replayed", header.id)
            await self._give_up(instance, error)
        else:
            self._ready(instance, was_parked=was_parked)

    async def _bring_up(self, instance: Instance, *, was_parked: bool) -> None:
        """Replay the run, and fetch what else it needs before it may go on."""
        header, partition = instance.header, self._partition
        if header.status is Status.OPEN or self._is_queried(instance):
            self.open(instance)
            await self._replay(instance)
            if instance.ledger.activities and (was_parked or header.wake_at is not None):
                await partition.deadlines.read(instance)
        else:
            # A signal may come that its history has already: sent again while the run was open, and late.
            await self._read_ledger(instance)
        if header.run > 1:
            await self._read_last_runs(instance)
        if was_parked:
            # Older than whatever has reached the mailbox meanwhile.
            instance.mail.extendleft(reversed(await partition.intake.kept_mail(instance.key)))

    async def _header(self, instance: Instance) -> HeaderRow | None:
        """Its header; None if there is none, or none that can be read, and the instance has left memory."""
        try:
            header = await self._partition.store.header(instance.key)
            if header is None:
                header = await self._create(instance)
        except StoreCorrupt as error:
            self._leave_alone(instance, error)
            return None
        if header is None:
            self._drop_unknown(instance)
        return header

    def _leave_alone(self, instance: Instance, error: StoreCorrupt) -> None:
        """Nothing of it can be read, so it cannot even be parked: its mail stays in the inbox, clients are told."""
        partition = self._partition
        _log.error("workflow %s cannot be loaded: %s", instance.key, error)
        for mail in instance.mail:
            if mail.done is not None:
                partition.after_commit(partial(mail.done, error))
            elif isinstance(mail.content, Query):
                partition.turns.refuse_question(instance.key, mail, instance.key, str(error))
            else:
                partition.parking.keep(instance, mail)
        instance.mail.clear()
        instance.state = State.CLOSED
        partition.forget(instance)
        partition.wake()

    async def _give_up(self, instance: Instance, error: BaseException) -> None:
        # Replay has stopped somewhere; whoever ends the run must know all that it has begun.
        await self._read_ledger(instance)
        partition, reason = self._partition, f"{type(error).__name__}: {error}"
        if instance.status is Status.OPEN:
            partition.parking.park(instance, reason)
        else:
            # Only queries wanted its code: they fail, and everything else is refused as by any closed instance.
            why = (
                f"the workflow is closed ({instance.status.value}), and its history cannot be replayed for the query "
                f"with the code now loaded: {reason}"
            )
            instance.drop_run()
            instance.state = State.CLOSED
            mail, instance.mail = instance.mail, deque()
            for item in mail:
                if isinstance(item.content, Query):
                    partition.turns.refuse_question(instance.key, item, instance.header.id, why)
                else:
                    instance.mail.append(item)
        partition.loaded(instance)

    def _ready(self, instance: Instance, *, was_parked: bool) -> None:
        partition = self._partition
        partition.loads += 1
        instance.state = State.READY if instance.status is Status.OPEN else State.CLOSED
        if instance.state is State.READY:
            instance.parked = None
            # Code that has changed, and a row of before there was the column, may tell other signals than it waits for.
            if was_parked or instance.awaited != instance.header.awaited:
                partition.touch(instance)
            assert instance.run is not None
            resumes = [mail for mail in instance.mail if isinstance(mail.content, Resume)]
            for mail in resumes:
                instance.mail.remove(mail)
            if instance.start is not None:
                now = partition.clock.now()
                if instance.wake_at is None or instance.wake_at <= now:
                    instance.mail.appendleft(Mail(Start()))
                else:
                    partition.push_timer(instance.wake_at, instance.key)
            elif instance.next_deadline != float("inf"):
                instance.wake_at = instance.next_deadline
                partition.push_timer(instance.wake_at, instance.key)
            # It has been resumed, whatever becomes of it in its next turn.
            instance.mail.extendleft(resumes)
        partition.loaded(instance)

    async def _replay(self, instance: Instance) -> None:
        header, run = instance.header, instance.run
        assert run is not None
        partition = self._partition
        appends = await partition.store.history(header.instance, header.run)
        pace = Pace()
        for append in appends:
            where = f"history of {header.id!r} from event {append.first}"
            if append.first != run.events:
                raise StoreCorrupt(f"{where}: events {run.events} to {append.first - 1} are missing")
            events = await _read(append, where, instance.ledger)
            if len(events) != append.count:
                raise StoreCorrupt(f"{where}: holds {len(events)} events, not {append.count}")
            for fact, decisions in turns_of(events):
                if self._author_code.call(header.id, partial(run.begin, fact, decisions)) is None:
                    for _ in self._author_code.rest_of_turn(header.id, run):
                        await pace.keep()
                if instance.trace is not None:
                    instance.trace.recall([fact, *decisions], run.calls.spans)
                instance.time = max(instance.time, fact.time)
                await pace.keep()
        if run.events != header.events:
            raise StoreCorrupt(f"history of {header.id!r} ends at event {run.events}, not at {header.events}")

    async def _read_last_runs(self, instance: Instance) -> None:
        """What a young run must know of those before: the signals the last one handed on, the messages they took in.

        A client whose answer got lost sends its message again, soon, and maybe to a later run.
        """
        header = instance.header
        number, ended_at = header.run - 1, header.created_at
        now = self._partition.clock.now()
        is_unread = header.start is not None
        while number and (is_unread or now - ended_at < _RESEND_SECONDS):
            began_at, pace = -math.inf, Pace()
            for append in await self._partition.store.history(header.instance, number):
                await pace.keep()
                for event in await _read(append, f"history of {header.id!r}, run {number}"):
                    if isinstance(event, RunStarted):
                        began_at = event.time
                    elif isinstance(event, SignalReceived):
                        instance.ledger.taken.add(event.message)
                    elif isinstance(event, RunContinued) and is_unread:
                        instance.carried = event
            is_unread = False
            number, ended_at = number - 1, began_at

    async def _read_ledger(self, instance: Instance) -> None:
        """Learn what the run has begun, as far as its history can be read, without running its code."""
        header, pace = instance.header, Pace()
        instance.begin_ledger()
        try:
            for append in await self._partition.store.history(header.instance, header.run):
                events = await _read(append, f"history of {header.id!r} from event {append.first}", instance.ledger)
                await pace.keep()
                if instance.trace is not None:
                    instance.trace.recall(events, None)
                # Whoever ends it now must not be earlier than what has happened.
                instance.time = max(instance.time, *(getattr(event, "time", 0.0) for event in events))
        except StoreCorrupt as error:
            _log.warning("workflow %s: %s", header.id, error)

    @staticmethod
    def _is_queried(instance: Instance) -> bool:
        return any(isinstance(mail.content, Query) for mail in instance.mail)

    # --- Children by way of the inbox ---

    async def _create(self, instance: Instance) -> HeaderRow | None:
        """Create a child whose start lies in the mailbox; None if there is none, or if its id is taken."""
        mail = next((item for item in instance.mail if isinstance(item.content, StartChild)), None)
        if mail is None:
            return None
        body = mail.content
        assert isinstance(body, StartChild)
        partition = self._partition
        header = HeaderRow(
            instance=instance.key,
            run=1,
            id=body.id,
            workflow=body.workflow,
            queue=body.queue,
            partition=partition.name,
            root_id=body.root_id,
            created_at=partition.clock.now(),
            wake_at=partition.clock.now(),
            start=body.input,
            parent=body.parent,
            parent_close=body.parent_close,
            attributes=None if bytes(body.attributes) == b"null" else body.attributes,
            context=body.context,
        )
        outcome = (await partition.store.create([CreateRequest(header)]))[0]
        if outcome.created:
            return outcome.header
        failure = Failure(
            "wfactors.errors.WorkflowAlreadyStarted", f"workflow {body.id!r} is already open", is_permanent=True
        )
        parent = body.parent
        answer = ChildOutcome(parent.run, parent.call, failure=failure)
        partition.send(parent.partition, parent.instance, answer, f"{instance.key}/refused")
        return None

    def _drop_unknown(self, instance: Instance) -> None:
        """Mail for an instance that does not exist (any more): take it out of the inbox."""
        partition = self._partition
        for mail in instance.mail:
            mail.is_taken = True
            content = mail.content
            if mail.is_stored:
                partition.draft.messages_removed.append(mail.id)
            elif isinstance(content, ActivityOutcome):
                partition.draft.tasks_removed.append(TaskKey(instance.key, content.run, content.call))
            partition.turns.refuse_unknown(instance.key, mail)
        instance.mail.clear()
        instance.state = State.CLOSED
        partition.forget(instance)
        partition.wake()


async def _read(append: Append, where: str, ledger: Ledger | None = None) -> list[Event]:
    """The events of one row, which ``ledger`` takes note of. Those of a large turn do not hold the loop."""
    is_small = append.count < _EVENTS_AT_ONCE
    parts = [decode_events(append.data, where)] if is_small else decode_events_in_parts(append.data, where)
    events, pace = [], Pace()
    for part in parts:
        if ledger is not None:
            ledger.note(part)
        events += part
        await pace.keep()
    return events


def turns_of(events: list[Event]) -> Iterator[tuple[Fact, list[Decision]]]:
    """Group a history into turns: each fact with the decisions stored directly after it."""
    fact: Fact | None = None
    decisions: list[Decision] = []
    for event in events:
        if isinstance(event, DECISIONS):
            decisions.append(event)  # type: ignore[arg-type]
        else:
            if fact is not None:
                yield fact, decisions
            fact, decisions = event, []  # type: ignore[assignment]
    if fact is not None:
        yield fact, decisions


def _wants_code(instance: Instance, *, was_parked: bool) -> bool:
    """Whether what lies in the mailbox of an open instance needs its code; terminating it comes first and does not."""
    for mail in list(instance.mail):
        if is_terminating(mail.content):
            instance.mail.remove(mail)
            instance.mail.appendleft(mail)
            return False
    return not was_parked or any(isinstance(mail.content, Resume | Cancel | ParentClosed) for mail in instance.mail)
