"""The engine's side: names in errors, limits, arguments."""

from __future__ import annotations

import uuid
from decimal import Decimal

import attrs
import pytest

from tests.convert.ids import shown
from wfactors.convert import CallSignature, DataPort, EncryptionCodec, ZlibCodec
from wfactors.errors import CodecError, ConversionError, PayloadTooLarge
from wfactors.model.payloads import NULL, Payload

AN_ID = uuid.UUID(int=1)


@attrs.frozen
class Line:
    price: Decimal


@attrs.frozen
class Order:
    lines: list[Line]


class Upper:
    """A converter of somebody else."""

    def encode(self, value, type=None):
        if not isinstance(value, str):
            raise ConversionError("not my kind")
        return f'"{value.upper()}"'.encode()

    def decode(self, data, type=None):
        return data.decode().strip('"').lower()


def charge(order: Order, cents: int = 0, *, key: uuid.UUID | None = None): ...
def gather(first: int, *rest: Decimal, **named: Line): ...


CHARGE = CallSignature.of(charge)
GATHER = CallSignature.of(gather)
ORDER = Order([Line(Decimal(1))])
PORTS = [DataPort(), DataPort(codecs=[ZlibCodec(), EncryptionCodec(b"k" * 16)])]


@pytest.mark.parametrize("port", PORTS, ids=["plain", "codecs"])
class TestValues:
    """One value."""

    def test_round_trip(self, port):
        """A value goes there and back, from bytes and from what records hold."""
        payload = port.to_payload(ORDER, Order)

        assert port.from_payload(payload, Order) == ORDER
        assert port.from_payload(Payload(payload), Order) == ORDER
        assert port.from_payload(NULL) is None

    def test_path_in_errors(self, port):
        """The path begins with the name of the value, both ways."""
        with pytest.raises(ConversionError, match=r"^order\.lines\[0\]\.price: expected a Decimal, got str 'x'$"):
            port.to_payload(Order([Line("x")]), Order, "order")
        with pytest.raises(
            ConversionError, match=r"^order\.lines\[0\]\.price: expected a decimal number, got str 'x'$"
        ):
            port.from_payload(port.to_payload({"lines": [{"price": "x"}]}), Order, "order")
        with pytest.raises(ConversionError, match=r"^value: expected an integer, got str 'x'$"):
            port.to_payload("x", int)
        with pytest.raises(ConversionError, match=r"^items\[1\]: expected an integer, got str 'x'$"):
            port.to_payload([1, "x"], list[int], "items")


def test_limit():
    """The limit counts what is stored."""
    assert DataPort(limit_bytes=10).to_payload("a" * 8) == b'"aaaaaaaa"'
    with pytest.raises(PayloadTooLarge, match=r"^note is 11 bytes, the limit is 10: ") as caught:
        DataPort(limit_bytes=10).to_payload("a" * 9, what="note")
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (11, 10)
    assert DataPort(limit_bytes=100, codecs=[ZlibCodec()]).to_payload("a" * 1_000)


def test_the_default_limit():
    """It is 2 MiB."""
    assert DataPort().limit_bytes == 2 * 1024 * 1024


def test_another_converter():
    """Any object with encode and decode will do; its errors get the name."""
    port = DataPort(Upper())

    assert port.to_payload("abc") == b'"ABC"'
    assert port.from_payload(b'"ABC"') == "abc"
    with pytest.raises(ConversionError, match=r"^thing: not my kind$"):
        port.to_payload(1, what="thing")


