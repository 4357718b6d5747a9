"""The names of wfactors itself, and what they are to the linter."""

from __future__ import annotations

import inspect

import wfactors

__all__ = ["ACTIVITY", "DECORATORS", "PUBLIC", "SCOPES", "WAITS", "WORKFLOW", "canonical"]

WORKFLOW = "wfactors.workflow"
ACTIVITY = "wfactors.activity"
QUERY = "wfactors.query"
DECORATORS = {WORKFLOW, ACTIVITY}

PUBLIC = frozenset(wfactors.__all__)
_LAYERS = {"workflow", "registry", "activity", "kernel", "errors", "client", "actors"}
_FOR_CLIENTS = {"open_client", "open_engine"}

# What must be awaited: every coroutine function, and the methods of what the others return.
WAITS = frozenset(
    {f"wfactors.{name}" for name in PUBLIC if inspect.iscoroutinefunction(getattr(wfactors, name))}
    | {
        f"wfactors.{name}"
        for name in (
            *("CapacityLimiter().acquire", "CapacityLimiter().acquire_on_behalf_of"),
            *("Condition().acquire", "Condition().wait", "Event().wait", "Lock().acquire", "Semaphore().acquire"),
            *("StrictFIFOLock().acquire", "MemoryReceiveChannel().receive", "MemorySendChannel().send"),
            *("signals().receive", "open_nursery().start", "Nursery().start", "start_child().result"),
            *("start_child().cancel", "start_child().signal", "ChildHandle().result", "ChildHandle().cancel"),
            "ChildHandle().signal",
        )
    }
)

SCOPES = frozenset(
    f"wfactors.{name}()"
    for name in ("CancelScope", "fail_after", "fail_at", "move_on_after", "move_on_at", "open_nursery")
)


def canonical(name: str) -> str:
    """The public name of something of wfactors: ``wfactors.workflow.values.now`` is ``wfactors.now``."""
    if not name.startswith("wfactors."):
        return name
    parts = name.split(".")
    if parts[1] not in _LAYERS:
        return name
    for index in range(2, len(parts)):
        if parts[index].removesuffix("()") in PUBLIC:
            return ".".join(["wfactors", *parts[index:]])
    return name
