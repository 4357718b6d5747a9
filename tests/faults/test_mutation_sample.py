"""The command that shows whether tests can fail tells those that can from those that cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
import pytest
from wfactors.model.ids import child_key
from wfactors.model.failures import Failure

def test_that_can_fail():
    assert child_key("a", 1, 2).startswith("a")

def test_that_cannot_fail():
    try:
        Failure("a.B", "message").summary()
        assert child_key("a", 1, 2) == "something else"
    except Exception:
        pass

def test_that_is_red_already():
    assert not child_key("a", 1, 2)

def test_that_is_skipped():
    pytest.skip("no")

def test_of_something_else():
    assert sum([1, 2]) == 3
"""


def test_a_test_that_cannot_fail_is_found(tmp_path: Path) -> None:
    """One is proven, one is shown with all that was broken, and what cannot be judged is left out."""
    path = tmp_path / "test_sampled.py"
    path.write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "tests.faults.mutation_sample", "--seed", "1", "--tries", "40", str(path)]
    # It measures for itself, on a copy that is gone when the measurements of the whole suite are put together.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout
    assert 1 == done.returncode, said + done.stderr
    assert "1 of 2 can fail" in said
    assert "test_that_can_fail: red after model/ids.py:" in " ".join(said.split())
    assert "test_that_cannot_fail under" in said
    assert "  model/failures.py:" in said
    assert "test_that_is_red_already: is red" in said
    assert "test_that_is_skipped: is skipped" in said
    assert "test_of_something_else: runs no line of wfactors" in said
