"""The rows of a batch are made ready on the event loop, in parts."""

from __future__ import annotations

import pytest
import trio

from tests.slices import SlicesEnd
from wfactors import pace
from wfactors.model.records import Batch
from wfactors.stores.sqlite_writes import plan_commit
from wfactors.testing.conformance.builders import task


async def test_a_large_batch_leaves_the_loop_free_between_its_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 tasks are statements of at most 256 rows, and a checkpoint behind each."""
    monkeypatch.setattr(pace, "time", SlicesEnd())
    steps = 0

    class Steps(trio.abc.Instrument):
        def before_task_step(self, _: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += 1

    tasks = [task(call=number) for number in range(1000)]
    trio.lowlevel.add_instrument(instrument := Steps())
    plan = await plan_commit(Batch("default:0", 1, 1, tasks=tasks))
    trio.lowlevel.remove_instrument(instrument)
    rows = [text.count("(?") for text, _ in plan.statements]
    assert [256, 256, 256, 128, 64, 32, 8] == rows
    assert len(rows) == steps
