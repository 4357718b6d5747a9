"""``python -m tests.faults.mutation_sample --count 50 --seed 1``: whether tests can fail.

Tests are chosen at random. Of each is measured which lines of wfactors it runs; then one of those lines after the other
is broken, those that few tests of the sample run first, until the test is red. One that stays green whatever is broken
may be one that cannot fail: it is shown, and the exit code is 1.

All tests are collected once, in this process, on a copy of the package. Each run is a fork, which breaks the code in
memory (and in the copy's file, for processes that the test starts) and then is the pytest that runs the one test.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import select
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Annotated

import attrs
import coverage
import pytest
import typer
from rich.console import Console
from rich.table import Table

from tests.faults.breaks import TEXT_CHANGED, Break, breaks_of

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60
SECONDS_MAX_MEASURED = 300
GREEN, RED, CRASHED, SKIPPED, HUNG = range(5)
_UNFIT = ("runs no line of wfactors", "is red", "crashes", "is skipped", "takes too long")

console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@attrs.define(eq=False)
class Sampled:
    """A test of the sample.

    Attributes:
        item: The test.
        lines: What it runs, as (file below src/wfactors, line), inside functions alone.
        tried: The breaks it was run under.
        red: Whether the last of them made it red.
    """

    item: pytest.Item
    lines: set[tuple[str, int]]
    tried: list[str] = attrs.field(factory=list)
    is_red: bool = False


# --- The copy --------------------------------------------------------------------------------------------------------


class Copy:
    """A copy of the package that this process imports, and what can be broken in it."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "src" / "wfactors"
        shutil.copytree(ROOT / "src" / "wfactors", self.package, ignore=shutil.ignore_patterns("__pycache__"))
        self._breaks: dict[str, dict[int, list[Break]]] = {}
        self._functions: dict[tuple[str, str, int], list[FunctionType]] = {}
        # So that a process never takes a broken file for what it was before.
        self._time = 1_000_000_000

    def breaks(self, file: str) -> dict[int, list[Break]]:
        """What can be broken in a file, by line."""
        if file not in self._breaks:
            # The conformance suite is made of tests: to break those proves nothing.
            is_test = file.startswith("testing/conformance/")
            self._breaks[file] = {} if is_test else breaks_of((self.package / file).read_bytes())
        return self._breaks[file]

    def find_functions(self) -> None:
        """Take note of all functions there are, once everything is imported."""
        for function in gc.get_objects():
            # Not isinstance: among the objects are some that do not like to be asked for their class.
            if type(function) is FunctionType and function.__code__.co_filename.startswith(str(self.package)):
                code = function.__code__
                key = (code.co_filename, code.co_qualname, code.co_firstlineno)
                self._functions.setdefault(key, []).append(function)

    @contextlib.contextmanager
    def broken(self, file: str, change: Break) -> Iterator[Callable[[], None]]:
        """Break a file, for processes that a test starts; with a function that breaks what this process has of it."""
        path = self.package / file
        whole = path.read_bytes()
        broken = change.applied(whole)
        self._write(path, broken)
        try:
            yield partial(self._break_functions, str(path), whole, broken)
        finally:
            self._write(path, whole)

    def _break_functions(self, path: str, source: bytes, changed: bytes) -> None:
        """Give the functions of a file the code that they have in the changed source."""
        whole, broken = _codes(compile(source, path, "exec")), _codes(compile(changed, path, "exec"))
        for name, codes in whole.items():
            for old, new in zip(codes, broken[name], strict=True):
                for function in self._functions.get((path, name, old.co_firstlineno), ()):
                    if old != new:
                        function.__code__ = new

    def _write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self._time += 2
        os.utime(path, (self._time, self._time))


def _codes(module: CodeType) -> dict[str, list[CodeType]]:
    """The code of each function by its name, in the order in which they stand; a name may be there more than once."""
    found: dict[str, list[CodeType]] = {}

    def visit(code: CodeType) -> None:
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                if not constant.co_name.startswith("<"):
                    found.setdefault(constant.co_qualname, []).append(constant)
                visit(constant)

    visit(module)
    return found


# --- Running ---------------------------------------------------------------------------------------------------------


