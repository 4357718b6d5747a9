"""One simulated world: a store, the processes that run engines on it, and what is seen of them.

Everything happens in one Trio run on one clock that jumps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, cast

import attrs
import trio

import wfactors as wf
from wfactors.convert import Converter, DataPort
from wfactors.stores.base import Store
from wfactors.stores.changes import Changes
from wfactors.stores.memory import MemoryStore
from wfactors.testing.auditor import Entry
from wfactors.testing.simulator.clock import Endless
from wfactors.testing.simulator.faults import NO_FAULTS, Link, Odds
from wfactors.testing.simulator.invariants import EPOCH, Watch
from wfactors.testing.simulator.process import Process
from wfactors.testing.simulator.trace import Trace
from wfactors.workflow import Application

__all__ = ["Crew", "World"]

_LINES_MAX = 15_000
# What can be the last thing that somebody waits for.
_CHANGES = frozenset({"commit", "report", "claim", "send", "create"})
_GOOD = "good"


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


@attrs.frozen(kw_only=True)
class Crew:
    """What the processes of a world run.

    Attributes:
        register: What the engine of a process registers, whose code is of a version.
        versions: Of the code, of which a process that is shut down and started again has one; the first is good.
        converter: Of all engines and clients.
        application: What its histories can be replayed with.
        options: Other arguments of ``open_engine`` for the process in a slot.
        partitions: Of each queue.
    """

    register: Callable[[Process, str], Sequence[Any]]
    versions: Sequence[str] = (_GOOD,)
    application: Application
    converter: Converter | None = None
    options: Callable[[int], Mapping[str, Any]] = lambda _: {}
    partitions: int = 1


class World:
    """Everything of one run.

    Attributes:
        store: The one store, without faults.
        slots: The places of processes, with whoever runs there.
        links: Of all processes that may hear of changes, the client's too.
        callers: Whose call each task carries out at the store right now.
        is_stormy: Faults happen; they stop when the world heals.
        violations: What was broken, in words.
        said_good_bye: The nodes that have left in order.
    """

    crew: Crew

    def __init__(self, seed: int, odds: Odds, nursery: trio.Nursery) -> None:
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
        self._awaited: Callable[[], bool] = lambda: False
        self._is_so = trio.Event()
        self.is_stormy = True
        self.store_ahead = 0.0
        self.lease_seconds = random.choice((1.5, 3.0))
        self.store = MemoryStore(clock=self.store_now)
        self.store.changes = _Broadcast(self)
        self.watch = Watch(self.broken, self.count, self.lease_seconds)
        self.slots: list[Process | None] = []
        self.said_good_bye: set[str] = set()
        self._joined: dict[Link, str] = {}
        self._processes: list[Process] = []

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
            self.arrived()

        self.in_flight += 1
        self.nursery.start_soon(call)

    def later_call(self, delay: float, link: Link, *call: Any) -> None:
        """Let a call arrive once more."""

        async def repeat() -> None:
            await trio.sleep(delay)
            await link.repeat(*call)
            self.arrived()

        self.in_flight += 1
        self.nursery.start_soon(repeat)

    def arrived(self) -> None:
        """What was in flight is in flight no more."""
        self.in_flight -= 1
        self.change()

    def change(self) -> None:
        """The store has changed, or something has arrived: what is waited for may be so."""
        if self._awaited():
            self._is_so.set()

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; one task at a time. It is looked at where it changes: no task runs in vain."""
        while not is_so():
            self._awaited, self._is_so = is_so, trio.Event()
            await self._is_so.wait()

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
        if outcome == "StoreCorrupt":
            self.broken("I2", f"{operation} of {link.name} was refused: it does not fit what is there")

    def done(self, link: Link, operation: str, args: Sequence[Any], value: Any) -> None:
        """The store has carried out a call."""
        if operation in _CHANGES:
            self.change()
        if operation == "commit":
            batch = args[0]
            self.watch.committed(batch, trio.current_time(), link.clock_now() - EPOCH)
            self.trace_line(
                link.name,
                "committed",
                (batch.partition, batch.epoch, batch.sequence, len(batch.headers), len(batch.appends)),
            )
        elif operation == "acquire" and value is not None:
            self.watch.acquired(value, args[1], trio.current_time())
        elif operation == "join":
            self._joined[link] = args[0].node
        elif operation == "report" and value is not None:
            for report, is_taken in zip(args[0], value, strict=True):
                # In the name of another node, which is gone.
                if is_taken and report.node != self._joined[link]:
                    self.count("rare task handed out again")
        elif operation == "leave":
            self.said_good_bye.add(args[0])

    def refused(self, link: Link, operation: str, args: Sequence[Any]) -> None:
        """The store has refused a call of somebody who is not the owner any more."""
        self.count(f"rare fenced {operation}")
        self.trace_line(link.name, f"fenced {operation}", args[0].epoch if operation == "commit" else "")

    def take_figures(self, process: Process, engine: wf.Engine) -> None:
        """An engine is about to shut down in order: see what its replay check has found."""
        check = engine.replay_check
        if check is not None and process.version == _GOOD:
            figures = check.statistics()
            self.trace.counts["rare replayed after a commit"] += figures.replayed
            for difference in check.latest:
                if difference.workflow not in self.crew.application.registry.workflows:
                    continue
                self.broken("I7", f"{difference.id} does not replay: {difference.error!r}", difference.error)

    # --- Processes ---

    def open_engine(self, process: Process) -> Any:
        """The production engine in a process."""
        link, crew = process.link, self.crew
        self.links.append(link)
        options: dict[str, Any] = {
            "lease": self.lease_seconds,
            "grace": 0.0 if process.slot % 2 else 1.0,
            **crew.options(process.slot),
        }
        return wf.open_engine(
            cast("Store", link),
            register=crew.register(process, process.version),
            converter=crew.converter,
            partitions=crew.partitions,
            clock=process.clock,
            code_version=process.version,
            **options,
        )

    def start_process(self, slot: int, version: str = _GOOD) -> Process:
        """Start a process in a slot that is free."""
        process = Process(self, slot, len(self._processes) + 1, version)
        self._processes.append(process)
        self.slots[slot] = process
        self.nursery.start_soon(process.run)
        return process

    def client(self, name: str, *, is_safe: bool = False) -> wf.Client:
        """A client in a process of its own, which never dies; one that is safe always reaches the store."""
        link = Link(self, name, NO_FAULTS if is_safe else self.odds, lambda: EPOCH + trio.current_time())
        link.is_safe = is_safe
        self.links.append(link)
        crew = self.crew
        return wf.Client(cast("Store", link), DataPort(crew.converter), now=link.clock_now, partitions=crew.partitions)

    @property
    def alive(self) -> list[Process]:
        """The processes that have not died and are not gone."""
        return [process for process in self.slots if process is not None and process.is_alive]

    # --- After the faults ---

    async def heal(self) -> None:
        """Stop all faults; let good processes run in all slots."""
        self.is_stormy = False
        self.trace_line("world", "heals")
        for link in self.links:
            link.calm()
        for process in self.alive:
            if process.version != _GOOD:
                process.leave()
        for process in [process for process in self.slots if process is not None]:
            if process.link.is_dead or process.is_leaving or process.has_ended.is_set():
                await process.has_ended.wait()
                self.start_process(process.slot)
        self.watch.calm_since = trio.current_time()

    def settle(self) -> None:
        """A call of the time of the faults is over; one that stalls outlasts them, and may hold up others."""
        if self.watch.calm_since != math.inf:
            self.watch.calm_since = trio.current_time()

    async def shut_down(self) -> None:
        """Let all processes leave in order."""
        for process in self.alive:
            process.leave()
        for process in self._processes:
            await process.has_ended.wait()
