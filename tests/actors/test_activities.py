"""The node's activities: who gets a place, what is claimed, where outcomes go, what is left behind."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from tests.actors.activity_kit import EPOCH, PARTITION, HeldClock, Kit, make_task, running, value_of
from wfactors.activity import heartbeat
from wfactors.errors import StoreCorrupt, StoreUnavailable
from wfactors.model.limits import Limits
from wfactors.model.options import Retry
from wfactors.model.records import TaskKey
from wfactors.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wfactors.model.records import TaskRow


async def echo(x: int) -> int:
    return x


async def work(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


def block() -> None:
    pass


class Flaky:
    """Makes an activity that fails some times, and remembers when it was tried."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.times: list[float] = []

    def activity(self) -> Any:
        async def flaky() -> int:
            self.times.append(trio.current_time())
            if len(self.times) <= self.failures:
                raise OSError("not yet")
            return len(self.times)

        return flaky


class RoughStore(MemoryStore):
    """A store that fails as it is told: before an operation, or after it, when its answer is lost."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.broken: dict[str, list[Exception]] = {}
        self.lost: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    async def _operation(self, name: str, *args: Any) -> Any:
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.broken.get(name):
            await trio.lowlevel.checkpoint()
            raise self.broken[name].pop(0)
        answer = await getattr(super(), name)(*args)
        if self.lost.get(name, 0) > 0:
            self.lost[name] -= 1
            raise StoreUnavailable("the answer was lost")
        return answer

    async def claim(self, *args: Any) -> Any:
        return await self._operation("claim", *args)

    async def report(self, *args: Any) -> Any:
        return await self._operation("report", *args)

    async def heartbeat(self, *args: Any) -> Any:
        return await self._operation("heartbeat", *args)

    async def next_task_at(self, *args: Any) -> Any:
        return await self._operation("next_task_at", *args)


def rough() -> RoughStore:
    return RoughStore(lambda: EPOCH + trio.current_time())


# --- Tasks that a partition of this node assigns ---------------------------------------------------------------------


async def test_an_assigned_task_runs_and_its_owner_hears_of_it(autojump_clock: Any) -> None:
    """No store is asked between the commit and the outcome."""
    async with running(echo) as kit:
        await kit.assign(*(make_task(echo, call, call=call) for call in range(100)))
        assert sorted(value_of(outcome.result) for outcome in await kit.outcomes(100)) == list(range(100))
        assert sorted(key.call for key, _ in kit.owner.received) == list(range(100))
        assert await kit.store.inbox(PARTITION, 0, 10) == []


async def test_places_are_counted_from_the_reservation(autojump_clock: Any) -> None:
    """A partition never assigns more than there is room for."""
    async with running(work, limits=Limits(activities=2)) as kit:
        tasks = [make_task(work, 5, call=call) for call in range(3)]
        await kit.assign(*tasks[:2])
        assert kit.activities.free_slots == 0
        assert not kit.activities.reserve(tasks[2].key, PARTITION, "default", "work")
        await kit.outcomes(2)
        assert kit.activities.reserve(tasks[2].key, PARTITION, "default", "work")
        kit.activities.unreserve([tasks[2].key])
        kit.activities.unreserve([tasks[2].key])
        assert kit.activities.free_slots == 2


async def test_nothing_is_reserved_that_is_not_run_here(autojump_clock: Any) -> None:
    """Other queues and unknown activities are for other nodes."""
    async with running(echo) as kit:
        key = TaskKey("instance", 1, 0)
        assert kit.activities.serves("default", "echo")
        for queue, activity in (("other", "echo"), ("default", "unknown")):
            assert not kit.activities.serves(queue, activity)
            assert not kit.activities.reserve(key, PARTITION, queue, activity)


async def test_an_outcome_is_kept_until_it_is_settled(autojump_clock: Any) -> None:
    """The owner says when its batch is durable."""
    async with running(echo) as kit:
        await kit.assign(task := make_task(echo, 1))
        await kit.outcome()
        assert kit.activities.statistics().unsettled == 1
        kit.activities.settle([task.key])
        kit.activities.settle([task.key])
        assert kit.activities.statistics().unsettled == 0


async def test_outcomes_of_a_lost_partition_go_through_the_store(autojump_clock: Any) -> None:
    """What the owner had not committed, the next owner finds in its inbox."""
    async with running(echo) as kit:
        await kit.assign(make_task(echo, 7))
        await kit.outcome()
        kit.owner = None
        kit.activities.disown(PARTITION)
        assert value_of((await kit.outcome()).result) == 7
        assert await kit.store.held_tasks(PARTITION) == []


async def test_an_attempt_outlives_its_owner(autojump_clock: Any) -> None:
    """Its outcome goes through the store, and a wish to stop reaches it from there."""
    async with running(work) as kit:
        await kit.assign(make_task(work, 5), make_task(work, 100, call=1))
        kit.owner = None
        kit.activities.disown(PARTITION)
        await kit.commit(tasks_cancelled=[TaskKey("instance", 1, 1)])
        outcomes = await kit.outcomes(2)
        assert {(outcome.call, outcome.is_cancelled) for outcome in outcomes} == {(0, False), (1, True)}


async def test_reservations_of_a_lost_partition_are_free_again(autojump_clock: Any) -> None:
    """Its batch never comes."""
    async with running(echo) as kit:
        task = make_task(echo, 7)
        assert kit.activities.reserve(task.key, PARTITION, "default", "echo")
        kit.owner = None
        kit.activities.disown(PARTITION)
        assert kit.activities.statistics().reserved == 0


async def test_a_task_assigned_by_a_commit_without_answer_runs(autojump_clock: Any) -> None:
    """It is held by this node, so nobody else will ever run it: taking stock finds it."""
    async with running(echo) as kit:
        await kit.commit(attrs.evolve(make_task(echo, 7), node="here"))
        kit.owner = None
        kit.activities.disown(PARTITION)
        assert value_of((await kit.outcome()).result) == 7


async def test_a_new_owner_takes_stock(autojump_clock: Any) -> None:
    """It gets outcomes that its predecessor did not commit, and the rows that other nodes hold."""
    async with running(echo, work) as kit:
        await kit.assign(make_task(echo, 7), make_task(work, 5, call=1))
        await kit.outcome()
        await kit.commit(attrs.evolve(make_task(echo, 8, call=2), node="there"))
        await kit.commit(attrs.evolve(make_task(echo, 9, call=3), node="here"))
        first, kit.owner = kit.owner, type(kit.owner)()
        others = await kit.activities.take_stock(PARTITION)
        assert [task.key.call for task in others] == [2]
        assert [outcome.call for outcome in await kit.outcomes(3)] == [0, 3, 1]
        assert [key.call for key, _ in first.received] == [0]
        assert await kit.activities.take_stock(PARTITION) == others
        await trio.sleep(1)
        assert len(kit.owner.received) == 3


async def test_taking_stock_passes_on_wishes_to_stop(autojump_clock: Any) -> None:
    """A wish that the last owner committed and did not live to tell."""
    async with running(work) as kit:
        await kit.assign(make_task(work, 100))
        await kit.commit(tasks_cancelled=[TaskKey("instance", 1, 0)])
        await kit.activities.take_stock(PARTITION)
        assert (await kit.outcome()).is_cancelled


# --- Claims ----------------------------------------------------------------------------------------------------------


async def test_free_tasks_are_claimed(autojump_clock: Any) -> None:
    """Those that lie there at the start, and those that come later."""
    async with running(echo, is_owner=False) as kit:
        await kit.commit(*(make_task(echo, call, call=call) for call in range(20)))
        assert len(await kit.outcomes(20)) == 20
        await kit.commit(make_task(echo, 20, call=20))
        assert len(await kit.outcomes(21)) == 21
        assert await kit.store.held_tasks(PARTITION) == []


async def test_an_outcome_message_is_named_by_its_call(autojump_clock: Any) -> None:
    """Sent twice, it is there once."""
    async with running(echo, is_owner=False) as kit:
        await kit.commit(make_task(echo, 5, call=4))
        await kit.outcome()
        [item] = await kit.store.inbox(PARTITION, 0, 10)
        assert (item.message.id, item.message.partition, item.message.instance) == (
            "instance/1/4/outcome",
            PARTITION,
            "instance",
        )


async def test_what_is_not_registered_here_is_left_to_others(autojump_clock: Any) -> None:
    """Neither other activities nor other queues are touched."""
    async with running(echo, is_owner=False) as kit:
        await kit.commit(make_task("unknown"), make_task(echo, 1, call=1, queue="other"), make_task(echo, 2, call=2))
        assert (await kit.outcome()).call == 2
        await trio.sleep(60)
        assert await kit.store.held_tasks(PARTITION) == []


async def test_a_task_is_claimed_when_it_is_due(autojump_clock: Any) -> None:
    """Not earlier, and without a notice."""
    async with running(echo, is_owner=False) as kit:
        started = trio.current_time()
        await kit.commit(make_task(echo, 1, available_at=EPOCH + 3600))
        await kit.outcome()
        assert trio.current_time() - started == pytest.approx(3600)


async def test_no_more_is_claimed_than_there_is_room_for(autojump_clock: Any) -> None:
    """Ten attempts of a second each, two at a time: five seconds."""
    async with running(work, is_owner=False, limits=Limits(activities=2)) as kit:
        started = trio.current_time()
        await kit.commit(*(make_task(work, 1, call=call) for call in range(10)))
        await trio.sleep(0.5)
        assert kit.activities.statistics().running == 2
        assert len(await kit.store.held_tasks(PARTITION)) == 2
        await kit.outcomes(10)
        assert trio.current_time() - started == pytest.approx(5.0, abs=0.1)


async def test_an_activity_with_a_limit_does_not_hold_up_the_others(autojump_clock: Any) -> None:
    """One at a time of one kind, the rest at once."""
    limits = Limits(activities=100, concurrency={"work": 1})
    async with running(work, echo, is_owner=False, limits=limits) as kit:
        tasks = [make_task(work, 1, call=call) for call in range(5)]
        await kit.commit(*tasks, *(make_task(echo, 1, call=call) for call in range(10, 20)))
        assert {outcome.call for outcome in await kit.outcomes(10)} == set(range(10, 20))
        assert kit.activities.statistics().running == 1
        await kit.outcomes(15)


async def test_no_thread_is_claimed_for_that_is_not_there(autojump_clock: Any) -> None:
    """Plain functions are claimed by threads, so that none waits here while another node has room."""
    hold = HeldClock(autojump_clock)
    async with running(block, is_owner=False, limits=Limits(threads=1), hold=hold) as kit:
        await kit.commit(*(make_task(block, call=call) for call in range(20)))
        await kit.outcomes(20)
        assert hold.most == 1


async def test_a_node_without_places_claims_nothing(autojump_clock: Any) -> None:
    """``Limits(activities=0)`` is a node for workflows alone."""
    async with running(echo, is_owner=False, limits=Limits(activities=0)) as kit:
        await kit.commit(make_task(echo, 1))
        await trio.sleep(60)
        assert kit.activities.statistics().started == 0


async def test_an_idle_node_asks_nothing(autojump_clock: Any) -> None:
    """An hour without tasks costs one claim, at the start."""
    store = rough()
    async with running(echo, store=store):
        await trio.sleep(3600)
    assert store.calls == {"claim": 1, "next_task_at": 1}


async def test_a_claimed_task_waits_when_a_partition_was_faster(autojump_clock: Any) -> None:
    """The limit holds although the place was taken while the store was asked."""

    class Racing(MemoryStore):
        kit: Kit

        async def claim(self, *args: Any) -> Sequence[TaskRow]:
            tasks = await super().claim(*args)
            if tasks and not self.raced:
                self.raced = True
                await self.kit.assign(make_task(work, 3, call=50))
            return tasks

        raced = False

    store = Racing(lambda: EPOCH + trio.current_time())
    async with running(work, limits=Limits(activities=1), store=store) as kit:
        store.kit = kit
        await kit.commit(make_task(work, 2), make_task(work, 2, call=1, available_at=1.0))
        await trio.sleep(1)
        statistics = kit.activities.statistics()
        assert (statistics.running, statistics.waiting) == (1, 1)
        assert [outcome.call for outcome in await kit.outcomes(3)] == [50, 0, 1]


async def test_a_waiting_task_can_be_cancelled(autojump_clock: Any) -> None:
    """It never starts."""
    async with running(work, limits=Limits(activities=1)) as kit:
        await kit.assign(make_task(work, 3))
        await kit.commit(attrs.evolve(make_task(work, 1, call=1), node="here"))
        await kit.activities.take_stock(PARTITION)
        assert kit.activities.statistics().waiting == 1
        kit.activities.cancel(TaskKey("instance", 1, 9))
        kit.activities.cancel(TaskKey("instance", 1, 1))
        assert [outcome.is_cancelled for outcome in await kit.outcomes(2)] == [True, False]


# --- Retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_owner", [True, False])
async def test_a_failure_is_tried_again_at_the_right_time(is_owner: bool, autojump_clock: Any) -> None:
    """Attempt n + 1 starts first * backoff ** (n - 1) after attempt n ended."""
    flaky = Flaky(3)
    async with running(flaky.activity(), is_owner=is_owner) as kit:
        retry = Retry(attempts=5, first=2.0, backoff=3.0)
        await (kit.assign if is_owner else kit.commit)(make_task("flaky", retry=retry))
        outcome = await kit.outcome()
    assert (value_of(outcome.result), outcome.attempt) == (4, 4)
    waits = [later - earlier for earlier, later in zip(flaky.times, flaky.times[1:], strict=False)]
    assert waits == [pytest.approx(2.0, abs=0.02), pytest.approx(6.0, abs=0.02), pytest.approx(18.0, abs=0.02)]


async def test_the_last_failure_is_the_outcome(autojump_clock: Any) -> None:
    """With the attempts used up."""
    flaky = Flaky(99)
    async with running(flaky.activity()) as kit:
        await kit.assign(make_task("flaky", retry=Retry(attempts=4)))
        outcome = await kit.outcome()
    assert (outcome.attempt, outcome.failure.message, len(flaky.times)) == (4, "not yet", 4)


async def test_a_retry_leaves_failure_and_details_on_the_task(autojump_clock: Any) -> None:
    """For whoever looks at it, and for the next attempt."""

    async def flaky() -> None:
        heartbeat("half")
        raise OSError("not yet")

    async with running(flaky) as kit:
        await kit.assign(make_task(flaky, retry=Retry(first=100.0)))
        await trio.sleep(1)
        [task] = await kit.store.tasks("instance", 1)
        assert (task.attempt, task.node, task.available_at) == (2, None, pytest.approx(EPOCH + 100, abs=0.1))
        assert (task.failure.message, value_of(task.details)) == ("not yet", "half")


async def test_a_task_withdrawn_between_attempts_is_over(autojump_clock: Any) -> None:
    """Nobody holds it, so the store answers for it."""
    flaky = Flaky(99)
    async with running(flaky.activity(), is_owner=False) as kit:
        await kit.commit(make_task("flaky", retry=Retry(first=100.0)))
        await trio.sleep(1)
        await kit.commit(tasks_cancelled=[TaskKey("instance", 1, 0)])
        assert (await kit.outcome()).is_cancelled
        await trio.sleep(1000)
    assert len(flaky.times) == 1


# --- Attempts for partitions of other nodes --------------------------------------------------------------------------


async def test_a_wish_to_stop_reaches_other_nodes_attempts(autojump_clock: Any) -> None:
    """By the queue's notice, at once."""
    async with running(work, is_owner=False) as kit:
        await kit.commit(make_task(work, 100))
        await trio.sleep(10)
        started = trio.current_time()
        await kit.commit(tasks_cancelled=[TaskKey("instance", 1, 0)])
        assert (await kit.outcome()).is_cancelled
        assert trio.current_time() - started < 0.5


