"""How classes become JSON objects and come back, for a given cattrs converter; and literals."""

from __future__ import annotations

import collections.abc
import typing
from typing import Any, Literal, get_args, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from wfactors.convert.containers import json_text
from wfactors.convert.leaves import Decode, Encode
from wfactors.convert.paths import PathError, misfit, traced
from wfactors.convert.shapes import fields_of, type_name

__all__ = [
    "decode_class",
    "decode_fields",
    "decode_literal",
    "decode_pydantic",
    "encode_class",
    "encode_fields",
    "encode_literal",
    "encode_pydantic",
]


def encode_class(cls: Any, converter: cattrs.Converter) -> Encode:
    """attrs classes and dataclasses, by the code that cattrs generates."""
    base = get_origin(cls) or cls
    if converter.detailed_validation:
        return encode_fields(cls, converter)
    generated = make_dict_unstructure_fn(cls, converter)

    def encode(value: Any) -> Any:
        if value.__class__ is not base:
            raise _wrong_class(cls, base, value)
        return generated(value)

    return encode


def _wrong_class(cls: Any, base: type[Any], value: Any) -> PathError:
    if isinstance(value, base):
        return PathError(
            f"is a {type(value).__name__}, of which only the fields of {type_name(cls)} would be kept: "
            f"annotate it as a union of the classes it can be"
        )
    return misfit(type_name(cls), value)


def decode_class(cls: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_class``; keys that the class does not have are left out."""
    parameters = getattr(cls, "__parameters__", ())
    if parameters and isinstance(cls, type):
        cls = typing.cast("Any", cls)[(Any,) * len(parameters)]  # cattrs asks for arguments.
    generated = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=converter.detailed_validation)
    name = type_name(cls)

    def decode(value: Any, _type: Any) -> Any:
        if value.__class__ is not dict:
            raise misfit(f"an object ({name})", value)
        return generated(value, cls)

    return decode


def encode_fields(cls: Any, converter: cattrs.Converter) -> Encode:
    """Field by field, keeping the path: named tuples, TypedDicts, and every class once the fast way has failed."""
    base = get_origin(cls) or cls
    is_dict = typing.is_typeddict(base)
    fields = fields_of(cls)
    hooks = {field.name: converter.get_unstructure_hook(field.type) for field in fields}
    required = [field.name for field in fields if field.is_required] if is_dict else []

    def encode(value: Any) -> Any:
        if is_dict:
            _check_typed_dict(cls, value, hooks.keys(), required)
        elif value.__class__ is not base:
            raise _wrong_class(cls, base, value)
        result = {}
        for name, hook in hooks.items():
            if is_dict and name not in value:
                continue
            try:
                result[name] = hook(value[name] if is_dict else getattr(value, name))
            except Exception as error:
                raise traced(error, f".{name}") from error
        return result

    return encode


def _check_typed_dict(cls: Any, value: Any, names: collections.abc.Set[str], required: list[str]) -> None:
    if not isinstance(value, dict):
        raise misfit(f"a dict ({cls.__name__})", value)
    for name in required:
        if name not in value:
            raise PathError("is missing", f".{name}")
    surplus = value.keys() - names
    if surplus:
        raise PathError(f"has keys that {cls.__name__} has not: {', '.join(sorted(map(repr, surplus)))}")


def decode_fields(cls: Any, converter: cattrs.Converter) -> Decode:
    """Named tuples and TypedDicts; keys that the class does not have are left out, as for classes."""
    fields = [(field, converter.get_structure_hook(field.type)) for field in fields_of(cls)]
    is_dict = typing.is_typeddict(get_origin(cls) or cls)

    def decode(value: Any, _type: Any) -> Any:
        if value.__class__ is not dict:
            raise misfit(f"an object ({type_name(cls)})", value)
        result = {}
        for field, hook in fields:
            if field.name not in value:
                if field.is_required:
                    raise PathError("is missing", f".{field.name}")
                continue
            try:
                result[field.name] = hook(value[field.name], field.type)
            except Exception as error:
                raise traced(error, f".{field.name}") from error
        return result if is_dict else cls(**result)

    return decode


def encode_pydantic(cls: Any, converter: cattrs.Converter) -> Encode:
    """Models of pydantic, by its own rules for JSON and with its aliases."""
    encode_rest = converter.get_unstructure_hook(Any)

    def encode(value: Any) -> Any:
        if value.__class__ is not cls:
            raise _wrong_class(cls, cls, value)
        # Through the hook for Any, which refuses the NaN that pydantic lets pass.
        return encode_rest(value.model_dump(mode="json", by_alias=True, round_trip=True))

    return encode


def decode_pydantic(cls: Any, _converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_pydantic``, with pydantic's own validation."""

    def decode(value: Any, _type: Any) -> Any:
        # As JSON, for which pydantic has rules of its own (base64, tuples, strict mode).
        try:
            return cls.model_validate_json(json_text(value))
        except Exception as error:
            details = getattr(error, "errors", None)
            if not callable(details):
                raise
            first = typing.cast("list[Any]", details())[0]
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
            raise PathError(first["msg"], path) from error

    return decode


# --- Literals --------------------------------------------------------------------------------------------------------


def _literals(annotation: Any, converter: cattrs.Converter) -> dict[tuple[type[Any], Any], Any]:
    """The arguments of a Literal by class and value, since 1, 1.0 and True are equal."""
    arguments: list[Any] = []
    for argument in get_args(annotation):
        arguments.extend(get_args(argument) if get_origin(argument) is Literal else [argument])
    return {(argument.__class__, argument): converter.unstructure(argument) for argument in arguments}


def encode_literal(annotation: Any, converter: cattrs.Converter) -> Encode:
    """The values of a Literal, and nothing that is merely equal to one."""
    known = _literals(annotation, converter)

    def encode(value: Any) -> Any:
        try:
            return known[value.__class__, value]
        except (KeyError, TypeError):
            raise misfit(type_name(annotation), value) from None

    return encode


def decode_literal(annotation: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_literal``."""
    known = {(stored.__class__, stored): argument for (_, argument), stored in _literals(annotation, converter).items()}

    def decode(value: Any, _type: Any) -> Any:
        try:
            return known[value.__class__, value]
        except (KeyError, TypeError):
            raise misfit(type_name(annotation), value) from None

    return decode
