"""Settings of the interpreter that suit a process whose main job is to run an engine."""

from __future__ import annotations

import gc
import sys

__all__ = ["tune_process"]

_GENERATION_0 = 5_000
_GENERATION_1 = 80
_GENERATION_2 = 20
_SWITCH_SECONDS = 0.0005


def tune_process() -> None:
    """Tune Python's garbage collector and thread switching for an engine; ``wfactors run`` does so.

    Call it once, after the imports and before ``open_engine``, in a process that is the engine's own. It changes
    settings of the whole interpreter, so ``open_engine`` leaves that to whoever owns the process.

    * Thousands of resident workflows are hundreds of thousands of long-lived objects. By default Python looks through
      all of them again and again as they grow in number, for garbage that is hardly ever there: a closed run is freed
      by reference counting. Collecting the old ones less often takes about a quarter off the time of the tree
      benchmark; the young ones are few enough at a time to hold the loop for less than a millisecond.
    * The store's writer thread asks for the interpreter at each step of SQLite. Switching after 0.5 ms instead of 5 ms
      keeps commits short while the loop is busy.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GENERATION_0, _GENERATION_1, _GENERATION_2)
    sys.setswitchinterval(_SWITCH_SECONDS)