@pytest.mark.parametrize("port", PORTS, ids=["plain", "codecs"])
class TestArguments:
    """The arguments of a call."""

    @pytest.mark.parametrize(
        ("signature", "args", "kwargs", "bound"),
        [
            (CHARGE, (ORDER,), {}, ((ORDER,), {})),
            (CHARGE, (ORDER, 5), {}, ((ORDER, 5), {})),
            (CHARGE, (), {"cents": 5, "order": ORDER}, ((ORDER, 5), {})),
            (CHARGE, (ORDER,), {"key": AN_ID}, ((ORDER,), {"key": AN_ID})),
            (GATHER, (1, Decimal(2), Decimal(3)), {"x": Line(Decimal(4))}, None),
            (GATHER, (1,), {}, ((1,), {})),
        ],
    )
    def test_round_trip(self, port, signature, args, kwargs, bound):
        """Arguments come back as they were bound, each by its own type."""
        payload = port.args_to_payload(signature, args, kwargs)

        assert (bound or (args, kwargs)) == port.args_from_payload(signature, Payload(payload))

    def test_errors_name_the_parameter(self, port):
        """The path begins with the name of the parameter."""
        with pytest.raises(ConversionError, match=r"^order\.lines\[0\]\.price: "):
            port.args_to_payload(CHARGE, (Order([Line(1)]),), {})
        with pytest.raises(ConversionError, match=r"^key: expected "):
            port.args_to_payload(CHARGE, (ORDER,), {"key": 5})
        with pytest.raises(ConversionError, match=r"^argument 2: expected a Decimal, got int 2$"):
            port.args_to_payload(GATHER, (1, 2), {})
        with pytest.raises(ConversionError, match=r"^cents: expected an integer, got str 'x'$"):
            port.args_from_payload(CHARGE, port.to_payload([{"lines": []}, "x"]))

    def test_wrong_calls(self, port):
        """A call that Python would refuse is refused."""
        with pytest.raises(TypeError, match=r"^charge\(\) missing a required argument: 'order'$"):
            port.args_to_payload(CHARGE, (), {})

    def test_limit(self, port):
        """All arguments together count."""
        small = attrs.evolve(port, limit_bytes=20)
        with pytest.raises(PayloadTooLarge, match=r"^the arguments of gather\(\) is "):
            small.args_to_payload(GATHER, (10**30,), {})

    @pytest.mark.parametrize(
        ("stored", "message"),
        [
            ([], r"the stored arguments do not fit charge\(\): missing a required argument: 'order'"),
            ([{"lines": []}, 1, 2], r"charge\(\) takes 2 arguments by position, more are stored"),
            ({"args": [], "kwargs": {"nope": 1}}, r"charge\(\) has no parameter 'nope', but a value for it is stored"),
            ({"args": []}, r"the arguments of charge\(\): are not stored as arguments: KeyError: 'kwargs'"),
            (
                5,
                r"the arguments of charge\(\): are not stored as arguments: ValidationError: Expected `array`, got .*",
            ),
        ],
        ids=shown,
    )
    def test_stored_for_another_function(self, port, stored, message):
        """Arguments stored for a function that has changed since are an error that says how."""
        with pytest.raises(ConversionError, match=rf"^{message}$"):
            port.args_from_payload(CHARGE, port.to_payload(stored))

    def test_unknown_codec(self, port):
        """A codec that is not configured is named."""
        with pytest.raises(CodecError, match=r"^the arguments of charge\(\): was written with the codec 'x'"):
            port.args_from_payload(CHARGE, b'{"$codecs":["x"],"data":""}')


def test_stored_form():
    """An array, so that a person can read it; an object where names are needed."""
    port = PORTS[0]

    assert port.args_to_payload(CHARGE, (ORDER, 5), {}) == b'[{"lines":[{"price":"1"}]},5]'
    assert port.args_to_payload(CHARGE, (Order([]),), {"key": None}) == b'{"args":[{"lines":[]}],"kwargs":{"key":null}}'


@pytest.mark.parametrize("stored", [b"5", b"[1]", b'"text"'])
def test_attributes_that_are_no_object(stored: bytes) -> None:
    """What is stored may be damaged: it is told, not shown as something else."""
    with pytest.raises(ConversionError, match="the attributes: are .*, not an object"):
        DataPort().attributes_from_payload(Payload(stored))


def test_what_a_missing_codec_conceals_is_compared_as_it_is() -> None:
    """Two payloads may differ and mean the same; without the key nobody can tell."""
    sealed = Payload(b'{"$codecs":["x"],"data":""}')
    assert bytes(sealed) == DataPort().plain(sealed)
    zipped = Payload(DataPort(codecs=[ZlibCodec()]).to_payload("a" * 1000))
    assert b'"' + b"a" * 1000 + b'"' == DataPort(retired_codecs=[ZlibCodec()]).plain(zipped)
