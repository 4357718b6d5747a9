"""What users do wrong, and what each gets for it; whatever it is, the neighbours go on."""

# ruff: noqa: C901, RSE102, SIM105 - what is wrong here is wrong on purpose

from __future__ import annotations

import asyncio
import signal
import socket
import time
from functools import partial
from typing import Any

import pytest
import trio

import wfactors as wf


class Own(BaseException):
    """Somebody's own BaseException."""


class Hostile(Exception):
    """An exception that nobody can look at."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __reduce__(self) -> Any:
        raise RuntimeError("no reduce")


class HostileKill(Hostile):
    """One whose ``str()`` wants to end the process."""

    def __str__(self) -> str:
        raise SystemExit(9)


RAISED = {
    "system-exit": lambda: SystemExit(3),
    "keyboard-interrupt": KeyboardInterrupt,
    "own": lambda: Own("mine"),
    "hostile": Hostile,
    "hostile-kill": HostileKill,
    "huge": lambda: ValueError("x" * 5_000_000),
    "generator-exit": GeneratorExit,
    "stop-iteration": lambda: StopIteration(1),
    "stop-async-iteration": StopAsyncIteration,
    "recursion": lambda: RecursionError("deep"),
    "group": lambda: BaseExceptionGroup("g", [SystemExit(1), ValueError("v")]),
    "assertion": lambda: AssertionError(object()),
    "memory": MemoryError,
    "surrogate": lambda: ValueError("\ud800\x00"),
    "trio-cancelled": trio.Cancelled._create,
}


@wf.workflow
async def neighbour() -> str:
    await wf.sleep(1)
    return await greet("neighbour")


@wf.activity
async def greet(name: str) -> str:
    return f"hello {name}"


@wf.activity(retry=wf.Retry(attempts=1))
async def raise_in_activity(kind: str) -> None:
    raise RAISED[kind]()


@wf.activity(retry=wf.Retry(attempts=1))
def raise_in_thread(kind: str) -> None:
    raise RAISED[kind]()


def raise_now(kind: str) -> None:
    raise RAISED[kind]()


@wf.workflow
async def raiser(kind: str, place: str) -> str:
    if place == "workflow":
        raise_now(kind)
    if place == "workflow-later":
        await wf.sleep(1)
        raise_now(kind)
    try:
        match place:
            case "activity":
                await raise_in_activity(kind)
            case "thread":
                await raise_in_thread(kind)
            case "side-effect":
                await wf.side_effect(raise_now, kind)
            case "nursery":
                async with wf.open_nursery() as nursery:
                    nursery.start_soon(raise_later, kind)
            case "child":
                await raiser(kind, "workflow")
    except (wf.CallError, BaseExceptionGroup) as error:
        return f"caught {type(error).__name__}"
    return "nothing raised"


async def raise_later(kind: str) -> None:
    await wf.sleep(1)
    raise RAISED[kind]()


@wf.workflow
async def talker() -> str:
    @wf.query
    def ask(kind: str) -> str:
        if kind:
            raise RAISED[kind]()
        return "asked"

    @wf.update
    async def change(kind: str) -> str:
        if kind:
            raise RAISED[kind]()
        return "changed"

    await wf.signals("stop").receive()
    return "stopped"


REGISTER = (neighbour, greet, raise_in_activity, raise_in_thread, raiser, talker)


@pytest.mark.parametrize(
    "place", ["workflow", "workflow-later", "activity", "thread", "side-effect", "nursery", "child"]
)
@pytest.mark.parametrize("kind", RAISED)
async def test_whatever_is_raised_ends_one_workflow_at_most(backend, autojump_clock, kind, place) -> None:
    """Any exception at all, from anywhere: a failure of that call or workflow, told to who asks."""
    async with backend.engine(*REGISTER, grace=1) as engine:
        other = await engine.start(neighbour)
        handle = await engine.start(raiser, kind, place, id="raiser")
        failure = None
        try:
            assert (await handle.result()).startswith("caught")
        except wf.WorkflowFailed as error:
            failure = error.failure
        assert failure is None or (failure.type and len(failure.message) < 100_000)
        assert "hello neighbour" == await other.result()
        assert (await handle.describe()).status in ("completed", "failed")


@pytest.mark.parametrize("kind", RAISED)
async def test_whatever_a_query_or_update_raises_is_told_to_who_asked(backend, autojump_clock, kind) -> None:
    """QueryError or UpdateRejected; the workflow goes on."""
    async with backend.engine(*REGISTER, grace=1) as engine:
        handle = await engine.start(talker)
        with pytest.raises(wf.QueryError):
            await handle.query("ask", kind)
        with pytest.raises((wf.UpdateRejected, wf.WorkflowClosed)):
            await handle.update("change", kind)
        if (await handle.describe()).status == "open":
            assert "asked" == await handle.query("ask", "")
            await handle.signal("stop")
            assert "stopped" == await handle.result()


# --- Trio, asyncio, sockets, threads in a workflow ------------------------------------------------------------------


async def _trio_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)


async def _trio_scope() -> None:
    with trio.move_on_after(1):
        await trio.sleep_forever()


async def _socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await trio.lowlevel.wait_readable(ours)


async def _caught() -> None:
    for _ in range(3):
        try:
            await trio.sleep(1)
        except Exception:  # noqa: BLE001 - an author who does not want to know
            pass
    await trio.sleep(1)


MISUSES = {
    "sleep": partial(trio.sleep, 1),
    "checkpoint": trio.lowlevel.checkpoint,
    "nursery": _trio_nursery,
    "scope": _trio_scope,
    "event": lambda: trio.Event().wait(),
    "thread": lambda: trio.to_thread.run_sync(time.monotonic),
    "socket": _socket,
    "asyncio": lambda: asyncio.sleep(0.1),
    "caught": _caught,
    "not-awaitable": lambda: 3,
}


@wf.workflow
async def misuser(kind: str) -> str:
    await MISUSES[kind]()
    return "went through"


@pytest.mark.parametrize("kind", MISUSES)
async def test_foreign_awaitables_fail_that_workflow_alone(backend, autojump_clock, kind) -> None:
    """Trio, asyncio and sockets in a workflow: it fails saying so, and Trio itself is as it was."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with backend.engine(misuser, neighbour, greet) as engine:
        other = await engine.start(neighbour)
        with pytest.raises(wf.WorkflowFailed) as caught:
            await engine.run(misuser, kind)
        # A number cannot be awaited anywhere.
        expected = {"not-awaitable": "TypeError"}.get(kind, "WorkflowMisuseError")
        assert expected == caught.value.failure.type_name
        assert "hello neighbour" == await other.result()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
    assert before == trio.lowlevel.current_statistics().tasks_living


