"""Trio's vocabulary in workflows, over restarts, with room for one workflow in memory."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import wfactors as wf


@wf.activity
async def step(name: str, seconds: float) -> str:
    await trio.sleep(seconds)
    return name


@wf.activity(retry=wf.Retry(attempts=1))
async def fail(message: str) -> None:
    raise ValueError(message)


@wf.workflow
async def in_a_nursery() -> list[str]:
    done: list[str] = []

    async def work(name: str, seconds: float) -> None:
        done.append(await step(name, seconds))
        await wf.sleep(seconds)
        done.append(f"{name} slept")

    async with wf.open_nursery() as nursery:
        nursery.start_soon(work, "a", 30)
        nursery.start_soon(work, "b", 10)
    return done


@wf.workflow
async def started_with_a_status() -> list[str]:
    seen: list[str] = []

    async def server(*, task_status: wf.TaskStatus[str]) -> None:
        await wf.sleep(20)
        task_status.started("ready")
        await wf.sleep_forever()

    async with wf.open_nursery() as nursery:
        seen.append(await nursery.start(server))
        seen.append(await step("used", 20))
        nursery.cancel_scope.cancel()
    return seen


@wf.workflow
async def gathers() -> list[object]:
    seen: list[object] = [list(await wf.gather(step("a", 30), step("b", 10), wf.sleep(20)))]
    try:
        await wf.gather(step("c", 1000), fail("first"), wf.sleep_forever())
    except wf.ActivityError as error:
        seen.append(error.message)
    return seen


@wf.workflow
async def races() -> list[object]:
    async def timeout(seconds: float) -> str:
        await wf.sleep(seconds)
        return "timeout"

    # Far apart: while an engine shuts down it begins no activity, and timers fire all the same.
    return [await wf.race(step("slow", 900), timeout(15)), await wf.race(step("quick", 5), timeout(900))]


@wf.workflow
async def waits_until() -> int:
    total = 0

    async def count() -> None:
        nonlocal total
        async for number in wf.signals("number", int):
            total += number

    async with wf.open_nursery() as nursery:
        nursery.start_soon(count)
        await wf.wait_until(lambda: total >= 30)
        nursery.cancel_scope.cancel()
    return total


@wf.workflow
async def pipes() -> list[str]:
    send, receive = wf.open_memory_channel[str](1)
    results: list[str] = []

    async def produce() -> None:
        async with send:
            for number in range(4):
                await send.send(await step(f"item {number}", 10))

    async def consume() -> None:
        async for item in receive:
            await wf.sleep(15)
            results.append(item)

    async with wf.open_nursery() as nursery:
        nursery.start_soon(produce)
        nursery.start_soon(consume)
    return results


@wf.workflow
async def locks() -> list[str]:
    order: list[str] = []
    lock, limiter, opened = wf.Lock(), wf.CapacityLimiter(2), wf.Event()
    condition, semaphore = wf.Condition(), wf.Semaphore(1)

    async def worker(name: str) -> None:
        await opened.wait()
        async with limiter, semaphore, lock:
            order.append(await step(name, 10))
        async with condition:
            condition.notify_all()

    async with wf.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(worker, name)
        await wf.sleep(5)
        opened.set()
        async with condition:
            while len(order) < 4:
                await condition.wait()
    return order


@wf.workflow
async def except_star() -> list[str]:
    caught: list[str] = []
    try:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(fail, "one")
            nursery.start_soon(step, "never", 1000)
    except* wf.ActivityError as group:
        caught.extend(error.message for error in group.exceptions)
    return caught


@wf.workflow
async def shields() -> list[str]:
    seen: list[str] = []
    with wf.move_on_after(10):
        try:
            await wf.sleep_forever()
        finally:
            with wf.CancelScope(shield=True):
                seen.append(await step("cleaned up", 30))
    seen.append("went on")
    return seen


EXPECTED: list[tuple[Any, object]] = [
    (in_a_nursery, ["b", "b slept", "a", "a slept"]),
    (started_with_a_status, ["ready", "used"]),
    (gathers, [["a", "b", None], "first"]),
    (races, ["timeout", "quick"]),
    (pipes, ["item 0", "item 1", "item 2", "item 3"]),
    (locks, ["a", "b", "c", "d"]),
    (except_star, ["one"]),
    (shields, ["cleaned up", "went on"]),
]
ALL = [workflow for workflow, _ in EXPECTED]


@pytest.mark.parametrize(("workflow", "expected"), EXPECTED, ids=[item.name for item in ALL])
async def test_durable_structured_concurrency(backend, autojump_clock, workflow, expected) -> None:
    """In one go, in one engine."""
    async with backend.engine(workflow, step, fail) as engine:
        assert expected == await engine.run(workflow)


@pytest.mark.parametrize("seconds", [7.0, 13.0, 26.0])
async def test_durable_structured_concurrency_over_restarts(backend, autojump_clock, seconds) -> None:
    """All of them beside each other, restarted again and again, each evicted whenever another one runs."""
    limits = wf.Limits(resident_instances=1)
    results: dict[str, object] = {}
    for _ in range(60):
        async with backend.engine(*ALL, step, fail, limits=limits, grace=1000) as engine:
            if not results:
                for workflow in ALL:
                    await engine.start(workflow, id=workflow.name)
                    results[workflow.name] = None
            await trio.sleep(seconds)
            if await engine.count(status="open") == 0:
                break
    async with backend.engine(*ALL) as engine:
        for workflow, expected in EXPECTED:
            handle = await engine.get(workflow.name)
            assert (workflow.name, expected) == (workflow.name, await handle.result())


@pytest.mark.parametrize("instances", [1, 1000])
async def test_wait_until_over_restarts(backend, autojump_clock, instances) -> None:
    """The predicate is asked again after each replay."""
    limits = wf.Limits(resident_instances=instances)
    for number in range(3):
        async with backend.engine(waits_until, limits=limits) as engine:
            for id in ("a", "b"):
                handle = await engine.start(waits_until, id=id, on_conflict="use_existing")
                await handle.signal("number", 10)
            assert (2 if number < 2 else 0) == await engine.count(status="open") or number == 2
    async with backend.engine(waits_until, limits=limits) as engine:
        assert [30, 30] == [await (await engine.get(id)).result() for id in ("a", "b")]


async def test_eviction_runs_no_author_code_with_effect(backend, autojump_clock) -> None:
    """``finally`` blocks run when a workflow leaves memory; what they command is dropped."""
    evicted: list[str] = []

    @wf.workflow
    async def tidy() -> str:
        try:
            await wf.signals("go").receive()
        finally:
            evicted.append("finally")
            with wf.CancelScope(shield=True):
                await step("cleaned up", 0)
        return "gone on"

    async with backend.engine(tidy, step, limits=wf.Limits(resident_instances=1)) as engine:
        first = await engine.start(tidy)
        second = await engine.start(tidy)
        await trio.sleep(1)
        assert ["finally"] == evicted
        assert ["RunStarted"] == [type(event).__name__ for event in await first.history()]
        for handle in (first, second):
            await handle.signal("go")
            assert "gone on" == await handle.result()
            assert 1 == sum(type(event).__name__ == "ActivityScheduled" for event in await handle.history())
