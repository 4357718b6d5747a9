"""Recorded histories, held against the code as it is now.

::

    @pytest.mark.parametrize("history", histories_in("tests/histories"))
    def test_old_histories_still_replay(history):
        assert_replays(history, [checkout, ship])

``wfactors export ID`` and ``save_history`` write such files. A difference is an AssertionError that shows both sides,
the events around it, the line of the source and how it was reached.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import attrs
import trio

from wfactors.actors.guard import TrioGuard
from wfactors.actors.loader import turns_of
from wfactors.client import Client, Handle
from wfactors.convert import Codec, Converter, DataPort
from wfactors.errors import NonDeterminismError
from wfactors.model.events import Event, RunStarted
from wfactors.model.status import Status
from wfactors.model.wire import VERSION, decode_events, encode_event
from wfactors.registry import Registry, Workflow
from wfactors.stores.base import Store
from wfactors.workflow import Application, open_run

if TYPE_CHECKING:
    from wfactors.kernel.run import Run

__all__ = [
    "Recording",
    "assert_replays",
    "assert_store_replays",
    "encode_history",
    "explain",
    "histories_in",
    "lines_waiting",
    "read_history",
    "replay",
    "save_history",
]

_AROUND = 3
_TEXT_MAX = 160
_PACKAGE = __file__.removesuffix("testing/replays.py")


# --- Histories as files ----------------------------------------------------------------------------------------------


@attrs.frozen
class Recording:
    """A history in a file; pytest shows its name."""

    path: Path

    @property
    def __name__(self) -> str:
        """What pytest calls a test that is parametrised with it."""
        return self.path.stem

    def __str__(self) -> str:
        return str(self.path)


History: TypeAlias = str | Path | bytes | Recording | Sequence[Event]


def histories_in(folder: str | Path, pattern: str = "*.json") -> list[Recording]:
    """The recorded histories below a folder, in the order of their names.

    Raises:
        FileNotFoundError: There is none: a test that replays nothing would pass for ever.
    """
    found = [Recording(path) for path in sorted(Path(folder).rglob(pattern))]
    if not found:
        raise FileNotFoundError(f"there is no history like {pattern} in {Path(folder)}")
    return found


def read_history(history: History) -> list[Event]:
    """The events of a history: a file (or the path of one), its bytes, or the events themselves.

    Raises:
        StoreCorrupt: It is none.
        OSError: The file cannot be read.
    """
    if isinstance(history, Recording):
        history = history.path
    if isinstance(history, str | Path):
        return decode_events(Path(history).read_bytes(), str(history))
    if isinstance(history, bytes):
        return decode_events(history)
    return list(history)


def encode_history(events: Iterable[Event]) -> bytes:
    """The text of a history: JSON with one event a line, so that people and version control see what differs."""
    return b'{"v":%d,"events":[\n%b\n]}\n' % (VERSION, b",\n".join(encode_event(event) for event in events))


def save_history(events: Iterable[Event], path: str | Path) -> None:
    """Write a history to a file for ``histories_in``: ``save_history(await handle.history(), path)``."""
    Path(path).write_bytes(encode_history(events))


# --- Replaying -------------------------------------------------------------------------------------------------------


def replay(events: Sequence[Event], application: Application, *, is_strict: bool = False) -> None:
    """Let the code of a workflow take the recorded facts in and compare what it decides.

    Args:
        events: All of a run, or the first part of one.
        application: The workflows, and how payloads are read.
        is_strict: Compare arguments and results too, as they are once decoded.

    Raises:
        NonDeterminismError: The code decides otherwise.
        UnknownWorkflow: It is not registered.
        ValueError: This is not the history of a run.
    """
    with _replayed(events, application, is_strict=is_strict):
        pass


def lines_waiting(events: Sequence[Event], application: Application) -> list[str]:
    """Where the author's code waits after all of these events: for each task the way there, with the source."""
    found: list[str] = []
    with _replayed(events, application) as run:
        for stack in run.stacks():
            for frame in stack.frames:
                if not frame.file.startswith(_PACKAGE):
                    found += _with_source(f"{frame.file}:{frame.line} {frame.function}")
    return found


@contextmanager
def _replayed(events: Sequence[Event], application: Application, *, is_strict: bool = False) -> Iterator[Run]:
    first = events[0] if events else None
    if not isinstance(first, RunStarted):
        words = "it does not begin with RunStarted" if events else "it is empty"
        raise ValueError(f"this is not the history of a run: {words}")  # noqa: TRY004  It is its value.
    definition = application.registry.workflow(first.workflow)
    run = open_run(
        application, definition, instance=first.instance, run=first.run, queue=first.queue, is_strict=is_strict
    )
    # Out of reach as in production; outside of trio.run there is nothing to keep away.
    guard = TrioGuard() if trio.lowlevel.in_trio_run() else nullcontext()
    try:
        for fact, decisions in turns_of(list(events)):
            with guard:
                run.feed(fact, decisions)
        yield run
    finally:
        with guard:
            run.close()


