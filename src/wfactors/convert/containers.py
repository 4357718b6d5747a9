"""How collections become JSON and come back, for a given cattrs converter.

Hooks come in two sorts, chosen by ``converter.detailed_validation``: the fast ones, and those that keep the path. A
value goes through the second only after the first have refused it, to say where it is wrong.
"""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, get_args, get_origin

import cattrs
import msgspec

from wfactors.convert.leaves import LEAVES, Decode, Encode
from wfactors.convert.paths import PathError, misfit, traced
from wfactors.convert.shapes import (
    LISTS,
    MAPPINGS,
    SETS,
    is_any,
    is_union,
    kinds_of,
    strip,
)

__all__ = [
    "decode_list",
    "decode_mapping",
    "decode_set",
    "decode_tuple",
    "encode_any",
    "encode_list",
    "encode_mapping",
    "encode_set",
    "encode_tuple",
    "json_text",
]

_ATOMS = frozenset({str, int, bool, type(None)})
_encode_float = LEAVES[float][0]
json_text = msgspec.json.Encoder().encode
_json_value = msgspec.json.Decoder().decode


# --- Without an annotation -------------------------------------------------------------------------------------------


def encode_any(converter: cattrs.Converter) -> Encode:
    """The hook for Any: JSON's own values as they are, all others by the class they have."""
    hook_of = converter.get_unstructure_hook
    is_traced = converter.detailed_validation

    def encode(value: Any) -> Any:
        if not is_traced and _is_plain(value):
            return value
        return rebuild(value)

    def rebuild(value: Any) -> Any:
        cls = value.__class__
        if cls in _ATOMS:
            if is_traced:
                json_text(value)  # Finds lone surrogates and numbers that are too long.
            return value
        if cls is float:
            return _encode_float(value)
        if cls is dict:
            return encode_pairs(value)
        if cls is list or cls is tuple:
            return encode_items(value)
        if cls is object:
            raise PathError("a bare object() has nothing to store")
        return hook_of(cls)(value)

    encode_items = _encode_items(rebuild, is_traced=is_traced)
    encode_pairs = _encode_pairs(_key_as_is, rebuild, is_traced=is_traced)
    return encode


def _is_plain(value: Any) -> bool:
    """Whether it is JSON's own all through and can be written as it is; three times as fast as to rebuild it."""
    cls = value.__class__
    if cls in _ATOMS:
        return True
    if cls is dict:
        for key in value:
            if key.__class__ is not str:
                return False
        value = value.values()
    elif cls is not list and cls is not tuple:
        return cls is float and isfinite(value)
    for item in value:  # noqa: SIM110  A generator expression costs twice as much.
        if item.__class__ not in _ATOMS and not _is_plain(item):
            return False
    return True


def _key_as_is(key: Any) -> Any:
    if key.__class__ is str:
        return key
    if isinstance(key, str):
        return str.__str__(key)
    raise PathError(f"a key that is no string ({type(key).__name__}) needs an annotation such as dict[int, ...]")


def _encode_items(encode: Encode, *, is_traced: bool) -> Callable[[Iterable[Any]], list[Any]]:
    if not is_traced:
        return lambda value: [encode(item) for item in value]

    def encode_items(value: Iterable[Any]) -> list[Any]:
        result: list[Any] = []
        for item in value:
            try:
                result.append(encode(item))
            except Exception as error:
                raise traced(error, f"[{len(result)}]") from error
        return result

    return encode_items


def _encode_pairs(key_of: Encode, encode: Encode, *, is_traced: bool) -> Encode:
    if not is_traced:
        return lambda value: {key_of(key): encode(item) for key, item in value.items()}

    def encode_pairs_traced(value: Any) -> Any:
        result: dict[Any, Any] = {}
        for key, item in value.items():
            try:
                name = key_of(key)
                json_text(name)
                result[name] = encode(item)
            except Exception as error:
                raise traced(error, f"[{key!a:.60}]") from error
        return result

    return encode_pairs_traced


