"""A large fan-out that is kind to the other side: so many at once, so many a second.

Inside the workflow a ``CapacityLimiter`` bounds how many calls are under way, and a durable sleep between two starts
bounds their rate; both survive a restart. ``Limits(concurrency=...)`` bounds an activity on one engine, whichever
workflows call it.

This program runs on Trio's ``MockClock``, which skips the waiting.

Prints::

    12 photos in 4.4 s
    at most 3 under way at once
    starts: 0.0 0.2 0.4 1.0 1.2 1.4 2.0 2.2 2.4 3.0 3.2 3.4
"""

import trio
from trio.testing import MockClock

import wfactors as wf

AT_ONCE = 3
PER_SECOND = 5

starts: list[float] = []
under_way: list[int] = [0]


@wf.activity
async def tag(photo: str) -> str:
    starts.append(trio.current_time())
    under_way.append(under_way[-1] + 1)
    await trio.sleep(1)  # what the other side needs
    under_way.append(under_way[-1] - 1)
    return f"{photo}: cat"


@wf.workflow
async def tag_all(photos: list[str]) -> list[str]:
    tagged: dict[str, str] = {}
    at_once = wf.CapacityLimiter(AT_ONCE)

    async def tag_one(photo: str) -> None:
        async with at_once:
            tagged[photo] = await tag(photo)

    async with wf.open_nursery() as nursery:
        for photo in photos:
            nursery.start_soon(tag_one, photo)
            await wf.sleep(1 / PER_SECOND)
    return [tagged[photo] for photo in photos]


async def main() -> None:
    clock = wf.TrioClock()
    async with wf.open_engine(wf.MemoryStore(clock.now), register=[tag_all, tag], clock=clock) as engine:
        began = trio.current_time()
        results = await engine.run(tag_all, [f"photo-{number}" for number in range(12)])
        print(f"{len(results)} photos in {trio.current_time() - began:.1f} s")
    print(f"at most {max(under_way)} under way at once")
    print("starts:", *(f"{at:.1f}" for at in starts))


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
