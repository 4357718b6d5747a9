"""What a demo is going to do, and where: decided before anything is started, or read from the store if it goes on."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

import attrs

from wfactors.cli.demo.pipeline import Job, index_path, journal_path, wanted_files
from wfactors.cli.demo.samples import write_samples
from wfactors.cli.exits import Exit, Problem
from wfactors.cli.running import sqlite_path, store_option
from wfactors.cli.text import safe
from wfactors.client import Client, Handle
from wfactors.model.status import Status

__all__ = ["DemoOptions", "Place", "Plan", "choose_place", "plan_anew", "plan_to_go_on"]

_FILES_MADE = 60
_FILES_TAKEN_MAX = 1_000
_AT_ONCE = 8
_WORK_SECONDS = 7.0
_PAUSE_SECONDS_MAX = 1.0
_REST_SECONDS = 2.0


@attrs.frozen
class DemoOptions:
    """What ``wfactors demo`` was asked for."""

    folder: Path | None
    output: Path | None
    files: int | None
    seed: int
    kill: bool = attrs.field(kw_only=True)
    ask: bool = attrs.field(kw_only=True)
    keep: bool = attrs.field(kw_only=True)
    fast: bool = attrs.field(kw_only=True)


@attrs.frozen
class Place:
    """Where a demo happens.

    Attributes:
        url: Of the store.
        folder: For what the demo writes, unless the user named another.
    """

    url: str
    folder: Path


@attrs.frozen
class Plan:
    """One pipeline.

    Attributes:
        id: Of its workflow.
        job: What it is given.
        paths: The files it will take; empty if that is to be read from the store.
        size: Bytes of these.
        is_new: It is still to be started.
        made: Folders that the demo made and may remove.
    """

    id: str
    job: Job
    paths: tuple[str, ...] = ()
    size: int = 0
    is_new: bool = True
    made: tuple[Path, ...] = ()


def choose_place(store: str | None, wanted: DemoOptions) -> Place:
    """Where the demo happens; nothing is left in the current folder by one that names nothing."""
    here = Path.cwd() / "wfactors-demo"
    if store is None and wanted.folder is None and wanted.output is None:
        here = Path(tempfile.mkdtemp(prefix="wfactors-demo-"))
    if store is None:
        store = f"sqlite:///{quote(str(here / 'demo.db'))}"
    path = sqlite_path(store)
    if path is None:
        raise Problem(
            Exit.USAGE, "the demo needs a store in a file, for two processes share it", "--store sqlite:///demo.db"
        )
    here.mkdir(parents=True, exist_ok=True)
    return Place(store, here)


async def plan_to_go_on(client: Client) -> tuple[Plan, Handle[object]] | None:
    """The pipeline that was interrupted; None if there is none."""
    found = [item async for item in client.list(workflow="demo.pipeline", status=Status.OPEN, limit=1)]
    if not found:
        return None
    (item,) = found
    handle = await client.get(item.id)
    header = await client.store.header(handle.instance)
    assert header is not None, "nobody removes what is open"
    history = await handle.history() if header.start is None else []
    payload = header.start if header.start is not None else history[0].input  # type: ignore[union-attr]
    assert payload is not None
    (fields,) = client.data.from_payload(payload)
    job = Job(**fields)
    if not Path(job.source).is_dir():  # noqa: ASYNC240  One look.
        raise Problem(
            Exit.CONFLICT,
            f"{safe(item.id)} is open in this store, but its folder {safe(job.source)} is gone",
            f"end it first: wfactors terminate {safe(item.id)} {store_option(client.store.url)}",
        )
    made = tuple(Path(folder) for folder in item.attributes.get("made", ()))
    return Plan(item.id, job, is_new=False, made=made), handle


async def plan_anew(client: Client, place: Place, wanted: DemoOptions) -> Plan:
    """A new pipeline: its files are chosen, or made."""
    return _plan_anew(await client.count(workflow="demo.pipeline") + 1, place, wanted)


def _plan_anew(number: int, place: Place, wanted: DemoOptions) -> Plan:
    while (place.folder / f"demo-{number}").exists():
        number += 1
    id = f"demo-{number}"
    output = wanted.output or place.folder / id
    made = () if wanted.output else (output,)
    if wanted.folder is None:
        source = place.folder / f"{id}-files"
        write_samples(source, wanted.files or _FILES_MADE, wanted.seed)
        made = (*made, source)
    else:
        source, made = wanted.folder, ()
    output.mkdir(parents=True, exist_ok=True)
    journal_path(str(output)).unlink(missing_ok=True)
    index_path(str(output)).unlink(missing_ok=True)
    limit = wanted.files or (_FILES_TAKEN_MAX if wanted.folder is not None else None)
    left_out = [] if wanted.folder is None else _written(place, output)
    paths = wanted_files(str(source), left_out, limit)
    if not paths:
        raise Problem(Exit.USAGE, f"there are no files in {safe(str(source))}", "name another folder, or none")
    slower = 0.1 if wanted.fast else 1.0
    job = Job(
        source=str(source.resolve()),
        output=str(output.resolve()),
        left_out=left_out,
        limit=limit,
        at_once=_AT_ONCE,
        pause=slower * min(_PAUSE_SECONDS_MAX, _WORK_SECONDS * _AT_ONCE / len(paths)),
        rest=slower * _REST_SECONDS,
        flaky=wanted.seed + len(paths) // 4,
    )
    size = sum((source / path).stat().st_size for path in paths)
    return Plan(id, job, tuple(paths), size, made=tuple(folder.resolve() for folder in made))


def _written(place: Place, output: Path) -> list[str]:
    """What the demo writes to, and so does not take for sources: folders, and the store's files with their suffixes."""
    path = sqlite_path(place.url)
    assert path is not None, "the place was chosen so"
    return [f"{output.resolve()}/", f"{place.folder.resolve()}/", str(path.resolve())]


def remove_made(plan: Plan) -> None:
    """Remove what the demo made for itself."""
    for folder in plan.made:
        shutil.rmtree(folder, ignore_errors=True)
