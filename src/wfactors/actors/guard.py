"""Keep Trio out of reach while a turn runs author code.

A turn runs synchronously inside the dispatcher's Trio task. If a workflow called ``trio.open_nursery()`` or entered a
``trio.CancelScope`` there, it would tie them to the dispatcher's own task and could leave them behind. So for the
length of a turn Trio's notion of "the current run" is replaced by an object that answers every question with
``WorkflowMisuseError``: the mistake is reported at the line that made it, and Trio's state is never touched. The same
object stands in for asyncio's running loop, which libraries ask for before they wait.

This is the one place that knows where Trio keeps that notion; ``tests/actors/test_guard.py`` notices when it moves.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from trio._core._run import GLOBAL_RUN_CONTEXT

from wfactors.errors import WorkflowMisuseError

__all__ = ["TrioGuard"]


class _OutOfReach:
    """Stands in for Trio's runner and task during a turn."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> NoReturn:
        raise WorkflowMisuseError(
            "trio and asyncio cannot be used inside a workflow: use the same name from wfactors (wf.sleep, "
            "wf.open_nursery, wf.CancelScope ...), and put I/O, sockets and threads into an activity"
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise WorkflowMisuseError(
            "trio and asyncio cannot be used inside a workflow: use the same name from wfactors, or an activity"
        )


class _TaskOutOfReach(_OutOfReach):
    """Also answers Trio's handler of Ctrl-C, which asks whether it may raise KeyboardInterrupt here.

    It may not: Trio then raises it in the main task.
    """

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name == "_ki_protected":
            return True
        if name == "coro":
            return _NO_COROUTINE
        return super().__getattribute__(name)


class _NoCoroutine:
    cr_frame = None


_NO_COROUTINE = _NoCoroutine()
_OUT_OF_REACH: Any = _OutOfReach()
_TASK_OUT_OF_REACH: Any = _TaskOutOfReach()


class TrioGuard:
    """A context manager for the length of one turn; reusable, not reentrant, only in a Trio task."""

    __slots__ = ("_asyncio", "_loop", "_runner", "_task")

    def __init__(self) -> None:
        self._runner: Any = None
        self._task: Any = None
        self._asyncio: Any = None
        self._loop: Any = None

    def __enter__(self) -> None:
        context = GLOBAL_RUN_CONTEXT
        self._runner = context.runner
        self._task = context.task
        # Only where somebody has imported it: that takes longer than all turns of a small program.
        self._asyncio = asyncio = sys.modules.get("asyncio.events")
        if asyncio is not None:
            self._loop = asyncio._get_running_loop()
            asyncio._set_running_loop(_OUT_OF_REACH)
        context.runner = _OUT_OF_REACH
        context.task = _TASK_OUT_OF_REACH

    def __exit__(self, *exc_info: object) -> None:
        """Put back what was there; nothing happens if that is done, or if an interrupt struck before anything was."""
        if self._task is None:
            return
        context = GLOBAL_RUN_CONTEXT
        context.runner = self._runner
        context.task = self._task
        if self._asyncio is not None:
            self._asyncio._set_running_loop(self._loop)
        # Nothing may keep the run alive beyond the turn.
        self._runner = self._task = self._loop = self._asyncio = None
