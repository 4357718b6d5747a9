"""A simulated process: one production engine with a clock and a link to the store of its own.

It dies by losing its link for good: whatever it still does is seen by nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wfactors.testing.simulator.faults import NO_FAULTS, Link, ProcessDied
from wfactors.testing.simulator.invariants import EPOCH

if TYPE_CHECKING:
    import wfactors as wf
    from wfactors.activity import ActivityInfo
    from wfactors.testing.simulator.world import World

__all__ = ["Process", "leaf_of"]

_REREAD_SECONDS = 1.0


class _ProcessClock:
    """The wall clock of a process: it may be wrong, and it may jump."""

    def __init__(self, skew: float) -> None:
        self.skew = skew

    def now(self) -> float:
        """Seconds since the epoch, as this process believes."""
        return EPOCH + self.skew + trio.current_time()

    async def sleep_until(self, at: float) -> None:
        """As ``SystemClock`` does."""
        while (rest := at - self.now()) > 0:
            await trio.sleep(max(min(rest, _REREAD_SECONDS), 1e-6))
        await trio.lowlevel.checkpoint()


class Process:
    """A process that runs one engine.

    Attributes:
        name: Of this process; one that is started again has a new one.
        slot: Its place in the world, which its successor takes.
        version: Of its code.
        link: To the store.
        engine: While it runs.
        has_ended: Set when all of it is gone.
        clients: The requests that are under way in it; they die with it.
    """

    def __init__(self, world: World, slot: int, number: int, version: str) -> None:
        self.name = f"p{slot}.{number}"
        self.slot = slot
        self.version = version
        self.clock = _ProcessClock(world.skew())
        self.link = Link(world, self.name, world.odds if world.is_stormy else NO_FAULTS, self.clock.now)
        self.link.on_fuse = self.die
        self.engine: wf.Engine | None = None
        self.has_ended = trio.Event()
        self.clients: dict[trio.CancelScope, None] = {}
        self._world = world
        self._leaving = trio.Event()
        self._scope = trio.CancelScope()

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or is stopped and may go on."""
        return not (self.link.is_dead or self.has_ended.is_set())

    def has_started(self, instance: str, run: int) -> bool:
        """Whether the beginning of a run is in the store."""
        return (instance, run) in self._world.watch.started

    def effect(self, info: ActivityInfo) -> None:
        """An activity has done its work here; one of a dead process has not."""
        if not self.link.is_dead:
            self._world.note(
                "effect",
                instance=info.instance,
                run=info.run,
                call=info.call,
                attempt=info.attempt,
                key=info.idempotency_key,
            )

    def die(self) -> None:
        """As by ``kill -9``: from here on nothing of it reaches anybody."""
        if self.is_alive:
            self._world.trace_line(self.name, "dies")
            self._world.count("fault crash")
            engine, self.engine = self.engine, None
            self.link.die()
            self._scope.cancel()
            if engine is not None:
                # A process that is killed does not shut down in order: its activities get no time to end.
                engine._node._session.cancel()  # noqa: SLF001 - no engine would offer that
            for scope in list(self.clients):
                scope.cancel()

    @property
    def is_leaving(self) -> bool:
        """Whether it was asked to shut down."""
        return self._leaving.is_set()

    def leave(self) -> None:
        """Ask it to shut down in order."""
        self._leaving.set()

    async def run(self) -> None:
        """Run the engine until it leaves or dies."""
        world = self._world
        try:
            with self._scope:
                async with world.open_engine(self) as engine:
                    self.engine = engine
                    world.trace_line(self.name, "runs", self.version)
                    await self._leaving.wait()
                    self.engine = None
                    world.take_figures(self, engine)
        except* ProcessDied:
            pass
        except* Exception as group:
            if self.is_alive:
                world.broken("engine", f"the engine of {self.name} crashed: {leaf_of(group)!r}", group)
        finally:
            self.engine = None
            self.has_ended.set()
            world.trace_line(self.name, "ends")


def leaf_of(error: BaseException) -> BaseException:
    """The first exception inside of groups of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