async def test_a_wish_to_stop_is_found_without_a_notice(autojump_clock: Any) -> None:
    """Within two seconds or so."""
    async with running(work, is_owner=False) as kit:
        await kit.commit(make_task(work, 100))
        await trio.sleep(10)
        started = trio.current_time()
        kit.store.changes.publish = lambda topics: None  # type: ignore[method-assign]
        await kit.commit(tasks_cancelled=[TaskKey("instance", 1, 0)])
        while kit.activities.statistics().running:
            await trio.sleep(0.1)
        assert trio.current_time() - started < 2.5


async def test_an_attempt_that_is_no_longer_ours_is_dropped(autojump_clock: Any) -> None:
    """The store says so: it is cancelled and nothing is reported."""
    async with running(work, is_owner=False) as kit:
        await kit.commit(task := make_task(work, 100))
        await trio.sleep(1)
        await kit.commit(attrs.evolve(task, node="there", attempt=2))
        await trio.sleep(5)
        statistics = kit.activities.statistics()
        assert (statistics.running, statistics.dropped) == (0, 1)
        assert await kit.store.inbox(PARTITION, 0, 10) == []
        assert [(row.node, row.attempt) for row in await kit.store.held_tasks(PARTITION)] == [("there", 2)]


async def test_own_attempts_are_not_asked_about(autojump_clock: Any) -> None:
    """Their owner tells; an hour of work costs no heartbeat."""
    store = rough()
    async with running(work, store=store) as kit:
        await kit.assign(make_task(work, 3600))
        await kit.outcome()
    assert "heartbeat" not in store.calls


