"""Workflows signal each other: the parent its children through their handles, a child its parent by id.

``start_child`` returns as soon as the child is sure to start, so parent and child run beside each other. A signal is
accepted before ``signal()`` returns; the child may not even have begun.

Prints::

    ada asks for 30: takes 30, 70 left
    bob asks for 60: takes 60, 10 left
    eve asks for 40: takes 10, 0 left
"""

import attrs
import trio

import wfactors as wf


@attrs.frozen
class Request:
    who: str
    amount: int


@wf.workflow
async def consumer(name: str, amount: int) -> int:
    parent = wf.info().parent_id
    assert parent is not None
    await wf.signal(parent, "request", Request(name, amount))
    return await wf.signals("granted", int).receive()


@wf.activity
async def tell(words: str) -> None:
    print(words)


@wf.workflow
async def budget(left: int) -> None:
    wanted = {"ada": 30, "bob": 60, "eve": 40}
    children = {name: await wf.start_child(consumer, name, amount) for name, amount in wanted.items()}
    requests = wf.signals("request", Request)
    for _ in children:
        request = await requests.receive()
        granted = min(request.amount, left)
        left -= granted
        await children[request.who].signal("granted", granted)
        taken = await children[request.who].result()
        await tell(f"{request.who} asks for {request.amount}: takes {taken}, {left} left")


async def main() -> None:
    async with wf.open_engine("memory://", register=[budget, consumer, tell]) as engine:
        await engine.run(budget, 100)


if __name__ == "__main__":
    trio.run(main)
