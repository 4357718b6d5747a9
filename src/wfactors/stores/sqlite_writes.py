"""Every write of the SQLite store, as it runs in the writer's thread inside a transaction that others may share.

An operation takes the arguments of *all* calls of its kind that wait at one moment and returns one outcome for each,
so a hundred messages cost as many statements as one. An exception among the outcomes belongs to that call alone, which
must have written nothing; an exception that is raised undoes the whole transaction, and each call is then tried alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import attrs

from wfactors.errors import LeaseLost, StoreCorrupt, WorkflowAlreadyStarted
from wfactors.model.messages import Message, Query
from wfactors.model.records import Batch, CreateOutcome, CreateRequest, HeaderRow
from wfactors.model.status import Reuse, Status
from wfactors.pace import paced_list
from wfactors.stores.rules import without_creation
from wfactors.stores.sql.rows import (
    append_values,
    header_of,
    header_values,
    reply_values,
    task_values,
)
from wfactors.stores.sql.tables import (
    EVENTS,
    HEADERS,
    INBOX,
    REPLIES,
    TASKS,
    Statement,
    delete_many,
    insert_many,
)
from wfactors.stores.sqlite_reads import latest_with_id
from wfactors.stores.sqlite_writes_base import divided, messages_statements, partitions_statements
from wfactors.stores.sqlite_writes_cluster import ClusterWrites
from wfactors.stores.sqlite_writes_tasks import TaskWrites

__all__ = ["CommitPlan", "Writes", "plan_commit"]

_REPLIES_PURGED_SECONDS = 60.0


@attrs.frozen
class CommitPlan:
    """A batch with its rows made ready on the loop's side, so that the thread does little but execute."""

    batch: Batch
    statements: Sequence[Statement]
    statements_last: Sequence[Statement]


async def plan_commit(batch: Batch) -> CommitPlan:
    """Make the statements of a batch, in the order in which its parts apply; cancelled, nothing was done."""
    return CommitPlan(batch, await paced_list(_statements(batch)), await paced_list(_statements_last(batch)))


def _statements(batch: Batch) -> Iterator[Statement]:
    yield from insert_many(HEADERS, batch.headers, header_values)
    yield from insert_many(EVENTS, batch.appends, append_values)
    yield from insert_many(TASKS, batch.tasks, task_values)
    keys = [(key.instance, key.run, key.call) for key in batch.tasks_removed]
    yield from delete_many(TASKS, TASKS.key, keys)


def _statements_last(batch: Batch) -> Iterator[Statement]:
    yield from messages_statements(batch.messages, batch.partition)
    yield from delete_many(INBOX, INBOX.key, [(batch.partition, id) for id in batch.messages_removed])
    yield from insert_many(REPLIES, batch.replies, reply_values)


