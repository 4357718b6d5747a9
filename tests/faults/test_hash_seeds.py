"""What a workflow decides does not depend on the order in which this process happens to keep its sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import SEED_VARIABLE
from tests.faults.fresh_workflows import ARGUMENTS
from tests.faults.hash_seeds import PROGRAMS
from tests.test_histories import NAMES

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("1", "2", "random")


def run(hash_seed: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "tests.faults.hash_seeds", *arguments, os.environ[SEED_VARIABLE]]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_every_process_decides_the_same(tmp_path: Path) -> None:
    """Histories of the examples, recorded ones and fresh ones: the same bytes are issued under each hash seed."""
    run("0", "record", str(tmp_path))
    first, *others = [run(seed, "replay", str(tmp_path)) for seed in HASH_SEEDS]
    for lines in others:
        assert first[:-1] == lines[:-1]
    assert len({lines[-1] for lines in (first, *others)}) > 1, "the hash seed makes no difference to anything"
    subjects = {line.split()[0] for line in first}
    assert subjects >= {"fresh", "recorded", "live", "careless"}
    # Some examples show a client, or what happens in activities alone.
    assert len(subjects & {program.name for program in PROGRAMS}) > 0.8 * len(PROGRAMS)
    assert len([line for line in first if line.startswith("recorded ")]) == len(NAMES)
    assert len([line for line in first if line.startswith("live ")]) > len(ARGUMENTS)