# --- Lists, tuples and sets ------------------------------------------------------------------------------------------


def _item_type(annotation: Any) -> Any:
    args = get_args(annotation)
    return args[0] if args else Any


def encode_list(annotation: Any, converter: cattrs.Converter) -> Encode:
    """Any iterable but text and mappings, where a list or another sequence is asked for."""
    encode_items = _encode_items(
        converter.get_unstructure_hook(_item_type(annotation)), is_traced=_is_traced(converter)
    )

    def encode(value: Any) -> Any:
        if value.__class__ is not list:
            _require_items(value)
        return encode_items(value)

    return encode


def _is_traced(converter: cattrs.Converter) -> bool:
    return converter.detailed_validation


def _require_items(value: Any) -> None:
    if isinstance(value, (str, bytes, bytearray, collections.abc.Mapping)) or not isinstance(
        value, collections.abc.Iterable
    ):
        raise misfit("a list", value)


def _decode_items(converter: cattrs.Converter, item_type: Any) -> Callable[[list[Any]], list[Any]]:
    if is_any(item_type):
        return lambda value: value
    decode = converter.get_structure_hook(item_type)
    if not _is_traced(converter):
        return lambda value: [decode(item, item_type) for item in value]

    def decode_items(value: list[Any]) -> list[Any]:
        result: list[Any] = []
        for item in value:
            try:
                result.append(decode(item, item_type))
            except Exception as error:
                raise traced(error, f"[{len(result)}]") from error
        return result

    return decode_items


