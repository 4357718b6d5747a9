"""The interpreter's settings, in a process of their own."""

from __future__ import annotations

import subprocess
import sys


def test_tuning_changes_what_it_says() -> None:
    """Fewer collections, shorter switches."""
    code = (
        "import gc, sys, wfactors; wfactors.tune_process();"
        "print(gc.get_threshold(), gc.get_freeze_count() > 1000, sys.getswitchinterval())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "(5000, 80, 20) True 0.0005" == done.stdout.strip()
