"""Encryption of payloads with AES-GCM; needs the extra ``crypto``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from wfactors.errors import CodecError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["EncryptionCodec"]

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_SIZES: Final = (16, 24, 32)
_KEY_ID_BYTES_MAX: Final = 255


class EncryptionCodec:
    """Encrypts payloads, so that a store sees only ciphertext, and notices when one was altered.

    Every call draws a fresh nonce: equal values look different in the store. The ciphertext names the key it was
    made with, so keys can be changed while old payloads stay readable.

    Args:
        key: 16, 24 or 32 random bytes, such as from ``EncryptionCodec.generate_key()``; keep it outside of the store.
        key_id: A name for the key, stored in the clear.
        old_keys: Keys used before, by id; they decrypt only.

    Raises:
        ImportError: The package cryptography is not installed.
        ValueError: A key has the wrong size, or an id is empty, too long or there twice.

    Example::

        codec = EncryptionCodec(new_key, key_id="2027", old_keys={"2026": old_key})
        wf.open_engine(url, codecs=[ZlibCodec(), codec])      # compress first: ciphertext does not compress
    """

    name: Final = "aes-gcm"
    conceals: Final = True

    def __init__(self, key: bytes, *, key_id: str = "1", old_keys: Mapping[str, bytes] | None = None) -> None:
        if key_id in (old_keys or {}):
            raise ValueError(f"key id {key_id!r} is used for the key and for an old one")
        self.key_id = key_id
        self._ciphers: dict[bytes, AESGCM] = {
            _encode_id(id): _cipher(id, secret) for id, secret in {**(old_keys or {}), key_id: key}.items()
        }
        id = _encode_id(key_id)
        self._header = _VERSION + bytes([len(id)]) + id
        self._cipher = self._ciphers[id]

    def __repr__(self) -> str:
        return f"EncryptionCodec(key_id={self.key_id!r})"

    @staticmethod
    def generate_key() -> bytes:
        """A new random key of 256 bits."""
        return os.urandom(32)

    def encode(self, data: bytes) -> bytes:
        """Encrypt."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._header + nonce + self._cipher.encrypt(nonce, data, self._header)

    def decode(self, data: bytes) -> bytes:
        """Decrypt.

        Raises:
            CodecError: The key is not known, or is another one than its id says, or the bytes were altered.
        """
        size = data[1] if len(data) > 1 and data[:1] == _VERSION else None
        if size is None or len(data) < 2 + size + _NONCE_BYTES:
            raise CodecError(f"{self.name}: these bytes were not written by this codec")
        header, rest = data[: 2 + size], data[2 + size :]
        cipher = self._ciphers.get(header[2:])
        if cipher is None:
            raise CodecError(
                f"{self.name}: encrypted with the key {_show_id(header[2:])}, which is not configured here"
            )
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header)
        except Exception as error:
            raise CodecError(
                f"{self.name}: cannot be decrypted with the key {_show_id(header[2:])}: another key, or altered bytes"
            ) from error


def _encode_id(id: str) -> bytes:
    encoded = id.encode()
    if not 0 < len(encoded) <= _KEY_ID_BYTES_MAX:
        raise ValueError(f"the key id {id!r} must have 1 to {_KEY_ID_BYTES_MAX} bytes")
    return encoded


def _show_id(id: bytes) -> str:
    return repr(id.decode(errors="backslashreplace"))


def _cipher(id: str, key: bytes) -> Any:
    if not isinstance(key, bytes) or len(key) not in _KEY_SIZES:
        raise ValueError(f"the key {id!r} must be 16, 24 or 32 bytes")
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  An extra.
    except ImportError as error:
        raise ImportError("EncryptionCodec needs the package cryptography: pip install 'wfactors[crypto]'") from error
    return AESGCM(key)
