"""The smallest durable program: a workflow that calls an activity.

An activity does something in the world, and may fail. A workflow decides what to do next; it may be stopped anywhere
and go on elsewhere, since every result that it has seen is in its history.

Prints::

    Hello, Ada! Hello, Grace!
"""

import trio

import wfactors as wf


@wf.activity
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@wf.workflow
async def welcome(names: list[str]) -> str:
    return " ".join([await greet(name) for name in names])


async def main() -> None:
    async with wf.open_engine("memory://", register=[welcome, greet]) as engine:
        print(await engine.run(welcome, ["Ada", "Grace"]))


if __name__ == "__main__":
    trio.run(main)
