"""How a run ends: what its main function returned or raised becomes the final decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from wfactors.errors import Cancelled
from wfactors.model.events import RunCancelled, RunCompleted, RunContinued, RunFailed, RunTerminated
from wfactors.model.failures import CANCELLED, Failure
from wfactors.model.payloads import Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wfactors.model.events import CarriedSignal

__all__ = ["ContinueAsNew", "Final", "cancelled_failure", "final_of_error"]

Final: TypeAlias = RunCompleted | RunFailed | RunCancelled | RunContinued | RunTerminated


class ContinueAsNew(BaseException):
    """Ends the run so that the next one begins; passes through the author's code like ``Cancelled``."""

    def __init__(self, input: Payload) -> None:
        self.input = input
        super().__init__("continue_as_new() must not be caught")


def final_of_error(
    error: BaseException,
    *,
    workflow: str,
    cancel_reason: str | None,
    unread: Callable[[], tuple[CarriedSignal, ...]],
    failure: Callable[[BaseException], Failure],
) -> RunFailed | RunCancelled | RunContinued:
    """The final decision of a run whose main function raised ``error``.

    Control flow counts also where nurseries have put groups around it. ``Cancelled`` beside something else says
    nothing: it is how the tasks ended that the something else took down.
    """
    rest = [leaf for leaf in _leaves(error) if not isinstance(leaf, Cancelled)]
    if not rest and cancel_reason is not None:
        return RunCancelled(cancelled_failure(cancel_reason))
    if rest and all(isinstance(leaf, ContinueAsNew) for leaf in rest):
        first = rest[0]
        assert isinstance(first, ContinueAsNew)
        return RunContinued(workflow, first.input, unread(), cancel_reason)
    return RunFailed(failure(error))


def cancelled_failure(reason: str) -> Failure:
    """What is recorded of a run that was cancelled."""
    return Failure("wfactors.errors.Cancelled", reason, kind=CANCELLED)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error