# --- Heartbeats ------------------------------------------------------------------------------------------------------


async def test_heartbeats_are_written_once_a_second_at_most(autojump_clock: Any) -> None:
    """However often the activity beats; the last one counts."""
    store = rough()

    async def beat() -> None:
        for number in range(1000):
            heartbeat(number)
            await trio.sleep(0.01)
        await trio.sleep(5)

    async with running(beat, store=store) as kit:
        await kit.assign(make_task(beat))
        await trio.sleep(12)
        [task] = await store.held_tasks(PARTITION)
        assert value_of(task.details) == 999
        await kit.outcome()
    assert 10 <= store.calls["heartbeat"] <= 12


async def test_heartbeats_survive_a_store_that_is_away(autojump_clock: Any) -> None:
    """They are written when it is back; the attempt does not notice."""
    store = rough()
    store.broken["heartbeat"] = [StoreUnavailable("away")] * 3

    async def beat() -> None:
        heartbeat("here")
        await trio.sleep(60)

    async with running(beat, store=store) as kit:
        await kit.assign(make_task(beat))
        await trio.sleep(30)
        [task] = await store.held_tasks(PARTITION)
        assert value_of(task.details) == "here"
        assert (await kit.outcome()).failure is None


# --- A store in trouble ----------------------------------------------------------------------------------------------


