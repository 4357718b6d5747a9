"""A starter: a client that runs nothing itself. What it starts is durable before ``start`` returns."""

import sys

import trio
from thumbnails import make_thumbnails

import wfactors as wf


async def main(store: str, albums: int, photos: int) -> None:
    async with wf.open_client(store) as client:
        handles = [
            await client.start(make_thumbnails, f"album-{number}", photos, id=f"album-{number}")
            for number in range(albums)
        ]
        print(f"started {len(handles)} albums", flush=True)
        made = [thumbnail for handle in handles for thumbnail in await handle.result()]
        workers = {thumbnail.partition(" by ")[2] for thumbnail in made}
        print(f"{len(made)} thumbnails by {len(workers)} processes", flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