class Writes(TaskWrites, ClusterWrites):
    """The operations on one writing connection."""

    def commit(self, plans: Sequence[CommitPlan]) -> list[list[str] | BaseException]:
        """Write batches; for each the topics of what became of the tasks that it cancelled."""
        return [self._commit(plan) for plan in plans]

    def _commit(self, plan: CommitPlan) -> list[str] | BaseException:
        batch = plan.batch
        fence = self._connection.execute(
            "UPDATE partitions SET sequence = ?1 WHERE partition = ?2 AND epoch = ?3 AND sequence = ?1 - 1"
            " AND node IS NOT NULL",
            (batch.sequence, batch.partition, batch.epoch),
        )
        if fence.rowcount != 1:
            return self._refused(batch)
        try:
            self._run(plan.statements)
        except sqlite3.IntegrityError as error:
            raise self._conflict(batch, error) from error
        topics = self.cancel_tasks(batch.tasks_cancelled)
        self._run(plan.statements_last)
        if batch.replies:
            self._purge_replies()
        return topics

    def _refused(self, batch: Batch) -> list[str] | BaseException:
        rows = self._all("SELECT node, epoch, sequence FROM partitions WHERE partition = ?", (batch.partition,))
        if not rows:
            return LeaseLost(f"partition {batch.partition!r} was never acquired")
        ((node, epoch, sequence),) = rows
        if node is not None and (epoch, sequence) == (batch.epoch, batch.sequence):
            # It had been written, and the answer was lost.
            return []
        owner = "nobody" if node is None else f"node {node!r}"
        return LeaseLost(
            f"partition {batch.partition!r} belongs to {owner} under epoch {epoch} at sequence {sequence}; "
            f"the batch has epoch {batch.epoch} and sequence {batch.sequence}"
        )

    def _conflict(self, batch: Batch, error: sqlite3.IntegrityError) -> BaseException:
        """What a batch met that is there already, or twice in itself, in our words."""
        if "events" in str(error):
            seen = set()
            for append in batch.appends:
                where = (append.instance, append.run, append.first)
                is_there = "SELECT 1 FROM events WHERE instance = ? AND run = ? AND first = ?"
                if where in seen or self._all(is_there, where):
                    return StoreCorrupt(
                        f"table events, row instance={where[0]!r}, run={where[1]}, first={where[2]}: is there already"
                    )
                seen.add(where)
        own = {(header.instance, header.run) for header in batch.headers}
        taken = set()
        for header in batch.headers:
            if header.status is Status.OPEN:
                open_runs = self._all(
                    "SELECT instance, run FROM headers WHERE id = ? AND status = 'open'", (header.id,)
                )
                if header.id in taken or not own.issuperset(open_runs):
                    return WorkflowAlreadyStarted(header.id)
                taken.add(header.id)
        return error

    def _purge_replies(self) -> None:
        now = self._clock()
        if abs(now - self._purged_at) >= _REPLIES_PURGED_SECONDS:
            self._purged_at = now
            self._all("DELETE FROM replies WHERE expires_at <= ?", (now,))

    # --- Clients ---

    def create(self, calls: Sequence[Sequence[CreateRequest]]) -> list[list[CreateOutcome]]:
        """Insert instances whose ids are free."""
        requests = list(chain.from_iterable(calls))
        by_key = self._latest_of_keys({request.header.instance for request in requests})
        ids = [(id,) for id in dict.fromkeys(request.header.id for request in requests)]
        rows = map(header_of, self._by_keys(HEADERS.select, HEADERS, ("id",), ids, " AND status = 'open'"))
        by_id = {header.id: header for header in rows}
        outcomes, inserted, signals = [], [], []
        for request in requests:
            header = request.header
            open_run = by_id.get(header.id)
            latest = None
            if open_run is None and request.reuse is not Reuse.ALLOW:
                latest = latest_with_id(self._connection, header.id)
            outcome = without_creation(request, by_key.get(header.instance), open_run, latest)
            is_retry = outcome is not None and outcome.created
            if outcome is None:
                outcome = CreateOutcome(created=True, header=header)
                by_key[header.instance] = by_id[header.id] = header
                inserted.append(header)
            outcomes.append(outcome)
            if request.signal is not None and not outcome.is_refused and not is_retry:
                target = outcome.header
                signals.append(attrs.evolve(request.signal, partition=target.partition, instance=target.instance))
        self._run(partitions_statements({header.partition for header in inserted}))
        self._run(insert_many(HEADERS, inserted, header_values))
        self._run(messages_statements(signals))
        return divided(outcomes, calls)

    def _latest_of_keys(self, instances: Iterable[str]) -> dict[str, HeaderRow]:
        keys = [(instance,) for instance in sorted(instances)]
        found = list(
            self._by_keys("SELECT instance, max(run) FROM headers", HEADERS, ("instance",), keys, " GROUP BY instance")
        )
        rows = map(header_of, self._by_keys(HEADERS.select, HEADERS, HEADERS.key, found))
        return {header.instance: header for header in rows}

    def send(self, calls: Sequence[Sequence[Message]]) -> list[list[str | None]]:
        """Put messages into inboxes of instances that take them."""
        messages = list(chain.from_iterable(calls))
        keys = [(instance,) for instance in dict.fromkeys(message.instance for message in messages)]
        # With max(), SQLite takes the other columns from the row that has it.
        select = "SELECT instance, partition, status, max(run) FROM headers"
        found = {row[0]: row for row in self._by_keys(select, HEADERS, ("instance",), keys, " GROUP BY instance")}
        outcomes: list[str | None] = []
        accepted: dict[tuple[str, str], Message] = {}
        for message in messages:
            _, partition, status, _ = found.get(message.instance, (None, None, None, None))
            key = (message.partition, message.id)
            if partition != message.partition:
                refusal = "not_found"
            elif status != Status.OPEN and not isinstance(message.body, Query):
                refusal = status
            else:
                refusal = None
            if refusal is None:
                accepted.setdefault(key, message)
            elif key in accepted or self._all("SELECT 1 FROM inbox WHERE partition = ? AND id = ?", key):
                refusal = None
            outcomes.append(refusal)
        self._run(messages_statements(accepted.values()))
        return divided(outcomes, calls)

    def take_reply(self, ids: Sequence[str]) -> list[bytes | None]:
        """Remove replies and return them."""
        now = self._clock()
        values = [(id,) for id in ids]
        found = dict(
            self._by_keys("SELECT id, data FROM replies", REPLIES, ("id",), values, f" AND expires_at > {now!r}")
        )
        if found:
            self._run(delete_many(REPLIES, REPLIES.key, values))
        # Of two who take one at once, the first has it.
        return [found.pop(id, None) for id in ids]
