"""Bytes from a store that anybody may have written to: only errors of wfactors come of them."""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import enum
import gzip
import uuid
import zlib
from typing import Any, Literal, NamedTuple, TypedDict

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wfactors.convert import CallSignature, DataPort, EncryptionCodec, GzipCodec, ZlibCodec
from wfactors.errors import CodecError, ConversionError, PayloadError, PayloadTooLarge


class Color(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int


class Keys(TypedDict):
    a: int


@attrs.frozen
class Line:
    sku: str
    price: decimal.Decimal


@attrs.frozen
class Node:
    line: Line | None
    nodes: dict[int, Node]


TYPES = [
    Any,
    None,
    int,
    float,
    str,
    bool,
    bytes,
    complex,
    Color,
    Point,
    Keys,
    Line,
    Node,
    Line | Node | None,
    list[Line],
    tuple[int, str],
    set[str],
    dict[uuid.UUID, datetime.datetime],
    datetime.timedelta,
    datetime.date | str,
    Literal["a", 1],
]
PORT = DataPort(codecs=[ZlibCodec(limit_bytes=1000), GzipCodec(limit_bytes=1000), EncryptionCodec(b"k" * 16)])


def call(node: Node, count: int = 1, *, at: datetime.datetime | None = None) -> None: ...


SIGNATURE = CallSignature.of(call)

CORPUS = [
    b"",
    b" ",
    b"{",
    b"nul",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"[NaN]",
    b"1e400",
    b"-1e400",
    b"9" * 100_000,
    b"[" + b"9" * 100_000 + b"]",
    b"0." + b"9" * 100_000,
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"nodes":{"1":' * 100_000 + b"}" * 200_000,
    b'{"line":null,"nodes":{"1":' * 300 + b"null" + b"}}" * 300,
    b'"\\ud800"',
    b'{"\\udfff":1}',
    b'"\xff\xfe"',
    b'"\x01"',
    b"\xef\xbb\xbf1",
    b"1 2",
    b"[1]]",
    b"[1,]",
    b'{"a":1,"a":"x"}',
    b'{"a":1,}',
    b"{'a':1}",
    b"\x00",
    b"null\x00",
    b'"P999999999999999999999D"',
    b'"1E+999999999999999999999999"',
    b'"9999-99-99"',
    b'{"$type":1}',
    b'{"$type":"Line"}',
    b'{"$type":"Line","$value":{}}',
    b'{"$codecs":[]}',
    b'{"$codecs":null,"data":""}',
    b'{"$codecs":["zlib"]}',
    b'{"$codecs":["zlib"],"data":"?"}',
    b'{"$codecs":["zlib"],"data":"\\ud83d\\ude00"}',
    b'{"$codecs":["zlib"],"data":"AAAA"}',
    b'{"$codecs":["zlib","zlib","zlib"],"data":""}',
    b'{"$codecs":["aes-gcm"],"data":""}',
    b'{"$codecs":["aes-gcm"],"data":"AQEx"}',
    b'{"$codecs":["aes-gcm"],"data":"' + base64.b64encode(b"\x01\x011" + b"x" * 40) + b'"}',
    b'{"$codecs":["aes-gcm"],"data":"' + base64.b64encode(b"\x01\x01\xff" + b"x" * 40) + b'"}',
    b'{"$codecs":["nope"],"data":""}',
    b'{"$codecs":' + b"[" * 100_000,
    b'{"$codecs":["zlib"],"data":"' + base64.b64encode(zlib.compress(b"[" * 100_000)) + b'"}',
    b'{"args":[1],"kwargs":[]}',
    b'{"args":[]}',
    b'{"args":[null],"kwargs":{"nope":1}}',
    b"[1,2,3,4]",
    b"[]",
]


def attack(payload: bytes) -> None:
    for type in TYPES:
        with contextlib.suppress(PayloadError):
            PORT.from_payload(payload, type)
    with contextlib.suppress(PayloadError):
        PORT.args_from_payload(SIGNATURE, payload)


@pytest.mark.parametrize("payload", CORPUS, ids=lambda payload: repr(payload[:30]))
def test_corpus(payload):
    """Known ways to break a reader of JSON give errors of wfactors or values, nothing else."""
    attack(payload)


@settings(max_examples=200)
@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes(payload):
    """So do random bytes."""
    attack(payload)


json_text = st.recursive(
    st.sampled_from(
        [b"null", b"1", b"1.5", b'"a"', b'"2026-01-01"', b"-9999999999999999999999", b"true", b'"\\u0000"']
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"[%b]" % b",".join(items))
        | st.lists(
            st.tuples(
                st.sampled_from([b"sku", b"price", b"line", b"nodes", b"x", b"a", b"1", b"$type", b"$codecs"]), inner
            ),
            max_size=4,
        ).map(lambda items: b"{%b}" % b",".join(b'"%b":%b' % item for item in items))
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(json_text)
def test_any_json(payload):
    """So does JSON of about the right shape."""
    attack(payload)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"9" * 100_000, ConversionError),
        (b"NaN", ConversionError),
        (b"[" * 100_000 + b"]" * 100_000, ConversionError),
        (b'"\\ud800"', ConversionError),
        (b'{"$codecs":["nope"],"data":""}', CodecError),
    ],
    ids=lambda item: repr(item)[:20],
)
def test_the_error_says_which(payload, error):
    """The class of the error tells JSON from codecs."""
    with pytest.raises(error, match=r"^value: "):
        PORT.from_payload(payload)


@pytest.mark.parametrize("name", ["zlib", "gzip"])
def test_zip_bomb(name):
    """What becomes larger than the limit is refused, without being held in memory."""
    bomb = (zlib.compress if name == "zlib" else gzip.compress)(b"0" * 10_000_000)
    payload = b'{"$codecs":["%b"],"data":"%b"}' % (name.encode(), base64.b64encode(bomb))

    with pytest.raises(
        (CodecError, PayloadTooLarge), match=rf"^value: {name}: the stored bytes become more than 1,000 bytes$"
    ):
        PORT.from_payload(payload)
