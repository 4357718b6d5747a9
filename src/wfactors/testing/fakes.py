"""Plain functions in the place of activities and children, and what they were called with.

The engine does not know: a fake is registered under the name of what it replaces, with its signature. So arguments and
results are converted as in production, and retries, deadlines and cancellation are the engine's own, in virtual time.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from wfactors.activity import activity_info
from wfactors.errors import PermanentError
from wfactors.model.options import Retry
from wfactors.registry import Activity, ActivityDefinition, Workflow, WorkflowDefinition
from wfactors.workflow import info, now

if TYPE_CHECKING:
    from wfactors.convert import CallSignature

__all__ = ["Call", "Calls", "Fake", "Recorder", "call"]

Wrap: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

activity_wrapper: ContextVar[Wrap] = ContextVar("wfactors.testing.activity_wrapper", default=lambda function: function)
"""Put around the function of every activity that a Tester runs in a Trio task; for ``fuzz_schedules``."""

_NOTHING: Any = object()


# --- What was called -------------------------------------------------------------------------------------------------


@attrs.define(eq=False, kw_only=True)
class Call:
    """One durable call, as it was recorded; equal to ``call(...)`` with the same arguments, however they were written.

    Attributes:
        args: The arguments that went by position, and those that could have.
        kwargs: The others.
        name: Of the activity or workflow.
        id: Of the workflow: the one that called the activity, or the child itself.
        parent_id: Of the workflow that started it, for a child.
        at: When it began, in virtual time.
        attempts: How many attempts there were of an activity so far.
        key: The same on every attempt, and on no other call.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)
    name: str = ""
    id: str = ""
    parent_id: str | None = None
    at: datetime | None = None
    attempts: int = 1
    key: str = ""
    _signature: CallSignature | None = attrs.field(default=None, alias="signature")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Call):
            return NotImplemented
        signature = self._signature or other._signature
        return self._bound(signature) == other._bound(signature)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"call({', '.join(given)})"

    def _bound(self, signature: CallSignature | None) -> tuple[Any, Any]:
        if signature is None:
            return self.args, dict(self.kwargs)
        try:
            return signature.bind(self.args, self.kwargs)
        except TypeError:
            return self.args, dict(self.kwargs)


def call(*args: Any, **kwargs: Any) -> Call:
    """Write down a call, to compare it with one that was recorded: ``tester.calls(charge) == [call("visa", 100)]``."""
    return Call(args=args, kwargs=kwargs)


class Calls(list[Call]):
    """The calls of one activity or workflow, in the order in which they began.

    A list, so ``==``, ``len`` and indices do; the methods say more when they fail.
    """

    def __init__(self, name: str, calls: Iterable[Call] = ()) -> None:
        super().__init__(calls)
        self._name = name

    def assert_never(self) -> None:
        """Raise AssertionError if there was any call."""
        assert not self, f"{self._name} was called, and should never be: {list(self)}"

    def assert_times(self, count: int) -> None:
        """Raise AssertionError unless there were ``count`` calls."""
        assert len(self) == count, f"{self._name} was called {len(self)} times, not {count}: {list(self)}"

    def assert_once_with(self, *args: Any, **kwargs: Any) -> None:
        """Raise AssertionError unless there was one call, with these arguments."""
        wanted = call(*args, **kwargs)
        assert self == [wanted], f"{self._name} should have one {wanted}, and has {list(self)}"

    def assert_any(self, *args: Any, **kwargs: Any) -> None:
        """Raise AssertionError unless one of the calls has these arguments."""
        wanted = call(*args, **kwargs)
        assert wanted in self, f"{self._name} should have a {wanted}, and has {list(self)}"


