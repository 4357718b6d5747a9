"""``start signal query update result cancel terminate resume remove``: what is asked of workflows from a shell."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import typer

from wfactors.cli.exits import Exit, Problem
from wfactors.cli.options import Globals
from wfactors.cli.output import print_json, print_note
from wfactors.cli.running import find, in_time, run, with_client
from wfactors.cli.text import plural, safe
from wfactors.client import Client, Handle
from wfactors.errors import ResultError
from wfactors.model.status import OnConflict, Reuse

__all__ = [
    "StartOptions",
    "cancel_command",
    "query_command",
    "remove_command",
    "result_command",
    "resume_command",
    "signal_command",
    "start_command",
    "terminate_command",
    "update_command",
]


@attrs.frozen(kw_only=True)
class StartOptions:
    """What ``wfactors start`` was asked for."""

    workflow: str
    arguments: Sequence[Any]
    id: str | None
    queue: str | None
    delay: float | None
    attributes: Mapping[str, Any] | None
    on_conflict: str
    reuse: str
    partitions: int
    is_waiting: bool
    timeout: float | None


# --- Starting and waiting --------------------------------------------------------------------------------------------


def start_command(options: Globals, start: StartOptions) -> None:
    """Start a workflow, and wait for it if that was asked for."""
    for value, kind, name in ((start.on_conflict, OnConflict, "--on-conflict"), (start.reuse, Reuse, "--reuse")):
        if value not in [member.value for member in kind]:
            raise typer.BadParameter(f"{name} is one of {', '.join(kind)}, not {value!r}")
    run(_start, options, start)


async def _start(options: Globals, start: StartOptions) -> None:
    async with with_client(options, may_create=True, partitions=start.partitions) as client:
        try:
            handle = await client.start(
                start.workflow,
                *start.arguments,
                id=start.id,
                queue=start.queue,
                on_conflict=start.on_conflict,
                reuse=start.reuse,
                delay=start.delay,
                attributes=start.attributes,
            )
        except ValueError as error:
            raise Problem(Exit.USAGE, str(error)) from error
        await _note_who_runs(client, start.workflow, start.queue or "default")
        if start.is_waiting:
            await _print_result(options, handle, start.timeout)
        elif options.json:
            print_json({"id": handle.id, "instance": handle.instance, "run": handle.run, "workflow": start.workflow})
        else:
            typer.echo(safe(handle.id))


async def _note_who_runs(client: Client, workflow: str, queue: str) -> None:
    """Tell of what would otherwise be a long wait for nothing."""
    nodes = [node for node in await client.nodes() if node.is_alive]
    serving = [node for node in nodes if queue in node.queues]
    if not nodes:
        print_note("no node runs on this store yet; the workflow waits for: wfactors run MODULE --store ...")
    elif not serving:
        print_note(f"no running node serves the queue {queue!r}; the workflow waits for one that does")
    elif not any(workflow in node.workflows for node in serving):
        known = sorted({name for node in serving for name in node.workflows})
        print_note(f"no running node knows the workflow {workflow!r}; they know: {', '.join(known) or 'none'}")


def result_command(options: Globals, id: str, seconds: float | None) -> None:
    """Wait for the result and print it."""
    run(_result, options, id, seconds)


async def _result(options: Globals, id: str, seconds: float | None) -> None:
    async with with_client(options) as client:
        await _print_result(options, await find(client, id), seconds)


async def _print_result(options: Globals, handle: Handle[Any], seconds: float | None) -> None:
    hint = f"wfactors show {safe(handle.id)} tells what it waits for"
    try:
        value = await in_time(handle.result, seconds, f"workflow {safe(handle.id)} did not end", hint)
    except ResultError as error:
        if options.json:
            described = await handle.describe()
            print_json(
                {
                    "id": handle.id,
                    "instance": handle.instance,
                    "status": described.status.value,
                    "result": None,
                    "error": failure_as_json(error.failure),
                }
            )
        raise
    if options.json:
        shared = {"id": handle.id, "instance": handle.instance, "status": "completed"}
        print_json({**shared, "result": value, "error": None})
    else:
        _print_value(value)


def _print_value(value: Any) -> None:
    indent = 2 if sys.stdout.isatty() else None
    typer.echo(safe(json.dumps(value, indent=indent, ensure_ascii=False), keep_lines=True))


def failure_as_json(failure: Any) -> dict[str, Any] | None:
    """A failure for machines: type, message, traceback and cause."""
    if failure is None:
        return None
    return {
        "type": failure.type,
        "message": failure.message,
        "kind": failure.kind,
        "traceback": failure.traceback,
        "cause": failure_as_json(failure.cause),
        "group": [failure_as_json(member) for member in failure.group],
    }


# --- Messages --------------------------------------------------------------------------------------------------------


def signal_command(options: Globals, id: str, name: str, value: Any) -> None:
    """Send a signal."""
    run(_tell, options, id, "signal", lambda handle: handle.signal(name, value), f"signal {name!r} sent to")


def cancel_command(options: Globals, id: str, reason: str) -> None:
    """Ask a workflow to stop."""
    run(_tell, options, id, "cancel", lambda handle: handle.cancel(reason), "asked to stop:")


def terminate_command(options: Globals, id: str, reason: str) -> None:
    """End a workflow."""
    run(_tell, options, id, "terminate", lambda handle: handle.terminate(reason), "asked to end at once:")


def resume_command(options: Globals, id: str) -> None:
    """Let a parked workflow try again."""
    run(_tell, options, id, "resume", lambda handle: handle.resume(), "asked to go on:")


async def _tell(
    options: Globals, id: str, action: str, send: Callable[[Handle[Any]], Awaitable[None]], words: str
) -> None:
    async with with_client(options) as client:
        handle = await find(client, id)
        try:
            await send(handle)
        except ValueError as error:
            raise Problem(Exit.USAGE, str(error)) from error
        if options.json:
            print_json({"id": handle.id, "instance": handle.instance, "action": action, "accepted": True})
        else:
            typer.echo(f"{safe(words)} {safe(handle.id)}")
        if not any(node.is_alive for node in await client.nodes()):
            print_note("no node runs on this store now; the next one takes it in")


# --- Questions -------------------------------------------------------------------------------------------------------


def query_command(options: Globals, id: str, name: str, values: Sequence[Any], seconds: float | None) -> None:
    """Ask a query."""
    run(_ask, options, id, f"query {name!r}", lambda handle: handle.query(name, *values), seconds)


def update_command(options: Globals, id: str, name: str, values: Sequence[Any], seconds: float | None) -> None:
    """Run an update."""
    run(_ask, options, id, f"update {name!r}", lambda handle: handle.update(name, *values), seconds)


async def _ask(
    options: Globals, id: str, what: str, ask: Callable[[Handle[Any]], Awaitable[Any]], seconds: float | None
) -> None:
    async with with_client(options) as client:
        handle = await find(client, id)
        is_served = any(node.is_alive for node in await client.nodes())
        hint = (
            "the node that owns it may be busy: try again with a longer --timeout"
            if is_served
            else "no node runs on this store: start one with wfactors run MODULE"
        )
        try:
            answer = await in_time(partial(ask, handle), seconds, f"{safe(what)} was not answered", hint)
        except ValueError as error:
            raise Problem(Exit.USAGE, str(error)) from error
        if options.json:
            print_json({"id": handle.id, "instance": handle.instance, "result": answer})
        else:
            _print_value(answer)


# --- Removal ---------------------------------------------------------------------------------------------------------


def remove_command(options: Globals, id: str | None, seconds: float | None) -> None:
    """Remove one closed workflow, or all that closed long ago."""
    run(_remove, options, id, seconds)


async def _remove(options: Globals, id: str | None, seconds: float | None) -> None:
    async with with_client(options) as client:
        if id is not None:
            handle = await find(client, id)
            await handle.remove()
            shown, count = f"removed {safe(handle.id)}", 1
        else:
            assert seconds is not None
            count = await client.remove_finished(time.time() - seconds)
            shown = f"removed {plural(count, 'workflow')}"
        if options.json:
            print_json({"removed": count})
        else:
            typer.echo(shown)
