"""What annotations mean: names of types, their fields, and which kinds of JSON their values become."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import pathlib
import sys
import types
import typing
import uuid
from typing import Any, Final, Literal, NotRequired, Required, TypeVar, get_args, get_origin

import attrs

__all__ = [
    "ALL_KINDS",
    "LISTS",
    "MAPPINGS",
    "SETS",
    "TEXTS",
    "Field",
    "enum_is_by_value",
    "fields_of",
    "is_any",
    "is_class_with_fields",
    "is_named_tuple",
    "is_pydantic",
    "is_union",
    "kinds_of",
    "strip",
    "type_name",
]

ALL_KINDS: Final = frozenset({"null", "bool", "int", "float", "str", "list", "dict"})
"""The kinds of JSON values, with integers apart from other numbers."""

# What each annotation is built as when it comes back.
LISTS: Final[dict[Any, Any]] = {
    list: list,
    collections.deque: collections.deque,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
}
SETS: Final[dict[Any, Any]] = {
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
MAPPINGS: Final[dict[Any, Any]] = {
    dict: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: collections.defaultdict,
    collections.Counter: collections.Counter,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
}
TEXTS: Final = (
    bytes,
    bytearray,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    pathlib.PurePath,
)
"""Types whose values become JSON strings."""

_ATOM_KINDS: Final[dict[Any, str]] = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}


@attrs.frozen
class Field:
    """A field of a class, as it is stored."""

    name: str
    type: Any
    is_required: bool = True


def is_any(annotation: Any) -> bool:
    """Whether the annotation says nothing about the value."""
    return annotation is Any or annotation is object or isinstance(annotation, TypeVar)


def is_union(annotation: Any) -> bool:
    """Whether it is a Union, written in either way."""
    return get_origin(annotation) in (typing.Union, types.UnionType)


def is_named_tuple(annotation: Any) -> bool:
    """Whether it is a class made by NamedTuple or namedtuple."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")


def is_pydantic(annotation: Any) -> bool:
    """Whether it is a pydantic model; where pydantic was never imported, nothing is."""
    pydantic = sys.modules.get("pydantic")
    return (
        pydantic is not None
        and isinstance(annotation, type)
        and issubclass(annotation, getattr(pydantic, "BaseModel", ()))
    )


def is_class_with_fields(annotation: Any) -> bool:
    """Whether its values become JSON objects with its fields as keys."""
    base = get_origin(annotation) or annotation
    return isinstance(base, type) and (
        attrs.has(base) or dataclasses.is_dataclass(base) or is_named_tuple(base) or is_pydantic(base)
    )


def strip(annotation: Any) -> Any:
    """The type below Annotated, NewType, Final, Required, NotRequired and ``type`` aliases."""
    while True:
        origin = get_origin(annotation)
        if origin in (typing.Annotated, Final, Required, NotRequired):
            annotation = annotation.__origin__ if origin is typing.Annotated else get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def type_name(annotation: Any) -> str:
    """A short name for people and for tags: ``"Order"``, ``"list[int]"``."""
    args = get_args(annotation)
    if is_union(annotation):
        return " | ".join(type_name(arg) for arg in args)
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if args:
        base = type_name(get_origin(annotation))
        return f"{base}[{', '.join(type_name(arg) for arg in args)}]"
    if annotation is type(None):
        return "None"
    if annotation is Ellipsis:
        return "..."
    return getattr(annotation, "__name__", None) or repr(annotation).removeprefix("typing.")


def enum_is_by_value(cls: type[enum.Enum]) -> bool:
    """Whether members are stored as their values; else as their names, since a JSON value would not find them again."""
    return all(type(member._value_) in (str, int) for member in cls) or issubclass(cls, enum.Flag)


def fields_of(cls: Any) -> tuple[Field, ...]:
    """The fields of a class as stored; an annotation that cannot be resolved counts as Any."""
    arguments = get_args(cls)
    cls = get_origin(cls) or cls
    parameters = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
    hints = {name: _filled_in(hint, parameters) for name, hint in _hints(cls).items()}
    if attrs.has(cls):
        return tuple(Field(a.name, hints.get(a.name, Any)) for a in attrs.fields(cls) if a.init)
    if dataclasses.is_dataclass(cls):
        return tuple(Field(f.name, hints.get(f.name, Any)) for f in dataclasses.fields(cls) if f.init)
    if typing.is_typeddict(cls):
        return tuple(
            Field(name, strip(hint), _is_required(name, hint, cls.__required_keys__)) for name, hint in hints.items()
        )
    return tuple(Field(name, hints.get(name, Any), name not in cls._field_defaults) for name in cls._fields)


def _filled_in(hint: Any, parameters: dict[Any, Any]) -> Any:
    """``hint`` with the arguments of a generic class in place of its type variables."""
    if isinstance(hint, TypeVar):
        return parameters.get(hint, Any)
    open_parameters = getattr(hint, "__parameters__", ())
    if not open_parameters or isinstance(hint, type):
        return hint
    return hint[tuple(parameters.get(parameter, Any) for parameter in open_parameters)]


def _is_required(name: str, hint: Any, required: frozenset[str]) -> bool:
    origin = get_origin(hint)
    if origin is NotRequired:
        return False
    return origin is Required or name in required


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001  Whatever evaluating an annotation raises, the answer is the same.
        return {}


def kinds_of(annotation: Any) -> frozenset[str]:
    """The kinds of JSON that values of this type can become; all of them when it cannot be told."""
    annotation = strip(annotation)
    origin = get_origin(annotation) or annotation
    if is_union(annotation):
        return frozenset().union(*(kinds_of(arg) for arg in get_args(annotation)))
    if origin is Literal:
        return frozenset().union(*(kinds_of(type(arg)) for arg in get_args(annotation)))
    if annotation in _ATOM_KINDS:
        return frozenset({_ATOM_KINDS[annotation]})
    if origin in LISTS or origin in SETS or origin in (tuple, complex):
        return frozenset({"list"})
    if origin in MAPPINGS or typing.is_typeddict(origin) or is_class_with_fields(origin):
        return ALL_KINDS if _is_root_model(origin) else frozenset({"dict"})
    if isinstance(origin, type):
        return _kinds_of_class(origin)
    return ALL_KINDS


def _is_root_model(cls: Any) -> bool:
    return is_pydantic(cls) and "root" in cls.model_fields


def _kinds_of_class(cls: type) -> frozenset[str]:
    if issubclass(cls, enum.Flag):
        return frozenset({"int"})
    if issubclass(cls, enum.Enum):
        if enum_is_by_value(cls):
            return frozenset(_ATOM_KINDS[type(member._value_)] for member in cls)
        return frozenset({"str"})
    if issubclass(cls, TEXTS):
        return frozenset({"str"})
    for base, kind in _ATOM_KINDS.items():
        if issubclass(cls, base):
            return frozenset({kind})
    return ALL_KINDS
