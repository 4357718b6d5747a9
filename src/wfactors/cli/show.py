"""``wfactors show``: one workflow, its history over time, its children."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from wfactors.cli.exits import Exit, Problem
from wfactors.cli.listing import description_as_json
from wfactors.cli.options import Globals
from wfactors.cli.output import STYLES, out_console, print_json, status_text
from wfactors.cli.requests import failure_as_json
from wfactors.cli.running import find, run, with_client
from wfactors.cli.text import ago, clock, duration, iso, plural, safe, shortened, size
from wfactors.cli.timeline import Span, event_in_words, payload_text, readable, spans_of
from wfactors.client import Client, Description
from wfactors.client.handle import described
from wfactors.model.events import Event
from wfactors.model.payloads import NULL, Payload
from wfactors.model.records import HeaderRow, InstanceFilter
from wfactors.model.status import Status

__all__ = ["ShowOptions", "show_command"]

_VALUE_LENGTH = 400
_CHILDREN_SHOWN = 12
_DEPTH_MAX = 6
_BAR_WIDTH_MIN = 10
_NAME_WIDTH = 24
_LABELS_WIDTH = 50
_WIDTH_MAX = 140
_BAR_STYLES = {"open": "cyan", "done": "green", "failed": "red", "cancelled": "magenta", "point": "blue"}
_BAR_SIGNS = {"open": "…", "done": "✓", "failed": "✗", "cancelled": "⊘", "point": "◆"}


@attrs.frozen(kw_only=True)
class ShowOptions:
    """What ``wfactors show`` was asked for."""

    run: int | None
    is_with_events: bool
    limit: int


@attrs.frozen
class _Child:
    header: HeaderRow
    children: Sequence[_Child] = ()
    more: int = 0


@attrs.frozen(kw_only=True)
class _Shown:
    """All that is shown, read from the store."""

    header: HeaderRow
    description: Description
    history: Sequence[Event]
    spans: Sequence[Span]
    input: Any
    result: Any
    family: _Child
    owner: str | None
    is_owner_alive: bool


def show_command(options: Globals, id: str, wanted: ShowOptions) -> None:
    """Show one workflow."""
    run(_show, options, id, wanted)


async def _show(options: Globals, id: str, wanted: ShowOptions) -> None:
    async with with_client(options) as client:
        shown = await _read(client, id, wanted)
    if options.json:
        print_json(_as_json(shown))
    else:
        _print(out_console(), shown, wanted)


# --- Reading ---------------------------------------------------------------------------------------------------------


async def _read(client: Client, id: str, wanted: ShowOptions) -> _Shown:
    handle = await find(client, id)
    header = await client.store.header(handle.instance, wanted.run)
    if header is None:
        raise Problem(Exit.NOT_FOUND, f"workflow {safe(handle.id)} has no run {wanted.run}", "leave out --run")
    description = await described(client, header)
    history = [readable(event, client.data) for event in await handle.history(header.run)]
    first = history[0] if history else None
    owner = {row.partition: row.node for row in await client.store.partitions()}.get(header.partition)
    return _Shown(
        header=header,
        description=description,
        history=history,
        spans=spans_of(history, description.activities, description.gone),
        input=_value(client, getattr(first, "input", header.start)),
        result=_value(client, header.result),
        family=await _family(client, header, _DEPTH_MAX),
        owner=owner,
        is_owner_alive=any(row.is_alive and row.node == owner for row in await client.store.nodes()),
    )


def _value(client: Client, payload: Payload | None) -> Any:
    if payload is None or payload == NULL:
        return None
    try:
        return client.data.from_payload(payload)
    except Exception as error:  # noqa: BLE001  It may be encrypted; what can be shown is shown.
        return f"(cannot be read here: {error})"


async def _family(client: Client, header: HeaderRow, depth: int) -> _Child:
    filter = InstanceFilter(parent=header.instance)
    headers = await client.store.headers(filter, _CHILDREN_SHOWN + 1, newest_first=False)
    more = 0
    if len(headers) > _CHILDREN_SHOWN:
        headers = headers[:_CHILDREN_SHOWN]
        more = await client.store.count(filter) - len(headers)
    if depth == 0:
        return _Child(header, (), more + len(headers))
    return _Child(header, [await _family(client, child, depth - 1) for child in headers], more)


# --- For machines ----------------------------------------------------------------------------------------------------


def _as_json(shown: _Shown) -> dict[str, Any]:
    return {
        **description_as_json(shown.description),
        "owner": shown.owner,
        "owner_is_alive": None if shown.owner is None else shown.is_owner_alive,
        "input": shown.input,
        "result": shown.result,
        "waits_for": shown.description.waits_for,
        "signals": list(shown.description.signals),
        "pending_activities": [
            {
                "call": task.key.call,
                "activity": task.activity,
                "queue": task.queue,
                "attempt": task.attempt,
                "node": task.node,
                "node_is_alive": None if task.node is None else task.node not in shown.description.gone,
                "scheduled_at": iso(task.scheduled_at),
                "available_at": iso(task.available_at),
                "last_failure": failure_as_json(task.failure),
            }
            for task in shown.description.activities
        ],
        "history": [
            {
                "event": span.first,
                "kind": span.kind,
                "name": span.name,
                "began_at": iso(span.begin),
                "ended_at": iso(span.end),
                "outcome": span.outcome,
                "detail": span.detail,
            }
            for span in shown.spans
        ],
        "children": _family_as_json(shown.family)["children"],
    }


def _family_as_json(child: _Child) -> dict[str, Any]:
    header = child.header
    return {
        "id": header.id,
        "instance": header.instance,
        "workflow": header.workflow,
        "status": header.status.value,
        "parked": header.parked,
        "children": [_family_as_json(item) for item in child.children],
        "more": child.more,
    }


# --- For people ------------------------------------------------------------------------------------------------------


def _print(console: Console, shown: _Shown, wanted: ShowOptions) -> None:
    _print_header(console, shown)
    _print_waits(console, shown)
    _print_failure(console, shown)
    if shown.history:
        _print_timeline(console, shown, wanted.limit)
    if wanted.is_with_events:
        _print_events(console, shown.history)
    if shown.family.children:
        console.print("\nchildren", style="bold")
        for child in shown.family.children:
            console.print(_tree(child))
        if shown.family.more:
            console.print(f"and {shown.family.more:,} more", style="dim")


def _print_header(console: Console, shown: _Shown) -> None:

    header, now = shown.header, datetime.now(UTC)
    title = Text.assemble((safe(header.id), "bold"), "  ", status_text(header.status.value, header.parked))
    console.print(title)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    created = shown.description.created_at
    closed = shown.description.closed_at
    took = duration(((closed or now) - created).total_seconds())
    times = f"{clock(created)} ({ago(created, now)})"
    times += f", took {took}, ended {clock(closed)}" if closed else f", open for {took}"
    where = safe(header.queue)
    if header.status is Status.OPEN:
        where += f", owned by {shown.owner}" if shown.owner else ", owned by no node now"
        where += " (gone)" if shown.owner and not shown.is_owner_alive else ""
    grid.add_row("workflow", Text(safe(header.workflow) + (f", run {header.run}" if header.run > 1 else "")))
    grid.add_row("created" if shown.description.has_to_start else "started", times)
    grid.add_row("queue", Text(where))
    grid.add_row("history", f"{plural(header.events, 'event')}, {size(header.history_bytes)}")
    grid.add_row("key", header.instance)
    if header.parent is not None:
        grid.add_row("parent", Text(safe(header.parent.id)))
    if shown.description.attributes:
        grid.add_row("attributes", Text(_short(shown.description.attributes)))
    grid.add_row("input", Text(_short(shown.input)))
    if header.status is Status.COMPLETED:
        grid.add_row("result", Text(_short(shown.result)))
    console.print(grid)


def _short(value: Any) -> str:

    return safe(shortened(json.dumps(value, ensure_ascii=False), _VALUE_LENGTH), keep_lines=True)


def _print_waits(console: Console, shown: _Shown) -> None:

    header, now = shown.header, datetime.now(UTC)
    if header.status is not Status.OPEN:
        return
    console.print("\nwaits for", style="bold")
    if header.parked is not None:
        console.print(Text(f"  {safe(header.parked, keep_lines=True)}", style=STYLES["parked"]))
        console.print(Text(f"  mend the code, then: wfactors resume {safe(header.id)}", style="dim"))
    waiting = [span for span in shown.spans if span.outcome == "open"]
    for span in waiting[:_CHILDREN_SHOWN]:
        since = ago(datetime.fromtimestamp(span.begin, UTC), now)
        detail = f" ({safe(span.detail)})" if span.detail else ""
        console.print(Text(f"  {span.kind} {safe(span.name)}, since {since}{detail}"))
    if len(waiting) > _CHILDREN_SHOWN:
        console.print(f"  and {len(waiting) - _CHILDREN_SHOWN:,} more", style="dim")
    for name in header.awaited:
        console.print(Text(f"  signal '{safe(name)}'"))
    if shown.description.has_to_start:
        console.print(Text(f"  {_start_in_words(shown.description, now)}"))
    elif header.wake_at is not None:
        at = datetime.fromtimestamp(header.wake_at, UTC)
        verb = "wakes" if at > now else "is due since"
        console.print(Text(f"  its clock: {verb} {clock(at)} ({ago(at, now)})"))
    if not (waiting or header.awaited) and header.wake_at is None and header.parked is None:
        console.print("  a signal, an update, or being cancelled")


def _start_in_words(description: Description, now: datetime) -> str:
    node, at = f"a node that serves queue {safe(description.queue)!r} to start it", description.wake_at
    if at is None:
        return node
    return f"{'its start at' if at > now else f'{node}: due since'} {clock(at)} ({ago(at, now)})"


def _print_failure(console: Console, shown: _Shown) -> None:

    failure = shown.description.failure
    if failure is None:
        return
    console.print(f"\n{shown.header.status.value}", style=STYLES[shown.header.status.value])
    console.print(Text(f"  {safe(failure.summary())}"))
    if failure.traceback:
        lines = safe(failure.traceback, keep_lines=True).rstrip().splitlines()
        console.print(Text("\n".join(f"  {line}" for line in lines), style="dim"))


# --- The timeline ----------------------------------------------------------------------------------------------------


def _print_timeline(console: Console, shown: _Shown, limit: int) -> None:

    spans = shown.spans
    begin = shown.header.started_at or shown.header.created_at
    now = datetime.now(UTC).timestamp()
    times = [time for span in spans for time in (span.begin, span.end) if time is not None]
    end = shown.header.closed_at or max([now, *times])
    console.print(f"\nhistory over {duration(end - begin)}", style="bold")
    room = min(console.width, _WIDTH_MAX) - _LABELS_WIDTH
    width = max(room * 2 // 3, _BAR_WIDTH_MIN)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(justify="right", no_wrap=True, min_width=8)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(justify="right", no_wrap=True, min_width=6)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for span in spans[:limit]:
        style = _BAR_STYLES[span.outcome]
        table.add_row(
            Text(f"+{duration(span.begin - begin)}", style="dim"),
            Text(_BAR_SIGNS[span.outcome], style=style),
            Text(shortened(f"{span.kind} {safe(span.name)}", _NAME_WIDTH)),
            Text(_bar(span, begin, end, width), style=style),
            Text("" if span.outcome == "point" else duration((span.end or end) - span.begin)),
            Text(safe(span.detail), style="dim" if span.outcome != "failed" else "red"),
        )
    console.print(table)
    if len(spans) > limit:
        console.print(f"and {len(spans) - limit:,} more: --limit {len(spans)}", style="dim")


def _bar(span: Span, begin: float, end: float, width: int) -> str:
    """The span on a line of ``width`` cells from ``begin`` to ``end``."""
    scale = (width - 1) / max(end - begin, 1e-9)
    first = min(max(round((span.begin - begin) * scale), 0), width - 1)
    if span.outcome == "point":
        return " " * first + "╵"
    last = min(max(round(((span.end or end) - begin) * scale), first), width - 1)
    fill = "┅" if span.outcome == "open" else "━"
    return " " * first + fill * (last - first + 1)


def _print_events(console: Console, history: Sequence[Event]) -> None:

    console.print("\nevents", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for position, event in enumerate(history):
        time = getattr(event, "time", None)
        name = Text(type(event).__name__, style="bold" if time is not None else "")
        moment = "" if time is None else clock(time)
        table.add_row(str(position), Text(moment, style="dim"), name, Text(event_in_words(event)))
    console.print(table)


def _tree(child: _Child) -> Tree:

    header = child.header
    label = Text.assemble(
        status_text(header.status.value, header.parked), "  ", safe(header.workflow), "  ", (safe(header.id), "dim")
    )
    if header.attributes is not None:
        label.append(f"  {payload_text(header.attributes)}", style="dim")
    tree = Tree(label, guide_style="dim")
    for item in child.children:
        tree.children.append(_tree(item))
    if child.more:
        tree.add(Text(f"and {child.more:,} more", style="dim"))
    return tree
