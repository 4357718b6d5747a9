"""A saga: several steps, each with its undoing, and all or nothing in the end.

Python's own ``AsyncExitStack`` keeps what is to be undone, last first. The undoing is an activity like any other, so it
is retried and survives a crash in the middle; under a shield, it also runs when the workflow was cancelled.

Prints::

    Rome: flight booked, hotel booked, car booked
    Oslo: flight booked, hotel booked, no car left, hotel undone, flight undone, so: no car left
"""

from contextlib import AsyncExitStack

import trio

import wfactors as wf

log: list[str] = []


@wf.activity(raises=(wf.PermanentError,))
async def book(what: str, city: str) -> str:
    if (what, city) == ("car", "Oslo"):
        log.append("no car left")
        raise wf.PermanentError("no car left")
    log.append(f"{what} booked")
    return f"{what}-{city}"


@wf.activity(retry=wf.Retry(attempts=None, maximum=3600))  # it must happen, however long it takes
async def undo(booking: str) -> None:
    log.append(f"{booking.partition('-')[0]} undone")


async def undo_shielded(booking: str) -> None:
    with wf.CancelScope(shield=True):
        await undo(booking)


@wf.workflow
async def trip(city: str) -> list[str]:
    bookings = []
    async with AsyncExitStack() as saga:
        for what in ("flight", "hotel", "car"):
            booking = await book(what, city)
            saga.push_async_callback(undo_shielded, booking)
            bookings.append(booking)
        saga.pop_all()  # all went well: nothing is undone
    return bookings


async def main() -> None:
    async with wf.open_engine("memory://", register=[trip, book, undo]) as engine:
        for city in ("Rome", "Oslo"):
            log.clear()
            try:
                await engine.run(trip, city)
            except wf.WorkflowFailed as error:
                log.append(f"so: {error.failure.message}")
            print(f"{city}: {', '.join(log)}")


if __name__ == "__main__":
    trio.run(main)
