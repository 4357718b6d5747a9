"""What becomes of activity tasks: claimed, reported, kept alive, withdrawn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import attrs

from wfactors.errors import LeaseLost, StoreCorrupt
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import NULL, Payload
from wfactors.model.records import TaskKey, TaskRow
from wfactors.model.wire import encode_value
from wfactors.stores.base import HeartbeatAnswer, TaskReport
from wfactors.stores.changes import inbox_topic, tasks_topic
from wfactors.stores.rules import cancelled_outcome
from wfactors.stores.sql.rows import task_of
from wfactors.stores.sql.tables import TASKS, delete_many
from wfactors.stores.sqlite_reads import due_tasks
from wfactors.stores.sqlite_writes_base import WritesBase, divided, messages_statements

__all__ = ["Beat", "Claim", "TaskWrites"]

Beat = tuple[str, Sequence[tuple[TaskKey, int, Payload | None]]]

_NO_OPTIONS = ActivityOptions()

logger = logging.getLogger("wfactors.stores.sqlite")


@attrs.frozen
class Claim:
    """What ``claim`` was asked."""

    node: str
    activities: Mapping[str, Sequence[str]]
    now: float
    limit: int


class TaskWrites(WritesBase):
    """The operations on tasks."""

    def claim(self, claims: Sequence[Claim]) -> list[list[TaskRow] | BaseException]:
        """Hand out free tasks to nodes that are alive."""
        return [
            self._claim(claim)
            if self.is_alive(claim.node)
            else LeaseLost(f"node {claim.node!r} is gone or its lease is over")
            for claim in claims
        ]

    def _claim(self, claim: Claim) -> list[TaskRow]:
        limit = claim.limit + len(self._tasks_unreadable)
        due = [
            row for row in due_tasks(self._connection, claim.activities, claim.now, limit)
            if row not in self._tasks_unreadable
        ][: claim.limit]  # fmt: skip
        if not due:
            return []
        found = {}
        for values in self._by_keys(
            TASKS.select.replace("SELECT ", "SELECT rowid, ", 1), TASKS, ("rowid",), [(r,) for r in due]
        ):
            try:
                found[values[0]] = attrs.evolve(task_of(values[1:]), node=claim.node)
            except StoreCorrupt as error:
                # It stays where it is, out of the way of the others.
                self._tasks_unreadable.add(values[0])
                logger.error("a task cannot be handed out: %s", error)  # noqa: TRY400 - the message says it all
        self._set(TASKS, "node = ?", [claim.node], ("rowid",), [(row,) for row in found])
        return [found[row] for row in due if row in found]

    def report(self, calls: Sequence[Sequence[TaskReport]]) -> list[list[str | None]]:
        """Record how attempts ended; for each the topic of what that changed, None if it was no longer held."""
        reports = list(chain.from_iterable(calls))
        tasks = self._holdings(report.key for report in reports)
        outcomes: list[str | None] = []
        messages = []
        gone = []
        for report in reports:
            task = tasks.get(report.key)
            if task is None or (task.node, task.attempt) != (report.node, report.attempt):
                outcomes.append(None)
                continue
            # Whatever comes next in this call finds it no longer held.
            del tasks[report.key]
            is_retried = report.retry_at is not None and not task.is_cancel_requested
            outcomes.append(tasks_topic(task.queue) if is_retried else inbox_topic(task.partition))
            if is_retried:
                self._try_again(report)
                continue
            gone.append((task.key.instance, task.key.run, task.key.call))
            if report.retry_at is not None:
                messages.append(cancelled_outcome(task))
            elif report.outcome is not None:
                messages.append(report.outcome)
        self._run(delete_many(TASKS, TASKS.key, gone))
        self._run(messages_statements(messages))
        return divided(outcomes, calls)

    def _try_again(self, report: TaskReport) -> None:
        key = report.key
        self._connection.execute(
            "UPDATE tasks SET node = NULL, attempt = attempt + 1, available_at = ?, failure = ?,"
            " details = coalesce(?, details) WHERE instance = ? AND run = ? AND call = ?",
            (
                report.retry_at,
                None if report.failure is None else encode_value(report.failure),
                None if report.details is None else bytes(report.details),
                key.instance,
                key.run,
                key.call,
            ),
        )

    def heartbeat(self, calls: Sequence[Beat]) -> list[list[HeartbeatAnswer]]:
        """Keep details of running attempts."""
        keys = [(key.instance, key.run, key.call) for _, beats in calls for key, _, _ in beats]
        select = "SELECT instance, run, call, node, attempt, is_cancel_requested FROM tasks"
        found = {row[:3]: row[3:] for row in self._by_keys(select, TASKS, TASKS.key, list(dict.fromkeys(keys)))}
        answers = []
        for node, beats in calls:
            for key, attempt, details in beats:
                where = (key.instance, key.run, key.call)
                *holder, is_cancel_requested = found.get(where, (None, 0, False))
                is_held = holder == [node, attempt]
                answers.append(HeartbeatAnswer(is_held, is_held and bool(is_cancel_requested)))
                if is_held and details is not None:
                    text = "UPDATE tasks SET details = ? WHERE instance = ? AND run = ? AND call = ?"
                    self._all(text, (bytes(details), *where))
        return divided(answers, [beats for _, beats in calls])

    def cancel_tasks(self, keys: Sequence[TaskKey]) -> list[str]:
        """Withdraw tasks as ``Batch.tasks_cancelled`` says; returns the topics of what that changed."""
        if not keys:
            return []
        found = self._holdings(keys)
        tasks = [found[key] for key in dict.fromkeys(keys) if key in found]
        held = [task for task in tasks if task.node is not None]
        free = [task for task in tasks if task.node is None]
        self._set(TASKS, "is_cancel_requested = 1", [], TASKS.key, _keys_of(held))
        self._run(delete_many(TASKS, TASKS.key, _keys_of(free)))
        self._run(messages_statements(map(cancelled_outcome, free)))
        topics = [*(tasks_topic(task.queue) for task in held), *(inbox_topic(task.partition) for task in free)]
        return list(dict.fromkeys(topics))

    def _holdings(self, keys: Iterable[TaskKey]) -> dict[TaskKey, TaskRow]:
        """Who holds these tasks and where their outcome goes, the rest left empty.

        Not the whole rows: one that cannot be read must not stop a batch that only withdraws it.
        """
        select = "SELECT instance, run, call, partition, queue, node, attempt, is_cancel_requested FROM tasks"
        values = [(key.instance, key.run, key.call) for key in dict.fromkeys(keys)]
        tasks = {}
        for instance, run, call, partition, queue, node, attempt, is_cancel_requested in self._by_keys(
            select, TASKS, TASKS.key, values
        ):
            key = TaskKey(instance, run, call)
            tasks[key] = TaskRow(
                key,
                partition,
                queue,
                activity="",
                input=NULL,
                options=_NO_OPTIONS,
                id="",
                workflow="",
                scheduled_at=0.0,
                attempt=attempt,
                node=node,
                is_cancel_requested=bool(is_cancel_requested),
            )
        return tasks


def _keys_of(tasks: Iterable[TaskRow]) -> list[tuple[str, int, int]]:
    return [(task.key.instance, task.key.run, task.key.call) for task in tasks]
