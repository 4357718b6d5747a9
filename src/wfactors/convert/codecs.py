"""What happens to the bytes of a payload on their way to the store and back.

A payload stays JSON, since it is embedded in the JSON of an event. Bytes that went through codecs are wrapped::

    {"$codecs":["zlib","aes-gcm"],"data":"<base64>"}

The names are in the order in which the codecs were applied. An object of a user that contains the text ``"$codecs"``
is wrapped as well, with no codec, as ``{"$codecs":[],"json":...}``: so what looks like a wrapper always is one.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import attrs
import msgspec

from wfactors.errors import CodecError, PayloadError

__all__ = ["Codec", "GzipCodec", "ZlibCodec", "unwrap", "wrap"]

_MARK: Final = b'"$codecs"'
_EXPANDED_BYTES_MAX: Final = 64 * 1024 * 1024


class Codec(Protocol):
    """Transforms the bytes of payloads, such as by compression or encryption.

    Attributes:
        name: Stored with the payload, to choose the codec that decodes it; never change it once used.

    A codec may also have a true attribute ``conceals``: then the texts of failures go through it too (see
    ``DataPort.conceal``).
    """

    @property
    def name(self) -> str: ...

    def encode(self, data: bytes) -> bytes:
        """The transformed bytes; or ``data`` itself, the same object, to leave this payload alone."""
        ...

    def decode(self, data: bytes) -> bytes:
        """The bytes that ``encode`` was given.

        Raises:
            CodecError: These bytes do not come from ``encode``, or would become too large.
        """
        ...


@attrs.frozen
class _DeflateCodec:
    level: int = 6
    limit_bytes: int = _EXPANDED_BYTES_MAX
    name: str = attrs.field(default="", init=False)
    _window_bits: int = attrs.field(default=0, init=False)

    def encode(self, data: bytes) -> bytes:
        """Compress, unless that would not make it smaller (counting what base64 adds)."""
        if len(data) > self.limit_bytes:
            raise CodecError(f"{self.name}: {len(data):,} bytes before compression, the limit is {self.limit_bytes:,}")
        compressor = zlib.compressobj(self.level, zlib.DEFLATED, self._window_bits)
        compressed = compressor.compress(data) + compressor.flush()
        return compressed if len(compressed) * 4 < len(data) * 3 else data

    def decode(self, data: bytes) -> bytes:
        """Decompress, never beyond the limit."""
        decompressor = zlib.decompressobj(self._window_bits)
        try:
            result = decompressor.decompress(data, self.limit_bytes + 1)
        except zlib.error as error:
            raise CodecError(f"{self.name}: the stored bytes cannot be decompressed: {error}") from error
        if len(result) > self.limit_bytes:
            raise CodecError(f"{self.name}: the stored bytes become more than {self.limit_bytes:,} bytes")
        if not decompressor.eof or decompressor.unused_data:
            raise CodecError(f"{self.name}: the stored bytes are cut off or have something after their end")
        return result


@attrs.frozen
class ZlibCodec(_DeflateCodec):
    """Compresses with zlib what becomes smaller by it. The same bytes give the same result, on every node.

    Args:
        level: From 1 (fast) to 9 (small).
        limit_bytes: Payloads that are larger without compression are refused, both ways.
    """

    name: str = attrs.field(default="zlib", init=False)
    _window_bits: int = attrs.field(default=15, init=False)


@attrs.frozen
class GzipCodec(_DeflateCodec):
    """Like ``ZlibCodec``, in the format of gzip, with no time in its header."""

    name: str = attrs.field(default="gzip", init=False)
    _window_bits: int = attrs.field(default=31, init=False)


# --- The wrapper -----------------------------------------------------------------------------------------------------


_read_wrapper = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_names = msgspec.json.Decoder(list[str]).decode
_read_text = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode


def wrap(data: bytes, codecs: Sequence[Codec]) -> bytes:
    """The payload for ``data``, which is JSON text: through the codecs, or as it is."""
    names = []
    transformed = data
    for codec in codecs:
        result = codec.encode(transformed)
        if result is not transformed:
            names.append(codec.name)
            transformed = result
    if names:
        return b'{"$codecs":%b,"data":"%b"}' % (_write(names), base64.b64encode(transformed))
    if data[:1].isspace():
        data = data.strip()
    if data[:1] == b"{" and _MARK in data:
        return b'{"$codecs":[],"json":%b}' % data
    return data


def unwrap(payload: bytes, codecs: Mapping[str, Codec]) -> bytes:
    """The JSON text inside a payload.

    Raises:
        CodecError: A codec it went through is not configured, or refuses the bytes.
    """
    if payload[:1] != b"{" or _MARK not in payload:
        return payload
    names, data = _open(payload)
    for name in reversed(names):
        codec = codecs.get(name)
        if codec is None:
            raise CodecError(f"was written with the codec {name!r}, which is not configured here")
        try:
            data = codec.decode(data)
        except PayloadError:
            raise
        except Exception as error:
            raise CodecError(f"{name}: {type(error).__name__}: {error}") from error
    return data


def _open(payload: bytes) -> tuple[list[str], bytes]:
    try:
        fields = _read_wrapper(payload)
        names = _read_names(fields["$codecs"])
        if not names:
            return names, bytes(fields["json"])
        return names, base64.b64decode(_read_text(fields["data"]), validate=True)
    except (msgspec.MsgspecError, binascii.Error, KeyError, ValueError, RecursionError) as error:
        raise CodecError(f"is no payload that can be read: {type(error).__name__}: {error}") from error
