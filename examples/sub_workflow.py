"""Workflows call workflows: a child has its own history, its own id, and a place in the tree of its parent.

Calling a workflow inside of a workflow starts a child and waits for it: it cannot outlive the call. ``start_child``
gives a handle instead; what becomes of such a child when its parent ends first is ``parent_close``.

Prints::

    books: 30 words; letters: 12 words
    42 words in 2 shelves
    open: ['index-of-library'], child of 'library'
    the index of 42 words was written long after its parent had ended
"""

import trio

import wfactors as wf

LIBRARY = {"books": [10, 20], "letters": [5, 4, 3]}


@wf.activity
async def count(shelf: str, number: int) -> int:
    return LIBRARY[shelf][number]


@wf.workflow
async def count_shelf(shelf: str) -> int:
    return sum(await wf.gather(*(count(shelf, number) for number in range(len(LIBRARY[shelf])))))


@wf.workflow
async def write_index(words: int) -> str:
    await wf.signals("paper has arrived", bool).receive()
    return f"the index of {words} words was written long after its parent had ended"


@wf.workflow
async def count_library(shelves: list[str]) -> str:
    words = await wf.gather(*(count_shelf(shelf) for shelf in shelves))
    await wf.start_child(write_index, sum(words), id="index-of-library", parent_close="abandon")
    return "; ".join(f"{shelf}: {number} words" for shelf, number in zip(shelves, words, strict=True))


async def main() -> None:
    async with wf.open_engine("memory://", register=[count_library, count_shelf, write_index, count]) as engine:
        print(await engine.run(count_library, list(LIBRARY), id="library"))
        shelves = [await (await engine.get(item.id)).result() async for item in engine.list(workflow=count_shelf)]
        print(f"{sum(shelves)} words in {len(shelves)} shelves")
        left = [item async for item in engine.list(status="open")]
        print(f"open: {[item.id for item in left]}, child of {left[0].parent!r}")
        index = await engine.get("index-of-library", write_index)
        await index.signal("paper has arrived", True)
        print(await index.result())


if __name__ == "__main__":
    trio.run(main)
