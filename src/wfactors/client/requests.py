"""How a client's message reaches an instance: straight to an owner in this process, else by way of the store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import attrs
import msgspec
import trio

from wfactors import errors
from wfactors.errors import LeaseLost, QueryError, StoreCorrupt, UpdateRejected, WorkflowClosed, WorkflowNotFound
from wfactors.model.failures import Failure
from wfactors.model.messages import Body, Message, Query, Update
from wfactors.model.payloads import NULL, Payload
from wfactors.model.records import HeaderRow
from wfactors.stores.base import Store
from wfactors.stores.changes import instance_topic, reply_topic

__all__ = ["ClientStatistics", "LocalOwner", "Requests", "Router"]


@attrs.frozen(kw_only=True)
class ClientStatistics:
    """Figures of a client.

    Attributes:
        requests: Signals, queries, updates, cancellations and the like that it made.
        waiting: Of those, how many wait until they are durable, or for their answer.
    """

    requests: int = 0
    waiting: int = 0


class LocalOwner(Protocol):
    """A partition owned in this process."""

    def ask(self, key: str, content: Body, id: str, done: Callable[[object], None]) -> None:
        """Deliver a message; ``done`` gets the answer after the commit, LeaseLost if the owner stops first."""
        ...

    @property
    def loads(self) -> int:
        """How many instances it has read from the store so far."""
        ...

    def adopt(self, header: HeaderRow) -> None:
        """Begin an instance that has just been created in the store."""
        ...


class Router(Protocol):
    """Knows which partitions are owned in this process."""

    def owner(self, partition: str) -> LocalOwner | None:
        """The owner of ``partition``, if it is here."""
        ...


@attrs.frozen
class _Reply:
    """A reply row, as ``actors/turns.py`` and ``actors/effects.py`` write it."""

    result: Payload = NULL
    failure: Failure | None = None
    error: str | None = None
    message: str = ""


_reply_decoder = msgspec.json.Decoder(_Reply)


class _Answer:
    """Waits for what an owner says."""

    __slots__ = ("_event", "value")

    def __init__(self) -> None:
        self._event = trio.Event()
        self.value: object = None

    def set(self, value: object) -> None:
        self.value = value
        self._event.set()

    async def wait(self) -> object:
        await self._event.wait()
        return self.value


class Requests:
    """Sends messages and waits until they are durable, or answered.

    Args:
        store: Where the instances are.
        router: The owners of this process; None in one that only is a client.
    """

    def __init__(self, store: Store, router: Router | None = None) -> None:
        self._store = store
        self._router = router
        self._count = 0
        self._waiting = 0

    def statistics(self) -> ClientStatistics:
        """Figures of this moment."""
        return ClientStatistics(requests=self._count, waiting=self._waiting)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._count += 1
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def before_start(self, header: HeaderRow) -> tuple[LocalOwner, int] | None:
        """What ``adopt`` must know of the time before the instance was created: its owner, if it is here."""
        owner = self._router.owner(header.partition) if self._router is not None else None
        return None if owner is None else (owner, owner.loads)

    def adopt(self, header: HeaderRow, before: tuple[LocalOwner, int] | None) -> None:
        """Tell the owner of an instance just created, so that it need not find it.

        If the answer of the store was slow, it may have found it by itself, and be done with it: whoever has loaded
        anything since is told nothing.
        """
        if before is not None and before == self.before_start(header):
            before[0].adopt(header)

    def is_local(self, header: HeaderRow) -> bool:
        """Whether the owner of the instance is in this process."""
        return self._router is not None and self._router.owner(header.partition) is not None

    async def tell(self, header: HeaderRow, body: Body) -> None:
        """Send a message; returns once it is durable.

        Cancelled, the message may or may not have been taken in.

        Raises:
            WorkflowNotFound: The instance is gone.
            WorkflowClosed: It has ended.
        """
        id = new_message_id()
        with self._counted():
            answer = await self._ask_local(header, body, id)
            if isinstance(answer, LeaseLost):
                message = Message(id, header.partition, header.instance, body)
                self._raise_refusal(header, (await self._store.send([message]))[0])
            elif isinstance(answer, Exception):
                raise _with_id(answer, header)

    async def query(self, header: HeaderRow, name: str, input: Payload) -> Payload:
        """Ask a query; raises QueryError."""
        id = new_message_id()
        with self._counted():
            answer = await self._ask_local(header, Query(name, input, id), id)
            if isinstance(answer, LeaseLost):
                return await self._ask_remote(header, Query(name, input, id), id)
        if isinstance(answer, Exception):
            raise _with_id(answer, header)
        assert isinstance(answer, Payload)
        return answer

    async def update(self, header: HeaderRow, update: Update) -> tuple[Payload, Failure | None]:
        """Run an update; its result, or its failure. Raises UpdateRejected or WorkflowClosed."""
        id = new_message_id()
        with self._counted():
            answer: Any = await self._ask_local(header, update, id)
            if isinstance(answer, LeaseLost):
                return await self._update_remote(header, update, id)
        if isinstance(answer, Exception):
            raise _with_id(answer, header)
        return answer.result, answer.failure

    async def _ask_local(self, header: HeaderRow, body: Body, id: str) -> object:
        owner = self._router.owner(header.partition) if self._router is not None else None
        if owner is None:
            return LeaseLost("the owner is in another process")
        answer = _Answer()
        owner.ask(header.instance, body, id, answer.set)
        return await answer.wait()

    async def _ask_remote(self, header: HeaderRow, body: Body, id: str) -> Payload:
        reply = await self._reply(header, body, id)
        if reply.error is not None:
            raise _error_named(reply.error, header, reply.message)
        return reply.result

    async def _update_remote(self, header: HeaderRow, body: Body, id: str) -> tuple[Payload, Failure | None]:
        reply = await self._reply(header, body, id)
        if reply.error is not None:
            raise _error_named(reply.error, header, reply.message)
        return reply.result, reply.failure

    async def _reply(self, header: HeaderRow, body: Body, id: str) -> _Reply:
        with self._store.changes.subscribe(reply_topic(id), instance_topic(header.instance)) as subscription:
            message = Message(id, header.partition, header.instance, body)
            self._raise_refusal(header, (await self._store.send([message]))[0])
            while True:
                data = await self._store.take_reply(id)
                if data is not None:
                    break
                if await self._store.header(header.instance) is None:
                    # Removed, and the question with it.
                    raise WorkflowNotFound(header.id)
                await subscription.wait()
        try:
            return _reply_decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise StoreCorrupt(f"the reply {id} cannot be read: {error}") from error

    @staticmethod
    def _raise_refusal(header: HeaderRow, refusal: str | None) -> None:
        if refusal == "not_found":
            raise WorkflowNotFound(header.id)
        if refusal is not None:
            raise WorkflowClosed(header.id, refusal)


def new_message_id() -> str:
    """An id that no other message has."""
    return uuid.uuid4().hex


def _with_id(error: Exception, header: HeaderRow) -> Exception:
    return WorkflowNotFound(header.id) if isinstance(error, WorkflowNotFound) else error


def _error_named(name: str, header: HeaderRow, message: str) -> Exception:
    kind = getattr(errors, name, QueryError)
    if kind is WorkflowClosed:
        return WorkflowClosed(header.id, header.status.value)
    if kind is WorkflowNotFound:
        return WorkflowNotFound(header.id)
    return (UpdateRejected if kind is UpdateRejected else QueryError)(header.id, message)
