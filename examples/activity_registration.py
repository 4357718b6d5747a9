"""Activities as functions and as methods.

An ``async def`` activity is a task on Trio's loop; a plain ``def`` runs in a worker thread, for libraries that block.
Activities that need something (a pool, a client, a setting) are methods: register an *instance*, and name the method in
the workflow through its *class*, because the workflow may run in a process that has no such instance.

Prints::

    3 x lamp at 1900 cents: 5700, held as warehouse-north-1
    called outside of a workflow it is the plain function: 1900
"""

import trio

import wfactors as wf


class Warehouse:
    def __init__(self, name: str, stock: dict[str, int]) -> None:
        self.name = name
        self._stock = stock
        self._holds = 0

    @wf.activity
    async def hold(self, item: str, count: int) -> str:
        if self._stock[item] < count:
            raise wf.PermanentError(f"only {self._stock[item]} x {item} left")
        self._stock[item] -= count
        self._holds += 1
        return f"{self.name}-{self._holds}"


@wf.activity
async def price(item: str) -> int:
    return {"lamp": 1900, "desk": 24000}[item]


@wf.activity
def total(cents: int, count: int) -> int:
    """Work that would block the loop: it runs in a thread."""
    return cents * count


@wf.workflow
async def order(item: str, count: int) -> str:
    cents = await price(item)
    held = await wf.activities(Warehouse).hold(item, count)
    return f"{count} x {item} at {cents} cents: {await total(cents, count)}, held as {held}"


async def main() -> None:
    warehouse = Warehouse("warehouse-north", {"lamp": 10})
    async with wf.open_engine("memory://", register=[order, price, total, warehouse]) as engine:
        print(await engine.run(order, "lamp", 3))
    print("called outside of a workflow it is the plain function:", await price("lamp"))


if __name__ == "__main__":
    trio.run(main)
