"""A store that its node has left: workflows that ended in every way, and some that are still open."""

from __future__ import annotations

import contextlib

import trio

import wfactors as wf
from wfactors.errors import ResultError

CHILDREN = 14
DEPTH = 8


@wf.workflow
async def leaf(number: int) -> int:
    return number


@wf.workflow
async def crowd() -> int:
    return sum(await wf.gather(*(leaf.options(attributes={"number": n})(n) for n in range(CHILDREN))))


@wf.workflow
async def nest(depth: int) -> int:
    return await nest(depth - 1) + 1 if depth else 0


@wf.workflow
async def again(left: int) -> str:
    if left:
        wf.continue_as_new(left - 1)
    return "enough"


@wf.workflow
async def listener() -> bool:
    return await wf.signals("go", bool).receive()


@wf.workflow
async def idle() -> None:
    await wf.sleep_forever()


@wf.workflow
async def sleepers() -> None:
    async with wf.open_nursery() as nursery:
        for number in range(CHILDREN):
            nursery.start_soon(wf.sleep, 3600 + number)


@wf.workflow
async def stuck() -> None:
    await wf.Event().wait()


@wf.workflow
async def failing() -> None:
    raise ValueError("no luck")


REGISTERED = [leaf, crowd, nest, again, listener, idle, sleepers, stuck, failing]


async def _leave(url: str) -> None:
    async with wf.open_engine(url, register=REGISTERED, code_version="v1") as engine:
        for workflow, argument in ((nest, [DEPTH]), (crowd, []), (again, [1])):
            await engine.run(workflow, *argument, id=workflow.name)
        with trio.fail_after(10):
            for workflow in (listener, idle, sleepers, stuck):
                handle = await engine.start(workflow, id=workflow.name)
                while (await handle.describe()).events == 0:
                    await trio.sleep(0.001)
            while (await handle.describe()).parked is None:
                await trio.sleep(0.001)
        with contextlib.suppress(ResultError):
            await engine.run(failing, id="failing")
        # Named twice: as it is, and as another one is shown.
        for id in ("a\nb", "a\\x0ab"):
            await engine.start(listener, id=id)
    async with wf.open_client(url) as client:
        await client.start(listener, id="waiting")


def leave(url: str) -> None:
    """Run the workflows, and go."""
    trio.run(_leave, url)