async def test_claims_go_on_when_the_store_is_back(autojump_clock: Any) -> None:
    """With growing waits in between, and in view while it lasts."""
    store = rough()
    store.broken["claim"] = [StoreUnavailable("away")] * 8
    async with running(echo, is_owner=False, store=store) as kit:
        await kit.commit(make_task(echo, 1))
        await trio.sleep(1)
        assert kit.activities.statistics().degraded_because == "away"
        await kit.outcome()
        assert kit.activities.statistics().degraded_because is None
    assert trio.current_time() < 30


async def test_a_claim_without_answer_loses_nothing(autojump_clock: Any) -> None:
    """The tasks are held here and unknown: they are found and run."""
    store = rough()
    async with running(echo, is_owner=False, store=store) as kit:
        await trio.sleep(1)
        store.lost["claim"] = 1
        await kit.commit(*(make_task(echo, call, call=call) for call in range(5)))
        assert len(await kit.outcomes(5)) == 5
        assert await store.held_tasks(PARTITION) == []


async def test_reports_are_repeated_until_they_are_taken(autojump_clock: Any) -> None:
    """Also after an answer that was lost: the second time the store says it knows already."""
    store = rough()
    store.broken["report"] = [StoreUnavailable("away")] * 5
    store.lost["report"] = 1
    async with running(echo, is_owner=False, store=store) as kit:
        await kit.commit(make_task(echo, 1))
        await trio.sleep(0.5)
        assert kit.activities.statistics().degraded_because == "away"
        await kit.outcome()
        await trio.sleep(10)
        assert kit.activities.statistics().reporting == 0
        assert kit.activities.statistics().degraded_because is None


