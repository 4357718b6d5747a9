"""How unions become JSON: untagged where the JSON alone tells the members apart, tagged where it does not.

``int | str`` or ``Order | None`` need no tag. Where two members become the same kind of JSON (two classes: objects; a
datetime and a string: strings), a member is stored with its name: ``{"$type": "Circle", "radius": 1}`` for classes,
``{"$type": "datetime", "$value": "2026-01-01T00:00:00"}`` for all else. None, bool, int,
float and str themselves are never tagged.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args, get_origin

import attrs
import cattrs

from wfactors.convert.leaves import Decode, Encode
from wfactors.convert.paths import misfit
from wfactors.convert.shapes import is_class_with_fields, is_union, kinds_of, strip, type_name

__all__ = ["decode_union", "encode_union"]

_TYPE: Final = "$type"
_VALUE: Final = "$value"
_NATIVE: Final = (type(None), bool, int, float, str)
_KINDS: Final[dict[type[Any], str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "list",
    dict: "dict",
}


@attrs.frozen
class _Member:
    """One type of a union; ``tag`` is None if its JSON is told apart without one."""

    type: Any
    kinds: frozenset[str]
    is_inline: bool
    tag: str | None


def _members(union: Any) -> list[_Member]:
    types = _flatten(union)
    kinds = [kinds_of(member) for member in types]
    natives = [_is_native(member) for member in types]
    tagged = {
        index
        for index in range(len(types))
        if not natives[index] and any(kinds[index] & kinds[other] for other in range(len(types)) if other != index)
    }
    if tagged:
        # What is tagged becomes an object, so an object without a tag would no longer be told apart from it.
        tagged |= {index for index in range(len(types)) if "dict" in kinds[index]}
    names = [type_name(member) for member in types]
    return [
        _Member(
            type=member,
            kinds=kinds[index],
            is_inline=is_class_with_fields(strip(member)) and kinds[index] == {"dict"},
            tag=_tag(member, names) if index in tagged else None,
        )
        for index, member in enumerate(types)
    ]


def _flatten(union: Any) -> list[Any]:
    result: list[Any] = []
    for member in get_args(union):
        base = strip(member)
        result.extend(_flatten(base) if is_union(base) else [member])
    return result


def _is_native(member: Any) -> bool:
    member = strip(member)
    if get_origin(member) is Literal:
        return all(type(argument) in _NATIVE for argument in get_args(member))
    return member in _NATIVE


def _tag(member: Any, names: list[str]) -> str:
    name = type_name(member)
    if names.count(name) == 1:
        return name
    base = strip(member)
    return f"{getattr(base, '__module__', '')}.{getattr(base, '__qualname__', repr(base))}"


def _runtime_class(member: Any) -> Any:
    member = strip(member)
    return get_origin(member) or member


def encode_union(union: Any, converter: cattrs.Converter) -> Encode:
    """Choose the member by the class of the value; where that leaves a choice, the first that takes the value."""
    writers = [(member, converter.get_unstructure_hook(member.type)) for member in _members(union)]
    by_class: dict[Any, list[tuple[_Member, Encode]]] = {}
    for member, hook in writers:
        by_class.setdefault(_runtime_class(member.type), []).append((member, hook))

    def encode(value: Any) -> Any:
        exact = by_class.get(value.__class__, [])
        if len(exact) == 1:
            return _tagged(exact[0][0], exact[0][1](value))
        for member, hook in exact or writers:
            try:
                return _tagged(member, hook(value))
            except RecursionError:
                raise
            except Exception:  # noqa: BLE001, S112  Not this member; the error below is for all of them.
                continue
        raise misfit(type_name(union), value)

    return encode


def _tagged(member: _Member, value: Any) -> Any:
    if member.tag is None:
        return value
    if member.is_inline:
        return {_TYPE: member.tag, **value}
    return {_TYPE: member.tag, _VALUE: value}


def decode_union(union: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_union``: by tag, or else by the kind of JSON."""
    readers = [(member, converter.get_structure_hook(member.type)) for member in _members(union)]
    by_tag: dict[str | None, tuple[_Member, Decode]] = {
        member.tag: (member, hook) for member, hook in readers if member.tag is not None
    }
    by_kind = {
        kind: sorted(
            [(member, hook) for member, hook in readers if kind in member.kinds], key=lambda reader: bool(reader[0].tag)
        )
        for kind in _KINDS.values()
    }
    if not by_kind["int"]:
        by_kind["int"] = by_kind["float"]

    def decode(value: Any, _type: Any) -> Any:
        kind = _KINDS[value.__class__]
        if kind == "dict" and by_tag and _TYPE in value:
            return _by_tag(value, by_tag, union)
        # Members with a tag come last: their values are here without one if they were stored before the union grew.
        candidates = by_kind[kind]
        if len(candidates) == 1:
            return candidates[0][1](value, candidates[0][0].type)
        for member, hook in candidates:
            try:
                return hook(value, member.type)
            except RecursionError:
                raise
            except Exception:  # noqa: BLE001, S112  Not this member; the error below is for all of them.
                continue
        raise misfit(type_name(union), value)

    return decode


def _by_tag(value: dict[str, Any], by_tag: dict[str | None, tuple[_Member, Decode]], union: Any) -> Any:
    tag = value[_TYPE]
    if not isinstance(tag, str) or tag not in by_tag:
        raise misfit(f"{type_name(union)} as {_TYPE}", tag)
    member, hook = by_tag[tag]
    if member.is_inline:
        return hook({key: item for key, item in value.items() if key != _TYPE}, member.type)
    return hook(value.get(_VALUE), member.type)