def decode_list(annotation: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_list``: the class that the annotation names, a list for abstract ones."""
    return _decode_collection(LISTS, annotation, converter)


def _decode_collection(kinds: Mapping[Any, Callable[..., Any]], annotation: Any, converter: cattrs.Converter) -> Decode:
    decode_items = _decode_items(converter, _item_type(annotation))
    build = kinds[get_origin(annotation) or annotation]

    def decode(value: Any, _type: Any) -> Any:
        if value.__class__ is not list:
            raise misfit("a list", value)
        items = decode_items(value)
        return items if build is list else build(items)

    return decode


def encode_tuple(annotation: Any, converter: cattrs.Converter) -> Encode:
    """Tuples of one type for all items, or of one for each."""
    types = get_args(annotation)
    if not types or types[-1] is Ellipsis:
        if annotation is not tuple and not types and get_origin(annotation) is tuple:
            return _encode_parts((), converter)
        return encode_list(list[types[0]] if types else list, converter)  # type: ignore[valid-type]
    return _encode_parts(types, converter)


def _encode_parts(types: tuple[Any, ...], converter: cattrs.Converter) -> Encode:
    hooks = [converter.get_unstructure_hook(part) for part in types]

    def encode(value: Any) -> Any:
        _require_items(value)
        parts = list(value)
        if len(parts) != len(hooks):
            raise PathError(f"expected {len(hooks)} items, got {len(parts)}")
        for index, hook in enumerate(hooks):
            try:
                parts[index] = hook(parts[index])
            except Exception as error:
                raise traced(error, f"[{index}]") from error
        return parts

    return encode


def decode_tuple(annotation: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_tuple``."""
    types = get_args(annotation)
    if annotation is tuple or (types and types[-1] is Ellipsis):
        decode_items = _decode_items(converter, types[0] if types else Any)

        def decode_many(value: Any, _type: Any) -> Any:
            if value.__class__ is not list:
                raise misfit("a list", value)
            return tuple(decode_items(value))

        return decode_many
    hooks = [converter.get_structure_hook(part) for part in types]

    def decode(value: Any, _type: Any) -> Any:
        if value.__class__ is not list or len(value) != len(hooks):
            raise misfit(f"a list of {len(hooks)}", value)
        parts = []
        for item, hook, part in zip(value, hooks, types, strict=True):
            try:
                parts.append(hook(item, part))
            except Exception as error:
                raise traced(error, f"[{len(parts)}]") from error
        return tuple(parts)

    return decode


def encode_set(annotation: Any, converter: cattrs.Converter) -> Encode:
    """Sets, as lists in an order that is the same in every process."""
    encode_items = _encode_items(
        converter.get_unstructure_hook(_item_type(annotation)), is_traced=_is_traced(converter)
    )

    def encode(value: Any) -> Any:
        if not isinstance(value, collections.abc.Set):
            raise misfit("a set", value)
        items = encode_items(value)
        # In an order that does not depend on hashes, which differ from process to process.
        classes = {item.__class__ for item in items}
        if len(classes) == 1 and classes <= {str, int, float}:
            items.sort()
        else:
            items.sort(key=json_text)
        return items

    return encode


def decode_set(annotation: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_set``."""
    return _decode_collection(SETS, annotation, converter)


# --- Mappings --------------------------------------------------------------------------------------------------------


def _pair_types(annotation: Any) -> tuple[Any, Any]:
    origin = get_origin(annotation) or annotation
    args = get_args(annotation)
    if origin is collections.Counter:
        return (args[0] if args else Any), int
    return args if len(args) == 2 else (Any, Any)  # noqa: PLR2004  Key and value.


def encode_mapping(annotation: Any, converter: cattrs.Converter) -> Encode:
    """Mappings, with keys that are not text as their own JSON text."""
    key_type, item_type = _pair_types(annotation)
    encode_pairs = _encode_pairs(
        _encode_key(key_type, converter), converter.get_unstructure_hook(item_type), is_traced=_is_traced(converter)
    )

    def encode(value: Any) -> Any:
        if not isinstance(value, collections.abc.Mapping):
            raise misfit("a mapping", value)
        result = encode_pairs(value)
        if len(result) != len(value):
            raise PathError("has keys that are the same once converted to text")
        return result

    return encode


def _encode_key(key_type: Any, converter: cattrs.Converter) -> Encode:
    """Keys that are text are themselves; all others are their own JSON text, so ``{1: ...}`` becomes ``{"1": ...}``."""
    if is_any(key_type) or strip(key_type) is str:
        return _key_as_is
    encode = converter.get_unstructure_hook(key_type)
    if kinds_of(key_type) == {"str"}:
        return encode
    return lambda key: json_text(encode(key)).decode()


def _decode_key(key_type: Any, converter: cattrs.Converter) -> Callable[[str], Any]:
    if is_any(key_type) or key_type is str:
        return lambda key: key
    decode = converter.get_structure_hook(key_type)
    if kinds_of(key_type) == {"str"}:
        return lambda key: decode(key, key_type)
    return lambda key: decode(_json_value(key), key_type)


def decode_mapping(annotation: Any, converter: cattrs.Converter) -> Decode:
    """The way back of ``encode_mapping``."""
    key_type, item_type = _pair_types(annotation)
    key_of = _decode_key(key_type, converter)
    decode_item = converter.get_structure_hook(item_type)
    build = _mapping_builder(get_origin(annotation) or annotation, item_type)
    is_traced = _is_traced(converter)

    def decode(value: Any, _type: Any) -> Any:
        if value.__class__ is not dict:
            raise misfit("an object", value)
        if not is_traced:
            return build({key_of(key): decode_item(item, item_type) for key, item in value.items()})
        result = {}
        for key, item in value.items():
            try:
                result[key_of(key)] = decode_item(item, item_type)
            except Exception as error:
                raise traced(error, f"[{key!a:.60}]") from error
        return build(result)

    return decode


def _mapping_builder(origin: Any, item_type: Any) -> Callable[[dict[Any, Any]], Any]:
    build = MAPPINGS[origin]
    if build is dict:
        return lambda pairs: pairs
    if build is collections.defaultdict:
        base = strip(item_type)
        origin_of_items = get_origin(base) or base
        factory = origin_of_items if isinstance(origin_of_items, type) and not is_union(base) else None
        return lambda pairs: collections.defaultdict(factory, pairs)
    return typing.cast("Callable[[dict[Any, Any]], Any]", build)
