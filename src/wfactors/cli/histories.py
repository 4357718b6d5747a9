"""``export`` and ``replay``: histories out of a store, and held against the code as it is now."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio
import typer
from rich.text import Text

from wfactors.cli.exits import Exit, Problem
from wfactors.cli.loading import load_payloads, load_registered
from wfactors.cli.options import Globals, readable_file
from wfactors.cli.output import out_console, print_json
from wfactors.cli.running import find, run, with_client
from wfactors.cli.text import plural, safe
from wfactors.client import Client
from wfactors.convert import DataPort
from wfactors.errors import NonDeterminismError, UnknownWorkflow, WorkflowNotFound
from wfactors.model.events import Event, RunStarted
from wfactors.model.status import Status
from wfactors.model.wire import decode_events
from wfactors.registry import Registry
from wfactors.workflow import Application

__all__ = ["ReplayOptions", "export_command", "replay_command"]


@attrs.frozen(kw_only=True)
class _Verdict:
    """What came of one replay."""

    source: str
    id: str = ""
    workflow: str = ""
    events: int = 0
    error: Exception | None = None
    difference: str = ""

    @property
    def word(self) -> str:
        match self.error:
            case None:
                return "ok"
            case NonDeterminismError():
                return "different"
            case UnknownWorkflow():
                return "unknown"
            case _:
                return "error"


@attrs.frozen
class ReplayOptions:
    """What ``wfactors replay`` was asked for."""

    module: str
    files: tuple[Path, ...]
    ids: tuple[str, ...]
    is_with_closed: bool = attrs.field(kw_only=True)
    is_strict: bool = attrs.field(kw_only=True)


# --- Export ----------------------------------------------------------------------------------------------------------


def export_command(options: Globals, id: str, number: int | None) -> None:
    """Write a history to standard output."""
    run(_export, options, id, number)


async def _export(options: Globals, id: str, number: int | None) -> None:
    async with with_client(options) as client:
        handle = await find(client, id)
        header = await client.store.header(handle.instance, number)
        if header is None:
            raise Problem(Exit.NOT_FOUND, f"workflow {safe(handle.id)} has no run {number}", "leave out --run")
        history = await handle.history(header.run)
    if not history:
        raise Problem(Exit.NOT_FOUND, f"workflow {safe(handle.id)} has not started, so it has no history yet")
    from wfactors.testing.replays import encode_history  # noqa: PLC0415  See ``_replay``.

    sys.stdout.buffer.write(encode_history(history))
    sys.stdout.buffer.flush()


# --- Replay ----------------------------------------------------------------------------------------------------------


def replay_command(options: Globals, wanted: ReplayOptions) -> None:
    """Hold histories against code; ends with code 1 if they differ."""
    verdicts = run(_replay_files if wanted.files else _replay_store, options, wanted)
    failed = [verdict for verdict in verdicts if verdict.error is not None]
    if options.json:
        print_json({"replayed": len(verdicts), "failed": len(failed), "histories": [_as_json(it) for it in verdicts]})
    else:
        _print(verdicts, len(failed))
    if failed:
        raise typer.Exit(Exit.FAILED)


async def _replay_files(options: Globals, wanted: ReplayOptions) -> list[_Verdict]:
    application = _application(options, wanted.module)
    verdicts = []
    for path in _expanded(wanted.files):
        is_standard_input = str(path) == "-"
        text = sys.stdin.read() if is_standard_input else readable_file(path)
        source = "standard input" if is_standard_input else str(path)
        try:
            history = decode_events(text.encode(), source)
        except Exception as error:  # noqa: BLE001  Told beside the others.
            verdicts.append(_Verdict(source=source, error=error))
            continue
        verdicts.append(await _replay(application, history, source, is_strict=wanted.is_strict))
    return verdicts


def _expanded(paths: Sequence[Path]) -> Iterator[Path]:
    """The files themselves, and those of folders in the order of their names."""
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob("*.json"))
            if not found:
                # To replay nothing would be green for ever.
                raise Problem(Exit.NOT_FOUND, f"there is no history like *.json in {safe(str(path))}")
            yield from found
        else:
            yield path


async def _replay_store(options: Globals, wanted: ReplayOptions) -> list[_Verdict]:
    application = _application(options, wanted.module)
    verdicts = []
    async with with_client(options) as client:
        for id in await _chosen(client, wanted):
            try:
                handle = await find(client, id)
                history = await handle.history()
            except WorkflowNotFound:
                if wanted.ids:
                    raise
                continue  # Removed meanwhile.
            except Exception as error:  # noqa: BLE001  A history that cannot be read is told beside the others.
                verdicts.append(_Verdict(source="store", id=id, error=error))
                continue
            if history:
                verdicts.append(await _replay(application, history, "store", is_strict=wanted.is_strict))
    return verdicts


async def _chosen(client: Client, wanted: ReplayOptions) -> Sequence[str]:
    if wanted.ids:
        return wanted.ids
    status = None if wanted.is_with_closed else Status.OPEN
    return [item.instance async for item in client.list(status=status)]


def _application(options: Globals, module: str) -> Application:
    return Application(registry=Registry(load_registered(module)), data=DataPort(**load_payloads(options)))


async def _replay(application: Application, history: Sequence[Event], source: str, *, is_strict: bool) -> _Verdict:
    # With it comes the whole test kit, which no other command needs.
    from wfactors.testing.replays import explain, replay  # noqa: PLC0415

    first = history[0] if history else None
    error: Exception | None = None
    difference = ""
    try:
        replay(history, application, is_strict=is_strict)
    except Exception as raised:  # noqa: BLE001  Whatever the code did is the finding.
        error = raised
        if isinstance(raised, NonDeterminismError):
            difference = explain(raised, history)
    await trio.lowlevel.checkpoint()
    if not isinstance(first, RunStarted):
        return _Verdict(source=source, error=error)
    return _Verdict(
        source=source,
        id=first.id,
        workflow=first.workflow,
        events=len(history),
        error=error,
        difference=difference,
    )


# --- Words -----------------------------------------------------------------------------------------------------------


def _as_json(verdict: _Verdict) -> dict[str, Any]:
    error = verdict.error
    found: dict[str, Any] = {
        "source": verdict.source,
        "id": verdict.id,
        "workflow": verdict.workflow,
        "events": verdict.events,
        "verdict": verdict.word,
        "message": None if error is None else str(error),
    }
    if isinstance(error, NonDeterminismError):
        found["difference"] = {
            "event": error.position,
            "history": error.recorded,
            "code": error.issued,
            "where": [line.strip() for line in error.where.splitlines()],
        }
    return found


def _print(verdicts: Sequence[_Verdict], failed: int) -> None:

    console = out_console()
    for verdict in verdicts:
        is_ok = verdict.error is None
        name = safe(verdict.id) or safe(verdict.source)
        where = "" if verdict.source == "store" or not verdict.id else f" ({safe(verdict.source)})"
        line = Text("✓ " if is_ok else "✗ ", style="green" if is_ok else "bold red")
        line.append(f"{name}{where}", style="default not bold")
        if verdict.workflow:
            line.append(f"  {safe(verdict.workflow)}, {plural(verdict.events, 'event')}", style="dim not bold")
        console.print(line, soft_wrap=True)
        for text, style in _explanation(verdict):
            console.print(Text(f"  {text}", style=style), soft_wrap=True)
    if not verdicts:
        console.print("there is nothing to replay: no workflow is open (--closed takes the others too)")
    else:
        outcome = "all make the same decisions" if not failed else f"{failed:,} do not replay"
        console.print(f"{plural(len(verdicts), 'history', 'histories')} replayed, {outcome}")


def _explanation(verdict: _Verdict) -> Iterator[tuple[str, str]]:
    if verdict.difference:
        for line in verdict.difference.split("\n"):
            words = line.lstrip()
            style = "red" if words.startswith("history has:") else "green" if words.startswith("the code did:") else ""
            yield safe(line, keep_lines=True), style
    elif verdict.error is not None:
        yield f"  {safe(f'{type(verdict.error).__name__}: {verdict.error}', keep_lines=True)}", "red"
