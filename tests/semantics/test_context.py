"""Context: strings that go from client to workflow to activity and child, also when they change on the way."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf


@wf.activity
async def seen() -> dict[str, str]:
    return wf.activity_context()


@wf.workflow
async def child() -> dict[str, str]:
    return await seen()


@wf.workflow
async def passes_on() -> list[dict[str, str]]:
    context = wf.context()
    found = [dict(context), await seen(), await child()]
    context["step"] = "second"
    await wf.sleep(10)
    del context["user"]
    found += [await seen(), await child(), await child.options(queue="other")()]
    handle = await wf.start_child(child, id="named")
    return [*found, await handle.result()]


@wf.workflow
async def continues() -> dict[str, str]:
    if wf.info().run == 1:
        wf.continue_as_new()
    return dict(wf.context())


SENT = {"user": "ada", "trace": "t1"}
CHANGED = {"trace": "t1", "step": "second"}


@pytest.mark.parametrize("instances", [1, 1000])
async def test_context_goes_from_client_to_workflow_to_activity(backend, autojump_clock, instances) -> None:
    """What the workflow changes goes to the calls made from then on."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.engine(passes_on, child, seen, queues=["default", "other"], limits=limits) as engine:
        assert [SENT] * 3 + [CHANGED] * 4 == await engine.run(passes_on, context=SENT)


async def test_context_survives_a_restart(backend, autojump_clock) -> None:
    """What was changed before it is there after it."""
    async with backend.engine(passes_on, child, seen) as engine:
        await engine.start(passes_on, id="p", context=SENT)
        await trio.sleep(5)
    async with backend.engine(passes_on, child, seen, queues=["default", "other"]) as engine:
        assert [SENT] * 3 + [CHANGED] * 4 == await (await engine.get("p")).result()


async def test_context_goes_on_with_continue_as_new(backend, autojump_clock) -> None:
    """The next run has that of the first."""
    async with backend.engine(continues) as engine:
        assert SENT == await engine.run(continues, context=SENT)


async def test_context_of_signal_with_start(backend, autojump_clock) -> None:
    """It goes with the start."""

    @wf.workflow
    async def listens() -> dict[str, str]:
        await wf.signals("go").receive()
        return dict(wf.context())

    async with backend.engine(listens) as engine:
        handle = await engine.signal_with_start(listens, id="s", signal="go", context=SENT)
        assert SENT == await handle.result()
