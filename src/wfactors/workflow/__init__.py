"""What an author uses inside a workflow.

Everything that waits or measures time is Trio's vocabulary on the workflow's own clock, durable because it is replayed;
the rest is what a workflow needs in place of the world around it. Outside of a workflow it raises WorkflowMisuseError.
"""

from __future__ import annotations

from wfactors.kernel.channels import (
    MemoryChannelStatistics,
    MemoryReceiveChannel,
    MemorySendChannel,
    open_memory_channel,
)
from wfactors.kernel.combine import gather, race, wait_until
from wfactors.kernel.lowlevel import checkpoint, current_effective_deadline, current_time
from wfactors.kernel.nursery import TASK_STATUS_IGNORED, Nursery, TaskStatus, open_nursery
from wfactors.kernel.safe_channel import as_safe_channel
from wfactors.kernel.scopes import CancelScope
from wfactors.kernel.signals import SignalStatistics
from wfactors.kernel.sync import CapacityLimiter, Condition, Event, Lock, Semaphore, StrictFIFOLock
from wfactors.kernel.timeouts import (
    fail_after,
    fail_at,
    move_on_after,
    move_on_at,
    sleep,
    sleep_forever,
    sleep_until,
)
from wfactors.workflow.children import ChildHandle, cancel, signal, start_child
from wfactors.workflow.inside import Application
from wfactors.workflow.opening import open_run
from wfactors.workflow.requests import Update, query, update
from wfactors.workflow.signals import SignalChannel, signals
from wfactors.workflow.spans import Span, span
from wfactors.workflow.values import (
    WorkflowInfo,
    context,
    continue_as_new,
    info,
    logger,
    now,
    patched,
    random,
    set_attributes,
    side_effect,
    uuid4,
)

__all__ = [
    "TASK_STATUS_IGNORED",
    "Application",
    "CancelScope",
    "CapacityLimiter",
    "ChildHandle",
    "Condition",
    "Event",
    "Lock",
    "MemoryChannelStatistics",
    "MemoryReceiveChannel",
    "MemorySendChannel",
    "Nursery",
    "Semaphore",
    "SignalChannel",
    "SignalStatistics",
    "Span",
    "StrictFIFOLock",
    "TaskStatus",
    "Update",
    "WorkflowInfo",
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
    "info",
    "logger",
    "move_on_after",
    "move_on_at",
    "now",
    "open_memory_channel",
    "open_nursery",
    "open_run",
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
    "update",
    "uuid4",
    "wait_until",
]
