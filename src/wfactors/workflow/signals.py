"""Signals: what comes to a workflow from outside while it runs, as a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from wfactors.model.ids import validated_signal
from wfactors.workflow.inside import Inside, inside

if TYPE_CHECKING:
    from wfactors.kernel.signals import SignalStatistics
    from wfactors.model.payloads import Payload

__all__ = ["SignalChannel", "signals"]

T = TypeVar("T")


class SignalChannel(Generic[T]):
    """The signals of one name; ``signals`` makes it.

    ``async for value in channel`` receives until the scope around it is cancelled: nobody can know that no more will
    come. Any number of channels of one name share its signals; each signal goes to one receiver.
    """

    __slots__ = ("_inside", "_queue", "_type")

    def __init__(self, inside: Inside, name: str, type: Any) -> None:
        self._inside = inside
        self._queue = inside.run.signals.queue(name)
        self._type = type

    @property
    def name(self) -> str:
        """The name of the signals."""
        return self._queue.name

    async def receive(self) -> T:
        """Return the next signal, waiting for it if necessary. Cancelled, it has taken none.

        Raises:
            ConversionError: The signal does not fit the type of the channel. It is taken: the next call gets the next.
        """
        self._inside.command("receive()")
        return self._decode(await self._queue.receive())

    def receive_nowait(self) -> T:
        """Return the next signal if there is one.

        Raises:
            WouldBlock: There is none yet.
            ConversionError: As for ``receive``.
        """
        self._inside.command("receive_nowait()")
        return self._decode(self._queue.receive_nowait())

    def statistics(self) -> SignalStatistics:
        """Return how many signals wait to be received, and how many tasks wait for one."""
        return self._queue.statistics()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await self.receive()

    def __repr__(self) -> str:
        return f"<SignalChannel {self.name!r}>"

    def _decode(self, payload: Payload) -> T:
        value: T = self._inside.decode(payload, self._type, f"signal {self.name!r}")
        return value


@overload
def signals(name: str, type: type[T]) -> SignalChannel[T]: ...
@overload
def signals(name: str, type: Any = Any) -> SignalChannel[Any]: ...
def signals(name: str, type: Any = Any) -> SignalChannel[Any]:
    """Return the channel of the signals called ``name``.

    Signals are kept in the order of their arrival, also those that came before anybody asked, and those nobody has
    read go over to the next run with ``continue_as_new``.

    Args:
        name: What senders call it.
        type: What the values are: a class, or any other annotation. Anything that JSON can hold, if left out.

    Raises:
        ValueError: No signal can have this name.
        TypeError: ``name`` is no string.
    """
    return SignalChannel(inside("signals()"), validated_signal(name), type)
