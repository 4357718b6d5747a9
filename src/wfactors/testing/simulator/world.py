"""One simulated world: a store, the processes that run engines on it, and the time they live in.

A *process* is a production engine with a clock and a link to the store of its own. It dies by losing its link for good:
whatever it still does is seen by nobody. Everything happens in one Trio run on one ``MockClock``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import Any, cast

import trio

import wfactors as wf
from wfactors.activity import ActivityInfo
from wfactors.convert import CattrsConverter, DataPort
from wfactors.model.limits import Limits
from wfactors.stores.base import Store
from wfactors.stores.changes import Changes
from wfactors.stores.memory import MemoryStore
from wfactors.testing.auditor import Entry
from wfactors.testing.simulator.faults import NO_FAULTS, Link, Odds, ProcessDied
from wfactors.testing.simulator.invariants import Watch
from wfactors.testing.simulator.trace import Trace

__all__ = ["Endless", "Process", "World"]

EPOCH = 1_700_000_000.0
_REREAD_SECONDS = 1.0
_LINES_MAX = 15_000
_CONVERTER = CattrsConverter()


class Endless(BaseException):
    """The engines ask the store again and again and time does not pass, or nothing comes of it."""


class _Broadcast(Changes):
    """The store's notices: at once to whoever wrote, by way of the network to everybody else."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def publish(self, topics: Iterable[str]) -> None:
        """Tell every process."""
        world, topics = self._world, list(topics)
        origin = world.callers.get(trio.lowlevel.current_task())
        for link in world.links:
            if link is origin:
                link.changes.publish(topics)
            elif not link.is_dead:
                link.notify(topics)


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
        link: To the store.
        engine: While it runs.
        has_ended: Set when all of it is gone.
    """

    def __init__(self, world: World, slot: int, number: int, version: str) -> None:
        self.name = f"p{slot}.{number}"
        self.slot = slot
        self.version = version
        self.link = Link(world, self.name, world.odds if world.is_stormy else NO_FAULTS)
        self.link.on_fuse = self.die
        self.clock = _ProcessClock(world.skew())
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
            self.engine = None
            self.link.die()
            self._scope.cancel()
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
        except* ProcessDied:
            pass
        except* Exception as group:
            if self.is_alive:
                world.broken("engine", f"the engine of {self.name} crashed: {_leaf(group)!r}", group)
        finally:
            self.engine = None
            self.has_ended.set()
            world.trace_line(self.name, "ends")


class World:
    """Everything of one run.

    Attributes:
        store: The one store, without faults.
        links: Of all processes that may hear of changes, the client's too.
        callers: Whose call each task carries out at the store right now.
        is_stormy: Faults happen; they stop when the world heals.
        violations: What was broken, in words.
    """

    def __init__(
        self, seed: int, odds: Odds, nursery: trio.Nursery, application: Callable[[Process, str], Any]
    ) -> None:
        self.seed = seed
        self.odds = odds
        self.nursery = nursery
        self.random = random = Random(f"{seed}/world")
        self.trace = Trace()
        self.violations: list[str] = []
        self.error: BaseException | None = None
        self.entries: list[Entry] = []
        self.links: list[Link] = []
        self.callers: dict[trio.lowlevel.Task, Link] = {}
        self.in_flight = 0
        self.is_stormy = True
        self.store_ahead = 0.0
        self.store = MemoryStore(clock=self.store_now)
        self.store.changes = _Broadcast(self)
        self.watch = Watch(self.broken, self.count)
        self.lease_seconds = random.choice((1.5, 3.0))
        self.partitions = random.choice((1, 1, 2))
        self.queues = random.choice((("default",), ("default", "far")))
        self.slots: list[Process | None] = []
        self._application = application
        self._started = 0
        self._limits = [self._draw_limits() for _ in range(5)]

    def _draw_limits(self) -> Limits:
        random = self.random
        return Limits(
            resident_instances=random.choice((1, 2, 3, 1000)),
            activities=random.choice((1, 2, 1000)),
        )

    # --- Time ---

    def store_now(self) -> float:
        """The store's clock."""
        return EPOCH + self.store_ahead + trio.current_time()

    def skew(self) -> float:
        """How wrong the clock of a new process is."""
        return self.random.uniform(-1, 1) * self.odds.skew

    def later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Call a function after ``delay`` seconds."""

        async def call() -> None:
            await trio.sleep(delay)
            function(*args)
            self.in_flight -= 1

        self.in_flight += 1
        self.nursery.start_soon(call)

    def later_call(self, delay: float, link: Link, *call: Any) -> None:
        """Let a call arrive once more."""

        async def repeat() -> None:
            await trio.sleep(delay)
            await link.repeat(*call)
            self.in_flight -= 1

        self.in_flight += 1
        self.nursery.start_soon(repeat)

    # --- What is seen ---

    def count(self, name: str) -> None:
        """Something worth counting happened."""
        self.trace.counts[name] += 1

    def trace_line(self, who: str, what: str, details: object = "") -> None:
        """Add a line to the trace."""
        self.trace.lines.append((trio.current_time(), who, what, details))

    def note(self, kind: str, **fields: object) -> None:
        """Add an entry to the effect log."""
        self.entries.append(Entry(kind, 0, fields))
        self.trace_line("log", kind, tuple(fields.values()))

    def broken(self, invariant: str, text: str, error: BaseException | None = None) -> None:
        """A promise was broken."""
        self.violations.append(f"{invariant}: {text}")
        self.trace_line("watch", "BROKEN", text)
        if self.error is None:
            self.error = error

    def called(self, link: Link, operation: str, outcome: str) -> None:
        """A process has the answer to a call."""
        self.trace_line(link.name, operation, outcome)
        if len(self.trace.lines) > _LINES_MAX:
            raise Endless(f"more than {_LINES_MAX} lines of trace: something goes round in a circle")
        self.trace.counts[f"call {operation}{' ' if outcome else ''}{outcome}"] += 1

    def done(self, link: Link, operation: str, args: Sequence[Any], value: Any) -> None:
        """The store has carried out a call."""
        self.watch.done(operation, args, value)
        if operation == "commit":
            batch = args[0]
            self.trace_line(
                link.name,
                "committed",
                (batch.partition, batch.epoch, batch.sequence, len(batch.headers), len(batch.appends)),
            )

    def refused(self, link: Link, operation: str, args: Sequence[Any]) -> None:
        """The store has refused a call of somebody who is not the owner any more."""
        self.count(f"rare fenced {operation}")
        self.trace_line(link.name, f"fenced {operation}", args[0].epoch if operation == "commit" else "")

    # --- Processes ---

    def open_engine(self, process: Process) -> Any:
        """The production engine in a process."""
        link = process.link
        self.links.append(link)
        return wf.open_engine(
            cast("Store", link),
            register=self._application(process, process.version),
            queues=self.queues,
            limits=self._limits[process.slot],
            converter=_CONVERTER,
            lease=self.lease_seconds,
            grace=0.0 if process.slot % 2 else 1.0,
            partitions=self.partitions,
            clock=process.clock,
            code_version=process.version,
        )

    def start_process(self, slot: int, version: str = "good") -> Process:
        """Start a process in a slot that is free."""
        self._started += 1
        process = Process(self, slot, self._started, version)
        self.slots[slot] = process
        self.nursery.start_soon(process.run)
        return process

    def client(self, name: str) -> tuple[wf.Client, Link]:
        """A client in a process of its own, which never dies."""
        link = Link(self, name, self.odds)
        self.links.append(link)
        client = wf.Client(
            cast("Store", link),
            DataPort(_CONVERTER),
            now=lambda: EPOCH + trio.current_time(),
            partitions=self.partitions,
        )
        return client, link

    @property
    def alive(self) -> list[Process]:
        """The processes that have not died and are not gone."""
        return [process for process in self.slots if process is not None and process.is_alive]

    # --- Faults that take time ---

    async def storm(self, seconds: float) -> None:
        """Let processes die, stop, lose the store and come back, for a while."""
        kinds: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "crash": (self.odds.crash, self._crash),
            "pause": (self.odds.pause, self._pause),
            "cut": (self.odds.cut, self._cut),
            "outage": (self.odds.outage, self._outage),
            "restart": (self.odds.restart, self._restart),
            "jump": (self.odds.jump, self._jump),
            "store jump": (self.odds.store_jump, self._store_jump),
        }
        async with trio.open_nursery() as nursery:
            for rate, strike in kinds.values():
                if rate:
                    nursery.start_soon(self._strike_often, rate, strike, nursery)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()

    async def _strike_often(self, rate: float, strike: Callable[[], Awaitable[None]], nursery: trio.Nursery) -> None:
        while True:
            await trio.sleep(self.random.expovariate(rate))
            nursery.start_soon(strike)

    def _victim(self) -> Process | None:
        alive = self.alive
        return self.random.choice(alive) if alive else None

    async def _crash(self) -> None:
        victim, random = self._victim(), self.random
        if victim is None:
            return
        if random.random() < 0.6:  # noqa: PLR2004
            victim.link.fuse = (random.randint(0, 8), random.random() < 0.5)  # noqa: PLR2004
            with trio.move_on_after(2):
                await victim.has_ended.wait()
        victim.die()
        await trio.sleep(random.uniform(0.0, 2 * self.lease_seconds))
        if self.slots[victim.slot] is victim:
            self.start_process(victim.slot)

    async def _pause(self) -> None:
        victim = self._victim()
        if victim is None or victim.link.is_paused:
            return
        self.count("fault pause")
        self.trace_line(victim.name, "is stopped")
        victim.link.pause()
        await trio.sleep(self.random.uniform(0.1, 2.5 * self.lease_seconds))
        victim.link.resume()
        self.trace_line(victim.name, "goes on")

    async def _cut(self) -> None:
        victim = self._victim()
        if victim is not None and not victim.link.is_cut:
            self.count("fault cut")
            self.trace_line(victim.name, "is cut off")
            victim.link.is_cut = True
            await trio.sleep(self.random.uniform(0.1, 2.0 * self.lease_seconds))
            victim.link.is_cut = False

    async def _outage(self) -> None:
        self.count("fault outage")
        self.trace_line("store", "is down")
        links = [link for link in self.links if not link.is_cut]
        for link in links:
            link.is_cut = True
        await trio.sleep(self.random.uniform(0.1, 2.0 * self.lease_seconds))
        for link in links:
            link.is_cut = False

    async def _restart(self) -> None:
        victim = self._victim()
        if victim is None:
            return
        version = self.random.choice(("good", "good", "lacks", "changed"))
        self.count(f"fault restart with {version} code")
        victim.leave()
        await victim.has_ended.wait()
        if self.slots[victim.slot] is victim:
            self.start_process(victim.slot, version)

    async def _jump(self) -> None:
        victim = self._victim()
        if victim is not None:
            self.count("fault clock jump")
            victim.clock.skew += self.random.uniform(-2, 2)
            self.trace_line(victim.name, "clock jumps", victim.clock.skew)

    async def _store_jump(self) -> None:
        self.count("fault store clock jump")
        self.store_ahead += self.random.uniform(0, 2) * self.lease_seconds
        self.trace_line("store", "clock jumps", self.store_ahead)

    # --- And after them ---

    async def heal(self) -> None:
        """Stop all faults; let good processes run in all slots."""
        self.is_stormy = False
        self.trace_line("world", "heals")
        for link in self.links:
            link.calm()
        for process in self.alive:
            if process.version != "good":
                process.leave()
        for process in [process for process in self.slots if process is not None]:
            if process.link.is_dead or process.is_leaving or process.has_ended.is_set():
                await process.has_ended.wait()
                self.start_process(process.slot)

    async def shut_down(self) -> None:
        """Let all processes leave in order."""
        for process in self.alive:
            process.leave()
        for process in [process for process in self.slots if process is not None]:
            await process.has_ended.wait()


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
