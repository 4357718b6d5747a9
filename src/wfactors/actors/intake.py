"""What reaches a partition by way of the store: its inbox, instances that others created, tasks that lost their node.

A stored message is taken into a mailbox once and removed by the batch that records what it caused; until then its id is
*known*, so that reading the inbox again does not deliver it twice.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from wfactors.actors.deadlines import failure_of
from wfactors.actors.mail import Mail
from wfactors.actors.parking import EngineFault
from wfactors.actors.verdict import SCHEDULE_TO_CLOSE
from wfactors.actors.watchdog import TurnInterrupted
from wfactors.errors import StoreCorrupt, StoreUnavailable
from wfactors.model.messages import ActivityOutcome, Forward, RequestOutcome, Resume, StartChild
from wfactors.model.records import InboxItem, InstanceFilter, TaskRow
from wfactors.model.status import Status
from wfactors.stores.changes import NODES_TOPIC, Subscription, inbox_topic

if TYPE_CHECKING:
    from wfactors.actors.partition import Partition

__all__ = ["Intake"]

_log = logging.getLogger("wfactors.intake")
_PAGE = 500
_RETRY_SECONDS = 0.5


class Intake:
    """Reads on behalf of one partition."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._position = 0
        self._is_to_begin_again = False
        # By id, where each was seen in the inbox; 0 while it was not.
        self._known: dict[str, int] = {}
        self._sent_again: set[str] = set()
        self._held: list[tuple[str, Mail]] = []
        # By instance: what came after the mail that the inbox keeps for it, and waits until that has been read.
        self._behind_kept: dict[str, list[Mail]] = {}
        self._is_reading = True
        self._notices: Subscription | None = None

    @property
    def _is_behind(self) -> bool:
        """Whether the inbox may hold messages that are in no mailbox yet."""
        return self._is_reading or (self._notices is not None and self._notices.has_notice)

    # --- Life ---

    async def recover(self) -> None:
        """After a takeover: tasks that nobody runs any more, parked instances that may go on with the code now here."""
        for key in self._partition.parking.condemned:
            self._partition.deliver_to(key, Mail(Resume()))
        await self._requeue_orphans()
        await self._retry_parked()

    async def run(self, ready: Callable[[], object]) -> None:
        """Take in what arrives until cancelled; calls ``ready`` once what was there before is taken in."""
        partition, has_begun = self._partition, False
        with partition.store.changes.subscribe(inbox_topic(partition.name)) as subscription:
            self._notices = subscription
            while True:
                self._is_reading = True
                asked_before = len(self._held)
                try:
                    await self._read()
                except StoreUnavailable as error:
                    _log.warning("partition %s cannot read its inbox for now: %s", partition.name, error)
                    await trio.sleep(_RETRY_SECONDS)
                    continue
                self._is_reading = False
                # What was stored after the reading goes before what was asked after it: the notice is there.
                self._deliver_held(asked_before if self._is_behind else len(self._held))
                if not has_begun:
                    has_begun = True
                    ready()
                await subscription.wait()
                partition.timers.refill()

    # --- The inbox ---

    def admit(self, key: str, mail: Mail) -> None:
        """Deliver what a client asks of the owner, behind what the same client may have sent by way of the store."""
        if self._is_behind:
            self._held.append((key, mail))
        else:
            self._partition.deliver_to(key, mail)

    def _deliver_held(self, count: int) -> None:
        held, self._held = self._held[:count], self._held[count:]
        for key, mail in held:
            self._partition.deliver_to(key, mail)

    def take(self, key: str, mail: Mail) -> None:
        """A stored message for the instance ``key`` of this partition."""
        self._known.setdefault(mail.id, 0)
        partition = self._partition
        if key in self._behind_kept:
            self._behind_kept[key].append(mail)
        elif isinstance(mail.content, Forward):
            partition.errands.add(partial(self._forward, mail, mail.content))
        elif isinstance(mail.content, StartChild) and key not in partition.residents:
            # The loader creates it; what follows in the inbox waits behind it.
            instance = partition.new_resident(key)
            instance.mail.append(mail)
            partition.loader.request(instance)
        else:
            partition.deliver_to(key, mail)

    def take_own(self, key: str, mail: Mail) -> None:
        """As ``take``, for what a batch of this partition has stored; a reading may have come before its answer."""
        if mail.id not in self._known:
            self.take(key, mail)

    def know(self, id: str) -> None:
        """A message in some mailbox has become a stored one."""
        self._known.setdefault(id, 0)

    def forget(self, id: str) -> None:
        """The message stays in the inbox for a later reading."""
        self._known.pop(id, None)

    def removed(self, ids: Sequence[str]) -> None:
        """These messages are no longer in the inbox."""
        for id in ids:
            self._known.pop(id, None)
        if not self._sent_again.isdisjoint(ids):
            # Sent again between its removal and the news of it: that row is still there, and was passed over.
            self._sent_again.difference_update(ids)
            self._is_to_begin_again = True
            self._partition.store.changes.publish([inbox_topic(self._partition.name)])

    async def kept_mail(self, key: str) -> list[Mail]:
        """What the inbox keeps for an instance that was parked, in order; it is as good as delivered then.

        Cancelled or failed, it has done nothing.
        """
        partition = self._partition
        await partition.committed()
        position = 0
        items: list[InboxItem] = []
        while page := await partition.store.inbox(partition.name, position, _PAGE, instance=key):
            position = page[-1].position
            items += page
        # What it sends by way of the inbox lies under its key, and is no mail of its own: the next reading forwards it.
        new = [it for it in items if it.message.id not in self._known and not isinstance(it.message.body, Forward)]
        self._known.update((item.message.id, item.position) for item in new)
        return [Mail(item.message.body, item.message.id, is_stored=True) for item in new]

    async def _read(self) -> None:
        partition = self._partition
        if self._is_to_begin_again:
            # Now, and not when it was asked for: a reading that was under way would have gone on from where it was.
            self._is_to_begin_again, self._position = False, 0
        while True:
            items = await partition.store.inbox(partition.name, self._position, _PAGE)
            for item in items:
                self._take_item(item)
            # Not "fewer than a page": one that cannot be read is left out, and more may lie behind it.
            if not items:
                return
            await trio.lowlevel.checkpoint()

    def _take_item(self, item: InboxItem) -> None:
        self._position = max(self._position, item.position)
        message = item.message
        if message.id not in self._known:
            self._known[message.id] = item.position
            self.take(message.instance, Mail(message.body, message.id, is_stored=True))
        elif not self._known[message.id]:
            self._known[message.id] = item.position
        elif self._known[message.id] < item.position:
            self._sent_again.add(message.id)

    # --- What takes a question to the store first ---

    def deliver_kept(self, key: str, behind: Sequence[Mail]) -> None:
        """The instance, which was parked, has ended: refuse what the inbox keeps for it, then what came ``behind``."""
        self._behind_kept.setdefault(key, []).extend(behind)
        self._partition.errands.add(partial(self._deliver_kept, key))

    async def _deliver_kept(self, key: str) -> None:
        mails = await self.kept_mail(key) + self._behind_kept.pop(key, [])
        for mail in sorted(mails, key=lambda mail: self._known.get(mail.id) or math.inf):
            self._partition.deliver_to(key, mail)

    async def _forward(self, mail: Mail, content: Forward) -> None:
        """Pass on a signal or cancel from an instance here to another, found by id."""
        partition, sender = self._partition, content.sender
        header, reason = None, "not_found"
        try:
            header = await partition.store.find(content.id)
        except StoreCorrupt as error:
            _log.error("message %s cannot be forwarded: %s", mail.id, error)
            reason = "unreadable"
        mail.is_taken = True
        partition.draft.messages_removed.append(mail.id)
        if header is None or header.status is not Status.OPEN:
            reason = reason if header is None else header.status.value
            answer = RequestOutcome(sender.run, sender.call, reason)
            partition.send(sender.partition, sender.instance, answer, f"{mail.id}/answer")
        else:
            body = content.signal or content.cancel
            assert body is not None
            partition.send(header.partition, header.instance, attrs.evolve(body, sender=sender), f"{mail.id}/on")
        partition.wake()

    # --- Tasks and parked instances ---

    async def watch_nodes(self) -> None:
        """Hand out again what was held by nodes that are gone, until cancelled."""
        partition = self._partition
        with partition.store.changes.subscribe(NODES_TOPIC) as subscription:
            while True:
                await subscription.wait()
                try:
                    await self._requeue_orphans()
                except StoreUnavailable as error:
                    _log.warning("partition %s cannot look for orphaned tasks for now: %s", partition.name, error)

    async def _requeue_orphans(self) -> None:
        """Hand out again the attempts whose node is gone; run those this node holds without knowing it."""
        partition = self._partition
        held = await partition.activities.take_stock(partition.name)
        # In this order: who joined and claimed after the first reading is in neither, who did before is in both.
        nodes = {node.node for node in await partition.store.nodes() if node.is_alive}
        for task in held:
            if task.node not in nodes:
                self._requeue(task)

    def _requeue(self, task: TaskRow) -> None:
        partition = self._partition
        if task.is_cancel_requested:
            outcome = ActivityOutcome(task.key.run, task.key.call, task.attempt, is_cancelled=True)
            partition.receive_outcome(task.key, outcome)
            return
        if task.schedule_deadline is not None and task.schedule_deadline <= partition.clock.now():
            outcome = ActivityOutcome(
                task.key.run, task.key.call, task.attempt, failure=failure_of(task), deadline=SCHEDULE_TO_CLOSE
            )
            partition.receive_outcome(task.key, outcome)
            return
        # What was read may be old by now: the store frees only what is held as it says, whoever else had it since.
        partition.activities.free(task)

    async def _retry_parked(self) -> None:
        partition = self._partition
        parked = InstanceFilter(status=(Status.OPEN,), is_parked=True)
        after = None
        while True:
            page = await partition.store.headers(parked, _PAGE, after)
            for header in page:
                # One that was interrupted would hold the loop again, one that brought the partition down would do so
                # again: these wait for a person.
                is_poison = (header.parked or "").startswith((TurnInterrupted.__name__, EngineFault.__name__))
                if header.partition == partition.name and not is_poison:
                    partition.deliver_to(header.instance, Mail(Resume()))
            if not page:
                return
            after = page[-1]
