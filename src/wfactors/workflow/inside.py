"""What stands behind every call that an author's code makes: the run it is in, as the authors' layer sees it.

``Inside`` is the value of ``durable_caller`` in the tasks of a workflow. It turns calls into those of the kernel, with
values on one side and payloads on the other, and outcomes into values and exceptions.
"""

from __future__ import annotations

import copy
from collections.abc import Coroutine, Mapping
from random import Random
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import attrs

from wfactors.convert import CallSignature, DataPort
from wfactors.errors import (
    ActivityError,
    ActivityTimeout,
    ChildWorkflowError,
    CodecError,
    WorkflowAlreadyStarted,
    WorkflowMisuseError,
)
from wfactors.kernel.lowlevel import checkpoint_if_cancelled, current_task, park
from wfactors.model.events import ActivityCompleted, ActivityFailed, ChildCompleted, ChildFailed
from wfactors.model.failures import CANCELLED, TIMEOUT, Failure
from wfactors.model.ids import child_key
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import NULL, Payload
from wfactors.model.status import ParentClose
from wfactors.registry import (
    Activity,
    ActivityDefinition,
    Registry,
    Workflow,
    WorkflowDefinition,
    durable_caller,
)

if TYPE_CHECKING:
    from wfactors.kernel.children import ChildCall
    from wfactors.kernel.run import Run

__all__ = ["Application", "Inside", "inside", "inside_or_none", "signature_of"]

_ALREADY_STARTED = "wfactors.errors.WorkflowAlreadyStarted"


