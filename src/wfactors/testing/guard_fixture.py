"""The pytest fixture of ``guard``: ``pytest_plugins = ["wfactors.testing.guard_fixture"]`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wfactors.testing.guard import Guard, guarded_workflows

__all__ = ["workflow_guard"]


@pytest.fixture
def workflow_guard() -> Iterator[Guard]:
    """Guard the workflows that a test runs; with ``@pytest.mark.usefixtures("workflow_guard")`` or as an argument."""
    with guarded_workflows() as guard:
        yield guard
