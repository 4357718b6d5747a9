"""``@workflow`` and ``@activity``: functions that an engine finds by name, and that workflows call durably.

A decorated function stays callable as it was. Whether a call is durable is decided by one context variable,
``durable_caller``, which is set in the tasks of a workflow and nowhere else: where it is not set, calling the wrapper
is calling the function.

Names: a workflow or activity is recorded in histories under its name, so the name must outlive renamed modules. The
default is the function's ``__qualname__`` from the last ``<locals>`` on: ``"checkout"``, ``"Payments.charge"``.
"""

from __future__ import annotations

from wfactors.registry.catalogue import Registry
from wfactors.registry.decorators import activity, workflow
from wfactors.registry.wrappers import (
    Activity,
    ActivityDefinition,
    DurableCaller,
    Workflow,
    WorkflowDefinition,
    activities,
    durable_caller,
)

__all__ = [
    "Activity",
    "ActivityDefinition",
    "DurableCaller",
    "Registry",
    "Workflow",
    "WorkflowDefinition",
    "activities",
    "activity",
    "durable_caller",
    "workflow",
]
