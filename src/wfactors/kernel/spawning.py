"""From an async function to its coroutine, with help for those who passed something else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextvars import Context

__all__ = ["make_coroutine"]


def make_coroutine(async_fn: Callable[..., Any], args: tuple[Any, ...], context: Context) -> Coroutine[Any, Any, Any]:
    """Call ``async_fn(*args)`` in ``context`` and return the coroutine.

    Raises:
        TypeError: ``async_fn`` is no async function; the message says what it is and what to write.
    """
    try:
        coro = context.run(async_fn, *args)
    except TypeError:
        if isinstance(async_fn, Coroutine):
            # Never to be awaited, and nobody should be warned of that too.
            async_fn.close()
            name = getattr(async_fn, "__name__", "fn")
            raise TypeError(
                f"expecting an async function, but instead it got a coroutine object {async_fn!r}: "
                f"write start_soon({name}, ...), not start_soon({name}(...))"
            ) from None
        if _is_foreign(async_fn):
            raise TypeError(
                f"expecting an async function, but instead it got {async_fn!r}, "
                "which belongs to another library, such as asyncio"
            ) from None
        raise
    if type(coro) is CoroutineType:
        return coro
    return _adopt(coro, async_fn)


def _adopt(coro: object, async_fn: Callable[..., Any]) -> Coroutine[Any, Any, Any]:
    if isinstance(coro, Coroutine):
        # A coroutine that is not Python's own (Cython's, say) gets a frame around it.
        return _await_it(coro)
    if _is_foreign(coro):
        raise TypeError(f"got unexpected {coro!r}, which belongs to another library, such as asyncio")
    if inspect.isasyncgen(coro):
        raise TypeError(f"start_soon expected an async function but got an async generator {coro!r}")
    name = getattr(async_fn, "__qualname__", async_fn)
    raise TypeError(f"expected an async function, but {name!r} appears to be synchronous")


async def _await_it(coro: Coroutine[Any, Any, Any]) -> Any:
    return await coro


def _is_foreign(value: object) -> bool:
    # Generators: what asyncio's coroutines were before Python had any. The rest: futures, by their marks.
    return (
        inspect.isgenerator(value)
        or getattr(value, "_asyncio_future_blocking", None) is not None
        or type(value).__name__ in ("Future", "Deferred")
    )
