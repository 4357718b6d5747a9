"""How a change of one scope reaches the tasks inside of it, and what to say when the tree is out of order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wfactors.kernel.lowlevel import deliver_cancel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wfactors.kernel.scopes import CancelScope
    from wfactors.kernel.task import Task

__all__ = ["abandon", "corrupted", "refresh"]

MISNESTING_ADVICE = """
Scopes and nurseries must be left in the opposite order of entering them. Usual causes: a generator that yields inside
of a scope or nursery (only @contextmanager and @asynccontextmanager functions may), a manual call of __enter__ or
__exit__, or an ExitStack that interleaves them.
"""


def refresh(pairs: Iterable[tuple[Task, CancelScope]]) -> None:
    """Bring tasks up to date with a change: for each pair, that of ``scope``, in whose inside the task is.

    Level by level, so the depth of the tree is not the depth of a recursion. First all states, then the deliveries:
    an abort function may cancel something else, and must find a consistent tree.
    """
    todo = list(pairs)
    interrupted: list[Task] = []
    for task, changed in todo:
        chain: list[CancelScope] = []
        scope: CancelScope | None = task.scope
        while scope is not changed and scope is not None:
            chain.append(scope)
            scope = scope._parent
        if scope is None:
            # The task has left the scope, which is abandoned.
            continue
        outer = changed
        while chain:
            inner = chain.pop()
            is_cancelled = inner._cancel_called or (outer._is_cancelled and not inner._shield)
            if is_cancelled == inner._is_cancelled:
                break
            inner._is_cancelled = is_cancelled
            if inner._nursery is not None:
                todo.extend((child, inner) for child in inner._nursery._children)
            outer = inner
        else:
            if task.is_parked:
                interrupted.append(task)
    for task in interrupted:
        if task.scope._is_cancelled:
            deliver_cancel(task)


def abandon(scope: CancelScope | None, outermost: CancelScope | None) -> None:
    """Mark the scopes from ``scope`` outwards, up to ``outermost`` but without it, as abandoned."""
    while scope is not outermost and scope is not None:
        scope._is_abandoned = True
        scope = scope._parent


def corrupted(what: str, exc: BaseException | None, advice: str = MISNESTING_ADVICE) -> RuntimeError:
    """Return the error that tells of scopes out of order; what was raised before it is its context."""
    error = RuntimeError(f"Cancel scope stack corrupted: {what}\n{advice}".rstrip())
    error.__context__ = exc
    return error
