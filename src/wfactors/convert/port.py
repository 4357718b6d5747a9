"""What the engine uses for everything that users put in and get out: conversion, codecs and the size limit in one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from wfactors.convert import failures
from wfactors.convert.codecs import Codec, unwrap, wrap
from wfactors.convert.converter import CattrsConverter, Converter
from wfactors.convert.paths import PathError
from wfactors.convert.signature import CallSignature
from wfactors.errors import CodecError, ConversionError, PayloadError, PayloadTooLarge
from wfactors.model.failures import Failure
from wfactors.model.payloads import NULL, Payload

__all__ = ["DataPort"]

LIMIT_BYTES: Final = 2 * 1024 * 1024
CONCEALED: Final = "(encrypted)"

_read_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_failure = msgspec.json.Decoder(Failure).decode
_write = msgspec.json.Encoder().encode


def _by_name(port: DataPort) -> Mapping[str, Codec]:
    codecs = [*port.codecs, *port.retired_codecs]
    result = {codec.name: codec for codec in codecs}
    if len(result) != len(codecs):
        raise ValueError(f"two codecs have the same name: {', '.join(codec.name for codec in codecs)}")
    return result


def _codecs(codecs: Sequence[Codec]) -> Sequence[Codec]:
    for codec in codecs:
        is_codec = isinstance(getattr(codec, "name", None), str)
        if not (is_codec and hasattr(codec, "encode") and hasattr(codec, "decode")):
            raise TypeError(f"a codec has a name, encode() and decode(), such as ZlibCodec(); {codec!r} has not")
    return tuple(codecs)


def _converter_or_default(converter: Converter | None) -> Converter:
    return CattrsConverter() if converter is None else converter


@attrs.frozen(eq=False)
class DataPort:
    """Converter, codecs and size limit.

    Args:
        converter: None for a ``CattrsConverter``.
        codecs: Applied in this order on the way to the store, backwards on the way from it.
        limit_bytes: How large a payload may be as it is stored.
        retired_codecs: Only read with; for payloads from the time when they were in ``codecs``.

    Raises:
        TypeError: What is given as a codec is none.
        ValueError: Two codecs have the same name.
    """

    converter: Converter = attrs.field(default=None, converter=_converter_or_default)
    codecs: Sequence[Codec] = attrs.field(default=(), converter=_codecs)
    limit_bytes: int = LIMIT_BYTES
    retired_codecs: Sequence[Codec] = attrs.field(default=(), converter=_codecs)
    _by_name: Mapping[str, Codec] = attrs.field(
        default=attrs.Factory(_by_name, takes_self=True), init=False, repr=False
    )

    # --- Values ------------------------------------------------------------------------------------------------------

    def to_payload(self, value: object, type: Any = Any, what: str = "value") -> bytes:
        """The payload of ``value``, a ``type``.

        Args:
            value: What is to be stored.
            type: The annotation it goes by.
            what: What it is called in errors.

        Raises:
            ConversionError: It does not fit its type; the message gives the path, beginning with ``what``.
            PayloadTooLarge: It is over the limit.
            CodecError: A codec refuses it.
        """
        return self._seal(self._encode(value, type, what), what)

    def from_payload(self, payload: bytes | Payload, type: Any = Any, what: str = "value") -> Any:
        """The value in a payload.

        Raises:
            ConversionError: The data does not fit ``type``; the message gives the path, beginning with ``what``.
            CodecError: A codec it went through is not configured here, or refuses the bytes.
        """
        return self._decode(self._unseal(payload, what), type, what)

    def attributes_to_payload(self, attributes: Mapping[str, Any]) -> bytes:
        """Searchable attributes as stored: a plain JSON object, which no codec touches, or nobody could search.

        Raises:
            TypeError: A name is no string.
            ConversionError: A value cannot be stored.
            PayloadTooLarge: They are over the limit.
        """
        for name in attributes:
            if not isinstance(name, str):
                raise TypeError(f"names of attributes are strings, not {name!r}")
        data = self._encode(dict(attributes), Any, "the attributes")
        if len(data) > self.limit_bytes:
            raise PayloadTooLarge("the attributes", len(data), self.limit_bytes)
        return data

    def attributes_from_payload(self, payload: Payload | None) -> dict[str, Any]:
        """Searchable attributes that were stored; raises ConversionError for what is no JSON object."""
        attributes = None if payload is None else self._decode(bytes(payload), Any, "the attributes")
        if not isinstance(attributes, dict | None):
            raise ConversionError(f"the attributes: are {type(attributes).__name__}, not an object")
        return attributes or {}

    def plain(self, payload: Payload) -> bytes:
        """The JSON text in a payload; the payload as it is where a codec is missing."""
        try:
            return self._unseal(payload, "payload")
        except CodecError:
            return bytes(payload)

    def _encode(self, value: object, type: Any, what: str) -> bytes:
        try:
            return self.converter.encode(value, type)
        except ConversionError as error:
            raise _named(error, what) from error

    def _decode(self, data: bytes, type: Any, what: str) -> Any:
        try:
            return self.converter.decode(data, type)
        except ConversionError as error:
            raise _named(error, what) from error

    def _seal(self, data: bytes, what: str) -> bytes:
        if self.codecs or data[:1] in b"{ \t\r\n":  # All else is its own payload.
            try:
                data = wrap(data, self.codecs)
            except CodecError as error:
                raise CodecError(f"{what}: {error}") from error
        if len(data) > self.limit_bytes:
            raise PayloadTooLarge(what, len(data), self.limit_bytes)
        return data

    def _unseal(self, payload: bytes | Payload, what: str) -> bytes:
        data = payload if isinstance(payload, bytes) else bytes(payload)
        try:
            return unwrap(data, self._by_name)
        except CodecError as error:
            raise CodecError(f"{what}: {error}") from error

    # --- Arguments ---------------------------------------------------------------------------------------------------

    def args_to_payload(self, signature: CallSignature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The payload of a call's arguments: a JSON array, or an object if some go by name alone.

        Raises:
            TypeError: The call itself would raise it.
            ConversionError: An argument does not fit; the path begins with the parameter's name.
            PayloadTooLarge: Together they are over the limit.
            CodecError: A codec refuses them.
        """
        args, kwargs = signature.bind(args, kwargs)
        encode = self.converter.encode
        items = []
        name = signature.name
        try:
            for index, value in enumerate(args):
                name, type = signature.type_at(index)
                items.append(encode(value, type))
        except ConversionError as error:
            raise _named(error, name) from error
        data = b"[%b]" % b",".join(items)
        if kwargs:
            pairs = [
                b"%b:%b" % (_write(name), self._encode(value, signature.type_of(name), name))
                for name, value in kwargs.items()
            ]
            data = b'{"args":%b,"kwargs":{%b}}' % (data, b",".join(pairs))
        return self._seal(data, f"the arguments of {signature.name}()")

    def args_from_payload(
        self, signature: CallSignature, payload: bytes | Payload
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in a payload, ready for the call.

        Raises:
            ConversionError: An argument does not fit, or the function takes others now.
            CodecError: As for ``from_payload``.
        """
        what = f"the arguments of {signature.name}()"
        items, pairs = _split_arguments(self._unseal(payload, what), what)
        if len(items) > len(signature.positional):
            signature.type_at(len(items) - 1)  # Raises if the function takes fewer now.
        decode = self.converter.decode
        args = []
        name = what
        try:
            for index, item in enumerate(items):
                name, type = signature.type_at(index)
                args.append(decode(bytes(item), type))
        except ConversionError as error:
            raise _named(error, name) from error
        if not pairs and signature.is_complete(len(args)):
            return tuple(args), {}
        kwargs = {name: self._decode(bytes(item), signature.type_of(name), name) for name, item in pairs.items()}
        signature.check_stored(args, kwargs)
        return tuple(args), kwargs

    # --- Exceptions --------------------------------------------------------------------------------------------------

    def failure_from_exception(self, error: BaseException, raises: Sequence[type[BaseException]] = ()) -> Failure:
        """What is recorded of an exception; never raises.

        Args:
            error: The exception.
            raises: Types that are to come back as themselves: for them the fields are kept in ``details``.
        """
        failure = failures.failure_from_exception(error)
        if raises and isinstance(error, tuple(raises)):
            fields = failures.fields_from_exception(error, self.converter)
            if fields is not None:
                # Where they cannot be kept, it comes back as the engine's own error, with type and message.
                with contextlib.suppress(PayloadError):
                    failure = attrs.evolve(failure, details=Payload(self._seal(fields, "details")))
        return self.conceal(self._opened(failure))

    def exception_from_failure(self, failure: Failure, raises: Sequence[type[BaseException]]) -> BaseException | None:
        """The exception that was recorded, if it is one of ``raises`` and can be built again; else None.

        Raises:
            CodecError: A codec that the failure went through is not configured here, or refuses the bytes.
        """
        cls = failures.class_of_failure(failure, raises)
        if cls is None:
            return None
        failure = self.reveal(failure)
        if failure.details == NULL:
            return None
        try:
            fields = {name: bytes(raw) for name, raw in _read_fields(self._unseal(failure.details, "details")).items()}
            return failures.exception_from_fields(cls, fields, self.converter)
        except CodecError:
            raise
        except Exception:  # noqa: BLE001  The class was changed since; the caller gets the engine's own error instead.
            return None

    def conceal(self, failure: Failure) -> Failure:
        """The failure as it may go to the store: its texts encrypted, if a codec conceals; else unchanged.

        The type, the kind and whether it is permanent stay readable: retries and views go by them.
        """
        if failure.sealed != NULL or not any(getattr(codec, "conceals", False) for codec in self.codecs):
            return failure
        return Failure(
            type=failure.type,
            message=CONCEALED,
            is_permanent=failure.is_permanent,
            kind=failure.kind,
            sealed=Payload(wrap(_write(failure), self.codecs)),
        )

    def reveal(self, failure: Failure) -> Failure:
        """The failure as it was before ``conceal``, and so its causes and members.

        Raises:
            CodecError: A codec it went through is not configured here, or refuses the bytes; or it is nested more
                deeply than any that was recorded.
        """
        try:
            return self._reveal(failure)
        except RecursionError:
            raise CodecError("failure: is nested too deeply") from None

    def _reveal(self, failure: Failure) -> Failure:
        if failure.sealed != NULL:
            try:
                failure = _read_failure(self._unseal(failure.sealed, "failure"))
            except (ValueError, RecursionError) as error:
                raise CodecError(f"failure: is none once decoded: {error}") from error
        if failure.cause is None and not failure.group:
            return failure
        return attrs.evolve(
            failure,
            cause=None if failure.cause is None else self._reveal(failure.cause),
            group=tuple(self._reveal(member) for member in failure.group),
        )

    def _opened(self, failure: Failure) -> Failure:
        """With causes that came sealed from elsewhere in the clear, so that sealing again does not pile up."""
        try:
            return self.reveal(failure)
        except CodecError:
            return failure


def _named(error: ConversionError, what: str) -> ConversionError:
    return error.named(what) if isinstance(error, PathError) else ConversionError(f"{what}: {error}")


def _split_arguments(data: bytes, what: str) -> tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]:
    try:
        if data[:1] == b"{":
            fields = _read_fields(data)
            return _read_items(fields["args"]), _read_fields(fields["kwargs"])
        return _read_items(data), {}
    except (ValueError, KeyError, RecursionError) as error:
        raise ConversionError(f"{what}: are not stored as arguments: {type(error).__name__}: {error}") from error
