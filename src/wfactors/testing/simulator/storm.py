"""The faults that take time: processes die, stop, lose the store and come back, while clocks and code change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from wfactors.testing.simulator.process import Process
    from wfactors.testing.simulator.world import World

__all__ = ["Storm"]

_FUSE_CALLS = 8
_RECOVERY_CALLS = 14
_FUSE_SECONDS = 2.0
_FUSE_SHARE = 0.6
_FOR_EVER_SHARE = 0.3


class Storm:
    """Lets the faults of one world happen, for a while."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._odds = world.odds

    async def run(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Let them happen for ``seconds``, or until there is nobody left to suffer."""
        async with trio.open_nursery() as nursery:
            for rate, strike in self._kinds():
                if rate:
                    nursery.start_soon(self._strike_often, rate, strike, nursery)
            with trio.move_on_after(seconds):
                await self._world.wait_until(is_over)
            nursery.cancel_scope.cancel()

    def _kinds(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        odds = self._odds
        yield odds.crash, self._crash
        yield odds.breaks, self._break
        yield odds.pause, self._pause
        yield odds.cut, self._cut
        yield odds.outage, self._outage
        yield odds.restart, self._restart
        yield odds.jump, self._jump
        yield odds.store_jump, self._store_jump

    async def _strike_often(self, rate: float, strike: Callable[[], Awaitable[None]], nursery: trio.Nursery) -> None:
        while True:
            await trio.sleep(self._random.expovariate(rate))
            nursery.start_soon(strike)

    def _victim(self) -> Process | None:
        alive = self._world.alive
        return self._random.choice(alive) if alive else None

    async def _crash(self) -> None:
        """A process dies, now or at one of its calls; maybe its successor does so too, while it recovers."""
        victim, random, world = self._victim(), self._random, self._world
        calls = _FUSE_CALLS
        while victim is not None:
            if calls == _RECOVERY_CALLS or random.random() < _FUSE_SHARE:
                victim.link.fuse = (random.randint(0, calls), random.random() < 0.5)  # noqa: PLR2004
                with trio.move_on_after(_FUSE_SECONDS):
                    await victim.has_ended.wait()
            if calls == _RECOVERY_CALLS and victim.is_alive:
                return
            victim.die()
            await trio.sleep(random.uniform(0.0, 2 * world.lease_seconds))
            if world.slots[victim.slot] is not victim:
                return
            victim = world.start_process(victim.slot)
            if random.random() >= self._odds.relapse:
                return
            calls = _RECOVERY_CALLS
            if random.random() < 0.5:  # noqa: PLR2004
                victim.link.break_at_call(random.randint(0, calls), for_ever=False)
                return

    async def _break(self) -> None:
        """The n-th call of a process fails, and maybe all after it until it is started again."""
        victim = self._victim()
        if victim is not None:
            for_ever = self._random.random() < _FOR_EVER_SHARE
            victim.link.break_at_call(self._random.randint(0, _FUSE_CALLS), for_ever=for_ever)

    async def _pause(self) -> None:
        victim, world = self._victim(), self._world
        if victim is None or victim.link.is_paused:
            return
        world.count("fault pause")
        world.trace_line(victim.name, "is stopped")
        victim.link.pause()
        await trio.sleep(self._random.uniform(0.1, 2.5 * world.lease_seconds))
        victim.link.resume()
        world.trace_line(victim.name, "goes on")

    async def _cut(self) -> None:
        victim, world = self._victim(), self._world
        if victim is not None and not victim.link.is_cut:
            world.count("fault cut")
            world.trace_line(victim.name, "is cut off")
            victim.link.is_cut = True
            await trio.sleep(self._random.uniform(0.1, 2.0 * world.lease_seconds))
            victim.link.is_cut = False

    async def _outage(self) -> None:
        world = self._world
        world.count("fault outage")
        world.trace_line("store", "is down")
        links = [link for link in world.links if not link.is_cut and not link.is_safe]
        for link in links:
            link.is_cut = True
        await trio.sleep(self._random.uniform(0.1, 2.0 * world.lease_seconds))
        for link in links:
            link.is_cut = False

    async def _restart(self) -> None:
        victim, world = self._victim(), self._world
        if victim is None:
            return
        version = self._random.choice(world.crew.versions)
        world.count(f"fault restart with {version} code")
        victim.leave()
        await victim.has_ended.wait()
        if world.slots[victim.slot] is victim:
            world.start_process(victim.slot, version)

    async def _jump(self) -> None:
        victim, world = self._victim(), self._world
        if victim is not None:
            world.count("fault clock jump")
            victim.clock.skew += self._random.uniform(-2, 2)
            world.trace_line(victim.name, "clock jumps", victim.clock.skew)

    async def _store_jump(self) -> None:
        world = self._world
        world.count("fault store clock jump")
        world.store_ahead += self._random.uniform(0, 2) * world.lease_seconds
        world.trace_line("store", "clock jumps", world.store_ahead)
