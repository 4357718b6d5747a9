"""Ctrl-C while the store's thread works."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

import wfactors as wf


class Interrupting:
    """Presses Ctrl-C when a job was handed to the thread and nobody waits for it yet."""

    def __init__(self) -> None:
        self.is_armed = False

    def acquire(self) -> None:
        if self.is_armed:
            self.is_armed = False
            signal.raise_signal(signal.SIGINT)

    def release(self) -> None:
        pass


def test_an_interrupt_between_asking_and_waiting_leaves_the_store_usable(tmp_path: Path, sigint) -> None:
    """KeyboardInterrupt comes out, and no task is woken for an answer that it does not wait for."""
    hold = Interrupting()

    async def main() -> None:
        store = wf.SqliteStore(tmp_path / "store.db", hold=hold, poll_idle_seconds=None)
        async with store.open():
            hold.is_armed = True
            try:
                await store.queues()
            finally:
                with trio.CancelScope(shield=True):
                    assert 0 == len(await store.nodes())
                    assert [] == await store.queues()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
