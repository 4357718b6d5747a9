"""Malformed input by chance, other each time; ``python -m tests.faults.fuzz`` runs as much of it as one likes."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conftest import SEED_VARIABLE
from tests.faults import fuzz
from tests.faults.fuzz import case_rng

# 100,000 in all, in parts that can be shared out; those of whole engines come on top.
PARTS = [
    *[("histories", range(first, first + 12_000)) for first in range(0, 60_000, 12_000)],
    *[("payloads", range(first, first + 15_000)) for first in range(0, 30_000, 15_000)],
    ("rows", range(10_000)),
    ("memory", range(40)),
    *[("sqlite", range(first, first + 10)) for first in range(0, 20, 10)],
]


@pytest.mark.parametrize(("name", "numbers"), PARTS, ids=[f"{name}-{numbers.start}" for name, numbers in PARTS])
def test_malformed_input_harms_nobody_else(name: str, numbers: range) -> None:
    """It is read, or refused with an error that is documented; quickly; and what is well-formed reads as before."""
    report = fuzz.fuzz(name, os.environ[SEED_VARIABLE], numbers)
    assert [] == list(map(str, report.finds.values()))
    assert len(numbers) == report.cases
    assert len(report.outcomes) > 1, "the input was all well-formed, or all refused for one reason"


class _Broken:
    """A reader with every fault that the fuzzer must see."""

    expected = (ValueError,)

    def __init__(self, seed: str) -> None:
        self.is_harmed = False

    def make(self, rng: Any) -> tuple[int]:
        return (rng.randrange(4),)

    def read(self, kind: int) -> None:
        if kind == 0:
            raise ValueError("documented")
        if kind == 1:
            raise KeyError("not documented")
        if kind == 2:
            self.is_harmed = True
        if kind == 3:
            forgotten()

    def check(self) -> None:
        assert not self.is_harmed, "harmed"


async def forgotten() -> None: ...


def test_the_fuzzer_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another error, a harmed neighbour and a coroutine left behind are finds, each with a command; the rest is not."""
    monkeypatch.setitem(fuzz.TARGETS, "broken", _Broken)
    report = fuzz.fuzz("broken", "1", range(100))
    assert {"ValueError", "KeyError", "read", "stray", "neighbour"} == set(report.outcomes)
    assert 3 == len(report.finds)
    assert all(" --seed 1 --only broken:" in find.command for find in report.finds.values())


def test_the_fuzzer_ends_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that takes more processor time than any may is a find."""

    class Endless(_Broken):
        def read(self, kind: int) -> None:
            while True:
                pass

    monkeypatch.setitem(fuzz.TARGETS, "endless", Endless)
    monkeypatch.setattr(fuzz, "CASE_SECONDS_MAX", 0.05)
    report = fuzz.fuzz("endless", "1", range(1))
    assert ["stray"] == list(report.outcomes)
    assert ["took too long"] == [find.words for find in report.finds.values()]


@pytest.mark.parametrize("name", ["histories", "payloads", "rows"])
def test_a_number_is_a_case(name: str) -> None:
    """The same seed and number make the same input, made by another fuzzer too; other numbers make others."""
    first, second = fuzz.TARGETS[name]("7"), fuzz.TARGETS[name]("7")
    made = [first.make(case_rng(name, "7", number)) for number in range(200)]
    assert made == [second.make(case_rng(name, "7", number)) for number in range(200)]
    assert len(set(map(repr, made))) > 100
