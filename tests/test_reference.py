"""The reference in docs/ is what the docstrings say."""

from __future__ import annotations

import math
import re

import pytest

import wfactors
from tests.reference import FOLDER, pages
from wfactors.actors.engine import LEASE_SECONDS
from wfactors.model.limits import Limits


@pytest.mark.parametrize("page", pages())
def test_the_page_is_what_the_docstrings_say(page: str) -> None:
    """Written by ``python -m tests.reference``."""
    assert pages()[page] == (FOLDER / page).read_text(encoding="utf-8")


def test_a_signature_has_all_its_parameters() -> None:
    """Also one that is called as that of a class method is, which is not shown."""
    shown = pages()
    assert "\nwf.activities(cls: type[T]) -> T\n" in shown["workflows.md"]
    assert not re.search(r"\((self|cls)\b(?!: type\[)", "".join(shown.values()))


def test_the_cases_name_the_limits_that_hold() -> None:
    """When nothing else is asked for."""
    cases, limits = (FOLDER / "cases.md").read_text(encoding="utf-8"), Limits()
    for words in (
        f"after {limits.turn_warning_seconds:g} s a warning",
        f"{limits.turn_limit(LEASE_SECONDS):g} s by default",
        f"{limits.turn_limit(math.inf):g} s where there is no lease",
        f"warning at {limits.history_events_warning:,} events",
        f"fails at {limits.history_events_max:,} ",
        f"over the limit ({limits.payload_bytes // 2**20} MiB)",
    ):
        assert words in cases


def test_every_public_name_is_on_one_page() -> None:
    """Each has an entry, and the index names each page."""
    found = [name for text in pages().values() for name in re.findall(r"^## `wf\.(\w+)`$", text, re.MULTILINE)]
    assert sorted(found) == sorted(set(wfactors.__all__) - {"__version__"})
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert set(pages()) <= set(re.findall(r"\]\((\w+\.md)\)", index))
