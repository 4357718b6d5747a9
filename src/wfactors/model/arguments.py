"""Arguments of public functions that can be of some kinds only.

Whoever takes arguments has one table that says of each what it must be, and checks them all before doing anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import attrs

__all__ = ["Kind", "check_arguments", "has_methods", "is_list", "is_one_of", "member"]

E = TypeVar("E", bound=StrEnum)


@attrs.frozen
class Kind:
    """What an argument must be.

    Args:
        words: The same for people: it stands behind "must be".
        fits: Whether a value is that.
        or_none: Whether None will do, too.
    """

    words: str
    fits: Callable[[Any], bool]
    or_none: bool = False


def check_arguments(kinds: Mapping[str, Kind], **given: object) -> None:
    """Raise TypeError for the first argument that is not what ``kinds`` says of its name."""
    for name, value in given.items():
        kind = kinds[name]
        if not (kind.fits(value) or (value is None and kind.or_none)):
            raise TypeError(f"{name} must be {kind.words}, not {value!r}")


def is_one_of(*types: type) -> Callable[[Any], bool]:
    """For values of these types; a bool is no number, though Python takes it for one."""
    return lambda value: isinstance(value, types) and (bool in types or not isinstance(value, bool))


def has_methods(*names: str) -> Callable[[Any], bool]:
    """For objects with these methods; their class is not such an object."""
    return lambda value: not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)


def is_list(value: object) -> bool:
    """Whether its items can be meant: those of a str are letters, and those of a mapping are keys."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def member(cls: type[E], value: str, what: str) -> E:
    """The member that ``value`` names; ValueError, naming ``what``, if there is none."""
    try:
        return cls(value)
    except ValueError:
        known = ", ".join(repr(item.value) for item in cls)
        raise ValueError(f"{what} must be one of {known}, not {value!r}") from None
