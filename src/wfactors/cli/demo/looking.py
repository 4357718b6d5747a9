"""What the demo sees of its pipeline: the store, as any client sees it, and the lines that attempts leave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from wfactors.cli.demo.pipeline import journal_path
from wfactors.client import Client, Handle
from wfactors.model.records import HeaderRow, InstanceFilter
from wfactors.model.status import Status

__all__ = ["Attempt", "Journal", "Look", "Looker"]

_PAGE = 1_000


@attrs.frozen
class Attempt:
    """One attempt of an activity."""

    key: str
    kind: str
    path: str
    attempt: int
    pid: int
    what: str


class Journal:
    """Reads what attempts have written, a piece at a time."""

    def __init__(self, output: str) -> None:
        self._path = journal_path(output)
        self._offset = 0
        self.began: list[Attempt] = []
        self.did: dict[str, Attempt] = {}

    @property
    def size(self) -> int:
        """Bytes there are now."""
        return self._path.stat().st_size if self._path.exists() else 0

    def read(self) -> None:
        """Take in what is new."""
        if self.size <= self._offset:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            attempt = _attempt(line)
            if attempt is None:
                continue
            if attempt.what == "did":
                self.did[attempt.key] = attempt
            else:
                self.began.append(attempt)

    @property
    def under_way(self) -> list[Attempt]:
        """Attempts that began and have not done their work, the last of each call."""
        last = {attempt.key: attempt for attempt in self.began}
        return [attempt for key, attempt in last.items() if key not in self.did]

    @property
    def failures_on_purpose(self) -> list[Attempt]:
        """Attempts after the first that began in the process of the one before: it had failed there."""
        pids = {(attempt.key, attempt.attempt): attempt.pid for attempt in self.began}
        return [it for it in self.began if pids.get((it.key, it.attempt - 1)) == it.pid]


def _attempt(line: bytes) -> Attempt | None:
    try:
        return Attempt(**json.loads(line))
    except (ValueError, TypeError):
        return None


@attrs.frozen(kw_only=True)
class Look:
    """The pipeline at one moment.

    Attributes:
        files: How many there are; None while they are being listed.
        done: Files whose workflow has ended.
        working: Files whose workflow is open.
        activities: Calls whose work was done.
        attempts: That began.
        events: In all histories.
        wake_at: When the pipeline wakes, if it sleeps.
        status: Of the pipeline.
        parked: Why the pipeline, or one of its children, stands still.
    """

    files: int | None
    done: int
    working: int
    activities: int
    attempts: int
    events: int
    wake_at: float | None
    status: Status
    parked: str | None

    @property
    def has_all_files(self) -> bool:
        """Whether every file is done."""
        return self.files is not None and self.done >= self.files

    @property
    def calls(self) -> int | None:
        """Activity calls that the pipeline makes in all."""
        return None if self.files is None else 3 * self.files + 2


class Looker:
    """Looks at one pipeline.

    Attributes:
        handle: Of the pipeline.
        journal: The attempts.
    """

    def __init__(self, client: Client, handle: Handle[Any], output: str) -> None:
        self._client = client
        self.handle = handle
        self.journal = Journal(output)

    async def family(self) -> Sequence[HeaderRow]:
        """The pipeline's children, in the order of their start."""
        filter = InstanceFilter(parent=self.handle.instance)
        found: list[HeaderRow] = []
        while True:
            after = found[-1] if found else None
            page = await self._client.store.headers(filter, _PAGE, after, newest_first=False)
            found += page
            if len(page) < _PAGE:
                return found

    async def look(self) -> Look:
        """The pipeline as it is now."""
        header = await self._client.store.header(self.handle.instance)
        assert header is not None, "nobody removes what is open"
        children = await self.family()
        self.journal.read()
        files = [child for child in children if child.workflow == "demo.file"]
        done = sum(child.status is not Status.OPEN for child in files)
        attributes = self._client.description(header).attributes
        return Look(
            files=attributes.get("files"),
            done=done,
            working=len(files) - done,
            activities=len(self.journal.did),
            attempts=len(self.journal.began),
            events=header.events + sum(child.events for child in children),
            wake_at=header.wake_at,
            status=header.status,
            parked=next((it.parked for it in (header, *children) if it.parked is not None), None),
        )

    async def trace(self) -> tuple[int, int]:
        """Two numbers that grow with whatever the pipeline does."""
        header = await self._client.store.header(self.handle.instance)
        children = await self.family()
        return (header.events if header else 0) + sum(child.events for child in children), self.journal.size