# --- Sizes and shapes ------------------------------------------------------------------------------------------------


@wf.activity(retry=wf.Retry(attempts=1))
async def echo(value: Any) -> Any:
    wf.heartbeat(None)
    return value


@wf.activity(retry=wf.Retry(attempts=1))
async def large(size: int) -> str:
    return "x" * size


@wf.activity(retry=wf.Retry(attempts=1))
async def odd() -> Any:
    return object()


@wf.activity(retry=wf.Retry(attempts=1))
async def odd_heartbeat(size: int) -> None:
    wf.heartbeat("x" * size if size else object())


SIZE = 3 * 2**20


@wf.workflow
async def payloads(kind: str) -> Any:
    match kind:
        case "arguments-large":
            await echo("x" * SIZE)
        case "arguments-odd":
            await echo(object())
        case "arguments-wrong":
            await echo(1, 2)  # type: ignore[call-arg]
        case "result-large":
            await large(SIZE)
        case "result-odd":
            await odd()
        case "heartbeat-large":
            await odd_heartbeat(SIZE)
        case "heartbeat-odd":
            await odd_heartbeat(0)
        case "side-effect-large":
            await wf.side_effect(lambda: "x" * SIZE)
        case "side-effect-odd":
            await wf.side_effect(object)
        case "signal-large":
            await wf.signal("nobody", "name", "x" * SIZE)
        case "child-large":
            await payloads("x" * SIZE)
        case "continue-large":
            wf.continue_as_new("x" * SIZE)
        case "attributes-odd":
            wf.set_attributes(a=object())
        case "attributes-large":
            wf.set_attributes(a="x" * SIZE)
        case "return-large":
            return "x" * SIZE
        case "return-odd":
            return object()
        case "deep":
            return _deep(100_000)
        case "unknown-activity":
            await wf.workflow  # type: ignore[misc]
        case "recursion":
            return await _recurse(0)
    return "went through"


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


async def _recurse(level: int) -> int:
    return await _recurse(level + 1)


