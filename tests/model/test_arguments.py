"""Arguments that can be of some kinds only: what fits is taken, what does not is named."""

from __future__ import annotations

import pytest

from wfactors.model.arguments import Kind, check_arguments, has_methods, is_list, is_one_of, member
from wfactors.model.status import OnCancel

KINDS = {
    "count": Kind("a number", is_one_of(int, float)),
    "flag": Kind("True or False", is_one_of(bool), or_none=True),
    "clock": Kind("an object with now() and sleep()", has_methods("now", "sleep")),
    "names": Kind("a list of names", is_list),
}


class Clock:
    """Has what a clock must have."""

    now = sleep = lambda self: self


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", 5), ("count", 1.5), ("flag", True), ("flag", None), ("clock", Clock()), ("names", ()), ("names", {"a"})],
)
def test_what_fits_is_taken(name: str, value: object) -> None:
    """None too, where it may be left out."""
    check_arguments(KINDS, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("count", True, "count must be a number, not True"),
        ("count", None, "count must be a number, not None"),
        ("count", "5", "count must be a number, not '5'"),
        ("flag", 1, "flag must be True or False, not 1"),
        ("clock", Clock, r"clock must be an object with now\(\) and sleep\(\), not <class"),
        ("clock", 5, "clock must be an object with .*, not 5"),
        ("names", "abc", "names must be a list of names, not 'abc'"),
        ("names", {"a": 1}, "names must be a list of names, not {'a': 1}"),
        ("names", 5, "names must be a list of names, not 5"),
    ],
)
def test_what_does_not_fit_is_named(name: str, value: object, words: str) -> None:
    """The argument, what it must be, and what it is."""
    with pytest.raises(TypeError, match=f"^{words}"):
        check_arguments(KINDS, **{name: value})


def test_a_choice_is_taken_by_its_name_or_as_it_is() -> None:
    """And what is none of the choices is told with those there are."""
    assert [OnCancel.WAIT, OnCancel.ABANDON] == [
        member(OnCancel, value, "on_cancel") for value in ("wait", OnCancel.ABANDON)
    ]
    with pytest.raises(ValueError, match="^on_cancel must be one of 'wait', 'abandon', not 'leave'$"):
        member(OnCancel, "leave", "on_cancel")