class Recorder:
    """Writes down the calls of everything that is registered with a tester.

    Attributes:
        on_child: Called, with the call, when a child starts; inside its first turn, so it may only take note.
    """

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], dict[str, Call]] = {}
        self.on_child: Callable[[Call], None] = lambda _: None

    def calls(self, target: Activity[Any, Any] | Workflow[Any, Any]) -> Calls:
        """Those of one activity or workflow."""
        kind = "workflow" if isinstance(target, Workflow) else "activity"
        return Calls(target.name, self._calls.get((kind, target.name), {}).values())

    def note_activity(self, signature: CallSignature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """An attempt of an activity begins here."""
        attempt = activity_info()
        calls = self._calls.setdefault(("activity", attempt.activity), {})
        known = calls.get(attempt.idempotency_key)
        if known is not None:
            known.attempts = attempt.attempt
            return
        calls[attempt.idempotency_key] = Call(
            args=args,
            kwargs=dict(kwargs),
            name=attempt.activity,
            id=attempt.workflow_id,
            at=attempt.started_at,
            attempts=attempt.attempt,
            key=attempt.idempotency_key,
            signature=signature,
        )

    def note_workflow(self, signature: CallSignature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """A run of a workflow begins here, perhaps not for the first time; returns what tells it from others."""
        about = info()
        key = f"{about.instance}/{about.run}"
        calls = self._calls.setdefault(("workflow", about.workflow), {})
        if key not in calls:
            noted = calls[key] = Call(
                args=args,
                kwargs=dict(kwargs),
                name=about.workflow,
                id=about.id,
                parent_id=about.parent_id,
                at=now(),
                key=key,
                signature=signature,
            )
            if about.parent_id is not None and about.run == 1:
                self.on_child(noted)
        return key


# --- What takes the place --------------------------------------------------------------------------------------------


class Fake:
    """What an activity or a child does instead; ``Tester.fake`` makes it, and may be called again to change it.

    Attributes:
        name: Of what it replaces.
        delay: Virtual seconds before it answers.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.delay = 0.0
        self._answer: Callable[..., Any] = lambda *_, **__: None

    def set(
        self,
        function: Callable[..., Any] | None,
        returns: Any,
        raises: Any,
        sequence: Iterable[Any] | None,
        delay: float,
    ) -> None:
        """Choose what it does: exactly one of the four."""
        given = [function is not None, returns is not _NOTHING, raises is not None, sequence is not None]
        if sum(given) > 1:
            raise TypeError(f"the fake of {self.name} takes one of a function, returns=, raises= and sequence=")
        self.delay = delay
        if function is not None:
            self._answer = function
        elif sequence is not None:
            self._answer = self._one_after_the_other(iter(sequence))
        else:
            value = raises if raises is not None else None if returns is _NOTHING else returns
            self._answer = lambda *_, **__: _value_or_raise(value, raises is not None)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.delay:
            await trio.sleep(self.delay)
        else:
            await trio.lowlevel.checkpoint()
        answer = self._answer(*args, **kwargs)
        return await answer if inspect.isawaitable(answer) else answer

    def _one_after_the_other(self, answers: Iterator[Any]) -> Callable[..., Any]:
        def answer(*_: Any, **__: Any) -> Any:
            try:
                value = next(answers)
            except StopIteration:
                raise PermanentError(f"the sequence of answers given to the fake of {self.name} is used up") from None
            return _value_or_raise(value, is_error=_is_error(value))

        return answer


def _is_error(value: Any) -> bool:
    return isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException))


def _value_or_raise(value: Any, is_error: bool) -> Any:  # noqa: FBT001  Two cases of one thing.
    if not is_error:
        return value
    # As it is, but without the lines of the last time it was raised.
    raise value.with_traceback(None) if isinstance(value, BaseException) else value


# --- What is registered ----------------------------------------------------------------------------------------------


def recorded_activity(activity: Activity[Any, Any], recorder: Recorder, wrap: Wrap) -> Activity[Any, Any]:
    """The activity itself, its calls recorded.

    Args:
        activity: As it is registered, bound if it is a method.
        recorder: Where its calls go.
        wrap: Applied to the function of one that runs in a Trio task.
    """
    definition = activity.definition
    signature = definition.signature
    function = activity.bound_function()
    if definition.is_async:
        inner = wrap(function)

        async def recorded(*args: Any, **kwargs: Any) -> Any:
            recorder.note_activity(signature, args, kwargs)
            return await inner(*args, **kwargs)

        return _substitute(activity, functools.update_wrapper(recorded, function), is_async=True)

    def recorded_in_thread(*args: Any, **kwargs: Any) -> Any:
        recorder.note_activity(signature, args, kwargs)
        return function(*args, **kwargs)

    return _substitute(activity, functools.update_wrapper(recorded_in_thread, function), is_async=False)


def faked_activity(activity: Activity[Any, Any], fake: Fake, recorder: Recorder, wrap: Wrap) -> Activity[Any, Any]:
    """The fake under the activity's name; it always runs in a Trio task."""
    definition = activity.definition
    signature = definition.signature
    inner = wrap(fake.__call__)

    async def faked(*args: Any, **kwargs: Any) -> Any:
        recorder.note_activity(signature, args, kwargs)
        return await inner(*args, **kwargs)

    function: Any = definition.function
    if definition.is_method:
        # For its signature, which has no self.
        function = types.MethodType(function, object())
    return _substitute(activity, functools.update_wrapper(faked, function), is_async=True)


def _substitute(activity: Activity[Any, Any], function: Callable[..., Any], *, is_async: bool) -> Activity[Any, Any]:
    definition = attrs.evolve(activity.definition, function=function, is_async=is_async, is_method=False)
    return Activity(definition)


def recorded_workflow(definition: WorkflowDefinition, recorder: Recorder) -> Workflow[Any, Any]:
    """The workflow itself, its starts recorded."""
    signature, function = definition.signature, definition.function

    async def recorded(*args: Any, **kwargs: Any) -> Any:
        recorder.note_workflow(signature, args, kwargs)
        return await function(*args, **kwargs)

    return Workflow(attrs.evolve(definition, function=functools.update_wrapper(recorded, function)))


def faked_workflow(
    definition: WorkflowDefinition, fake: Fake, recorder: Recorder, wrap: Wrap
) -> tuple[Workflow[Any, Any], Activity[Any, Any]]:
    """The fake under the workflow's name, and the activity in which it runs, once however often it is replayed.

    Its arguments and its outcome stay in memory: what it raises is then the child's own failure, not that of an
    activity of the child.
    """
    signature = definition.signature
    given: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    outcomes: dict[str, tuple[Any, BaseException | None]] = {}
    inner = wrap(fake.__call__)

    async def perform(key: str) -> None:
        args, kwargs = given[key]
        try:
            outcomes[key] = await inner(*args, **kwargs), None
        except Exception as error:  # noqa: BLE001  Raised again where it belongs.
            outcomes[key] = None, error

    name = f"fake of {definition.name}"
    hidden: Activity[Any, Any] = Activity(
        ActivityDefinition(name=name, function=perform, options={"retry": Retry(attempts=1)})
    )

    async def faked(*args: Any, **kwargs: Any) -> Any:
        key = recorder.note_workflow(signature, args, kwargs)
        given.setdefault(key, (args, kwargs))
        await hidden(key)
        value, error = outcomes[key]
        return _value_or_raise(value if error is None else error, error is not None)

    return Workflow(attrs.evolve(definition, function=functools.update_wrapper(faked, definition.function))), hidden
