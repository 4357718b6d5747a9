"""Which of Trio's test modules apply to the kernel, and which of their tests do not, with the reason of each."""

from __future__ import annotations

MODULES = (
    "trio._core._tests.test_cancelled",
    "trio._core._tests.test_parking_lot",
    "trio._core._tests.test_run",
    "trio._tests.test_channel",
    "trio._tests.test_contextvars",
    "trio._tests.test_deprecate_strict_exception_groups_false",
    "trio._tests.test_sync",
    "trio._tests.test_timeouts",
)

_ABANDONED = "abandoned tasks: cleaned up at once here, and what they raise is not lost"
_CANCEL_REASON = "cancel reasons: Cancelled carries none, the scope keeps it"
_DETACH = "detached coroutines: a workflow's coroutine cannot leave its scheduler"
_INTERNAL = "Trio's internals: patches or breaks the run loop"
_KI = "KeyboardInterrupt protection: signals never reach a workflow"
_LOOSE = "strict_exception_groups=False: not offered"
_NESTING = "run() nesting: kernels are objects, and nest"
_PRIVATE = "private constructors and final classes: not enforced"
_REAL_TIME = "real clock: a workflow's time stands still between facts"
_RUN_INTROSPECTION = "introspection of the run: root task, clock, statistics, sniffio"
_SYSTEM_TASK = "system tasks: not offered"
_THREADS = "threads: a workflow has none"
_TOKEN = "TrioToken: nothing enters a workflow but facts"
_WORDING = "wording: compares the exact text of a note that Trio adds to an exception"
_XFAIL = "expected to fail in Trio, too"

EXCLUDED: dict[str, dict[str, str]] = {
    "trio._core._tests.test_cancelled": {
        "test_Cancelled_init": _CANCEL_REASON,
        "test_Cancelled_str": _CANCEL_REASON,
        "test_Cancelled_subclass": _PRIVATE,
        "test_Cancelled_pickle": _CANCEL_REASON,
        "test_cancel_reason": _CANCEL_REASON,
        "test_cancel_reason_nursery": _CANCEL_REASON,
        "test_cancel_reason_nursery2": _CANCEL_REASON,
        "test_cancel_reason_nursery3": _CANCEL_REASON,
        "test_cancel_reason_not_overwritten": _CANCEL_REASON,
        "test_cancel_reason_not_overwritten_2": _CANCEL_REASON,
        "test_nested_child_source": _CANCEL_REASON,
        "test_reason_delayed_ki": _KI,
    },
    "trio._core._tests.test_parking_lot": {},
    "trio._core._tests.test_run": {
        "test_run_nesting": _NESTING,
        "test_current_time": _REAL_TIME,
        "test_current_clock": _RUN_INTROSPECTION,
        "test_root_task": _RUN_INTROSPECTION,
        "test_current_statistics": _RUN_INTROSPECTION,
        "test_cancel_scope_repr": _THREADS,
        "test_asyncexitstack_nursery_misnest_cleanup": _ABANDONED,
        "test_error_in_run_loop": _INTERNAL,
        "test_broken_abort": _INTERNAL,
        "test_internal_error_old_nursery_multiple_tasks": _INTERNAL,
        "test_nursery_collapse[False]": _LOOSE,
        **{
            f"test_setting_strict_exception_groups[{case}]": _LOOSE
            for case in (
                "True-False-True",
                "True-False-False",
                "True-False-None",
                "True-True-False",
                "True-None-False",
                "False-False-True",
                "False-False-False",
                "False-False-None",
                "False-True-False",
                "False-None-False",
            )
        },
        **{
            f"test_trio_run_strict_before_started[{group}-{after}-{nursery}-{run}]": _LOOSE
            for group in (True, False)
            for after in (True, False)
            for nursery, run in ((False, False), (True, False), (None, False), (False, True))
        },
        "test_spawn_system_task": _SYSTEM_TASK,
        "test_system_task_crash": _SYSTEM_TASK,
        "test_system_task_crash_ExceptionGroup": _SYSTEM_TASK,
        "test_system_task_crash_plus_Cancelled": _SYSTEM_TASK,
        "test_system_task_crash_KeyboardInterrupt": _SYSTEM_TASK,
        "test_system_task_contexts": _SYSTEM_TASK,
        "test_spawn_name": _SYSTEM_TASK,
        "test_TrioToken_identity": _TOKEN,
        "test_TrioToken_run_sync_soon_basic": _TOKEN,
        "test_TrioToken_run_sync_soon_too_late": _TOKEN,
        "test_TrioToken_run_sync_soon_idempotent": _TOKEN,
        "test_TrioToken_run_sync_soon_idempotent_requeue": _TOKEN,
        "test_TrioToken_run_sync_soon_after_main_crash": _TOKEN,
        "test_TrioToken_run_sync_soon_crashes": _TOKEN,
        "test_TrioToken_run_sync_soon_FIFO": _TOKEN,
        "test_TrioToken_run_sync_soon_starvation_resistance": _TOKEN,
        "test_TrioToken_run_sync_soon_threaded_stress_test": _TOKEN,
        "test_TrioToken_run_sync_soon_massive_queue": _TOKEN,
        "test_TrioToken_run_sync_soon_late_crash": _TOKEN,
        "test_Nursery_subclass": _PRIVATE,
        "test_CancelScope_subclass": _PRIVATE,
        "test_sniffio_integration": _RUN_INTROSPECTION,
        "test_permanently_detach_coroutine_object": _DETACH,
        "test_detach_and_reattach_coroutine_object": _DETACH,
        "test_detached_coroutine_cancellation": _DETACH,
        "test_context_run_tb_frames": _INTERNAL,
        "test_trio_context_detection": _THREADS,
    },
    "trio._tests.test_channel": {
        "test_as_safe_channel_genexit_finally": _WORDING,
    },
    "trio._tests.test_contextvars": {},
    "trio._tests.test_deprecate_strict_exception_groups_false": {
        "test_deprecation_warning_open_nursery": _LOOSE,
        "test_deprecation_warning_run": _LOOSE,
        "test_deprecation_warning_start_guest_run": _LOOSE,
    },
    "trio._tests.test_sync": {},
    "trio._tests.test_timeouts": {
        "test_fail_access_before_entering": _XFAIL,
    },
}
