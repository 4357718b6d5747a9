"""Many seeds on several processes, summed up: what was broken, what was reached, how fast it went."""

from __future__ import annotations

import gc
import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import attrs

from wfactors.model.events import DECISIONS, FACTS
from wfactors.testing.simulator.trouble import KINDS

__all__ = ["SEEDS_FOR_ALL", "SEEDS_FOR_COMMON", "SELDOM", "WANTED", "Failure", "Summary", "run_seeds"]

_CHUNK = 8

_OPERATIONS = (
    "acquire", "bury", "claim", "commit", "create", "find", "header", "headers", "heartbeat", "held_tasks", "history",
    "inbox", "join", "leave", "next_task_at", "nodes", "renew", "report", "send", "take_reply", "tasks", "wakes",
)  # fmt: skip
_FAULTS = (
    "answer lost", "clock jump", "crash", "crash after a call", "crash before a call", "crash in recovery", "cut",
    "doubled call", "doubled notice", "failure in recovery", "fails", "late arrival", "late notice", "n-th call fails",
    "n-th call fails for ever", "outage", "pause", "restart with changed code", "restart with good code",
    "restart with lacks code", "slow", "stall", "store clock jump",
)  # fmt: skip
_RARE = (
    "client died", "commit repeated", "fenced commit", "fenced renew", "parked", "replayed after a commit",
    "reply by way of the store", "takeover", "task handed out again", "timer after the faults",
)  # fmt: skip

WANTED: Sequence[str] = (
    *(f"call {name}" for name in _OPERATIONS),
    *(f"fault {name}" for name in _FAULTS),
    *(f"rare {name}" for name in _RARE),
    *(f"event {event.__name__}" for event in (*FACTS, *DECISIONS)),
    *(f"ask {name}" for name in ("start", "start with signal", "signal", "update", "query", "cancel", "terminate")),
    *(f"ended {status}" for status in ("completed", "failed", "cancelled", "terminated")),
    *(f"trouble {kind}" for kind in KINDS),
)
"""What a run of many seeds must have reached; one that has not proves nothing."""

SEEDS_FOR_ALL = 5_000
SEEDS_FOR_COMMON = 250
"""How many seeds it takes to demand all that is wanted, and all but what is ``SELDOM`` reached.

What is SELDOM reached comes up in less than one of ten seeds, the rarest of it in one of three hundred.
"""

SELDOM = frozenset(
    {
        *(f"trouble {kind}" for kind in KINDS),
        *("ask cancel", "ask terminate", "ended terminated", "event ChildCancelAsked", "event ChildFailed"),
        *("fault crash after a call", "fault crash before a call", "fault crash in recovery"),
        *("fault failure in recovery", "fault late arrival", "fault n-th call fails", "fault n-th call fails for ever"),
        *("fault restart with changed code", "fault restart with lacks code"),
        *("rare client died", "rare fenced commit", "rare parked", "rare task handed out again"),
    }
)


@attrs.frozen
class Failure:
    """A seed that broke something."""

    seed: int
    violations: Sequence[str]
    traceback: str = ""

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"python -m wfactors.testing.simulator --seeds {self.seed}:{self.seed + 1} --trace"


@attrs.define
class Summary:
    """What came of many seeds.

    Attributes:
        counts: How often each thing came up.
        reached: In how many of the seeds it did.
        digests: Of the traces: as many as seeds if no two runs were the same.
        cpu_seconds: Spent on running seeds, both times, on all cores together.
    """

    seeds: int = 0
    failures: list[Failure] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)
    reached: Counter[str] = attrs.field(factory=Counter)
    digests: set[str] = attrs.field(factory=set)
    virtual_seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def seeds_per_second(self) -> float:
        """On one core."""
        return self.seeds / self.cpu_seconds if self.cpu_seconds else 0.0

    @property
    def missing(self) -> list[str]:
        """What was never reached, though so many seeds should have."""
        if self.seeds < SEEDS_FOR_COMMON:
            return [f"{SEEDS_FOR_COMMON} seeds, the fewest that count"]
        is_long = self.seeds >= SEEDS_FOR_ALL
        return [name for name in WANTED if not self.reached[name] and (is_long or name not in SELDOM)]

    @property
    def verdict(self) -> str:
        """``failed``, ``inconclusive`` or ``passed``."""
        return "failed" if self.failures else "inconclusive" if self.missing else "passed"

    def add(self, other: Summary) -> None:
        """Take in the summary of other seeds."""
        self.seeds += other.seeds
        self.failures += other.failures
        self.counts += other.counts
        self.reached += other.reached
        self.digests |= other.digests
        self.virtual_seconds += other.virtual_seconds
        self.cpu_seconds += other.cpu_seconds


def run_seeds(first: int, end: int, jobs: int = 1, *, on_part: Callable[[Summary], None] | None = None) -> Summary:
    """Run the seeds from ``first`` up to and without ``end``, each twice.

    Args:
        first: The first seed.
        end: Where to stop.
        jobs: Processes to use.
        on_part: Told of each part that is done.
    """
    summary = Summary()
    # What is there by now is there to stay: the collector need not look at it after each seed.
    gc.collect()
    gc.freeze()
    try:
        for part in _parts(first, end, jobs):
            summary.add(part)
            if on_part is not None:
                on_part(part)
    finally:
        gc.unfreeze()
    summary.failures.sort(key=lambda failure: failure.seed)
    return summary


def _parts(first: int, end: int, jobs: int) -> Iterator[Summary]:
    numbers = iter(range(first, end))
    chunks = iter(lambda: list(islice(numbers, _CHUNK)), [])
    if jobs == 1:
        yield from map(_run_chunk, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run_chunk, chunks)


def _run_chunk(seeds: Sequence[int]) -> Summary:
    from wfactors.testing.simulator.run import run_twice  # noqa: PLC0415 - of each process, when it is there

    summary = Summary()
    started = time.process_time()
    for seed in seeds:
        outcome = run_twice(seed)
        summary.seeds += 1
        summary.counts += outcome.trace.counts
        summary.reached.update(outcome.trace.counts.keys())
        summary.digests.add(outcome.trace.digest())
        summary.virtual_seconds += outcome.seconds
        if outcome.violations:
            text = "" if outcome.error is None else "".join(traceback.format_exception(outcome.error))
            summary.failures.append(Failure(seed, outcome.violations, text))
    summary.cpu_seconds = time.process_time() - started
    return summary
