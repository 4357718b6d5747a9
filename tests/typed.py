"""What type checkers see of a workflow: mypy checks this file, and nobody runs it.

Each ``type: ignore`` is a mistake that must be found: mypy fails where one of them is not needed.
"""

from __future__ import annotations

from functools import partial
from typing import Any, assert_type

import wfactors as wf


@wf.activity(retry=wf.Retry(attempts=5), start_to_close=30, raises=(LookupError,))
async def charge(card: str, cents: int = 100) -> str:
    return f"{card} {cents}"


@wf.activity
def ship(order: str) -> None:
    print(order)


class Payments:
    @wf.activity
    async def refund(self, cents: int) -> float:
        return cents / 100

    @wf.activity
    def print_receipt(self, cents: int) -> bytes:
        return bytes(cents)


@wf.workflow
async def deliver(count: int, *, is_express: bool = False) -> list[str]:
    return ["express" if is_express else "slow"] * count


@wf.workflow
async def calls_as_they_are_written() -> None:
    assert_type(await charge("card", cents=3), str)
    assert_type(await ship("order"), None)
    assert_type(await charge.options(queue="bank", retry=wf.Retry())("card"), str)
    assert_type(await wf.activities(Payments).refund(3), float)
    assert_type(await wf.activities(Payments).print_receipt(3), bytes)
    assert_type(await deliver(3, is_express=True), list[str])
    assert_type(await deliver.options(id="d", parent_close="abandon")(3), list[str])
    assert_type(await (await wf.start_child(deliver, 3, id="d")).result(), list[str])
    assert_type(await wf.signals("approve", bool).receive(), bool)
    assert_type(await wf.side_effect(lambda: 3), int)
    assert_type(await wf.race(charge("a"), charge("b")), str)
    assert_type(await wf.gather(charge("a")), tuple[str])
    assert_type(await wf.gather(charge("a"), deliver(3)), tuple[str, list[str]])
    assert_type(await wf.gather(charge("a"), deliver(3), ship("order")), tuple[str, list[str], None])
    assert_type(await wf.gather(*[charge(card) for card in "ab"]), tuple[str, ...])
    assert_type(await wf.gather(), tuple[()])
    async with wf.open_nursery() as nursery:
        nursery.start_soon(charge, "card")
        nursery.start_soon(charge.options(queue="bank"), "card", 5)
        nursery.start_soon(ship, "order")
        nursery.start_soon(partial(deliver, is_express=True), 3)
        nursery.start_soon(wf.activities(Payments).refund, 3)
        nursery.start_soon(wf.sleep, 3)


async def what_a_client_does(engine: wf.Engine, client: wf.Client) -> None:
    assert_type(await engine.run(deliver, 3, id="d"), list[str])
    assert_type(await engine.run(deliver.options(queue="vans"), 3), list[str])
    assert_type(await engine.run(deliver, 3, keywords={"is_express": True}), list[str])
    assert_type(await client.start(deliver, 3, delay=5, reuse="reject"), wf.Handle[list[str]])
    assert_type(await (await client.get("d", deliver)).result(), list[str])
    assert_type(await client.start("deliver", "whatever"), wf.Handle[Any])
    await client.start(deliver, "many")  # type: ignore[arg-type]
    await client.start(deliver, 3, 4)  # type: ignore[arg-type, call-arg]
    await client.start(deliver, 3, colour="red")  # type: ignore[call-overload]
    await engine.run(deliver, 3, delay="soon")  # type: ignore[call-overload]


@wf.workflow
async def mistakes() -> None:
    await charge()  # type: ignore[call-arg]
    await charge("card", "many")  # type: ignore[arg-type]
    await ship(3)  # type: ignore[arg-type]
    await charge.options(queue="bank")("card", "many")  # type: ignore[arg-type]
    await charge.options(colour="red")("card")  # type: ignore[call-arg]
    await wf.activities(Payments).refund("card")  # type: ignore[arg-type]
    await deliver("many")  # type: ignore[arg-type]
    await wf.start_child(deliver, "many")  # type: ignore[arg-type]
    async with wf.open_nursery() as nursery:
        nursery.start_soon(ship, 3)  # type: ignore[arg-type]
        nursery.start_soon(charge)  # type: ignore[arg-type]
