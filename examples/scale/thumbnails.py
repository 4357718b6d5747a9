"""What both sides share: the workflow and its activity."""

import hashlib
import os

import trio

import wfactors as wf


@wf.activity
async def shrink(photo: str) -> str:
    await trio.sleep(0.05)  # what a library for images would need
    return f"{hashlib.sha256(photo.encode()).hexdigest()[:8]} by {os.getpid()}"


@wf.workflow
async def make_thumbnails(album: str, count: int) -> list[str]:
    return list(await wf.gather(*(shrink(f"{album}/{number}.jpg") for number in range(count))))
