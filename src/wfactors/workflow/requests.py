"""``@query`` and ``@update``: functions inside of a workflow that others may call while it runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from wfactors.errors import CodecError
from wfactors.model.payloads import Payload
from wfactors.registry import durable_caller
from wfactors.workflow.inside import Inside, inside, signature_of

__all__ = ["Update", "query", "update"]

if TYPE_CHECKING:
    from wfactors.convert import CallSignature

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class _SameDecorator(Protocol):
    def __call__(self, function: F, /) -> F: ...


class _UpdateDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Update[P, R]: ...


@overload
def query(function: F, /) -> F: ...
@overload
def query(*, name: str | None = None) -> _SameDecorator: ...
def query(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Let a nested function answer a query, from here on and also when the workflow has ended.

    It runs between turns and may only look: no durable call, nothing that wakes a task. A later query of the same name
    takes the place of this one.

    Args:
        function: A plain function.
        name: What callers call it; the function's name if left out.

    Raises:
        TypeError: The function is async or a generator.
    """
    here = inside("@query")

    def decorate(function: F) -> F:
        here.command("@query")
        _check(function, "a query")
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"a query only looks, so it needs no await: write def {function.__name__}, not async def")
        words = name or function.__name__
        here.run.requests.queries[words] = functools.partial(_answer, here, words, function)
        return function

    return decorate if function is None else decorate(function)


def _answer(here: Inside, name: str, function: Callable[..., Any], input: Payload) -> Payload:
    signature = signature_of(function)
    data = here.app.data
    reader = here.reader(f"query {name!r}")
    durable_caller.set(reader)
    args, kwargs = data.args_from_payload(signature, input)
    value = function(*args, **kwargs)
    if reader.violation is not None:
        raise reader.violation
    return Payload(data.to_payload(value, signature.return_type, f"the result of query {name!r}"))


class Update(Generic[P, R]):
    """A function that answers an update; ``@update`` makes it. Calling it is calling the function."""

    def __init__(self, here: Inside, name: str, function: Callable[P, R]) -> None:
        self.name = name
        self._here = here
        self._function = function
        self._validator: Callable[..., Any] | None = None
        functools.update_wrapper(cast("Any", self), function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def validator(self, function: Callable[P, object]) -> Callable[P, object]:
        """Let ``function`` see the arguments first; what it raises refuses the update, and nothing is recorded.

        ::

            @wf.update
            async def add(item: Item) -> int: ...

            @add.validator
            def check(item: Item) -> None:
                if item.price < 0:
                    raise ValueError("a price is not negative")

        Raises:
            TypeError: The function is async: a validator only looks.
        """
        _check(function, "a validator")
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"a validator only looks, so it needs no await: write def {function.__name__}")
        self._validator = function
        return function

    # --- What the kernel calls ---------------------------------------------------------------------------------------

    @property
    def _signature(self) -> CallSignature:
        return signature_of(self._function)

    def check(self, input: Payload) -> None:
        """Raise if the update is to be refused."""
        args, kwargs = self._here.app.data.args_from_payload(self._signature, input)
        if self._validator is None:
            return
        reader = self._here.reader(f"the validator of update {self.name!r}")
        durable_caller.set(reader)
        self._validator(*args, **kwargs)
        if reader.violation is not None:
            raise reader.violation

    async def run(self, input: Payload) -> Payload:
        """Carry the update out."""
        data = self._here.app.data
        signature = self._signature
        try:
            args, kwargs = data.args_from_payload(signature, input)
        except CodecError as error:
            self._here.run.halt(error)
        value: Any = self._function(*args, **kwargs)
        if inspect.iscoroutine(value):
            value = await value
        return Payload(data.to_payload(value, signature.return_type, f"the result of update {self.name!r}"))


@overload
def update(function: Callable[P, R], /) -> Update[P, R]: ...
@overload
def update(*, name: str | None = None, validator: Callable[..., object] | None = None) -> _UpdateDecorator: ...
def update(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    validator: Callable[..., object] | None = None,
) -> Any:
    """Let a nested function answer an update, from here on: validated, recorded, then run beside the main function.

    When the main function ends, updates that still run are cancelled and waited for. A later update of the same name
    takes the place of this one.

    Args:
        function: A function, async or not.
        name: What callers call it; the function's name if left out.
        validator: A plain function of the same parameters; what it raises refuses the update.

    Raises:
        TypeError: The function is a generator, or the validator is async.
    """
    here = inside("@update")

    def decorate(function: Callable[P, R]) -> Update[P, R]:
        here.command("@update")
        _check(function, "an update")
        result = Update(here, name or function.__name__, function)
        if validator is not None:
            result.validator(validator)
        here.run.requests.updates[result.name] = result
        return result

    return decorate if function is None else decorate(function)


def _check(function: Any, kind: str) -> None:
    if not inspect.isroutine(function):
        raise TypeError(f"{kind} is a function, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{kind} returns its result, {function.__qualname__}() is a generator")
