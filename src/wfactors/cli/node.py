"""``wfactors run``: a node, from its readiness line to its ordered end."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import trio
import typer

from wfactors.actors.engine import open_engine
from wfactors.actors.process import tune_process
from wfactors.cli.exits import Exit, Problem
from wfactors.cli.loading import load_payloads, load_registered, load_telemetry
from wfactors.cli.options import Globals
from wfactors.cli.output import print_note
from wfactors.cli.running import run, store_url
from wfactors.cli.streams import OutputLost, discard_output
from wfactors.cli.text import duration, iso, plural, safe
from wfactors.model.limits import Limits
from wfactors.registry import Registry

__all__ = ["NodeOptions", "node_command"]

_LEVELS = ("debug", "info", "warning", "error")
_SIGNAL_EXIT = 128


@attrs.frozen(kw_only=True)
class NodeOptions:
    """What ``wfactors run`` was asked for."""

    module: str
    queues: Sequence[str]
    grace: float
    code_version: str
    activities: int | None
    threads: int | None
    partitions: int
    lease: float | None
    retention: float | None
    telemetry: str | None
    log_level: str
    exit_with_stdin: bool


def node_command(options: Globals, node: NodeOptions) -> None:
    """Run a node until it is asked to stop."""
    if node.log_level not in _LEVELS:
        raise typer.BadParameter(f"--log-level is one of {', '.join(_LEVELS)}, not {node.log_level!r}")
    logging.basicConfig(
        level=node.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    run(_serve, options, node)


async def _serve(options: Globals, node: NodeOptions) -> None:
    began = time.time()
    url = store_url(options, must_outlive=False)
    registered = load_registered(node.module)
    serving = trio.CancelScope()
    # Before anything else, so that no signal meets Python's own handler any more.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, serving, node.grace)
            if node.exit_with_stdin:
                nursery.start_soon(_end_with_stdin, serving)
            with serving:
                await _run_engine(url, registered, options, node, began)
            nursery.cancel_scope.cancel()
    _say(options, "stopped", "stopped: everything is in the store")


async def _run_engine(url: str, registered: Sequence[Any], options: Globals, node: NodeOptions, began: float) -> None:
    # The process is the engine's own.
    tune_process()

    try:
        engine_opening = open_engine(
            url,
            register=registered,
            queues=node.queues,
            limits=_limits(node),
            lease=node.lease,
            grace=node.grace,
            retention=node.retention,
            partitions=node.partitions,
            code_version=node.code_version,
            telemetry=load_telemetry(node.telemetry),
            **load_payloads(options),
        )
        async with engine_opening as engine:
            _say_ready(options, engine, url, registered, node, began)
            await trio.sleep_forever()
    except ValueError as error:
        raise Problem(Exit.USAGE, str(error)) from error


def _limits(node: NodeOptions) -> Limits:
    limits = Limits()
    if node.activities is not None:
        limits = attrs.evolve(limits, activities=node.activities)
    if node.threads is not None:
        limits = attrs.evolve(limits, threads=node.threads)
    return limits


def _say_ready(
    options: Globals, engine: Any, url: str, registered: Sequence[Any], node: NodeOptions, began: float
) -> None:

    registry = Registry(registered)
    details = {
        "node": engine.name,
        "pid": os.getpid(),
        "store": url,
        "queues": list(node.queues),
        "workflows": sorted(registry.workflows),
        "activities": sorted(registry.activities),
        "code_version": node.code_version,
        "began_at": iso(began),
        "durability": engine.store.durability().detail,
    }
    words = (
        f"ready: {plural(len(registry.workflows), 'workflow')} and "
        f"{plural(len(registry.activities), 'activity', 'activities')} of {safe(node.module)} on {safe(url)}, "
        f"queue {', '.join(safe(queue) for queue in node.queues)} (node {engine.name})"
    )
    _say(options, "ready", words, details)
    warning = engine.store.durability().warning
    if warning is not None:
        print_note(f"{details['durability']}: {warning}")


def _say(options: Globals, event: str, words: str, details: dict[str, Any] | None = None) -> None:
    line = json.dumps({"event": event, **(details or {})}) if options.json else words
    # Whoever reads along may be gone, which is no reason for a node to stop.
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OutputLost as error:
        discard_output()
        if not error.has_reader_left:
            print_note(f"standard output cannot be written: {error}")


async def _obey(signals: AsyncIterator[int], serving: trio.CancelScope, grace: float) -> None:
    """The first signal begins the ordered end, the second one ends the process."""
    async for number in signals:
        name = signal.Signals(number).name
        if serving.cancel_called:
            print_note(f"{name} again: stopped at once; what was running is handed out again")
            # Threads of activities cannot be stopped in another way. Whatever was acknowledged is in the store.
            os._exit(_SIGNAL_EXIT + number)
        print_note(f"{name}: stopping; running activities get {duration(grace)}, a second signal stops at once")
        serving.cancel()


async def _end_with_stdin(serving: trio.CancelScope) -> None:
    """Stop when standard input is closed: when whoever started this process is gone."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
        while await stdin.receive_some():
            continue
    serving.cancel()
