"""Talk to a running workflow: signals tell it something, queries ask it, updates do both and return.

A signal is durable when ``signal()`` returns, and read in the order in which signals of its name arrived, also if
nobody listened yet. A query only looks. An update is recorded, runs inside the workflow and may await.

Prints::

    basket after two updates: 3
    what is in it? ['tea', 'tea', 'cup']
    refused: update 'add' of workflow 'basket-of-ada': ValueError: there is no sofa
    gift wrapping: red paper, with a bow
    order: ['tea', 'tea', 'cup'] for 1090 cents
"""

import trio

import wfactors as wf

PRICES = {"tea": 250, "cup": 590}


@wf.activity
async def price(item: str) -> int:
    return PRICES[item]


@wf.workflow
async def shop() -> str:
    basket: list[str] = []
    total = 0
    wishes: list[str] = []

    @wf.query
    def contents() -> list[str]:
        return basket

    @wf.query
    def wrapping() -> str:
        return ", ".join(wishes)

    @wf.update
    async def add(item: str, count: int = 1) -> int:
        nonlocal total
        cents = await price(item)  # first wait, then change: another update may have run meanwhile
        total += count * cents
        basket.extend([item] * count)
        return len(basket)

    @add.validator
    def check(item: str, count: int = 1) -> None:
        if item not in PRICES or count < 1:
            raise ValueError(f"there is no {item}")

    async for wish in wf.signals("wish", str):
        if wish == "check out":
            break
        wishes.append(wish)
    return f"order: {basket} for {total} cents"


async def main() -> None:
    async with wf.open_engine("memory://", register=[shop, price]) as engine:
        handle = await engine.start(shop, id="basket-of-ada")
        await handle.update("add", "tea", 2)
        print("basket after two updates:", await handle.update("add", "cup"))
        print("what is in it?", await handle.query("contents"))
        try:
            await handle.update("add", "sofa")
        except wf.UpdateRejected as error:
            print("refused:", error)
        await handle.signal("wish", "red paper")
        await handle.signal("wish", "with a bow")
        print("gift wrapping:", await handle.query("wrapping"))
        await handle.signal("wish", "check out")
        print(await handle.result())


if __name__ == "__main__":
    trio.run(main)
