"""End a process at a chosen statement of its SQLite store, again and again until it gets through.

::

    def work(folder: Path) -> None: ...      # opens a store and an engine, runs everything, returns
    def check(folder: Path) -> list[str]: ...  # finishes what is left, says what is wrong

    for outcome in sweep(work, check, points(every=1), Path("/tmp/crashes")):
        print(outcome)

Each point has a folder and two processes of its own, forked from this one, which must not have threads: the first runs
``work`` and ends itself, as by ``kill -9``, before or after its n-th statement; the second runs ``check``. The sweep
ends when ``work`` gets through both ways. Nothing of this is in the way of a store when it is not used: the children
replace ``sqlite3.connect`` of their own process.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import shutil
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import attrs

__all__ = ["CRASHED", "Outcome", "Point", "crash_at", "fork", "points", "sweep"]

CRASHED = 77
"""The exit status of a process that reached its point."""

_FAILED = 1
_FILE_OF_WORDS = "outcome"


@attrs.frozen
class Point:
    """Where a process ends: before or after its statement ``number``, from 1."""

    number: int
    is_before: bool

    def __str__(self) -> str:
        return f"{'before' if self.is_before else 'after'} statement {self.number}"


@attrs.frozen
class Outcome:
    """What came of one point.

    Attributes:
        is_reached: The process ended there; False if it got through first.
        statement: The beginning of the statement it ended at.
        problems: What was found wrong afterwards, in words.
    """

    point: Point
    is_reached: bool
    statement: str
    problems: tuple[str, ...]


def points(every: int = 1, offset: int = 0) -> Iterator[Point]:
    """The statements ``offset + 1``, ``offset + 1 + every`` and so on for ever, each before and after."""
    for number in count(offset + 1, every):
        yield Point(number, is_before=True)
        yield Point(number, is_before=False)


def crash_at(point: Point, reached: Callable[[str], object] = lambda _: None) -> None:
    """Let this process end at ``point``, counted over all writing connections opened from now on.

    Args:
        point: Where.
        reached: Told the statement, just before the end.
    """
    numbers = count(1)
    connect = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            number = next(numbers)
            if point.is_before and number == point.number:
                _end(sql)
            cursor = super().execute(sql, *args)
            if not point.is_before and number == point.number:
                _end(sql)
            return cursor

    def _end(sql: str) -> None:
        reached(" ".join(sql.split()[:5]))
        os._exit(CRASHED)

    def connecting(*args: Any, **options: Any) -> Any:
        # Readers are opened by URI.
        if not options.get("uri"):
            options["factory"] = Connection
        return connect(*args, **options)

    sqlite3.connect = connecting


def fork(work: Callable[[], None], *, seconds_max: float | None = 30.0) -> int:
    """Run ``work`` in a child and return its process id; its status is 1 if it raises or takes too long.

    A child with a limit must not fork: a thread watches over the limit.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = _FAILED
    try:
        if seconds_max is not None:
            faulthandler.dump_traceback_later(seconds_max, exit=True)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def sweep(
    work: Callable[[Path], None],
    check: Callable[[Path], list[str]],
    where: Iterator[Point],
    folder: Path,
    *,
    parallel: int = 2,
    seconds_max: float = 30.0,
) -> Iterator[Outcome]:
    """Yield what came of each point, ``parallel`` of them at once, until ``work`` gets through before and after.

    Folders of points without problems are removed.
    """
    gc.collect()
    gc.freeze()
    running: dict[int, tuple[Point, Path]] = {}
    through: set[bool] = set()
    while running or len(through) < 2:  # noqa: PLR2004 - both ways
        while len(running) < parallel and len(through) < 2:  # noqa: PLR2004
            point = next(where)
            if point.is_before in through:
                continue
            place = folder / f"{point.number}-{'before' if point.is_before else 'after'}"
            place.mkdir()
            one = partial(_one, work, check, point, place, seconds_max)
            running[fork(one, seconds_max=None)] = (point, place)
        child, _ = os.wait()
        point, place = running.pop(child)
        outcome = _outcome(point, place)
        if not outcome.is_reached and not outcome.problems:
            through.add(point.is_before)
        if not outcome.problems:
            shutil.rmtree(place)
        yield outcome


def _one(
    work: Callable[[Path], None], check: Callable[[Path], list[str]], point: Point, place: Path, seconds_max: float
) -> None:
    """In the child of a point: run both processes, write down what came of it."""
    statement = place / "statement"

    def crashing() -> None:
        crash_at(point, statement.write_text)
        work(place)

    _, ended = os.waitpid(fork(crashing, seconds_max=seconds_max), 0)
    status = os.waitstatus_to_exitcode(ended)
    problems = [] if status in (0, CRASHED) else [f"the process failed with status {status}"]
    words = place / "problems"
    words.write_text("")

    def checking() -> None:
        words.write_text("\n".join(check(place)))

    _, ended = os.waitpid(fork(checking, seconds_max=seconds_max), 0)
    if ended:
        problems.append(f"the process that finishes failed with status {os.waitstatus_to_exitcode(ended)}")
    problems += words.read_text().splitlines()
    text = statement.read_text() if statement.exists() else ""
    (place / _FILE_OF_WORDS).write_text("\n".join([str(status), text, *problems]))


def _outcome(point: Point, place: Path) -> Outcome:
    file = place / _FILE_OF_WORDS
    if not file.exists():
        return Outcome(point, False, "", ("the process of the point itself failed",))
    status, statement, *problems = file.read_text().split("\n")
    return Outcome(point, status == str(CRASHED), statement, tuple(problems))
