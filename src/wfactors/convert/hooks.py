"""The cattrs converter with the hooks of wfactors: which annotation is converted by what."""

from __future__ import annotations

import dataclasses
import enum
import threading
import typing
from collections.abc import Callable, Container
from typing import Any, Final, Literal, get_origin

import attrs
import cattrs

from wfactors.convert import classes, containers, leaves, unions
from wfactors.convert.leaves import Decode, Encode
from wfactors.convert.paths import PathError
from wfactors.convert.shapes import (
    LISTS,
    MAPPINGS,
    SETS,
    is_any,
    is_named_tuple,
    is_pydantic,
    is_union,
    strip,
    type_name,
)

__all__ = ["HookConverter"]


class HookConverter(cattrs.Converter):
    """cattrs' converter, strict and with hooks that may refer to themselves.

    Args:
        is_traced: Keep the path to what is refused, at some cost.
    """

    def __init__(self, *, is_traced: bool) -> None:
        # Before cattrs' own __init__, which asks for hooks.
        self._pending = threading.local()
        self._leaves: set[Any] = set()
        super().__init__(
            detailed_validation=is_traced,
            unstructure_fallback_factory=_no_encoder,
            structure_fallback_factory=_no_decoder,
        )
        for cls, (encode, decode) in leaves.LEAVES.items():
            encode_leaf = _checking(encode) if is_traced else encode
            self._leaves |= {encode_leaf, decode}
            self.register_unstructure_hook(cls, encode_leaf)
            self.register_structure_hook(cls, decode)
        for predicate, encode_factory, decode_factory in _FACTORIES:
            self.register_unstructure_hook_factory(predicate, encode_factory)
            self.register_structure_hook_factory(predicate, decode_factory)

    def get_unstructure_hook(self, type: Any, cache_result: bool = True) -> Encode:  # noqa: FBT001, FBT002  As in cattrs.
        hook: Encode = self._hook(super().get_unstructure_hook, "unstructure", _lazy_encoder, type, cache_result)
        return hook

    def get_structure_hook(self, type: Any, cache_result: bool = True) -> Decode:  # noqa: FBT001, FBT002  As in cattrs.
        hook: Decode = self._hook(super().get_structure_hook, "structure", _lazy_decoder, type, cache_result)
        return hook

    def _hook(self, get: Any, way: str, lazily: Any, annotation: Any, cache_result: bool) -> Any:  # noqa: FBT001
        """Ask cattrs for the hook; for a type whose hook is being made just now, give one that asks later.

        Such a type refers to itself. cattrs would fall back to the class that a value has, and so lose what the
        annotation says.
        """
        pending = self._pending.__dict__.setdefault(way, [])
        if annotation in pending:
            return lazily(self, annotation)
        pending.append(annotation)
        try:
            hook = get(annotation, cache_result)
        finally:
            pending.pop()
        if _is_enum(annotation) and hook in self._leaves:
            # cattrs found the hook of str or int first, which such an enum inherits from as well.
            return leaves.encode_enum(annotation) if way == "unstructure" else leaves.decode_enum(annotation)
        return hook


def _lazy_encoder(converter: HookConverter, annotation: Any) -> Encode:
    hook: Encode | None = None

    def encode(value: Any) -> Any:
        nonlocal hook
        if hook is None:
            hook = converter.get_unstructure_hook(annotation)
        return hook(value)

    return encode


def _lazy_decoder(converter: HookConverter, annotation: Any) -> Decode:
    hook: Decode | None = None

    def decode(value: Any, _type: Any) -> Any:
        nonlocal hook
        if hook is None:
            hook = converter.get_structure_hook(annotation)
        return hook(value, annotation)

    return decode


def _checking(encode: Encode) -> Encode:
    """With a look at whether JSON can hold the result, which otherwise shows only when all of it is written."""

    def encode_and_check(value: Any) -> Any:
        result = encode(value)
        containers.json_text(result)
        return result

    return encode_and_check


def _no_encoder(annotation: Any) -> Encode:
    def refuse(_value: Any) -> Any:
        raise PathError(_no_conversion(annotation))

    return refuse


def _no_decoder(annotation: Any) -> Decode:
    def refuse(_value: Any, _type: Any) -> Any:
        raise PathError(_no_conversion(annotation))

    return refuse


def _no_conversion(annotation: Any) -> str:
    return (
        f"{type_name(annotation)} has no conversion: make it an attrs class or a dataclass, "
        f"or register it with the converter"
    )


# --- What an annotation looks like -----------------------------------------------------------------------------------


def _origin_in(table: Container[Any]) -> Callable[[Any], bool]:
    return lambda annotation: (get_origin(annotation) or annotation) in table


def _is_class(annotation: Any) -> bool:
    base = get_origin(annotation) or annotation
    return isinstance(base, type) and (attrs.has(base) or dataclasses.is_dataclass(base))


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, enum.Enum)


def _is_wide_union(annotation: Any) -> bool:
    """Any union but ``X | None``, which cattrs does well."""
    return is_union(annotation) and not (
        len(annotation.__args__) == 2 and type(None) in annotation.__args__  # noqa: PLR2004  X and None.
    )


def _is_open_union(annotation: Any) -> bool:
    return _is_wide_union(annotation) and any(is_any(strip(member)) for member in annotation.__args__)


def _is_typed_dict(annotation: Any) -> bool:
    return typing.is_typeddict(get_origin(annotation) or annotation)


def _encode_any(_annotation: Any, converter: cattrs.Converter) -> Encode:
    return containers.encode_any(converter)


def _decode_any(_annotation: Any, _converter: cattrs.Converter) -> Decode:
    return lambda value, _type: value


def _encode_enum(annotation: Any, _converter: cattrs.Converter) -> Encode:
    return leaves.encode_enum(annotation)


def _decode_enum(annotation: Any, _converter: cattrs.Converter) -> Decode:
    return leaves.decode_enum(annotation)


def _encode_none(_annotation: Any, _converter: cattrs.Converter) -> Encode:
    return leaves.LEAVES[type(None)][0]


def _decode_none(_annotation: Any, _converter: cattrs.Converter) -> Decode:
    return leaves.LEAVES[type(None)][1]


_Factory = Callable[[Any, cattrs.Converter], Any]

# cattrs asks the last one first.
_FACTORIES: Final[tuple[tuple[Callable[[Any], bool], _Factory, _Factory], ...]] = (
    (_origin_in(LISTS), containers.encode_list, containers.decode_list),
    (_origin_in(SETS), containers.encode_set, containers.decode_set),
    (_origin_in(MAPPINGS), containers.encode_mapping, containers.decode_mapping),
    (_origin_in((tuple,)), containers.encode_tuple, containers.decode_tuple),
    (_is_class, classes.encode_class, classes.decode_class),
    (_is_typed_dict, classes.encode_fields, classes.decode_fields),
    (is_named_tuple, classes.encode_fields, classes.decode_fields),
    (is_pydantic, classes.encode_pydantic, classes.decode_pydantic),
    (_origin_in((Literal,)), classes.encode_literal, classes.decode_literal),
    (_is_enum, _encode_enum, _decode_enum),
    (_is_wide_union, unions.encode_union, unions.decode_union),
    (_is_open_union, _encode_any, _decode_any),
    (is_any, _encode_any, _decode_any),
    (lambda annotation: annotation is None, _encode_none, _decode_none),
)
