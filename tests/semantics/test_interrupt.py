"""Ctrl-C in a program that runs an engine."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

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
