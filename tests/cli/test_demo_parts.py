"""The demo in parts: its pipeline, its proof, and what it says when something is in the way."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import wfactors as wf
from tests.cli.cli_kit import run
from wfactors.cli.demo import pipeline, worker
from wfactors.cli.demo.looking import Journal
from wfactors.cli.demo.pipeline import Job, compress_file, hash_file, index_path, journal_path, target_of, wanted_files
from wfactors.cli.demo.verify import verify_files
from wfactors.cli.exits import Problem
from wfactors.testing import open_tester, run_activity

JOB = Job("in", "out", [], None, 2, 0.0, 60.0, 0)


def done_job(folder: Path, *names: str) -> Job:
    """Sources and results as a pipeline leaves them."""
    job = Job(str(folder / "in"), str(folder / "out"), [], None, 1, 0.0, 0.0, 0)
    Path(job.source).mkdir()
    for name in names:
        (Path(job.source) / name).write_bytes(name.encode())
        target_of(job.output, name).parent.mkdir(parents=True, exist_ok=True)
        target_of(job.output, name).write_bytes(gzip.compress(name.encode()))
    with contextlib.closing(sqlite3.connect(index_path(job.output))) as index, index:
        index.execute("CREATE TABLE documents (path TEXT)")
        index.executemany("INSERT INTO documents VALUES (?)", [(name,) for name in names])
    return job


def names_in(folder: Path) -> list[str]:
    """What lies there, in order."""
    return sorted(path.name for path in folder.iterdir())


# --- The pipeline ----------------------------------------------------------------------------------------------------


def fakes(tester: Any) -> None:
    """Activities that touch no file."""
    tester.register(pipeline.process_file, pipeline.summary)
    tester.fake(pipeline.list_files, returns=["a", "b"])
    tester.fake(pipeline.hash_file, returns=("0" * 64, 3))
    tester.fake(pipeline.compress_file, lambda _, path, *__: fails(path))
    tester.fake(pipeline.index_file, returns=1)
    tester.fake(pipeline.write_report, lambda _, reports: wanted(reports))


def fails(path: str) -> tuple[int, int]:
    if path == "b":
        raise wf.PermanentError("b cannot be read")
    return 2, 1


def wanted(reports: list[pipeline.FileReport]) -> pipeline.Summary:
    failed = [report.path for report in reports if report.error is not None]
    return pipeline.Summary(len(reports), len(failed), 0, 0, 0, failed)


async def test_a_file_that_fails_does_not_stop_the_others(autojump_clock) -> None:
    """It is in the report with its error."""
    async with open_tester() as tester:
        fakes(tester)
        tester.after(120, tester.signal, "demo", "approve", True)
        summary = await tester.run(pipeline.pipeline, JOB, id="demo")
    assert pipeline.Summary(2, 1, 0, 0, 0, ["b"]) == summary


async def test_results_that_are_not_approved_are_not_summed_up(autojump_clock) -> None:
    """The pipeline fails, and says why."""
    async with open_tester() as tester:
        fakes(tester)
        tester.after(120, tester.signal, "demo", "approve", False)
        with pytest.raises(wf.WorkflowFailed, match="the results were not approved"):
            await tester.run(pipeline.pipeline, JOB, id="demo")
        tester.calls(pipeline.write_report).assert_never()


async def test_a_file_that_is_changed_meanwhile(tmp_path: Path) -> None:
    """Its workflow fails, and nothing half is left behind."""
    job = done_job(tmp_path, "a")
    digest, _ = await run_activity(hash_file, job.source, "a", job.output)
    (Path(job.source) / "a").write_bytes(b"after")
    with pytest.raises(wf.PermanentError, match="a was changed while the demo read it"):
        await run_activity(compress_file, job.source, "a", job.output, digest, False)
    assert b"a" == gzip.decompress(target_of(job.output, "a").read_bytes())
    assert ["a.gz"] == names_in(target_of(job.output, "a").parent)


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    """No history could hold it."""
    (tmp_path / "good").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"")
    assert ["good"] == wanted_files(str(tmp_path), [], None)


# --- What it sees ----------------------------------------------------------------------------------------------------


def test_the_journal_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    """A line that is still being written waits, one that is no attempt is passed by, nothing new costs nothing."""
    path = journal_path(str(tmp_path))
    began = {"key": "k", "kind": "hash", "path": "a", "attempt": 1, "pid": 7, "what": "began"}
    journal = Journal(str(tmp_path))
    journal.read()
    path.write_text(json.dumps(began) + "\nno attempt\n" + '{"key": "k", ')
    journal.read()
    assert ["k"] == [attempt.key for attempt in journal.under_way]
    path.write_text(json.dumps(began) + "\nno attempt\n" + json.dumps({**began, "what": "did"}) + "\n")
    journal.read()
    assert ([], 1, 1) == (journal.under_way, len(journal.began), len(journal.did))


def test_the_proof_finds_what_is_wrong(tmp_path: Path) -> None:
    """A result that is missing, one of another file, one that is in the index twice; parts are cleared away."""
    job = done_job(tmp_path, "good", "gone", "other", "twice")
    target_of(job.output, "gone").unlink()
    target_of(job.output, "other").write_bytes(gzip.compress(b"another"))
    part = target_of(job.output, "good").with_name(".0123.part")
    part.write_bytes(b"half")
    with contextlib.closing(sqlite3.connect(index_path(job.output))) as index, index:
        index.execute("INSERT INTO documents VALUES ('twice')")
    verdict = verify_files(job, ["good", "gone", "other", "twice"])
    assert [
        "gone: there is no result",
        "other: unpacked it is another file",
        "twice: it is in the index 2 times",
    ] == list(verdict.mistakes)
    assert not part.exists()


# --- The worker ------------------------------------------------------------------------------------------------------


async def started(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> worker.Worker:
    """A worker process that runs other code."""
    script = folder / "python"
    script.write_text(f"#!{sys.executable}\nimport json, sys, time\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return await worker.start_worker("sqlite:///demo.db", folder / "worker.log")


@pytest.mark.parametrize(
    "code",
    [
        "sys.exit('no luck')",
        "print('no luck', file=sys.stderr); print(json.dumps({'event': 'stopped'}), flush=True); input()",
    ],
)
async def test_a_worker_that_does_not_start_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Whether it has ended or says something else; then it is ended."""
    process = await started(monkeypatch, tmp_path, code)
    with pytest.raises(Problem, match="the worker did not start") as caught:
        await process.wait_ready()
    assert f"no luck\n  log: {tmp_path}/worker.log" == caught.value.hint
    assert not process.is_running


