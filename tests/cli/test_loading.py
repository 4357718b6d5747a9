"""MODULE[:ATTRIBUTE]: from the words of a command line to what an engine registers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.cli_kit import SHOP
from wfactors.cli.exits import Exit, Problem
from wfactors.cli.loading import load_registered, load_telemetry
from wfactors.registry import Registry
from wfactors.telemetry import Telemetry

MORE = """
class Ledger:
    @wf.activity
    async def book(self) -> None: ...

class kept:
    listed = [total, total]
    nothing = ()

def fails() -> None:
    return 1 / 0

number = 7
telemetry = wf.Telemetry()

def make_telemetry() -> wf.Telemetry:
    return telemetry
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loaded_shop.py").write_text(SHOP + MORE)
    (tmp_path / "loaded_broken.py").write_text("import there_is_no_such_module\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("loaded_shop", "loaded_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(
    ("target", "workflows"),
    [
        ("loaded_shop", {"total", "parent", "broken", "blocked", "chat", "nap", "negate"}),
        ("loaded_shop.py", {"total", "parent", "broken", "blocked", "chat", "nap", "negate"}),
        ("loaded_shop:registered", {"total"}),
        ("loaded_shop:make", {"total"}),
        ("loaded_shop:parent", {"parent"}),
        ("loaded_shop.py:kept.listed", {"total"}),
    ],
)
def test_what_is_registered(target: str, workflows: set[str]) -> None:
    """All of a module, a list, what a function returns, one thing, or an attribute of an attribute."""
    assert workflows == set(Registry(load_registered(target)).workflows)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("loaded_shop:missing", "loaded_shop has no missing"),
        ("loaded_shop:kept.missing", "loaded_shop has no kept.missing"),
        ("loaded_shop:number", "loaded_shop:number: "),
        ("loaded_shop:Ledger", "loaded_shop:Ledger: "),
        ("loaded_shop:kept.nothing", "there is neither a workflow nor an activity in loaded_shop:kept.nothing"),
        ("loaded_shop:fails", r"loaded_shop:fails\(\) raised ZeroDivisionError"),
        ("loaded_broken", "loaded_broken cannot be imported: No module named 'there_is_no_such_module'"),
        ("loaded_nowhere", "there is no module loaded_nowhere"),
        ("loaded_nowhere.py", "there is no file loaded_nowhere.py"),
    ],
)
def test_what_cannot_be_registered(target: str, words: str) -> None:
    """A sentence for the person who typed it."""
    with pytest.raises(Problem, match=f"^{words}") as caught:
        load_registered(target)
    assert Exit.USAGE == caught.value.code


@pytest.mark.parametrize(("target", "line"), [("loaded_shop:fails", SHOP + MORE), ("loaded_broken", "import there")])
def test_the_hint_has_the_line(target: str, line: str) -> None:
    """Where the author's code raised, not where it was called from."""
    with pytest.raises(Problem) as caught:
        load_registered(target)
    number = 1 + next(index for index, text in enumerate(line.splitlines()) if "1 / 0" in text or "there" in text)
    assert caught.value.hint.endswith(f"{target.partition(':')[0]}.py:{number}")


@pytest.mark.parametrize("target", ["loaded_shop:telemetry", "loaded_shop.py:make_telemetry"])
def test_what_it_reports_to(target: str) -> None:
    """One that is there, or one that a function returns."""
    assert Telemetry() == load_telemetry(target)


def test_nothing_named_is_no_telemetry() -> None:
    """The default."""
    assert None is load_telemetry(None)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("loaded_shop", "--telemetry loaded_shop is not written MODULE:ATTRIBUTE"),
        ("loaded_shop:number", "--telemetry loaded_shop:number is no wf.Telemetry"),
        ("loaded_shop:missing", "loaded_shop has no missing"),
        ("loaded_shop:fails", r"loaded_shop:fails\(\) raised ZeroDivisionError"),
    ],
)
def test_what_is_no_telemetry(target: str, words: str) -> None:
    """A sentence for the person who typed it."""
    with pytest.raises(Problem, match=f"^{words}") as caught:
        load_telemetry(target)
    assert Exit.USAGE == caught.value.code
