"""The reference in docs/ is what the docstrings say."""

from __future__ import annotations

import re

import pytest

import wfactors
from tests.reference import FOLDER, pages


@pytest.mark.parametrize("page", pages())
def test_the_page_is_what_the_docstrings_say(page: str) -> None:
    """Written by ``python -m tests.reference``."""
    assert pages()[page] == (FOLDER / page).read_text(encoding="utf-8")


def test_every_public_name_is_on_one_page() -> None:
    """Each has an entry, and the index names each page."""
    found = [name for text in pages().values() for name in re.findall(r"^## `wf\.(\w+)`$", text, re.MULTILINE)]
    assert sorted(found) == sorted(set(wfactors.__all__) - {"__version__"})
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert set(pages()) <= set(re.findall(r"\]\((\w+\.md)\)", index))