async def test_a_readiness_line_may_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts once it is whole."""
    line = json.dumps({"event": "ready", "began_at": "2024-05-06T07:08:09Z"})
    code = f"sys.stdout.write({line[:9]!r}); sys.stdout.flush(); input(); print({line[9:]!r}, flush=True); input()"
    process = await started(monkeypatch, tmp_path, code)
    began: list[float] = []

    async def wait() -> None:
        began.append(await process.wait_ready())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.05)
        await process._process.stdin.send_all(b"\n")
    assert [1714979289.0] == began
    await process.stop()
    assert not process.is_running


async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was asked, by the end of its standard input."""
    monkeypatch.setattr(worker, "_STOP_SECONDS", 0.0)
    process = await started(monkeypatch, tmp_path, "print(flush=True); time.sleep(600)")
    await process._process.stdout.receive_some()
    await process.stop()
    assert not process.is_running


# --- What is in the way ----------------------------------------------------------------------------------------------


def test_a_demo_whose_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 4, and how to end it."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/demo.db"
    job = {**attrs.asdict(JOB), "source": str(tmp_path / "gone")}
    assert 0 == run("start", "demo.pipeline", json.dumps(job), "--id", "demo-1", "-s", url).exit_code
    result = run("demo", "--fast", "-s", url)
    assert 4 == result.exit_code
    assert "demo-1 is open in this store, but its folder " in result.stderr
    assert "wfactors terminate demo-1" in result.stderr
