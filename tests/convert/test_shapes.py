"""What annotations mean."""

from __future__ import annotations

import collections
import datetime
import enum
import sys
import typing
from typing import Annotated, Any, Final, Literal, NewType, TypeVar

import pydantic
import pytest
import typing_extensions

from tests.convert.ids import shown
from wfactors.convert.shapes import ALL_KINDS, is_pydantic, kinds_of, strip, type_name

T = TypeVar("T")
Id = NewType("Id", int)
Alias = typing_extensions.TypeAliasType("Alias", Annotated[Id, "x"])


class Level(enum.Enum):
    LOW = 1
    HIGH = "high"


class Shape(enum.Enum):
    ROUND = 0.5


class Right(enum.Flag):
    READ = 1


class Text(str):
    __slots__ = ()


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Model(pydantic.BaseModel):
    pass


class Opaque:
    pass


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (None, "all"),
        (type(None), "null"),
        (bool, "bool"),
        (int, "int"),
        (Text, "str"),
        (Alias, "int"),
        (Final[int], "int"),
        (datetime.datetime, "str"),
        (Level, "int str"),
        (Shape, "str"),
        (Right, "int"),
        (Literal["a", 1] | None, "str int null"),
        (int | str | None, "int str null"),
        (list[int], "list"),
        (tuple[int, str], "list"),
        (frozenset, "list"),
        (complex, "list"),
        (collections.Counter[str], "dict"),
        (Model, "dict"),
        (Numbers, "all"),
        (Any, "all"),
        (T, "all"),
        (Opaque, "all"),
        (typing.ForwardRef("Opaque"), "all"),
    ],
    ids=shown,
)
def test_kinds(annotation, kinds):
    """The kinds of JSON that a value can become."""
    assert (ALL_KINDS if kinds == "all" else set(kinds.split())) == kinds_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "int"),
        (type(None), "None"),
        (Any, "Any"),
        (list[dict[str, Opaque]], "list[dict[str, Opaque]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (typing.Optional[int], "int | None"),  # noqa: UP045
        (Literal["a", 1], "Literal['a', 1]"),
        (typing.ForwardRef("X"), "ForwardRef('X')"),
    ],
    ids=shown,
)
def test_names(annotation, name):
    """Names for people."""
    assert name == type_name(annotation)


def test_strip():
    """The type below all wrappers."""
    assert int is strip(Alias)


def test_without_pydantic(monkeypatch):
    """Where pydantic was never imported, nothing is a model of it."""
    assert is_pydantic(Model)
    monkeypatch.delitem(sys.modules, "pydantic")
    assert not is_pydantic(Model)
