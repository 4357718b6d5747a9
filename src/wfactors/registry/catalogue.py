"""The registry of an engine: names to functions."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wfactors.errors import UnknownActivity, UnknownWorkflow
from wfactors.registry.wrappers import Activity, ByName, Workflow, WorkflowDefinition

__all__ = ["Registry"]


class Registry:
    """The workflows and activities that an engine or client knows, by name.

    Args:
        register: Decorated functions, instances with decorated methods, modules with any of these.

    Attributes:
        workflows: Definitions by name.
        activities: Activities by name, methods bound to their instances.

    Raises:
        TypeError: Something in ``register`` is none of these.
        ValueError: Two different functions have one name.
    """

    def __init__(self, register: Iterable[object] = ()) -> None:
        self.workflows: dict[str, WorkflowDefinition] = {}
        self.activities: dict[str, Activity[Any, Any]] = {}
        for item in register:
            self._add(item)

    def workflow(self, name: str) -> WorkflowDefinition:
        """The definition of this name; raises UnknownWorkflow."""
        try:
            return self.workflows[name]
        except KeyError:
            raise UnknownWorkflow(name) from None

    def activity(self, name: str) -> Activity[Any, Any]:
        """The activity of this name, bound if it is a method; raises UnknownActivity."""
        try:
            return self.activities[name]
        except KeyError:
            raise UnknownActivity(name) from None

    def _add(self, item: object) -> None:
        if isinstance(item, Workflow):
            self._add_workflow(item.definition)
        elif isinstance(item, Activity):
            self._add_activity(item)
        elif isinstance(item, types.ModuleType):
            for value in list(vars(item).values()):
                if isinstance(value, Workflow) or (isinstance(value, Activity) and not value.definition.is_method):
                    self._add(value)
        elif isinstance(item, type):
            raise TypeError(f"register an instance of {item.__name__}, not the class: {item.__name__}(...)")
        elif inspect.isroutine(item):
            raise TypeError(
                f"{_called(item)} is neither a workflow nor an activity: decorate it with @workflow or @activity"
            )
        else:
            self._add_instance(item)

    def _add_instance(self, instance: object) -> None:
        found = list(_activities_of(instance))
        if not found:
            raise TypeError(f"there is nothing to register in {instance!r}: it has no method decorated with @activity")
        for item in found:
            self._add(item)

    def _add_workflow(self, definition: WorkflowDefinition) -> None:
        known = self.workflows.setdefault(definition.name, definition)
        if known.function is not definition.function:
            raise ValueError(_two_of_one_name("workflows", definition.name, known.function, definition.function))
        definition.signature  # noqa: B018  Read now, so that a mistake in it shows now.

    def _add_activity(self, item: Activity[Any, Any]) -> None:
        definition = item.definition
        if definition.is_method and (item.instance is None or isinstance(item.instance, ByName)):
            owner = definition.function.__qualname__.rpartition(".")[0].rpartition(".")[2]
            raise TypeError(f"activity {definition.name!r} is a method: register an instance, {owner}(...)")
        known = self.activities.setdefault(definition.name, item)
        if known.definition.function is not definition.function:
            first, second = known.definition.function, definition.function
            raise ValueError(_two_of_one_name("activities", definition.name, first, second))
        if known.instance is not item.instance:
            raise ValueError(
                f"two instances have the activity {definition.name!r}: {known.instance!r} and {item.instance!r}"
            )
        definition.signature  # noqa: B018  As above.


def _activities_of(instance: object) -> Iterator[Activity[Any, Any]]:
    """The activities of an object: methods on its class, found without running any property."""
    members: dict[str, object] = {}
    for base in reversed(type(instance).__mro__):
        members.update(vars(base))
    for name, member in members.items():
        if isinstance(member.__func__ if isinstance(member, staticmethod) else member, Activity):
            yield getattr(instance, name)


def _called(function: Any) -> str:
    return f"{getattr(function, '__qualname__', function)!s}()"


def _two_of_one_name(kind: str, name: str, first: Callable[..., Any], second: Callable[..., Any]) -> str:
    places = " and ".join(f"{function.__module__}.{function.__qualname__}" for function in (first, second))
    return f"two {kind} are named {name!r}: {places}; give one of them another name=..."
