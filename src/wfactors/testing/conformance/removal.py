"""Removal: nothing that belongs to an instance stays behind, nothing else goes."""

# ruff: noqa: PLR2004, SIM300 - tests: numbers are the point, and what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wfactors.errors import WorkflowStillOpen
from wfactors.model.records import InstanceFilter, Reply
from wfactors.model.status import Status
from wfactors.testing.conformance.builders import (
    NOW,
    SHOP,
    Owner,
    append,
    closed,
    header,
    query,
    request,
    signal,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.stores.base import Store

__all__ = ["RemovalConformance"]


def everywhere(*names: str) -> dict[str, set[object]]:
    """What ``instances`` tells when every table speaks of these."""
    return {table: set(names) for table in ("headers", "events", "tasks", "inbox", "replies")}


async def instances(store: Store) -> dict[str, set[object]]:
    """Which instances each table still speaks of."""
    dump = await store.dump()
    return {
        "headers": {row["instance"] for row in dump["headers"]},
        "events": {row["instance"] for row in dump["events"]},
        "tasks": {dict(row["key"])["instance"] for row in dump["tasks"]},  # type: ignore[call-overload]
        "inbox": {row["instance"] for row in dump["inbox"]},
        "replies": {row["instance"] for row in dump["replies"]},
    }


async def fill(owner: Owner, *names: str, at: float = NOW + 1, status: Status = Status.COMPLETED) -> None:
    """Closed instances that continued as new once, with something of theirs in every table."""
    for name in names:
        await owner.commit(
            headers=[
                closed(header(name), Status.CONTINUED, at=at - 0.5),
                closed(header(name, run=2, created_at=NOW + 0.5), status, at=at),
            ],
            appends=[append(name), append(name, first=1), append(name, run=2)],
            tasks=[task(name), task(name, run=2, node="node-1"), task(name, 1, run=2)],
            messages=[signal(f"m-{name}", name), query(f"q-{name}", name)],
            replies=[Reply(f"r1-{name}", name, b"1", NOW + 1e6), Reply(f"r2-{name}", name, b"2", NOW + 1e6)],
        )


class RemovalConformance(Suite):
    """One instance, or those that ended long ago."""

    async def test_everything_of_it_is_gone(self, opened: Store) -> None:
        """Removing an instance leaves nothing of it in any table; neighbours keep all of theirs."""
        owner = await Owner.take(opened)
        await fill(owner, "i1", "i2", "i10")
        assert await opened.remove("i1") is True
        assert everywhere("i2", "i10") == await instances(opened)
        assert None is await opened.header("i1")
        assert None is await opened.header("i1", 1)
        assert None is await opened.find("order-i1")
        assert [] == await opened.history("i1", 1)
        assert [] == await opened.tasks("i1", 2)
        assert {"i2", "i10"} == {row.key.instance for row in await opened.held_tasks(SHOP)}
        assert 4 == await opened.count(InstanceFilter())
        claimed = await opened.claim("node-1", {"shop": ["charge"]}, NOW, 100)
        assert {"i2", "i10"} == {row.key.instance for row in claimed}

    async def test_unknown_instance(self, opened: Store) -> None:
        """What is not there cannot be removed, nor what was removed already."""
        owner = await Owner.take(opened)
        await fill(owner, "i1")
        assert await opened.remove("i9") is False
        assert await opened.remove("i1") is True
        assert await opened.remove("i1") is False

    @pytest.mark.parametrize("parked", [None, "unknown workflow"])
    async def test_open_instance_is_refused(self, opened: Store, parked: str | None) -> None:
        """An instance whose last run is open stays as it is, parked or not; the error names its id."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1"), Status.CONTINUED), header("i1", run=2, parked=parked)])
        before = await opened.dump()
        with pytest.raises(WorkflowStillOpen) as caught:
            await opened.remove("i1")
        assert "order-i1" == caught.value.id
        assert before == await opened.dump()

    async def test_id_and_key_are_free_again(self, opened: Store) -> None:
        """After a removal the id is as if it never was, even for a request that rejects reuse."""
        owner = await Owner.take(opened)
        await fill(owner, "i1")
        await opened.remove("i1")
        [outcome] = await opened.create([request(header("i1"))])
        assert outcome.created
        assert header("i1") == await opened.find("order-i1")
        assert [header("i1")] == await opened.headers(InstanceFilter(), 10)
        assert [] == await opened.history("i1", 1)

    async def test_other_instance_of_the_same_id_stays(self, opened: Store) -> None:
        """Of two instances that had one id in turn, only the one named goes."""
        owner = await Owner.take(opened)
        first = closed(header("i1", id="same"))
        second = header("i2", id="same", created_at=NOW + 2)
        await owner.commit(headers=[first])
        await owner.commit(headers=[second])
        assert await opened.remove("i1")
        assert second == await opened.find("same")

    async def test_finished_ones_go_earliest_first(self, opened: Store) -> None:
        """Instances that ended before a time go in small batches, the earliest first, until none is left."""
        owner = await Owner.take(opened)
        for number, name in enumerate(["i3", "i1", "i4", "i2"]):
            await fill(owner, name, at=NOW + number, status=list(Status)[1 + number])
        assert 2 == await opened.remove_finished(NOW + 3, 2)
        assert everywhere("i4", "i2") == await instances(opened)
        assert 1 == await opened.remove_finished(NOW + 3, 2)
        assert 0 == await opened.remove_finished(NOW + 3, 2)
        assert everywhere("i2") == await instances(opened)
        assert 1 == await opened.remove_finished(NOW + 3.001, 2)
        assert everywhere() == await instances(opened)

    async def test_open_instances_are_never_finished(self, opened: Store) -> None:
        """An instance whose last run is open stays with all of its runs, however old they are."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1"), Status.CONTINUED), header("i1", run=2), header("i2")])
        before = await opened.dump()
        assert 0 == await opened.remove_finished(NOW + 1000, 10)
        assert before == await opened.dump()

    async def test_limit_counts_instances(self, opened: Store) -> None:
        """The limit is on instances, not on their runs."""
        owner = await Owner.take(opened)
        await fill(owner, "i1", "i2")
        assert 1 == await opened.remove_finished(NOW + 1000, 1)
        assert 0 == await opened.remove_finished(NOW + 1000, 0)
        assert 2 == await opened.count(InstanceFilter())

    async def test_continued_runs_only(self, opened: Store) -> None:
        """Runs that continued as new go with history and tasks; the rest of their instances stays, open or closed."""
        owner = await Owner.take(opened)
        await fill(owner, "i1")
        await owner.commit(
            headers=[closed(header("i2"), Status.CONTINUED, at=NOW + 2), header("i2", run=2, start=None)],
            appends=[append("i2"), append("i2", run=2)],
            tasks=[task("i2"), task("i2", run=2)],
            messages=[signal("m-i2", "i2")],
            replies=[Reply("r-i2", "i2", b"2", NOW + 1e6)],
        )
        assert 1 == await opened.remove_finished(NOW + 2, 10, continued_runs_only=True)
        assert [("i1", 2), ("i2", 1), ("i2", 2)] == sorted(
            (row.instance, row.run) for row in await opened.headers(InstanceFilter(), 10)
        )
        assert 1 == await opened.remove_finished(NOW + 2.001, 10, continued_runs_only=True)
        assert 0 == await opened.remove_finished(NOW + 2.001, 10, continued_runs_only=True)
        assert everywhere("i1", "i2") == await instances(opened)
        assert [] == await opened.history("i1", 1)
        assert [] == await opened.tasks("i2", 1)
        assert [append("i2", run=2)] == await opened.history("i2", 2)
        assert header("i2", run=2, start=None) == await opened.find("order-i2")

    async def test_a_run_stays_while_the_next_has_not_started(self, opened: Store) -> None:
        """Its history holds the signals handed on; it is passed over, and goes once the next run has started."""
        owner = await Owner.take(opened)
        runs = [closed(header("i1", run=run, start=None), Status.CONTINUED, at=NOW + run) for run in (1, 2)]
        await owner.commit(headers=[*runs, header("i1", run=3)], appends=[append("i1", run=2)])
        await fill(owner, "i2", at=NOW + 10)
        assert 2 == await opened.remove_finished(NOW + 100, 2, continued_runs_only=True)
        assert [append("i1", run=2)] == await opened.history("i1", 2)
        assert 0 == await opened.remove_finished(NOW + 100, 2, continued_runs_only=True)
        await owner.commit(headers=[header("i1", run=3, start=None)])
        assert 1 == await opened.remove_finished(NOW + 100, 2, continued_runs_only=True)
        assert [] == await opened.history("i1", 2)

    async def test_limit_counts_continued_runs(self, opened: Store) -> None:
        """With continued runs the limit is on runs, the earliest first."""
        owner = await Owner.take(opened)
        runs = [closed(header("i1", run=run), Status.CONTINUED, at=NOW + run) for run in range(1, 5)]
        await owner.commit(headers=[*runs, header("i1", run=5, start=None)])
        assert 3 == await opened.remove_finished(NOW + 100, 3, continued_runs_only=True)
        assert [4, 5] == [row.run for row in await opened.headers(InstanceFilter(), 10, newest_first=False)]

    async def test_rest_of_a_thinned_instance_is_removed(self, opened: Store) -> None:
        """An instance that lost its continued runs earlier is removed like any other."""
        owner = await Owner.take(opened)
        await fill(owner, "i1")
        await opened.remove_finished(NOW + 100, 10, continued_runs_only=True)
        assert 1 == await opened.remove_finished(NOW + 100, 10)
        assert everywhere() == await instances(opened)

    async def test_commit_goes_on_after_a_removal(self, opened: Store) -> None:
        """Removal is no business of the partition's sequence: its owner commits on."""
        owner = await Owner.take(opened)
        await fill(owner, "i1")
        await opened.remove("i1")
        await owner.commit(headers=[header("i2")])
        assert header("i2") == await opened.header("i2")
