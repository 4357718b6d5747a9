"""What a partition has decided since its last commit: the next batch in the making, and what waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from wfactors.model.messages import Message
from wfactors.model.records import Append, Batch, HeaderRow, Reply, TaskKey, TaskRow

__all__ = ["Action", "Draft", "SealedBatch"]

Action = Callable[[], None]
"""Something that may only happen after the commit; synchronous, and it does not raise."""


@attrs.frozen
class SealedBatch:
    """A batch to be written, and the actions that wait for it."""

    batch: Batch
    actions: Sequence[Action]
    turns: int = 0

    @property
    def is_empty(self) -> bool:
        """Nothing to write; the actions only wait for their turn behind earlier batches."""
        batch = self.batch
        return not (
            batch.headers
            or batch.appends
            or batch.tasks
            or batch.tasks_removed
            or batch.tasks_cancelled
            or batch.messages
            or batch.messages_removed
            or batch.replies
        )


class Draft:
    """Collects the parts of one batch. Nothing here can fail, so a turn is in it whole or not at all."""

    __slots__ = (
        "actions",
        "appends",
        "headers",
        "messages",
        "messages_removed",
        "replies",
        "tasks",
        "tasks_cancelled",
        "tasks_removed",
    )

    def __init__(self) -> None:
        self.headers: list[HeaderRow] = []
        self.appends: list[Append] = []
        self.tasks: dict[TaskKey, TaskRow] = {}
        self.tasks_removed: list[TaskKey] = []
        self.tasks_cancelled: list[TaskKey] = []
        self.messages: list[Message] = []
        self.messages_removed: list[str] = []
        self.replies: list[Reply] = []
        self.actions: list[Action] = []

    @property
    def has_rows(self) -> bool:
        """Whether it holds anything to write (headers and appends are added when it is sealed)."""
        return bool(
            self.headers
            or self.tasks
            or self.tasks_removed
            or self.tasks_cancelled
            or self.messages
            or self.messages_removed
            or self.replies
        )

    def seal(self, partition: str, epoch: int, sequence: int, turns: int = 0) -> SealedBatch:
        """The batch of ``turns`` turns as values that nobody changes any more."""
        batch = Batch(
            partition=partition,
            epoch=epoch,
            sequence=sequence,
            headers=self.headers,
            appends=self.appends,
            tasks=list(self.tasks.values()),
            tasks_removed=self.tasks_removed,
            tasks_cancelled=self.tasks_cancelled,
            messages=self.messages,
            messages_removed=self.messages_removed,
            replies=self.replies,
        )
        return SealedBatch(batch, self.actions, turns)
