"""What every test has: a seed that is shown, and a limit on its time."""

from __future__ import annotations

import functools
import inspect
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SEED_VARIABLE = "WFACTORS_TEST_SEED"
LIMIT_SECONDS = 60.0
# Under a clock that jumps when nothing can run, a deadlock ends at the next deadline: here, at once.
LIMIT_VIRTUAL_SECONDS = 20 * 365 * 24 * 3600.0

settings.register_profile("wfactors", print_blob=True, deadline=None)
settings.load_profile("wfactors")


def pytest_configure(config: pytest.Config) -> None:  # the name is pytest's
    """Choose the seed before the workers of pytest-xdist are started, which inherit it."""
    os.environ.setdefault(SEED_VARIABLE, str(random.SystemRandom().randrange(2**32)))


def pytest_report_header() -> str:
    return f"seed: {SEED_VARIABLE}={os.environ[SEED_VARIABLE]}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the seed beside the failures, where a quiet run has no header."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(pytest_report_header())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit each async test from the inside, around its function: a limit in a fixture does not bound the test."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        marker = item.get_closest_marker("time_limit")
        seconds = LIMIT_VIRTUAL_SECONDS if "autojump_clock" in item.fixturenames else LIMIT_SECONDS
        seconds = marker.args[0] if marker else seconds
        inner = getattr(item.obj, "hypothesis", None)
        if inner is not None and inspect.iscoroutinefunction(inner.inner_test):
            inner.inner_test = limited(inner.inner_test, seconds)
        elif inspect.iscoroutinefunction(item.obj):
            item.obj = limited(item.obj, seconds)


def limited(function: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    """Wrap an async test so that it fails with TooSlowError once the time is up."""

    @functools.wraps(function)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        with trio.fail_after(seconds):
            await function(*args, **kwargs)

    return bounded


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test's own, the same for the same seed in any order of the tests."""
    return random.Random(f"{os.environ[SEED_VARIABLE]} {request.node.nodeid}")


@pytest.fixture
def sigint() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where tests run in the background of a shell, which lets it be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder, while the process is somebody whom permissions bind; root may write to any file."""
    nobody, before = 65534, os.geteuid()
    # Not in TMPDIR, which nox sets to a folder of the checkout: that may lie in a home which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="wfactors-nobody-", dir="/tmp"))
    if before == 0:
        os.chown(folder, nobody, -1)
        os.seteuid(nobody)
    yield folder
    os.seteuid(before)
    shutil.rmtree(folder)
