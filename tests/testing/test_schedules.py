"""Many orders of what is independent, each repeatable, and failures made small."""

from __future__ import annotations

import random

import pytest
import trio

import wfactors as wf
from wfactors.testing import ScheduleFailure, fuzz_schedules, open_tester, run_in_virtual_time
from wfactors.testing.scheduler import seeded_scheduler
from wfactors.testing.schedules import Schedule, _arranging


@wf.activity
async def put(text: str) -> str:
    return text


@wf.workflow
async def collect() -> list[str]:
    """The results in the order in which they came."""
    found = []

    async def one(text: str) -> None:
        found.append(await put(text))

    async with wf.open_nursery() as nursery:
        for text in "abc":
            nursery.start_soon(one, text)
    return found


async def any_order(tester) -> None:
    assert sorted(await tester.run(collect)) == ["a", "b", "c"]


async def one_order(tester) -> None:
    assert await tester.run(collect) == ["a", "b", "c"]


async def draws(tester) -> None:
    for _ in range(random.SystemRandom().randrange(1, 1000)):
        await trio.lowlevel.checkpoint()


def test_many_orders_are_tried():
    report = fuzz_schedules(any_order, range(20), register=[put])
    assert len(report.traces) == 20
    assert report.distinct > 10
    assert report.decisions > 5


def test_a_seed_is_always_the_same_order():
    """And another seed is another one."""
    first = fuzz_schedules(any_order, range(5), register=[put])
    again = fuzz_schedules(any_order, range(5), register=[put])
    assert first == again


def test_results_come_in_different_orders():
    seen = set()

    async def look(tester) -> None:
        seen.add(tuple(await tester.run(collect)))

    fuzz_schedules(look, range(30), register=[put])
    assert len(seen) > 3


def test_a_failure_is_made_small_and_repeats():
    """One decision is enough to break it, and the line that is printed breaks it again."""
    with pytest.raises(ScheduleFailure) as caught:
        fuzz_schedules(one_order, register=[put])
    schedule = caught.value.schedule
    assert schedule.count("=") == 1
    message = str(caught.value)
    assert f'fuzz_schedules(one_order, schedule="{schedule}")' in message
    assert f"decision {schedule.partition('=')[0]}: " in message
    assert isinstance(caught.value.__cause__, AssertionError)
    with pytest.raises(ScheduleFailure) as again:
        fuzz_schedules(one_order, schedule=schedule, register=[put])
    assert again.value.schedule == schedule


def test_another_result_than_in_plain_order_is_a_failure():
    """What the test returns is compared; it is shrunk and repeats like any other failure."""

    async def returns(tester) -> list[str]:
        return await tester.run(collect)

    with pytest.raises(ScheduleFailure, match="AssertionError: it returned .*, in plain order") as caught:
        fuzz_schedules(returns, range(100), register=[put])
    assert 1 == caught.value.schedule.count("=")
    with pytest.raises(ScheduleFailure, match="it returned"):
        fuzz_schedules(returns, schedule=caught.value.schedule, register=[put])
    assert fuzz_schedules(returns, schedule="", register=[put]).traces == {}


def test_a_schedule_that_passes_passes():
    assert fuzz_schedules(one_order, schedule="", register=[put]).traces == {}


def test_a_test_that_fails_anyway_says_so():
    async def wrong(tester) -> None:
        raise ValueError("always")

    with pytest.raises(ScheduleFailure, match="in plain order: ValueError: always"):
        fuzz_schedules(wrong)


def test_a_test_may_open_its_own_tester():
    async def alone() -> None:
        async with open_tester(register=[put]) as tester:
            assert len(await tester.run(collect)) == 3

    assert len(fuzz_schedules(alone, range(3)).traces) == 3
    with pytest.raises(TypeError, match="for nobody"):
        fuzz_schedules(alone, register=[put])


def test_chance_from_elsewhere_is_noticed():
    with pytest.raises(RuntimeError, match="not deterministic"):
        fuzz_schedules(draws)


def test_milliseconds_are_kept_apart():
    """Only what is due at the same moment changes places."""

    @wf.workflow
    async def waits() -> str:
        with wf.move_on_after(10):
            return await wf.signals("go", str).receive()
        return "late"

    async def race(tester) -> None:
        tester.after(9.999, tester.signal, "w", "go", "in time")
        assert await tester.run(waits, id="w") == "in time"

    fuzz_schedules(race, range(20))


def test_the_place_where_trio_keeps_its_dice_is_still_there():
    """The schedule decides the order of ready tasks: if Trio moves its dice, this fails."""

    def order(chosen: dict[int, int]) -> list[int]:
        ran = []

        async def note(number: int) -> None:
            ran.append(number)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(note, number)

        with seeded_scheduler(0), _arranging(Schedule(chosen=chosen)):
            run_in_virtual_time(main)
        return ran

    assert order({}) == [0, 1, 2, 3, 4]
    orders = [order(dict.fromkeys(range(20), value)) for value in range(1, 6)]
    assert orders == [order(dict.fromkeys(range(20), value)) for value in range(1, 6)]
    assert len({tuple(ran) for ran in orders}) > 2
