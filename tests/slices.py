"""Stand-ins for the clock by which work is cut into slices."""

from __future__ import annotations


class SlicesEnd:
    """Stands for the module ``time`` where slices are measured: whenever somebody looks, one is over."""

    def __init__(self) -> None:
        self._now = 0.0

    def perf_counter(self) -> float:
        self._now += 1.0
        return self._now
