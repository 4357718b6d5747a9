"""Codecs and the wrapper around what went through them."""

from __future__ import annotations

import gzip
import json
import sys
import zlib

import pytest

from tests.convert.ids import shown
from wfactors.convert import DataPort, EncryptionCodec, GzipCodec, ZlibCodec
from wfactors.convert.codecs import unwrap, wrap
from wfactors.errors import CodecError

LONG = ["abc" * 500]
KEY = bytes(range(32))
OLD_KEY = b"o" * 16


class Reverse:
    name = "reverse"

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


class Broken(Reverse):
    def decode(self, data: bytes) -> bytes:
        raise ZeroDivisionError("oops")


class TestWrapper:
    """The form of a payload."""

    def test_without_codecs(self):
        """Plain JSON is its own payload."""
        assert DataPort().to_payload({"a": 1}) == b'{"a":1}'

    def test_with_codecs(self):
        """The wrapper names the codecs in the order they were applied; they are undone backwards."""
        port = DataPort(codecs=[Reverse(), ZlibCodec()])
        payload = port.to_payload(LONG)

        assert json.loads(payload)["$codecs"] == ["reverse", "zlib"]
        assert port.from_payload(payload) == LONG

    @pytest.mark.parametrize("codecs", [(), (Reverse(),)], ids=["none", "one"])
    @pytest.mark.parametrize(
        "value",
        [
            {"$codecs": ["zlib"], "data": "AAAA"},
            {"$codecs": [], "json": 1},
            {"a": {"$codecs": 1}},
            [{"$codecs": 1}],
            {"a": '"$codecs"'},
            "$codecs",
        ],
        ids=shown,
    )
    def test_values_that_look_like_wrappers(self, codecs, value):
        """A user's value never passes for a wrapper."""
        port = DataPort(codecs=codecs)

        assert value == port.from_payload(port.to_payload(value))

    def test_twice_wrapped(self):
        """Not even the payload of such a value, stored as a value."""
        value = {"$codecs": [], "json": {"$codecs": []}}
        once = json.loads(DataPort().to_payload(value))

        assert once == DataPort().from_payload(DataPort().to_payload(once))

    def test_spaces_of_other_converters(self):
        """A converter of somebody else may begin with spaces."""
        assert wrap(b' \n{"$codecs":1} ', ()) == b'{"$codecs":[],"json":{"$codecs":1}}'
        assert unwrap(wrap(b' {"$codecs":1}', ()), {}) == b'{"$codecs":1}'

    def test_payload_from_before_the_codecs(self):
        """Payloads without codecs stay readable when codecs are added."""
        assert DataPort(codecs=[ZlibCodec()]).from_payload(b'{"a":1}') == {"a": 1}

    def test_codec_no_longer_configured(self):
        """A payload whose codec is gone says so; as a retired codec it can still be read."""
        payload = DataPort(codecs=[Reverse()]).to_payload(1)

        with pytest.raises(
            CodecError, match=r"^order: was written with the codec 'reverse', which is not configured here$"
        ):
            DataPort().from_payload(payload, what="order")
        assert DataPort(retired_codecs=[Reverse()]).from_payload(payload) == 1

    def test_errors_of_codecs_are_translated(self):
        """Whatever a codec raises becomes a CodecError."""
        payload = DataPort(codecs=[Reverse()]).to_payload(1)

        with pytest.raises(CodecError, match=r"^value: reverse: ZeroDivisionError: oops$"):
            DataPort(codecs=[Broken()]).from_payload(payload)

    def test_names_are_unique(self):
        """Two codecs of one name could not be told apart."""
        with pytest.raises(ValueError, match="two codecs have the same name: zlib, zlib"):
            DataPort(codecs=[ZlibCodec()], retired_codecs=[ZlibCodec(level=1)])


