"""The stored form of events and messages: JSON, each value tagged with the name of its class.

A row of history is ``{"v": 1, "events": [["RunStarted", {...}], ...]}``. The version is that of the shape of the
events; a reader knows every version there ever was, so old histories stay readable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import attrs
import msgspec

from wfactors.errors import StoreCorrupt
from wfactors.model.events import DECISIONS, FACTS, Event
from wfactors.model.messages import Body

__all__ = [
    "VERSION",
    "decode_body",
    "decode_events",
    "decode_events_in_parts",
    "decode_value",
    "encode_body",
    "encode_event",
    "encode_events",
    "encode_run_of_events",
    "encode_value",
    "join_events",
]

VERSION = 1

T = TypeVar("T")

_EVENTS_AT_ONCE = 256
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError)

_encoder = msgspec.json.Encoder()


@attrs.frozen
class _Row:
    v: int
    events: list[tuple[str, msgspec.Raw]]


_row_decoder = msgspec.json.Decoder(_Row)
_body_decoder = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_event_decoders: dict[str, Callable[[msgspec.Raw], Event]] = {
    kind.__name__: msgspec.json.Decoder(kind).decode for kind in (*FACTS, *DECISIONS)
}
_body_decoders: dict[str, Callable[[msgspec.Raw], Body]] = {
    kind.__name__: msgspec.json.Decoder(kind).decode for kind in cast("Any", Body).__args__
}


def encode_events(events: Sequence[Event]) -> bytes:
    """The row of history that holds ``events``."""
    return _encoder.encode({"v": VERSION, "events": [(type(event).__name__, event) for event in events]})


def encode_event(event: Event) -> bytes:
    """One event as it stands in a row."""
    return _encoder.encode((type(event).__name__, event))


def encode_run_of_events(events: Sequence[Event]) -> bytes:
    """Some events that follow each other, for ``join_events``."""
    return _encoder.encode([(type(event).__name__, event) for event in events])[1:-1]


def join_events(encoded: Iterable[bytes]) -> bytes:
    """The row of history that holds runs of events encoded one by one."""
    return b'{"v":%d,"events":[%b]}' % (VERSION, b",".join(encoded))


def decode_events(data: bytes, where: str = "history") -> list[Event]:
    """The events of one row; raises StoreCorrupt, naming ``where``, for what ``encode_events`` did not make."""
    try:
        return _events(_split(data, where))
    except _UNREADABLE as error:
        raise _corrupt(error, where, "event") from error


def decode_events_in_parts(data: bytes, where: str = "history") -> Iterator[list[Event]]:
    """The same, some hundred events at each step, for those who share a loop with others."""
    try:
        pairs = _split(data, where)
        for start in range(0, len(pairs), _EVENTS_AT_ONCE):
            yield _events(pairs[start : start + _EVENTS_AT_ONCE])
    except _UNREADABLE as error:
        raise _corrupt(error, where, "event") from error


def _split(data: bytes, where: str) -> list[tuple[str, msgspec.Raw]]:
    row = _row_decoder.decode(data)
    if row.v != VERSION:
        raise StoreCorrupt(f"{where}: events of version {row.v}, this release reads up to {VERSION}")
    return row.events


def _events(pairs: Sequence[tuple[str, msgspec.Raw]]) -> list[Event]:
    decoders = _event_decoders
    return [decoders[name](raw) for name, raw in pairs]


def _corrupt(error: Exception, where: str, what: str) -> StoreCorrupt:
    if isinstance(error, KeyError):
        return StoreCorrupt(f"{where}: no {what} is called {error}")
    return StoreCorrupt(f"{where}: {error}")


def encode_body(body: Body) -> bytes:
    """The stored form of a message's body."""
    return _encoder.encode((type(body).__name__, body))


def decode_body(data: bytes, where: str = "message") -> Body:
    """The reverse of ``encode_body``; raises StoreCorrupt, naming ``where``, for anything else."""
    try:
        name, raw = _body_decoder.decode(data)
        return _body_decoders[name](raw)
    except _UNREADABLE as error:
        raise _corrupt(error, where, "message") from error


def encode_value(value: object) -> bytes:
    """JSON of an attrs class of the model (a failure, options, a parent), or of plain data made of them."""
    return _encoder.encode(value)


def decode_value(data: bytes | str, kind: type[T], where: str = "value") -> T:
    """The reverse of ``encode_value`` for one class; raises StoreCorrupt, naming ``where``, for anything else."""
    try:
        return cast("T", _decoder_of(cast("Hashable", kind)).decode(data))
    except _UNREADABLE as error:
        raise _corrupt(error, where, "value") from error


@functools.cache
def _decoder_of(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type", kind))
