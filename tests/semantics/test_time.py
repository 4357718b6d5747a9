"""What clocks do, and what becomes of timers when they jump."""

from __future__ import annotations

from typing import Any

import trio

import wfactors as wf


class JumpyClock:
    """A wall clock that somebody sets; like the system's clock it is read again at least every second."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.offset = 0.0

    def now(self) -> float:
        return self._clock.now() + self.offset

    async def sleep_until(self, at: float) -> None:
        while (rest := at - self.now()) > 0:
            await trio.sleep(max(1e-6, min(rest, 1.0)))
        await trio.lowlevel.checkpoint()


@wf.workflow
async def naps(seconds: float) -> list[float]:
    start = wf.current_time()
    await wf.sleep(seconds)
    middle = wf.current_time()
    await wf.sleep(seconds)
    return [round(middle - start), round(wf.current_time() - middle)]


@wf.activity(start_to_close=60)
async def work(seconds: float) -> str:
    await trio.sleep(seconds)
    return "done"


@wf.workflow
async def works(seconds: float) -> str:
    return await work(seconds)


def jumpy(backend: Any, *register: Any, clock: JumpyClock) -> Any:
    """An engine whose wall clock is ``clock``, on a store whose clock is not."""
    return wf.open_engine(backend.store(), register=register, clock=clock, hold=backend._hold)


async def test_a_jump_forward_is_noticed_within_a_second(backend, autojump_clock) -> None:
    """The timer fires although it was armed before."""
    clock = JumpyClock(backend.clock)
    async with jumpy(backend, naps, clock=clock) as engine:
        handle = await engine.start(naps, 3600)
        await trio.sleep(10)
        clock.offset = 3600
        start = trio.current_time()
        with trio.move_on_after(5):
            while not any(type(event).__name__ == "TimerFired" for event in await handle.history()):
                await trio.sleep(0.1)
        assert trio.current_time() - start < 2


async def test_a_jump_backward_delays_timers_and_loses_none(backend, autojump_clock) -> None:
    """They fire when the wall clock shows their time; the time of the workflow never goes back."""
    clock = JumpyClock(backend.clock)
    async with jumpy(backend, naps, clock=clock) as engine:
        handle = await engine.start(naps, 100)
        await trio.sleep(50)
        clock.offset = -100
        start = trio.current_time()
        assert [100, 100] == await handle.result()
        assert 249 <= trio.current_time() - start < 252


async def test_leases_and_attempts_do_not_notice_a_jump(backend, autojump_clock) -> None:
    """They go by the store's clock, and by how long something took."""
    clock = JumpyClock(backend.clock)
    async with jumpy(backend, works, work, clock=clock) as engine:
        name = engine.name
        handle = await engine.start(works, 50)
        await trio.sleep(10)
        clock.offset = 1_000_000
        assert "done" == await handle.result()
        assert name == engine.name