class Sampler:
    """A plugin of pytest, which runs its sample instead of the tests."""

    def __init__(self, copy: Copy, count: int, seed: str, tries_max: int) -> None:
        self.copy = copy
        self.count = count
        self.tries_max = tries_max
        self.rng = random.Random(seed)
        self.tests: list[Sampled] = []
        self.unfit: list[str] = []
        self._is_skipped = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.copy.find_functions()
        gc.collect()
        gc.freeze()
        for item in _in_random_order(session.items, self.rng):
            self._measure(item)
            if len(self.tests) == self.count:
                break
        users = Counter(line for test in self.tests for line in test.lines)
        for number, test in enumerate(self.tests, 1):
            self._prove(test, users)
            words = "red after" if test.is_red else "GREEN after"
            console.print(f"{number}/{self.count} {test.item.nodeid}: {words} {test.tried[-1]}", markup=False)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._is_skipped |= report.skipped

    def _measure(self, item: pytest.Item) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # As pyproject.toml has it, processes that a test starts included.
            measured = coverage.Coverage(data_file=f"{folder}/data", config_file=str(ROOT / "pyproject.toml"))
            # It begins in the middle, when all is imported.
            measured.set_option("run:disable_warnings", ["module-not-measured", "no-data-collected"])
            outcome = self._fork(item, measured.start, lambda: (measured.stop(), measured.save()), SECONDS_MAX_MEASURED)
            lines = self._lines_in(Path(folder))
        if outcome == GREEN and lines:
            self.tests.append(Sampled(item, lines))
        else:
            self.unfit.append(f"{item.nodeid}: {_UNFIT[outcome]}")

    def _lines_in(self, folder: Path) -> set[tuple[str, int]]:
        lines: set[tuple[str, int]] = set()
        for part in folder.iterdir():
            data = coverage.CoverageData(str(part))
            data.read()
            for path in map(Path, data.measured_files()):
                if path.is_relative_to(self.copy.package):
                    file = str(path.relative_to(self.copy.package))
                    lines |= {(file, line) for line in data.lines(str(path)) or () if line in self.copy.breaks(file)}
            data.close()
        return lines

    def _prove(self, test: Sampled, users: Counter[tuple[str, int]]) -> None:
        """Break one line after the other until the test is red: in an assertion, not by hanging or crashing."""
        for file, change in self._changes_for(test, users):
            if len(test.tried) == self.tries_max:
                return
            with self.copy.broken(file, change) as break_functions:
                outcome = self._fork(test.item, break_functions)
            test.tried.append(f"{file}:{change.line} {change.what}")
            if outcome == RED:
                test.is_red = True
                return

    def _changes_for(self, test: Sampled, users: Counter[tuple[str, int]]) -> Iterator[tuple[str, Break]]:
        """Lines that few others run come first, texts, which few tests look at, last."""
        lines = sorted(test.lines)
        self.rng.shuffle(lines)
        lines.sort(key=users.__getitem__)
        last = []
        for file, line in lines:
            breaks = self.copy.breaks(file)[line]
            strong = [change for change in breaks if change.what != TEXT_CHANGED]
            if strong:
                yield file, self.rng.choice(strong)
            else:
                last.append((file, self.rng.choice(breaks)))
        yield from last

    def _fork(
        self,
        item: pytest.Item,
        before: Callable[[], object],
        after: Callable[[], object] = int,
        seconds_max: float = SECONDS_MAX,
    ) -> int:
        """Run one test in a process of its own."""
        pid = os.fork()
        if pid == 0:
            code = CRASHED
            with contextlib.suppress(BaseException):
                os.setsid()
                for stream in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
                before()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                after()
                code = RED if item.session.testsfailed else SKIPPED if self._is_skipped else GREEN
            os._exit(code)
        descriptor = os.pidfd_open(pid)
        try:
            is_done = bool(select.select([descriptor], [], [], seconds_max)[0])
        finally:
            os.close(descriptor)
            # With whatever it has started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, 9)
            _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status) if is_done else HUNG


def _in_random_order(items: Sequence[pytest.Item], rng: random.Random) -> Iterator[pytest.Item]:
    """One case of each test function, so that one with a thousand cases counts once."""
    functions: dict[str, list[pytest.Item]] = {}
    for item in sorted(items, key=lambda item: item.nodeid):
        functions.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for function in rng.sample(list(functions), len(functions)):
        yield rng.choice(functions[function])


# --- The command -----------------------------------------------------------------------------------------------------


@app.command()
def main(
    paths: Annotated[list[str] | None, typer.Argument(help="Tests to choose from; all of them if not given.")] = None,
    *,
    count: Annotated[int, typer.Option(help="How many tests.", min=1)] = 50,
    seed: Annotated[str, typer.Option(help="What the choices are made from; by chance if not given.")] = "",
    tries: Annotated[int, typer.Option(help="Breaks for each test, at most.", min=1)] = 30,
) -> None:
    """Break the code that tests cover, and see them go red."""
    seed = seed or str(random.SystemRandom().randrange(2**32))
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder).resolve())
        os.chdir(ROOT)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(copy.package.parent), str(ROOT)])
        os.environ["WFACTORS_TEST_SEED"] = seed
        sys.path.insert(0, str(copy.package.parent))
        sampler = Sampler(copy, count, seed, tries)
        pytest.main(["-q", "-s", "-p", "no:cacheprovider", *(paths or ["tests"])], plugins=[sampler])
    _show(sampler, seed)
    raise typer.Exit(0 if sampler.tests and all(test.is_red for test in sampler.tests) else 1)


def _show(sampler: Sampler, seed: str) -> None:
    tests = sampler.tests
    red = [test for test in tests if test.is_red]
    table = Table("test", "lines", "breaks", "red after", title=f"seed {seed}: {len(red)} of {len(tests)} can fail")
    for test in tests:
        words = test.tried[-1] if test.is_red else "nothing"
        table.add_row(test.item.nodeid.removeprefix("tests/"), str(len(test.lines)), str(len(test.tried)), words)
    console.print(table)
    first = sum(len(test.tried) == 1 for test in red)
    console.print(f"{first} at the first break; {sum(len(test.tried) for test in tests)} breaks in all")
    for words in sampler.unfit:
        console.print(f"not in the sample: {words}", markup=False, soft_wrap=True)
    for test in tests:
        if not test.is_red:
            console.print(f"green: {test.item.nodeid} under", *test.tried, sep="\n  ", markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
