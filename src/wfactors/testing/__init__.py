"""What users and wfactors itself test with: a tester in virtual time, replay of histories, a suite for stores.

Nothing here is imported by the engine. The parts that need pytest or hypothesis import them; this module does not.

============================================  ==================================================================
``open_tester``, fixture ``tester``           run workflows in virtual time, with fakes for activities and children
``open_activity``, ``run_activity``           run one attempt of an activity
``assert_replays``, ``histories_in``          hold recorded histories against the code as it is now
``fuzz_schedules``                            run a test under many orders of what is independent
``assert_survives_crashes``                   kill an application at each call of its store, and compare
``assert_no_difference``                      what the replay check of an engine has found
``wfactors.testing.simulator``                run workflows in worlds of faults, each decided by a seed
``wfactors.testing.plugin``                   the fixtures for pytest
``wfactors.testing.conformance``              one suite for every store
============================================  ==================================================================
"""

from wfactors.testing.activity_tester import ActivityAttempt, open_activity, run_activity
from wfactors.testing.clocks import AutojumpHold, VirtualClock
from wfactors.testing.crash_points import CrashFailure, CrashReport, assert_survives_crashes
from wfactors.testing.fakes import Call, Calls, Fake, call
from wfactors.testing.replays import (
    Recording,
    assert_replays,
    assert_store_replays,
    histories_in,
    read_history,
    save_history,
)
from wfactors.testing.sanitizer import assert_no_difference
from wfactors.testing.schedules import FuzzReport, ScheduleFailure, fuzz_schedules
from wfactors.testing.tester import Tester, open_tester, run_in_virtual_time

__all__ = [
    "ActivityAttempt",
    "AutojumpHold",
    "Call",
    "Calls",
    "CrashFailure",
    "CrashReport",
    "Fake",
    "FuzzReport",
    "Recording",
    "ScheduleFailure",
    "Tester",
    "VirtualClock",
    "assert_no_difference",
    "assert_replays",
    "assert_store_replays",
    "assert_survives_crashes",
    "call",
    "fuzz_schedules",
    "histories_in",
    "open_activity",
    "open_tester",
    "read_history",
    "run_activity",
    "run_in_virtual_time",
    "save_history",
]
