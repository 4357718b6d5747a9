"""What the design promises, row by row, and the tests that hold it: none of them can be lost unnoticed.

``CASES`` follows the table "case by case" of what users can rely on, ``BEHAVIOURS`` and ``FAULTS`` the two parts of the
comparison with the system to match. A test is named by its file below ``tests`` and its function.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import wfactors as wf

TESTS = Path(__file__).parents[1]

CASES = {
    "the process dies at any moment": """
        faults/test_crash_points test_crashes_at_sampled_statements_break_no_promise
        faults/test_takeover test_kills_at_random_under_load_break_no_promise
        semantics/test_store_trouble test_nothing_begins_before_it_is_committed
        semantics/test_shutdown test_everything_acknowledged_is_there_after_any_number_of_restarts""",
    "an activity's process dies": """
        semantics/test_takeover test_a_dead_owner_is_replaced_when_its_lease_ends
        semantics/test_activities test_a_late_result_of_an_old_attempt_is_refused""",
    "an activity raises": """
        semantics/test_retries test_the_first_retry_waits_first_and_the_next_ones_backoff
        semantics/test_retries test_by_default_there_are_three_attempts
        semantics/test_retries test_attempts_live_on_the_task_and_the_history_gets_the_outcome
        semantics/test_retries test_retries_go_on_over_restarts
        actors/test_verdict test_jitter_shortens_the_wait""",
    "it raises PermanentError, or a type in never=": "semantics/test_retries test_what_is_permanent_is_not_retried",
    "retries are used up": """
        semantics/test_retries test_a_type_in_raises_comes_back_as_itself_when_retries_are_used_up
        semantics/test_activities test_an_error_has_type_message_traceback_cause_and_attempt""",
    "a deadline of the activity passes": """
        semantics/test_retries test_start_to_close_is_a_deadline_of_each_attempt
        semantics/test_retries test_schedule_to_close_is_a_deadline_over_all_attempts
        semantics/test_retries test_a_missing_heartbeat_ends_the_attempt_and_is_retried
        semantics/test_unclaimed test_schedule_to_close_of_an_activity_that_nobody_claims
        semantics/test_unclaimed test_schedule_to_close_holds_over_a_restart""",
    "the scope around an activity is cancelled": """
        semantics/test_activities test_a_cancelled_scope_stops_the_running_attempt_and_waits_for_it
        semantics/test_activities test_with_abandon_nobody_waits_for_the_attempt
        semantics/test_activities test_cancellation_reaches_an_attempt_on_another_node""",
    "an activity is not registered where it is claimed": """
        semantics/test_unclaimed test_an_unregistered_activity_waits_for_a_node_that_has_it
        semantics/test_unclaimed test_an_activity_that_no_node_has_is_in_the_log
        actors/test_activities test_what_is_not_registered_here_is_left_to_others""",
    "a workflow type is not registered at the owner": """
        semantics/test_basics test_an_unregistered_workflow_is_parked_and_goes_on_when_known
        semantics/test_families test_a_child_whose_type_is_unknown_is_parked_and_its_parent_waits""",
    "values that the converter refuses": """
        semantics/test_activities test_arguments_that_the_converter_refuses_are_an_error_at_the_call
        semantics/test_activities test_a_result_that_the_converter_refuses_is_a_permanent_failure
        semantics/test_bad_input test_values_that_cannot_be_stored_fail_where_they_are_made""",
    "a workflow raises": """
        semantics/test_basics test_a_failure_has_type_message_and_cause
        semantics/test_families test_a_failed_child
        semantics/test_bad_input test_whatever_is_raised_ends_one_workflow_at_most""",
    "a step blocks the loop": "semantics/test_bad_input test_a_turn_that_does_not_come_back_is_parked",
    "trio.sleep, sockets, threads in a workflow": """
        semantics/test_bad_input test_foreign_awaitables_fail_that_workflow_alone
        actors/test_guard test_trio_raises_misuse_at_the_line_and_keeps_its_state""",
    "code no longer matches the history": """
        semantics/test_parking test_changed_code_parks_and_a_fixed_deployment_goes_on""",
    "cancel": """
        semantics/test_endings test_cancel_lets_the_workflow_clean_up
        semantics/test_endings test_a_cancelled_workflow_that_returns_is_completed
        semantics/test_durable_concurrency test_durable_structured_concurrency""",
    "terminate": """
        semantics/test_endings test_terminate_runs_no_author_code
        semantics/test_activities test_terminating_the_workflow_stops_its_activity
        semantics/test_order test_terminating_a_parked_workflow_takes_its_children_and_activities_along""",
    "a child when its parent ends": """
        semantics/test_families test_parent_close
        semantics/test_families test_an_awaited_child_cannot_outlive_the_call""",
    "a child is cancelled before it started": """
        semantics/test_families test_a_child_withdrawn_in_the_step_that_started_it
        semantics/test_children test_a_child_cancelled_before_it_started_never_runs""",
    "the id is open": """
        semantics/test_basics test_an_open_id_is_refused_and_stays_usable
        semantics/test_basics test_conflict_policies
        semantics/test_requests test_of_many_starts_of_one_id_at_once_one_wins""",
    "the id was used by a closed one": """
        semantics/test_basics test_a_closed_id_may_be_used_again
        semantics/test_basics test_reuse_policies""",
    "signals": """
        semantics/test_signals test_signals_arrive_in_order_before_the_channel_exists
        semantics/test_signals test_signals_arrive_in_order_after_the_channel_exists
        semantics/test_signals test_unread_signals_survive_continue_as_new
        semantics/test_signals test_unread_signals_are_kept_up_to_the_limit_of_the_history
        semantics/test_signals test_signals_are_durable_before_they_are_acknowledged
        semantics/test_order test_a_signal_does_not_overtake_the_one_that_came_with_the_start""",
    "a signal to an unknown or closed instance": """
        semantics/test_requests test_unknown_and_closed_instances_refuse_everything_with_a_typed_error
        semantics/test_signals test_a_signal_to_an_unknown_workflow_is_refused
        semantics/test_signals test_a_signal_to_a_closed_workflow_is_refused""",
    "query": """
        semantics/test_updates_queries test_a_query_sees_the_state
        semantics/test_updates_queries test_a_query_that_cannot_be_answered
        semantics/test_updates_queries test_a_query_that_changes_the_state_changes_no_history
        semantics/test_updates_queries test_who_may_only_look_and_does_more_leaves_no_trace
        semantics/test_store_trouble test_a_query_sees_committed_state_only
        semantics/test_updates_queries test_a_query_on_a_closed_workflow""",
    "update": """
        semantics/test_updates_queries test_an_update_is_recorded_then_run
        semantics/test_updates_queries test_a_refused_update_leaves_no_trace
        semantics/test_updates_queries test_an_update_goes_on_over_a_restart""",
    "side_effect": """
        semantics/test_side_effects test_a_side_effect_runs_once_and_the_rest_is_the_same_in_every_replay""",
    "continue_as_new": """
        semantics/test_continue_as_new test_each_run_has_its_own_input_history_and_number
        semantics/test_continue_as_new test_parents_get_the_last_result
        semantics/test_continue_as_new test_children_of_a_run_that_continues_follow_their_policy""",
    "the history is too long": """
        semantics/test_requests test_a_long_history_is_warned_of_once
        semantics/test_parking test_a_history_that_grows_too_long_fails_its_workflow""",
    "a payload over the limit": "semantics/test_bad_input test_values_that_cannot_be_stored_fail_where_they_are_made",
    "timers": """
        semantics/test_timers test_a_timer_fires_at_its_time_to_the_millisecond
        semantics/test_timers test_late_timers_fire_on_recovery_in_order_of_their_time
        semantics/test_timers test_late_timers_of_many_instances_fire_on_recovery""",
    "clocks jump": """
        semantics/test_time test_a_jump_forward_is_noticed_within_a_second
        semantics/test_time test_a_jump_backward_delays_timers_and_loses_none
        semantics/test_time test_leases_and_attempts_do_not_notice_a_jump
        actors/test_clock test_system_clock_notices_a_jump_forward""",
    "the store is unreachable": """
        semantics/test_store_trouble test_the_batch_is_kept_and_retried_while_the_lease_lasts
        semantics/test_store_trouble test_callers_can_time_out_while_the_store_is_away
        semantics/test_store_trouble test_after_the_lease_the_node_starts_again_from_the_store""",
    "the store is full or read-only": """
        semantics/test_store_trouble test_the_batch_is_kept_and_retried_while_the_lease_lasts
        faults/test_full_disk test_a_full_disk_holds_the_engine_up_and_no_more
        faults/test_full_disk test_a_file_that_becomes_read_only_holds_the_engine_up""",
    "a row that cannot be read": """
        faults/test_corruption test_a_wrong_column_harms_one_workflow_at_most
        faults/test_corruption test_a_missing_row_harms_one_workflow_at_most""",
    "SIGTERM, or the engine's scope is cancelled": """
        semantics/test_shutdown test_running_activities_get_the_grace_period
        semantics/test_shutdown test_after_the_grace_period_they_are_cancelled
        semantics/test_shutdown test_cancelling_the_scope_of_an_engine_shuts_it_down_in_order""",
    "two engines on one SQLite file": """
        semantics/test_takeover test_the_second_engine_stands_by_and_takes_over
        faults/test_takeover test_the_standby_takes_over_when_the_owner""",
    "removal": """
        semantics/test_removal test_nothing_of_a_removed_instance_is_left
        semantics/test_removal test_removal_is_refused_while_open_and_for_unknown_ids""",
    "retention": """
        semantics/test_removal test_retention_removes_closed_instances_and_its_time_can_be_changed""",
}

BEHAVIOURS = {
    "instances: created, refused, described, waited for": """
        semantics/test_requests test_start_takes_names_keywords_and_options
        semantics/test_requests test_unknown_and_closed_instances_refuse_everything_with_a_typed_error
        semantics/test_requests test_describe_tells_status_times_queue_parent_and_what_it_waits_for
        semantics/test_requests test_waiting_for_a_result_with_a_timeout
        semantics/test_basics test_unknown_ids_are_not_found""",
    "simple: result, expected history, mismatches, many at once": """
        semantics/test_basics test_the_result_is_returned
        semantics/test_basics test_the_history_holds_facts_and_decisions_in_order
        semantics/test_basics test_arguments_that_do_not_fit_leave_no_instance
        semantics/test_activities test_wrong_arguments_are_a_type_error_at_the_call
        semantics/test_activities test_hundred_activities_are_awaited_as_they_finish
        semantics/test_side_effects test_two_side_effects_across_a_checkpoint_run_once_each""",
    "children": """
        semantics/test_children test_children_return_their_results
        semantics/test_children test_children_with_chosen_ids
        semantics/test_families test_cancelling_the_parent_cancels_both_children_and_their_results_are_seen
        semantics/test_families test_signals_to_children_in_order
        semantics/test_families test_a_tree_over_restarts""",
    "activities": """
        semantics/test_activities test_an_error_has_type_message_traceback_cause_and_attempt
        semantics/test_retries test_heartbeats_keep_a_long_activity_alive
        semantics/test_retries test_the_last_heartbeat_survives_a_restart
        semantics/test_activities test_the_idempotency_key_is_the_same_on_every_attempt
        semantics/test_queues test_activities_and_children_inherit_the_queue_unless_told_otherwise""",
    "timers: cancelled in every way": "semantics/test_timers test_a_cancelled_timer_leaves_nothing_behind",
    "signals": """
        semantics/test_signals test_a_workflow_signals_another
        semantics/test_signals test_a_signal_to_a_closed_workflow_is_refused""",
    "queues": """
        semantics/test_queues test_a_node_runs_only_the_queues_it_serves
        semantics/test_queues test_workflows_on_a_queue_that_nobody_serves_wait
        semantics/test_queues test_many_partitions_of_each_queue""",
    "continue as new": """
        semantics/test_continue_as_new test_the_chain_goes_on_over_restarts
        semantics/test_continue_as_new test_removal_of_continued_runs""",
    "removal and expiry": """
        semantics/test_removal test_removal_by_age_in_batches
        semantics/test_removal test_retention_removes_closed_instances_and_its_time_can_be_changed""",
    "limits": """
        semantics/test_parking test_a_history_that_grows_too_long_fails_its_workflow
        semantics/test_eviction test_histories_in_memory_are_bounded_by_their_size""",
    "tracing": """
        semantics/test_tracing test_the_workflow_hangs_under_the_span_that_created_it
        semantics/test_tracing test_tasks_of_a_workflow_nest_by_themselves
        semantics/test_tracing test_a_deadline_belongs_where_it_was_set
        semantics/test_tracing test_ids_can_be_read_in_the_workflow
        semantics/test_tracing test_one_trace_over_restarts
        semantics/test_tracing test_no_crash_makes_a_span_twice
        semantics/test_tracing test_telemetry_changes_no_history""",
    "metrics client": """
        telemetry/test_metrics test_what_is_counted
        telemetry/test_metrics test_what_is_asked_for""",
    "context propagation": """
        semantics/test_context test_context_goes_from_client_to_workflow_to_activity
        semantics/test_context test_context_survives_a_restart""",
    "statistics": "semantics/test_statistics test_queues_before_during_and_after_an_activity",
    "diagnostics: paging, filters": """
        semantics/test_attributes test_long_lists_come_in_pages
        semantics/test_attributes test_lists_are_filtered_by_everything_there_is""",
    "errors survive": """
        semantics/test_basics test_a_failure_has_type_message_and_cause
        semantics/test_activities test_an_error_has_type_message_traceback_cause_and_attempt""",
    "workers": """
        semantics/test_activities test_engines_for_workflows_only_and_activities_only_share_a_store
        semantics/test_activities test_concurrency_limits
        semantics/test_shutdown test_running_activities_get_the_grace_period
        semantics/test_activities test_a_late_result_of_an_old_attempt_is_refused
        semantics/test_parking test_putting_instances_to_sleep_changes_nothing
        semantics/test_durable_concurrency test_durable_structured_concurrency_over_restarts""",
    "tester": """
        testing/test_tester test_callbacks_come_at_their_time_in_their_order
        testing/test_tester test_a_child_is_faked
        testing/test_tester test_expectations_say_what_there_was""",
    "activity tester and analyzer": """
        testing/test_activity_tester test_an_activity_runs
        testing/lint/test_rules test_the_bad_example_is_found_where_it_says""",
    "custom converters and codecs": """
        convert/test_port test_another_converter
        semantics/test_attributes test_attributes_are_set_changed_removed_and_searched""",
    "samples": "test_examples test_the_example_prints_what_it_says",
}

FAULTS = {
    "early signals reversed, hung or dropped": """
        semantics/test_signals test_signals_arrive_in_order_before_the_channel_exists""",
    "a payload that does not decode kills the worker": """
        semantics/test_signals test_a_payload_that_does_not_fit_raises_at_receive""",
    "busy code kills the process": "semantics/test_bad_input test_a_turn_that_does_not_come_back_is_parked",
    "a cache miss fails a correct workflow": """
        semantics/test_durable_concurrency test_durable_structured_concurrency_over_restarts
        semantics/test_basics test_the_history_holds_facts_and_decisions_in_order""",
    "changed code fails the instance": """
        semantics/test_parking test_changed_code_parks_and_a_fixed_deployment_goes_on""",
    "un-awaited calls fail or delay completion": """
        semantics/test_families test_an_awaited_child_cannot_outlive_the_call
        semantics/test_durable_concurrency test_durable_structured_concurrency""",
    "unread signals lost over continue as new": """
        semantics/test_signals test_unread_signals_survive_continue_as_new
        semantics/test_order test_what_comes_as_a_run_continues_is_for_the_next_one""",
    "the result of a continued run is that run's": """
        semantics/test_endings test_continue_as_new_follows_the_chain""",
    "the first retry waits too long": """
        semantics/test_retries test_the_first_retry_waits_first_and_the_next_ones_backoff""",
    "each retry is in the history": """
        semantics/test_retries test_attempts_live_on_the_task_and_the_history_gets_the_outcome""",
    "activities cannot be cancelled and have no deadlines": """
        semantics/test_activities test_a_cancelled_scope_stops_the_running_attempt_and_waits_for_it
        semantics/test_retries test_start_to_close_is_a_deadline_of_each_attempt""",
    "removal leaves rows, and a left-over activity blocks the queue": """
        semantics/test_removal test_nothing_of_a_removed_instance_is_left
        semantics/test_removal test_the_activity_of_a_removed_instance_harms_nobody""",
    "concurrent creates make two open instances": """
        semantics/test_requests test_of_many_starts_of_one_id_at_once_one_wins""",
    "cancel of a finished instance leaves a row": """
        semantics/test_endings test_a_closed_workflow_refuses_cancel_and_terminate""",
    "no fencing, slow recovery": """
        semantics/test_takeover test_a_dead_owner_is_replaced_when_its_lease_ends
        faults/test_takeover test_a_zombie_that_believes_in_its_lease_is_refused_by_the_epoch""",
    "idle polling": """
        semantics/test_takeover test_an_idle_engine_writes_nothing_but_its_lease
        semantics/test_takeover test_an_idle_engine_reads_one_number_of_its_file
        actors/test_activities test_an_idle_node_asks_nothing""",
    "fan-out is quadratic": "semantics/test_activities test_a_fan_out_costs_one_turn_for_each_result",
    "options with nonsense values do nothing": """
        model/test_limits test_nonsense_is_refused
        semantics/test_requests test_nonsense_is_refused
        semantics/test_queues test_queues_that_make_no_sense_are_refused""",
    "failed runs shown as completed; odd ids break things": """
        semantics/test_statistics test_counts_by_status_and_workflow
        semantics/test_basics test_any_id_works""",
    "a test of non-determinism that never runs": """
        semantics/test_parking test_changed_code_parks_and_a_fixed_deployment_goes_on""",
}

IN_WORKFLOWS = """
    open_nursery CancelScope move_on_after move_on_at fail_after fail_at sleep sleep_until sleep_forever now Event Lock
    Semaphore CapacityLimiter Condition open_memory_channel checkpoint current_effective_deadline gather race wait_until
    signals signal cancel start_child side_effect uuid4 random continue_as_new patched info logger set_attributes query
    update span workflow activity activities PermanentError Cancelled"""
IN_ACTIVITIES = "activity_info heartbeat last_heartbeat activity_context"
CLIENT = """
    start run get list count signal_with_start remove_finished statistics queues nodes"""
HANDLE = "result describe signal query update cancel terminate history resume remove"
ERRORS = {
    wf.WfactorsError: """
        WorkflowMisuseError NonDeterminismError WorkflowStuckError HistoryTooLong UnknownWorkflow UnknownActivity
        PermanentError""",
    wf.CallError: "ActivityError ActivityTimeout ChildWorkflowError SideEffectError",
    wf.ResultError: "WorkflowFailed WorkflowCancelled WorkflowTerminated",
    wf.RequestError: """
        WorkflowAlreadyStarted WorkflowNotFound WorkflowClosed WorkflowStillOpen QueryError UpdateRejected""",
    wf.PayloadError: "ConversionError PayloadTooLarge CodecError",
    wf.StoreError: "StoreUnavailable StoreFull StoreVersionError StoreCorrupt LeaseLost",
}


@cache
def named_in(file: str) -> frozenset[str]:
    """The names of the test functions in a file below ``tests``."""
    tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


@pytest.mark.parametrize("row", [*CASES.items(), *BEHAVIOURS.items(), *FAULTS.items()], ids=lambda row: row[0])
def test_each_promise_has_its_tests(row: tuple[str, str]) -> None:
    """They exist, under these names."""
    words = row[1].split()
    named = list(zip(words[::2], words[1::2], strict=True))
    assert named
    assert [] == [f"{file} {name}" for file, name in named if name not in named_in(file)]


def test_every_name_that_is_promised_is_there() -> None:
    """In workflows, in activities, on clients and handles."""
    assert [] == [name for name in f"{IN_WORKFLOWS} {IN_ACTIVITIES}".split() if not hasattr(wf, name)]
    assert [] == [name for name in CLIENT.split() if not hasattr(wf.Client, name)]
    assert [] == [name for name in CLIENT.split() if not hasattr(wf.Engine, name)]
    assert [] == [name for name in HANDLE.split() if not hasattr(wf.Handle, name)]
    assert ["open", "completed", "failed", "cancelled", "terminated", "continued"] == [*wf.Status]


@pytest.mark.parametrize("base", ERRORS, ids=lambda base: base.__name__)
def test_errors_form_the_promised_tree(base: type[Exception]) -> None:
    """Each where the page has it, and all below one."""
    kinds = [getattr(wf, name) for name in ERRORS[base].split()]
    assert [] == [kind for kind in kinds if not issubclass(kind, base)]
    assert issubclass(base, wf.WfactorsError)


def test_trios_vocabulary_has_its_own_errors() -> None:
    """Cancelled cannot be caught by accident; the others can."""
    assert issubclass(wf.Cancelled, BaseException)
    assert not issubclass(wf.Cancelled, Exception)
    names = ("TooSlowError", "WouldBlock", "ClosedResourceError", "BrokenResourceError", "EndOfChannel")
    assert [] == [name for name in names if not issubclass(getattr(wf, name), Exception)]