async def test_a_report_that_is_refused_does_not_hold_up_the_others(autojump_clock: Any) -> None:
    """A row that cannot be read is one call's trouble."""
    store = rough()
    store.broken["report"] = [StoreCorrupt("row 3"), StoreCorrupt("row 3")]
    async with running(echo, is_owner=False, store=store) as kit:
        await kit.commit(*(make_task(echo, call, call=call) for call in range(5)))
        assert len(await kit.outcomes(4)) == 4
        await trio.sleep(10)
        assert len(await store.held_tasks(PARTITION)) == 1


# --- The end ---------------------------------------------------------------------------------------------------------


async def test_drain_lets_attempts_end(autojump_clock: Any) -> None:
    """Within the grace period, and not longer than they take; nothing new is claimed."""
    kit = Kit([work], is_owner=False)
    async with kit.store.open(), trio.open_nursery() as nursery:
        await kit.prepare()
        await nursery.start(kit.activities.run)
        await kit.commit(make_task(work, 5))
        await trio.sleep(1)
        started = trio.current_time()
        async with trio.open_nursery() as inner:
            inner.start_soon(kit.activities.drain, 30)
            await trio.sleep(1)
            await kit.commit(make_task(work, 1, call=1))
            assert not kit.activities.reserve(TaskKey("instance", 1, 2), PARTITION, "default", "work")
            assert kit.activities.free_slots == 0
    assert trio.current_time() - started == pytest.approx(4.0)
    assert [outcome.call for outcome in await kit.outcomes(1)] == [0]
    assert kit.activities.statistics().started == 1


