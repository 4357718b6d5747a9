"""A converter of your own: how a type of yours becomes JSON and comes back.

The default converter takes ``register(type, encode=..., decode=...)``; through ``configure=`` the cattrs converters
inside take any hook or strategy of cattrs. An object with ``encode`` and ``decode`` replaces the converter altogether.
All engines and clients of a store must use the same one.

Prints::

    paid 12.50 EUR and 0.99 EUR: 13.49 EUR
    in the store: [["12.50 EUR","0.99 EUR"]]
    refused: amounts[1]: 'many EUR' is no amount of money
"""

from __future__ import annotations

import re
from typing import Any

import trio

import wfactors as wf


class Money:
    """Cents of a currency; neither a dataclass nor attrs, as classes of other people tend to be."""

    def __init__(self, cents: int, currency: str) -> None:
        self.cents = cents
        self.currency = currency

    def __str__(self) -> str:
        return f"{self.cents // 100}.{self.cents % 100:02} {self.currency}"

    @classmethod
    def parse(cls, text: str) -> Money:
        match = re.fullmatch(r"(\d+)\.(\d\d) ([A-Z]{3})", text)
        if match is None:
            raise ValueError(f"{text!r} is no amount of money")
        return cls(int(match[1]) * 100 + int(match[2]), match[3])


@wf.activity
async def add(amounts: list[Money]) -> Money:
    return Money(sum(amount.cents for amount in amounts), amounts[0].currency)


@wf.workflow
async def pay(amounts: list[Money]) -> str:
    return f"paid {' and '.join(map(str, amounts))}: {await add(amounts)}"


async def main() -> None:
    converter = wf.CattrsConverter()
    converter.register(Money, encode=str, decode=Money.parse)
    async with wf.open_engine("memory://", register=[pay, add], converter=converter) as engine:
        handle = await engine.start(pay, [Money(1250, "EUR"), Money(99, "EUR")])
        print(await handle.result())
        start: Any = (await handle.history())[0]
        print("in the store:", bytes(start.input).decode())
        try:
            await engine.run("pay", ["1.00 EUR", "many EUR"])  # by name: what another program may send
        except wf.WorkflowFailed as error:
            print("refused:", error.failure.message)


if __name__ == "__main__":
    trio.run(main)
