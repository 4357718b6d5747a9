"""From a command to a client of its store and back: opening, errors, time limits, exit codes."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
import typer

from wfactors.actors.engine import open_client
from wfactors.cli.exits import Exit, Problem, explained
from wfactors.cli.loading import load_payloads
from wfactors.cli.options import STORE_VARIABLE, Globals
from wfactors.cli.output import print_problem
from wfactors.cli.text import duration, safe, unescaped
from wfactors.client import Client, Handle
from wfactors.errors import WorkflowNotFound
from wfactors.stores.sqlite import SqliteStore
from wfactors.stores.url import open_store_from_url

__all__ = [
    "find",
    "in_time",
    "opened",
    "reporting",
    "run",
    "sqlite_path",
    "store_option",
    "store_url",
    "this_command",
    "with_client",
]

R = TypeVar("R")


@contextmanager
def reporting() -> Iterator[None]:
    """Turn expected errors of the block into a sentence on standard error and an exit code."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001  What is not expected goes on as it is.
        leaf = _leaf(error)
        if isinstance(leaf, KeyboardInterrupt):
            raise typer.Exit(Exit.INTERRUPTED) from None
        problem = explained(leaf) if isinstance(leaf, Exception) else None
        if problem is None:
            raise leaf from leaf.__cause__
        print_problem(problem.sentence, problem.hint)
        raise typer.Exit(problem.code) from None


def _leaf(error: BaseException) -> BaseException:
    """The exception that stands alone in groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def run(function: Callable[..., Awaitable[R]], *args: object, **kwargs: object) -> R:
    """Run the async body of a command."""
    with reporting():
        return trio.run(partial(function, *args, **kwargs))
    raise AssertionError("reporting() swallows nothing")


def this_command() -> str:
    """How the person who runs this can run it again: ``wfactors``, or by its path where the shell would not find it."""
    called = Path(sys.argv[0])
    if called.name != "wfactors":
        return "python -m wfactors" if called.name == "__main__.py" else "wfactors"
    found = shutil.which("wfactors")
    return "wfactors" if found is not None and Path(found).resolve() == called.resolve() else str(called)


def store_option(url: str) -> str:
    """The option that names a store, as it is written in a line for a shell."""
    return f"--store {shlex.quote(url)}"


def store_url(options: Globals, *, must_outlive: bool = True) -> str:
    """The URL of the store that was asked for.

    Args:
        options: With the URL, or without.
        must_outlive: Another process is to see it too, so one in memory makes no sense.
    """
    url = options.store or os.environ.get(STORE_VARIABLE)
    if not url:
        hint = f"add --store sqlite:///shop.db, or set {STORE_VARIABLE}"
        raise Problem(Exit.USAGE, "no store was named", hint)
    if must_outlive and url.partition("://")[0].lower() == "memory":
        raise Problem(
            Exit.USAGE, "a store in memory ends with its process, so there is nothing in it", "name one in a file"
        )
    return url


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite store; None for another store.

    Raises:
        Problem: The URL names no store.
    """
    try:
        store = open_store_from_url(url)
    except ValueError as error:
        raise Problem(Exit.USAGE, str(error)) from error
    return Path(store.path) if isinstance(store, SqliteStore) else None


@asynccontextmanager
async def with_client(options: Globals, *, may_create: bool = False, partitions: int = 1) -> AsyncIterator[Client]:
    """A client of the store that was asked for.

    Args:
        options: With the store's URL.
        may_create: A missing file is made; else it is an error, which is what a mistyped path deserves.
        partitions: Of a queue.
    """
    url = store_url(options)
    path = sqlite_path(url)
    if path is not None and not may_create and not path.exists():
        raise Problem(
            Exit.STORE,
            f"there is no file {safe(str(path))}",
            "check --store, or make one with wfactors migrate",
        )
    async with opened(open_client(url, partitions=partitions, **load_payloads(options))) as client:
        yield client


@asynccontextmanager
async def opened(opening: AbstractAsyncContextManager[R]) -> AsyncIterator[R]:
    """The same; an argument that makes no sense there is wrong usage of the command."""
    async with AsyncExitStack() as stack:
        try:
            value = await stack.enter_async_context(opening)
        except ValueError as error:
            raise Problem(Exit.USAGE, str(error)) from error
        yield value


async def find(client: Client, id: str) -> Handle[object]:
    """The workflow that is called so: by its id, by the way its id is shown, or by its instance key."""
    try:
        return await _find(client, id)
    except ValueError as error:
        raise Problem(Exit.USAGE, str(error)) from error


async def _find(client: Client, id: str) -> Handle[object]:
    spelled = unescaped(id)
    candidates = [id] if spelled == id else [id, spelled]
    found = []
    for candidate in candidates:
        try:
            found.append(await client.get(candidate))
        except WorkflowNotFound:
            continue
    if len(found) > 1:
        keys = " or ".join(handle.instance for handle in found)
        raise Problem(Exit.USAGE, f"{safe(id)} may be read in two ways", f"name it by its instance key: {keys}")
    if not found:
        header = await client.store.header(id)
        if header is None:
            raise WorkflowNotFound(id)

        return Handle(client, header)
    return found[0]


async def in_time(function: Callable[[], Awaitable[R]], seconds: float | None, what: str, hint: str = "") -> R:
    """What the function returns, or the problem that it took too long."""
    with trio.move_on_after(float("inf") if seconds is None else seconds):
        return await function()
    assert seconds is not None
    raise Problem(Exit.TIMEOUT, f"{what} within {duration(seconds)}", hint)
