"""What a scenario is given: a client, dice, and engines that die and come back.

A scenario is an async function that opens engines, has clients do things while they suffer, and asserts what is true::

    async def shop(sim: Simulation) -> None:
        bank = Bank()                                      # the world outside, which outlives processes
        async with sim.engines(register=[checkout, bank]):
            handle = await sim.client.start(checkout, "visa", id="order-1")
            assert await handle.result() == "receipt"
        assert bank.charged == {"order-1": 100}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from random import Random
from typing import Any

import trio

import wfactors as wf
from wfactors.convert import DataPort
from wfactors.registry import Registry, Workflow
from wfactors.testing.simulator.checks import (
    check_histories,
    check_memory,
    check_removal,
    is_all_done,
    say_what_is_left,
)
from wfactors.testing.simulator.storm import Storm
from wfactors.testing.simulator.world import Crew, World
from wfactors.workflow import Application

__all__ = ["PATIENCE_SECONDS", "STORM_SECONDS", "Simulation"]

PATIENCE_SECONDS = 300.0
STORM_SECONDS = 2.0
_STORM_SECONDS_MIN = 0.5
_NODES = (1, 2, 3, 4, 5)
_NODES_WEIGHTS = (18, 5, 2, 1, 1)


class Simulation:
    """One run of a scenario. Made by ``simulate``.

    Attributes:
        seed: What decides it all.
        random: Dice for the scenario, thrown by the seed too.
    """

    def __init__(self, world: World, random: Random, *, storm: float, patience: float, is_rerun: bool) -> None:
        self.seed = world.seed
        self.random = random
        self.world = world
        self._storm_seconds = storm
        self._patience = patience
        self._is_rerun = is_rerun
        self._is_over = False

    @cached_property
    def client(self) -> wf.Client:
        """A client of the store of these engines, in a process that never dies and never loses the store."""
        return self.world.client("client", is_safe=True)

    @asynccontextmanager
    async def engines(
        self, *, register: Sequence[Any], nodes: int | None = None, partitions: int = 1, **options: Any
    ) -> AsyncIterator[None]:
        """Run engines that suffer while the block runs, and see them through to the end.

        For some seconds processes crash, stop, lose the store, and come back, one in a while without the workflows;
        then all is well, and all workflows must end. The store and the engines are checked on the way and when the
        block is left.

        Args:
            register: As for ``open_engine``; the objects are shared by all processes, as the world outside is.
            nodes: How many engines; drawn from 1 to 5 if not given.
            partitions: Of each queue.
            options: Others of ``open_engine``, as ``queues`` and ``limits``.
        """
        converter = options.pop("converter", None)
        tools = [item for item in register if not isinstance(item, Workflow)]
        crew = Crew(
            register=lambda _, version: tools if version == "lacks" else register,
            versions=("good", "good", "lacks"),
            application=Application(registry=Registry(register), data=DataPort(converter)),
            converter=converter,
            options=lambda _: options,
            partitions=partitions,
        )
        async with self.run(crew, nodes):
            yield

    @asynccontextmanager
    async def run(self, crew: Crew, nodes: int | None = None) -> AsyncIterator[None]:
        """As ``engines``, with a crew of one's own."""
        world, random = self.world, self.random
        world.crew = crew
        tasks_before = trio.lowlevel.current_statistics().tasks_living
        world.slots = [None] * (nodes or random.choices(_NODES, _NODES_WEIGHTS)[0])
        for slot in range(len(world.slots)):
            world.start_process(slot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._weather, nursery.cancel_scope)
            yield
            self._is_over = True
            world.change()
        if not world.violations:
            await check_memory(world)
        await world.shut_down()
        await check_histories(world, is_rerun=self._is_rerun)
        if not world.violations:
            await check_removal(world, tasks_before)

    async def _weather(self, scope: trio.CancelScope) -> None:
        """The storm, and the calm after it, in which all must come to an end."""
        world = self.world
        seconds = self.random.uniform(min(_STORM_SECONDS_MIN, self._storm_seconds), self._storm_seconds)
        await Storm(world).run(seconds, self._is_finished)
        await world.heal()
        with trio.move_on_after(self._patience) as patience:
            await world.wait_until(lambda: self._is_finished() and not world.in_flight)
        if patience.cancelled_caught:
            await say_what_is_left(world, self._patience)
            scope.cancel()

    def _is_finished(self) -> bool:
        return self._is_over and is_all_done(self.world)
