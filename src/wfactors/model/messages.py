"""What is sent to a partition's inbox: by clients, by other partitions, by nodes that ran an activity.

A message is durable before it is acknowledged, is taken in once (its id says which one it is), and is removed by the
batch that records what it caused.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from wfactors.model.events import Parent
from wfactors.model.failures import Failure
from wfactors.model.payloads import NULL, Payload
from wfactors.model.status import ParentClose

__all__ = [
    "ActivityOutcome",
    "Body",
    "Cancel",
    "ChildAccepted",
    "ChildOutcome",
    "Forward",
    "Message",
    "ParentClosed",
    "Query",
    "RequestOutcome",
    "Resume",
    "Sender",
    "Signal",
    "StartChild",
    "Terminate",
    "Update",
]


@attrs.frozen
class Sender:
    """The workflow call that waits for the answer to a signal or cancel."""

    partition: str
    instance: str
    run: int
    call: int


@attrs.frozen
class Signal:
    """A signal, from a client or from a workflow that waits for the answer; ``context`` says where it was sent."""

    name: str
    payload: Payload
    sender: Sender | None = None
    context: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Cancel:
    """Cancel the workflow."""

    reason: str = ""
    sender: Sender | None = None


@attrs.frozen
class Terminate:
    """End the workflow without its code taking part."""

    reason: str = ""


@attrs.frozen
class Resume:
    """Try a parked instance again."""


@attrs.frozen
class Query:
    """Answered by a reply row named ``reply_to``."""

    name: str
    input: Payload
    reply_to: str


@attrs.frozen
class Update:
    """The message's id names the update; its outcome is answered by a reply row of that name. ``context`` as above."""

    name: str
    input: Payload
    context: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class ActivityOutcome:
    """How a call of an activity ended, for good, on a node that does not own the partition."""

    run: int
    call: int
    attempt: int
    result: Payload = NULL
    failure: Failure | None = None
    deadline: str | None = None
    is_cancelled: bool = False


@attrs.frozen
class StartChild:
    """Start a child here: one on another queue, or one whose id somebody chose."""

    workflow: str
    id: str
    queue: str
    input: Payload
    parent: Parent
    parent_close: ParentClose
    root_id: str
    attributes: Payload = NULL
    context: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class ChildAccepted:
    """The store accepted the child's id; to the parent."""

    run: int
    call: int


@attrs.frozen
class ChildOutcome:
    """How a child ended; to the parent."""

    run: int
    call: int
    result: Payload = NULL
    failure: Failure | None = None


@attrs.frozen
class RequestOutcome:
    """``reason`` is None when the request was accepted."""

    run: int
    call: int
    reason: str | None = None


@attrs.frozen
class Forward:
    """Find the instance that has ``id`` and pass the signal or cancel on to it; the sender's own partition does so."""

    id: str
    sender: Sender
    signal: Signal | None = None
    cancel: Cancel | None = None


@attrs.frozen
class ParentClosed:
    """The parent has ended: cancel or terminate this child as its policy says."""

    policy: ParentClose


Body: TypeAlias = (
    Signal
    | Cancel
    | Terminate
    | Resume
    | Query
    | Update
    | ActivityOutcome
    | StartChild
    | ChildAccepted
    | ChildOutcome
    | RequestOutcome
    | Forward
    | ParentClosed
)


@attrs.frozen
class Message:
    """One message to an instance of a partition.

    Attributes:
        id: Made by the sender, unique for ever: sending it twice is sending it once.
        partition: Where it goes.
        instance: The key of the instance it is for.
        body: What it says.
    """

    id: str
    partition: str
    instance: str
    body: Body
