"""The scenario that wfactors is tested with: random plans, clients that disturb them, and a troublemaker."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

import trio

from wfactors.convert import CattrsConverter, DataPort
from wfactors.model.limits import Limits
from wfactors.registry import Registry
from wfactors.testing.simulator.clients import Teller
from wfactors.testing.simulator.simulation import Simulation
from wfactors.testing.simulator.trouble import Troublemaker
from wfactors.testing.simulator.workload import application, draw_plan
from wfactors.testing.simulator.world import Crew
from wfactors.workflow import Application

__all__ = ["wandering"]

_CONVERTER = CattrsConverter()
_TELLERS = (1, 2, 3, 4)
_TELLERS_WEIGHTS = (18, 4, 1, 1)
_TROUBLE_SHARE = 0.2
_CHECKED_SHARE = 0.1


@cache
def _replayed() -> Application:
    return Application(registry=Registry(application(None)), data=DataPort(_CONVERTER))


async def wandering(sim: Simulation) -> None:
    """Everything at once, as the seed says."""
    random, world = sim.random, sim.world
    queues = random.choice((("default",), ("default",), ("default", "far")))
    options = [_draw_options(random, slot, queues) for slot in range(5)]
    crew = Crew(
        register=application,
        versions=("good", "good", "lacks", "changed"),
        application=_replayed(),
        converter=_CONVERTER,
        options=options.__getitem__,
        partitions=random.choice((1, 1, 1, 2)),
    )
    ids = [f"wf-{number}" for number in range(random.choices(_TELLERS, _TELLERS_WEIGHTS)[0])]
    draw = draw_plan(random, ids, queues)
    makes_trouble = random.random() < _TROUBLE_SHARE
    async with sim.run(crew):
        far = world.client("client")
        async with trio.open_nursery() as clients:
            for id in ids:
                clients.start_soon(Teller(world, id, draw(), far, queues).run)
            if makes_trouble:
                clients.start_soon(Troublemaker(world, far).run)


def _draw_options(random: Random, slot: int, queues: tuple[str, ...]) -> Mapping[str, Any]:
    """Nodes differ, but the one in the first slot can do everything, so that all can end."""
    activities, is_checked = random.choice((1, 2, 1000)), random.random() < _CHECKED_SHARE
    options: dict[str, Any] = {"queues": queues, "replay_check": "always" if is_checked else None}
    if slot:
        kind = random.choice(("all", "all", "all", "one queue", "activities", "workflows"))
        if kind == "one queue":
            options["queues"] = (random.choice(queues),)
        elif kind == "activities":
            options["workflows"] = False
        elif kind == "workflows":
            activities = 0
    options["limits"] = Limits(activities=activities, resident_instances=random.choice((1, 2, 3, 1000)))
    return options
