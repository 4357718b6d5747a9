"""Ctrl-C in a program that runs an engine."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio
import trio.testing

import wfactors as wf

_presses = [0]


@wf.workflow
async def pressed() -> str:
    if not _presses[0]:
        _presses[0] = 1
        signal.raise_signal(signal.SIGINT)
    return "done"


def test_ctrl_c_in_a_step_of_a_workflow_fails_nothing(tmp_path: Path, sigint) -> None:
    """The program ends with KeyboardInterrupt; the workflow is open and goes on with the next engine."""
    _presses[0] = 0
    url = f"sqlite:///{tmp_path}/store.db"

    async def first() -> None:
        async with wf.open_engine(url, register=[pressed]) as engine:
            await engine.run(pressed, id="p")
            await trio.sleep_forever()

    async def second() -> str:
        async with wf.open_engine(url, register=[pressed]) as engine:
            return await (await engine.get("p")).result()

    with pytest.raises(KeyboardInterrupt):
        trio.run(first)
    assert "done" == trio.run(second)


@trio.lowlevel.enable_ki_protection
def press() -> None:
    """Press Ctrl-C where Trio gives it to the main task."""
    signal.raise_signal(signal.SIGINT)


@wf.activity
async def presses_twice() -> str:
    """The second time while the engine waits for this activity, which has half an hour to end."""
    if _presses[0] == 0:
        _presses[0] = 1
        press()
        await trio.testing.wait_all_tasks_blocked()
        _presses[0] = 2
        press()
        await trio.sleep_forever()
    return "done"


@wf.workflow
async def calls_it() -> str:
    return await presses_twice()


def test_a_second_ctrl_c_ends_the_shutdown_at_once(tmp_path: Path, sigint) -> None:
    """Nothing is waited for any longer; the next engine goes on from the store."""
    _presses[0] = 0
    url = f"sqlite:///{tmp_path}/store.db"

    async def first() -> None:
        with trio.fail_after(60):
            async with wf.open_engine(url, register=[calls_it, presses_twice], grace=1800) as engine:
                await engine.run(calls_it, id="p")

    async def second() -> str:
        async with wf.open_engine(url, register=[calls_it, presses_twice]) as engine:
            return await (await engine.get("p")).result()

    with pytest.raises(KeyboardInterrupt):
        trio.run(first)
    assert [2] == _presses
    assert "done" == trio.run(second)