async def test_drain_cancels_what_takes_too_long(autojump_clock: Any) -> None:
    """The task stays held by this node, for others to run once it has left."""
    kit = Kit([work])
    async with kit.store.open(), trio.open_nursery() as nursery:
        await kit.prepare()
        await nursery.start(kit.activities.run)
        await kit.assign(make_task(work, 100))
        reserved = make_task(work, 1, call=1)
        assert kit.activities.reserve(reserved.key, PARTITION, "default", "work")
        started = trio.current_time()
        await kit.activities.drain(10)
        assert trio.current_time() - started == pytest.approx(10.0)
        kit.activities.start([reserved])
    assert kit.owner.received == []
    statistics = kit.activities.statistics()
    assert (statistics.running, statistics.dropped, statistics.reserved) == (0, 1, 0)
    assert [task.key.call for task in await kit.store.held_tasks(PARTITION)] == [0]


async def test_drain_does_not_wait_for_ever_for_the_store(autojump_clock: Any) -> None:
    """Results that cannot be written are lost with the node, and their calls run again."""
    store = rough()
    store.broken["report"] = [StoreUnavailable("away")] * 1000
    kit = Kit([echo], is_owner=False, store=store)
    async with kit.store.open(), trio.open_nursery() as nursery:
        await kit.prepare()
        await nursery.start(kit.activities.run)
        await kit.commit(make_task(echo, 1))
        await trio.sleep(1)
        started = trio.current_time()
        await kit.activities.drain(10)
        assert trio.current_time() - started < 15


async def test_an_idle_node_drains_at_once(autojump_clock: Any) -> None:
    """Nothing runs, nothing is waited for."""
    kit = Kit([echo])
    async with kit.store.open(), trio.open_nursery() as nursery:
        await kit.prepare()
        await nursery.start(kit.activities.run)
        started = trio.current_time()
        await kit.activities.drain(10)
        assert trio.current_time() == started


