"""The benchmarks run, small, and say what they promise. Nothing here is timed."""

from __future__ import annotations

import csv
import importlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.harness import exponent, fresh, percentile

COLUMNS = {
    "tree": "store,seconds,runs,depth,fanout,leaffanout,activities,resultsize,workflows_per_s,events_per_s,commits",
    "steps": "store,steps,seconds,cpu_seconds,step_ms_p50,step_ms_p99,commit_ms_p50,raw_ms_p50,step_to_commit,"
    "step_to_raw",
    "fanout": "store,activities,seconds,cpu_seconds,activities_per_s,events,commits,hold_ms,turn_ms,exponent,"
    "cpu_exponent",
    "sleepers": "store,instances,open_seconds,growth_mb,bytes_per_instance,rss_mb,step_ms_p50,step_ms_p50_empty,"
    "step_ratio,woken,late_ms_p50,late_ms_p99",
    "replay": "store,shape,events,decode_per_s,feed_per_s,load_per_s,engine_per_s",
}
SMALL = {
    "tree": ["--runs", "2"],
    "steps": ["--steps", "21"],
    "fanout": ["--activities", "20", "--activities", "40"],
    "sleepers": ["--instances", "60", "--steps", "50", "--due", "10"],
    "replay": ["--calls", "20"],
}
STORES = ["sqlite:///:temporary:", "memory://"]


def run(name: str, *arguments: str) -> str:
    """What ``python -m benchmarks.NAME`` prints."""
    app: typer.Typer = importlib.import_module(f"benchmarks.{name}").app
    result = CliRunner().invoke(app, [*SMALL[name], *arguments], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return result.stdout


def rows(name: str, *arguments: str) -> list[dict[str, Any]]:
    """The figures that ``python -m benchmarks.NAME`` prints."""
    return json.loads(run(name, "--format", "json", *arguments))


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", COLUMNS)
def test_the_columns_are_there(name: str, store: str) -> None:
    """CSV with the promised columns, and a line for each measurement."""
    lines = list(csv.DictReader(io.StringIO(run(name, "--store", store, "--format", "csv"))))
    assert COLUMNS[name].split(",") == list(lines[0])
    assert {store.partition(":")[0]} == {line["store"] for line in lines}
    assert all(line.values() for line in lines)


@pytest.mark.parametrize("name", COLUMNS)
def test_the_text_names_every_figure(name: str) -> None:
    """A table that fits where it is shown, with all figures in it."""
    text = run(name, "--store", "memory://", "--repeat", "2")
    assert [] == [column for column in COLUMNS[name].split(",") if column not in text]


@pytest.mark.parametrize("name", ["steps", "fanout", "sleepers", "replay"])
def test_a_picture_is_drawn(name: str, tmp_path: Path) -> None:
    """A PNG file where it was asked for."""
    pytest.importorskip("matplotlib")
    picture = tmp_path / "figures.png"
    run(name, "--store", "memory://", "--plot", str(picture))
    assert b"\x89PNG" == picture.read_bytes()[:4]


def test_a_step_takes_at_least_what_its_commit_takes() -> None:
    """Times are positive, and the ratio is that of the figures beside it."""
    (row,) = rows("steps")
    assert 0 < row["step_ms_p50"] <= row["step_ms_p99"]
    assert row["step_ms_p50"] / row["commit_ms_p50"] == pytest.approx(row["step_to_commit"], rel=0.05)
    assert row["raw_ms_p50"] > 0


def test_a_fan_out_records_each_activity_twice() -> None:
    """Scheduled and completed, between the start and the end of the run."""
    assert [42, 82] == [row["events"] for row in rows("fanout")]


def test_sleepers_wake() -> None:
    """As many as were awaited, after their time."""
    (row,) = rows("sleepers")
    assert row["woken"] >= 10
    assert 0 <= row["late_ms_p50"] <= row["late_ms_p99"]


def test_every_event_is_replayed() -> None:
    """The start, and for each call its decisions and facts."""
    assert [41, 41, 21] == [row["events"] for row in rows("replay")]


def test_an_exponent_is_that_of_a_power() -> None:
    """Linear is 1, quadratic 2; one size alone says nothing."""
    assert 1 == pytest.approx(exponent([(10, 3), (100, 30), (1000, 300)]))
    assert 2 == pytest.approx(exponent([(1, 5), (2, 20), (4, 80)]))
    assert 0 == exponent([(7, 1), (7, 2)])


def test_a_percentile_is_one_of_the_values() -> None:
    """Also at both ends."""
    assert [1, 2, 3] == [percentile([3, 1, 2], share) for share in (0, 0.5, 1)]


def test_a_temporary_store_is_a_new_file_each_time() -> None:
    """And gone when the next one is asked for; any other URL is taken as it is."""
    folders = []
    for url in fresh("sqlite:///:temporary:", 2):
        folder = Path(url.removeprefix("sqlite:///")).parent
        assert folder.is_dir()
        folders.append(folder)
    assert 2 == len(set(folders))
    assert [] == [folder for folder in folders if folder.exists()]
    assert ["memory://"] == list(fresh("memory://"))
