"""Notice and end a turn that does not come back: a busy loop or a blocking call in a workflow.

While author code holds the loop, nothing on the loop can act, so this needs a thread: one an engine, owned by
``Watchdog.watching()``. It looks twice a second whether the same turn still runs. After ``warning_seconds`` it logs the
stack; after ``seconds_max`` it raises ``TurnInterrupted`` in the loop's thread, again and again until the turn ends
(author code may catch it). A call that blocks in C is interrupted when it returns to Python.

While the whole process stands still (stopped, swapped out, its machine paused) no turn is to blame: such time does not
count. It shows by this thread not looking, and the loop's thread using no processor.

Of a turn that is done in parts none may be long enough to be seen, so whoever does them tells how long each took.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs

__all__ = ["TurnInterrupted", "TurnTime", "Watchdog"]

_log = logging.getLogger("wfactors.watchdog")
_LOOK_SECONDS = 0.5
# Of a time in which the processor was hardly used: code that blocked, or a process that stood still.
_COUNTED_SECONDS_MAX = 2 * _LOOK_SECONDS


class TurnInterrupted(BaseException):
    """Raised into a turn that took too long; it never leaves the instance's actor."""


@attrs.define
class TurnTime:
    """What a turn in parts has taken so far.

    Attributes:
        seconds: By the clock, without what lies between two parts.
        counted: Of those, what counts for the limit: not while the process stood still.
        has_warned: The log was told.
    """

    seconds: float = 0.0
    counted: float = 0.0
    has_warned: bool = False

    def add(self, seconds: float) -> None:
        """A part took so long by the clock: the process may have stood still for most of it."""
        self.seconds += seconds
        self.counted += min(seconds, _COUNTED_SECONDS_MAX)

    def worked(self, seconds: float) -> None:
        """The part that was added last has used the processor for so long, which counts in any case."""
        self.counted += max(0.0, seconds - _COUNTED_SECONDS_MAX)


class Watchdog:
    """Bounds the time of each turn on one loop.

    Args:
        warning_seconds: After this long the stack is logged.
        seconds_max: After this long the turn is interrupted.
    """

    def __init__(self, warning_seconds: float, seconds_max: float) -> None:
        self._warning_seconds = warning_seconds
        self._seconds_max = seconds_max
        # Reentrant, and taken with a limit by the thread: an interrupt may strike between taking it and using it.
        self._lock: Any = threading.RLock()
        self._stop = threading.Event()
        self._thread_id = 0
        self._turn = 0
        self._subject: str | None = None
        self._time: TurnTime | None = None
        self._has_interrupted = False
        self._stack = ""
        self._looked_at = 0.0
        self._worked = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the turns of the calling thread inside the block."""
        self._thread_id = threading.get_ident()
        thread = threading.Thread(target=self._run, name="wfactors-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def begin(self, subject: str, time: TurnTime | None = None) -> None:
        """A turn of ``subject`` begins, or a part of one that took ``time`` before; a few dozen nanoseconds."""
        self._turn += 1
        self._time = time
        self._subject = subject

    def check(self, subject: str, time: TurnTime, read_stack: Callable[[], str]) -> None:
        """A turn goes on after a part of it; raises TurnInterrupted if all its parts together took too long."""
        if time.counted >= self._seconds_max:
            raise TurnInterrupted(f"its tasks did not come to rest in {time.counted:.1f} s:\n{read_stack()}")
        if time.counted >= self._warning_seconds and not time.has_warned:
            time.has_warned = True
            self._warn(subject, time.counted, read_stack())

    def _warn(self, subject: str, seconds: float, stack: str) -> None:
        _log.warning(
            "a turn of workflow %s has held the loop for %.1f s and will be interrupted after %.0f s:\n%s",
            subject,
            seconds,
            self._seconds_max,
            stack,
        )

    def end(self) -> str | None:
        """The turn is over; returns its last stack if it was interrupted.

        The interrupt is asynchronous and may strike here as well; once this returns, none is under way.
        """
        was_struck = False
        while True:
            try:
                self._lock.acquire()
                self._subject = None
                was_sent = self._has_interrupted
                if was_sent:
                    self._drain()
                self._has_interrupted = False
                while self._lock._is_owned():
                    self._lock.release()
                return self._stack if was_sent or was_struck else None
            except TurnInterrupted:
                was_struck = True

    def _drain(self) -> None:
        """Take an interrupt that was sent and has not struck, so that none is under way.

        Whether one is cannot be seen, as author code may have caught it: this replaces it by another and awaits that.
        Setting none (a null exception) would leave CPython 3.11's evaluation flag up for ever, and under a tracer, a
        debugger or coverage, its RESUME instruction repeats until that flag falls.
        """
        try:
            self._strike()
            while True:
                pass
        except TurnInterrupted:
            return

    def _strike(self) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread_id), ctypes.py_object(TurnInterrupted))

    def _run(self) -> None:
        seen, elapsed, time = 0, 0.0, TurnTime()
        self._passed()
        while not self._stop.wait(_LOOK_SECONDS):
            passed, turn, subject = self._passed(), self._turn, self._subject
            if subject is None or turn != seen:
                seen, time = turn, self._time or TurnTime()
                elapsed = time.counted
                continue
            elapsed += passed
            if elapsed >= self._seconds_max:
                self._interrupt(turn)
            elif elapsed >= self._warning_seconds and not time.has_warned:
                time.has_warned = True
                self._warn(subject, elapsed, self._read_stack())

    def _passed(self) -> float:
        """The seconds since the last look in which a turn could have gone on."""
        now, worked = time.monotonic(), self._processor_seconds()
        passed = min(now - self._looked_at, max(2 * _LOOK_SECONDS, worked - self._worked))
        self._looked_at, self._worked = now, worked
        return passed

    def _processor_seconds(self) -> float:
        """What the loop's thread has used of the processor; where nobody can tell, it counts as busy all the time."""
        if not hasattr(time, "pthread_getcpuclockid"):  # pragma: no cover - macOS, Windows
            return time.monotonic()
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread_id))

    def _interrupt(self, turn: int) -> None:
        if not self._lock.acquire(timeout=_LOOK_SECONDS):
            return
        try:
            if self._subject is None or self._turn != turn:
                return
            self._stack = self._read_stack()
            self._has_interrupted = True
            self._strike()
        finally:
            self._lock.release()

    def _read_stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        if frame is None:
            return ""
        return "".join(traceback.format_stack(frame)[-12:])
