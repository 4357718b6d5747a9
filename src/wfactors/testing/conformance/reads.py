"""Looking at what there is: runs by id and key, lists, counts, histories, queues."""

# ruff: noqa: PLR2004, SIM300 - tests: numbers are the point, and what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from wfactors.model.events import Parent
from wfactors.model.records import InstanceFilter, QueueStatistics
from wfactors.model.status import Status
from wfactors.testing.conformance.builders import (
    MAIL,
    NOW,
    SHOP,
    SHOP_TOO,
    Owner,
    append,
    closed,
    header,
    key,
    payload,
    request,
    signal,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.model.records import HeaderRow
    from wfactors.stores.base import Store

__all__ = ["FindConformance", "HistoryConformance", "ListConformance", "QueueConformance"]

EVERYTHING = InstanceFilter()
PARENT = Parent(SHOP, "p1", 1, 0, "the parent")


def asked(value: object) -> str:
    """What a filter asks for, as the name of its test."""
    if isinstance(value, InstanceFilter):
        fields = attrs.asdict(value, recurse=False).items()
        return ", ".join(f"{name}={wish}" for name, wish in fields if wish is not None)
    return ""


class FindConformance(Suite):
    """One run, by id or by key."""

    async def test_nothing_there(self, opened: Store) -> None:
        """What is not there is None."""
        assert None is await opened.find("nothing")
        assert None is await opened.header("nothing")
        assert None is await opened.header("nothing", 1)

    async def test_open_run_comes_before_later_closed_ones(self, opened: Store) -> None:
        """The open run has the id, whatever closed ones were created after it."""
        owner = await Owner.take(opened)
        row = header("i1", id="same", created_at=NOW - 5)
        await owner.commit(headers=[row, closed(header("i2", id="same")), closed(header("i0", id="same"))])
        assert row == await opened.find("same")

    async def test_latest_closed_run(self, opened: Store) -> None:
        """Without an open run it is the latest: by time of creation, then by key, then by number."""
        owner = await Owner.take(opened)
        early = closed(header("i9", id="same", created_at=NOW - 1))
        first = closed(header("i1", id="same"), Status.CONTINUED)
        second = closed(header("i1", run=2, id="same"))
        await owner.commit(headers=[early, first, second])
        assert second == await opened.find("same")
        other = closed(header("i2", id="same"), Status.FAILED)
        await owner.commit(headers=[other])
        assert other == await opened.find("same")

    async def test_header_by_key(self, opened: Store) -> None:
        """A run is found by its number, and the one with the highest number without."""
        owner = await Owner.take(opened)
        rows = [closed(header("i1", run=run), Status.CONTINUED) for run in range(1, 12)]
        await owner.commit(headers=rows)
        assert rows[10] == await opened.header("i1")
        later_written = closed(header("i2"), Status.CONTINUED)
        await owner.commit(headers=[header("i2", run=2)])
        await owner.commit(headers=[later_written])
        assert header("i2", run=2) == await opened.header("i2")
        assert rows[1] == await opened.header("i1", 2)
        assert None is await opened.header("i1", 12)


class ListConformance(Suite):
    """Pages of runs, filters, counts."""

    @pytest.fixture
    async def rows(self, opened: Store) -> list[HeaderRow]:
        """Seven runs that differ in everything a filter can ask for, oldest first."""
        rows = [
            closed(header("i1", created_at=NOW - 60, root_id="root"), Status.FAILED, NOW - 50),
            closed(header("i2", created_at=NOW - 50, partition=MAIL), Status.COMPLETED, NOW - 10),
            closed(header("i3", created_at=NOW - 40), Status.CONTINUED, NOW - 30),
            header("i3", run=2, created_at=NOW - 30, parked="unknown workflow", attributes=payload('{"n":1}')),
            header("i4", created_at=NOW - 20, workflow="ship", parent=PARENT, root_id="root"),
            header(
                "i5", created_at=NOW - 20, attributes=payload('{"tier":"gold","n":1.0,"vip":true,"tags":["a","b"]}')
            ),
            header("i6", created_at=NOW - 10, id="special", attributes=payload('{"tier":null,"vip":1,"n":"1"}')),
        ]
        for partition in (SHOP, MAIL):
            owner = await Owner.take(opened, partition)
            await owner.commit(headers=[row for row in reversed(rows) if row.partition == partition])
        return rows

    async def test_newest_first(self, opened: Store, rows: list[HeaderRow]) -> None:
        """Runs are listed by time of creation, key and number, the newest first unless told otherwise."""
        assert rows[::-1] == await opened.headers(EVERYTHING, 100)
        assert rows == await opened.headers(EVERYTHING, 100, newest_first=False)

    @pytest.mark.parametrize("newest_first", [True, False])
    @pytest.mark.parametrize("size", [1, 2, 3, 7])
    async def test_pages(
        self,
        opened: Store,
        rows: list[HeaderRow],
        size: int,
        newest_first: bool,  # noqa: FBT001 - pytest's parameter
    ) -> None:
        """Pages of any size make up the whole list, none twice and none left out."""
        expected = rows[::-1] if newest_first else rows
        after: HeaderRow | None = None
        for start in range(0, len(rows), size):
            page = await opened.headers(EVERYTHING, size, after=after, newest_first=newest_first)
            assert expected[start : start + size] == page
            after = page[-1]
        assert [] == await opened.headers(EVERYTHING, size, after=after, newest_first=newest_first)

    async def test_going_on_behind_a_removed_row(self, opened: Store, rows: list[HeaderRow]) -> None:
        """A list goes on where it was when the row it stood at is gone."""
        assert await opened.remove("i2")
        assert [rows[0]] == await opened.headers(EVERYTHING, 100, after=rows[1])
        assert rows[2:] == await opened.headers(EVERYTHING, 100, after=rows[1], newest_first=False)

    @pytest.mark.parametrize(
        ("filter", "expected"),
        [
            (InstanceFilter(status=[Status.OPEN]), [3, 4, 5, 6]),
            (InstanceFilter(status=(Status.FAILED, Status.CONTINUED)), [0, 2]),
            (InstanceFilter(status=[]), []),
            (InstanceFilter(workflow="ship"), [4]),
            (InstanceFilter(queue="mail"), [1]),
            (InstanceFilter(id="order-i3"), [2, 3]),
            (InstanceFilter(id="special"), [6]),
            (InstanceFilter(id="i3"), []),
            (InstanceFilter(root_id="root"), [0, 4]),
            (InstanceFilter(parent="p1"), [4]),
            (InstanceFilter(parent="the parent"), []),
            (InstanceFilter(is_parked=True), [3]),
            (InstanceFilter(is_parked=False), [0, 1, 2, 4, 5, 6]),
            (InstanceFilter(started_after=NOW - 20), [4, 5, 6]),
            (InstanceFilter(started_after=NOW - 19.999), [6]),
            (InstanceFilter(started_before=NOW - 40), [0, 1]),
            (InstanceFilter(started_after=NOW - 50, started_before=NOW - 20), [1, 2, 3]),
            (InstanceFilter(started_after=NOW, started_before=NOW - 20), []),
            (InstanceFilter(closed_before=NOW - 10), [0, 2]),
            (InstanceFilter(closed_before=NOW - 9), [0, 1, 2]),
            (InstanceFilter(attributes={}), [0, 1, 2, 3, 4, 5, 6]),
            (InstanceFilter(attributes={"tier": "gold"}), [5]),
            (InstanceFilter(attributes={"n": 1}), [3, 5]),
            (InstanceFilter(attributes={"n": 1.0}), [3, 5]),
            (InstanceFilter(attributes={"n": "1"}), [6]),
            (InstanceFilter(attributes={"vip": True}), [5]),
            (InstanceFilter(attributes={"vip": 1}), [6]),
            (InstanceFilter(attributes={"tier": None}), [6]),
            (InstanceFilter(attributes={"missing": None}), []),
            (InstanceFilter(attributes={"tags": ["a", "b"]}), [5]),
            (InstanceFilter(attributes={"tags": ["a"]}), []),
            (InstanceFilter(attributes={"tier": "gold", "n": 1}), [5]),
            (InstanceFilter(attributes={"tier": "gold", "n": 2}), []),
            (InstanceFilter(status=[Status.OPEN], workflow="checkout", queue="shop", is_parked=False), [5, 6]),
            (InstanceFilter(status=[Status.OPEN], root_id="root", parent="p1", workflow="ship"), [4]),
        ],
        ids=asked,
    )
    async def test_filter(
        self,
        opened: Store,
        rows: list[HeaderRow],
        filter: InstanceFilter,
        expected: list[int],
    ) -> None:
        """A filter lets through the runs for which all it asks holds; the count is the list's, and so are pages."""
        matching = [rows[index] for index in expected]
        assert matching == await opened.headers(filter, 100, newest_first=False)
        assert len(matching) == await opened.count(filter)
        assert matching[::-1][1:3] == await opened.headers(filter, 2, after=matching[-1] if matching else rows[0])

    async def test_filter_follows_changes(self, opened: Store, rows: list[HeaderRow]) -> None:
        """A run that changed is found as what it is now, and no more as what it was."""
        owner = await Owner.take(opened)
        now = closed(rows[4], Status.TERMINATED)
        await owner.commit(headers=[now])
        assert [now] == await opened.headers(InstanceFilter(status=[Status.TERMINATED]), 10)
        assert 3 == await opened.count(InstanceFilter(status=[Status.OPEN]))
        assert 1 == await opened.count(InstanceFilter(workflow="ship"))

    async def test_few_open_among_many(self, opened: Store) -> None:
        """The few open ones among many that ended are listed in order, in pages."""
        owner = await Owner.take(opened)
        rows = [header(f"i{number:03}", created_at=NOW + number) for number in range(200)]
        await owner.commit(headers=[closed(row) if number % 50 else row for number, row in enumerate(rows)])
        still_open = InstanceFilter(status=[Status.OPEN])
        expected = rows[::50]
        assert expected[::-1] == await opened.headers(still_open, 10)
        assert expected[1:3] == await opened.headers(still_open, 2, after=expected[0], newest_first=False)
        assert 4 == await opened.count(still_open)

    async def test_limit_zero(self, opened: Store, rows: list[HeaderRow]) -> None:
        """A page of nothing is empty."""
        assert rows
        assert [] == await opened.headers(EVERYTHING, 0)


class HistoryConformance(Suite):
    """Histories, whole and in pages."""

    async def test_in_order(self, opened: Store) -> None:
        """The rows of a history come by their first event, exactly as they were added."""
        owner = await Owner.take(opened)
        rows = [append(first=0, count=2), append(first=2, count=10), append(first=12, count=1)]
        await owner.commit(appends=rows[:2])
        await owner.commit(appends=rows[2:])
        assert rows == await opened.history("i1", 1)

    @pytest.mark.parametrize(
        ("first", "limit", "expected"),
        [
            (0, None, [0, 1, 2]),
            (0, 2, [0, 1]),
            (1, None, [0, 1, 2]),
            (2, None, [1, 2]),
            (7, 1, [1]),
            (11, 5, [1, 2]),
            (12, None, [2]),
            (13, None, []),
            (100, 3, []),
            (0, 0, []),
        ],
    )
    async def test_from_the_row_that_holds_an_event(
        self, opened: Store, first: int, limit: int | None, expected: list[int]
    ) -> None:
        """A page begins with the row that holds the event asked for."""
        owner = await Owner.take(opened)
        rows = [append(first=0, count=2), append(first=2, count=10), append(first=12, count=1)]
        await owner.commit(appends=rows)
        assert [rows[index] for index in expected] == await opened.history("i1", 1, first, limit)

    async def test_runs_have_their_own(self, opened: Store) -> None:
        """Histories of other runs and instances do not mix in."""
        owner = await Owner.take(opened)
        await owner.commit(appends=[append("i1"), append("i1", run=2, count=2), append("i2", count=3)])
        assert [append("i1", run=2, count=2)] == await opened.history("i1", 2)
        assert [] == await opened.history("i1", 3)


class QueueConformance(Suite):
    """What queues hold."""

    async def test_nothing_there(self, opened: Store) -> None:
        """An empty store has no queues, nor has one where everything has ended."""
        assert [] == await opened.queues()
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1"))], tasks=[task()], messages=[signal("m1")])
        await owner.commit(tasks_removed=[key()], messages_removed=["m1"])
        assert [] == await opened.queues()

    async def test_counts(self, opened: Store) -> None:
        """Each queue has a row, by name, with what is open in all of its partitions."""
        owner = await Owner.take(opened)
        await opened.create([request(header("i0", partition="0:a queue"))])
        await owner.commit(
            headers=[header("i1"), header("i2", parked="unknown workflow"), closed(header("i3"))],
            tasks=[
                task("i1", 0, available_at=NOW + 7),
                task("i1", 1, available_at=NOW + 5, activity="ship"),
                task("i2", 0, node="node-1", available_at=NOW),
                task("i4", 0, partition=SHOP_TOO, available_at=NOW + 6),
            ],
            messages=[signal("m1"), signal("m2", "i4", SHOP_TOO), signal("m3", "i5", MAIL)],
        )
        expected = [
            QueueStatistics("a queue", 1, 0, 0, 0, 0),
            QueueStatistics("mail", 0, 0, 0, 0, 1),
            QueueStatistics("shop", 2, 1, 3, 1, 2, NOW + 5),
        ]
        assert expected == await opened.queues()

    async def test_counts_follow_changes(self, opened: Store) -> None:
        """Claimed, ended, resumed: the counts are those of now."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[header("i1", parked="?"), header("i2")], tasks=[task("i1"), task("i2")])
        await opened.claim("node-1", {"shop": ["charge"]}, NOW, 1)
        await owner.commit(headers=[header("i1"), closed(header("i2"))], messages=[signal("m1")])
        assert [QueueStatistics("shop", 1, 0, 1, 1, 1, NOW)] == await opened.queues()
