"""Where inside a value a conversion failed."""

from __future__ import annotations

from cattrs.errors import AttributeValidationNote, BaseValidationError, IterableValidationNote

from wfactors.errors import ConversionError

__all__ = ["PathError", "describe", "misfit", "traced"]

_SEGMENTS_MAX = 50
_TEXT_MAX = 100
_TOO_DEEP = "is nested too deeply, or contains itself"


class PathError(ConversionError):
    """A ConversionError that knows the path, from the outermost value inwards.

    Attributes:
        path: Such as ``".lines[3].price"``; empty for the value itself.
        reason: What is wrong there.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        self.reason = reason
        self.path = path
        super().__init__(reason, path)

    def __str__(self) -> str:
        place = self.path.removeprefix(".")
        return f"{place}: {self.reason}" if place else self.reason

    @property
    def is_too_deep(self) -> bool:
        """Whether the value is nested too deeply; where does not matter then."""
        return self.reason == _TOO_DEEP

    def named(self, what: str) -> ConversionError:
        """The same error as the caller shall see it, with the name of the value in front of the path."""
        return ConversionError(f"{what}{self.path}: {self.reason}")


def misfit(expected: str, value: object) -> PathError:
    """The error for a value that is not what its type asks for."""
    return PathError(f"expected {expected}, got {describe(value)}")


def describe(value: object) -> str:
    """Type and text of a value, short, whatever its ``__repr__`` does."""
    name = type(value).__qualname__
    if value is None:
        return "None"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  An author's __repr__ must not hide the error that is being told.
        return name
    if len(text) > _TEXT_MAX:
        text = f"{text[:_TEXT_MAX]}..."
    return f"{name} {text.encode(errors='backslashreplace').decode()}"


def traced(error: Exception, segment: str = "") -> PathError:
    """Tell what ``error`` says as a PathError, one ``segment`` further out.

    Errors of cattrs are groups whose members carry the place as a note; the first member is told.
    """
    segments = [segment] if segment else []
    while isinstance(error, BaseValidationError):
        inner = error.exceptions[0]
        if len(segments) < _SEGMENTS_MAX:
            segments.extend(_segment_of(note) for note in getattr(inner, "__notes__", ()))
        assert isinstance(inner, Exception)
        error = inner
    if isinstance(error, RecursionError):
        return PathError(_TOO_DEEP)
    path = "".join(segments)
    if isinstance(error, PathError):
        if error.is_too_deep or error.path.count(".") + error.path.count("[") >= _SEGMENTS_MAX:
            return error
        return PathError(error.reason, path + error.path)
    return PathError(_reason(error), path)


def _segment_of(note: object) -> str:
    if isinstance(note, AttributeValidationNote):
        return f".{note.name}"
    if isinstance(note, IterableValidationNote):
        return f"[{note.index!r}]"
    return ""


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, UnicodeEncodeError):
        return "has a lone surrogate, which is no text that can be stored"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  As in describe().
        text = ""
    if len(text) > 4 * _TEXT_MAX:
        text = f"{text[: 4 * _TEXT_MAX]}..."
    text = text.encode(errors="backslashreplace").decode()
    return (
        text if text and isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: {text}".rstrip(": ")
    )