@attrs.frozen(eq=False)
class Application:
    """What the runs of an engine have in common.

    Attributes:
        registry: The workflows and activities it knows.
        data: Values to payloads and back.
        activity_options: For what neither a call nor the activity's decorator says.
        is_traced: Whether the engine reports spans: ``wf.logger`` names those, and ``wf.span`` keeps what made it fail.
    """

    registry: Registry
    data: DataPort = attrs.field(factory=DataPort)
    activity_options: ActivityOptions = attrs.field(factory=ActivityOptions)
    is_traced: bool = False
    _resolved: dict[ActivityDefinition, ActivityOptions] = attrs.field(factory=dict, init=False, repr=False)

    def options_of(self, activity: Activity[Any, Any]) -> ActivityOptions:
        """All options of a call of ``activity``."""
        if activity.overrides:
            return activity.resolve(self.activity_options)
        options = self._resolved.get(activity.definition)
        if options is None:
            options = self._resolved[activity.definition] = activity.resolve(self.activity_options)
        return options

    def encode_arguments(
        self, definition: ActivityDefinition | WorkflowDefinition, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Payload:
        """The payload of a call's arguments."""
        return Payload(self.data.args_to_payload(definition.signature, args, kwargs))

    def encode_attributes(self, attributes: Mapping[str, Any]) -> Payload:
        """The searchable attributes as stored: no codec touches them, or nobody could search."""
        return Payload(self.data.attributes_to_payload(attributes))


class Inside:
    """A run, as the code of its workflow sees it.

    Attributes:
        app: The application.
        definition: The workflow.
        run: The kernel's run.
        instance: The key of the instance.
        number: The number of the run.
        queue: Where the run is.
        reading: What may only look (a query, a side effect); None when commands are allowed.
        violation: The command that it tried nevertheless.
    """

    __slots__ = (
        "_attributes",
        "_random",
        "app",
        "definition",
        "instance",
        "number",
        "queue",
        "reading",
        "run",
        "violation",
    )

    def __init__(
        self, app: Application, definition: WorkflowDefinition, run: Run, instance: str, number: int, queue: str
    ) -> None:
        self.app = app
        self.definition = definition
        self.run = run
        self.instance = instance
        self.number = number
        self.queue = queue
        self.reading: str | None = None
        self.violation: WorkflowMisuseError | None = None
        self._random: Random | None = None
        self._attributes: dict[str, Any] | None = None

    # --- Looking only ------------------------------------------------------------------------------------------------

    def reader(self, what: str) -> Inside:
        """The same run for code that may only look; ``what`` names it in errors."""
        view = copy.copy(self)
        view.reading = what
        return view

    def command(self, what: str) -> None:
        """Raise WorkflowMisuseError if the code here may only look."""
        if self.reading is not None:
            self._refuse(what)

    def _refuse(self, what: str) -> NoReturn:
        self.violation = WorkflowMisuseError(f"{self.reading} may only look, so it cannot call {what}")
        raise self.violation

    # --- What belongs to the run -------------------------------------------------------------------------------------

    @property
    def random(self) -> Random:
        """The run's random numbers, the same in every replay."""
        if self._random is None:
            self._random = Random(f"{self.instance}/{self.number}")  # noqa: S311  Not for secrets.
        return self._random

    @property
    def attributes(self) -> dict[str, Any]:
        """The searchable attributes of the instance."""
        attributes = self._attributes
        if attributes is None:
            started = self.run.started
            stored = NULL if started is None else started.attributes
            attributes = self._attributes = cast("dict[str, Any]", self.app.data.converter.decode(bytes(stored)) or {})
        return attributes

    def failure(self, error: BaseException) -> Failure:
        """What to record of an exception of this workflow."""
        return self.app.data.failure_from_exception(error, self.definition.raises)

    def decode(self, payload: Payload, type: Any, what: str) -> Any:
        """The value in a payload.

        A codec that is missing here is a fault of this process, of which no history must know: it ends the turn.
        """
        try:
            return self.app.data.from_payload(payload, type, what)
        except CodecError as error:
            self.run.halt(error)

    def reveal(self, failure: Failure) -> Failure:
        """The failure as it was recorded; as for ``decode``."""
        try:
            return self.app.data.reveal(failure)
        except CodecError as error:
            self.run.halt(error)

    # --- Activities --------------------------------------------------------------------------------------------------

    def call_activity(
        self, activity: Activity[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """The coroutine that calls an activity; raises TypeError at once if the arguments are not those of it."""
        definition = activity.definition
        if self.reading is not None:
            self._refuse(f"activity {definition.name!r}")
        definition.signature.bind(args, kwargs)
        return _named(definition.name, self._activity(activity, definition, args, kwargs))

    async def _activity(
        self,
        activity: Activity[Any, Any],
        definition: ActivityDefinition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        task = current_task()
        if task.scope._is_cancelled:  # noqa: SLF001  Half the cost of asking by a call.
            await checkpoint_if_cancelled()
        app = self.app
        queue = activity.overrides.get("queue") or definition.queue or self.queue
        call = self.run.calls.activity(
            task, definition.name, queue, app.options_of(activity), app.encode_arguments, definition, args, kwargs
        )
        outcome = await park(task, call.abort)
        if type(outcome) is ActivityCompleted:
            return self.decode(outcome.result, definition.signature.return_type, definition.result_words)
        if type(outcome) is ActivityFailed:
            raise self._activity_error(definition, outcome)
        if call.raise_cancel is not None:
            call.raise_cancel()
        failure = Failure("wfactors.errors.Cancelled", "somebody cancelled the activity", kind=CANCELLED)
        raise ActivityError(definition.name, failure)

    def _activity_error(self, definition: ActivityDefinition, outcome: ActivityFailed) -> BaseException:
        name, data = definition.name, self.app.data
        failure = self.reveal(outcome.failure)
        if outcome.deadline is not None or failure.kind == TIMEOUT:
            return ActivityTimeout(name, failure, outcome.attempt, outcome.deadline or "start_to_close")
        expected = data.exception_from_failure(failure, definition.raises)
        return expected or ActivityError(name, failure, outcome.attempt)

    # --- Children ----------------------------------------------------------------------------------------------------

    def call_workflow(
        self, workflow: Workflow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """The coroutine that runs a child to its end; raises TypeError at once if the arguments are not those of it."""
        self.check_child(workflow, args, kwargs)
        return _named(workflow.definition.name, self._child(workflow, args, kwargs))

    def check_child(self, workflow: Workflow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise if a child cannot be started so."""
        self.command(f"workflow {workflow.definition.name!r}")
        workflow.definition.signature.bind(args, kwargs)

    def schedule_child(
        self, workflow: Workflow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[ChildCall, str]:
        """Decide to start a child; return the call and the child's id."""
        definition, overrides = workflow.definition, workflow.overrides
        attributes = overrides.get("attributes")
        id = overrides.get("id")
        call = self.run.calls.child(
            definition.name,
            overrides.get("queue") or definition.queue or self.queue,
            self.app.encode_arguments,
            definition,
            args,
            kwargs,
            id=id,
            parent_close=overrides.get("parent_close", ParentClose.CANCEL),
            attributes=NULL if attributes is None else self.app.encode_attributes(attributes),
        )
        return call, id if id is not None else child_key(self.instance, self.number, call.number)

    async def _child(self, workflow: Workflow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        await checkpoint_if_cancelled()
        call, id = self.schedule_child(workflow, args, kwargs)
        outcome = await call.join()
        is_cancelled = type(outcome) is ChildFailed and outcome.failure.kind == CANCELLED
        if is_cancelled and call.raise_cancel is not None:
            call.raise_cancel()
        return self.child_result(workflow.definition, call, id, outcome)

    def child_result(
        self, definition: WorkflowDefinition, call: ChildCall, id: str, outcome: ChildCompleted | ChildFailed
    ) -> Any:
        """What the outcome of a child means to its parent: a value, or an exception."""
        data = self.app.data
        if type(outcome) is ChildCompleted:
            return self.decode(outcome.result, definition.signature.return_type, definition.result_words)
        assert type(outcome) is ChildFailed
        failure = self.reveal(outcome.failure)
        if failure.type == _ALREADY_STARTED and not call.is_accepted:
            raise WorkflowAlreadyStarted(id, failure.message)
        raise data.exception_from_failure(failure, definition.raises) or ChildWorkflowError(definition.name, failure)


# --- Where the code is -----------------------------------------------------------------------------------------------


def inside_or_none() -> Inside | None:
    """The run that the code is in; None outside of a workflow."""
    caller = durable_caller.get()
    return caller if type(caller) is Inside else None


def inside(what: str) -> Inside:
    """The run that the code is in.

    Raises:
        WorkflowMisuseError: The code is outside of a workflow; ``what`` names the function that needs one.
    """
    caller = durable_caller.get()
    if type(caller) is Inside:
        return caller
    raise WorkflowMisuseError(
        f"{what} works inside a workflow only: call it from a function decorated with @workflow that an engine runs, "
        "or from a function that this one calls"
    )


_signatures: dict[int, tuple[CodeType, CallSignature]] = {}


def signature_of(function: Any) -> CallSignature:
    """The signature of a function that is defined anew in every run; read once for all of them.

    The key is the identity of the code, which is kept alive with it: equal code may be that of another function.
    """
    if type(function) is not FunctionType:
        return CallSignature.of(function)
    code = function.__code__
    known = _signatures.get(id(code))
    if known is None:
        known = _signatures[id(code)] = code, CallSignature.of(function)
    return known[1]


def _named(name: str, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """The coroutine under the name that Python's warning gives if nobody awaits it."""
    cast("Any", coroutine).__qualname__ = name
    return coroutine
