"""``@workflow`` and ``@activity``."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from wfactors.model.ids import validated_name, validated_queue
from wfactors.model.options import Retry
from wfactors.model.status import OnCancel
from wfactors.registry.options import activity_options
from wfactors.registry.wrappers import Activity, ActivityDefinition, Workflow, WorkflowDefinition

__all__ = ["activity", "workflow"]

P = ParamSpec("P")
R = TypeVar("R")


class _WorkflowDecorator(Protocol):
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


class _ActivityDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Activity[P, R]: ...


@overload
def workflow(function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *, name: str | None = None, queue: str | None = None, raises: Iterable[type[BaseException]] = ()
) -> _WorkflowDecorator: ...
def workflow(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str | None = None,
    raises: Iterable[type[BaseException]] = (),
) -> Any:
    """Make an async function a workflow.

    Args:
        function: The function, when the decorator is used without parentheses.
        name: The name in histories; see the top of the module for the default.
        queue: Where it runs if nobody says otherwise.
        raises: Exception types that come back as themselves to a workflow that calls it.

    Raises:
        TypeError: ``function`` is no async function, or an option is of the wrong type.
        ValueError: An option makes no sense, or the function has no name.
    """
    local_names = _local_names(sys._getframe(1))  # noqa: SLF001  inspect has no other way.
    types_raised = _exception_types(raises, "workflow")
    checked_queue = None if queue is None else validated_queue(queue)

    def decorate(function: Callable[..., Any]) -> Workflow[..., Any]:
        _check_function(function, "workflow")
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"@workflow needs an async function, {function.__qualname__}() is synchronous: write async def"
            )
        return Workflow(
            WorkflowDefinition(
                name=_name_of(function, name),
                function=function,
                queue=checked_queue,
                raises=types_raised,
                local_names=local_names if "<locals>" in function.__qualname__ else None,
            )
        )

    return decorate if function is None else decorate(function)


@overload
def activity(function: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
@overload
def activity(function: Callable[P, R], /) -> Activity[P, R]: ...
@overload
def activity(
    *,
    name: str | None = None,
    queue: str | None = None,
    retry: Retry | None = None,
    start_to_close: float | timedelta | None = None,
    schedule_to_close: float | timedelta | None = None,
    heartbeat: float | timedelta | None = None,
    raises: Iterable[type[BaseException]] = (),
    on_cancel: OnCancel | str | None = None,
) -> _ActivityDecorator: ...
def activity(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str | None = None,
    retry: Retry | None = None,
    start_to_close: float | timedelta | None = None,
    schedule_to_close: float | timedelta | None = None,
    heartbeat: float | timedelta | None = None,
    raises: Iterable[type[BaseException]] = (),
    on_cancel: OnCancel | str | None = None,
) -> Any:
    """Make a function an activity: an ``async def`` runs in a Trio task, a ``def`` in a worker thread.

    Args:
        function: The function, when the decorator is used without parentheses.
        name: The name in histories; see the top of the module for the default.
        queue: Where it runs; where the calling workflow runs if left out.
        retry: When a failed attempt is followed by another.
        start_to_close: The longest time of one attempt: seconds or a ``timedelta``.
        schedule_to_close: The longest time from the call to its outcome, over all attempts.
        heartbeat: The longest time between two heartbeats of an attempt.
        raises: Exception types that come back to the workflow as themselves.
        on_cancel: ``"wait"`` (the default) or ``"abandon"``: whether a cancelled scope waits for the attempt to stop.

    Raises:
        TypeError: ``function`` is no function, or an option is of the wrong type.
        ValueError: An option makes no sense, or the function has no name.
    """
    local_names = _local_names(sys._getframe(1))  # noqa: SLF001  inspect has no other way.
    options = activity_options(retry, start_to_close, schedule_to_close, heartbeat, on_cancel)
    types_raised = _exception_types(raises, "activity")
    checked_queue = None if queue is None else validated_queue(queue)

    def decorate(function: Callable[..., Any]) -> Activity[..., Any]:
        _check_function(function, "activity")
        return Activity(
            ActivityDefinition(
                name=_name_of(function, name),
                function=function,
                queue=checked_queue,
                raises=types_raised,
                options=options,
                is_async=inspect.iscoroutinefunction(function),
                local_names=local_names if "<locals>" in function.__qualname__ else None,
            )
        )

    return decorate if function is None else decorate(function)


# --- Helpers ---------------------------------------------------------------------------------------------------------


def _check_function(function: object, decorator: str) -> None:
    if isinstance(function, Workflow | Activity):
        raise TypeError(f"{function!r} is decorated already")
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        advice = "put @staticmethod outermost" if kind == "staticmethod" else "make it a method or a plain function"
        raise TypeError(f"@{decorator} cannot decorate a {kind}: {advice}")
    if not inspect.isfunction(function):
        raise TypeError(f"@{decorator} needs a function, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"@{decorator} needs a function that returns its result, {function.__qualname__}() is a generator"
        )


def _name_of(function: Callable[..., Any], name: str | None) -> str:
    if name is not None:
        return validated_name(name)
    if function.__name__ == "<lambda>":
        raise ValueError("a lambda has no name that histories could keep: use def, or give name=...")
    return function.__qualname__.rpartition("<locals>.")[2]


def _local_names(frame: types.FrameType) -> Mapping[str, Any] | None:
    """The names in the function around the decorator, for annotations; None in modules and classes of modules."""
    # In a class body inside of a function, the names of that function are those of the frame outside.
    names: dict[str, Any] = {}
    current: types.FrameType | None = frame
    while current is not None and current.f_locals is not current.f_globals:
        is_function = bool(current.f_code.co_flags & inspect.CO_NEWLOCALS)
        names = {**current.f_locals, **names}
        if is_function:
            return names
        current = current.f_back
    return None


def _exception_types(raises: object, decorator: str) -> tuple[type[BaseException], ...]:
    types_raised: tuple[Any, ...]
    try:
        types_raised = (raises,) if isinstance(raises, type) else tuple(cast("Iterable[Any]", raises))
    except TypeError:
        types_raised = (raises,)
    for item in types_raised:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise TypeError(f"{decorator}(raises=...) takes exception types, not {item!r}")
    return types_raised
