"""Take chance out of an engine for the time of a simulation: its ids, its clocks, its dice, its threads.

The engine asks the operating system for ids and times itself slices of a millisecond; a simulation replaces those few
functions while it runs, by name, and fails at once if one of them has moved. Nothing in the engine knows of it.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from random import Random
from typing import Any

import trio

from wfactors import pace
from wfactors.actors import node, partition, turns
from wfactors.actors.activities import Activities
from wfactors.actors.attempt import Attempt
from wfactors.actors.watchdog import Watchdog
from wfactors.client import client, requests
from wfactors.kernel import run
from wfactors.testing.scheduler import seeded_scheduler
from wfactors.testing.simulator.clock import SeldomIO

__all__ = ["deterministic", "patched"]

_KEY_BITS = 80
_SLOW_SHARE = 0.02
_SLICE_SECONDS = 0.002


@contextmanager
def patched(target: Any, name: str, value: object) -> Iterator[None]:
    """Replace an attribute inside the block; AttributeError if it is not there."""
    before = target.__dict__[name] if name in vars(target) else getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


class _StepClock:
    """Stands for the module ``time`` where slices are measured: now and then a slice is over, as the seed says."""

    def __init__(self, random: Random) -> None:
        self._random = random.random
        self._now = 0.0

    def perf_counter(self) -> float:
        """Stand still, mostly."""
        if self._random() < _SLOW_SHARE:
            self._now += _SLICE_SECONDS
        return self._now


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Inside the block, everything that a run of an engine draws comes from ``seed``; one run at a time.

    Garbage is not collected inside, and the loggers of wfactors are silent.
    """
    names = Random(f"{seed}/names")
    numbers = iter(range(1, 1_000_000))

    def new_key(now: float) -> str:
        return f"{int(now * 1000):012x}{names.getrandbits(_KEY_BITS):020x}"

    def new_message_id() -> str:
        return f"m{next(numbers)}-{names.getrandbits(32):08x}"

    def new_name() -> str:
        return f"node-{next(numbers)}"

    def watching(_: Watchdog) -> AbstractContextManager[None]:
        return nullcontext()

    async def in_thread(_: Attempt, job: Callable[[], object]) -> object:
        await trio.lowlevel.checkpoint()
        return job()

    clock = _StepClock(Random(f"{seed}/slices"))
    draw: Callable[[], float] = Random(f"{seed}/jitter").random
    replaced: list[tuple[Any, str, object]] = [
        (client, "new_key", new_key),
        (client, "new_message_id", new_message_id),
        (requests, "new_message_id", new_message_id),
        (node, "_new_name", new_name),
        (node, "Activities", partial(Activities, draw=draw)),
        (pace, "time", clock),
        # A world's turns are small: cut even those, wherever a large one could be.
        (turns, "_EVENTS_AT_ONCE", 1),
        (run, "_STEPS_AT_ONCE", 1),
        (partition, "_ITEMS_AT_ONCE", 1),
        (Watchdog, "watching", watching),
        (Attempt, "_in_thread", in_thread),
        (trio._core._run, "TheIOManager", SeldomIO),  # noqa: SLF001
    ]
    logger = logging.getLogger("wfactors")
    level, was_collecting = logger.level, gc.isenabled()
    patches = [patched(*replacement) for replacement in replaced]
    logger.setLevel(logging.CRITICAL + 1)
    gc.disable()
    try:
        for patch in patches:
            patch.__enter__()
        with seeded_scheduler(seed):
            yield
    finally:
        for patch in reversed(patches):
            patch.__exit__(None, None, None)
        logger.setLevel(level)
        if was_collecting:
            gc.enable()
