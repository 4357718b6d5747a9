"""Owners that are killed, stopped or asked to leave, in processes of their own; nothing is lost, nothing done twice."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# More than a scene's processes are given, less than the limit of faulthandler, which ends all tests of the process.
SCENE_SECONDS_MAX = 240


def run(name: str, folder: Path) -> None:
    """Run one of the scenes of this file in a process that never had threads, since it forks."""
    code = f"from pathlib import Path; from tests.faults import scenes; scenes.{name}(Path({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=SCENE_SECONDS_MAX
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def test_kills_at_random_under_load_break_no_promise(rng: random.Random) -> None:
    """Five ``kill -9``, most of them of the owner; ``python -m tests.faults.kills`` does fifty."""
    command = [sys.executable, "-m", "tests.faults.kills", "--kills", "5", "--seed", str(rng.randrange(1, 2**32))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SCENE_SECONDS_MAX)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "0 broken promises" in done.stdout


def test_a_zombie_is_refused_and_joins_again(tmp_path: Path) -> None:
    """An owner is stopped until its lease is over and another one works; woken, it may write nothing."""
    run("zombie", tmp_path)


def test_a_zombie_that_believes_in_its_lease_is_refused_by_the_epoch(tmp_path: Path) -> None:
    """Its own clock says that the lease lives: the commit is refused all the same, and it joins again."""
    run("zombie_that_knows_nothing", tmp_path)


@pytest.mark.parametrize("way", ["leaves", "is_killed"])
def test_the_standby_takes_over_when_the_owner(way: str, tmp_path: Path) -> None:
    """Two engines on one file: one owns at a time, in order or after a ``kill -9``, far sooner than a lease."""
    run(f"owner_{way}", tmp_path)
