"""Exceptions to failures and back. Whatever an exception does when it is looked at, a failure comes of it."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import itertools
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs
import msgspec

from wfactors.convert.converter import Converter
from wfactors.errors import ActivityTimeout, CallError, Cancelled, ConversionError, PermanentError, ResultError
from wfactors.model.failures import BASE_EXCEPTION, CANCELLED, ERROR, GROUP, TIMEOUT, Failure

__all__ = [
    "class_of_failure",
    "exception_from_fields",
    "failure_from_exception",
    "fields_from_exception",
    "qualified_name",
]

MESSAGE_MAX: Final = 8 * 1024
TRACEBACK_MAX: Final = 16 * 1024
DEPTH_MAX: Final = 16
_TEXT_MAX: Final = 128 * 1024  # Of a failure with all its causes and members.
_MEMBERS_MAX: Final = 50
_NOTES_MAX: Final = 10
_FRAMES_FIRST: Final = 10
_FRAMES_LAST: Final = 40
_ENGINE_MODULES: Final = ("wfactors.", "trio.", "outcome.")

# --- An exception becomes a failure ----------------------------------------------------------------------------------


def failure_from_exception(error: BaseException) -> Failure:
    """The failure of an exception, with its causes and members; everything bounded, nothing raised."""
    return _Recorder().record(error, DEPTH_MAX)


@attrs.define
class _Recorder:
    """Walks the causes and members of one exception.

    ``seen`` holds the exceptions between the outermost one and the current one, so that a cycle ends.
    """

    text_left: int = _TEXT_MAX
    seen: list[BaseException] = attrs.field(factory=list)

    def record(self, error: BaseException, depth: int) -> Failure:
        self.seen.append(error)
        message = self._take(message_of(error), MESSAGE_MAX)
        name = qualified_name(type(error))
        failure = Failure(
            type=name,
            message=message,
            traceback=self._take(_traceback_of(error, name, message), TRACEBACK_MAX),
            cause=self._cause(error, depth),
            is_permanent=_is_permanent(error),
            kind=_kind_of(error),
            group=self._members(error, depth),
        )
        self.seen.pop()
        return failure

    def _cause(self, error: BaseException, depth: int) -> Failure | None:
        if isinstance(error, (CallError, ResultError)):
            # What failed there, perhaps on another node, rather than how it came to be raised here.
            return self._graft(error.failure, depth - 1)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or depth <= 1 or self.text_left <= 0 or any(cause is known for known in self.seen):
            return None
        return self.record(cause, depth - 1)

    def _graft(self, failure: Failure, depth: int) -> Failure | None:
        """A failure that was recorded before, within what is left: workflows call workflows call workflows."""
        if depth <= 0 or self.text_left <= 0:
            return None
        members = (self._graft(member, depth - 1) for member in failure.group[:_MEMBERS_MAX])
        return attrs.evolve(
            failure,
            message=self._take(failure.message, MESSAGE_MAX),
            traceback=self._take(failure.traceback, TRACEBACK_MAX),
            cause=None if failure.cause is None else self._graft(failure.cause, depth - 1),
            group=tuple(member for member in members if member is not None),
        )

    def _members(self, error: BaseException, depth: int) -> tuple[Failure, ...]:
        if not isinstance(error, BaseExceptionGroup) or depth <= 1:
            return ()
        members = []
        for member in error.exceptions[:_MEMBERS_MAX]:
            if self.text_left <= 0:
                break
            members.append(self.record(member, depth - 1))
        return tuple(members)

    def _take(self, text: str, limit: int) -> str:
        text = bounded(text, max(min(limit, self.text_left), 0))
        # Not only the text counts, or empty failures without number would cost nothing.
        self.text_left -= len(text) + 100
        return text


def bounded(text: str, limit: int) -> str:
    """At most about ``limit`` characters of ``text``, from both ends, fit to be stored as UTF-8."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[len(text) - half :]}"
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def message_of(error: BaseException) -> str:
    """What ``str(error)`` says, or why it says nothing."""
    try:
        return str.__str__(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as second:  # noqa: BLE001  An author's __str__ must not hide the error.
        return f"<no message: its __str__ raised {type(second).__name__}>"


def qualified_name(cls: type[Any]) -> str:
    """``"module.QualName"``, by which an exception's class is found again."""
    return bounded(f"{cls.__module__}.{cls.__qualname__}", 1_000)


def _kind_of(error: BaseException) -> str:
    if isinstance(error, Cancelled) or qualified_name(type(error)) in (
        "trio.Cancelled",
        "trio._core._exceptions.Cancelled",
    ):
        return CANCELLED
    if isinstance(error, BaseExceptionGroup):
        return GROUP
    if isinstance(error, ActivityTimeout):
        return TIMEOUT
    return ERROR if isinstance(error, Exception) else BASE_EXCEPTION


def _is_permanent(error: BaseException, depth: int = DEPTH_MAX) -> bool:
    if isinstance(error, BaseExceptionGroup) and depth > 0:
        return any(_is_permanent(member, depth - 1) for member in error.exceptions)
    return isinstance(error, PermanentError)


def _traceback_of(error: BaseException, name: str, message: str) -> str:
    try:
        lines = ["Traceback (most recent call last):\n"] if error.__traceback__ else []
        for part in _author_frames(error.__traceback__):
            lines.extend([part] if isinstance(part, str) else traceback.StackSummary.extract(iter(part)).format())
        lines.append(f"{name}: {message[:1_000]}\n" if message else f"{name}\n")
        notes = getattr(error, "__notes__", ())
        if isinstance(notes, (list, tuple)):
            lines.extend(f"{bounded(str(note), 1_000)}\n" for note in notes[:_NOTES_MAX])
        return "".join(lines)
    except Exception as second:  # noqa: BLE001  As for the message.
        return f"<no traceback: {type(second).__name__}>"


_Frames = list[tuple[types.FrameType, int]]


def _author_frames(trace: types.TracebackType | None) -> Iterator[_Frames | str]:
    """The frames outside of the engine, or all if there are no others; of very many, the first and the last."""
    everything = list(traceback.walk_tb(trace))
    frames = [item for item in everything if not _is_engine(item[0])] or everything
    if len(frames) <= _FRAMES_FIRST + _FRAMES_LAST:
        yield frames
        return
    yield frames[:_FRAMES_FIRST]
    yield f"  ... {len(frames) - _FRAMES_FIRST - _FRAMES_LAST} frames left out ...\n"
    yield frames[-_FRAMES_LAST:]


def _is_engine(frame: types.FrameType) -> bool:
    return f"{frame.f_globals.get('__name__', '')}.".startswith(_ENGINE_MODULES)


# --- The fields of an expected exception, and the exception again ----------------------------------------------------


def fields_from_exception(error: BaseException, converter: Converter) -> bytes | None:
    """The JSON text from which ``exception_from_fields`` builds the exception again; None if that is not possible.

    attrs classes and dataclasses are converted by their fields. Of any other exception it takes ``args`` and the
    attributes: those with an annotation (in the class, or of the parameter of ``__init__`` with the same name) by it,
    all others only if they are plain JSON data, since a datetime that comes back as a string is no help.
    """
    cls = type(error)
    try:
        if _has_fields(cls):
            return b'{"fields":%b}' % converter.encode(error, cls)
        if _has_hidden_state(cls):
            return None
        # As for pickle: of some builtin exceptions, args and attributes are not everything.
        _, args, *rest = _builtin(cls, "__reduce__")(error)
        hints = _attribute_types(cls)
        state = [
            converter.encode(name) + b":" + _encode_exactly(value, hints.get(name, Any), converter)
            for name, value in (rest[0] if rest else {}).items()
            if name != "__notes__"
        ]
        return b'{"args":%b,"state":{%b}}' % (_encode_exactly(list(args), Any, converter), b",".join(state))
    except KeyboardInterrupt:
        raise
    except Exception:  # noqa: BLE001  Not the error that is to be told.
        return None


def _has_fields(cls: type[Any]) -> bool:
    return attrs.has(cls) or dataclasses.is_dataclass(cls)


def _has_hidden_state(cls: type[Any]) -> bool:
    """Whether instances hold what neither args nor attributes tell, or are made in a way of their own."""
    own = itertools.takewhile(lambda base: base.__module__ != "builtins", cls.__mro__)
    return any(base.__dict__.get("__slots__") or "__new__" in base.__dict__ for base in own)


def _attribute_types(cls: type[Any]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for source in (cls.__init__, cls):
        try:
            hints |= typing.get_type_hints(source, include_extras=True)
        except Exception:  # noqa: BLE001, S112  Not resolvable: the attribute counts as not annotated.
            continue
    return hints


def _encode_exactly(value: object, annotation: Any, converter: Converter) -> bytes:
    data = converter.encode(value, annotation)
    if annotation is Any and converter.decode(data) != value:
        raise ConversionError("would come back as something else")
    return data


def class_of_failure(failure: Failure, raises: Iterable[type[BaseException]]) -> type[BaseException] | None:
    """The class the failure names, if it is one of ``raises`` or below one of them; nothing is imported for it."""
    waiting = collections.deque(raises)
    seen: set[type[BaseException]] = set()
    while waiting:
        cls = waiting.popleft()
        if cls in seen:
            continue
        seen.add(cls)
        if qualified_name(cls) == failure.type:
            return cls
        waiting.extend(type.__subclasses__(cls))
    return None


def exception_from_fields(cls: type[BaseException], data: dict[str, bytes], converter: Converter) -> BaseException:
    """Build the exception from what ``fields_from_exception`` kept of it.

    No ``__init__`` of the author's runs, unless fields were kept: its parameters need not be the ``args``.

    Raises:
        ConversionError: The class was changed so much that the data does not fit.
    """
    if _has_fields(cls):
        error = converter.decode(data["fields"], cls)
        assert isinstance(error, BaseException)
        return error
    hints = _attribute_types(cls)
    args = converter.decode(data["args"])
    state = {
        name: converter.decode(bytes(raw), hints.get(name, Any)) for name, raw in _read_state(data["state"]).items()
    }
    error = cls.__new__(cls, *args)
    _builtin(cls, "__init__")(error, *args)
    _builtin(cls, "__setstate__")(error, state)
    return error


_read_state = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _builtin(cls: type[BaseException], method: str) -> Callable[..., Any]:
    """The method of the builtin exception that a class derives from; it knows of errno, start, end and their like."""
    return next(
        typing.cast("Callable[..., Any]", base.__dict__[method])
        for base in cls.__mro__
        if method in base.__dict__ and not inspect.isfunction(base.__dict__[method])
    )
