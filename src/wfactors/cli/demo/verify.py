"""The end of the demo: is everything there, whole, and once?"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs

from wfactors.cli.demo.looking import Journal, Looker
from wfactors.cli.demo.pipeline import QUEUE, Job, index_path, target_of
from wfactors.client import Client
from wfactors.model.events import ActivityCompleted, ActivityScheduled
from wfactors.model.ids import PartitionId
from wfactors.model.wire import decode_events

__all__ = ["Verdict", "verify_effects", "verify_files"]

_CHUNK = 256 * 1024
_KINDS = ("hash", "compress", "index")


@attrs.frozen(kw_only=True)
class Verdict:
    """What was found.

    Attributes:
        files: Looked at.
        size: Bytes of the sources.
        packed: Bytes of the results.
        calls: Activity calls in the histories.
        attempts: Of activities, that began.
        repeated: Attempts beyond the first of their call.
        events: In all histories.
        commits: Of the partition that did the work, over all its owners.
        owners: How many workers owned the partition, one after the other.
        mistakes: What is wrong, in words.
    """

    files: int
    size: int
    packed: int
    calls: int = 0
    attempts: int = 0
    repeated: int = 0
    events: int = 0
    commits: int = 0
    owners: int = 0
    mistakes: Sequence[str] = ()


def verify_files(job: Job, paths: Sequence[str]) -> Verdict:
    """Compare every result with its source, byte by byte, and look for its one row in the index."""
    mistakes = []
    size = packed = 0
    with contextlib.closing(sqlite3.connect(index_path(job.output))) as index:
        rows = Counter(path for (path,) in index.execute("SELECT path FROM documents"))
    for path in paths:
        target = target_of(job.output, path)
        if not target.exists():
            mistakes.append(f"{path}: there is no result")
            continue
        original, unpacked = _digest(Path(job.source) / path), _digest(target, is_packed=True)
        if original != unpacked:
            mistakes.append(f"{path}: unpacked it is another file")
        if rows[path] != 1:
            mistakes.append(f"{path}: it is in the index {rows[path]} times")
        size += original[1]
        packed += target.stat().st_size
    for part in Path(job.output).rglob(".*.part"):
        # Of an attempt that was killed while it wrote; what counts was renamed.
        part.unlink()
    return Verdict(files=len(paths), size=size, packed=packed, mistakes=mistakes)


def _digest(path: Path, *, is_packed: bool = False) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with gzip.open(path) if is_packed else path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


async def verify_effects(client: Client, looker: Looker, verdict: Verdict) -> Verdict:
    """Count what was done: each activity at least once, each result exactly once."""
    journal = looker.journal
    journal.read()
    mistakes = [*verdict.mistakes, *_undone(journal, verdict.files)]
    header = await client.store.header(looker.handle.instance)
    assert header is not None, "nobody removes it meanwhile"
    calls = events = 0
    for row in (header, *await looker.family()):
        scheduled, results = Counter[int](), Counter[int]()
        for append in await client.store.history(row.instance, row.run):
            for event in decode_events(append.data):
                if isinstance(event, ActivityScheduled):
                    scheduled[event.call] += 1
                elif isinstance(event, ActivityCompleted):
                    results[event.call] += 1
        calls += len(scheduled)
        events += row.events
        if scheduled != results:
            mistakes.append(f"{row.id}: its history does not hold one result for each call")
    partition = str(PartitionId(QUEUE))
    owned = next(row for row in await client.store.partitions() if row.partition == partition)
    return attrs.evolve(
        verdict,
        calls=calls,
        attempts=len(journal.began),
        repeated=len(journal.began) - len({attempt.key for attempt in journal.began}),
        events=events,
        commits=owned.sequence,
        owners=owned.epoch,
        mistakes=mistakes,
    )


def _undone(journal: Journal, files: int) -> list[str]:
    """Activities that are missing among those that were done."""
    done = Counter(attempt.kind for attempt in journal.did.values())
    return [f"{kind}: done for {done[kind]} of {files} files" for kind in _KINDS if done[kind] < files]
