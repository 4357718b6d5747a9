"""Catch in tests what ``wfactors lint`` cannot see: a workflow that asks the world through a library, or an alias.

::

    @pytest.fixture(autouse=True)
    def guard():
        with guarded_workflows():
            yield

While a turn runs the code of a workflow, reading a clock, drawing an unrecorded random number, looking at the
environment, opening a file or socket, starting a thread or process and sleeping raise ``WorkflowMisuseError`` at that
line. Side effects, queries and validators may do so, activities and everything else in the process are not touched.

How: nothing is replaced. For the length of a turn the interpreter tells this module of each call in the thread
(``sys.setprofile``), and it refuses those it knows. So it does not matter under which name the function was imported
(``from time import time``), nothing needs to be restored but the profile function, and code outside of workflows never
notices. ``datetime.now()``, a method that nobody can replace, is caught as well.

One limit: Python drops a profile function that raises. A workflow that catches the error goes on unguarded until the
end of its turn; the error is in ``Guard.violations`` in any case.
"""

from __future__ import annotations

import builtins
import datetime
import gc
import io
import os
import random
import select
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from wfactors.actors.guard import TrioGuard
from wfactors.errors import WorkflowMisuseError
from wfactors.kernel.task import SCHEDULER
from wfactors.workflow.inside import inside_or_none

__all__ = ["Guard", "guarded_workflows"]

_CLOCK = "use wf.now() or wf.current_time()"
_CHANCE = "use wf.random, or an activity for secrets"
_FILES = "do it in an activity"
_ENVIRONMENT = "pass it as an argument, or ask in wf.side_effect() or an activity"
_THREADS = "use wf.open_nursery(); work for threads is an activity"

_NEW_GENERATOR = random.Random.__init__.__code__
_LOCKS = (type(threading.Lock()), type(threading.RLock()))

# Python's own and installed libraries: not where an author would look for the mistake.
_LIBRARIES = tuple(
    os.path.join(os.path.realpath(sysconfig.get_path(name)), "")  # noqa: PTH118  Compared as text, for speed.
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_OWN = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "")  # noqa: PTH118, PTH120  As above.
# Parts of wfactors that call the author's code. Under any other part, what happens is wfactors' own doing.
_CALLERS = tuple(f"{_OWN}{part}" for part in ("kernel", "workflow", "registry", "actors", "testing"))
# They read files and clocks for whoever imports, logs or raises something.
_SERVICES = {
    "importlib",
    "logging",
    "linecache",
    "traceback",
    "tokenize",
    "warnings",
    "tracemalloc",
    "inspect",
    "weakref",
}


class Guard:
    """What ``guarded_workflows`` gives: the violations so far.

    Attributes:
        violations: The errors that were raised, also those that a workflow has caught.
    """

    def __init__(self) -> None:
        self.violations: list[WorkflowMisuseError] = []
        self._functions = _functions()
        self._codes = _codes()
        self._before: list[Any] = []

    # --- One turn ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A turn begins in this thread."""
        self._before.append(sys.getprofile())
        sys.setprofile(self._watch)

    def end(self) -> None:
        """It has ended."""
        sys.setprofile(self._before.pop())

    def _watch(self, frame: FrameType, event: str, argument: Any) -> None:  # pragma: no cover - not traced
        if event == "c_call":
            found = self._functions.get(argument) or _of_method(argument)
            caller: FrameType | None = frame
        elif event == "call":
            found = self._codes.get(frame.f_code)
            if frame.f_code is _NEW_GENERATOR and frame.f_locals.get("x") is not None:
                # With a seed it draws the same numbers each time.
                found = None
            caller = frame.f_back
        else:
            return
        if found is not None and SCHEDULER.get() is not None:
            self._judge(found, caller)

    def _judge(self, found: tuple[str, str], caller: FrameType | None) -> None:  # pragma: no cover - not traced
        here = inside_or_none()
        if here is not None and here.reading is not None:
            return
        line = _author(caller)
        if line is None:
            return
        what, advice = found
        error = WorkflowMisuseError(f"{what} called inside a workflow, at {line}: {advice}")
        self.violations.append(error)
        raise error


@contextmanager
def guarded_workflows() -> Iterator[Guard]:
    """Guard the turns of every engine in this process for the length of the block.

    May be nested; may not overlap with a debugger or profiler that uses ``sys.setprofile`` inside of workflows.
    """
    guard = Guard()
    enter, leave = TrioGuard.__enter__, TrioGuard.__exit__

    def guarded_enter(self: TrioGuard) -> None:
        enter(self)
        guard.begin()

    def guarded_leave(self: TrioGuard, *exc_info: object) -> None:
        guard.end()
        leave(self, *exc_info)

    _hook(guarded_enter, guarded_leave)
    try:
        yield guard
    finally:
        _hook(enter, leave)


# --- Helpers ---------------------------------------------------------------------------------------------------------


