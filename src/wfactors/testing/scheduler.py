"""The one place that reaches into Trio's scheduler: the order in which ready tasks run, decided by a seed.

Trio shuffles the tasks that are ready at the same moment so that nobody relies on their order. Its own tests, and
Hypothesis, make that order repeatable with two private names, as here; a test fails when they move.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

__all__ = ["seeded_scheduler"]


@contextmanager
def seeded_scheduler(seed: int | str) -> Iterator[None]:
    """Let every ``trio.run`` inside the block run its tasks in the order that ``seed`` decides.

    Raises:
        AttributeError: This version of Trio keeps its scheduler's dice elsewhere.
    """
    scheduler: Any = trio._core._run  # noqa: SLF001
    was_deterministic, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()  # noqa: SLF001
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    scheduler._r.seed(f"wfactors/{seed}")  # noqa: SLF001
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = was_deterministic  # noqa: SLF001
        scheduler._r.setstate(state)  # noqa: SLF001
