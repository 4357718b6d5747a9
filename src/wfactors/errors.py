"""Every exception of wfactors, in one tree.

::

    WfactorsError
    |- author's code      WorkflowMisuseError  NonDeterminismError  WorkflowStuckError  HistoryTooLong
    |                     UnknownWorkflow  UnknownActivity
    |- a call's outcome   CallError -> ActivityError -> ActivityTimeout
    |                               -> ChildWorkflowError
    |                               -> SideEffectError
    |                     PermanentError (authors raise it; it is never retried)
    |- a result           ResultError -> WorkflowFailed  WorkflowCancelled  WorkflowTerminated
    |- a request          RequestError -> WorkflowAlreadyStarted  WorkflowNotFound  WorkflowClosed
    |                                     WorkflowStillOpen  QueryError  UpdateRejected
    |- payloads           PayloadError -> ConversionError  PayloadTooLarge  CodecError
    `- stores             StoreError -> StoreUnavailable -> StoreFull
                                        StoreVersionError  StoreCorrupt  LeaseLost

    Trio's vocabulary inside workflows:
    Cancelled (a BaseException), TooSlowError, WouldBlock, ClosedResourceError, BrokenResourceError, EndOfChannel

The first line says who must act: the author of a workflow, the caller of something that failed, the person
who made a request, or whoever runs the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from wfactors.model.failures import Failure

__all__ = [
    "ActivityError",
    "ActivityTimeout",
    "BrokenResourceError",
    "CallError",
    "Cancelled",
    "ChildWorkflowError",
    "ClosedResourceError",
    "CodecError",
    "ConversionError",
    "EndOfChannel",
    "HistoryTooLong",
    "LeaseLost",
    "NonDeterminismError",
    "PayloadError",
    "PayloadTooLarge",
    "PermanentError",
    "QueryError",
    "RequestError",
    "ResultError",
    "SideEffectError",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "StoreVersionError",
    "TooSlowError",
    "UnknownActivity",
    "UnknownWorkflow",
    "UpdateRejected",
    "WfactorsError",
    "WorkflowAlreadyStarted",
    "WorkflowCancelled",
    "WorkflowClosed",
    "WorkflowFailed",
    "WorkflowMisuseError",
    "WorkflowNotFound",
    "WorkflowStillOpen",
    "WorkflowStuckError",
    "WorkflowTerminated",
    "WouldBlock",
]


class WfactorsError(Exception):
    """The base of every error that wfactors raises on purpose."""


# --- The author's code -----------------------------------------------------------------------------------------------


class WorkflowMisuseError(WfactorsError, RuntimeError):
    """Something was done where it cannot be recorded or replayed; the message says what to use instead.

    A RuntimeError too, which is what Trio raises where its functions cannot work.
    """


class NonDeterminismError(WfactorsError):
    """The code no longer makes the decisions that its history holds.

    Args:
        position: Index in the history (from 0) of the first decision that differs.
        recorded: What the history has there, in words; None if it has nothing more.
        issued: What the code did there, in words; None if it did nothing more.
        where: The author's await chain, innermost last, one line a frame.
    """

    def __init__(self, position: int, recorded: str | None, issued: str | None, where: str = "") -> None:
        self.position = position
        self.recorded = recorded
        self.issued = issued
        self.where = where
        lines = [
            f"at event {position} the history and the code differ:",
            f"  history has: {recorded or 'nothing more'}",
            f"  the code did: {issued or 'nothing more'}",
        ]
        if where:
            lines.append(f"  at: {where}")
        lines.append(
            "Either the workflow's code changed under a running instance (guard the change with wf.patched()), or it "
            "depends on something that is not recorded (time, randomness, environment, iteration over a set)."
        )
        super().__init__("\n".join(lines))


class WorkflowStuckError(WfactorsError):
    """Every task of a workflow waits for another one; nothing from outside could wake any of them."""


class HistoryTooLong(WfactorsError):
    """A run recorded more events than its limit; ``continue_as_new`` is the remedy."""

    def __init__(self, events: int, limit: int) -> None:
        self.events = events
        self.limit = limit
        super().__init__(
            f"the history has {events:,} events, the limit is {limit:,}: end the run with wf.continue_as_new() in time"
        )


class UnknownWorkflow(WfactorsError):
    """No workflow of this name is registered here."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no workflow named {name!r} is registered here: pass it to open_engine(register=[...])")


