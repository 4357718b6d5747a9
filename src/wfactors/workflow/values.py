"""What a workflow asks instead of the world: the time, chance, itself; and what it tells the history."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast
from uuid import UUID

import attrs

from wfactors.errors import SideEffectError
from wfactors.kernel.lowlevel import checkpoint_if_cancelled
from wfactors.kernel.run import ContinueAsNew
from wfactors.kernel.spans import current_span
from wfactors.model.events import AttributesSet, RunStarted
from wfactors.model.failures import Failure
from wfactors.model.ids import validated_text
from wfactors.model.payloads import NULL, Payload
from wfactors.model.spans import Lineage, run_path, span_id
from wfactors.registry import Activity, Workflow, durable_caller
from wfactors.workflow.inside import Inside, inside, inside_or_none, signature_of

__all__ = [
    "WorkflowInfo",
    "context",
    "continue_as_new",
    "info",
    "logger",
    "now",
    "patched",
    "random",
    "set_attributes",
    "side_effect",
    "uuid4",
]

P = ParamSpec("P")
R = TypeVar("R")

_UUID_BITS = 128


# --- Time, chance, itself --------------------------------------------------------------------------------------------


def now() -> datetime:
    """Return the time of the workflow: an aware ``datetime`` in UTC, the same in every replay."""
    return datetime.fromtimestamp(inside("now()").run.scheduler.now, UTC)


def uuid4() -> UUID:
    """Return a random UUID, the same in every replay. Not for secrets."""
    here = inside("uuid4()")
    here.command("uuid4()")
    return UUID(int=here.random.getrandbits(_UUID_BITS), version=4)


if TYPE_CHECKING:

    class _Random(Random):
        def __call__(self) -> float: ...

else:

    class _Random:
        """A random number from 0 to 1 when called; the methods of ``random.Random`` as attributes."""

        __slots__ = ()

        def __call__(self) -> float:
            return self._random("random()").random()

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or not hasattr(Random, name):
                raise AttributeError(f"wfactors.random has no attribute {name!r}")
            return getattr(self._random(f"random.{name}()"), name)

        @staticmethod
        def _random(what: str) -> Random:
            here = inside(what)
            here.command(what)
            return here.random


random = _Random()
"""``random()``, ``random.choice(...)``, ``random.randrange(...)`` and so on: the same in every replay of a workflow."""


@attrs.frozen(kw_only=True)
class WorkflowInfo:
    """What a workflow can know of itself.

    Attributes:
        id: The id people use.
        instance: The key of the instance, unique for ever.
        run: The number of the run, from 1; ``continue_as_new`` counts up.
        workflow: The name of the workflow.
        queue: Where it runs.
        parent_id: The id of the workflow that called it, if one did.
        started_at: When the run started, in UTC.
        events: How many events the history had when the current turn began.
        attributes: The searchable attributes.
        cancel_reason: What the first request to cancel said; None if there was none.
    """

    id: str
    instance: str
    run: int
    workflow: str
    queue: str
    parent_id: str | None
    started_at: datetime
    events: int
    attributes: Mapping[str, Any]
    cancel_reason: str | None


def info() -> WorkflowInfo:
    """Return what the workflow can know of itself."""
    here = inside("info()")
    started = here.run.started
    assert started is not None, "author's code runs after the start"
    return WorkflowInfo(
        id=started.id,
        instance=started.instance,
        run=started.run,
        workflow=started.workflow,
        queue=started.queue,
        parent_id=None if started.parent is None else started.parent.id,
        started_at=datetime.fromtimestamp(started.time, UTC),
        events=here.run.events,
        attributes=dict(here.attributes),
        cancel_reason=here.run.cancel_reason,
    )


class _WorkflowLogger(logging.LoggerAdapter[logging.Logger]):
    """Silent where a line would be written again: while replaying, and while a workflow leaves memory."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  The name is logging's.
        here = inside_or_none()
        if here is not None and (here.run.is_replaying or here.run.scheduler.is_evicting):
            return False
        return super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        here = inside_or_none()
        if here is not None and here.run.started is not None:
            started = here.run.started
            mine = {"workflow": started.workflow, "workflow_id": started.id, "workflow_run": started.run}
            kwargs["extra"] = {**mine, **_trace_ids(here, started), **(kwargs.get("extra") or {})}
        return msg, kwargs


logger = _WorkflowLogger(logging.getLogger("wfactors.workflow"))
"""A logger for workflows: each line once, replays or not, with ``workflow``, ``workflow_id`` and ``workflow_run``.

And with ``trace_id`` and ``span_id``: with ``telemetry`` those of the workflow's span, or of the ``wf.span`` that the
code is in; without, those of the sender if the context has a W3C ``traceparent``, as OpenTelemetry writes it.
"""


def _trace_ids(here: Inside, started: RunStarted) -> dict[str, str]:
    if here.app.is_traced:
        lineage = Lineage.of(started.instance, started.context)
        span = current_span.get()
        id = span_id(run_path(started.instance, started.run)) if span is None else span.number
    else:
        sent = Lineage.sent(here.run.calls.context)
        if sent is None or sent.sender is None:
            return {}
        lineage, id = sent, sent.sender
    return {"trace_id": f"{lineage.trace_id:032x}", "span_id": f"{id:016x}"}


