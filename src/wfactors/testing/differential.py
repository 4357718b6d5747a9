"""Several stores, one sequence of operations: equal replies and equal contents after every step.

The memory store, which has nothing that could go wrong between its lines, is the oracle; hypothesis chooses the
sequences, and on demand cuts a failing one down to its least. An operation is a name and some numbers; what the
numbers mean is decided when it runs, by looking at the oracle, so that most operations hit something that is there.

A comparison that only ever failed to claim, find or commit would be green and prove nothing. So ``check_equal`` counts
how operations ended and returns the counts, ``never_seen`` says which of the outcomes that matter are missing, and
``check_until_all_seen`` goes on until none is::

    @contextmanager
    def stores(clock):
        with tempfile.TemporaryDirectory() as folder:
            yield [MemoryStore(clock), MyStore(Path(folder) / "store", clock=clock)]

    def test_my_store_equals_memory():
        check_until_all_seen(stores)
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import hypothesis
import trio
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from wfactors.errors import RequestError, StoreError
from wfactors.testing.conformance.builders import ManualClock
from wfactors.testing.differential_steps import STEPS
from wfactors.testing.differential_words import differences
from wfactors.testing.differential_world import Dice, World, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager

    from wfactors.stores.base import Store

__all__ = ["check_equal", "check_until_all_seen", "never_seen", "run_script"]

Script = list[tuple[str, bytes]]
"""Operations by name, each with the numbers that decide what it does, one a byte."""

OUTCOMES = (
    "join: something",
    "renew: something",
    "renew: LeaseLost",
    "leave: done",
    "acquire: something",
    "acquire: nothing",
    "release: done",
    "cluster: something",
    "commit: written",
    "commit: repeated",
    "commit: LeaseLost",
    "commit: StoreCorrupt",
    "wakes: something",
    "inbox: something",
    "claim: something",
    "report: applied",
    "report: refused",
    "heartbeat: applied",
    "heartbeat: asked to stop",
    "create: created",
    "create: refused",
    "create: existing",
    "send: accepted",
    "send: refused",
    "take_reply: something",
    "look: something",
    "listing: something",
    "queues: something",
    "remove: something",
    "remove: nothing",
    "remove: WorkflowStillOpen",
    "remove_finished: instances",
    "remove_finished: runs",
)
"""How operations must have ended at least once for a comparison to mean something."""

_NUMBERS = 64

_ALL_CHECKS: Any = list(HealthCheck)


def check_equal(
    stores: Callable[[ManualClock], AbstractContextManager[Sequence[Store]]],
    *,
    examples: int = 50,
    steps: int = 40,
    seed: int | None = None,
    is_shrinking: bool = False,
) -> Counter[str]:
    """Run sequences of operations on several stores at once; AssertionError at the first difference.

    Args:
        stores: Makes the stores of one example, empty, the oracle first, all judging leases by the given clock.
        examples: How many sequences.
        steps: How many operations in a sequence, at most.
        seed: Gives the same sequences each time; None for others.
        is_shrinking: Cut a failing sequence down to its least. With a store that writes to disk that takes minutes, and
            the message names the operation that the first difference came with, and all before it, anyway.

    Returns:
        How often each operation ended in each way, over all examples.
    """
    seen: Counter[str] = Counter()

    phases = [Phase.reuse, Phase.generate, *([Phase.shrink] if is_shrinking else [])]

    # Quiet, since the message of the failure has its steps in words, which the numbers behind them do not tell.
    @settings(
        max_examples=examples,
        deadline=None,
        phases=phases,
        suppress_health_check=_ALL_CHECKS,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(_scripts(steps))
    def compare(script: Script) -> None:
        clock = ManualClock()
        with stores(clock) as opened:
            seen.update(trio.run(run_script, opened, clock, script))

    if seed is not None:
        compare = hypothesis.seed(seed)(compare)
    compare()
    return seen


def check_until_all_seen(
    stores: Callable[[ManualClock], AbstractContextManager[Sequence[Store]]],
    *,
    examples: int = 50,
    rounds_max: int = 20,
    seed: int | None = None,
    **options: Any,
) -> Counter[str]:
    """Compare stores until every operation has ended in every way that matters, so that green means something.

    Args:
        stores: As for ``check_equal``.
        examples: How many sequences in a round; after each, it looks at what is missing.
        rounds_max: How many rounds at most.
        seed: Of the first round; None for others each time.
        options: Others of ``check_equal``.

    Returns:
        How often each operation ended in each way.

    Raises:
        AssertionError: The stores differ; or it is inconclusive, since something never happened in all rounds.
    """
    seen: Counter[str] = Counter()
    for number in range(rounds_max):
        seen += check_equal(stores, examples=examples, seed=None if seed is None else seed + number, **options)
        if not never_seen(seen):
            return seen
    raise AssertionError(f"inconclusive: in {rounds_max} rounds of {examples} sequences never seen: {never_seen(seen)}")


def never_seen(seen: Counter[str]) -> list[str]:
    """The outcomes that matter and did not happen: while there are any, a green comparison is inconclusive."""
    return [outcome for outcome in OUTCOMES if not seen[outcome]]


async def run_script(stores: Sequence[Store], clock: ManualClock, script: Script) -> Counter[str]:
    """Run one sequence on ``stores``, of which the first is the oracle; returns how its operations ended."""
    seen: Counter[str] = Counter()
    steps: list[str] = []
    async with AsyncExitStack() as opened:
        for store in stores:
            await opened.enter_async_context(store.open())
        world = World(stores[0], clock)
        for store in stores:
            await settle(store)
        for name, numbers in script:
            step = await STEPS[name].plan(world, Dice(numbers))
            if step is None:
                continue
            steps.append(f"{name} {step.what}")
            replies = [await _reply(step.call, store) for store in stores]
            seen[f"{name}: {step.outcome(replies[0])}"] += 1
            _assert_equal(stores, replies, f"the reply to {name}", steps)
            _assert_equal(stores, [await store.dump() for store in stores], f"the contents after {name}", steps)
            world.learn(step, replies[0])
    return seen


def _scripts(steps: int) -> st.SearchStrategy[Script]:
    names = [name for name, step in STEPS.items() for _ in range(step.weight)]
    operation = st.tuples(st.sampled_from(names), st.binary(min_size=_NUMBERS // 2, max_size=_NUMBERS))
    return st.lists(operation, min_size=steps // 2, max_size=steps)


async def _reply(call: Callable[[Store], Awaitable[Any]], store: Store) -> Any:
    """What the store answered; an error that the contract knows is an answer too."""
    try:
        return await call(store)
    except (RequestError, StoreError) as error:
        return type(error)


def _assert_equal(stores: Sequence[Store], values: Sequence[Any], what: str, steps: Sequence[str]) -> None:
    for store, value in zip(stores[1:], values[1:], strict=True):
        if values[0] != value:
            found = [f"  {words}" for words in differences(values[0], value)]
            told = [f"  {number}. {words}" for number, words in enumerate(steps, 1)]
            raise AssertionError(
                "\n".join(
                    [f"{what} of {store.url} is not that of {stores[0].url}:", *found, "after these steps:", *told]
                )
            )
