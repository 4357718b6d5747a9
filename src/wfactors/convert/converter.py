"""Values to JSON and back, by the annotations of whoever takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import cattrs
import msgspec

from wfactors.convert.hooks import HookConverter
from wfactors.convert.leaves import Decode, Encode
from wfactors.convert.paths import PathError, traced
from wfactors.convert.shapes import strip

__all__ = ["CattrsConverter", "Converter"]

_ATOMS: Final = frozenset({str, int, bool, type(None)})
_EXACT: Final = frozenset({str, int, float, bool, type(None)})

# msgspec rather than orjson writes and reads the text. Measured in microseconds, msgspec against orjson: five fields
# 0.18 / 0.20 to write, 0.23 / 0.30 to read; an order with ten lines 0.69 / 0.52 and 1.72 / 1.74; 60 kB 156 / 140 and
# 497 / 407. So the two are level where payloads are, and orjson reads integers beyond 64 bits as floats and cannot
# write them; msgspec does both exactly. What msgspec would do silently (null for NaN, "1" for the key 1) never reaches
# it: the hooks refuse it first. For the same reason this is cattrs' plain converter and not its preconfigured one,
# which hands whole values through to msgspec.
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


class Converter(Protocol):
    """What turns values into JSON and back. ``DataPort`` takes any object with these two methods."""

    def encode(self, value: object, type: Any = Any) -> bytes:
        """The JSON text of ``value``, a ``type``.

        Raises:
            ConversionError: The value does not fit; the message names the path inside the value.
        """
        ...

    def decode(self, data: bytes, type: Any = Any) -> Any:
        """The ``type`` that ``data`` is the JSON text of.

        Raises:
            ConversionError: The data is no JSON or does not fit; the message names the path inside the value.
        """
        ...


class CattrsConverter:
    """The default converter: strict, by annotations, with hooks from cattrs.

    Args:
        configure: Called with each cattrs converter inside, to register hooks and strategies of your own. There are
            two: one for speed, and one that converts again what the first has refused, to say where it is wrong.

    Example::

        converter = CattrsConverter()
        converter.register(Money, encode=str, decode=Money.parse)
        converter.encode(Money("3.50 EUR"), Money)      # b'"3.50 EUR"'
    """

    def __init__(self, configure: Callable[[cattrs.Converter], None] | None = None) -> None:
        self._fast = HookConverter(is_traced=False)
        self._traced = HookConverter(is_traced=True)
        if configure is not None:
            configure(self._fast)
            configure(self._traced)
        self._encoders: dict[Any, Encode] = {}
        self._decoders: dict[Any, Decode] = {}

    def register(self, cls: type[Any], encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        """Convert ``cls`` and its subclasses by these functions; ``encode`` may return whatever converts without it."""
        for converter in (self._fast, self._traced):
            encode_any = converter.get_unstructure_hook(Any)
            converter.register_unstructure_hook(cls, _in_turn(encode, encode_any))
            converter.register_structure_hook(cls, lambda value, _type: decode(value))
        self._encoders.clear()
        self._decoders.clear()

    def encode(self, value: object, type: Any = Any) -> bytes:
        """The JSON text of ``value``, a ``type``; see ``Converter.encode``."""
        cls = value.__class__
        try:
            if cls in _ATOMS and (type is Any or type is cls):
                return _write(value)
            try:
                hook = self._encoders[type]
            except (KeyError, TypeError):
                hook = self._encoder(type)
            return _write(hook(value))
        except Exception as error:  # noqa: BLE001  Authors' code runs in here; all of it becomes a ConversionError.
            raise self._encode_error(error, value, type) from _authors(error)

    def decode(self, data: bytes, type: Any = Any) -> Any:
        """The ``type`` that ``data`` is the JSON text of; see ``Converter.decode``."""
        try:
            value = _read(data)
        except (ValueError, RecursionError) as error:
            raise PathError(f"is no JSON that can be read: {traced(error).reason}") from None
        if type is Any or (value.__class__ is type and type in _EXACT):
            return value
        try:
            try:
                hook = self._decoders[type]
            except (KeyError, TypeError):
                hook = self._decoder(type)
            return hook(value, type)
        except Exception as error:  # noqa: BLE001  As above.
            raise self._decode_error(error, value, type) from _authors(error)

    def _encoder(self, annotation: Any) -> Encode:
        key = _as_key(annotation)
        self._encoders[key] = hook = self._fast.get_unstructure_hook(key)
        return hook

    def _decoder(self, annotation: Any) -> Decode:
        key = _as_key(annotation)
        self._decoders[key] = hook = self._fast.get_structure_hook(key)
        return hook

    def _encode_error(self, error: Exception, value: object, annotation: Any) -> PathError:
        first = traced(error)
        if first.is_too_deep:
            return first
        try:
            _write(self._traced.get_unstructure_hook(_as_key(annotation))(value))
        except Exception as second:  # noqa: BLE001  Told by what is returned.
            return traced(second)
        return first

    def _decode_error(self, error: Exception, value: object, annotation: Any) -> PathError:
        first = traced(error)
        if first.is_too_deep:
            return first
        try:
            self._traced.get_structure_hook(_as_key(annotation))(value, annotation)
        except Exception as second:  # noqa: BLE001  As above.
            return traced(second)
        return first


def _as_key(annotation: Any) -> Any:
    """The annotation, or what is below it where it cannot be hashed, as ``Annotated[int, []]`` cannot."""
    try:
        hash(annotation)
    except TypeError:
        return strip(annotation)
    return annotation


def _authors(error: Exception) -> Exception | None:
    """The error, if an author's code raised it and its traceback helps."""
    return None if isinstance(error, (PathError, RecursionError)) else error


def _in_turn(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: second(first(value))