class _Context(MutableMapping[str, str]):
    """The context of a workflow: what is written here goes to the calls made from now on."""

    __slots__ = ("_inside",)

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def __getitem__(self, key: str) -> str:
        return self._inside.run.calls.context[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._inside.command("context()[...] = ...")
        validated_text("a key of the context", key)
        validated_text(f"the context's {key!r}", value)
        calls = self._inside.run.calls
        calls.change_context({**calls.context, key: value})

    def __delitem__(self, key: str) -> None:
        self._inside.command("del context()[...]")
        calls = self._inside.run.calls
        rest = dict(calls.context)
        del rest[key]
        calls.change_context(rest)

    def __iter__(self) -> Iterator[str]:
        return iter(self._inside.run.calls.context)

    def __len__(self) -> int:
        return len(self._inside.run.calls.context)

    def __repr__(self) -> str:
        return f"<context {dict(self)!r}>"


def context() -> MutableMapping[str, str]:
    """Return the context: strings that came with the start and go on to activities and children. Can be changed."""
    return _Context(inside("context()"))


# --- What goes into the history --------------------------------------------------------------------------------------


def patched(id: str) -> bool:
    """Whether this run takes the new branch of a change to the code.

    ::

        if wf.patched("charge-before-shipping"):
            ...                                    # how it is done now
        else:
            ...                                    # how runs do it that came this far with the old code

    True in runs that get here for the first time with the new code, also in their replays; False in those that were
    here before it. When no run of the old kind is open any more, the question and the old branch can go.

    Raises:
        TypeError: ``id`` is no string.
        ValueError: It is none that can be stored.
    """
    here = inside("patched()")
    here.command("patched()")
    validated_text("the id of a patch", id)
    return here.run.recorder.patched(id)


async def side_effect(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a plain function once, here and now, and keep what it returns in the history.

    For quick things that are not the same twice: reading a setting, a clock, a counter. It must not wait, and cannot
    use the workflow. What is returned is what the history holds: it went through the converter.

    Raises:
        SideEffectError: It raised; or what it returned cannot be stored.
        TypeError: ``function`` is no plain function.
    """
    here = inside("side_effect()")
    here.command("side_effect()")
    if isinstance(function, Activity | Workflow) or inspect.iscoroutinefunction(function) or not callable(function):
        raise TypeError(f"side_effect() takes a plain function, not {function!r}; call an activity by itself")
    await checkpoint_if_cancelled()
    name = getattr(function, "__qualname__", type(function).__qualname__).rpartition("<locals>.")[2]
    type_ = _return_type(function)
    data = here.app.data

    def run() -> tuple[Payload, Failure | None]:
        try:
            value = _run_reading(here, name, function, args, kwargs)
            return Payload(data.to_payload(value, type_, f"the result of {name}()")), None
        except Exception as error:  # noqa: BLE001  Whatever it is, it is recorded.
            return NULL, here.failure(error)

    effect = here.run.calls.side_effect(name, run)
    if effect.failure is not None:
        raise SideEffectError(name, here.reveal(effect.failure))
    return cast("R", here.decode(effect.value, type_, f"the result of {name}()"))


def _run_reading(here: Inside, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    reader = here.reader(f"side effect {name!r}")
    token = durable_caller.set(reader)
    try:
        value = function(*args, **kwargs)
    finally:
        durable_caller.reset(token)
    if reader.violation is not None:
        raise reader.violation
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(f"{name}() returned a coroutine, which a side effect cannot await")
    return value


def _return_type(function: Callable[..., Any]) -> Any:
    try:
        return signature_of(function).return_type
    except TypeError:
        # Written in C, without a signature.
        return Any


def set_attributes(attributes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Set searchable attributes of the instance, beside those it has; None removes one.

    Raises:
        ConversionError: A value cannot be stored; nothing was set.
    """
    here = inside("set_attributes()")
    here.command("set_attributes()")
    merged = {**here.attributes, **(attributes or {}), **more}
    merged = {name: value for name, value in merged.items() if value is not None}
    # Also when replaying: a value that does not convert must raise again.
    payload = here.app.encode_attributes(merged)
    if here.run.scheduler.is_evicting:
        return
    here.run.recorder.issue_or_halt(AttributesSet(payload))
    here.attributes.clear()
    here.attributes.update(here.app.data.converter.decode(bytes(payload)))


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End this run and start the next one of the same instance, with these arguments and an empty history.

    Signals that nobody has read go over, and so does a cancel: the next run is cancelled from its first checkpoint on,
    as a cancelled scope stays cancelled. Who waits for the result waits for that of the last run. Children that were
    started and not awaited follow their ``parent_close``, as at any other end.

    Raises:
        TypeError: They are not the arguments of this workflow.
        ConversionError: One of them cannot be stored.
    """
    here = inside("continue_as_new()")
    here.command("continue_as_new()")
    raise ContinueAsNew(here.app.encode_arguments(here.definition, args, kwargs))