@overload
def assert_replays(
    history: History,
    register: Any,
    *,
    strict: bool = ...,
    converter: Converter | None = ...,
    codecs: Sequence[Codec] = ...,
) -> None: ...
@overload
def assert_replays(
    history: Handle[Any],
    register: Any,
    *,
    strict: bool = ...,
    converter: Converter | None = ...,
    codecs: Sequence[Codec] = ...,
) -> Coroutine[Any, Any, None]: ...
def assert_replays(
    history: History | Handle[Any],
    register: Any,
    *,
    strict: bool = False,
    converter: Converter | None = None,
    codecs: Sequence[Codec] = (),
) -> Coroutine[Any, Any, None] | None:
    """Raise AssertionError if the code no longer makes the decisions of a history.

    Args:
        history: A path, a ``Recording``, bytes, or events. With a handle, all runs of its instance: this is then to be
            awaited.
        register: A workflow, or a list as for ``open_engine``.
        strict: Compare arguments and results too; encrypted ones are compared decrypted.
        converter: As for ``open_engine``.
        codecs: As for ``open_engine``.
    """
    application = _application(register, converter, codecs)
    if isinstance(history, Handle):
        return _assert_handle(history, application, is_strict=strict)
    name = "the history" if isinstance(history, bytes | Sequence) and not isinstance(history, str) else str(history)
    _assert(read_history(history), application, name, is_strict=strict)
    return None


async def assert_store_replays(
    store: Store | Client,
    register: Any,
    *,
    strict: bool = False,
    converter: Converter | None = None,
    codecs: Sequence[Codec] = (),
    status: Status | str | None = None,
) -> int:
    """Replay everything in a store; return how many runs that were.

    Args:
        store: An opened store, or a client or engine of it.
        register: As for ``assert_replays``, like the others.
        strict: Compare arguments and results too.
        converter: As for ``open_engine``.
        codecs: As for ``open_engine``.
        status: Only the runs with this status.

    Raises:
        AssertionError: Some do not replay; the message has them all.
    """
    application = _application(register, converter, codecs)
    client = store if isinstance(store, Client) else Client(store, application.data)
    count, problems = 0, []
    async for item in client.list(status=status):
        appends = await client.store.history(item.instance, item.run)
        name = f"{item.id!r}, run {item.run}"
        events = [event for append in appends for event in decode_events(append.data, name)]
        if events and isinstance(events[0], RunStarted):
            count += 1
            try:
                _assert(events, application, name, is_strict=strict)
            except AssertionError as error:
                problems.append(str(error))
    if problems:
        raise AssertionError(f"{len(problems)} of {count} runs do not replay\n\n" + "\n\n".join(problems))
    return count


async def _assert_handle(handle: Handle[Any], application: Application, *, is_strict: bool) -> None:
    latest = (await handle.describe()).run
    for run in range(1, latest + 1):
        events = await handle.history(run)
        if events:
            _assert(events, application, f"{handle.id!r}, run {run}", is_strict=is_strict)


def _application(register: Any, converter: Converter | None, codecs: Sequence[Codec]) -> Application:
    items = list(register) if isinstance(register, list | tuple | set | frozenset) else [register]
    # As the call, not as what options() made of it.
    items = [Workflow(item.definition) if isinstance(item, Workflow) else item for item in items]
    return Application(registry=Registry(items), data=DataPort(converter, codecs))


def _assert(events: Sequence[Event], application: Application, name: str, *, is_strict: bool) -> None:
    try:
        replay(events, application, is_strict=is_strict)
    except NonDeterminismError as error:
        raise AssertionError(f"{name} does not replay\n{explain(error, events)}") from error


# --- Words -----------------------------------------------------------------------------------------------------------


def explain(error: NonDeterminismError, events: Sequence[Event] = ()) -> str:
    """Show a difference: both sides, the events around it, and the lines of the source that led there."""
    lines = [
        f"  at event {error.position} the history and the code differ:",
        f"    history has:  {error.recorded or 'nothing more'}",
        f"    the code did: {error.issued or 'nothing more'}",
    ]
    if events:
        lines.append("  the history there:")
        first = max(error.position - _AROUND, 0)
        for index, event in enumerate(events[first : error.position + _AROUND], first):
            mark = ">" if index == error.position else " "
            lines.append(f"   {mark}{index:>5} {_event_in_words(event)}")
    if error.where:
        lines.append("  the code, outermost first:")
        for entry in error.where.splitlines():
            lines.extend(_with_source(entry.strip()))
    return "\n".join(lines)


def _event_in_words(event: Event) -> str:
    text = encode_event(event).decode(errors="backslashreplace")
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}..."


def _with_source(entry: str) -> list[str]:
    """A line of the await chain, and the line of the source it stands for."""
    match = re.match(r"(?P<file>.+):(?P<line>\d+) ", entry)
    source = linecache.getline(match["file"], int(match["line"])).strip() if match else ""
    return [f"    {entry}", *([f"      {source}"] if source else [])]
