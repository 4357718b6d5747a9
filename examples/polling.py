"""Poll something slow with a durable backoff: minutes at first, then hours, for days.

Ask in an activity, wait in the workflow: between two questions nothing runs and nothing is held in memory. The
activity's own retries are for a question that went wrong; the loop is for an answer that is not there yet.

This program runs on Trio's ``MockClock``, which skips the waiting.

Prints::

    after 0:00:00: queued
    after 0:05:00: queued
    after 0:15:00: rendering
    after 0:35:00: rendering
    after 1:15:00: rendering
    after 2:15:00: done
    film.mp4
    a film that never ends: TooSlowError after 2 days, 51 questions
"""

from collections import Counter
from datetime import timedelta

import trio
from trio.testing import MockClock

import wfactors as wf

questions: Counter[str] = Counter()


@wf.activity(start_to_close=30)
async def ask(job: str) -> str:
    questions[job] += 1
    minutes = trio.current_time() / 60
    state = "done" if minutes >= 120 and job == "film" else "rendering" if minutes >= 10 else "queued"
    if job == "film":
        print(f"after {timedelta(minutes=minutes)}: {state}")
    return state


@wf.workflow
async def wait_for(job: str) -> str:
    pause = timedelta(minutes=5)
    with wf.fail_after(timedelta(days=2)):
        while await ask(job) != "done":
            await wf.sleep(pause)
            pause = min(pause * 2, timedelta(hours=1))
    return f"{job}.mp4"


async def main() -> None:
    clock = wf.TrioClock()
    async with wf.open_engine(wf.MemoryStore(clock.now), register=[wait_for, ask], clock=clock) as engine:
        print(await engine.run(wait_for, "film"))
        try:
            await engine.run(wait_for, "saga")
        except wf.WorkflowFailed as error:
            name = error.failure.type.rpartition(".")[2]
            print(f"a film that never ends: {name} after 2 days, {questions['saga']} questions")


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
