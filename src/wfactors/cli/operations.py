"""``migrate`` and ``doctor``: what whoever runs a store needs."""

from __future__ import annotations

import platform
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import attrs
import typer
from rich.table import Table
from rich.text import Text

from wfactors.__about__ import __version__
from wfactors.cli.exits import TO_THE_DOCTOR, Exit, explained
from wfactors.cli.options import Globals
from wfactors.cli.output import out_console, print_json
from wfactors.cli.running import run, sqlite_path, store_url, with_client
from wfactors.cli.text import clock, duration, plural, safe, size
from wfactors.client import Client
from wfactors.model.status import Status

__all__ = ["doctor_command", "migrate_command"]

Level = Literal["ok", "warning", "problem"]
# Fixed there: two connections that write or checkpoint at once could lose what a log held (SQLite 3.7.0 to 3.51.2).
_SQLITE_WITHOUT_RESET_RACE = (3, 51, 3)
_SKEW_SECONDS = 1.0
_SPACE_BYTES = 100 * 2**20
_TASK_AGE_SECONDS = 60.0
_PACKAGES = ("trio", "attrs", "cattrs", "msgspec", "opentelemetry-api", "rich", "typer")
_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}
_NAMES_MAX = 5


@attrs.frozen
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    words: str
    hint: str = ""


# --- Migrate ---------------------------------------------------------------------------------------------------------


def migrate_command(options: Globals) -> None:
    """Bring the schema up to date."""
    run(_migrate, options)


async def _migrate(options: Globals) -> None:
    path = sqlite_path(store_url(options))
    before = _schema_version(path) if path is not None else None
    async with with_client(options, may_create=True) as client:
        details = _store_details(client)
        after = int(details.get("schema version", 0))
    if options.json:
        print_json({"store": store_url(options), "before": before, "after": after})
    elif before == after:
        typer.echo(f"the schema is up to date (version {after})")
    else:
        typer.echo(f"the schema was brought from version {before or 0} to {after}")


def _schema_version(path: Any) -> int | None:
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return None


def _store_details(client: Client) -> dict[str, str]:
    details = getattr(client.store, "details", None)
    return {} if details is None else details()


# --- Doctor ----------------------------------------------------------------------------------------------------------


def doctor_command(options: Globals) -> None:
    """Look for problems; ends with code 1 if there are any, 5 if the store cannot be opened."""
    findings, code = run(_examine, options)
    problems = sum(finding.level == "problem" for finding in findings)
    if options.json:
        checks = [attrs.asdict(finding) for finding in findings]
        print_json({"ok": not problems, "problems": problems, "checks": checks})
    else:
        _print(findings, problems)
    raise typer.Exit(code or (Exit.FAILED if problems else Exit.OK))


async def _examine(options: Globals) -> tuple[list[Finding], int]:
    url = store_url(options)
    findings = [*_versions()]
    try:
        async with with_client(options) as client:
            findings += [finding async for finding in _store(client, url)]
            findings += [finding async for finding in _cluster(client)]
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        problem = explained(error)
        if problem is None:
            raise
        hint = "" if problem.hint == TO_THE_DOCTOR else problem.hint
        findings.append(Finding("store", "problem", f"{safe(url)}: {problem.sentence}", hint))
        return findings, problem.code
    return findings, 0


def _versions() -> list[Finding]:

    def installed(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} (not installed)"

    is_supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform(terse=True)}"
    packages = ", ".join(installed(name) for name in _PACKAGES)
    return [
        Finding("wfactors", "ok", __version__),
        Finding(
            "python", "ok" if is_supported else "warning", python, "" if is_supported else "tested are 3.11 to 3.13"
        ),
        Finding("packages", "ok", packages),
    ]


async def _store(client: Client, url: str) -> AsyncIterator[Finding]:
    details = _store_details(client)
    words = ", ".join(f"{name} {value}" for name, value in details.items() if name not in ("SQLite", "path"))
    yield Finding("store", "ok", f"{safe(url)}{': ' if words else ''}{words}")
    durability = client.store.durability()
    promise = {
        "machine": "an acknowledged write survives a power cut",
        "process": "an acknowledged write survives the process, not a power cut",
        "none": "nothing survives the process",
    }[durability.level]
    yield Finding(
        "durability",
        "ok" if durability.warning is None else "problem",
        f"{durability.detail}: {promise}",
        durability.warning or "",
    )
    if url.startswith("sqlite"):
        for finding in _sqlite(url):
            yield finding
    before = time.time()
    skew = await client.store.now() - (before + time.time()) / 2
    is_close = abs(skew) < _SKEW_SECONDS
    yield Finding(
        "clock",
        "ok" if is_close else "problem",
        f"this machine's and the store's differ by {duration(abs(skew))}",
        "" if is_close else "let a time service (chrony, systemd-timesyncd) set both",
    )


