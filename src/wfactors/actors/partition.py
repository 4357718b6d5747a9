"""The owner of one partition: routes mail and timers to instances, runs their turns, and seals batches.

Only the dispatcher runs turns, so between two turns everything is consistent. It works in slices of about a
millisecond, because a writer thread of the store needs the interpreter too (and so does everybody else on the loop).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from wfactors.actors.activities import Activities
from wfactors.actors.clock import Clock
from wfactors.actors.closing import RunCloser
from wfactors.actors.deadlines import Deadlines
from wfactors.actors.draft import Action, Draft
from wfactors.actors.effects import Effects
from wfactors.actors.errands import Errands
from wfactors.actors.eviction import Eviction
from wfactors.actors.instance import Instance, State
from wfactors.actors.intake import Intake
from wfactors.actors.journal import Journal, JournalStatistics
from wfactors.actors.loader import Loader
from wfactors.actors.mail import Mail, Start, TimerDue
from wfactors.actors.parking import EngineFault, Parking
from wfactors.actors.replay_check import ReplayCheck
from wfactors.actors.timers import Timers
from wfactors.actors.turns import Turns
from wfactors.actors.unserved import Unserved
from wfactors.actors.watchdog import Watchdog
from wfactors.errors import LeaseLost
from wfactors.model.ids import partition_of
from wfactors.model.limits import Limits
from wfactors.model.messages import ActivityOutcome, Body, Message, Query
from wfactors.model.records import HeaderRow, Lease, TaskKey
from wfactors.pace import Pace
from wfactors.stores.base import Store
from wfactors.workflow import Application

if TYPE_CHECKING:
    from wfactors.telemetry.reporter import Reporter

__all__ = ["Partition", "PartitionContext", "PartitionStatistics"]

T = TypeVar("T")

_ITEMS_AT_ONCE = 64
_TURNS_UNSEALED_MAX = 2_000


@attrs.frozen
class PartitionContext:
    """What every partition of a node shares, and what outlives this one.

    Attributes:
        reporter: Told of spans and metrics, if anybody wants them.
        condemned: See ``Parking``.
    """

    store: Store
    clock: Clock
    application: Application
    activities: Activities
    watchdog: Watchdog
    closer: RunCloser
    limits: Limits
    node: str
    partitions_per_queue: int = 1
    replay_check: ReplayCheck | None = None
    reporter: Reporter | None = None
    condemned: dict[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen
class PartitionStatistics:
    """Figures since the partition was taken over."""

    partition: str
    epoch: int
    resident: int
    parked: int
    ready: int
    turns: int
    timers: int
    evictions: int
    loads: int
    journal: JournalStatistics


class Partition:
    """One partition under one lease. When it stops, for whatever reason, all it knows is dropped.

    Args:
        context: What the partitions of the node share.
        lease: The epoch it is owned under.
    """

    def __init__(self, context: PartitionContext, lease: Lease) -> None:
        self.name = lease.partition
        self.store = context.store
        self.clock = context.clock
        self.application = context.application
        self.activities = context.activities
        self.watchdog = context.watchdog
        self.closer = context.closer
        self.limits = context.limits
        self.node = context.node
        self.reporter = reporter = context.reporter
        self._tracer = reporter if reporter is not None and reporter.is_tracing else None
        self.draft = Draft()
        self.residents: OrderedDict[str, Instance] = OrderedDict()
        self.journal = Journal(context.store, self.wake, self.reporter)
        self.effects = Effects(self)
        self.turns = Turns(self)
        self.eviction = Eviction(self)
        self.timers = Timers(self)
        self.errands = Errands(self.name)
        self.deadlines = Deadlines(self)
        self.unserved = Unserved(context.store, self.errands)
        self.loader = Loader(self)
        self.intake = Intake(self)
        self.parking = Parking(self, context.condemned)
        self._partitions_per_queue = context.partitions_per_queue
        self._replay_check = context.replay_check
        self._epoch = lease.epoch
        self._sequence = lease.sequence
        self._ready: deque[Instance] = deque()
        self._dirty: list[Instance] = []
        self._loose: list[tuple[str, Mail]] = []
        self._wake = trio.Event()
        self._is_dispatching = False
        self._waiters: set[Callable[[object], None]] = set()
        self._turning: Instance | None = None
        self._turns_unsealed = 0
        self._turn_count = 0
        self.loads = 0

    # --- Life ---

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the partition until cancelled; raises LeaseLost when it is another's.

        Cancelled or crashed, it drops everything in memory: the next owner replays.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.journal.run)
                await self.intake.recover()
                nursery.start_soon(self.loader.run)
                nursery.start_soon(self.errands.run)
                # What was cancelled before it is due must not start.
                nursery.start_soon(self.intake.run, partial(nursery.start_soon, self.timers.run))
                nursery.start_soon(self.intake.watch_nodes)
                nursery.start_soon(self._dispatch)
                task_status.started()
        finally:
            self._drop_everything()

    async def flush(self) -> None:
        """Finish the turns that wait and write what was decided; for an ordered shutdown.

        A partition that is still being taken over has decided nothing. Cancelled, it leaves the rest to the next owner.
        """
        self._wake.set()
        while self._is_dispatching and (self._has_unsealed or not self.journal.is_idle):
            await self.journal.wait_idle()
            await trio.lowlevel.checkpoint()

    def _drop_everything(self) -> None:
        self._is_dispatching = False
        for instance in self.residents.values():
            instance.drop_run()
        self.residents.clear()
        waiters, self._waiters = self._waiters, set()
        for done in waiters:
            done(LeaseLost(f"partition {self.name} is no longer owned here"))

    # --- What clients, activities and neighbours bring ---

    def ask(self, key: str, content: Body, id: str, done: Callable[[object], None]) -> None:
        """Bring a client's message; ``done`` is called once, with the answer or the error, after the commit.

        If the partition stops first, ``done`` gets LeaseLost: ask the next owner, with the same id.
        """
        self._waiters.add(done)
        known = self.residents.get(key)
        if known is not None and known.state is State.CLOSED and known.is_idle and not isinstance(content, Query):
            # It may have been removed since it was read.
            self.forget(known)

        def answered(answer: object) -> None:
            if done in self._waiters:
                self._waiters.remove(done)
                done(answer)

        self.intake.admit(key, Mail(content, id, done=answered))

    def adopt(self, header: HeaderRow) -> None:
        """A client has just created this instance in the store: begin at once instead of finding it."""
        if header.instance not in self.residents and header.start is not None:
            instance = self._resident(header)
            if header.wake_at is not None and header.wake_at > self.clock.now():
                self.push_timer(header.wake_at, header.instance)
            else:
                instance.mail.append(Mail(Start()))
            self.begin(instance)

    def receive_outcome(self, key: TaskKey, outcome: ActivityOutcome) -> None:
        """An activity that this node ran has ended; the batch that takes it in removes its task."""
        self.deliver_to(key.instance, Mail(outcome))

    def deliver_to(self, key: str, mail: Mail) -> None:
        """Put mail into an instance's mailbox, loading the instance if it is not resident."""
        instance = self.residents.get(key)
        if instance is None:
            instance = self.new_resident(key)
            self.loader.request(instance)
        self.deliver(instance, mail)

    def deliver(self, instance: Instance, mail: Mail) -> None:
        """Put mail into the mailbox of a resident instance."""
        instance.mail.append(mail)
        if mail.id and mail.done is None and not mail.is_stored:
            self._loose.append((instance.key, mail))
        self.queue(instance)

    def queue(self, instance: Instance) -> None:
        """Have the dispatcher take in the mail of an instance, unless there is none, or it is being loaded."""
        if instance.mail and not instance.is_queued and instance.state is not State.LOADING:
            instance.is_queued = True
            self._ready.append(instance)
            self._wake.set()

    def send(self, partition: str, key: str, body: Body, id: str) -> None:
        """Send to an instance of this partition, ahead of the commit, or to one of another, with it."""
        if partition == self.name:
            self.deliver_to(key, Mail(body, id))
        else:
            self.draft.messages.append(Message(id, partition, key, body))
            self._wake.set()

    # --- For turns and effects ---

    def partition_of(self, queue: str, root_id: str) -> str:
        """The name of the partition of a tree of instances."""
        return str(partition_of(queue, root_id, self._partitions_per_queue))

    def touch(self, instance: Instance) -> None:
        """The instance has something to be written."""
        if not instance.is_dirty:
            instance.is_dirty = True
            self._dirty.append(instance)
            self._wake.set()

    def after_commit(self, action: Action) -> None:
        """Do this when everything decided so far is durable; at once if it is."""
        if self._has_unsealed or not self.journal.is_idle:
            self.draft.actions.append(action)
            self._wake.set()
        else:
            action()

    async def committed(self) -> None:
        """Wait until everything decided so far is durable."""
        event = trio.Event()
        self.after_commit(event.set)
        await event.wait()

    def push_timer(self, at: float, key: str) -> None:
        """Wake the instance at this time."""
        self.timers.push(at, key)

    def add_child(self, header: HeaderRow) -> None:
        """A parent in this partition starts a child in it, ahead of the commit."""
        instance = self._resident(header)
        self.touch(instance)
        instance.mail.append(Mail(Start()))
        self.begin(instance)

    def begin(self, instance: Instance) -> None:
        """Open the kernel's run of an instance that has no history yet, and queue it."""
        if instance.header.run > 1:
            self.touch(instance)
        try:
            self.loader.open(instance)
        except Exception as error:
            self.parking.park(instance, f"{type(error).__name__}: {error}")
            return
        self.queue(instance)
        self._wake.set()

    def flush_instance(self, instance: Instance) -> None:
        """Put what is unsaved of one instance into the draft."""
        append = instance.take_append()
        if append is not None:
            self.draft.appends.append(append)
        self.draft.headers.append(instance.snapshot())
        if instance.trace is not None:
            self.draft.actions += instance.trace.reports()

    def reload_for_query(self, instance: Instance, mail: Mail) -> None:
        """A closed instance is asked something: replay it."""
        instance.mail.appendleft(mail)
        instance.state = State.LOADING
        self.loader.request(instance)

    def replay_again(self, instance: Instance) -> None:
        """Drop the run and build it again from what is stored."""
        instance.drop_run()
        instance.state = State.LOADING
        self.loader.request(instance)

    def loaded(self, instance: Instance) -> None:
        """The loader is done with the instance: it is ready, closed or parked."""
        self.queue(instance)
        self.eviction.weigh(instance)
        self.eviction.make_room()

    def wake(self) -> None:
        """Let the dispatcher look whether there is something to do."""
        self._wake.set()

    def forget(self, instance: Instance) -> None:
        """The instance leaves memory."""
        if self.residents.get(instance.key) is instance:
            del self.residents[instance.key]
            self.eviction.left(instance)
        instance.drop_run()

    # --- The dispatcher ---

    @property
    def _has_unsealed(self) -> bool:
        return bool(self._dirty or self.draft.has_rows or self.draft.actions or self._ready)

    @property
    def _has_turns(self) -> bool:
        return bool(self._ready) or self.turns.is_unfinished

    @property
    def _should_seal(self) -> bool:
        # A turn that is unfinished is in the history, and what it causes is not yet in the draft: both or neither.
        if not self.journal.is_idle or self.turns.is_unfinished:
            return False
        if self._ready and self._turns_unsealed < _TURNS_UNSEALED_MAX:
            return False
        return bool(self._dirty or self.draft.has_rows or self.draft.actions)

    async def _dispatch(self) -> None:
        self._is_dispatching = True
        while True:
            if not self._has_turns and not self._should_seal:
                await self._wake.wait()
            self._wake = trio.Event()
            self._run_slice()
            if self._should_seal:
                await self._seal()
            if self._has_turns:
                await trio.lowlevel.checkpoint()

    def _run_slice(self) -> None:
        """Take in what waits, until the slice is over."""
        ready, turns = self._ready, self.turns
        pace = Pace()
        try:
            while True:
                if turns.is_unfinished:
                    turns.go_on()
                elif ready:
                    self._turning = ready.popleft()
                    self._take_one(self._turning)
                else:
                    return
                if pace.is_over:
                    return
        except Exception as error:
            assert self._turning is not None
            raise EngineFault(self._turning.key, f"{type(error).__name__}: {error}") from error

    def _take_one(self, instance: Instance) -> None:
        """Take in one item of a mailbox."""
        instance.is_queued = False
        if not instance.mail or instance.state is State.LOADING:
            return
        mail = instance.mail.popleft()
        if instance.state is State.PARKED:
            self.parking.take(instance, mail)
        else:
            self.residents.move_to_end(instance.key)
            self.turns.take(instance, mail)
            self._turn_count += 1
            self._turns_unsealed += 1
        self.queue(instance)

    async def _seal(self) -> None:
        """Make a batch of all that is decided and hand it to the journal."""
        dirty, self._dirty = self._dirty, []
        pace = Pace()
        for instance in dirty:
            instance.is_dirty = False
            instance.pins += 1
            self.flush_instance(instance)
            await pace.keep()
        self._store_loose_mail()
        draft, self.draft = self.draft, Draft()
        ours = [task for task in draft.tasks.values() if task.node == self.node]
        actions: list[Action] = []
        actions.extend(_in_parts(self.activities.settle, draft.tasks_removed))
        actions.extend(_in_parts(self.activities.start, ours))
        actions.extend(_in_parts(self.intake.removed, draft.messages_removed))
        actions.extend(draft.actions)
        actions.extend(_in_parts(self._unpin, dirty))
        draft.actions = actions
        sealed = draft.seal(self.name, self._epoch, self._sequence + 1, self._turns_unsealed)
        self._turns_unsealed = 0
        if not sealed.is_empty:
            self._sequence += 1
        self.journal.write(sealed)

    def _store_loose_mail(self) -> None:
        """Mail that ran ahead and is still unread when its cause is written becomes a row of the same batch."""
        loose, self._loose = self._loose, []
        for key, mail in loose:
            if not mail.is_taken and not mail.is_stored:
                assert not isinstance(mail.content, Start | TimerDue)
                mail.is_stored = True
                self.intake.know(mail.id)
                self.draft.messages.append(Message(mail.id, self.name, key, mail.content))

    def _unpin(self, instances: Sequence[Instance]) -> None:
        for instance in instances:
            instance.pins -= 1
            self.eviction.weigh(instance)
            if instance.state is State.CLOSED and instance.is_idle:
                self.forget(instance)
        if self._replay_check is not None:
            self._replay_check.committed(self, instances)
        self.eviction.make_room()

    # --- Figures ---

    def new_resident(self, key: str) -> Instance:
        """An actor for an instance of which nothing is known here yet."""
        instance = self.residents[key] = Instance(key, self.closer, self._tracer)
        return instance

    def _resident(self, header: HeaderRow) -> Instance:
        instance = self.new_resident(header.instance)
        instance.adopt(header)
        instance.state = State.READY
        return instance

    def statistics(self) -> PartitionStatistics:
        """Figures since the partition was taken over."""
        return PartitionStatistics(
            partition=self.name,
            epoch=self._epoch,
            resident=len(self.residents),
            parked=sum(1 for instance in self.residents.values() if instance.state is State.PARKED),
            ready=len(self._ready) + self.turns.is_unfinished,
            turns=self._turn_count,
            timers=len(self.timers),
            evictions=self.eviction.count,
            loads=self.loads,
            journal=self.journal.statistics(),
        )


def _in_parts(function: Callable[[Sequence[T]], None], items: Sequence[T]) -> Iterator[Action]:
    """Calls of ``function`` that do some of the items each, so that the journal can pause between them."""
    for start in range(0, len(items), _ITEMS_AT_ONCE):
        yield partial(function, items[start : start + _ITEMS_AT_ONCE])
