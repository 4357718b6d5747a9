"""``wfactors list``: the workflows of a store as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import attrs
import typer
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from wfactors.cli.options import Globals
from wfactors.cli.output import fitted, out_console, print_json, status_text
from wfactors.cli.requests import failure_as_json
from wfactors.cli.running import run, with_client
from wfactors.cli.text import ago, duration, iso, middle_cut, plural, safe, shortened
from wfactors.client import Description
from wfactors.model.status import Status

__all__ = ["ListOptions", "description_as_json", "list_command"]

_DETAIL_LENGTH = 80
_WIDTH_WIDE = 100
_WIDTH_NARROW = 72
_FLEXIBLE = {"ID", "WORKFLOW", "ATTRIBUTES", "DETAIL"}
_RIGHT = {"TOOK", "EVENTS"}


@attrs.frozen
class ListOptions:
    """What ``wfactors list`` was asked for."""

    status: tuple[str, ...]
    workflow: str | None
    queue: str | None
    attributes: Mapping[str, Any] | None
    limit: int
    is_of_roots: bool


def list_command(options: Globals, wanted: ListOptions) -> None:
    """List workflows."""
    known = [*(status.value for status in Status), "parked"]
    for status in wanted.status:
        if status not in known:
            raise typer.BadParameter(f"--status is one of {', '.join(known)}, not {status!r}")
    run(_list, options, wanted)


async def _list(options: Globals, wanted: ListOptions) -> None:
    is_parked = True if "parked" in wanted.status else None
    statuses = [status for status in wanted.status if status != "parked"]
    async with with_client(options) as client:
        found = []
        listing = client.list(
            status=statuses or None,
            workflow=wanted.workflow,
            queue=wanted.queue,
            attributes=wanted.attributes,
            parked=is_parked,
            limit=None if wanted.is_of_roots else wanted.limit + 1,
        )
        # Left before its end, it must be closed here.
        async with aclosing(listing):
            async for item in listing:
                if item.parent is None or not wanted.is_of_roots:
                    found.append(item)
                if len(found) > wanted.limit:
                    break
        has_more = len(found) > wanted.limit
        found = found[: wanted.limit]
        total: int | None = len(found)
        if has_more and wanted.is_of_roots:
            total = None
        elif has_more:
            total = await client.count(
                status=statuses or None,
                workflow=wanted.workflow,
                queue=wanted.queue,
                attributes=wanted.attributes,
                parked=is_parked,
            )
    if options.json:
        print_json({"workflows": [description_as_json(item) for item in found], "total": total})
    else:
        _print_table(found, total)


def _print_table(found: list[Description], total: int | None) -> None:

    console = out_console()
    if not found:
        console.print("no workflows match")
        return
    names, rows = _cells(found, console.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    naturals = [max(cell_len(name), *(row[column].cell_len for row in rows)) for column, name in enumerate(names)]
    widths = fitted(naturals, [name in _FLEXIBLE for name in names], console.width - 2 * (len(names) - 1))
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, no_wrap=True, justify="right" if name in _RIGHT else "left", width=width)
    for row in rows:
        for name, cell, width in zip(names, row, widths, strict=True):
            if name == "ID" and cell.cell_len > width:
                # The end tells children of one parent apart.
                cell.plain = middle_cut(cell.plain, width)
            cell.truncate(width, overflow="ellipsis")
        table.add_row(*row)
    console.print(table)
    if total != len(found):
        of = "more" if total is None else plural(total, "workflow")
        console.print(f"{len(found):,} of {of}; --limit shows more", style="dim")


def _cells(found: Sequence[Description], width: int) -> tuple[list[str], list[list[Text]]]:
    """The columns there is room for, and their cells."""
    now = datetime.now(UTC)
    columns: dict[str, Callable[[Description], Text]] = {
        "STATUS": lambda item: status_text(item.status.value, item.parked),
        "ID": lambda item: Text(safe(item.id)),
        "WORKFLOW": lambda item: Text(safe(item.workflow)),
        "STARTED": lambda item: Text(ago(item.created_at, now), style="dim"),
        "TOOK": lambda item: Text(duration(((item.closed_at or now) - item.created_at).total_seconds())),
        "EVENTS": lambda item: Text(f"{item.events:,}"),
        "ATTRIBUTES": _attributes,
        "DETAIL": _detail,
    }
    if width < _WIDTH_WIDE or not any(item.attributes for item in found):
        del columns["ATTRIBUTES"]
    if width < _WIDTH_WIDE:
        del columns["TOOK"], columns["EVENTS"]
    if width < _WIDTH_NARROW:
        del columns["STARTED"]
    return list(columns), [[cell(item) for cell in columns.values()] for item in found]


def _attributes(item: Description) -> Text:
    words = " ".join(f"{safe(name)}={safe(str(value))}" for name, value in item.attributes.items())
    return Text(shortened(words, _DETAIL_LENGTH), style="dim")


def _detail(item: Description) -> Text:
    words, style = _detail_words(item)
    return Text(shortened(safe(words), _DETAIL_LENGTH), style=style)


def _detail_words(item: Description) -> tuple[str, str]:
    if item.parked is not None:
        return " ".join(item.parked.split()), "yellow"
    if item.failure is not None and item.status in (Status.FAILED, Status.TERMINATED):
        return item.failure.summary(), "red" if item.status is Status.FAILED else "dim"
    now = datetime.now(UTC)
    if item.has_to_start and (item.wake_at is None or item.wake_at <= now):
        return "has to start", "dim"
    if item.status is Status.OPEN and item.wake_at is not None:
        verb = "starts" if item.has_to_start else "wakes"
        return f"{verb} {ago(item.wake_at, now)}" if item.wake_at > now else "due now", "dim"
    if item.parent is not None:
        return f"child of {item.parent}", "dim"
    return "", ""


def description_as_json(item: Description) -> dict[str, Any]:
    """A workflow for machines; the fields are documented in ``docs/how-to/command-line.md``."""
    return {
        "id": item.id,
        "instance": item.instance,
        "run": item.run,
        "workflow": item.workflow,
        "queue": item.queue,
        "status": item.status.value,
        "parked": item.parked,
        "created_at": iso(item.created_at),
        "started_at": iso(item.started_at),
        "closed_at": iso(item.closed_at),
        "wake_at": iso(item.wake_at),
        "parent": item.parent,
        "events": item.events,
        "history_bytes": item.history_bytes,
        "attributes": item.attributes,
        "error": failure_as_json(item.failure),
    }
