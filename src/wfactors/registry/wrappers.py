"""What an author has in hand of a decorated function, and what the engine knows of it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

import attrs

from wfactors.convert import CallSignature
from wfactors.errors import WorkflowMisuseError
from wfactors.model.arguments import member
from wfactors.model.ids import chosen_id, validated_queue
from wfactors.model.options import ActivityOptions, Retry
from wfactors.model.status import OnCancel, ParentClose
from wfactors.registry.options import activity_options, without_none

__all__ = [
    "Activity",
    "ActivityDefinition",
    "DurableCaller",
    "Workflow",
    "WorkflowDefinition",
    "activities",
    "durable_caller",
]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")


class DurableCaller(Protocol):
    """What makes the calls of a workflow durable."""

    def call_activity(
        self, activity: Activity[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]: ...

    def call_workflow(
        self, workflow: Workflow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]: ...


durable_caller: ContextVar[DurableCaller | None] = ContextVar("wfactors.durable_caller", default=None)
"""Who makes calls durable here; None outside of workflows."""


# --- Definitions: what the engine knows of a function ----------------------------------------------------------------


@attrs.frozen(eq=False, kw_only=True)
class _Definition:
    """A decorated function.

    Attributes:
        name: Under which histories know it.
        function: The author's function.
        queue: Where it runs; None for wherever the caller runs.
        raises: Exception types that come back to the caller as themselves.
        local_names: The names around a function that is defined inside of another one, for its annotations.
    """

    name: str
    function: Callable[..., Any]
    queue: str | None = None
    raises: tuple[type[BaseException], ...] = ()
    local_names: Mapping[str, Any] | None = None

    @functools.cached_property
    def result_words(self) -> str:
        """What its result is called in errors."""
        return f"the result of {self.name}()"


@attrs.frozen(eq=False, kw_only=True)
class WorkflowDefinition(_Definition):
    """A decorated workflow function."""

    @functools.cached_property
    def signature(self) -> CallSignature:
        """Read when it is first needed: annotations may name what is defined further down."""
        return CallSignature.of(self.function, local_names=self.local_names)


@attrs.frozen(eq=False, kw_only=True)
class ActivityDefinition(_Definition):
    """A decorated activity function.

    Attributes:
        options: What the decorator said of how to run it; what it did not say is the engine's default.
        is_async: It runs in a Trio task; else in a thread.
        is_method: It is called on a registered instance.
    """

    options: Mapping[str, Any] = attrs.field(factory=dict)
    is_async: bool = True
    is_method: bool = False

    @functools.cached_property
    def signature(self) -> CallSignature:
        """Without ``self``. Read when it is first needed: annotations may name what is defined further down."""
        return CallSignature.of(self.function, skip_first=self.is_method, local_names=self.local_names)


D = TypeVar("D", bound=_Definition)


# --- Wrappers: what the author has in hand ---------------------------------------------------------------------------


class _Wrapper(Generic[D, P, R]):
    """What both wrappers have in common: a definition, and they look like the function they wrap."""

    definition: D

    # Taken over from the function, for whoever looks at them.
    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, Any]

    def _look_like(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(cast("Any", self), function, updated=())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @property
    def name(self) -> str:
        """The name in histories."""
        return self.definition.name


class Workflow(_Wrapper[WorkflowDefinition, P, R]):
    """A workflow function; ``@workflow`` makes it.

    Calling it in a workflow starts a child, waits for it and returns its result; calling it anywhere else is calling
    the function.
    """

    def __init__(self, definition: WorkflowDefinition, overrides: Mapping[str, Any] | None = None) -> None:
        self.definition = definition
        self.overrides: Mapping[str, Any] = overrides or {}
        self._look_like(definition.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        caller = durable_caller.get()
        if caller is None:
            return cast("Coroutine[Any, Any, R]", self.definition.function(*args, **kwargs))
        return caller.call_workflow(self, args, kwargs)

    def options(
        self,
        *,
        id: str | None = None,
        queue: str | None = None,
        parent_close: ParentClose | str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Workflow[P, R]:
        """Return the workflow with options for the next call: ``await deliver.options(queue="vans")(order)``.

        Args:
            id: The id of the child; made by the engine if left out.
            queue: Where it runs; where the parent runs if neither this nor the decorator says.
            parent_close: What becomes of it if the parent ends first: ``"cancel"``, ``"terminate"`` or ``"abandon"``.
            attributes: Searchable attributes of the child.

        Raises:
            TypeError: An option has a value of the wrong type.
            ValueError: It has one that makes no sense.
        """
        given = {
            "id": None if id is None else chosen_id(id),
            "queue": None if queue is None else validated_queue(queue),
            "parent_close": None if parent_close is None else member(ParentClose, parent_close, "parent_close"),
            "attributes": attributes,
        }
        return Workflow(self.definition, {**self.overrides, **without_none(given)})

    def __get__(self, instance: object, owner: type | None = None) -> Workflow[P, R]:
        if instance is not None:
            raise TypeError(f"workflow {self.name!r} is no method: define it in a module, or as a @staticmethod")
        return self


class Activity(_Wrapper[ActivityDefinition, P, R]):
    """An activity function; ``@activity`` makes it.

    Calling it in a workflow is a durable call: it runs once in the eyes of the history. Calling it anywhere else is
    calling the function.

    Attributes:
        definition: What the engine knows of the function.
        overrides: What ``options`` said.
        instance: What it is bound to, if it is a method that was looked up on an instance.
    """

    def __init__(
        self, definition: ActivityDefinition, overrides: Mapping[str, Any] | None = None, instance: object = None
    ) -> None:
        self.definition = definition
        self.overrides: Mapping[str, Any] = overrides or {}
        self.instance = instance
        self._look_like(definition.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        caller = durable_caller.get()
        if caller is not None:
            return caller.call_activity(self, args, kwargs)
        return cast("Coroutine[Any, Any, R]", self.bound_function()(*args, **kwargs))

    def bound_function(self) -> Callable[..., Any]:
        """The author's function, bound to the instance if there is one."""
        definition = self.definition
        if definition.is_method and isinstance(self.instance, ByName):
            raise WorkflowMisuseError(
                f"activities({self.instance.cls.__name__}) names activities for calls inside a workflow; outside of "
                "one, call the method of an instance"
            )
        if definition.is_method and self.instance is not None:
            return types.MethodType(definition.function, self.instance)
        return definition.function

    def options(
        self,
        *,
        queue: str | None = None,
        retry: Retry | None = None,
        start_to_close: float | timedelta | None = None,
        schedule_to_close: float | timedelta | None = None,
        heartbeat: float | timedelta | None = None,
        on_cancel: OnCancel | str | None = None,
    ) -> Activity[P, R]:
        """Return the activity with options for the next call: ``await price.options(queue="pricing")(items)``.

        What is left out is as in the decorator.

        Args:
            queue: Where it runs.
            retry: When a failed attempt is followed by another.
            start_to_close: The longest time of one attempt: seconds or a ``timedelta``.
            schedule_to_close: The longest time from the call to its outcome, over all attempts.
            heartbeat: The longest time between two heartbeats of an attempt.
            on_cancel: ``"wait"`` or ``"abandon"``: whether a cancelled scope waits for the attempt to stop.

        Raises:
            TypeError: An option has a value of the wrong type.
            ValueError: It has one that makes no sense.
        """
        given = activity_options(retry, start_to_close, schedule_to_close, heartbeat, on_cancel)
        if queue is not None:
            given["queue"] = validated_queue(queue)
        return Activity(self.definition, {**self.overrides, **given}, self.instance)

    def resolve(self, default: ActivityOptions) -> ActivityOptions:
        """All options of a call: those given to ``options`` before those of the decorator before ``default``."""
        given = {**self.definition.options, **self.overrides}
        given.pop("queue", None)
        return attrs.evolve(default, **given) if given else default

    def __set_name__(self, owner: type, name: str) -> None:
        # Told by the class body that this is a method: its first parameter is self.
        if not self.definition.is_method:
            self.definition = attrs.evolve(self.definition, is_method=True)

    @overload
    def __get__(self, instance: None, owner: type) -> Activity[P, R]: ...
    @overload
    def __get__(
        self: Activity[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> Activity[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None or not self.definition.is_method:
            return self
        return Activity(self.definition, self.overrides, instance)


@attrs.frozen
class ByName:
    """Stands for the instance that the engine has registered."""

    cls: type

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.cls, name)
        if not isinstance(found, Activity):
            raise AttributeError(  # noqa: TRY004  What hasattr() understands.
                f"{self.cls.__name__}.{name} is no activity: decorate it with @activity"
            )
        return Activity(found.definition, found.overrides, self)


def activities(cls: type[T]) -> T:
    """Return something with the activities of ``cls`` as its methods, for calls in a workflow.

    ``await activities(Payments).charge(100)`` calls ``charge`` of the instance of ``Payments`` that the engine which
    runs the activity was given in ``register=[Payments(...)]``.

    Raises:
        TypeError: ``cls`` is no class.
    """
    if not isinstance(cls, type):
        raise TypeError(f"activities() takes the class, not {cls!r}: write activities({type(cls).__name__})")
    return cast("T", ByName(cls))