async def test_statistics_count_what_became_of_attempts(autojump_clock: Any) -> None:
    """Each kind of ending has its figure."""
    flaky = Flaky(1)
    async with running(echo, work, flaky.activity()) as kit:
        await kit.assign(
            make_task(echo, 1),
            make_task(echo, "bad", call=1),
            make_task("flaky", call=2, retry=Retry(first=1.0)),
            slow := make_task(work, 100, call=3),
        )
        await trio.sleep(0.5)
        assert [task.activity for task in kit.activities.running()] == ["work"]
        kit.activities.cancel(slow.key)
        await kit.outcomes(4)
        figures = kit.activities.statistics()
    assert (figures.started, figures.returned, figures.failed, figures.retried, figures.cancelled) == (5, 2, 1, 1, 1)


async def test_context_variables_are_those_of_the_node(autojump_clock: Any) -> None:
    """Not those of whichever task happens to start the attempt."""
    variable: ContextVar[str] = ContextVar("variable", default="nothing")
    seen: list[str] = []

    async def look() -> None:
        seen.append(variable.get())

    async with running(look) as kit:
        variable.set("the partition's")
        await kit.assign(make_task(look))
        await kit.outcome()
    assert seen == ["nothing"]


# --- Twice, or not at all --------------------------------------------------------------------------------------------


async def test_reserving_twice_takes_one_place(autojump_clock: Any) -> None:
    """A partition may look at the same orphan again before its batch is written."""
    async with running(echo) as kit:
        task = make_task(echo, 1)
        for _ in range(2):
            assert kit.activities.reserve(task.key, PARTITION, "default", "echo")
        assert kit.activities.statistics().reserved == 1
        kit.activities.unreserve([task.key])
        assert kit.activities.free_slots == 1000


async def test_starting_twice_runs_once(autojump_clock: Any) -> None:
    """While it runs, and while its outcome is not settled."""
    async with running(work) as kit:
        await kit.assign(task := make_task(work, 1))
        kit.activities.start([task])
        await kit.outcome()
        kit.activities.start([task])
        await trio.sleep(10)
        assert kit.activities.statistics().started == 1


async def test_a_committed_task_without_reservation_runs(autojump_clock: Any) -> None:
    """It is held by this node, so this node must run it."""
    async with running(echo) as kit:
        kit.activities.start([attrs.evolve(make_task(echo, 5), node="here")])
        assert value_of((await kit.outcome()).result) == 5


async def test_a_task_handed_out_again_here_replaces_its_attempt(autojump_clock: Any) -> None:
    """The earlier attempt is stopped and reports nothing."""
    async with running(work) as kit:
        await kit.assign(task := make_task(work, 100))
        await trio.sleep(1)
        again = attrs.evolve(task, node="here", attempt=2)
        assert kit.activities.reserve(task.key, PARTITION, "default", "work")
        kit.activities.start([again])
        [outcome] = await kit.outcomes(1)
        assert outcome.attempt == 2
        statistics = kit.activities.statistics()
        assert (statistics.dropped, statistics.returned, statistics.running) == (1, 1, 0)


async def test_a_task_that_nobody_wants_any_more_does_not_start(autojump_clock: Any) -> None:
    """The wish lies on the row that was handed out."""
    async with running(work, is_owner=False) as kit:
        await kit.commit(make_task(work, 100, is_cancel_requested=True))
        assert (await kit.outcome()).is_cancelled


async def test_a_disowned_partition_leaves_others_alone(autojump_clock: Any) -> None:
    """Reservations, outcomes and attempts of other partitions stay as they are."""
    async with running(echo, work) as kit:
        await kit.assign(make_task(echo, 1), make_task(work, 5, call=1))
        await kit.outcome()
        assert kit.activities.reserve(TaskKey("instance", 1, 2), PARTITION, "default", "work")
        kit.activities.disown("1:default")
        statistics = kit.activities.statistics()
        assert (statistics.reserved, statistics.unsettled, statistics.running) == (1, 1, 1)
        await trio.sleep(1)
        assert await kit.store.inbox(PARTITION, 0, 10) == []


