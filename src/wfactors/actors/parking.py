"""Instances that stand still: their error is in view, and the inbox keeps their mail until they go on.

A parked instance goes on when somebody resumes or cancels it, or when the partition changes hands. Until then it takes
in only what needs none of its code: it can be terminated and, if it has not started, cancelled.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from wfactors.actors.instance import Instance, State
from wfactors.actors.mail import Content, Mail, Start, TimerDue, is_terminating
from wfactors.kernel.run import Run
from wfactors.model.messages import ActivityOutcome, Cancel, Message, ParentClosed, Query, Resume, StartChild, Update
from wfactors.model.records import TaskKey

if TYPE_CHECKING:
    from wfactors.actors.partition import Partition
    from wfactors.kernel.run import Ports

__all__ = ["EngineFault", "Parking"]

_log = logging.getLogger("wfactors.partition")


class EngineFault(Exception):
    """The engine itself stumbled over one instance in the middle of a turn; only a bug of wfactors can cause it.

    What the turn did is half done, in memory alone. So the partition starts again from the store, and that instance is
    parked before it gets to the same point.
    """

    def __init__(self, instance: str, reason: str) -> None:
        self.instance = instance
        super().__init__(reason)


class Parking:
    """Parks the instances of one partition, and takes in what they are sent meanwhile.

    Args:
        condemned: By key, why an instance is to be parked instead of run. It outlives the partition, and loses its
            entry when the instance is parked for good.
    """

    def __init__(self, partition: Partition, condemned: dict[str, str]) -> None:
        self._partition = partition
        self._condemned = condemned

    @property
    def condemned(self) -> Sequence[str]:
        """The keys of instances that are to be parked instead of run."""
        return list(self._condemned)

    def is_condemned(self, key: str) -> bool:
        """Whether the instance is to be parked instead of run."""
        return key in self._condemned

    def check(self, key: str) -> None:
        """Raise EngineFault if the instance is to be parked instead of run."""
        reason = self._condemned.get(key)
        if reason is not None:
            raise EngineFault(key, reason)

    def park(self, instance: Instance, reason: str) -> None:
        """Let the instance stand still, its error in view, until it is resumed or the partition changes hands."""
        _log.error("workflow %s is parked: %s", instance.header.id, reason)
        instance.drop_run()
        instance.state = State.PARKED
        instance.parked = reason
        instance.wake_at = None
        self._partition.touch(instance)
        # Of a condemned one it may have been the end that brought the engine down.
        is_condemned = self.is_condemned(instance.key)
        mail, instance.mail = instance.mail, deque()
        for item in mail:
            if _needs_no_code(instance, item.content) and not (is_condemned and _is_ending(instance, item.content)):
                self._partition.deliver(instance, item)
            else:
                self.keep(instance, item)
        if is_condemned:
            self._partition.after_commit(partial(self._absolve, instance.key))

    def _absolve(self, key: str) -> None:
        self._condemned.pop(key, None)

    def keep(self, instance: Instance, mail: Mail) -> None:
        """Store mail that the instance, which is parked or about to be, cannot take in now."""
        partition = self._partition
        content, done = mail.content, mail.done
        if isinstance(content, Start | TimerDue):
            return
        if isinstance(content, Query | Update):
            instance.update_waiters.pop(mail.id, None)
            partition.turns.refuse_question(instance.key, mail, instance.header.id, _why(instance))
            return
        if isinstance(content, Resume):
            if mail.is_stored:
                partition.draft.messages_removed.append(mail.id)
        elif mail.is_stored:
            partition.intake.forget(mail.id)
        else:
            if isinstance(content, ActivityOutcome):
                mail.id = f"{instance.key}/{content.run}/{content.call}/outcome"
                partition.draft.tasks_removed.append(TaskKey(instance.key, content.run, content.call))
            mail.is_stored = True
            partition.draft.messages.append(Message(mail.id, partition.name, instance.key, content))
        if done is not None:
            partition.after_commit(partial(done, None))
        partition.wake()

    def take(self, instance: Instance, mail: Mail) -> None:
        """Take in one item of mail: it ends the instance, makes it go on, or is kept."""
        if _needs_no_code(instance, mail.content):
            if not is_terminating(mail.content) and _is_ending(instance, mail.content):
                # It never starts: a run without code, of which no port is asked, says so.
                instance.run = Run(cast("Ports", None))
                instance.state = State.READY
            self._partition.turns.do(self._ending(instance, mail))
            return
        if isinstance(mail.content, Resume):
            instance.mail.appendleft(mail)
        else:
            self.keep(instance, mail)
        if isinstance(mail.content, Cancel | ParentClosed):
            # Somebody wants it gone: see whether its code can take the request in now.
            instance.mail.appendleft(Mail(Resume()))
        if instance.mail and isinstance(instance.mail[0].content, Resume):
            instance.state = State.LOADING
            self._partition.loader.request(instance)

    def _ending(self, instance: Instance, mail: Mail) -> Iterator[None]:
        yield from self._partition.turns.taking(instance, mail)
        if instance.state is State.CLOSED:
            behind = [item for item in instance.mail if item.is_stored]
            instance.mail = deque(item for item in instance.mail if not item.is_stored)
            self._partition.intake.deliver_kept(instance.key, behind)


def _needs_no_code(instance: Instance, content: Content) -> bool:
    # That it was started is true, and its parent waits to hear it.
    return _is_ending(instance, content) or isinstance(content, StartChild)


def _is_ending(instance: Instance, content: Content) -> bool:
    """Whether the instance ends by it without its code: also by being cancelled before it has started."""
    is_unstarted = instance.start is not None and instance.header.run == 1
    return is_terminating(content) or (is_unstarted and isinstance(content, Cancel | ParentClosed))


def _why(instance: Instance) -> str:
    return f"the workflow is parked: {instance.parked}"
