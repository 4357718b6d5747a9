"""wfactors migrate and wfactors doctor: of stores that no node serves, and of what is none."""

from __future__ import annotations

import json
import sqlite3
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import trio

import wfactors as wf
from tests.cli.cli_kit import data, run
from wfactors.cli import operations
from wfactors.model.records import NodeRow, QueueStatistics

# --- Migrate ---------------------------------------------------------------------------------------------------------


def test_migrate_in_words(tmp_path: Path) -> None:
    """From which version to which; then that there is nothing to do."""
    url = f"sqlite:///{tmp_path}/new.db"
    assert "the schema was brought from version 0 to " in run("migrate", "-s", url).stdout
    assert "the schema is up to date (version " in run("migrate", "-s", url).stdout


def test_migrate_of_what_is_no_database(tmp_path: Path) -> None:
    """Code 5; the file stays as it is."""
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear Sir or Madam, " * 100)
    result = run("migrate", "-s", f"sqlite:///{path}")
    assert 5 == result.exit_code
    assert b"Dear Sir or Madam, " * 100 == path.read_bytes()


# --- Doctor ----------------------------------------------------------------------------------------------------------


def findings(url: str) -> dict[str, dict[str, Any]]:
    """What it found, by subject; the last one of each."""
    result = run("doctor", "--json", "-s", url)
    return {item["subject"]: item for item in json.loads(result.stdout)["checks"]}


def test_doctor_says_that_no_node_runs(left: str) -> None:
    """A problem where something is open, and how to mend it."""
    found = findings(left)["node"]
    assert ("problem", "wfactors run MODULE --store ... starts one") == (found["level"], found["hint"])
    assert "no node runs; 7 workflows are open" in found["words"]
    result = run("doctor", "-s", left)
    assert 1 == result.exit_code
    assert "2 problems found" in result.stdout


def test_doctor_of_an_empty_store(tmp_path: Path) -> None:
    """Nothing is open, so it is only a warning that nobody serves it."""
    url = f"sqlite:///{tmp_path}/empty.db"
    run("migrate", "-s", url)
    result = run("doctor", "-s", url)
    assert 0 == result.exit_code
    assert "no problems found" in result.stdout
    assert ("warning", "none yet") == (findings(url)["node"]["level"], findings(url)["workflows"]["words"])


def test_doctor_of_what_is_no_database(tmp_path: Path) -> None:
    """A finding like the others, and code 5."""
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear Sir or Madam, " * 100)
    result = run("doctor", "--json", "-s", f"sqlite:///{path}")
    assert 5 == result.exit_code
    assert "problem" == findings(f"sqlite:///{path}")["store"]["level"]


def test_doctor_is_told_of_a_disk_that_is_full(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the commits fail."""
    monkeypatch.setattr(operations, "_SPACE_BYTES", 2**80)
    assert ("problem", "make room: a full disk stops every commit") == (
        findings(left)["space"]["level"],
        findings(left)["space"]["hint"],
    )


@pytest.mark.parametrize(("fixed_in", "level"), [((0,), "ok"), ((999,), "warning")])
def test_doctor_knows_the_sqlite_releases_with_a_race(
    left: str, monkeypatch: pytest.MonkeyPatch, fixed_in: tuple[int], level: str
) -> None:
    """Whichever is installed here."""
    monkeypatch.setattr(operations, "_SQLITE_WITHOUT_RESET_RACE", fixed_in)
    assert level == findings(left)["sqlite"]["level"]
    assert sqlite3.sqlite_version in findings(left)["sqlite"]["words"]


def test_doctor_names_a_package_without_metadata(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen applications have none."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(operations, "version", version)
    assert "trio (not installed), attrs (not installed)" in findings(left)["packages"]["words"]


class Cluster:
    """A client of a store with other nodes and queues than a test could make in a moment."""

    def __init__(self, nodes: list[NodeRow], queues: list[QueueStatistics]) -> None:
        self._nodes = nodes
        self._queues = queues

    async def nodes(self) -> list[NodeRow]:
        return self._nodes

    async def queues(self) -> list[QueueStatistics]:
        return self._queues

    async def count(self, **_: object) -> int:
        return 0

    async def list(self, **_: object) -> Any:
        for _item in ():
            yield _item


def looked_at(cluster: Cluster) -> list[tuple[str, str, str]]:
    """What the doctor says of nodes and queues."""

    async def main() -> list[tuple[str, str, str]]:
        client: Any = cluster
        return [(it.subject, it.level, it.words) async for it in operations._cluster(client)]

    return trio.run(main)


def test_doctor_finds_a_node_that_is_gone() -> None:
    """It is a warning: the next node that looks removes it."""
    gone = NodeRow(node="n1", queues=["a"], lease_until=2.0, joined_at=1.0, is_alive=False)
    (node, none, workflows) = looked_at(Cluster([gone], []))
    assert ("node", "warning") == node[:2]
    assert node[2].endswith("; it is gone")
    assert ("node", "warning", "no node runs; 0 workflows are open") == none
    assert "workflows" == workflows[0]


@pytest.mark.parametrize(
    ("queue", "level", "words"),
    [
        (QueueStatistics("b", 1, 0, 0, 0, 0), "problem", "; no node serves it"),
        (QueueStatistics("b", 0, 0, 0, 0, 0), "ok", "0 messages waiting"),
        (QueueStatistics("a", 1, 0, 7, 0, 0, oldest_task_at=1.0), "warning", ", the oldest for "),
        (QueueStatistics("a", 1, 0, 0, 0, 0), "ok", "1 open"),
    ],
)
def test_doctor_looks_at_queues(queue: QueueStatistics, level: str, words: str) -> None:
    """One that nobody serves, and one whose activities wait for a long time."""
    alive = NodeRow(node="n1", queues=["a"], lease_until=2.0, joined_at=1.0, workflows=["w"])
    found = looked_at(Cluster([alive], [queue]))[-1]
    assert ("queue", level) == found[:2]
    assert words in found[2]


def test_doctor_finds_the_code_of_what_is_open(store: str) -> None:
    """A live node knows all that is open: nothing to report."""
    run("start", "nap", "1000", "--id", "known", "-s", store)
    assert "code" not in findings(store)
    assert data("doctor", "-s", store)["ok"]
    run("terminate", "known", "-s", store)
    assert wf.__version__ == findings(store)["wfactors"]["words"]