async def test_what_ends_while_stock_is_taken_is_not_run_again(autojump_clock: Any) -> None:
    """The rows that were read are older than the end."""

    class Slow(MemoryStore):
        async def held_tasks(self, partition: str) -> list[TaskRow]:
            rows = await super().held_tasks(partition)
            await trio.sleep(10)
            return rows

    for is_owner in (True, False):
        store = Slow(lambda: EPOCH + trio.current_time())
        async with running(work, store=store, is_owner=is_owner) as kit:
            await (kit.assign if is_owner else kit.commit)(task := make_task(work, 5))
            await trio.sleep(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kit.activities.take_stock, PARTITION)
                await kit.outcome()
                kit.activities.settle([task.key])
            await trio.sleep(10)
            assert kit.activities.statistics().started == 1


async def test_stock_taken_during_a_claim_does_not_run_what_is_claimed(autojump_clock: Any) -> None:
    """The store has handed a task out, the answer is on its way: it is run once, when that has come."""

    class Slow(MemoryStore):
        async def claim(self, *args: Any) -> list[TaskRow]:
            tasks = await super().claim(*args)
            await trio.sleep(10)
            return tasks

    async with running(work, store=Slow(lambda: EPOCH + trio.current_time())) as kit:
        await trio.sleep(20)
        await kit.commit(make_task(work, 1))
        await trio.sleep(5)
        await kit.activities.take_stock(PARTITION)
        await trio.sleep(100)
        assert kit.activities.statistics().started == 1
        assert [outcome.call for outcome in await kit.outcomes()] == [0]


async def test_many_tasks_with_few_places_are_claimed_in_groups(autojump_clock: Any) -> None:
    """A place that becomes free is not a claim of its own."""
    store = rough()

    async def quick(seconds: float) -> None:
        await trio.sleep(seconds)

    async with running(quick, is_owner=False, limits=Limits(activities=50), store=store) as kit:
        await kit.commit(*(make_task(quick, 0.1 + call * 1e-5, call=call) for call in range(1000)))
        await kit.outcomes(1000)
    assert store.calls["claim"] < 100


async def test_a_task_that_is_due_and_never_handed_out_is_not_asked_for_all_the_time(autojump_clock: Any) -> None:
    """Nobody can read its row, say; others are claimed as soon as they are there."""

    class Stubborn(MemoryStore):
        calls = 0

        async def claim(self, *args: Any) -> list[TaskRow]:
            self.calls += 1
            return [task for task in await super().claim(*args) if task.key.call]

        async def next_task_at(self, activities: Any) -> float | None:
            await super().next_task_at(activities)
            return EPOCH

    store = Stubborn(lambda: EPOCH + trio.current_time())
    async with running(work, store=store, is_owner=False) as kit:
        await kit.commit(make_task(work, 1))
        await trio.sleep(60)
        assert 300 > store.calls
        before = trio.current_time()
        await kit.commit(make_task(work, 1, call=1))
        await kit.outcome()
        assert trio.current_time() == pytest.approx(before + 1, abs=0.3)


async def test_more_places_than_one_claim_fills(autojump_clock: Any) -> None:
    """A claim is bounded, so there is another one at once."""
    async with running(work, is_owner=False) as kit:
        await kit.commit(*(make_task(work, 5, call=call) for call in range(900)))
        await trio.sleep(1)
        assert kit.activities.statistics().running == 900


async def test_ctrl_c_is_not_an_exception_of_an_activity(autojump_clock: Any) -> None:
    """Trio delivers it to the main task, since activities are protected from it."""
    seen: list[bool] = []

    async def look() -> None:
        seen.append(trio.lowlevel.currently_ki_protected())

    async with running(look) as kit:
        await kit.assign(make_task(look))
        await kit.outcome()
    assert seen == [True]
