"""Durable workflows for Python on Trio.

A workflow is an ordinary async function in Trio's own vocabulary; the engine records every non-deterministic fact in an
append-only history, so the function survives crashes, deployments and moves between nodes by replaying that history.
"""

# The layers, highest first. A module imports only what is below it; import-linter holds this in CI (pyproject.toml).
#
#     __main__
#     cli
#     diag | testing
#     actors
#     client
#     workflow | activity
#     kernel | stores | registry | telemetry
#     convert
#     model
#     errors | pace

from importlib import import_module
from typing import TYPE_CHECKING, Any

# First the modules `activity` and `workflow`: importing one sets the attribute of its name, which is then to become the
# decorator that is called so.
from wfactors.activity import ActivityInfo, activity_context, activity_info, heartbeat, last_heartbeat
from wfactors.workflow import (
    TASK_STATUS_IGNORED,
    CancelScope,
    CapacityLimiter,
    ChildHandle,
    Condition,
    Event,
    Lock,
    MemoryReceiveChannel,
    MemorySendChannel,
    Nursery,
    Semaphore,
    SignalChannel,
    Span,
    StrictFIFOLock,
    TaskStatus,
    WorkflowInfo,
    as_safe_channel,
    cancel,
    checkpoint,
    context,
    continue_as_new,
    current_effective_deadline,
    current_time,
    fail_after,
    fail_at,
    gather,
    info,
    logger,
    move_on_after,
    move_on_at,
    now,
    open_memory_channel,
    open_nursery,
    patched,
    query,
    race,
    random,
    set_attributes,
    side_effect,
    signal,
    signals,
    sleep,
    sleep_forever,
    sleep_until,
    span,
    start_child,
    update,
    uuid4,
    wait_until,
)

# isort: split

from wfactors.__about__ import __version__
from wfactors.convert import CattrsConverter, Codec, Converter, EncryptionCodec, GzipCodec, ZlibCodec
from wfactors.errors import (
    ActivityError,
    ActivityTimeout,
    BrokenResourceError,
    CallError,
    Cancelled,
    ChildWorkflowError,
    ClosedResourceError,
    CodecError,
    ConversionError,
    EndOfChannel,
    HistoryTooLong,
    LeaseLost,
    NonDeterminismError,
    PayloadError,
    PayloadTooLarge,
    PermanentError,
    QueryError,
    RequestError,
    ResultError,
    SideEffectError,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreVersionError,
    TooSlowError,
    UnknownActivity,
    UnknownWorkflow,
    UpdateRejected,
    WfactorsError,
    WorkflowAlreadyStarted,
    WorkflowCancelled,
    WorkflowClosed,
    WorkflowFailed,
    WorkflowMisuseError,
    WorkflowNotFound,
    WorkflowStillOpen,
    WorkflowStuckError,
    WorkflowTerminated,
    WouldBlock,
)
from wfactors.model.failures import Failure
from wfactors.model.limits import Limits
from wfactors.model.options import Retry
from wfactors.model.status import OnCancel, OnConflict, ParentClose, Reuse, Status
from wfactors.registry import activities, activity, workflow

if TYPE_CHECKING:
    from wfactors.actors.clock import Clock, SystemClock, TrioClock
    from wfactors.actors.engine import Engine, EngineStatistics, open_client, open_engine
    from wfactors.actors.process import tune_process
    from wfactors.client import Client, ClientStatistics, Description, Handle
    from wfactors.stores.memory import MemoryStore
    from wfactors.stores.sqlite import SqliteStore
    from wfactors.telemetry import Telemetry

__all__ = [
    "TASK_STATUS_IGNORED",
    "ActivityError",
    "ActivityInfo",
    "ActivityTimeout",
    "BrokenResourceError",
    "CallError",
    "CancelScope",
    "Cancelled",
    "CapacityLimiter",
    "CattrsConverter",
    "ChildHandle",
    "ChildWorkflowError",
    "Client",
    "ClientStatistics",
    "Clock",
    "ClosedResourceError",
    "Codec",
    "CodecError",
    "Condition",
    "ConversionError",
    "Converter",
    "Description",
    "EncryptionCodec",
    "EndOfChannel",
    "Engine",
    "EngineStatistics",
    "Event",
    "Failure",
    "GzipCodec",
    "Handle",
    "HistoryTooLong",
    "LeaseLost",
    "Limits",
    "Lock",
    "MemoryReceiveChannel",
    "MemorySendChannel",
    "MemoryStore",
    "NonDeterminismError",
    "Nursery",
    "OnCancel",
    "OnConflict",
    "ParentClose",
    "PayloadError",
    "PayloadTooLarge",
    "PermanentError",
    "QueryError",
    "RequestError",
    "ResultError",
    "Retry",
    "Reuse",
    "Semaphore",
    "SideEffectError",
    "SignalChannel",
    "Span",
    "SqliteStore",
    "Status",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "StoreVersionError",
    "StrictFIFOLock",
    "SystemClock",
    "TaskStatus",
    "Telemetry",
    "TooSlowError",
    "TrioClock",
    "UnknownActivity",
    "UnknownWorkflow",
    "UpdateRejected",
    "WfactorsError",
    "WorkflowAlreadyStarted",
    "WorkflowCancelled",
    "WorkflowClosed",
    "WorkflowFailed",
    "WorkflowInfo",
    "WorkflowMisuseError",
    "WorkflowNotFound",
    "WorkflowStillOpen",
    "WorkflowStuckError",
    "WorkflowTerminated",
    "WouldBlock",
    "ZlibCodec",
    "__version__",
    "activities",
    "activity",
    "activity_context",
    "activity_info",
    "as_safe_channel",
    "cancel",
    "checkpoint",
    "context",
    "continue_as_new",
    "current_effective_deadline",
    "current_time",
    "fail_after",
    "fail_at",
    "gather",
    "heartbeat",
    "info",
    "last_heartbeat",
    "logger",
    "move_on_after",
    "move_on_at",
    "now",
    "open_client",
    "open_engine",
    "open_memory_channel",
    "open_nursery",
    "patched",
    "query",
    "race",
    "random",
    "set_attributes",
    "side_effect",
    "signal",
    "signals",
    "sleep",
    "sleep_forever",
    "sleep_until",
    "span",
    "start_child",
    "tune_process",
    "update",
    "uuid4",
    "wait_until",
    "workflow",
]

# What opens stores and runs engines brings Trio with it and is most of the package: it is imported when it is first
# named, so that workflow code, `wfactors --help` and the completion of a shell do not wait for it.
_LATER = {
    "wfactors.actors.clock": ("Clock", "SystemClock", "TrioClock"),
    "wfactors.actors.engine": ("Engine", "EngineStatistics", "open_client", "open_engine"),
    "wfactors.actors.process": ("tune_process",),
    "wfactors.client": ("Client", "ClientStatistics", "Description", "Handle"),
    "wfactors.stores.memory": ("MemoryStore",),
    "wfactors.stores.sqlite": ("SqliteStore",),
    "wfactors.telemetry": ("Telemetry",),
}
_HOMES = {name: home for home, names in _LATER.items() for name in names}

# Out of the sight of type checkers, to which it would say that any name exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import what belongs to a name of ``_LATER``."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        """Name what is there and what would be imported."""
        return sorted({*globals(), *_HOMES})
