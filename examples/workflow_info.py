"""What a workflow and an activity can know of themselves, and what can be searched from outside.

``wf.info()`` tells id, run, queue, parent and time of a workflow; ``wf.activity_info()`` tells which attempt of which
call this is. Attributes are given at the start or set on the way, and ``list`` finds instances by them.

Prints::

    workflow parcel, id parcel-7, run 1, queue default, parent None
    activity weigh, attempt 1, called by parcel (parcel-7)
    attributes: {'city': 'Oslo', 'grams': 1200}
    to Oslo: parcel-7, parcel-9
"""

import trio

import wfactors as wf


@wf.activity
async def weigh() -> int:
    info = wf.activity_info()
    print(f"activity {info.activity}, attempt {info.attempt}, called by {info.workflow} ({info.workflow_id})")
    return 1200


@wf.activity
async def tell(words: str) -> None:
    print(words)


@wf.workflow
async def parcel() -> None:
    info = wf.info()
    if info.id == "parcel-7":
        place = f"queue {info.queue}, parent {info.parent_id}"
        await tell(f"workflow {info.workflow}, id {info.id}, run {info.run}, {place}")
        wf.set_attributes(grams=await weigh())
        await tell(f"attributes: {dict(sorted(wf.info().attributes.items()))}")


async def main() -> None:
    async with wf.open_engine("memory://", register=[parcel, weigh, tell]) as engine:
        for number, city in [(7, "Oslo"), (8, "Rome"), (9, "Oslo")]:
            await engine.run(parcel, id=f"parcel-{number}", attributes={"city": city})
        to_oslo = sorted([item.id async for item in engine.list(attributes={"city": "Oslo"})])
        print("to Oslo:", ", ".join(to_oslo))


if __name__ == "__main__":
    trio.run(main)
