"""Creating instances: an id has one open run, from whichever side it is asked for."""

# ruff: noqa: PLR2004, SIM300 - tests: numbers are the point, and what is expected comes first

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from wfactors.model.records import CreateOutcome
from wfactors.model.status import OnConflict, Reuse, Status
from wfactors.testing.conformance.builders import (
    MAIL,
    NOW,
    SHOP,
    Owner,
    closed,
    header,
    request,
    signal,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.model.records import CreateRequest
    from wfactors.stores.base import Store

__all__ = ["CreateConformance"]

CLOSED = [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TERMINATED]


async def create(store: Store, *requests: CreateRequest) -> list[CreateOutcome]:
    """Create one after the other."""
    return [outcome for each in requests for outcome in await store.create([each])]


class CreateConformance(Suite):
    """Which requests insert a row, and what the others get."""

    async def test_creates(self, opened: Store) -> None:
        """A free id is taken: the row is there as it was given."""
        row = header("i1", wake_at=NOW, context={"tenant": "x"})
        assert [CreateOutcome(True, row)] == await opened.create([request(row)])
        assert row == await opened.find("order-i1")
        assert row == await opened.header("i1")

    @pytest.mark.parametrize("on_conflict", [OnConflict.FAIL, OnConflict.TERMINATE_EXISTING])
    async def test_open_id_is_refused(self, opened: Store, on_conflict: OnConflict) -> None:
        """An id that is open is refused, with the run that has it; nothing is written."""
        first = header("i1", id="same")
        await opened.create([request(first)])
        before = await opened.dump()
        second = request(header("i2", id="same", partition=MAIL), on_conflict=on_conflict, signal=signal("m1", "i2"))
        assert [CreateOutcome(False, first, is_refused=True)] == await opened.create([second])
        assert before == await opened.dump()

    @pytest.mark.parametrize("reuse", list(Reuse))
    async def test_use_existing(self, opened: Store, reuse: Reuse) -> None:
        """With USE_EXISTING the open run is the answer, and no refusal, whatever the policy for closed ones."""
        first = header("i1", id="same")
        await opened.create([request(first)])
        second = request(header("i2", id="same"), on_conflict=OnConflict.USE_EXISTING, reuse=reuse)
        assert [CreateOutcome(False, first)] == await opened.create([second])
        assert None is await opened.header("i2")

    async def test_parked_run_has_its_id(self, opened: Store) -> None:
        """A parked run is open: its id is taken."""
        owner = await Owner.take(opened)
        parked = header("i1", id="same", parked="unknown workflow")
        await owner.commit(headers=[parked])
        assert [CreateOutcome(False, parked, is_refused=True)] == await opened.create(
            [request(header("i2", id="same"))]
        )

    @pytest.mark.parametrize("status", CLOSED)
    @pytest.mark.parametrize("on_conflict", list(OnConflict))
    @pytest.mark.parametrize("reuse", list(Reuse))
    async def test_closed_id(self, opened: Store, status: Status, on_conflict: OnConflict, reuse: Reuse) -> None:
        """Whether an id that only closed runs had may be used is the reuse policy's to say, and nothing else's."""
        owner = await Owner.take(opened)
        old = closed(header("i1", id="same"), status)
        await owner.commit(headers=[old])
        new = header("i2", id="same", created_at=NOW + 5)
        outcomes = await opened.create([request(new, on_conflict=on_conflict, reuse=reuse)])
        is_allowed = reuse is Reuse.ALLOW or (reuse is Reuse.IF_FAILED and status is not Status.COMPLETED)
        expected = CreateOutcome(True, new) if is_allowed else CreateOutcome(False, old, is_refused=True)
        assert [expected] == outcomes
        assert (new if is_allowed else old) == await opened.find("same")

    async def test_latest_closed_run_decides(self, opened: Store) -> None:
        """Of several closed instances with the id, the latest one decides about its reuse."""
        owner = await Owner.take(opened)
        done = closed(header("i1", id="same"))
        failed = closed(header("i2", id="same", created_at=NOW + 5), Status.FAILED)
        await owner.commit(headers=[failed, done])
        new = header("i3", id="same", created_at=NOW + 6)
        assert [CreateOutcome(True, new)] == await opened.create([request(new, reuse=Reuse.IF_FAILED)])

    async def test_chain_of_runs_has_the_id_until_its_end(self, opened: Store) -> None:
        """A run that continued as new keeps the id taken by its successor."""
        owner = await Owner.take(opened)
        last = header("i1", run=2, id="same", created_at=NOW + 1)
        await owner.commit(headers=[closed(header("i1", id="same"), Status.CONTINUED), last])
        assert [CreateOutcome(False, last, is_refused=True)] == await opened.create([request(header("i2", id="same"))])

    async def test_same_key_again_is_created(self, opened: Store) -> None:
        """A request that is sent again after a lost acknowledgement was created, and nothing is written twice."""
        first = request(header("i1"), signal=signal("m1", "i1"))
        await opened.create([first])
        before = await opened.dump()
        assert [CreateOutcome(True, first.header)] == await opened.create([first])
        assert before == await opened.dump()

    async def test_same_key_again_after_it_went_on(self, opened: Store) -> None:
        """The retry finds its instance also when that has ended or continued since; its signal is not sent again."""
        owner = await Owner.take(opened)
        again = request(header("i1"), reuse=Reuse.REJECT, signal=signal("m1", "i1"))
        await opened.create([again])
        last = closed(header("i1", run=2, created_at=NOW + 1))
        await owner.commit(headers=[closed(header("i1"), Status.CONTINUED), last], messages_removed=["m1"])
        assert [CreateOutcome(True, last)] == await opened.create([again])
        assert [] == await opened.inbox(SHOP, 0, 10)

    async def test_requests_see_those_before_them(self, opened: Store) -> None:
        """In one call the first request for an id gets it, later ones meet it; others are not disturbed."""
        one = header("i1", id="same")
        requests = [
            request(one),
            request(header("i2", id="same")),
            request(header("i3", id="other", partition=MAIL)),
            request(header("i4", id="same"), on_conflict=OnConflict.USE_EXISTING),
            request(one),
        ]
        expected = [
            CreateOutcome(True, one),
            CreateOutcome(False, one, is_refused=True),
            CreateOutcome(True, header("i3", id="other", partition=MAIL)),
            CreateOutcome(False, one),
            CreateOutcome(True, one),
        ]
        assert expected == await opened.create(requests)
        assert ["i1", "i3"] == [row["instance"] for row in (await opened.dump())["headers"]]

    async def test_signal_with_start(self, opened: Store) -> None:
        """The signal of a request is in the inbox of the instance it created, addressed by the store."""
        await opened.create([request(header("i1", partition=MAIL), signal=signal("m1", "", ""))])
        assert [signal("m1", "i1", MAIL)] == [item.message for item in await opened.inbox(MAIL, 0, 10)]

    async def test_signal_goes_to_the_existing_one(self, opened: Store) -> None:
        """With USE_EXISTING the signal goes to the open run's instance, in its partition."""
        await opened.create([request(header("i1", id="same", partition=MAIL))])
        second = request(header("i2", id="same"), on_conflict=OnConflict.USE_EXISTING, signal=signal("m1", "i2"))
        await opened.create([second])
        await opened.create([second])
        assert [signal("m1", "i1", MAIL)] == [item.message for item in await opened.inbox(MAIL, 0, 10)]
        assert [] == await opened.inbox(SHOP, 0, 10)

    async def test_refused_request_sends_no_signal(self, opened: Store) -> None:
        """What is refused for a closed run of the id leaves no signal either."""
        owner = await Owner.take(opened)
        await owner.commit(headers=[closed(header("i1", id="same"))])
        await opened.create([request(header("i2", id="same"), reuse=Reuse.REJECT, signal=signal("m1", "i2"))])
        assert [] == (await opened.dump())["inbox"]

    async def test_one_of_fifty_is_created(self, opened: Store) -> None:
        """Of fifty requests for one id at the same time exactly one is created; all others are told which."""
        outcomes: list[CreateOutcome] = []

        async def ask(number: int) -> None:
            outcomes.extend(await opened.create([request(header(f"i{number}", id="same"))]))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
        [winner] = [outcome.header for outcome in outcomes if outcome.created]
        assert [CreateOutcome(False, winner, is_refused=True)] * 49 == [each for each in outcomes if not each.created]
        assert winner == await opened.find("same")
        assert 1 == len((await opened.dump())["headers"])

    async def test_fifty_retries_are_one_instance(self, opened: Store) -> None:
        """One request sent fifty times at once is one instance, created for everybody."""
        again = request(header("i1"), signal=signal("m1", "i1"))
        outcomes: list[CreateOutcome] = []

        async def ask() -> None:
            outcomes.extend(await opened.create([again]))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
        assert [CreateOutcome(True, header("i1"))] * 50 == outcomes
        assert ["m1"] == [item.message.id for item in await opened.inbox(SHOP, 0, 10)]

    async def test_many_ids_in_one_call(self, opened: Store) -> None:
        """A thousand requests in one call are all created, in order."""
        rows = [header(f"i{number:04}", partition=f"{number % 4}:shop") for number in range(1000)]
        assert [CreateOutcome(True, row) for row in rows] == await opened.create([request(row) for row in rows])
        assert 1000 == len((await opened.dump())["headers"])

    async def test_cancelled_create_is_whole_or_absent(self, opened: Store) -> None:
        """A create cancelled at any checkpoint wrote instance and signal, or neither; it can be asked again."""
        again = request(header("i1"), signal=signal("m1", "i1"))
        with trio.CancelScope() as scope:
            scope.cancel()
            await opened.create([again])
        dump = await opened.dump()
        assert len(dump["headers"]) == len(dump["inbox"])
        assert [CreateOutcome(True, header("i1"))] == await create(opened, again)
        dump = await opened.dump()
        assert (1, 1) == (len(dump["headers"]), len(dump["inbox"]))
