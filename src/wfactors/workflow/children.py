"""Other instances: children with a handle, and signals and cancels to whoever has an id."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple, cast

from wfactors.errors import StoreCorrupt, WorkflowClosed, WorkflowNotFound
from wfactors.kernel.lowlevel import checkpoint_if_cancelled, current_task, park
from wfactors.model.events import ChildFailed, RequestFailed
from wfactors.model.ids import validated_id, validated_signal, validated_text
from wfactors.model.payloads import Payload
from wfactors.model.status import ParentClose
from wfactors.registry import Workflow
from wfactors.workflow.inside import Inside, inside

if TYPE_CHECKING:
    from wfactors.kernel.calls import RequestCall
    from wfactors.kernel.children import ChildCall
    from wfactors.kernel.task import Task

__all__ = ["ChildHandle", "cancel", "signal", "start_child"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class ChildHandle(Generic[R]):
    """A child workflow that runs beside its parent; ``start_child`` makes it.

    Attributes:
        id: The id of the child.
    """

    __slots__ = ("_call", "_inside", "_workflow", "id")

    def __init__(self, inside: Inside, workflow: Workflow[Any, R], call: ChildCall, id: str) -> None:
        self._inside = inside
        self._workflow = workflow
        self._call = call
        self.id = id

    async def result(self) -> R:
        """Wait until the child has ended and return what it returned; may be called any number of times.

        Being cancelled ends the wait, not the child.

        Raises:
            ChildWorkflowError: It failed, was cancelled or was terminated; types named in its ``raises=`` come back as
                themselves.
        """
        self._inside.command("result()")
        outcome = await self._call.wait_outcome()
        result = self._inside.child_result(self._workflow.definition, self._call, self.id, outcome)
        return cast("R", result)

    async def signal(self, name: str, value: Any = None) -> None:
        """Send a signal to the child; see ``signal``."""
        await signal(self.id, name, value)

    async def cancel(self) -> None:
        """Ask for the child to be cancelled; ``result`` tells how it takes it. One that has ended is left alone."""
        self._inside.command("cancel()")
        await checkpoint_if_cancelled()
        self._call.cancel()

    def __repr__(self) -> str:
        return f"<ChildHandle {self._workflow.name!r} {self.id!r}>"


async def start_child(
    workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
    *args: *Ts,
    id: str | None = None,
    queue: str | None = None,
    parent_close: ParentClose | str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> ChildHandle[R]:
    """Start a child workflow that runs beside this one, and return its handle as soon as it is sure to start.

    Args:
        workflow: The workflow, possibly with ``.options(...)``.
        args: Its arguments.
        id: The id of the child; made by the engine if left out.
        queue: Where it runs; where the parent runs if neither this nor the decorator says.
        parent_close: What becomes of it if the parent ends first: ``"cancel"`` (the default), ``"terminate"`` or
            ``"abandon"``.
        attributes: Searchable attributes of the child.

    Raises:
        WorkflowAlreadyStarted: An open instance has the id.
        TypeError: ``workflow`` is no workflow, or ``args`` are not its arguments.
    """
    here = inside("start_child()")
    if not isinstance(workflow, Workflow):
        raise TypeError(f"start_child() takes a function decorated with @workflow, not {workflow!r}")
    target: Workflow[Any, R] = workflow.options(id=id, queue=queue, parent_close=parent_close, attributes=attributes)
    here.check_child(target, args, {})
    await checkpoint_if_cancelled()
    call, child_id = here.schedule_child(target, args, {})
    target_queue = target.overrides.get("queue") or target.definition.queue or here.queue
    if target.overrides.get("id") is not None or target_queue != here.queue:
        await call.wait_accepted()
        if type(call.outcome) is ChildFailed and not call.is_accepted:
            here.child_result(target.definition, call, child_id, call.outcome)
    return ChildHandle(here, target, call, child_id)


async def signal(id: str, name: str, value: Any = None) -> None:
    """Send a signal to another workflow, and wait until it is accepted there.

    Args:
        id: The id of the instance.
        name: The name of the signal.
        value: What it carries.

    Raises:
        WorkflowNotFound: No instance has this id.
        WorkflowClosed: The instance has ended.
        StoreCorrupt: Its row in the store cannot be read.
        ConversionError: The value cannot be stored; nothing was sent.
    """
    here = inside("signal()")
    here.command("signal()")
    validated_signal(name)
    await checkpoint_if_cancelled()
    task = current_task()

    def encode() -> Payload:
        return Payload(here.app.data.to_payload(value, what=f"signal {name!r}"))

    await _answer(task, id, here.run.calls.signal(task, validated_id(id), name, encode))


async def cancel(id: str, reason: str = "") -> None:
    """Ask for another workflow to be cancelled, and wait until the request is accepted there.

    Raises:
        WorkflowNotFound: No instance has this id.
        WorkflowClosed: The instance has ended.
        StoreCorrupt: Its row in the store cannot be read.
    """
    here = inside("cancel()")
    here.command("cancel()")
    validated_text("the reason", reason)
    await checkpoint_if_cancelled()
    task = current_task()
    await _answer(task, id, here.run.calls.cancel(task, validated_id(id), reason))


async def _answer(task: Task, id: str, call: RequestCall) -> None:
    outcome = await park(task, call.abort)
    if type(outcome) is RequestFailed:
        if outcome.reason == "not_found":
            raise WorkflowNotFound(id)
        if outcome.reason == "unreadable":
            raise StoreCorrupt(f"workflow {id!r} cannot be read; the log of the engine says why")
        raise WorkflowClosed(id, outcome.reason)
