"""Nodes and the partitions they own; what is removed for good."""

# ruff: noqa: S608 - only names of our own tables and columns are put into a statement; values are bound.

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs

from wfactors.errors import LeaseLost, WorkflowStillOpen
from wfactors.model.records import Lease, NodeRow
from wfactors.model.status import Status
from wfactors.stores.sql.rows import node_values, partition_of_row
from wfactors.stores.sql.tables import (
    EVENTS,
    HEADERS,
    INBOX,
    NODES,
    PARTITIONS,
    REPLIES,
    TASKS,
    delete_many,
    insert_many,
)
from wfactors.stores.sqlite_reads import may_acquire
from wfactors.stores.sqlite_writes_base import WritesBase, partitions_statements

__all__ = ["ClusterWrites"]

logger = logging.getLogger("wfactors.stores.sqlite")


class ClusterWrites(WritesBase):
    """The operations on nodes and partitions, and removal."""

    # --- Cluster ---

    def join(self, calls: Sequence[tuple[NodeRow, float]]) -> list[NodeRow]:
        """Insert or replace nodes."""
        now = self._clock()
        rows = [attrs.evolve(node, lease_until=now + seconds, is_alive=seconds > 0) for node, seconds in calls]
        for row in rows:
            self._run(insert_many(NODES, [row], node_values))
        return rows

    def renew(self, calls: Sequence[tuple[str, float]]) -> list[float | BaseException]:
        """Extend leases that are not over."""
        now = self._clock()
        outcomes: list[float | BaseException] = []
        for node, seconds in calls:
            text = "UPDATE nodes SET lease_until = ? WHERE node = ? AND lease_until > ?"
            is_extended = self._connection.execute(text, (now + seconds, node, now)).rowcount == 1
            outcomes.append(now + seconds if is_extended else LeaseLost(f"node {node!r} is gone or its lease is over"))
        return outcomes

    def leave(self, nodes: Sequence[str]) -> list[None]:
        """Remove nodes and release their partitions."""
        for node in nodes:
            self._all("UPDATE partitions SET node = NULL WHERE node = ?", (node,))
            self._all("DELETE FROM nodes WHERE node = ?", (node,))
        return [None] * len(nodes)

    def bury(self, nodes: Sequence[str]) -> list[bool]:
        """Remove those nodes that are dead; for each whether it was."""
        dead = [not self.is_alive(node) for node in nodes]
        self.leave([node for node, is_dead in zip(nodes, dead, strict=True) if is_dead])
        return dead

    def acquire(self, calls: Sequence[tuple[str, str]]) -> list[Lease | None]:
        """Take partitions that nobody alive owns."""
        return [self._acquire(partition, node) for partition, node in calls]

    def _acquire(self, partition: str, node: str) -> Lease | None:
        if not may_acquire(self._connection, partition, node, self._judge):
            return None
        self._run(partitions_statements([partition]))
        (row,) = self._all(f"{PARTITIONS.select} WHERE partition = ?", (partition,))
        _, _, epoch, sequence = attrs.astuple(partition_of_row(row))
        text = "UPDATE partitions SET node = ?, epoch = ? WHERE partition = ?"
        self._all(text, (node, epoch + 1, partition))
        return Lease(partition, epoch + 1, sequence)

    def release(self, calls: Sequence[tuple[str, str, int]]) -> list[None]:
        """Give partitions back."""
        for values in calls:
            self._all("UPDATE partitions SET node = NULL WHERE partition = ? AND node = ? AND epoch = ?", values)
        return [None] * len(calls)

    # --- Removal ---

    def remove(self, instances: Sequence[str]) -> list[bool | BaseException]:
        """Remove closed instances."""
        return [self._remove(instance) for instance in instances]

    def _remove(self, instance: str) -> bool | BaseException:
        rows = self._all("SELECT id, status FROM headers WHERE instance = ? ORDER BY run DESC LIMIT 1", (instance,))
        if not rows:
            return False
        ((id, status),) = rows
        if status == Status.OPEN:
            return WorkflowStillOpen(id)
        self._remove_instances([(instance,)])
        return True

    def _remove_instances(self, keys: Sequence[tuple[str]]) -> None:
        for table in (HEADERS, EVENTS, TASKS, INBOX, REPLIES):
            self._run(delete_many(table, ("instance",), keys))

    def remove_finished(self, calls: Sequence[tuple[float, int, bool]]) -> list[int]:
        """Remove what was closed long ago."""
        return [self._remove_finished(*call) for call in calls]

    def _remove_finished(self, before: float, limit: int, continued_runs_only: bool) -> int:  # noqa: FBT001 - values of a call
        # Each run but the last of an instance has continued as new, so the others that are closed are last ones.
        condition = "status NOT IN ('open', 'continued')"
        if continued_runs_only:
            condition = (
                "status = 'continued' AND NOT EXISTS (SELECT 1 FROM headers AS following"
                " WHERE following.instance = headers.instance AND following.run = headers.run + 1"
                " AND following.start IS NOT NULL)"
            )
        found = self._all(
            f"SELECT instance, run FROM headers WHERE closed_at < ? AND {condition}"
            " ORDER BY closed_at, instance, run LIMIT ?",
            (before, limit),
        )
        if continued_runs_only:
            for table in (HEADERS, EVENTS, TASKS):
                self._run(delete_many(table, HEADERS.key, found))
        else:
            self._remove_instances([(instance,) for instance, _ in found])
        return len(found)