@pytest.mark.parametrize("codec", [ZlibCodec(), GzipCodec(level=9)], ids=lambda codec: codec.name)
class TestCompression:
    """zlib and gzip."""

    def test_round_trip(self, codec):
        """What compresses is compressed, in the format of its name."""
        data = b"abc" * 100
        packed = codec.encode(data)

        assert data == codec.decode(packed)
        assert data == (zlib if codec.name == "zlib" else gzip).decompress(packed)
        assert packed == codec.encode(data)

    def test_left_alone(self, codec):
        """What would not become smaller is left as it is, and not named in the wrapper."""
        data = b'"abc"'

        assert data is codec.encode(data)
        assert data == DataPort(codecs=[codec]).to_payload("abc")

    def test_limit_on_the_way_in(self, codec):
        """Nothing is written that could not be read again."""
        small = type(codec)(limit_bytes=100)

        with pytest.raises(
            CodecError, match=rf"^value: {codec.name}: 1,502 bytes before compression, the limit is 100$"
        ):
            DataPort(codecs=[small]).to_payload("a" * 1500)

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda data: b"x" + data, "cannot be decompressed"),
            (lambda data: data[:-1], "cut off or have something after"),
            (lambda data: data + b"x", "cut off or have something after"),
        ],
    )
    def test_spoiled_bytes(self, codec, spoil, message):
        """Spoiled bytes are an error."""
        with pytest.raises(CodecError, match=message):
            codec.decode(spoil(codec.encode(b"abc" * 100)))


class TestEncryption:
    """AES-GCM."""

    def test_round_trip(self):
        """The store sees nothing of the value, and not even that two values are equal."""
        port = DataPort(codecs=[ZlibCodec(), EncryptionCodec(KEY)])
        payload = port.to_payload("secret")

        assert b"secret" not in payload
        assert port.from_payload(payload) == "secret"
        assert payload != port.to_payload("secret")

    def test_change_of_keys(self):
        """Payloads under an old key can be read, new ones are written under the new key."""
        old = EncryptionCodec(OLD_KEY, key_id="2026")
        new = EncryptionCodec(KEY, key_id="2027", old_keys={"2026": OLD_KEY})

        assert new.decode(old.encode(b"x")) == b"x"
        with pytest.raises(CodecError, match=r"^aes-gcm: encrypted with the key '2027', which is not configured here$"):
            old.decode(new.encode(b"x"))

    @pytest.mark.parametrize("index", [3, 20, -1])
    def test_altered_bytes(self, index):
        """Altered bytes are noticed, and so is another key of the same name."""
        codec = EncryptionCodec(KEY)
        data = bytearray(codec.encode(b"some data"))
        data[index] ^= 1

        with pytest.raises(
            CodecError, match=r"^aes-gcm: cannot be decrypted with the key '1': another key, or altered bytes$"
        ):
            codec.decode(bytes(data))
        with pytest.raises(CodecError, match="another key"):
            EncryptionCodec(OLD_KEY).decode(codec.encode(b"x"))

    @pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x011" + b"x" * 40, b"\x01\x011short"])
    def test_foreign_bytes(self, data):
        """Bytes that are no ciphertext are told as such."""
        with pytest.raises(CodecError, match=r"^aes-gcm: these bytes were not written by this codec$"):
            EncryptionCodec(KEY).decode(data)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"key": b"short"}, "the key '1' must be 16, 24 or 32 bytes"),
            ({"key": "k" * 16}, "the key '1' must be 16, 24 or 32 bytes"),
            ({"key": KEY, "old_keys": {"1": KEY}}, "key id '1' is used for the key and for an old one"),
            ({"key": KEY, "key_id": ""}, "the key id '' must have 1 to 255 bytes"),
            ({"key": KEY, "key_id": "é" * 128}, "must have 1 to 255 bytes"),
        ],
        ids=shown,
    )
    def test_wrong_options(self, options, message):
        """Wrong keys and ids are refused at once."""
        with pytest.raises(ValueError, match=message):
            EncryptionCodec(**options)

    def test_secrets_stay_out_of_sight(self):
        """The key is not in the codec's repr."""
        assert repr(EncryptionCodec(EncryptionCodec.generate_key())) == "EncryptionCodec(key_id='1')"

    def test_without_cryptography(self, monkeypatch):
        """Without the package, the error says what to install."""
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

        with pytest.raises(ImportError, match=r"pip install 'wfactors\[crypto\]'"):
            EncryptionCodec(KEY)