PAYLOADS = {
    "arguments-large": "PayloadTooLarge",
    "arguments-odd": "ConversionError",
    "arguments-wrong": "TypeError",
    "result-large": "ActivityError",
    "result-odd": "ActivityError",
    "heartbeat-large": "ActivityError",
    "heartbeat-odd": "ActivityError",
    "side-effect-large": "SideEffectError",
    "side-effect-odd": "SideEffectError",
    "signal-large": "PayloadTooLarge",
    "child-large": "PayloadTooLarge",
    "continue-large": "PayloadTooLarge",
    "attributes-odd": "ConversionError",
    "attributes-large": "PayloadTooLarge",
    "return-large": "PayloadTooLarge",
    "return-odd": "ConversionError",
    "deep": "ConversionError",
    "unknown-activity": "TypeError",
    "recursion": "RecursionError",
}


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_values_that_cannot_be_stored_fail_where_they_are_made(backend, autojump_clock, kind) -> None:
    """Too large or not convertible: a typed error at the call, which fails the workflow that does not catch it."""
    async with backend.engine(payloads, echo, large, odd, odd_heartbeat, neighbour, greet) as engine:
        other = await engine.start(neighbour)
        with pytest.raises(wf.WorkflowFailed) as caught:
            await engine.run(payloads, kind)
        assert PAYLOADS[kind] == caught.value.failure.type_name
        assert "hello neighbour" == await other.result()


async def test_clients_are_told_at_once_of_values_that_cannot_be_stored(backend, autojump_clock) -> None:
    """Arguments, signals, queries, updates and attributes, too large or odd, leave nothing behind."""
    async with backend.engine(payloads, talker) as engine:
        handle = await engine.start(talker)
        for value, error in (
            ("x" * SIZE, wf.PayloadTooLarge),
            (object(), wf.ConversionError),
            (_deep(10**5), wf.ConversionError),
        ):
            with pytest.raises((error, TypeError)):
                await engine.start(payloads, value)
            with pytest.raises(error):
                await handle.signal("stop", value)
            with pytest.raises(error):
                await handle.query("ask", value)
            with pytest.raises(error):
                await handle.update("change", value)
            with pytest.raises(error):
                await engine.start(payloads, "none", attributes={"a": value})
        assert 1 == await engine.count()
        assert "asked" == await handle.query("ask", "")
        assert ["RunStarted"] == [type(event).__name__ for event in await handle.history()]


# --- Time ------------------------------------------------------------------------------------------------------------


@wf.workflow
async def busy(kind: str) -> str:
    if wf.info().attributes.get("patient"):
        return "patient"
    if kind == "loop":
        while True:
            pass
    time.sleep(2.5)  # noqa: ASYNC251 - the mistake under test
    return "slept"


@pytest.mark.parametrize("kind", ["loop", "sleep"])
async def test_a_turn_that_does_not_come_back_is_parked(backend, autojump_clock, kind, caplog) -> None:
    """A warning with its stack, then it is interrupted; the loop, the engine and the neighbours go on."""
    limits = wf.Limits(turn_warning_seconds=0.2, turn_seconds_max=0.6)
    async with backend.engine(busy, neighbour, greet, limits=limits) as engine:
        other = await engine.start(neighbour)
        handle = await engine.start(busy, kind)
        assert "hello neighbour" == await other.result()
        while (parked := (await handle.describe()).parked) is None:
            await trio.lowlevel.checkpoint()
        assert "TurnInterrupted" in parked
        assert "in busy" in parked
        warnings = [record.getMessage() for record in caplog.records if "has held the loop" in record.getMessage()]
        assert [True] == ["in busy" in warning for warning in warnings]
        await handle.terminate()
        with pytest.raises(wf.WorkflowTerminated):
            await handle.result()


@wf.workflow
async def interrupted() -> str:
    signal.raise_signal(signal.SIGINT)
    return "done"


def test_ctrl_c_is_not_a_failure_of_the_workflow_that_runs(sigint) -> None:
    """SIGINT in the middle of a turn goes to the program's main task, not into author code."""
    store = wf.MemoryStore()

    async def main() -> None:
        async with wf.open_engine(store, register=[interrupted]) as engine:
            await engine.start(interrupted, id="i")
            await trio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)

    async def look() -> list[wf.Status]:
        async with wf.open_client(store) as client:
            return [item.status async for item in client.list()]

    assert trio.run(look) in ([wf.Status.COMPLETED], [wf.Status.OPEN])