def _sqlite(url: str) -> list[Finding]:
    findings = []
    if sqlite3.sqlite_version_info >= _SQLITE_WITHOUT_RESET_RACE:
        findings.append(Finding("sqlite", "ok", f"{sqlite3.sqlite_version}, with the fix of the WAL-reset race"))
    else:
        findings.append(
            Finding(
                "sqlite",
                "warning",
                f"{sqlite3.sqlite_version}, from before the fix (3.51.3) of a race between two writers at a reset of "
                "the log",
                "wfactors writes by one connection a process, which keeps clear of it with one node a file",
            )
        )
    path = sqlite_path(url)
    if path is not None:
        free = shutil.disk_usage(path.resolve().parent).free
        is_enough = free > _SPACE_BYTES
        hint = "" if is_enough else "make room: a full disk stops every commit"
        findings.append(Finding("space", "ok" if is_enough else "problem", f"{size(free)} free", hint))
    return findings


async def _cluster(client: Client) -> AsyncIterator[Finding]:
    nodes = await client.nodes()
    alive = [node for node in nodes if node.is_alive]
    has_open = await client.count(status=Status.OPEN)
    for node in nodes:
        version_words = f", code {safe(node.code_version)}" if node.code_version else ""
        words = (
            f"{node.node}: queues {', '.join(safe(queue) for queue in node.queues)}, "
            f"{plural(len(node.workflows), 'workflow')}, {plural(len(node.activities), 'activity', 'activities')}, "
            f"since {clock(node.joined_at)}{version_words}"
        )
        if node.is_alive:
            yield Finding("node", "ok", words)
        else:
            yield Finding("node", "warning", f"{words}; it is gone", "the next node that looks removes it")
    if not alive:
        level: Level = "problem" if has_open else "warning"
        hint = "wfactors run MODULE --store ... starts one"
        yield Finding("node", level, f"no node runs; {plural(has_open, 'workflow is', 'workflows are')} open", hint)
    for finding in await _work(client, [queue for node in alive for queue in node.queues], has_open):
        yield finding
    if alive:
        for finding in await _unknown(client, {name for node in alive for name in node.workflows}):
            yield finding


async def _work(client: Client, served: Sequence[str], has_open: int) -> list[Finding]:
    findings = []
    counts = Counter({status.value: await client.count(status=status) for status in Status})
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "none yet"
    findings.append(Finding("workflows", "ok", words))
    parked = await client.count(parked=True)
    if parked:
        hint = "wfactors list --status parked tells why; wfactors resume ID lets one try again"
        findings.append(Finding("parked", "problem", f"{parked:,} of {has_open:,} open workflows are parked", hint))
    now = time.time()
    for queue in await client.queues():
        words = (
            f"{safe(queue.queue)}: {queue.open_instances:,} open, {queue.pending_tasks:,} activities waiting, "
            f"{queue.running_tasks:,} running, {plural(queue.inbox_messages, 'message')} waiting"
        )
        age = 0.0 if queue.oldest_task_at is None else now - queue.oldest_task_at
        if served and queue.queue not in served and (queue.open_instances or queue.pending_tasks):
            findings.append(Finding("queue", "problem", f"{words}; no node serves it", f"--queue {safe(queue.queue)}"))
        elif age > _TASK_AGE_SECONDS:
            words += f", the oldest for {duration(age)}"
            hint = "more nodes, more --activities, or one that knows the activity"
            findings.append(Finding("queue", "warning", words, hint))
        else:
            findings.append(Finding("queue", "ok", words))
    return findings


async def _unknown(client: Client, known: set[str]) -> list[Finding]:
    """Workflows that are open and that no running node has the code of."""
    names = Counter([item.workflow async for item in client.list(status=Status.OPEN, limit=1000)])
    missing = [f"{safe(name)} ({count:,})" for name, count in names.items() if name not in known]
    if not missing:
        return []
    shown = ", ".join(missing[:_NAMES_MAX]) + (" ..." if len(missing) > _NAMES_MAX else "")
    hint = "start a node with their code: wfactors run MODULE"
    return [Finding("code", "problem", f"no running node knows these open workflows: {shown}", hint)]


def _print(findings: Sequence[Finding], problems: int) -> None:

    console = out_console()
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for finding in findings:
        sign, style = _SIGNS[finding.level]
        text = Text(finding.words, style="" if finding.level == "ok" else style)
        if finding.hint:
            text.append(f"\n{finding.hint}", style="not bold default dim")
        table.add_row(Text(sign, style=style), finding.subject, text)
    console.print(table)
    verdict = "no problems found" if not problems else f"{plural(problems, 'problem')} found"
    console.print(verdict, style="green" if not problems else "bold red")
