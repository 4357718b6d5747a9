"""What clients of a simulated world do: start workflows, talk to them, and write down what was promised to them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import trio

import wfactors as wf
from wfactors.model.status import Status
from wfactors.testing.simulator.workload import Plan, wander

if TYPE_CHECKING:
    from wfactors.testing.simulator.world import World

__all__ = ["Teller"]

_PATIENCE_SECONDS = 60.0
_RETRY_SECONDS = 0.3
# What any request may end with; nothing else should reach a client.
_EXPECTED = (
    wf.StoreUnavailable,
    wf.WorkflowNotFound,
    wf.WorkflowClosed,
    wf.UpdateRejected,
    wf.QueryError,
)


class Teller:
    """Somebody who starts one workflow and then asks for this and that, one thing after the other.

    Args:
        world: Where.
        id: Of the workflow.
        plan: For it.
        far: A client in a process of its own.
        queues: Where the workflow may be started.
    """

    def __init__(self, world: World, id: str, plan: Plan, far: wf.Client, queues: Sequence[str]) -> None:
        self._world = world
        self._id = id
        self._plan = plan
        self._far = far
        self._queues = queues
        self._random = Random(f"{world.seed}/{id}")
        self._words = 0
        self._sender = id

    async def run(self) -> None:
        """Do it all; ends when the workflow has."""
        random = self._random
        await trio.sleep(random.choice((0.0, 0.0, random.uniform(0, 0.8))))
        instance = await self._start()
        actions: list[Callable[[wf.Handle[Any]], Awaitable[None]]] = [
            self._signal, self._signal, self._signal, self._update, self._query, self._cancel, self._terminate,
            self._describe,
        ]  # fmt: skip
        weights = (4, 4, 4, 3, 3, 1, 1, 1)
        for action in random.choices(actions, weights, k=random.randint(0, 4)):
            await trio.sleep(random.choice((0.0, random.uniform(0, 0.5))))
            await self._attempt(action)
        await self._wait_closed(instance)
        if random.random() < 0.3:  # noqa: PLR2004
            await self._attempt(self._query)

    # --- Doors ---

    async def _through_a_door(self, do: Callable[[wf.Client], Awaitable[Any]]) -> Any:
        """Ask an engine, from inside its process, or the client far away; None if the process died meanwhile."""
        world = self._world
        doors = [process for process in world.alive if process.engine is not None]
        process = self._random.choice([None, *doors])
        # Order is promised to one client; what another one sends may overtake it on its way through the store.
        self._sender = f"{self._id}@{process.name if process is not None else 'far'}"
        if process is None:
            return await do(self._far)
        engine = process.engine
        assert engine is not None
        with trio.CancelScope() as scope:
            process.clients[scope] = None
            try:
                return await do(engine)
            finally:
                process.clients.pop(scope, None)
        world.count("rare client died")
        return None

    async def _attempt(self, action: Callable[[wf.Handle[Any]], Awaitable[None]]) -> None:
        async def do(client: wf.Client) -> None:
            await action(await client.get(self._id))

        name = action.__name__[1:]
        try:
            with trio.move_on_after(_PATIENCE_SECONDS) as patience:
                await self._through_a_door(do)
        except _EXPECTED as error:
            self._world.count(f"ask {name} {type(error).__name__}")
            return
        except Exception as error:
            self._world.broken("client", f"{name} of {self._id} raised {error!r}", error)
            return
        if patience.cancelled_caught:
            # The storm is long over.
            self._world.broken("I1", f"{name} of {self._id} was never answered")
        self._world.count(f"ask {name}")

    # --- Requests ---

    async def _start(self) -> str:
        world, random = self._world, self._random
        queue = random.choice(self._queues)
        with_signal = random.random() < 0.2  # noqa: PLR2004
        word = self._next_word()

        async def do(client: wf.Client) -> str:
            if with_signal:
                handle = await client.signal_with_start(
                    wander, self._plan, id=self._id, signal="word", value=word, queue=queue, reuse="reject"
                )
            else:
                handle = await client.start(
                    wander, self._plan, id=self._id, queue=queue, reuse="reject", on_conflict="use_existing"
                )
            return handle.instance

        while True:
            try:
                instance = await self._through_a_door(do)
            except wf.StoreUnavailable:
                instance = None
            except wf.WorkflowAlreadyStarted as error:
                world.count("rare started before")
                instance = error.handle.instance
            if instance is not None:
                break
            await trio.sleep(_RETRY_SECONDS)
        world.count("ask start with signal" if with_signal else "ask start")
        world.note("start", id=self._id, instance=instance)
        return str(instance)

    async def _signal(self, handle: wf.Handle[Any]) -> None:
        word = self._next_word()
        fields = {"instance": handle.instance, "name": "word", "payload": json.dumps(word), "sender": self._sender}
        self._world.note("signal?", **fields)
        await handle.signal("word", word)
        self._world.note("signal", **fields)

    async def _update(self, handle: wf.Handle[Any]) -> None:
        word = self._random.choice(("", "u", "v"))
        if await handle.update("add", word, result_type=int) < 1 or not word:
            self._world.broken("client", f"update of {self._id} with {word!r} was accepted")

    async def _query(self, handle: wf.Handle[Any]) -> None:
        await handle.query("heard", result_type=list[str])

    async def _cancel(self, handle: wf.Handle[Any]) -> None:
        await handle.cancel("enough")
        self._world.watch.promised("cancel", handle.instance, trio.current_time())

    async def _terminate(self, handle: wf.Handle[Any]) -> None:
        await handle.terminate("enough")
        self._world.watch.promised("terminate", handle.instance, trio.current_time())

    async def _describe(self, handle: wf.Handle[Any]) -> None:
        await handle.describe()

    async def _wait_closed(self, instance: str) -> None:
        """Wait until it has ended, and hold what was told against the store later."""

        async def do(client: wf.Client) -> Any:
            return await (await client.get(self._id)).wait_closed()

        header = None
        while header is None:
            try:
                header = await self._through_a_door(do)
            except wf.StoreUnavailable:
                await trio.sleep(_RETRY_SECONDS)
        self._world.count(f"ended {header.status.value}")
        if header.instance != instance:
            self._world.broken("I1", f"{self._id} is {header.instance}, {instance} was acknowledged")
        elif header.status is Status.COMPLETED:
            self._world.note("result", instance=instance, payload=bytes(header.result or b"").decode())

    def _next_word(self) -> str:
        self._words += 1
        return f"{self._id}.{self._words}"
