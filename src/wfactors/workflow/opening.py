"""From a definition to a run that can be fed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wfactors.errors import CodecError
from wfactors.kernel.run import Run
from wfactors.model.payloads import Payload
from wfactors.registry import durable_caller
from wfactors.workflow.inside import Application, Inside

if TYPE_CHECKING:
    from wfactors.model.events import RunStarted
    from wfactors.model.failures import Failure
    from wfactors.registry import WorkflowDefinition

__all__ = ["open_run"]


def open_run(
    app: Application, definition: WorkflowDefinition, *, instance: str, run: int, queue: str, is_strict: bool = False
) -> Run:
    """Make the run that executes a workflow; the first fact is up to the caller.

    Args:
        app: What all runs have in common.
        definition: The workflow, as the registry has it.
        instance: The key of the instance; with ``run`` it is the seed of the run's random numbers.
        run: The number of the run.
        queue: Where activities and children go that have no queue of their own.
        is_strict: Replay compares payloads too.
    """
    ports = _Ports(app, definition)
    kernel_run = Run(ports, is_strict=is_strict, plain=app.data.plain)
    caller = ports.caller = Inside(app, definition, kernel_run, instance, run, queue)
    kernel_run.variables.run(durable_caller.set, caller)
    return kernel_run


class _Ports:
    """The author's function and the payloads, for the kernel."""

    __slots__ = ("_app", "_definition", "caller")

    caller: Inside

    def __init__(self, app: Application, definition: WorkflowDefinition) -> None:
        self._app = app
        self._definition = definition

    async def main(self, started: RunStarted) -> Any:
        definition = self._definition
        try:
            args, kwargs = self._app.data.args_from_payload(definition.signature, started.input)
        except CodecError as error:
            self.caller.run.halt(error)
        return await definition.function(*args, **kwargs)

    def encode_result(self, value: Any) -> Payload:
        definition = self._definition
        return Payload(self._app.data.to_payload(value, definition.signature.return_type, definition.result_words))

    def failure(self, error: BaseException) -> Failure:
        return self._app.data.failure_from_exception(error, self._definition.raises)
