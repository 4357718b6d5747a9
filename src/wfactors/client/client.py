"""A client of a store: starts workflows, finds them, talks to them. An engine is one, too."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Required, TypeAlias, TypedDict, TypeVar, TypeVarTuple, Unpack, cast, overload

import attrs

from wfactors.client.filters import ATTRIBUTES, check_limit, instance_filter, removal_time
from wfactors.client.handle import Description, Handle, to_datetime
from wfactors.client.requests import ClientStatistics, Requests, Router, new_message_id
from wfactors.convert import CallSignature, DataPort
from wfactors.errors import CodecError, PayloadError, WorkflowAlreadyStarted, WorkflowClosed, WorkflowNotFound
from wfactors.model.arguments import Kind, check_arguments, is_one_of, member
from wfactors.model.ids import (
    checked_partitions,
    chosen_id,
    partition_of,
    validated_id,
    validated_queue,
    validated_signal,
    validated_text,
)
from wfactors.model.messages import Message, Signal
from wfactors.model.options import duration
from wfactors.model.payloads import Payload
from wfactors.model.records import CreateRequest, HeaderRow, NodeRow, QueueStatistics, TaskRow
from wfactors.model.status import OnConflict, Reuse, Status
from wfactors.registry import Workflow
from wfactors.stores.base import Store

__all__ = ["Carry", "Client"]

Carry: TypeAlias = Callable[[Mapping[str, str]], dict[str, str]]
"""Adds to a context in which span it is sent."""

_log = logging.getLogger("wfactors.client")
_PAGE = 200
_NO_CONTEXT: Mapping[str, str] = {}
_START = {
    "keywords": Kind("a mapping of names to values", is_one_of(Mapping), or_none=True),
    "attributes": ATTRIBUTES,
    "context": Kind("a mapping of strings", is_one_of(Mapping), or_none=True),
}
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class _Options(TypedDict, total=False):
    """What ``start`` takes besides the workflow and its arguments, for type checkers."""

    id: str | None
    queue: str | None
    on_conflict: OnConflict | str
    reuse: Reuse | str
    delay: float | timedelta | None
    attributes: Mapping[str, Any] | None
    context: Mapping[str, str] | None


class _OptionsAndKeywords(_Options, total=False):
    """With keyword arguments, which type checkers cannot hold against the workflow."""

    keywords: Required[Mapping[str, Any]]


class Client:
    """Starts workflows and talks to them; ``wf.open_client`` and ``wf.open_engine`` make one.

    Args:
        store: An opened store.
        data: Converter, codecs and limits.
        clock: Seconds since the epoch.
        router: The partitions owned in this process.
        partitions: Partitions of a queue.
        default_queue: For workflows that name none.
        carry: Adds to what is sent along in which span it is sent; nothing is added without.
    """

    def __init__(
        self,
        store: Store,
        data: DataPort,
        *,
        now: Any = time.time,
        router: Router | None = None,
        partitions: int = 1,
        default_queue: str = "default",
        carry: Carry | None = None,
    ) -> None:
        self.store = store
        self.data = data
        self.requests = Requests(store, router)
        self._now = now
        self._partitions = checked_partitions(partitions)
        self._default_queue = default_queue
        self._carry = carry

    # --- Starting ---

    @overload
    async def start(
        self, workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, **options: Unpack[_Options]
    ) -> Handle[R]: ...
    @overload
    async def start(
        self, workflow: Workflow[..., R], *args: Any, **options: Unpack[_OptionsAndKeywords]
    ) -> Handle[R]: ...
    @overload
    async def start(self, workflow: str, *args: Any, **options: Unpack[_Options]) -> Handle[Any]: ...

    async def start(  # type: ignore[misc]  # any arguments are those of *Ts, too
        self,
        workflow: Callable[..., Coroutine[Any, Any, Any]] | str,
        *args: Any,
        id: str | None = None,
        queue: str | None = None,
        on_conflict: OnConflict | str = OnConflict.FAIL,
        reuse: Reuse | str = Reuse.ALLOW,
        delay: float | timedelta | None = None,
        attributes: Mapping[str, Any] | None = None,
        context: Mapping[str, str] | None = None,
        keywords: Mapping[str, Any] | None = None,
    ) -> Handle[Any]:
        """Start a workflow; returns once that is durable.

        Args:
            workflow: The decorated function, or the name of one.
            args: Its arguments.
            id: What to call the instance; made up if not given.
            queue: Where it runs; that of the workflow, or ``"default"``, if not given.
            on_conflict: What if an open instance has the id: ``"fail"``, ``"use_existing"``, ``"terminate_existing"``
                (which waits for its end: for ever if no node serves its queue).
            reuse: What if only closed ones had it: ``"allow"``, ``"if_failed"``, ``"reject"``.
            delay: Seconds (or a timedelta) before it starts.
            attributes: Searchable attributes.
            context: Passed on to the workflow, its children and activities.
            keywords: Keyword arguments of the workflow.

        Raises:
            WorkflowAlreadyStarted: The id is in use, or must not be used again; it has a handle.
            TypeError: The arguments do not fit the workflow, or an option is of another type.
            ValueError: An option makes no sense.
            ConversionError: An argument cannot be stored.

        Cancelled, the workflow may or may not have been started: start it again with the same id to find out.
        """
        request, result_type, raises = self._request(
            workflow, args, keywords, id, queue, on_conflict, reuse, delay, attributes, context
        )
        return await self._start(request, result_type, raises)

    @overload
    async def run(
        self, workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, **options: Unpack[_Options]
    ) -> R: ...
    @overload
    async def run(self, workflow: Workflow[..., R], *args: Any, **options: Unpack[_OptionsAndKeywords]) -> R: ...
    @overload
    async def run(self, workflow: str, *args: Any, **options: Unpack[_Options]) -> Any: ...

    async def run(self, workflow: Any, *args: Any, **options: Any) -> Any:  # type: ignore[misc]  # the same
        """Start a workflow and wait for its result; takes the options of ``start``, raises what ``result`` raises."""
        handle = await self.start(workflow, *args, **options)
        return await handle.result()

    async def signal_with_start(
        self,
        workflow: Workflow[..., Any] | str,
        *args: Any,
        id: str,
        signal: str,
        value: object = None,
        queue: str | None = None,
        reuse: Reuse | str = Reuse.ALLOW,
        attributes: Mapping[str, Any] | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Handle[Any]:
        """Signal the open instance that has the id; if there is none, start it, with the signal, in one step."""
        request, result_type, raises = self._request(
            workflow, args, None, id, queue, OnConflict.USE_EXISTING, reuse, None, attributes, context
        )
        body = Signal(validated_signal(signal), self.payload(value, Any, f"signal {signal!r}"), context=self.carried())
        message = Message(new_message_id(), request.header.partition, request.header.instance, body)
        return await self._start(attrs.evolve(request, signal=message), result_type, raises)

    async def _start(self, request: CreateRequest, result_type: Any, raises: Sequence[type]) -> Handle[Any]:
        while True:
            before = self.requests.before_start(request.header)
            outcome = (await self.store.create([request]))[0]
            handle: Handle[Any] = Handle(self, outcome.header, result_type, raises)
            if outcome.created:
                self.requests.adopt(outcome.header, before)
                return handle
            status = outcome.header.status
            if outcome.is_refused and status is not Status.OPEN:
                message = (
                    f"workflow {handle.id!r} was used before (it is {status.value}) and reuse={request.reuse.value!r}"
                )
                raise WorkflowAlreadyStarted(handle.id, message, handle)
            if request.on_conflict is OnConflict.USE_EXISTING:
                return handle
            if request.on_conflict is OnConflict.FAIL:
                raise WorkflowAlreadyStarted(handle.id, handle=handle)
            with suppress(WorkflowClosed, WorkflowNotFound):
                await handle.terminate("another one was started with the same id")
            await handle.wait_closed()

    def _request(
        self,
        workflow: Callable[..., Coroutine[Any, Any, Any]] | str,
        args: tuple[Any, ...],
        keywords: Mapping[str, Any] | None,
        id: str | None,
        queue: str | None,
        on_conflict: OnConflict | str,
        reuse: Reuse | str,
        delay: float | timedelta | None,
        attributes: Mapping[str, Any] | None,
        context: Mapping[str, str] | None,
    ) -> tuple[CreateRequest, Any, Sequence[type]]:
        check_arguments(_START, keywords=keywords, attributes=attributes, context=context)
        now = self._now()
        key = new_key(now)
        overrides = {} if isinstance(workflow, str) else getattr(workflow, "overrides", {})
        id = overrides.get("id") if id is None else id
        id = key if id is None else chosen_id(id)
        attributes = overrides.get("attributes") if attributes is None else attributes
        name, signature, own_queue, raises = _definition(workflow)
        queue = validated_queue((own_queue or self._default_queue) if queue is None else queue)
        if signature is None:
            payload = Payload(self.data.to_payload([*args], Any, f"the arguments of {name}"))
        else:
            payload = Payload(self.data.args_to_payload(signature, args, keywords or {}))
        wait = 0.0 if delay is None else duration(delay, "delay")
        header = HeaderRow(
            instance=key,
            run=1,
            id=id,
            workflow=name,
            queue=queue,
            partition=str(partition_of(queue, id, self._partitions)),
            root_id=id,
            created_at=now,
            # Without a delay it is due whatever the time is where it runs: clocks differ.
            wake_at=now + wait if wait else 0.0,
            start=payload,
            attributes=None if attributes is None else Payload(self.data.attributes_to_payload(attributes)),
            context=self.carried(_checked_context(context or {})),
        )
        result_type = Any if signature is None else signature.return_type
        conflict, reuse = member(OnConflict, on_conflict, "on_conflict"), member(Reuse, reuse, "reuse")
        return CreateRequest(header, conflict, reuse), result_type, raises

    # --- Finding ---

    @overload
    async def get(self, id: str, workflow: None = None) -> Handle[Any]: ...
    @overload
    async def get(self, id: str, workflow: Workflow[..., R]) -> Handle[R]: ...

    async def get(self, id: str, workflow: Workflow[..., Any] | None = None) -> Handle[Any]:
        """A handle to the open instance that has the id, else to the latest one that had it.

        Args:
            id: The id people use.
            workflow: Gives the type of the result; without it the result is plain data.

        Raises:
            WorkflowNotFound: There is none.
        """
        header = await self.store.find(validated_id(id))
        if header is None:
            raise WorkflowNotFound(id)
        return self._handle(header, workflow)

    def _handle(self, header: HeaderRow, workflow: Workflow[..., Any] | None = None) -> Handle[Any]:
        if workflow is None:
            return Handle(self, header)
        _, signature, _, raises = _definition(workflow)
        return Handle(self, header, Any if signature is None else signature.return_type, raises)

    async def list(
        self,
        *,
        status: Status | str | Sequence[Status | str] | None = None,
        workflow: str | Workflow[..., Any] | None = None,
        queue: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        started_after: datetime | None = None,
        started_before: datetime | None = None,
        parked: bool | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[Description, None]:
        """The runs that match, newest first, as an async iterator that reads a page at a time.

        Raises:
            TypeError: The limit is no whole number, or a filter is of another type.
            ValueError: No such status, a ``datetime`` without a time zone, or a negative limit.
            ConversionError: No attribute can have such a value.
        """
        check_limit(limit)
        filter = instance_filter(
            self.data,
            status=status,
            workflow=workflow,
            queue=queue,
            attributes=attributes,
            started_after=started_after,
            started_before=started_before,
            parked=parked,
        )
        after: HeaderRow | None = None
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = await self.store.headers(filter, size, after)
            for header in page:
                try:
                    description = self.description(header)
                except PayloadError as error:
                    # As in every list of a store: one that cannot be read keeps nobody from the others.
                    _log.error("left out of a list: workflow %r: %s", header.id, error)
                else:
                    yield description
            # Not "fewer than asked for", for the same reason.
            if not page:
                return
            after = page[-1]
            left = None if left is None else left - len(page)

    async def count(
        self,
        *,
        status: Status | str | Sequence[Status | str] | None = None,
        workflow: str | Workflow[..., Any] | None = None,
        queue: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        parked: bool | None = None,
    ) -> int:
        """How many runs match; raises what ``list`` raises."""
        filter = instance_filter(
            self.data, status=status, workflow=workflow, queue=queue, attributes=attributes, parked=parked
        )
        return await self.store.count(filter)

    async def queues(self) -> Sequence[QueueStatistics]:
        """What each queue holds."""
        return await self.store.queues()

    async def nodes(self) -> Sequence[NodeRow]:
        """The engines that run on this store."""
        return await self.store.nodes()

    async def remove_finished(
        self, before: datetime | float, limit: int | None = None, *, continued_runs_only: bool = False
    ) -> int:
        """Remove instances that closed before a time, in small batches; returns how many.

        Raises:
            TypeError: ``before`` is no time, or the limit no whole number.
            ValueError: ``before`` is a ``datetime`` without a time zone, or the limit is negative.
        """
        check_limit(limit)
        at = removal_time(before)
        removed = 0
        while limit is None or removed < limit:
            size = 100 if limit is None else min(100, limit - removed)
            count = await self.store.remove_finished(at, size, continued_runs_only=continued_runs_only)
            removed += count
            if count < size:
                break
        return removed

    def statistics(self) -> ClientStatistics:
        """Figures of this moment."""
        return self.requests.statistics()

    # --- For handles ---

    def carried(self, context: Mapping[str, str] = _NO_CONTEXT) -> dict[str, str]:
        """What goes along with a start, a signal or an update."""
        return dict(context) if self._carry is None else self._carry(context)

    def payload(self, value: object, type: Any, what: str) -> Payload:
        """Convert a value of the user's."""
        return Payload(self.data.to_payload(value, type, what))

    def description(
        self, header: HeaderRow, tasks: Sequence[TaskRow] = (), children: Sequence[HeaderRow] = ()
    ) -> Description:
        """A header as people see it."""
        failure = header.failure
        if failure is not None:
            # Without the codecs it went through, the type of the failure is still worth seeing.
            with suppress(CodecError):
                failure = self.data.reveal(failure)
        attributes = self.data.attributes_from_payload(header.attributes)
        return Description(
            id=header.id,
            instance=header.instance,
            run=header.run,
            workflow=header.workflow,
            queue=header.queue,
            status=header.status,
            parked=header.parked,
            created_at=cast("datetime", to_datetime(header.created_at)),
            started_at=to_datetime(header.started_at),
            closed_at=to_datetime(header.closed_at),
            wake_at=to_datetime(header.wake_at or None),
            parent=None if header.parent is None else header.parent.id,
            failure=failure,
            activities=tasks,
            signals=header.awaited,
            children=[(child.id, child.workflow) for child in children],
            events=header.events,
            history_bytes=header.history_bytes,
            attributes=attributes,
        )


def new_key(now: float) -> str:
    """A fresh instance key: it orders by time (milliseconds), then at random."""
    return f"{int(now * 1000):012x}{os.urandom(10).hex()}"


def _definition(workflow: object) -> tuple[str, CallSignature | None, str | None, Sequence[type]]:
    if isinstance(workflow, str):
        return workflow, None, None, ()
    if not isinstance(workflow, Workflow):
        raise TypeError(f"start() takes a function decorated with @wf.workflow, or a name, not {workflow!r}")
    definition = workflow.definition
    return definition.name, definition.signature, workflow.overrides.get("queue", definition.queue), definition.raises


def _checked_context(context: Mapping[str, str]) -> dict[str, str]:
    for key, value in context.items():
        validated_text("a key of the context", key)
        validated_text(f"the context's {key!r}", value)
    return dict(context)
