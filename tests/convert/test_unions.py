"""Unions: tagged only where the JSON does not tell the members apart."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Annotated, Any, Generic, Literal, NewType, TypedDict, TypeVar

import attrs
import pydantic
import pytest

from wfactors.convert import CattrsConverter
from wfactors.errors import ConversionError

T = TypeVar("T")
AN_ID = uuid.UUID(int=1)
A_DAY = datetime.date(2026, 1, 1)
A_TIME = datetime.datetime(2026, 1, 1)  # noqa: DTZ001  Without a zone.


class Color(str, enum.Enum):  # noqa: UP042  As many a program still has it.
    RED = "red"


@attrs.frozen
class Circle:
    size: float


@attrs.frozen
class Square:
    size: float


@attrs.frozen
class Group:
    members: list[Circle | Square | Group]


@attrs.frozen
class Box(Generic[T]):
    item: T


class Strict(pydantic.BaseModel, extra="forbid"):
    size: float


class Keys(TypedDict):
    size: float


Other = type("Circle", (), {"__annotations__": {"size": float}, "__module__": "elsewhere"})
Other = attrs.frozen(Other)
Number = NewType("Number", int)

CASES = [
    (1, int | str, b"1"),
    ("a", int | str, b'"a"'),
    (True, int | bool | str, b"true"),
    (1.5, int | float | None, b"1.5"),
    (None, int | float | None, b"null"),
    (1, Number | str, b"1"),
    (1, Annotated[int, "x"] | str | list[int], b"1"),
    ([1], int | str | list[int], b"[1]"),
    (Circle(1.0), int | str | Circle, b'{"size":1.0}'),
    (Circle(1.0), Circle | Square, b'{"$type":"Circle","size":1.0}'),
    (Square(1.0), Circle | Square | None, b'{"$type":"Square","size":1.0}'),
    (Other(1.0), Circle | Other, b'{"$type":"elsewhere.Circle","size":1.0}'),
    (Group([Circle(1.0), Group([])]), Group,
     b'{"members":[{"$type":"Circle","size":1.0},{"$type":"Group","members":[]}]}'),
    (Box(1), Box[int] | Box[str], b'{"$type":"Box[int]","item":1}'),
    (Box("a"), Box[int] | Box[str], b'{"$type":"Box[str]","item":"a"}'),
    (Strict(size=1), Strict | Circle, b'{"$type":"Strict","size":1.0}'),
    ({"size": 1.0}, Keys | Circle, b'{"$type":"Keys","$value":{"size":1.0}}'),
    ("a", str | uuid.UUID, b'"a"'),
    (AN_ID, str | uuid.UUID, b'{"$type":"UUID","$value":"00000000-0000-0000-0000-000000000001"}'),
    ("red", str | Color, b'"red"'),
    (Color.RED, str | Color, b'{"$type":"Color","$value":"red"}'),
    (A_DAY, datetime.date | datetime.datetime, b'{"$type":"date","$value":"2026-01-01"}'),
    (A_TIME, datetime.date | datetime.datetime, b'{"$type":"datetime","$value":"2026-01-01T00:00:00"}'),
    ([1], list[int] | list[str], b'{"$type":"list[int]","$value":[1]}'),
    (["a"], list[int] | list[str], b'{"$type":"list[str]","$value":["a"]}'),
    ({1}, set[int] | list[int], b'{"$type":"set[int]","$value":[1]}'),
    ({"$type": "x"}, dict[str, str] | uuid.UUID | str, b'{"$type":"dict[str, str]","$value":{"$type":"x"}}'),
    ({"$type": "x"}, dict[str, str] | int, b'{"$type":"x"}'),
    ("on", Literal["on", 1] | list[int], b'"on"'),
    (1, Literal["on", 1] | list[int], b"1"),
    (Color.RED, Literal[Color.RED] | str, b'{"$type":"Literal[<Color.RED: \'red\'>]","$value":"red"}'),
    ({"a": 1}, int | Any | None, b'{"a":1}'),
]  # fmt: skip


@pytest.fixture(scope="module")
def converter() -> CattrsConverter:
    return CattrsConverter()


@pytest.mark.parametrize(("value", "type", "data"), CASES, ids=lambda item: ascii(item)[:50])
def test_round_trip(converter, value, type, data):
    """Each member comes back as itself, with a tag only where it takes one."""
    assert data == converter.encode(value, type)
    back = converter.decode(data, type)
    assert (value, value.__class__) == (back, back.__class__)


def test_an_int_for_a_float(converter):
    """Without int among the members, an integer is a float."""
    assert converter.encode(3, float | str) == b"3.0"
    assert converter.decode(b"3", float | str) == 3.0


def test_stored_before_the_union_grew(converter):
    """What was stored without a tag is tried against the members."""
    assert Circle(1.0) == converter.decode(b'{"size":1.0}', Circle | Square)
    assert converter.decode(b'"00000000-0000-0000-0000-000000000001"', uuid.UUID | datetime.date) == AN_ID


def test_stored_before_the_union_shrank(converter):
    """A tag is no hindrance where none is needed any more."""
    assert Circle(1.0) == converter.decode(b'{"$type":"Circle","size":1.0}', Circle)
    assert Circle(1.0) == converter.decode(b'{"$type":"Circle","size":1.0}', Circle | int)


@pytest.mark.parametrize(
    ("value", "type", "message"),
    [
        ([], int | str, "expected int | str, got list []"),
        (Circle("x"), Circle | Square, "size: expected a number, got str 'x'"),
        ([None], list[int] | list[str], "expected list[int] | list[str], got list [None]"),
    ],
)
def test_refused_on_the_way_in(converter, value, type, message):
    """A value that is none of the members is refused, with the path where one member is meant."""
    with pytest.raises(ConversionError) as caught:
        converter.encode(value, type)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("data", "type", "message"),
    [
        (b"[]", int | str | None, "expected int | str | None, got list []"),
        (b'{"$type":"Oval"}', Circle | Square, "expected Circle | Square as $type, got str 'Oval'"),
        (b'{"$type":[]}', Circle | Square, "expected Circle | Square as $type, got list []"),
        (b'{"$type":"Circle","size":"x"}', Circle | Square, "size: expected a number, got str 'x'"),
        (b'{"$type":"UUID"}', str | uuid.UUID, "expected a string, got None"),
        (b'{"size":"x"}', Circle | Square, "expected Circle | Square, got dict {'size': 'x'}"),
    ],
)
def test_refused_on_the_way_out(converter, data, type, message):
    """So is data."""
    with pytest.raises(ConversionError) as caught:
        converter.decode(data, type)
    assert message == str(caught.value)


def test_too_deep(converter):
    """Depth inside a union is told as such."""
    group = Group([])
    for _ in range(2_000):
        group = Group([group])
    data = b'{"members":[' * 400 + b"]}" * 400

    with pytest.raises(ConversionError, match="nested too deeply"):
        converter.encode(group, Group)
    with pytest.raises(ConversionError, match="nested too deeply"):
        converter.decode(data, Group)
    with pytest.raises(ConversionError, match="nested too deeply"):
        converter.decode(data, list[int] | Group | Circle)
    with pytest.raises(ConversionError, match="nested too deeply"):
        converter.encode([group], list[Circle] | list[Group])
