"""Where a conversion failed."""

from __future__ import annotations

import pytest
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)

from wfactors.convert.paths import PathError, traced


def nested(depth: int, error: Exception) -> Exception:
    for _ in range(depth):
        error.add_note("a note of somebody else")
        error.__notes__.append(AttributeValidationNote("", "a", int))
        error = ClassValidationError("", [error], int)
    return error


def test_segments():
    """The path goes from the outermost value inwards."""
    error = traced(nested(2, ValueError("no")), "[1]")

    assert ("[1].a.a", "no", "[1].a.a: no") == (error.path, error.reason, str(error))
    assert "order[1].a.a: no" == str(error.named("order"))


def test_items():
    """Hooks of cattrs' own for collections keep the index in a note too."""
    error = ValueError("no")
    error.add_note(IterableValidationNote("", 3, int))

    assert "[3]" == traced(IterableValidationError("", [error], list)).path


def test_a_path_is_bounded():
    """Far down, more of the path would not help."""
    error = PathError("no")
    for _ in range(80):
        error = traced(error, ".a")

    assert 50 == error.path.count(".a")
    assert traced(nested(80, ValueError("no"))).path.count(".a") <= 50


def test_depth_has_no_path():
    """Where exactly the depth became too much does not matter."""
    error = traced(traced(nested(3, RecursionError()), ".a"), ".b")

    assert ("", "is nested too deeply, or contains itself") == (error.path, error.reason)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("x"), "is missing"),
        (ValueError("bad"), "bad"),
        (OSError("bad"), "OSError: bad"),
        (type("Mute", (ValueError,), {"__str__": lambda _self: 1 // 0})(), "Mute"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_reasons(error, reason):
    """What an error says."""
    assert reason == traced(error).reason
