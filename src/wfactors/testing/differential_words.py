"""What a failed comparison of stores says: the fields that differ and the steps so far, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["brief", "differences"]

_NAMES = ("partition", "instance", "run", "key", "id", "node")
"""What tells rows apart; the first two that a row has are said."""

_MISSING: Any = attrs.NOTHING
_TEXT_MAX = 80


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Each field in which two values differ: where it is, what the oracle has, what the other store has.

    Lists of one length are compared row by row; of others, the rows that only one has are told.
    """
    if expected == found:
        return
    fields = _fields(expected), _fields(found)
    if fields[0] is not None and fields[1] is not None and fields[0].keys() == fields[1].keys():
        for name in fields[0]:
            yield from differences(
                fields[0][name], fields[1][name], f"{path}{_told(fields[0], path)}.{name}".lstrip(".")
            )
    elif _is_list(expected) and _is_list(found) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif _is_list(expected) and _is_list(found):
        yield from (f"{path} lacks {brief(row)}" for row in expected if row not in found)
        yield from (f"{path} has also {brief(row)}" for row in found if row not in expected)
        yield f"{path} has {len(found)} rows, not {len(expected)}"
    else:
        yield f"{path or 'all of it'} is {brief(found)}, not {brief(expected)}"


def brief(value: Any) -> str:
    """The value as it would be written, without the fields that have their default, and with the ends of long texts."""
    if isinstance(value, msgspec.Raw):
        return brief(bytes(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {brief(each)}" for name, each in value.items()) + "}"
    if _is_list(value):
        return f"[{', '.join(map(brief, value))}]"
    if not attrs.has(type(value)):
        text = repr(value)
        return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX // 2]}...{text[-_TEXT_MAX // 2 :]}"
    told = [
        f"{field.name}={brief(each)}"
        for field in attrs.fields(type(value))
        if (each := getattr(value, field.name)) != field.default and not (_is_list(each) and not each)
    ]
    return f"{type(value).__name__}({', '.join(told)})"


def _fields(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, dict):
        return value
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=False)
    return None


def _is_list(value: Any) -> bool:
    # What is a tuple with names tells itself best.
    return isinstance(value, list | tuple) and not hasattr(value, "_fields")


def _told(fields: Mapping[str, Any], path: str) -> str:
    """Which row it is, where it is one of a list."""
    if not path.endswith("]"):
        return ""
    names = [f"{name} {brief(fields[name])}" for name in _NAMES if fields.get(name, _MISSING) is not _MISSING]
    return f" ({', '.join(names[:2])})" if names else ""
