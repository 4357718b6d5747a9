"""Crash points, sampled; ``python -m tests.faults.crash_points`` runs all of them."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_crashes_at_sampled_statements_break_no_promise(rng: random.Random) -> None:
    """Each seventh statement, before and after: the next process finishes the work, and the auditor finds nothing."""
    command = [sys.executable, "-m", "tests.faults.crash_points", "--every", "7", "--offset", str(rng.randrange(7))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "0 with broken promises" in done.stdout
