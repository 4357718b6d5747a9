"""The work of the demo: hash, compress and index every file of a folder, one child workflow a file.

It is what a user would write, and runs like a user's code: ``wfactors run wfactors.cli.demo.pipeline``. Every attempt
of an activity leaves a line in a journal of its own, outside of wfactors, so that whoever doubts can count.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

import wfactors as wf

__all__ = [
    "QUEUE",
    "FileReport",
    "Job",
    "Summary",
    "index_path",
    "journal_path",
    "pipeline",
    "target_of",
    "wanted_files",
]

QUEUE = "demo"
_CHUNK = 256 * 1024
_WORD = re.compile(r"\w{2,}")
_WORDS_KEPT = 5
_INDEX_WAIT_SECONDS = 30


@attrs.frozen
class Job:
    """What the pipeline is to do.

    Attributes:
        source: The folder to read.
        output: The folder to write.
        left_out: What the demo writes to: folders, with a slash behind them, and beginnings of paths.
        limit: At most so many files; None for all.
        at_once: Files under way at a time.
        pause: Seconds that each file sleeps, durably.
        rest: Seconds that the pipeline sleeps before it asks for approval.
        flaky: Index of the file whose compression fails the first time.
    """

    source: str
    output: str
    left_out: list[str]
    limit: int | None
    at_once: int
    pause: float
    rest: float
    flaky: int


@attrs.frozen
class FileReport:
    """What came of one file."""

    path: str
    size: int
    packed: int
    sha256: str
    words: int
    attempts: int
    error: str | None = None


@attrs.frozen
class Summary:
    """What came of all."""

    files: int
    failed: int
    size: int
    packed: int
    words: int
    top: list[str]


# --- Workflows -------------------------------------------------------------------------------------------------------


@wf.workflow(name="demo.pipeline", queue=QUEUE)
async def pipeline(job: Job) -> Summary:
    """List the files; a child for each, some at a time; rest; wait for approval; a child that sums up."""
    phase = "listing the files"
    done: list[FileReport] = []

    @wf.query
    def progress() -> dict[str, object]:
        return {"phase": phase, "done": len(done), "files": len(paths)}

    paths: list[str] = []
    paths = await list_files(job)
    phase = "working on the files"
    wf.set_attributes(files=len(paths))
    limiter = wf.CapacityLimiter(job.at_once)

    async def work_on(number: int, path: str) -> None:
        async with limiter:
            try:
                one = process_file.options(attributes={"file": path})
                done.append(await one(job, path, number == job.flaky % len(paths)))
            except wf.ChildWorkflowError as error:
                done.append(FileReport(path, 0, 0, "", 0, 0, str(error)))

    async with wf.open_nursery() as nursery:
        for number, path in enumerate(paths):
            nursery.start_soon(work_on, number, path)
    phase = "resting"
    await wf.sleep(job.rest)
    phase = "waiting for approval"
    if not await wf.signals("approve", bool).receive():
        raise wf.PermanentError("the results were not approved")
    phase = "summing up"
    return await summary(job, sorted(done, key=lambda report: report.path))


@wf.workflow(name="demo.file", queue=QUEUE)
async def process_file(job: Job, path: str, is_flaky: bool) -> FileReport:  # noqa: FBT001  It is recorded.
    """Hash one file, sleep durably, compress it, put it into the index."""
    digest, size = await hash_file(job.source, path, job.output)
    await wf.sleep(job.pause)
    packed, attempts = await compress_file(job.source, path, job.output, digest, is_flaky)
    words = await index_file(job.source, path, job.output, digest)
    return FileReport(path, size, packed, digest, words, attempts)


@wf.workflow(name="demo.summary", queue=QUEUE)
async def summary(job: Job, reports: list[FileReport]) -> Summary:
    """Sum up, in a file too."""
    return await write_report(job.output, reports)


# --- Activities: plain functions, each in a thread -------------------------------------------------------------------


@wf.activity(name="demo.list", queue=QUEUE, start_to_close=60)
def list_files(job: Job) -> list[str]:
    """The regular files below a folder that can be read, in order; not those that the demo writes."""
    with _journalled("list", job.output, job.source):
        return wanted_files(job.source, job.left_out, job.limit)


def wanted_files(source: str, left_out: Sequence[str], limit: int | None) -> list[str]:
    """What ``list_files`` returns."""
    root, avoided = Path(source).resolve(), tuple(left_out)
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if f"{here / name}/" not in avoided)
        files = (here / name for name in sorted(names))
        found += [path for path in files if not str(path).startswith(avoided) and _is_wanted(path)]
        if limit is not None and len(found) >= limit:
            break
    return [str(path.relative_to(root)) for path in sorted(found[:limit])]


def _is_wanted(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return path.is_file() and not path.is_symlink() and os.access(path, os.R_OK)


@wf.activity(name="demo.hash", queue=QUEUE, start_to_close=600)
def hash_file(source: str, path: str, output: str) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    with _journalled("hash", output, path):
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(Path(source) / path):
            digest.update(chunk)
            size += len(chunk)
        return digest.hexdigest(), size


@wf.activity(name="demo.compress", queue=QUEUE, retry=wf.Retry(attempts=5, first=0.3), heartbeat=30, start_to_close=600)
def compress_file(source: str, path: str, output: str, digest: str, is_flaky: bool) -> tuple[int, int]:  # noqa: FBT001
    """Write the file compressed, whole or not at all; returns its size then, and the attempt that did it."""
    info = wf.activity_info()
    with _journalled("compress", output, path):
        if is_flaky and info.attempt == 1:
            raise OSError(f"{path}: this disk does not like Mondays (it fails once on purpose)")
        target = target_of(output, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{hashlib.sha256(info.idempotency_key.encode()).hexdigest()[:16]}.part")
        seen = hashlib.sha256()
        with part.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            for chunk in _chunks(Path(source) / path):
                seen.update(chunk)
                packed.write(chunk)
                wf.heartbeat()
        if seen.hexdigest() != digest:
            part.unlink()
            raise wf.PermanentError(f"{path} was changed while the demo read it")
        part.replace(target)
        return target.stat().st_size, info.attempt


@wf.activity(name="demo.index", queue=QUEUE, start_to_close=600)
def index_file(source: str, path: str, output: str, digest: str) -> int:
    """Count the words of a text and put the file into the index; done twice, it is there once."""
    key = wf.activity_info().idempotency_key
    with _journalled("index", output, path):
        words: Counter[str] = Counter()
        with contextlib.suppress(UnicodeDecodeError), (Path(source) / path).open(encoding="utf-8") as text:
            for line in text:
                words.update(_WORD.findall(line.lower()))
        with contextlib.closing(_index(output)) as index, index:
            row = (key, path, digest, words.total(), json.dumps(words.most_common(_WORDS_KEPT)))
            index.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?)", row)
        return words.total()


@wf.activity(name="demo.report", queue=QUEUE, start_to_close=60)
def write_report(output: str, reports: list[FileReport]) -> Summary:
    """Add everything up and write ``report.json``, whole or not at all."""
    with _journalled("report", output, "report.json"):
        words: Counter[str] = Counter()
        with contextlib.closing(_index(output)) as index:
            for (top,) in index.execute("SELECT top FROM documents"):
                words.update(dict(json.loads(top)))
        summed = Summary(
            files=len(reports),
            failed=sum(report.error is not None for report in reports),
            size=sum(report.size for report in reports),
            packed=sum(report.packed for report in reports),
            words=sum(report.words for report in reports),
            top=[word for word, _ in words.most_common(_WORDS_KEPT)],
        )
        part = Path(output) / ".report.json.part"
        rows = [attrs.asdict(report) for report in reports]
        part.write_text(json.dumps({"summary": attrs.asdict(summed), "files": rows}, indent=2), encoding="utf-8")
        part.replace(Path(output) / "report.json")
        return summed


# --- Where things are ------------------------------------------------------------------------------------------------


def target_of(output: str, path: str) -> Path:
    """The compressed form of a file."""
    return Path(output) / "packed" / f"{path}.gz"


def index_path(output: str) -> Path:
    """The index of words."""
    return Path(output) / "index.db"


def journal_path(output: str) -> Path:
    """The lines that attempts leave."""
    return Path(output) / "attempts.jsonl"


def _index(output: str) -> sqlite3.Connection:
    connection = sqlite3.connect(index_path(output), timeout=_INDEX_WAIT_SECONDS)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, path TEXT, sha256 TEXT, words INTEGER, top TEXT)"
    )
    return connection


@contextlib.contextmanager
def _journalled(kind: str, output: str, path: str) -> Iterator[None]:
    """Leave a line when an attempt begins and one when it has done its work."""
    info = wf.activity_info()
    line = {"key": info.idempotency_key, "kind": kind, "path": path, "attempt": info.attempt, "pid": os.getpid()}
    file = journal_path(output)
    file.parent.mkdir(parents=True, exist_ok=True)
    _append(file, {**line, "what": "began"})
    yield
    _append(file, {**line, "what": "did"})


def _append(file: Path, line: dict[str, object]) -> None:
    # One write to a file opened for appending: lines of several threads and processes do not mix.
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
