"""Getting rid of coroutines and asynchronous generators that will never be finished.

Python would close them when they are garbage collected: at any time, in any thread, in nobody's context. Here it is
done at a known time, in the context they ran in, and nothing in their clean-up can wait.
"""

from __future__ import annotations

import ctypes
import weakref
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from wfactors.kernel.task import SCHEDULER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextvars import Context

__all__ = ["GeneratorKeeper", "close_coroutine", "make_immortal"]

# Clean-up code that waits for something foreign suspends its coroutine again; each time it is closed again.
_ATTEMPTS_MAX = 10


def close_coroutine(coro: Coroutine[Any, Any, Any], context: Context) -> bool:
    """Close ``coro`` in ``context`` and drop what it raises.

    Returns:
        False if it cannot be closed: it catches everything, in a loop.
    """
    for _ in range(_ATTEMPTS_MAX):
        try:
            context.run(coro.close)
        except BaseException:  # noqa: S112 - nobody is left to be told
            # Also "coroutine ignored GeneratorExit", if it is suspended again.
            continue
        return True
    return False


def make_immortal(coro: Coroutine[Any, Any, Any]) -> None:
    """Keep a coroutine that cannot be closed from being collected, for as long as the process lives.

    Python would close it when it is collected, in nobody's context, where every wait raises at once: a loop that
    catches everything would then never end. A reference in a module would not do, modules are cleared at exit.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coro))


class GeneratorKeeper:
    """Knows the asynchronous generators that a workflow has begun, so that they are not left to the host's hooks.

    Trio would adopt every generator begun inside one of its tasks, and run its clean-up in a task of its own.

    True while any of them is suspended.

    Attributes:
        hooks: For ``sys.set_asyncgen_hooks``.
    """

    __slots__ = ("_alive", "hooks")

    def __init__(self) -> None:
        self._alive: dict[weakref.ref[AsyncGenerator[Any, Any]], None] = {}
        self.hooks: tuple[Callable[[Any], None], Callable[[Any], None]] = (self._begun, _finalize)

    def _begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        alive = self._alive
        alive[weakref.ref(generator, lambda reference: alive.pop(reference, None))] = None

    def __bool__(self) -> bool:
        return bool(self._alive)

    def close_all(self, context: Context) -> None:
        """Close every generator that is suspended, in the order in which they were begun, in ``context``."""
        # Closing one may begin others.
        while self._alive:
            reference = next(iter(self._alive))
            generator = reference()
            # A dead one would have removed itself.
            assert generator is not None
            del self._alive[reference]
            context.run(_close_generator, generator)


def _close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    with suppress(BaseException):
        generator.aclose().send(None)


def _finalize(generator: AsyncGenerator[Any, Any]) -> None:
    # A generator that was dropped halfway. Where its clean-up would wait, it finds itself outside of a workflow.
    context = copy_context()
    context.run(SCHEDULER.set, None)
    context.run(_close_generator, generator)
