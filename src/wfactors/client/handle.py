"""A handle to one workflow instance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from wfactors.errors import (
    UpdateRejected,
    WorkflowCancelled,
    WorkflowClosed,
    WorkflowFailed,
    WorkflowNotFound,
    WorkflowTerminated,
)
from wfactors.model.events import Event
from wfactors.model.failures import Failure
from wfactors.model.ids import validated_signal, validated_text
from wfactors.model.messages import Cancel, Resume, Signal, Terminate, Update
from wfactors.model.payloads import NULL
from wfactors.model.records import HeaderRow, InstanceFilter, TaskRow
from wfactors.model.status import Status
from wfactors.model.wire import decode_events
from wfactors.stores.changes import instance_topic

if TYPE_CHECKING:
    from wfactors.client.client import Client

__all__ = ["Description", "Handle", "described"]

R = TypeVar("R")

_CLOSED = f"{WorkflowClosed.__module__}.{WorkflowClosed.__qualname__}"
_CHILDREN_SHOWN = 100


@attrs.frozen(kw_only=True)
class Description:
    """An instance as it stands.

    Attributes:
        id: What people call it.
        instance: The engine's key of it.
        run: Number of the run, from 1; ``continue_as_new`` makes it grow.
        parked: Why it stands still; None if it does not.
        wake_at: When its next timer fires.
        parent: Id of the instance that started it.
        activities: Its activity calls that have no outcome yet.
        signals: Names of the signals it waits for, the one it has waited for longest first; at most twenty.
        children: Id and workflow of its open children, the oldest first; at most a hundred.
        events: Number of events in the history of this run.
        attributes: Searchable attributes.
        gone: Nodes named in ``activities`` that are not alive: what they ran is handed out again.
    """

    id: str
    instance: str
    run: int
    workflow: str
    queue: str
    status: Status
    parked: str | None
    created_at: datetime
    started_at: datetime | None
    closed_at: datetime | None
    wake_at: datetime | None
    parent: str | None
    failure: Failure | None
    activities: Sequence[TaskRow]
    signals: Sequence[str]
    children: Sequence[tuple[str, str]]
    events: int
    history_bytes: int
    attributes: dict[str, Any]
    gone: frozenset[str] = frozenset()

    @property
    def has_to_start(self) -> bool:
        """Whether it is open, and none of its code has run yet."""
        return self.status is Status.OPEN and self.parked is None and self.started_at is None

    @property
    def waits_for(self) -> list[str]:
        """What it waits for, in words; nothing once it has ended."""
        if self.status is not Status.OPEN:
            return []
        if self.has_to_start:
            return [self._start_in_words()]
        words = [_task_in_words(task, self.gone) for task in self.activities]
        if self.parked is not None:
            words.insert(0, "somebody to resume it (parked)")
        words += [f"signal {name!r}" for name in self.signals]
        if self.wake_at is not None:
            words.append(f"a timer at {self.wake_at.isoformat(timespec='milliseconds')}")
        words += [f"workflow {workflow} ({id!r})" for id, workflow in self.children]
        return words

    def _start_in_words(self) -> str:
        node = f"a node that serves queue {self.queue!r}"
        if self.wake_at is None:
            return f"{node} to start it"
        return f"its start at {self.wake_at.isoformat(timespec='milliseconds')}, by {node}"


def _task_in_words(task: TaskRow, gone: Collection[str]) -> str:
    state = "not claimed yet" if task.node is None else f"on {task.node}"
    if task.node in gone:
        state = f"was {state} (gone)"
    failed = f", last failure: {task.failure.summary()}" if task.failure is not None else ""
    return f"activity {task.activity} (attempt {task.attempt}, {state}{failed})"


class Handle(Generic[R]):
    """One workflow instance, as seen by a client of its store.

    Attributes:
        id: The id people use.
        instance: The engine's key: tells this instance from others that had the id before or will after it.
    """

    def __init__(self, client: Client, header: HeaderRow, result_type: Any = Any, raises: Sequence[type] = ()) -> None:
        self._client = client
        self._header = header
        self._result_type = result_type
        self._raises = raises
        self.id = header.id
        self.instance = header.instance

    @property
    def run(self) -> int:
        """The number of the latest run that this handle has seen."""
        return self._header.run

    def __repr__(self) -> str:
        return f"<wfactors.Handle {self.id!r} ({self._header.workflow})>"

    async def result(self) -> R:
        """Wait until the workflow ends, through ``continue_as_new`` and over restarts, and return its value.

        Cancelled, only the waiting ends: use ``cancel()`` to cancel the workflow.

        Raises:
            WorkflowFailed: It raised; a type in its ``raises=`` comes back as itself.
            WorkflowCancelled: It was cancelled.
            WorkflowTerminated: It was terminated.
            WorkflowNotFound: It was removed.
        """
        header = await self.wait_closed()
        if header.status is Status.COMPLETED:
            what = f"the result of {self.id!r}"
            return cast("R", self._client.data.from_payload(header.result or NULL, self._result_type, what))
        failure = self._client.data.reveal(header.failure or Failure("unknown", "no reason was recorded"))
        if header.status is Status.TERMINATED:
            raise WorkflowTerminated(self.id, failure)
        if header.status is Status.CANCELLED:
            raise WorkflowCancelled(self.id, failure)
        error = self._client.data.exception_from_failure(failure, self._raises)
        if error is not None:
            raise error
        raise WorkflowFailed(self.id, failure)

    async def wait_closed(self) -> HeaderRow:
        """Wait until the workflow has ended, however it did. Cancelled, only the waiting ends."""
        with self._client.store.changes.subscribe(instance_topic(self.instance)) as subscription:
            while (header := await self._read()).status in (Status.OPEN, Status.CONTINUED):
                await subscription.wait()
        return header

    async def describe(self) -> Description:
        """Status, times, parent and what it waits for. Raises WorkflowNotFound."""
        return await described(self._client, await self._read())

    async def signal(self, name: str, value: object = None, type: Any = Any) -> None:
        """Send a signal; returns once it is durable.

        What one client sends, one after the other, arrives in that order.

        Raises:
            WorkflowClosed: The workflow has ended.
            WorkflowNotFound: It was removed.
            ConversionError: ``value`` cannot be stored.
        """
        payload = self._client.payload(value, type, f"signal {name!r}")
        body = Signal(validated_signal(name), payload, context=self._client.carried())
        await self._client.requests.tell(await self._open(), body)

    async def query(self, name: str, *args: object, result_type: Any = Any) -> Any:
        """Ask a ``@wf.query`` of the workflow, open or closed; raises QueryError."""
        payload = self._client.payload(list(args), Any, f"the arguments of query {name!r}")
        result = await self._client.requests.query(await self._read(), _checked_name(name, "query"), payload)
        return self._client.data.from_payload(result, result_type, f"the result of query {name!r}")

    async def update(self, name: str, *args: object, result_type: Any = Any) -> Any:
        """Run a ``@wf.update`` of the workflow and wait for its result.

        Cancelled, only the waiting ends; the update may have been recorded.

        Raises:
            UpdateRejected: It was refused before it was recorded, or it raised, or the run continued as new meanwhile.
            WorkflowClosed: The workflow has ended.
        """
        payload = self._client.payload(list(args), Any, f"the arguments of update {name!r}")
        header = await self._open()
        body = Update(_checked_name(name, "update"), payload, self._client.carried())
        result, failure = await self._client.requests.update(header, body)
        if failure is not None and failure.type == _CLOSED:
            # The run ended while the update was under way.
            status = (await self._read()).status
            if status is not Status.OPEN:
                raise WorkflowClosed(self.id, status.value)
            why = "the run continued as a new one before it had finished the update; send it again"
            raise UpdateRejected(self.id, f"update {name!r}: {why}")
        if failure is not None:
            raise UpdateRejected(self.id, f"update {name!r}: {self._client.data.reveal(failure).summary()}")
        return self._client.data.from_payload(result, result_type, f"the result of update {name!r}")

    async def cancel(self, reason: str = "") -> None:
        """Ask the workflow to stop; it may clean up first. Raises WorkflowClosed or WorkflowNotFound."""
        await self._client.requests.tell(await self._open(), Cancel(validated_text("the reason", reason)))

    async def terminate(self, reason: str = "") -> None:
        """End the workflow at once; none of its code runs. Raises WorkflowClosed or WorkflowNotFound.

        Returns once that is durable. It takes effect where the queue is served: while no node does, it waits.
        """
        await self._client.requests.tell(await self._open(), Terminate(validated_text("the reason", reason)))

    async def resume(self) -> None:
        """Let a parked workflow try again, with the code that is loaded now. Raises WorkflowClosed."""
        await self._client.requests.tell(await self._open(), Resume())

    async def history(self, run: int | None = None) -> list[Event]:
        """The events of a run (the latest by default), in order."""
        header = await self._read()
        number = header.run if run is None else run
        appends = await self._client.store.history(self.instance, number)
        where = f"history of {self.id!r}, run {number}"
        return [event for append in appends for event in decode_events(append.data, where)]

    async def remove(self) -> None:
        """Remove all of a closed instance from the store. Raises WorkflowStillOpen or WorkflowNotFound."""
        if not await self._client.store.remove(self.instance):
            raise WorkflowNotFound(self.id)

    async def _read(self) -> HeaderRow:
        header = await self._client.store.header(self.instance)
        if header is None:
            raise WorkflowNotFound(self.id)
        self._header = header
        return header

    async def _open(self) -> HeaderRow:
        """The header, fresh from the store only where this process cannot ask the owner itself."""
        if self._client.requests.is_local(self._header):
            return self._header
        return await self._read()


async def described(client: Client, header: HeaderRow) -> Description:
    """The run of this header as it stands, with all that its store knows of it."""
    store = client.store
    tasks = await store.tasks(header.instance, header.run)
    children: Sequence[HeaderRow] = ()
    if header.status is Status.OPEN:
        family = InstanceFilter(parent=header.instance, status=(Status.OPEN,))
        children = await store.headers(family, _CHILDREN_SHOWN, newest_first=False)
    description = client.description(header, tasks, children)
    holders = {task.node for task in tasks if task.node is not None}
    if not holders:
        return description
    alive = {row.node for row in await store.nodes() if row.is_alive}
    return attrs.evolve(description, gone=frozenset(holders - alive))


def _checked_name(name: str, what: str) -> str:
    if not validated_text(f"the name of a {what}", name):
        raise ValueError(f"the name of a {what} must not be empty")
    return name


def to_datetime(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as an aware UTC datetime; the last one there is for what no calendar holds."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.max.replace(tzinfo=UTC)
