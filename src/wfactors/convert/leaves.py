"""How single values become JSON and come back: numbers, text, times, enums.

Both ways are strict. What cattrs would coerce on its own (``int("3")``, ``str([])``, ``bool("no")``) is refused, so
that a wrong value is an error at the call that made it and not a surprise in the function that receives it.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from wfactors.convert.paths import misfit
from wfactors.convert.shapes import enum_is_by_value

__all__ = ["LEAVES", "Decode", "Encode", "decode_enum", "encode_enum"]

Encode = Callable[[Any], Any]
Decode = Callable[[Any, Any], Any]


def _encode_none(value: Any) -> None:
    if value is not None:
        raise misfit("None", value)


def _decode_none(value: Any, _type: Any) -> None:
    if value is not None:
        raise misfit("null", value)


def _encode_str(value: Any) -> Any:
    if value.__class__ is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)  # Subclasses too: msgspec takes nothing but str itself.
    raise misfit("a string", value)


def _decode_str(value: Any, type: Any) -> Any:
    if value.__class__ is not str:
        raise misfit("a string", value)
    return value if type is str else type(value)


def _encode_bool(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise misfit("a bool", value)


def _decode_bool(value: Any, _type: Any) -> Any:
    if value is True or value is False:
        return value
    raise misfit("a bool", value)


def _encode_int(value: Any) -> Any:
    if value.__class__ is int:
        return value
    if isinstance(value, int):
        return int.__index__(value)
    raise misfit("an integer", value)


def _decode_int(value: Any, type: Any) -> Any:
    if value.__class__ is not int:
        raise misfit("an integer", value)
    return value if type is int else type(value)


def _encode_float(value: Any) -> Any:
    if value.__class__ is not float:
        if not isinstance(value, (float, int)):
            raise misfit("a number", value)
        number = value
        value = float(number)
        if value != number and value == value:  # noqa: PLR0124  Not equal to itself: not a number, see below.
            raise misfit("a number that a float can hold", number)
    if not math.isfinite(value):
        # JSON has no such numbers, and msgspec would write null.
        raise misfit("a finite number", value)
    return value


def _decode_float(value: Any, type: Any) -> Any:
    if value.__class__ is not float:
        if value.__class__ is not int:
            raise misfit("a number", value)
        value = float(value)
    return value if type is float else type(value)


def _encode_complex(value: Any) -> Any:
    number = complex(value)
    return [_encode_float(number.real), _encode_float(number.imag)]


def _decode_complex(value: Any, _type: Any) -> Any:
    if value.__class__ is not list or len(value) != 2:  # noqa: PLR2004  Real and imaginary part.
        raise misfit("a pair of numbers", value)
    return complex(_decode_float(value[0], float), _decode_float(value[1], float))


def _encode_bytes(value: Any) -> str:
    if not isinstance(value, (bytes, bytearray)):
        raise misfit("bytes", value)
    return base64.b64encode(value).decode("ascii")


def _decode_bytes(value: Any, type: Any) -> Any:
    return type(base64.b64decode(_decode_str(value, str), validate=True))


def _iso(cls: type[Any], expected: str, *excluded: type[Any]) -> tuple[Encode, Decode]:
    """Hooks for what has ``isoformat`` and ``fromisoformat``; microseconds and offsets come back exactly."""

    def encode(value: Any) -> Any:
        if not isinstance(value, cls) or isinstance(value, excluded):
            raise misfit(expected, value)
        return value.isoformat()

    def decode(value: Any, type: Any) -> Any:
        return type.fromisoformat(_decode_str(value, str))

    return encode, decode


def _encode_timedelta(value: Any) -> Any:
    if not isinstance(value, datetime.timedelta):
        raise misfit("a timedelta", value)
    return msgspec.to_builtins(value)  # ISO 8601, to the microsecond.


def _decode_timedelta(value: Any, _type: Any) -> Any:
    return msgspec.convert(_decode_str(value, str), datetime.timedelta)


def _text(cls: type[Any], expected: str) -> tuple[Encode, Decode]:
    """Hooks for what ``str()`` writes and its class reads."""

    def encode(value: Any) -> str:
        if not isinstance(value, cls):
            raise misfit(expected, value)
        return str(value)

    def decode(value: Any, type: Any) -> Any:
        return type(_decode_str(value, str))

    return encode, decode


def _decode_decimal(value: Any, type: Any) -> Any:
    try:
        return type(_decode_str(value, str))
    except decimal.InvalidOperation:
        raise misfit("a decimal number", value) from None


LEAVES: dict[type[Any], tuple[Encode, Decode]] = {
    type(None): (_encode_none, _decode_none),
    str: (_encode_str, _decode_str),
    bool: (_encode_bool, _decode_bool),
    int: (_encode_int, _decode_int),
    float: (_encode_float, _decode_float),
    complex: (_encode_complex, _decode_complex),
    bytes: (_encode_bytes, _decode_bytes),
    bytearray: (_encode_bytes, _decode_bytes),
    datetime.datetime: _iso(datetime.datetime, "a datetime"),
    datetime.date: _iso(datetime.date, "a date", datetime.datetime),
    datetime.time: _iso(datetime.time, "a time"),
    datetime.timedelta: (_encode_timedelta, _decode_timedelta),
    decimal.Decimal: (_text(decimal.Decimal, "a Decimal")[0], _decode_decimal),
    uuid.UUID: _text(uuid.UUID, "a UUID"),
    pathlib.PurePath: _text(pathlib.PurePath, "a path"),
}
"""Hooks by class; each is used for the subclasses too, so the decoding one builds the class it is asked for."""


def encode_enum(cls: type[enum.Enum]) -> Encode:
    """Members by value where all values are strings or integers, else by name."""
    is_by_value = enum_is_by_value(cls)

    def encode(value: Any) -> Any:
        if not isinstance(value, cls):
            raise misfit(f"a member of {cls.__name__}", value)
        return value._value_ if is_by_value else value._name_

    return encode


def decode_enum(cls: type[enum.Enum]) -> Decode:
    """The way back of ``encode_enum``; what no member has is offered to ``_missing_``."""
    if issubclass(cls, enum.Flag):
        return lambda value, _type: cls(_decode_int(value, int))
    is_by_value = enum_is_by_value(cls)
    members: dict[Any, Any] = {}
    for name, member in cls.__members__.items():
        members[(type(member._value_), member._value_) if is_by_value else (str, name)] = member

    def decode(value: Any, _type: Any) -> Any:
        try:
            return members[value.__class__, value]
        except (KeyError, TypeError):
            pass
        if is_by_value and value.__class__ in (str, int):
            return cls(value)  # Gives the author's _missing_ its chance.
        raise misfit(f"a member of {cls.__name__}", value)

    return decode
