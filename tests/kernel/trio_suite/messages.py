"""What the kernel says where Trio says something else: Trio's tests expect its own words and types of errors.

The table is short on purpose. A message belongs in it when it means the same in other words, and an error's type when
the kernel has one that says more.
"""

from __future__ import annotations

import types
from typing import Any

import pytest

from wfactors.errors import WorkflowMisuseError

# Trio's pattern -> (the error's type here if it is another, the pattern here).
TRANSLATIONS: dict[str, tuple[type[BaseException] | None, str]] = {
    "asyncio": (WorkflowMisuseError, "asyncio.* belongs to another event loop"),
    r"^Trio was expecting an async function, but instead it got a coroutine object <.*>": (
        None,
        r"expecting an async function, but instead it got a coroutine object <.*>",
    ),
    r"^Unentered non-relative cancel scope does not have a relative deadline$": (
        None,
        r"^a cancel scope with an absolute deadline has no relative one before it is entered$",
    ),
    r"^Unentered relative cancel scope does not have an absolute deadline": (
        None,
        r"^a relative cancel scope has no absolute deadline before it is entered$",
    ),
    r"^cancelled due to unknown with reason 'misnesting'$": (None, r"^Cancelled$"),
}


class TranslatingPytest(types.ModuleType):
    """pytest, but for the functions that expect an error with a message."""

    def __init__(self) -> None:
        super().__init__("pytest")

    def __getattr__(self, name: str) -> Any:
        return getattr(pytest, name)

    def raises(self, expected: Any, *, match: str | None = None) -> Any:
        expected, keywords = _translate(expected, match)
        return pytest.raises(expected, **keywords)

    def RaisesExc(self, expected: Any = None, *, match: str | None = None, check: Any = None) -> Any:  # noqa: N802
        expected, keywords = _translate(expected, match)
        return pytest.RaisesExc(*(() if expected is None else (expected,)), check=check, **keywords)


def _translate(expected: Any, match: str | None) -> tuple[Any, dict[str, str]]:
    if match is None:
        return expected, {}
    other, pattern = TRANSLATIONS.get(match, (None, match))
    return (expected if other is None else other), {"match": pattern}