def _hook(enter: Callable[..., None], leave: Callable[..., None]) -> None:
    type.__setattr__(TrioGuard, "__enter__", enter)
    type.__setattr__(TrioGuard, "__exit__", leave)


def _functions() -> dict[Any, tuple[str, str]]:
    """Functions written in C, and what to say of them; those that this platform does not have are left out."""
    clocks = tuple(
        f"{clock}{unit}"
        for clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
        for unit in ("", "_ns")
    )
    files = (
        *("listdir", "scandir", "stat", "lstat", "access", "open", "remove", "unlink", "rename", "replace", "mkdir"),
        *("rmdir", "chdir", "chmod", "link", "symlink", "readlink", "truncate", "utime"),
    )
    machine = (
        "getcwd",
        "getpid",
        "getppid",
        "getuid",
        "getlogin",
        "getloadavg",
        "cpu_count",
        "uname",
        "times",
        "putenv",
        "unsetenv",
    )
    processes = ("system", "fork", "forkpty", "posix_spawn", "execv", "execve", "kill", "waitpid")
    resolving = ("getaddrinfo", "gethostbyname", "gethostname")
    tables: tuple[tuple[Any, tuple[str, ...], str], ...] = (
        (time, clocks, _CLOCK),
        (time, ("localtime", "gmtime", "strftime", "ctime"), _CLOCK),
        (time, ("sleep",), "use wf.sleep()"),
        (os, ("urandom", "getrandom"), _CHANCE),
        (os, files, _FILES),
        (os, machine, _ENVIRONMENT),
        (os, processes, _FILES),
        (io, ("open", "open_code"), _FILES),
        (builtins, ("input",), "use wf.signals()"),
        (socket, resolving, _FILES),
        (select, ("select", "poll"), _FILES),
    )
    found = {
        getattr(module, name): (f"{module.__name__}.{name}()".removeprefix("io.").removeprefix("builtins."), advice)
        for module, names, advice in tables
        for name in names
        if hasattr(module, name)
    }
    # The functions of the module are methods of one hidden generator; these two are behind all of them.
    found[random.random] = ("random.random()", _CHANCE)
    found[random.getrandbits] = ("random.getrandbits()", _CHANCE)
    return found


def _codes() -> dict[CodeType, tuple[str, str]]:
    """Functions written in Python."""
    table: tuple[tuple[Any, str, str], ...] = (
        (uuid.uuid1, "uuid.uuid1()", "use wf.uuid4()"),
        (uuid.uuid4, "uuid.uuid4()", "use wf.uuid4()"),
        (type(os.environ).__getitem__, "os.environ", _ENVIRONMENT),
        (type(os.environ).__setitem__, "os.environ", _ENVIRONMENT),
        (type(os.environ).__delitem__, "os.environ", _ENVIRONMENT),
        (type(os.environ).__iter__, "os.environ", _ENVIRONMENT),
        (type(os.environ).__len__, "os.environ", _ENVIRONMENT),
        (socket.socket.__init__, "socket.socket()", _FILES),
        (threading.Thread.start, "Thread.start()", _THREADS),
        (threading.Condition.wait, "Condition.wait()", _THREADS),
        (random.Random.__init__, "random.Random()", _CHANCE),
        (subprocess.Popen.__init__, "subprocess.Popen()", _FILES),
    )
    return {function.__code__: (what, advice) for function, what, advice in table}


def _of_method(argument: Any) -> tuple[str, str] | None:  # pragma: no cover - not traced
    """``datetime.now()`` and the like, of which each class has its own, and the methods of locks."""
    if argument.__name__ not in {"now", "utcnow", "today", "acquire"}:
        return None
    owner = getattr(argument, "__self__", None)
    if isinstance(owner, _LOCKS):
        return "Lock.acquire()", _THREADS
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return f"{owner.__name__}.{argument.__name__}()", _CLOCK
    return None


def _author(frame: FrameType | None) -> str | None:  # pragma: no cover - not traced
    """The line of the author's code that leads to a frame; None if wfactors or Python does this for itself."""
    in_library: FrameType | None = None
    # The garbage collector may strike anywhere, and runs code that has nothing to do with where that is.
    collecting = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code in collecting:
            return None
        file = frame.f_code.co_filename
        if file.startswith(_OWN):
            if in_library is None or not file.startswith(_CALLERS):
                return None
            return _line(in_library)
        if file.startswith("<frozen importlib") or frame.f_globals.get("__name__", "").partition(".")[0] in _SERVICES:
            return None
        if not file.startswith((*_LIBRARIES, "<frozen ")):
            return _line(frame)
        if not _is_standard(file):
            in_library = frame
        frame = frame.f_back
    return None


def _is_standard(file: str) -> bool:  # pragma: no cover - not traced
    return not file.startswith(_LIBRARIES[2:])


def _line(frame: FrameType) -> str:  # pragma: no cover - not traced
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}()"
