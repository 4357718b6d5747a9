"""Registration: a name in the history, and the function that stands behind it in this deployment.

The name is the function's own unless ``name=`` gives one; a name given outlives a renamed function. Versions can live
side by side under names of their own. What is started by name only, and not registered anywhere, is *parked*: it waits,
in view, for a deployment that knows it.

Prints::

    price.v1: 100
    price.v2: 119
    started by name: 119
    parked: UnknownWorkflow: no workflow named 'price.v3' is registered here
    after the deployment of price.v3: 125
    not registered twice: two workflows are named 'price.v2'
"""

from typing import Any

import trio

import wfactors as wf


@wf.workflow(name="price.v1")
async def price_net(net: int) -> int:
    return net


@wf.workflow(name="price.v2")
async def price(net: int) -> int:
    return round(net * 1.19)


@wf.workflow(name="price.v3")
async def price_of_next_year(net: int) -> int:
    return round(net * 1.25)


async def parked_reason(handle: wf.Handle[Any]) -> str:
    while (reason := (await handle.describe()).parked) is None:  # noqa: ASYNC110 - as one who looks now and then
        await trio.sleep(0.01)
    return reason


async def main() -> None:
    store = wf.MemoryStore()
    async with wf.open_engine(store, register=[price_net, price]) as engine:
        print("price.v1:", await engine.run(price_net, 100))
        print("price.v2:", await engine.run(price, 100))
        print("started by name:", await engine.run("price.v2", 100))
        reason = await parked_reason(await engine.start("price.v3", 100, id="early"))
        print("parked:", reason.partition(": pass it")[0])
    async with wf.open_engine(store, register=[price_net, price, price_of_next_year]) as engine:
        print("after the deployment of price.v3:", await (await engine.get("early")).result())

    @wf.workflow(name="price.v2")
    async def another(net: int) -> int:
        return net

    try:
        async with wf.open_engine(register=[price, another]):
            pass
    except ValueError as error:
        print("not registered twice:", str(error).partition(": ")[0])


if __name__ == "__main__":
    trio.run(main)
