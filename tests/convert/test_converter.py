"""Values through the default converter and back."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Required, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.convert.ids import shown
from wfactors.convert import CattrsConverter
from wfactors.errors import ConversionError

T = TypeVar("T")
UserId = NewType("UserId", int)
UTC = datetime.UTC
AN_ID = uuid.UUID(int=5)
A_TIME = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001  Without a zone.


class Color(str, enum.Enum):  # noqa: UP042  As many a program still has it.
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2

    @classmethod
    def _missing_(cls, value):
        return cls.HIGH if value == 99 else None


class Shape(enum.Enum):
    SQUARE = (1, 1)
    ROUND = 0.5


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Sku(str):
    __slots__ = ()


class Cents(int):
    pass


class Ratio(float):
    pass


class Point(NamedTuple):
    x: int
    at: datetime.datetime = A_TIME


class Options(TypedDict):
    name: str
    tags: NotRequired[set[int]]


class Loose(TypedDict, total=False):
    name: Required[str]
    size: int


@attrs.frozen
class Line:
    sku: str
    price: decimal.Decimal
    count: int = 1


@attrs.define
class Order:
    id: uuid.UUID
    lines: list[Line]
    notes: dict[Color, str] = attrs.field(factory=dict)
    _secret: str = "s"
    derived: int = attrs.field(default=7, init=False)


@dataclasses.dataclass
class Tree:
    value: int
    children: dict[int, Tree] = dataclasses.field(default_factory=dict)


@attrs.frozen
class Box(Generic[T]):
    item: T
    more: list[T] = attrs.field(factory=list)


@attrs.frozen
class Positive:
    value: int = attrs.field(validator=attrs.validators.gt(0))


@dataclasses.dataclass
class Special(Tree):
    extra: int = 0


@attrs.frozen
class Unresolvable:
    value: NowhereDefined  # noqa: F821


@attrs.frozen
class WithAny:
    value: Any


class Model(pydantic.BaseModel):
    name: str
    at: datetime.datetime
    raw: bytes = b""
    size: float = pydantic.Field(default=1.0, alias="theSize")


class SubModel(Model):
    pass


class Loud(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def shout(cls, name: str) -> str:
        raise ZeroDivisionError("loud")


class Names(list[str]):
    pass


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Opaque:
    pass


ROUND_TRIPS = [
    (None, None),
    (None, type(None)),
    (True, bool),
    (1, int),
    (-(2**63) - 1, int),
    (10**4000, int),
    (1.5, float),
    (-0.0, float),
    (1e22, float),
    ("", str),
    ("a\x00\u2028\U0001f600", str),
    (1 + 2j, complex),
    (b"\x00\xff", bytes),
    (bytearray(b"x"), bytearray),
    (A_TIME, datetime.datetime),
    (A_TIME.replace(tzinfo=UTC), datetime.datetime),
    (A_TIME.replace(tzinfo=datetime.timezone(datetime.timedelta(seconds=3723))), datetime.datetime),
    (A_TIME.date(), datetime.date),
    (A_TIME.time(), datetime.time),
    (A_TIME.time().replace(tzinfo=UTC), datetime.time),
    (datetime.timedelta(days=-1, microseconds=1), datetime.timedelta),
    (datetime.timedelta.max, datetime.timedelta),
    (AN_ID, uuid.UUID),
    (decimal.Decimal("1.10"), decimal.Decimal),
    (decimal.Decimal("-Infinity"), decimal.Decimal),
    (pathlib.Path("/a/b"), pathlib.Path),
    (pathlib.PurePosixPath("a"), pathlib.PurePosixPath),
    (Color.RED, Color),
    (Level.HIGH, Level),
    (Shape.SQUARE, Shape),
    (Right.READ | Right.WRITE, Right),
    (Sku("a"), Sku),
    (Cents(3), Cents),
    (Ratio(0.5), Ratio),
    ([1, 2], list[int]),
    ([[1], []], list[list[int]]),
    ([1, "a", None, {"b": 1.5}], list),
    ([AN_ID], collections.abc.Sequence[uuid.UUID]),
    ([1], collections.abc.Iterable[int]),
    (collections.deque([1, 2]), collections.deque[int]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((1, "a"), tuple),
    ((), tuple[()]),
    ({3, 1, 2}, set[int]),
    (frozenset({"b", "a"}), frozenset[str]),
    (frozenset({1}), collections.abc.Set[int]),
    ({"a": 1}, dict[str, int]),
    ({"a": 1}, dict),
    ({1: "a", -2: "b"}, dict[int, str]),
    ({True: 1}, dict[bool, int]),
    ({1.5: 1}, dict[float, int]),
    ({AN_ID: 1}, dict[uuid.UUID, int]),
    ({A_TIME.date(): 1}, collections.abc.Mapping[datetime.date, int]),
    ({(1, "a"): 1}, dict[tuple[int, str], int]),
    ({Color.RED: 1}, dict[Color, int]),
    ({Level.LOW: 1}, dict[Level, int]),
    ({1: 1, "1": 2}, dict[int | str, int]),
    ({UserId(1): 1}, dict[UserId, int]),
    (collections.OrderedDict(b=1, a=2), collections.OrderedDict[str, int]),
    (collections.Counter("aab"), collections.Counter[str]),
    (collections.Counter("aab"), collections.Counter),
    (collections.defaultdict(list, a=[1]), collections.defaultdict[str, list[int]]),
    (Point(1), Point),
    ({"name": "x", "tags": {1}}, Options),
    ({"name": "x"}, Options),
    ({"name": "x"}, Loose),
    (Line("a", decimal.Decimal(1)), Line),
    (Order(AN_ID, [Line("a", decimal.Decimal(2))], {Color.BLUE: "x"}, "t"), Order),
    (Tree(1, {2: Tree(3, {4: Tree(5)})}), Tree),
    (Box(A_TIME, [A_TIME]), Box[datetime.datetime]),
    (Box(1), Box),
    (WithAny([1, {"a": None}]), WithAny),
    (1, UserId),
    (1, Annotated[int, "unit"]),
    (1, typing.Final[int]),
    ("a", Literal["a", 1]),
    (Color.RED, Literal[Color.RED]),
    (1, int | None),
    (None, Line | None),
    ([None, 1], list[int | None]),
    (Model(name="a", at=A_TIME, theSize=2.0), Model),
    (Numbers([1, 2]), Numbers),
]


@pytest.fixture(scope="module")
def converter() -> CattrsConverter:
    return CattrsConverter()


@pytest.mark.parametrize(("value", "type"), ROUND_TRIPS, ids=shown)
def test_round_trip(converter, value, type):
    """A value comes back equal and of the same class, from what is JSON."""
    data = converter.encode(value, type)
    back = converter.decode(data, type)

    assert (value, value.__class__) == (back, back.__class__)
    assert msgspec.json.decode(data) == converter.decode(data)


def test_defaultdict_keeps_its_factory(converter):
    """The factory of a defaultdict follows from the annotation."""
    back = converter.decode(b"{}", collections.defaultdict[str, list[int]])

    assert back["new"] == []


def test_bare_defaultdict_has_no_factory(converter):
    """Where the annotation does not name a class, a missing key is missing."""
    back = converter.decode(b"{}", collections.defaultdict[str, int | str])

    assert back.default_factory is None


def test_an_int_is_a_float(converter):
    """An int goes where a float is asked for, and comes back as one."""
    assert converter.encode(3, float) == b"3.0"
    assert float is converter.decode(b"3", float).__class__


def test_sets_have_one_order(converter):
    """The text does not depend on hashes."""
    assert converter.encode({"c", "a", "b"}, set[str]) == b'["a","b","c"]'
    assert converter.encode({"a", 1, None}, set[int | str | None]).replace(b'"a",1', b'1,"a"') == b'[1,"a",null]'
    assert converter.encode({(3, 0), (1, 2)}, set[tuple[int, int]]) == b"[[1,2],[3,0]]"


def test_fields_outside_of_init_are_not_stored(converter):
    """What a class derives by itself is no part of the payload; private names are as they are in the class."""
    data = converter.encode(Order(AN_ID, []), Order)

    assert {"id": str(AN_ID), "lines": [], "notes": {}, "_secret": "s"} == converter.decode(data)


def test_unknown_fields_are_ignored(converter):
    """Data from a newer release, with more fields, can be read."""
    assert Line("a", decimal.Decimal(1)) == converter.decode(b'{"sku":"a","price":"1","new":[]}', Line)
    assert converter.decode(b'{"name":"x","new":1}', Options) == {"name": "x"}
    assert Point(1) == converter.decode(b'{"x":1,"new":1}', Point)


def test_enum_asks_the_author(converter):
    """A value that no member has is offered to ``_missing_``."""
    assert Level.HIGH is converter.decode(b"99", Level)


class TestWithoutAnnotation:
    """Values that go by Any."""

    @pytest.mark.parametrize("value", [None, True, 1, 2**70, 1.5, "a", [1, [2]], {"a": {"b": [None]}}], ids=shown)
    def test_json_values_round_trip(self, converter, value):
        """What JSON has itself comes back as it was."""
        assert value == converter.decode(converter.encode(value))

    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (A_TIME, "2026-01-02T03:04:05.000006"),
            ((1, A_TIME.date()), [1, "2026-01-02"]),
            ({3, 1}, [1, 3]),
            (Line("a", decimal.Decimal(1)), {"sku": "a", "price": "1", "count": 1}),
            ({"a": Tree(1)}, {"a": {"value": 1, "children": {}}}),
            ([Color.RED, Level.LOW, Shape.SQUARE], ["red", 1, "SQUARE"]),
            ({Sku("k"): 1.5}, {"k": 1.5}),
            ([1.5, {1.5: 0}.popitem()[0], AN_ID], [1.5, 1.5, str(AN_ID)]),
            (Model(name="a", at=A_TIME), {"name": "a", "at": "2026-01-02T03:04:05.000006", "raw": "", "theSize": 1.0}),
        ],
        ids=shown,
    )
    def test_others_become_plain(self, converter, value, plain):
        """All else is stored by its class and comes back as the JSON of it."""
        assert plain == converter.decode(converter.encode(value))
        assert plain == converter.decode(converter.encode(value, object), object)

    def test_any_in_a_union_is_any(self, converter):
        """A union with Any in it says nothing."""
        assert converter.decode(converter.encode([1], int | Any | str), int | Any | str) == [1]


NO_CONVERSION = "make it an attrs class or a dataclass, or register it with the converter"
AS_A_UNION = "annotate it as a union of the classes it can be"

REFUSED = [
    (float("nan"), float, "expected a finite number, got float nan"),
    ([1, {"a": float("inf")}], Any, "[1]['a']: expected a finite number, got float inf"),
    (Model(name="a", at=A_TIME, theSize=float("nan")), Model, "['theSize']: expected a finite number, got float nan"),
    (2**53 + 1, float, f"expected a number that a float can hold, got int {2**53 + 1}"),
    ("x", float, "expected a number, got str 'x'"),
    ("3", int, "expected an integer, got str '3'"),
    (3.0, int, "expected an integer, got float 3.0"),
    (1, bool, "expected a bool, got int 1"),
    (1, str, "expected a string, got int 1"),
    (1, None, "expected None, got int 1"),
    ("x", bytes, "expected bytes, got str 'x'"),
    (A_TIME, datetime.date, f"expected a date, got datetime {A_TIME!r}"),
    ("x", datetime.timedelta, "expected a timedelta, got str 'x'"),
    ("x", uuid.UUID, "expected a UUID, got str 'x'"),
    ("red", Color, "expected a member of Color, got str 'red'"),
    ("abc", list[str], "expected a list, got str 'abc'"),
    ({"a": 1}, list[str], "expected a list, got dict {'a': 1}"),
    (5, tuple[int, ...], "expected a list, got int 5"),
    ((1, 2, 3), tuple[int, int], "expected 2 items, got 3"),
    ((1, "a"), tuple[int, int], "[1]: expected an integer, got str 'a'"),
    ([1], set[int], "expected a set, got list [1]"),
    ([1], dict[str, int], "expected a mapping, got list [1]"),
    ({"a": {1: 2}}, Any, "['a'][1]: a key that is no string (int) needs an annotation such as dict[int, ...]"),
    ({pathlib.PurePosixPath("a"): 1, pathlib.PureWindowsPath("a"): 2}, dict[pathlib.PurePath, int],
     "has keys that are the same once converted to text"),
    ("\ud800", str, "has a lone surrogate, which is no text that can be stored"),
    ({"a": ["\ud800"]}, Any, "['a'][0]: has a lone surrogate, which is no text that can be stored"),
    ({"\ud800": 1}, dict[str, int], "['\\ud800']: has a lone surrogate, which is no text that can be stored"),
    (Line("a", 1), Line, "price: expected a Decimal, got int 1"),
    (Tree(1, {2: Tree(3, {4: Tree("x")})}), Tree, "children[2].children[4].value: expected an integer, got str 'x'"),
    (Box("x"), Box[int], "item: expected an integer, got str 'x'"),
    (Box(1, ["x"]), Box[int], "more[0]: expected an integer, got str 'x'"),
    (
        Special(1),
        Tree,
        "is a Special, of which only the fields of Tree would be kept: annotate it as a union of the classes it can be",
    ),
    (Tree(1), Line, "expected Line, got Tree Tree(value=1, children={})"),
    ({"tags": {1}}, Options, "name: is missing"),
    ({"name": "x", "size": 1, "b": 1}, Options, "has keys that Options has not: 'b', 'size'"),
    (Order(AN_ID, [Line("a", decimal.Decimal(1))], {"x": 1}), Order,
     "notes['x']: expected a member of Color, got str 'x'"),
    ([], Options, "expected a dict (Options), got list []"),
    ({"name": "x", "tags": {"y"}}, Options, "tags[0]: expected an integer, got str 'y'"),
    (Point("x"), Point, "x: expected an integer, got str 'x'"),
    ((1, 2), Point, "expected Point, got tuple (1, 2)"),
    (True, Literal[1], "expected Literal[1], got bool True"),
    ([], Literal[1], "expected Literal[1], got list []"),
    (Unresolvable("x"), Unresolvable, "NameError: name 'NowhereDefined' is not defined"),
    (object(), Any, "a bare object() has nothing to store"),
    ([Tree], Any, f"[0]: type has no conversion: {NO_CONVERSION}"),
    (1, msgspec.Raw, f"Raw has no conversion: {NO_CONVERSION}"),
    (Names("a"), Names, f"Names has no conversion: {NO_CONVERSION}"),
    (SubModel(name="a", at=A_TIME), Model,
     f"is a SubModel, of which only the fields of Model would be kept: {AS_A_UNION}"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "type", "message"), REFUSED, ids=shown)
def test_refused_on_the_way_in(converter, value, type, message):
    """What would not come back is refused at once, with the path to it."""
    with pytest.raises(ConversionError) as caught:
        converter.encode(value, type)

    assert message == str(caught.value)


UNREADABLE = [
    (b'"3"', int, "expected an integer, got str '3'"),
    (b"true", int, "expected an integer, got bool True"),
    (b"3.0", int, "expected an integer, got float 3.0"),
    (b"1", str, "expected a string, got int 1"),
    (b"1", bool, "expected a bool, got int 1"),
    (b"1", None, "expected null, got int 1"),
    (b'"x"', float, "expected a number, got str 'x'"),
    (b"[1]", complex, "expected a pair of numbers, got list [1]"),
    (b'"?"', bytes, "Only base64 data is allowed"),
    (b'"x"', datetime.datetime, "Invalid isoformat string: 'x'"),
    (b'"x"', datetime.timedelta, "Invalid ISO8601 duration"),
    (b'"x"', decimal.Decimal, "expected a decimal number, got str 'x'"),
    (b'"x"', uuid.UUID, "badly formed hexadecimal UUID string"),
    (b'"x"', Color, "'x' is not a valid Color"),
    (b"1.5", Color, "expected a member of Color, got float 1.5"),
    (b"[]", Color, "expected a member of Color, got list []"),
    (b'"OVAL"', Shape, "expected a member of Shape, got str 'OVAL'"),
    (b'"abc"', list[str], "expected a list, got str 'abc'"),
    (b'[1,"x"]', list[int], "[1]: expected an integer, got str 'x'"),
    (b"{}", tuple[int, ...], "expected a list, got dict {}"),
    (b"[1]", tuple[int, int], "expected a list of 2, got list [1]"),
    (b'[1,"x"]', tuple[int, int], "[1]: expected an integer, got str 'x'"),
    (b"{}", set[int], "expected a list, got dict {}"),
    (b"[[]]", set, "unhashable type: 'list'"),
    (b"[]", dict[str, int], "expected an object, got list []"),
    (b'{"a":"x"}', dict[str, int], "['a']: expected an integer, got str 'x'"),
    (b'{"x":1}', dict[int, int], "['x']: JSON is malformed: invalid character (byte 0)"),
    (b"[]", Line, "expected an object (Line), got list []"),
    (b'{"sku":"a"}', Line, "price: is missing"),
    (b'{"sku":"a","price":"1","count":"x"}', Line, "count: expected an integer, got str 'x'"),
    (b'{"value":0}', Positive, "'value' must be > 0: 0"),
    (b'{"id":"00000000-0000-0000-0000-000000000005","lines":[{"sku":"a","price":"1"},{"sku":"a","price":2}]}', Order,
     "lines[1].price: expected a string, got int 2"),
    (b'{"id":"00000000-0000-0000-0000-000000000005","lines":[{"sku":"a","price":"1"}],"notes":{"red":"x"},"_secret":1}',
     Order, "_secret: expected a string, got int 1"),
    (b'{"name":"a"}', Loud, "ZeroDivisionError: loud"),
    (b"[]", Options, "expected an object (Options), got list []"),
    (b"{}", Options, "name: is missing"),
    (b'{"name":1}', Options, "name: expected a string, got int 1"),
    (b'{"name":"a","at":"x"}', Model, "at: Input should be a valid datetime or date, input is too short"),
    (b'[1,"x"]', Numbers, "[1]: Input should be a valid integer, unable to parse string as an integer"),
    (b"true", Literal[1], "expected Literal[1], got bool True"),
    (b"[]", Literal[1], "expected Literal[1], got list []"),
    (b"1", Opaque, f"Opaque has no conversion: {NO_CONVERSION}"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "type", "message"), UNREADABLE, ids=shown)
def test_refused_on_the_way_out(converter, data, type, message):
    """Data that does not fit the type is refused, with the path to it."""
    with pytest.raises(ConversionError) as caught:
        converter.decode(data, type)

    assert message == str(caught.value).partition(" - ")[0]


class TestNesting:
    """Depth."""

    def test_too_deep_to_write(self, converter):
        """A list of 100,000 levels is an error and not a crash."""
        value: Any = []
        for _ in range(100_000):
            value = [value]

        with pytest.raises(ConversionError, match=r"^is nested too deeply, or contains itself$"):
            converter.encode(value)

    def test_a_cycle(self, converter):
        """So is a value that contains itself."""
        tree = Tree(1)
        tree.children[1] = tree

        with pytest.raises(ConversionError, match=r"^is nested too deeply, or contains itself$"):
            converter.encode(tree, Tree)

    def test_too_deep_to_read(self, converter):
        """So is such a text."""
        with pytest.raises(ConversionError, match="nested too deeply"):
            converter.decode(b"[" * 100_000 + b"]" * 100_000)

    def test_too_deep_to_build(self, converter):
        """So is a text that can be read, but for which the classes are too many."""
        data = b'{"value":1,"children":{"1":' * 400 + b'{"value":1}' + b"}}" * 400

        with pytest.raises(ConversionError, match=r"^is nested too deeply, or contains itself$"):
            converter.decode(data, Tree)


class TestOwnHooks:
    """What users add."""

    def test_register(self):
        """A registered class goes by its functions, also inside of others and without an annotation."""
        converter = CattrsConverter()
        converter.register(Opaque, encode=lambda _value: {"at": A_TIME}, decode=lambda data: data["at"])

        data = converter.encode([Opaque()], list[Opaque])

        assert data == b'[{"at":"2026-01-02T03:04:05.000006"}]'
        assert data == converter.encode([Opaque()])
        assert converter.decode(data, list[Opaque]) == ["2026-01-02T03:04:05.000006"]

    def test_registered_enum(self):
        """A registered enum goes by its functions too."""
        converter = CattrsConverter()
        converter.register(Color, encode=lambda value: value.name, decode=lambda data: Color[data])

        assert converter.encode(Color.RED, Color) == b'"RED"'
        assert Color.RED is converter.decode(b'"RED"', Color)

    def test_configure(self):
        """Strategies of cattrs can be applied to both converters inside."""
        seen = []
        CattrsConverter(configure=seen.append)

        assert [converter.detailed_validation for converter in seen] == [False, True]

    def test_hook_that_fails_only_once(self):
        """If the second look finds nothing wrong, the first error is told."""
        calls = []

        def decode(data):
            calls.append(data)
            if len(calls) == 1:
                raise ValueError("not yet")
            return data

        converter = CattrsConverter()
        converter.register(Opaque, encode=lambda value: len(str(decode(value))), decode=decode)

        with pytest.raises(ConversionError, match=r"^not yet$"):
            converter.decode(b"1", Opaque)
        calls.clear()
        with pytest.raises(ConversionError, match=r"^not yet$"):
            converter.encode(Opaque(), Opaque)

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (ValueError("x" * 1000), "x" * 400 + "..."),
            (ZeroDivisionError("no"), "ZeroDivisionError: no"),
            (ValueError(), "ValueError"),
            (ValueError("\ud800"), "\\ud800"),
            (type("Mute", (Exception,), {"__str__": lambda _self: 1 // 0})(), "Mute"),
        ],
        ids=lambda item: type(item).__name__,
    )
    def test_errors_of_hooks_are_translated(self, error, reason):
        """Whatever an author's code raises becomes a ConversionError, of bounded length."""

        def fail(_value):
            raise error

        converter = CattrsConverter()
        converter.register(Opaque, encode=fail, decode=fail)

        with pytest.raises(ConversionError) as caught:
            converter.decode(b"1", Opaque)
        assert reason == str(caught.value)

    def test_hostile_repr(self, converter):
        """A value whose repr raises is told by its class; a long one is cut."""
        hostile = type("Hostile", (), {"__repr__": lambda _self: 1 // 0})()

        with pytest.raises(ConversionError, match=r"^expected an integer, got Hostile$"):
            converter.encode(hostile, int)
        with pytest.raises(ConversionError, match=r"^expected an integer, got str 'x{99}\.\.\.$"):
            converter.encode("x" * 1000, int)

    def test_unhashable_annotation(self, converter):
        """An annotation that cannot be a key works, only slower."""
        assert converter.decode(converter.encode(1, Annotated[int, []]), Annotated[int, []]) == 1
        with pytest.raises(ConversionError, match=r"^expected an integer, got str 'x'$"):
            converter.encode("x", Annotated[int, []])
        with pytest.raises(ConversionError, match=r"^expected an integer, got str 'x'$"):
            converter.decode(b'"x"', Annotated[int, []])


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_any_json_value_round_trips(value):
    """What JSON has comes back as it was, whatever it is."""
    assert value == SHARED.decode(SHARED.encode(value))


@given(
    st.from_type(Order) | st.builds(Tree, st.integers(), st.dictionaries(st.integers(), st.builds(Tree, st.integers())))
)
def test_any_instance_round_trips_or_is_refused(value):
    """An instance comes back equal, or is refused."""
    try:
        data = SHARED.encode(value, type(value))
    except ConversionError:
        return
    back = SHARED.decode(data, type(value))
    assert SHARED.encode(value, type(value)) == SHARED.encode(back, type(value))


SHARED = CattrsConverter()
