"""What a call takes and returns."""

from __future__ import annotations

import functools
from typing import Any, Optional

import pytest

from wfactors.convert import CallSignature, Parameter
from wfactors.errors import ConversionError


def plain(a: int, b: str = "x") -> bool: ...
def optional(a: int = None, b=None): ...  # noqa: RUF013
def positional(a: int, /, b: int = 1): ...
def keyword(a: int, *, b: str, c: float = 1.0): ...
def variadic(a: int, *rest: str, **options: float): ...
def wide(a, b=0, c=0, d=0): ...
def nothing(): ...
async def asynchronous(a: int) -> str: ...
def broken(a: Nowhere, b: int) -> Nothing: ...  # noqa: F821


class Payments:
    def charge(self, cents: int) -> str: ...

    def __call__(self, cents: int) -> str: ...


class Account:
    def __init__(self, owner: str) -> None: ...


class Deeper(type):
    pass


def wrapper(function):
    @functools.wraps(function)
    def inner(*args, **kwargs): ...

    return inner


def test_parameters():
    """Names, types and what must be given."""
    signature = CallSignature.of(plain)

    assert (Parameter("a", int, True), Parameter("b", str, False)) == signature.positional
    assert bool is signature.return_type
    assert signature.name == "plain"
    assert repr(signature) == "<CallSignature plain(a: 'int', b: 'str' = 'x') -> 'bool'>"
    assert signature.problems == ()


def test_no_annotations():
    """What is not annotated is Any."""
    signature = CallSignature.of(lambda a: a)

    assert (Parameter("a", Any, True),) == signature.positional
    assert Any is signature.return_type


def test_a_default_of_none_allows_none():
    """``x: int = None`` takes None, as its author means it."""
    signature = CallSignature.of(optional)

    assert (Parameter("a", Optional[int], False), Parameter("b", Any, False)) == signature.positional  # noqa: UP045


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (Payments.charge, {"skip_first": True}),
        (Payments().charge, {}),
        (Payments(), {}),
        (wrapper(Payments().charge), {}),
        (functools.partial(Payments.charge, None), {}),
    ],
    ids=["function", "bound", "callable", "wrapped", "partial"],
)
def test_methods(function, options):
    """``self`` is no parameter, however the method comes."""
    signature = CallSignature.of(function, **options)

    assert (Parameter("cents", int, True),) == signature.positional
    assert str is signature.return_type


def test_classes():
    """A class is called with the parameters of its __init__."""
    assert (Parameter("owner", str, True),) == CallSignature.of(Account).positional


def test_builtins():
    """Builtin functions have no annotations, and perhaps no signature."""
    assert (Parameter("obj", Any, True),) == CallSignature.of(len).positional
    assert CallSignature.of(object).positional == ()
    with pytest.raises(TypeError, match="iter has no signature that can be read"):
        CallSignature.of(iter)


def test_skip_first_needs_one():
    """A method without self is told."""
    with pytest.raises(TypeError, match="nothing takes no self"):
        CallSignature.of(nothing, skip_first=True)


def test_unresolvable_annotations():
    """An annotation that cannot be resolved counts as Any, and the reason is kept; the others count."""
    signature = CallSignature.of(broken)

    assert (Parameter("a", Any, True), Parameter("b", int, True)) == signature.positional
    assert Any is signature.return_type
    assert signature.problems == (
        "broken: annotation 'Nowhere' of 'a' counts as Any: name 'Nowhere' is not defined",
        "broken: annotation 'Nothing' of 'return' counts as Any: name 'Nothing' is not defined",
    )


def test_local_names():
    """Names of the place of definition can be given."""
    signature = CallSignature.of(broken, local_names={"Nowhere": float, "Nothing": None})

    assert float is signature.positional[0].type
    assert type(None) is signature.return_type


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "bound"),
    [
        (plain, (1,), {}, ((1,), {})),
        (plain, (1, "y"), {}, ((1, "y"), {})),
        (plain, (1,), {"b": "y"}, ((1, "y"), {})),
        (plain, (), {"b": "y", "a": 1}, ((1, "y"), {})),
        (optional, (), {"b": 2}, ((), {"b": 2})),
        (positional, (1,), {"b": 2}, ((1, 2), {})),
        (positional, (1, 2), {}, ((1, 2), {})),
        (wide, (1,), {"b": 2, "d": 4}, ((1, 2), {"d": 4})),
        (wide, (1,), {"c": 3, "b": 2, "d": 4}, ((1, 2, 3, 4), {})),
        (wide, (), {"d": 4, "a": 1}, ((1,), {"d": 4})),
        (keyword, (1,), {"b": "x"}, ((1,), {"b": "x"})),
        (keyword, (), {"b": "x", "a": 1}, ((1,), {"b": "x"})),
        (variadic, (1, "a", "b"), {"x": 1.0}, ((1, "a", "b"), {"x": 1.0})),
        (nothing, (), {}, ((), {})),
        (asynchronous, (1,), {}, ((1,), {})),
    ],
)
def test_bind(function, args, kwargs, bound):
    """However a call is written, its arguments take one form."""
    assert bound == CallSignature.of(function).bind(args, kwargs)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, (), {}),
        (plain, (1, "x", 2), {}),
        (plain, (1,), {"a": 1}),
        (plain, (1,), {"c": 1}),
        (positional, (), {"a": 1}),
        (positional, (), {"b": 1}),
        (wide, (1, 2), {"a": 1}),
        (wide, (), {"b": 1, "c": 1}),
        (wide, (1, 2, 3, 4), {"d": 1}),
        (keyword, (1,), {}),
        (keyword, (1, "x"), {}),
        (variadic, (), {}),
        (nothing, (1,), {}),
    ],
)
def test_wrong_calls(function, args, kwargs):
    """A TypeError comes where the call itself raises one, and names the function."""
    with pytest.raises(TypeError):
        function(*args, **kwargs)
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) "):
        CallSignature.of(function).bind(args, kwargs)


def test_types_of_arguments():
    """Types by position and by name, with those of variadic parameters."""
    signature = CallSignature.of(variadic)

    assert ("a", int) == signature.type_at(0)
    assert ("argument 3", str) == signature.type_at(2)
    assert float is signature.type_of("x")
    assert int is signature.type_of("a")
    assert str is CallSignature.of(keyword).type_of("b")


def test_stored_arguments_that_do_not_exist_any_more():
    """Arguments of an older function that this one does not take are an error that says so."""
    signature = CallSignature.of(positional)

    with pytest.raises(ConversionError, match=r"^positional\(\) takes 2 arguments by position, more are stored$"):
        signature.type_at(2)
    with pytest.raises(ConversionError, match=r"^positional\(\) has no parameter 'a', but a value for it is stored$"):
        signature.type_of("a")
    with pytest.raises(ConversionError, match=r"^the stored arguments do not fit positional\(\): missing .*'a'$"):
        signature.check_stored((), {})
    signature.check_stored((1,), {})
    CallSignature.of(keyword).check_stored((1,), {"b": "x"})
