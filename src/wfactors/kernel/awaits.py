"""What a suspended coroutine is waiting in: for people who ask, and for the message when it is somebody else's."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

from wfactors.errors import WorkflowMisuseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from wfactors.kernel.task import Task

__all__ = ["Frame", "TaskStack", "misuse", "task_stack"]


class Frame(NamedTuple):
    """A line of an await chain."""

    file: str
    line: int
    function: str


class TaskStack(NamedTuple):
    """Where a task is.

    Attributes:
        name: The task's.
        waiting_for: What it waits for, if the primitive it waits in said so.
        frames: Its await chain, innermost last.
    """

    name: str
    waiting_for: object
    frames: tuple[Frame, ...]


def task_stack(task: Task) -> TaskStack:
    """Return where a suspended task is; a running one has its outermost frame only."""
    frames = tuple(
        Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname) for frame in await_frames(task.coro)
    )
    return TaskStack(task.name, task.waiting_for, frames)


def await_frames(awaitable: Any) -> Iterator[FrameType]:
    """Yield the frames of the await chain that begins at ``awaitable``, outermost first."""
    while awaitable is not None:
        frame, inner = _frame_and_inner(awaitable)
        if frame is not None:
            yield frame
        awaitable = inner


def _frame_and_inner(awaitable: Any) -> tuple[FrameType | None, Any]:
    if hasattr(awaitable, "cr_frame"):
        return awaitable.cr_frame, awaitable.cr_await
    if hasattr(awaitable, "gi_frame"):
        return awaitable.gi_frame, awaitable.gi_yieldfrom
    if hasattr(awaitable, "ag_frame"):
        return awaitable.ag_frame, awaitable.ag_await
    if type(awaitable).__name__ in ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper"):
        # CPython does not show what these wrap (bpo-76991); the garbage collector does.
        referents = gc.get_referents(awaitable)
        return None, next((it for it in referents if hasattr(it, "ag_frame") or hasattr(it, "cr_frame")), None)
    return None, None


def misuse(task: Task, message: object) -> WorkflowMisuseError:
    """Return the error for a task that yielded ``message``, which only another library's event loop understands."""
    return WorkflowMisuseError(
        f"{_name_of_awaited(task, message)} cannot be awaited in a workflow: it belongs to another event loop and "
        "would not be replayed. Use its wfactors.* counterpart (sleep, Event, open_nursery, ...) or move it into an "
        "activity."
    )


def _name_of_awaited(task: Task, message: object) -> str:
    """Name the outermost function on the await chain that is of the library that ``message`` is from."""
    kind = message if isinstance(message, type) else type(message)
    library = _library(kind.__module__)
    frame = None
    for frame in await_frames(task.coro):
        module = frame.f_globals.get("__name__", "")
        if _library(module) == library:
            return f"{module}.{frame.f_code.co_qualname}"
    what = f"{kind.__module__}.{kind.__qualname__}"
    if library == "builtins" and frame is not None:
        # A bare yield, which says nothing about where it is from; the function that did it does.
        return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname} (which yields {what})"
    return what


def _library(module: str) -> str:
    return module.partition(".")[0].lstrip("_")
