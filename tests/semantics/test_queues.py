"""Queues: who runs what, and what waits for somebody who serves it."""

from __future__ import annotations

import pytest
import trio

import wfactors as wf


@wf.activity
async def where() -> str:
    return wf.activity_info().queue


@wf.activity(queue="gpu")
async def on_gpu() -> str:
    return wf.activity_info().queue


@wf.workflow
async def places() -> list[str]:
    return [
        wf.info().queue,
        await where(),
        await where.options(queue="other")(),
        await on_gpu(),
        await on_gpu.options(queue="other")(),
    ]


@wf.workflow(queue="shop")
async def shop() -> list[str]:
    return await places()


@wf.workflow
async def family() -> list[list[str]]:
    return [await places(), await places.options(queue="other")(), await shop()]


HERE = ["default", "default", "other", "gpu", "other"]
OTHER = ["other", "other", "other", "gpu", "other"]
SHOP = ["shop", "shop", "other", "gpu", "other"]
QUEUES = ["default", "other", "gpu", "shop"]


@pytest.mark.parametrize("instances", [1, 1000])
async def test_activities_and_children_inherit_the_queue_unless_told_otherwise(
    backend, autojump_clock, instances
) -> None:
    """The call's option before the decorator's before the caller's; results come back to the workflow's queue."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.engine(places, shop, family, where, on_gpu, queues=QUEUES, limits=limits) as engine:
        assert [HERE, OTHER, SHOP] == await engine.run(family)
        assert OTHER == await engine.run(places, queue="other")
        assert SHOP == await engine.run(shop)
        assert HERE == await engine.run(shop, queue="default")


@pytest.mark.parametrize("partitions", [2, 7])
async def test_many_partitions_of_each_queue(backend, autojump_clock, partitions) -> None:
    """A queue is divided; trees stay together, and nobody notices."""
    options = {"queues": QUEUES, "partitions": partitions}
    async with backend.engine(places, shop, family, where, on_gpu, **options) as engine:
        for number in range(5):
            assert [HERE, OTHER, SHOP] == await engine.run(family, id=f"f{number}")
        used = {item.partition for item in engine.statistics().partitions if item.turns}
    assert len(used) > 3


@wf.workflow
async def descends(generations: int) -> None:
    if generations:
        await descends(generations - 1)


async def test_a_tree_lives_in_one_partition(backend, autojump_clock) -> None:
    """Children of all generations are where their root is, so that what they say to each other needs no commit."""
    store = backend.store()
    async with backend.engine(descends, store=store, partitions=7) as engine:
        for number in range(10):
            await engine.run(descends, 3, id=f"root {number}")
        headers = (await store.dump())["headers"]
    partitions = {(header["root_id"], header["partition"]) for header in headers}
    assert (40, 10) == (len(headers), len(partitions))
    assert 1 < len({partition for _, partition in partitions})


async def test_what_starts_goes_to_the_first_queue_of_the_engine(backend, autojump_clock) -> None:
    """Unless the workflow or the call names one."""
    async with backend.engine(places, shop, where, on_gpu, queues=["gpu", "other", "shop"]) as engine:
        assert "gpu" == (await engine.run(places))[0]
        assert "shop" == (await engine.run(shop))[0]


async def test_workflows_on_a_queue_that_nobody_serves_wait(backend, autojump_clock) -> None:
    """They are begun by the first engine that serves it."""
    async with backend.engine(places, where, on_gpu) as engine:
        handle = await engine.start(places, id="p", queue="other")
        await trio.sleep(1000)
        description = await handle.describe()
        assert ("open", None) == (description.status, description.started_at)
        assert ["other"] == [item.queue for item in await engine.queues() if item.open_instances]
    async with backend.engine(places, where, on_gpu, queues=["other", "gpu"]) as engine:
        assert OTHER == await (await engine.get("p")).result()


async def test_a_node_runs_only_the_queues_it_serves(backend, autojump_clock) -> None:
    """Two engines, two queues each; work goes back and forth."""
    async with (
        backend.shared() as store,
        backend.engine(places, shop, family, where, on_gpu, store=store, queues=["default", "gpu"]) as left,
        backend.engine(places, shop, where, on_gpu, store=store, queues=["other", "shop"]) as right,
    ):
        assert [HERE, OTHER, SHOP] == await left.run(family)
        assert {"default", "gpu"} == {item.partition.partition(":")[2] for item in left.statistics().partitions}
        assert {"other", "shop"} == {item.partition.partition(":")[2] for item in right.statistics().partitions}
        nodes = {node.node: node.queues for node in await left.nodes()}
        assert {left.name: ("default", "gpu"), right.name: ("other", "shop")} == nodes
        assert 4 == left.statistics().activities.started
        assert 8 == right.statistics().activities.started


@pytest.mark.parametrize("queues", [[], "default", ["a", "a"], [""], ["x" * 300], [3]])
async def test_queues_that_make_no_sense_are_refused(backend, autojump_clock, queues) -> None:
    """TypeError or ValueError when the engine is opened."""
    with pytest.raises((TypeError, ValueError), match="queue"):
        async with backend.engine(places, queues=queues):
            pass
