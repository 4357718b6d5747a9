"""Arguments and results are your own types: they are converted by their annotations, to JSON that a person can read.

attrs classes, dataclasses, enums, unions, ``Decimal``, ``datetime``, ``UUID``, ``bytes``, containers of all of these.
What does not fit is refused at the call, with the path to the place, and nothing is recorded.

Prints::

    Invoice(number=7, total=Decimal('1901.25'), due=datetime.date(2031, 3, 15), paid_by=Card(last_four='4242'))
    stored: lines = [{"item":"desk","price":"1900.00","count":1},{"item":"pen","price":"1.25","count":1}]
    stored: payment = {"$type":"Card","last_four":"4242"}
    refused: order.lines[0].price: expected a Decimal, got float 19.0
"""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import attrs
import trio

import wfactors as wf


@attrs.frozen
class Card:
    last_four: str


@attrs.frozen
class BankTransfer:
    iban: str


@attrs.frozen
class Line:
    item: str
    price: Decimal
    count: int = 1


@attrs.frozen
class Order:
    number: int
    placed_on: date
    lines: list[Line]
    payment: Card | BankTransfer


@attrs.frozen
class Invoice:
    number: int
    total: Decimal
    due: date
    paid_by: Card | BankTransfer


@wf.activity
async def add_up(lines: list[Line]) -> Decimal:
    return sum((line.price * line.count for line in lines), Decimal(0))


@wf.workflow
async def bill(order: Order) -> Invoice:
    return Invoice(order.number, await add_up(order.lines), order.placed_on + timedelta(days=14), order.payment)


async def main() -> None:
    lines = [Line("desk", Decimal("1900.00")), Line("pen", Decimal("1.25"))]
    order = Order(7, date(2031, 3, 1), lines, Card("4242"))
    async with wf.open_engine("memory://", register=[bill, add_up]) as engine:
        handle = await engine.start(bill, order)
        print(await handle.result())
        start: Any = (await handle.history())[0]
        stored = json.loads(bytes(start.input))[0]
        for name in ("lines", "payment"):
            print(f"stored: {name} = {json.dumps(stored[name], separators=(',', ':'))}")
        try:
            await engine.start(bill, attrs.evolve(order, lines=[Line("desk", 19.0)]))  # type: ignore[arg-type]
        except wf.ConversionError as error:
            print("refused:", error)


if __name__ == "__main__":
    trio.run(main)