class UnknownActivity(WfactorsError):
    """No activity of this name is registered here."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no activity named {name!r} is registered here: pass it to open_engine(register=[...])")


# --- The outcome of a call -------------------------------------------------------------------------------------------


class CallError(WfactorsError):
    """A durable call ended in a failure, told by ``failure``.

    Attributes:
        name: The activity, workflow or function called.
        failure: Type, message, traceback and cause chain as recorded.
        type: Qualified name of the exception raised there.
        message: Its message.
        traceback: Its traceback as text.
    """

    def __init__(self, name: str, failure: Failure) -> None:
        self.name = name
        self.failure = failure
        super().__init__(f"{name}: {failure.summary()}")

    @property
    def type(self) -> str:
        return self.failure.type

    @property
    def message(self) -> str:
        return self.failure.message

    @property
    def traceback(self) -> str:
        return self.failure.traceback


class ActivityError(CallError):
    """An activity failed for good: its retries are used up or the failure is permanent.

    Attributes:
        attempt: The number of the last attempt, from 1.
    """

    def __init__(self, name: str, failure: Failure, attempt: int = 1) -> None:
        super().__init__(name, failure)
        self.attempt = attempt


class ActivityTimeout(ActivityError):
    """A deadline of an activity passed.

    Attributes:
        deadline: Which one: ``"start_to_close"``, ``"schedule_to_close"`` or ``"heartbeat"``.
    """

    def __init__(self, name: str, failure: Failure, attempt: int = 1, deadline: str = "start_to_close") -> None:
        super().__init__(name, failure, attempt)
        self.deadline = deadline


class ChildWorkflowError(CallError):
    """A child workflow failed, was cancelled or was terminated; ``failure.type`` says which."""


class SideEffectError(CallError):
    """The function given to ``side_effect`` raised; the failure is recorded, so it is raised again on replay."""


class PermanentError(WfactorsError):
    """Raised by authors in an activity or a workflow for what no retry can mend."""


# --- The result of a workflow, from handle.result() ------------------------------------------------------------------


class ResultError(WfactorsError):
    """A workflow did not return a value.

    Attributes:
        id: The id of the instance.
        failure: What ended it, as recorded.
    """

    def __init__(self, id: str, failure: Failure) -> None:
        self.id = id
        self.failure = failure
        super().__init__(f"workflow {id!r} {self._verb}: {failure.summary()}")

    _verb = "did not complete"


class WorkflowFailed(ResultError):
    """The workflow raised."""

    _verb = "failed"


class WorkflowCancelled(ResultError):
    """The workflow was cancelled and did not return a value."""

    _verb = "was cancelled"


class WorkflowTerminated(ResultError):
    """The workflow was terminated."""

    _verb = "was terminated"


# --- Requests --------------------------------------------------------------------------------------------------------


class RequestError(WfactorsError):
    """A request to an instance could not be carried out.

    Attributes:
        id: The id of the instance.
    """

    def __init__(self, id: str, message: str) -> None:
        self.id = id
        super().__init__(message)


class WorkflowAlreadyStarted(RequestError):
    """The id is in use by an open instance, or the reuse policy forbids it.

    Attributes:
        handle: A handle to the instance that has the id (None inside a workflow).
    """

    def __init__(self, id: str, message: str = "", handle: Any = None) -> None:
        self.handle = handle
        super().__init__(id, message or f"workflow {id!r} is already open")


class WorkflowNotFound(RequestError):
    """No instance has this id."""

    def __init__(self, id: str) -> None:
        super().__init__(id, f"there is no workflow {id!r} in this store")


class WorkflowClosed(RequestError):
    """The instance has ended and takes no more requests of this kind."""

    def __init__(self, id: str, status: str = "closed") -> None:
        self.status = status
        super().__init__(id, f"workflow {id!r} has ended ({status})")


class WorkflowStillOpen(RequestError):
    """Refused because the instance is open; cancel or terminate it first."""

    def __init__(self, id: str) -> None:
        super().__init__(id, f"workflow {id!r} is still open: cancel or terminate it first")


class QueryError(RequestError):
    """A query could not be answered: unknown name, wrong arguments, or its function raised."""


class UpdateRejected(RequestError):
    """An update was refused before it was recorded, or its function raised."""


# --- Payloads --------------------------------------------------------------------------------------------------------


class PayloadError(WfactorsError):
    """A value cannot go to the store or come back from it."""


class ConversionError(PayloadError):
    """A value does not fit its type; the message names the path inside the value."""


class PayloadTooLarge(PayloadError):
    """A value is larger than the limit once converted."""

    def __init__(self, what: str, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"{what} is {size_bytes:,} bytes, the limit is {limit_bytes:,}: keep large data elsewhere and pass a "
            "reference"
        )


class CodecError(PayloadError):
    """A codec (compression, encryption) could not read stored bytes."""


# --- Stores ----------------------------------------------------------------------------------------------------------


class StoreError(WfactorsError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or refuses to write for now; the operation may be tried again."""


class StoreFull(StoreUnavailable):
    """The store has no room left, or may only be read."""


class StoreVersionError(StoreError):
    """The store's schema is of another version than this code."""


class StoreCorrupt(StoreError):
    """Something in the store cannot be read; the message says where."""


class LeaseLost(StoreError):
    """Another node owns the partition now; the commit was refused."""


# --- Trio's vocabulary inside workflows ------------------------------------------------------------------------------


class Cancelled(BaseException):
    """The surrounding cancel scope was cancelled. Never swallow it; the engine alone creates it."""

    def __init__(self, *, _token: object = None) -> None:
        if _token is not _CANCELLED_TOKEN:
            raise TypeError("Cancelled is raised by the engine; cancel a scope instead of creating it")
        super().__init__()

    def __str__(self) -> str:
        return "Cancelled"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Cancelled cannot be pickled")

    @classmethod
    def _create(cls) -> Cancelled:
        return cls(_token=_CANCELLED_TOKEN)


_CANCELLED_TOKEN = object()


class TooSlowError(Exception):
    """The deadline of ``fail_after`` or ``fail_at`` passed."""


class WouldBlock(Exception):
    """The ``_nowait`` form of an operation would have had to wait."""


class ClosedResourceError(Exception):
    """The object was closed by this side."""


class BrokenResourceError(Exception):
    """The other side is gone, so what is sent can never be received."""


class EndOfChannel(Exception):
    """No more values will come: every sender is closed."""
