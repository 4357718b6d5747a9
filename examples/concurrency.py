"""Concurrent code inside a workflow: nurseries, tasks and channels, as in Trio, and durable.

Three tasks of one workflow take pages from a memory channel and put what they find back in. The order in which tasks
run is part of the kernel's contract, so a replay takes the same turns; nothing here needs a lock or a database.

Prints::

    6 pages by 3 crawlers: / /about /blog /blog/1 /blog/2 /jobs
    history: 14 events
"""

import math

import trio

import wfactors as wf

SITE = {"/": ["/about", "/blog"], "/about": ["/jobs", "/"], "/blog": ["/blog/1", "/blog/2"], "/jobs": ["/about"]}


@wf.activity
async def links_of(page: str) -> list[str]:
    return SITE.get(page, [])


@wf.workflow
async def crawl(start: str, crawlers: int) -> list[str]:
    seen = {start}
    open_pages = 1
    send, receive = wf.open_memory_channel[str](math.inf)

    async def crawler() -> None:
        nonlocal open_pages
        async for page in receive:
            for link in await links_of(page):
                if link not in seen:
                    seen.add(link)
                    open_pages += 1
                    send.send_nowait(link)
            open_pages -= 1
            if open_pages == 0:
                send.close()

    send.send_nowait(start)
    async with wf.open_nursery() as nursery:
        for _ in range(crawlers):
            nursery.start_soon(crawler)
    return sorted(seen)


async def main() -> None:
    async with wf.open_engine("memory://", register=[crawl, links_of]) as engine:
        handle = await engine.start(crawl, "/", 3)
        pages = await handle.result()
        print(f"{len(pages)} pages by 3 crawlers:", *pages)
        print(f"history: {len(await handle.history())} events")


if __name__ == "__main__":
    trio.run(main)
