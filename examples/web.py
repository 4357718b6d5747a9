"""A web application with its engine: Quart-Trio for HTTP and websockets, wfactors for what must not be lost.

The engine lives in the application's nursery, from its start to its end. A request starts a workflow and answers at
once; a page can be reloaded, the server restarted, and the order is still there. The websocket sends each change until
the order is closed.

``python examples/web.py`` shows it with the test client; ``--serve 8000`` serves it. Needs the extra ``web``.

Prints::

    POST /orders -> 202 {'id': 'order-1', 'status': 'open'}
    POST /orders again -> 409 {'error': "workflow 'order-1' is already open"}
    GET /orders -> [{'id': 'order-1', 'status': 'open'}]
    websocket: open, waits for a signal
    POST /orders/order-1/pack -> 204
    websocket: completed
    GET /orders/order-1 -> {'id': 'order-1', 'result': '2 x lamp, packed by Ada', 'status': 'completed'}
    GET /orders/nothing -> 404 {'error': "there is no workflow 'nothing' in this store"}
"""

from __future__ import annotations

from typing import Annotated, Any

import trio
import typer
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import request, websocket
from quart_trio import QuartTrio

import wfactors as wf


@wf.workflow
async def order(count: int, item: str) -> str:
    packer = await wf.signals("packed", str).receive()
    return f"{count} x {item}, packed by {packer}"


def create_app(store: str) -> QuartTrio:
    app = QuartTrio(__name__)
    engine: wf.Engine

    @app.while_serving
    async def run_engine() -> Any:
        nonlocal engine
        async with wf.open_engine(store, register=[order]) as engine:
            yield

    @app.post("/orders")
    async def start() -> tuple[dict[str, str], int]:
        body = await request.get_json()
        handle = await engine.start(order, body["count"], body["item"], id=body["id"])
        return {"id": handle.id, "status": "open"}, 202

    @app.get("/orders")
    async def list_all() -> list[dict[str, str]]:
        return [{"id": item.id, "status": item.status} async for item in engine.list(workflow=order)]

    @app.get("/orders/<id>")
    async def show(id: str) -> dict[str, Any]:
        handle = await engine.get(id, order)
        status = (await handle.describe()).status
        return {"id": id, "status": status, "result": await handle.result() if status == "completed" else None}

    @app.post("/orders/<id>/pack")
    async def pack(id: str) -> tuple[str, int]:
        handle = await engine.get(id)
        await handle.signal("packed", (await request.get_json())["by"])
        return "", 204

    @app.websocket("/orders/<id>/live")
    async def live(id: str) -> None:
        handle = await engine.get(id)
        if (await handle.describe()).status == "open":
            await websocket.send("open, waits for a signal")
        await websocket.send((await handle.wait_closed()).status)

    @app.errorhandler(wf.RequestError)
    async def refused(error: wf.RequestError) -> tuple[dict[str, str], int]:
        return {"error": str(error)}, 404 if isinstance(error, wf.WorkflowNotFound) else 409

    return app


async def main(store: str) -> None:
    app = create_app(store)
    async with app.test_app() as test_app:
        client = test_app.test_client()
        body = {"id": "order-1", "count": 2, "item": "lamp"}
        for again in ("", " again"):
            response = await client.post("/orders", json=body)
            print(f"POST /orders{again} -> {response.status_code} {await response.get_json()}")
        print("GET /orders ->", await (await client.get("/orders")).get_json())
        async with client.websocket("/orders/order-1/live") as live:
            print("websocket:", await live.receive())
            response = await client.post("/orders/order-1/pack", json={"by": "Ada"})
            print("POST /orders/order-1/pack ->", response.status_code)
            print("websocket:", await live.receive())
        print("GET /orders/order-1 ->", await (await client.get("/orders/order-1")).get_json())
        response = await client.get("/orders/nothing")
        print(f"GET /orders/nothing -> {response.status_code} {await response.get_json()}")


def command(
    store: Annotated[str, typer.Option(help="URL of a store.")] = "memory://",
    port: Annotated[int, typer.Option("--serve", help="Serve on this port of localhost instead.")] = 0,
) -> None:
    if port:
        config = Config()
        config.bind = [f"localhost:{port}"]
        trio.run(serve, create_app(store), config)
    else:
        trio.run(main, store)


if __name__ == "__main__":
    typer.run(command)
