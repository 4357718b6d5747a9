"""The always-replay sanitizer finds what is not recorded, and harms nobody."""

from __future__ import annotations

import itertools
import logging

import attrs
import pytest

import wfactors as wf
from wfactors.testing import assert_no_difference, open_tester

numbers = itertools.count()


@wf.activity
async def first() -> str:
    return "first"


@wf.activity
async def second() -> str:
    return "second"


@wf.workflow
async def moody() -> str:
    """Does something else each time it runs."""
    activity = first if next(numbers) % 2 == 0 else second
    await wf.sleep(1)
    return await activity()


@wf.workflow
async def steady() -> int:
    total = 0

    @wf.query
    def so_far() -> int:
        return total

    @wf.update
    async def add(n: int) -> int:
        nonlocal total
        total += n
        await wf.sleep(1)
        return total

    async for n in wf.signals("add", int):
        total += n
        if total > 10:
            break
    await wf.sleep(1)
    return total


@wf.workflow
async def relay(left: int) -> None:
    await wf.sleep(1)
    if left:
        wf.continue_as_new(left - 1)


async def test_every_instance_is_replayed_after_every_commit(engine, virtual_time):
    """And its next turn runs on a replayed run: signals, queries, updates and timers do not notice."""
    async with engine(steady, replay_check="always") as running:
        handle = await running.start(steady)
        for n in (1, 2):
            await handle.signal("add", n)
        assert await handle.query("so_far") == 3
        assert await handle.update("add", 4) == 7
        await handle.signal("add", 5)
        assert await handle.result() == 12
        await running.replay_check.wait_idle()
        figures = running.statistics()
        assert figures.replay_check.replayed >= 6
        assert figures.replay_check.differences == 0
        assert figures.partitions[0].loads >= 4
        assert_no_difference(running)


async def test_a_difference_is_logged_and_counted_and_harms_nobody(engine, caplog):
    """A completed run is replayed; what differs is told with the id, and the result stays."""
    async with engine(moody, first, second, replay_check=1.0) as running:
        assert await running.run(moody, id="m") in ("first", "second")
        await running.replay_check.wait_idle()
        found = running.statistics().replay_check
        assert (found.replayed, found.differences) == (1, 1)
        assert attrs.asdict(found) == {"replayed": 1, "differences": 1, "skipped": 0}
        assert [difference.id for difference in running.replay_check.latest] == ["m"]
        assert isinstance(running.replay_check.latest[0].error, wf.NonDeterminismError)
        assert [record.levelno for record in caplog.records if "replay of workflow m" in record.message] == [
            logging.ERROR
        ]
        with pytest.raises(AssertionError, match="the replay of workflow 'm'"):
            assert_no_difference(running)
        handle = await running.get("m")
        assert (await handle.describe()).parked is None


async def test_the_tester_tells_of_a_difference(autojump_clock):
    with pytest.raises(AssertionError, match="is not what was recorded"):
        async with open_tester(register=[first, second]) as tester:
            await tester.run(moody)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 12), (0.5, 6), (0.25, 3), (0, None), (None, None)])
async def test_a_share_of_the_ended_runs_is_replayed(engine, share, expected):
    """The first one is among them; runs that continued as new count."""
    async with engine(relay, replay_check=share) as running:
        for _ in range(4):
            await running.run(relay, 2)
        if expected is None:
            assert running.statistics().replay_check is None
        else:
            await running.replay_check.wait_idle()
            assert running.statistics().replay_check.replayed == expected


@pytest.mark.parametrize(
    ("bad", "error"), [(2, ValueError), (-0.1, ValueError), ("often", TypeError), (True, TypeError)]
)
async def test_nonsense_is_refused(engine, bad, error):
    with pytest.raises(error, match="replay_check"):
        async with engine(replay_check=bad):
            raise AssertionError


async def test_without_a_replay_check_nothing_can_be_asserted(engine):
    async with engine() as running:
        with pytest.raises(AssertionError, match="no replay check"):
            assert_no_difference(running)
