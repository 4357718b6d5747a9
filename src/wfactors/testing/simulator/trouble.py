"""Bad input, which must harm one workflow and never its neighbours: I11."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any

import trio

import wfactors as wf

if TYPE_CHECKING:
    from wfactors.testing.simulator.world import World

__all__ = ["KINDS", "Troublemaker", "mischief"]

KINDS = ("outrage", "hostile", "exit", "foreign", "unspeakable", "moody", "unknown", "misread")
"""Of trouble: authors who misbehave, a workflow that nobody knows, and an argument that is none."""

_PATIENCE_SECONDS = 60.0
_RETRY_SECONDS = 0.3
# What a request that makes no sense may be answered with.
_EXPECTED = (
    wf.StoreUnavailable,
    wf.WorkflowNotFound,
    wf.WorkflowClosed,
    wf.UpdateRejected,
    wf.QueryError,
)


class _Outrage(BaseException):
    """No Exception: nobody who catches those sees it."""


class _Hostile(Exception):
    """It cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


_moods: list[str] = []


@wf.workflow(name="mischief")
async def mischief(kind: str) -> Any:
    """Be as bad an author as there is."""

    @wf.query
    def mood() -> str:
        raise _Hostile

    @wf.update
    async def improve() -> None:
        raise _Outrage("never")

    await wf.sleep(0.05)
    if kind == "outrage":
        raise _Outrage(kind)
    if kind == "hostile":
        raise _Hostile
    if kind == "exit":
        raise SystemExit(3)
    if kind == "foreign":
        await trio.sleep(1)
    if kind == "unspeakable":
        return object()
    if kind == "moody":
        # Each replay decides otherwise.
        _moods.append(kind)
        for number in range(len(_moods)):
            await wf.side_effect(int, number)
    await wf.sleep(60)
    return kind


class Troublemaker:
    """Starts a workflow that misbehaves, sends nonsense to it and to others, and ends it by force.

    Args:
        world: Where.
        client: How to reach it.
    """

    def __init__(self, world: World, client: wf.Client) -> None:
        # Each run is the same as the one before it.
        _moods.clear()
        self._world = world
        self._client = client
        self._random = Random(f"{world.seed}/trouble")

    async def run(self) -> None:
        """Do it all; ends when the workflow has."""
        random, client = self._random, self._client
        kind = random.choice(KINDS)
        self._world.count(f"trouble {kind}")
        if kind == "unknown":
            await self._insist(lambda: client.start("nobody knows this", id="trouble", on_conflict="use_existing"))
        elif kind == "misread":
            await self._insist(lambda: client.start("wander", {"no": "plan"}, id="trouble", on_conflict="use_existing"))
        else:
            await self._insist(lambda: client.start(mischief, kind, id="trouble", on_conflict="use_existing"))
        nonsense: list[Callable[[wf.Handle[Any]], Awaitable[Any]]] = [
            lambda handle: handle.signal("word", {"not": ["a", "word"]}),
            lambda handle: handle.signal("nobody listens", None),
            lambda handle: handle.update("add", {"not": 1}, "an argument too many"),
            lambda handle: handle.update("improve"),
            lambda handle: handle.update("no such update"),
            lambda handle: handle.query("mood"),
            lambda handle: handle.query("heard", "an argument too many"),
        ]
        for request in random.choices(nonsense, k=random.randint(1, 4)):
            await trio.sleep(random.uniform(0, 0.4))
            await self._try(request, random.choice(("trouble", "wf-0")))
        while not await self._try(lambda handle: handle.terminate("enough of it"), "trouble"):
            await trio.sleep(_RETRY_SECONDS)
        await self._insist(self._wait_closed)

    async def _wait_closed(self) -> None:
        await (await self._client.get("trouble")).wait_closed()

    async def _try(self, request: Callable[[wf.Handle[Any]], Awaitable[Any]], id: str) -> bool:
        """Whether there was an answer that the store did not keep to itself."""
        patience = trio.move_on_after(_PATIENCE_SECONDS)
        try:
            with patience:
                await request(await self._client.get(id))
        except wf.StoreUnavailable:
            return False
        except _EXPECTED as error:
            self._world.count(f"trouble answered with {type(error).__name__}")
        except Exception as error:
            self._world.broken("I11", f"nonsense sent to {id} was answered with {error!r}", error)
        if patience.cancelled_caught:
            self._world.broken("I1", f"nonsense sent to {id} was never answered")
        return True

    async def _insist(self, request: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await request()
            except wf.StoreUnavailable:
                await trio.sleep(_RETRY_SECONDS)
            else:
                return
