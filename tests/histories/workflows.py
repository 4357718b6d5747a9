"""The workflows whose recorded histories lie beside this file.

Never change what they do: the histories are those of real runs of past releases, and every release must replay them.
For a new behaviour add a workflow, and record it with ``python -m tests.histories.stories``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import wfactors as wf


class Declined(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@wf.activity(raises=(Declined,))
async def charge(card: str, cents: int) -> str:
    return f"{card}/{cents}"


@wf.activity
async def ship(item: str) -> str:
    return item


@wf.activity(on_cancel="abandon")
async def notify(who: str) -> None: ...


@wf.workflow
async def parcel(item: str) -> str:
    return item


@wf.workflow(name="histories.checkout")
async def checkout(card: str, items: list[str]) -> dict[str, Any]:
    """Calls, timers, signals, patches, attributes, side effects and randomness."""
    number = await wf.side_effect(lambda: 41)
    lucky = wf.random.randrange(1000)
    try:
        await wf.side_effect(int, "no number")
    except wf.SideEffectError as error:
        refused = error.failure.type_name
    wf.set_attributes(stage="paying", card=card)
    cheap = wf.patched("cheaper")
    try:
        receipt = await charge(card, 100 if cheap else 200)
    except Declined as error:
        receipt = f"declined: {error.reason}"
    with wf.move_on_after(timedelta(hours=1)) as patience:
        approval = await wf.signals("approve", bool).receive()
    if patience.cancelled_caught:
        approval = False
    with wf.fail_after(60):
        shipped = await wf.gather(*[ship(item) for item in items])
    await wf.sleep(5)
    return {
        "number": number,
        "lucky": lucky,
        "refused": refused,
        "receipt": receipt,
        "approval": approval,
        "shipped": list(shipped),
    }


@wf.workflow(name="histories.family")
async def family(n: int) -> list[str]:
    """Children awaited and beside, requests to others, cancellations."""
    seen = [await parcel(f"first {n}")]
    handle = await wf.start_child(parcel, "second", id="parcel-2", parent_close="abandon")
    await handle.signal("hurry", {"by": "noon"})
    with wf.move_on_after(10):
        seen.append(await ship("slow"))
    with wf.move_on_after(10):
        await notify("ada")
    with wf.move_on_after(10):
        seen.append(await parcel("slow"))
    await handle.cancel()
    try:
        seen.append(await handle.result())
    except wf.ChildWorkflowError as error:
        seen.append(error.failure.kind)
    try:
        await wf.cancel("nobody", "just asking")
    except wf.WorkflowNotFound as error:
        seen.append(error.id)
    return seen


@wf.workflow(name="histories.counter")
async def counter(start: int) -> int:
    """Updates, and the next run."""
    total = start

    @wf.update
    async def add(n: int) -> int:
        nonlocal total
        if n < 0:
            raise ValueError("only up")
        total += n
        await ship(str(n))
        return total

    await wf.wait_until(lambda: total >= 10)
    wf.continue_as_new(total)


@wf.workflow(name="histories.tidy")
async def tidy() -> None:
    """Clean-up when it is cancelled."""
    try:
        await wf.sleep_forever()
    finally:
        with wf.CancelScope(shield=True):
            await ship("back")


@wf.workflow(name="histories.broken")
async def broken(card: str) -> None:
    """Fails with what an activity failed with."""
    await charge(card, 1)


ALL = [checkout, family, counter, tidy, broken, parcel]
