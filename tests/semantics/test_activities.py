"""Activities: their errors, their cancellation, what runs them, and where."""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest
import trio

import wfactors as wf


@attrs.define
class Receipt:
    number: int
    total: float


@wf.activity
async def add(a: int, b: int) -> int:
    return a + b


@wf.activity
async def sum_up(numbers: dict[str, list[int]]) -> int:
    return sum(map(sum, numbers.values()))


@wf.activity
def in_a_thread(a: int) -> list[object]:
    return [a + 1, threading.current_thread() is threading.main_thread(), wf.activity_info().attempt]


@wf.activity(retry=wf.Retry(attempts=1))
async def broken(kind: str) -> None:
    if kind == "chain":
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    if kind == "exit":
        raise SystemExit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    raise BaseException("odd")


@wf.activity
async def unfit() -> Receipt:
    return {"number": lambda: None}  # type: ignore[return-value]


@wf.activity
async def who() -> list[str]:
    info = wf.activity_info()
    return [info.activity, info.workflow, info.workflow_id, info.queue, info.idempotency_key]


class Counter:
    """Activities with state: the registered instance."""

    def __init__(self, start: int) -> None:
        self.value = start

    @wf.activity
    async def next(self, step: int = 1) -> int:
        self.value += step
        return self.value

    @wf.activity
    def next_in_thread(self) -> int:
        self.value += 1
        return self.value


@wf.workflow
async def counts() -> list[int]:
    counter = wf.activities(Counter)
    return [await counter.next(), await counter.next(step=10), await counter.next_in_thread()]


@wf.workflow
async def threads() -> list[object]:
    return await in_a_thread(41)


@wf.workflow
async def catches(kind: str) -> list[object]:
    try:
        await broken(kind)
    except wf.ActivityError as error:
        cause = error.failure.cause
        told = [error.type, error.message, error.failure.kind, None if cause is None else cause.type]
        return [*told, "in broken" in error.traceback, error.attempt]
    return []


@wf.workflow
async def misses_an_argument() -> str:
    try:
        await add(1)  # type: ignore[call-arg]
    except TypeError as error:
        return str(error)
    return "no error"


@wf.workflow
async def passes_what_does_not_convert() -> str:
    try:
        await sum_up({"x": [1, "y"]})  # type: ignore[dict-item]
    except wf.ConversionError as error:
        return str(error)
    return "no error"


@wf.workflow
async def gets_an_unfit_result() -> list[object]:
    try:
        await unfit()
    except wf.ActivityError as error:
        return [error.type, error.attempt]
    return []


@wf.workflow
async def many(count: int) -> list[int]:
    send, receive = wf.open_memory_channel[int](count)

    async def one(number: int) -> None:
        await send.send(await add(number, 0))

    async with wf.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)
        return sorted([await receive.receive() for _ in range(count)])


@wf.workflow
async def asks_who() -> list[list[str]]:
    return [await who(), await who()]


async def test_hundred_activities_are_awaited_as_they_finish(backend, autojump_clock) -> None:
    """All results arrive, each once."""
    async with backend.engine(many, add) as engine:
        assert list(range(100)) == await engine.run(many, 100)


async def test_a_fan_out_costs_one_turn_for_each_result(backend, autojump_clock) -> None:
    """Four times as many activities, four times as many turns and events."""
    seen = []
    for count in (50, 200):
        async with backend.engine(many, add) as engine:
            # Virtual time goes on when no thread works: by then the partition has read which timers are near. Were the
            # workflow among them, and over when the answer comes, it would be loaded once for nothing.
            await trio.sleep(1)
            handle = await engine.start(many, count)
            await handle.result()
            (partition,) = engine.statistics().partitions
            seen.append((partition.turns, partition.loads, len(await handle.history())))
    assert [(51, 0, 102), (201, 0, 402)] == seen


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("chain", ["builtins.ValueError", "outer", "error", "builtins.KeyError", True, 1]),
        ("exit", ["builtins.SystemExit", "3", "base_exception", None, True, 1]),
        ("interrupt", ["builtins.KeyboardInterrupt", "", "base_exception", None, True, 1]),
        ("odd", ["builtins.BaseException", "odd", "base_exception", None, True, 1]),
    ],
)
async def test_an_error_has_type_message_traceback_cause_and_attempt(backend, autojump_clock, kind, told) -> None:
    """A BaseException that is not control flow is told apart, and harms nobody else."""
    async with backend.engine(catches, broken, add, many) as engine:
        assert told == await engine.run(catches, kind)
        assert [0] == await engine.run(many, 1)


async def test_wrong_arguments_are_a_type_error_at_the_call(backend, autojump_clock) -> None:
    """Nothing is recorded of the call."""
    async with backend.engine(misses_an_argument, add) as engine:
        handle = await engine.start(misses_an_argument)
        assert "add() missing a required argument: 'b'" == await handle.result()
        assert 2 == len(await handle.history())


async def test_arguments_that_the_converter_refuses_are_an_error_at_the_call(backend, autojump_clock) -> None:
    """It names the path inside the value."""
    async with backend.engine(passes_what_does_not_convert, sum_up) as engine:
        handle = await engine.start(passes_what_does_not_convert)
        assert "numbers['x'][1]: expected an integer, got str 'y'" == await handle.result()
        assert 2 == len(await handle.history())


async def test_a_result_that_the_converter_refuses_is_a_permanent_failure(backend, autojump_clock) -> None:
    """That call fails in its first attempt; nothing else stops."""
    async with backend.engine(gets_an_unfit_result, unfit) as engine:
        assert ["wfactors.errors.ConversionError", 1] == await engine.run(gets_an_unfit_result)


async def test_methods_run_on_the_registered_object(backend, autojump_clock) -> None:
    """Async and threaded ones share its state."""
    counter = Counter(100)
    async with backend.engine(counts, counter) as engine:
        assert [101, 111, 112] == await engine.run(counts)
    assert 112 == counter.value


async def test_plain_functions_run_in_threads(backend, autojump_clock) -> None:
    """Not in the main one, and with all an activity can ask for."""
    async with backend.engine(threads, in_a_thread) as engine:
        assert [42, False, 1] == await engine.run(threads)


async def test_an_activity_knows_what_it_runs_for(backend, autojump_clock) -> None:
    """Names, ids and a key that no other call has."""
    async with backend.engine(asks_who, who) as engine:
        handle = await engine.start(asks_who, id="w")
        first, second = await handle.result()
    assert ["who", "asks_who", "w", "default"] == first[:4]
    assert f"{handle.instance}/1/0" == first[4]
    assert f"{handle.instance}/1/1" == second[4]


async def test_the_idempotency_key_is_the_same_on_every_attempt(backend, autojump_clock) -> None:
    """Also when the attempts run on different engines."""
    seen: list[tuple[int, str]] = []

    @wf.activity
    async def flaky() -> str:
        info = wf.activity_info()
        seen.append((info.attempt, info.idempotency_key))
        if info.attempt < 3:
            raise ValueError("again")
        return info.idempotency_key

    @wf.workflow
    async def main() -> str:
        return await flaky.options(retry=wf.Retry(attempts=3, first=100))()

    async with backend.engine(main, flaky) as engine:
        await engine.start(main, id="m")
        await trio.sleep(1)
    async with backend.engine(main, flaky) as engine:
        key = await (await engine.get("m")).result()
    assert [(1, key), (2, key), (3, key)] == seen


# --- Cancellation ----------------------------------------------------------------------------------------------------


class Patient:
    """Activities that notice that they are stopped."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.begun = threading.Event()

    @wf.activity
    async def wait(self, clean_up: float) -> str:
        self.seen.append("begun")
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(clean_up)
            self.seen.append("cancelled")
            raise
        return "never"

    @wf.activity
    async def finish(self) -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        return "finished all the same"

    @wf.activity
    def spin(self) -> str:
        self.begun.set()
        while True:
            wf.heartbeat()


@wf.workflow
async def gives_up(name: str, on_cancel: str, clean_up: float) -> list[object]:
    activity = getattr(wf.activities(Patient), name).options(on_cancel=on_cancel)
    result: object = None
    start = wf.current_time()
    with wf.move_on_after(5) as scope:
        result = await (activity(clean_up) if name == "wait" else activity())
    return [scope.cancelled_caught, result, round(wf.current_time() - start)]


@wf.workflow
async def stops_on_signal() -> str:
    async with wf.open_nursery() as nursery:
        nursery.start_soon(wf.activities(Patient).spin)
        await wf.signals("stop").receive()
        nursery.cancel_scope.cancel()
    return "stopped"


async def test_a_cancelled_scope_stops_the_running_attempt_and_waits_for_it(backend, autojump_clock) -> None:
    """Trio's Cancelled in the activity, which may clean up; the workflow goes on after that."""
    patient = Patient()
    async with backend.engine(gives_up, patient) as engine:
        assert [True, None, 8] == await engine.run(gives_up, "wait", "wait", 3)
    assert ["begun", "cancelled"] == patient.seen


async def test_with_abandon_nobody_waits_for_the_attempt(backend, autojump_clock) -> None:
    """It is asked to stop all the same."""
    patient = Patient()
    async with backend.engine(gives_up, patient) as engine:
        assert [True, None, 5] == await engine.run(gives_up, "wait", "abandon", 3)
        assert ["begun"] == patient.seen
        await trio.sleep(4)
        assert ["begun", "cancelled"] == patient.seen


async def test_an_attempt_that_completes_in_spite_of_cancel_has_completed(backend, autojump_clock) -> None:
    """The work is done, and its result is seen."""
    async with backend.engine(gives_up, Patient()) as engine:
        assert [False, "finished all the same", 10] == await engine.run(gives_up, "finish", "wait", 0)


async def test_a_thread_is_stopped_at_its_next_heartbeat(backend, autojump_clock) -> None:
    """There is no other way to stop a thread."""
    patient = Patient()
    async with backend.engine(stops_on_signal, patient) as engine:
        handle = await engine.start(stops_on_signal)
        await trio.to_thread.run_sync(patient.begun.wait)
        await handle.signal("stop")
        assert "stopped" == await handle.result()


async def test_cancelling_the_workflow_reaches_its_activity(backend, autojump_clock) -> None:
    """The attempt stops before the workflow ends."""
    patient = Patient()
    async with backend.engine(gives_up, patient) as engine:
        handle = await engine.start(gives_up, "wait", "wait", 1)
        await trio.sleep(1)
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()
        assert ["begun", "cancelled"] == patient.seen


async def test_terminating_the_workflow_stops_its_activity(backend, autojump_clock) -> None:
    """The status is there at once, the attempt is asked to stop."""
    patient = Patient()
    async with backend.engine(gives_up, patient) as engine:
        handle = await engine.start(gives_up, "wait", "wait", 0)
        await trio.sleep(1)
        await handle.terminate()
        assert "terminated" == (await handle.describe()).status
        await trio.sleep(1)
        assert ["begun", "cancelled"] == patient.seen


async def test_cancellation_reaches_an_attempt_on_another_node(backend, autojump_clock) -> None:
    """By way of the store."""
    patient = Patient()
    async with (
        backend.shared() as store,
        backend.engine(patient, store=store, workflows=False),
        backend.engine(gives_up, store=store) as engine,
    ):
        caught, result, seconds = await engine.run(gives_up, "wait", "wait", 3)
    assert [True, None] == [caught, result]
    assert 8 <= seconds <= 14
    assert ["begun", "cancelled"] == patient.seen


# --- Who runs what ---------------------------------------------------------------------------------------------------


class Gauge:
    """Counts how many attempts run at once."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0

    @wf.activity
    async def run(self, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        await trio.sleep(1)
        self.running -= 1
        return number


@wf.workflow
async def fans_out(count: int) -> int:
    return sum(await wf.gather(*(wf.activities(Gauge).run(number) for number in range(count))))


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"activities": 3}, 3), ({"concurrency": {"Gauge.run": 2}}, 2), ({}, 10)],
    ids=["all", "one", "none"],
)
async def test_concurrency_limits(backend, autojump_clock, limits: dict[str, Any], most: int) -> None:
    """Of all attempts at once, and of those of one activity."""
    gauge = Gauge()
    async with backend.engine(fans_out, gauge, limits=wf.Limits(**limits)) as engine:
        start = trio.current_time()
        assert 45 == await engine.run(fans_out, 10)
        assert -(-10 // most) <= trio.current_time() - start < -(-10 // most) + 1
    assert most == gauge.most


async def test_engines_for_workflows_only_and_activities_only_share_a_store(backend, autojump_clock) -> None:
    """The one starts no activity, the other owns no partition."""
    gauge = Gauge()
    async with (
        backend.shared() as store,
        backend.engine(fans_out, Gauge(), store=store, limits=wf.Limits(activities=0)) as thinker,
        backend.engine(gauge, store=store, workflows=False) as worker,
    ):
        assert 45 == await thinker.run(fans_out, 10)
        assert [] == worker.statistics().partitions
        assert 0 == thinker.statistics().activities.started
        assert 10 == worker.statistics().activities.returned
    assert 10 == gauge.most


@pytest.mark.parametrize("instances", [1, 1000])
async def test_results_find_workflows_that_are_not_in_memory(backend, autojump_clock, instances) -> None:
    """While the activity runs the workflow is put to sleep."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.engine(fans_out, Gauge(), limits=limits) as engine:
        handles = [await engine.start(fans_out, 3) for _ in range(4)]
        assert [3] * 4 == [await handle.result() for handle in handles]


async def test_a_late_result_of_an_old_attempt_is_refused(backend, autojump_clock) -> None:
    """The node of an attempt lost its lease meanwhile, and the attempt was handed out again: one result counts."""
    begun: list[str] = []
    stalled = trio.Event()

    @wf.activity(name="work")
    async def stalls() -> str:
        begun.append("old")
        with trio.CancelScope(shield=True):
            await stalled.wait()
        return "old"

    @wf.activity(name="work")
    async def works() -> str:
        begun.append(f"attempt {wf.activity_info().attempt}")
        await trio.sleep(5)
        return "new"

    @wf.workflow
    async def main() -> str:
        return await works()

    async with backend.shared() as store, backend.engine(main, store=store) as owner, trio.open_nursery() as nursery:
        dying = await nursery.start(node_for_ever, backend, store, stalls)
        handle = await owner.start(main)
        await trio.sleep(1)
        await store.leave(dying.name)  # What the others see when its lease is over.
        async with backend.engine(works, store=store, workflows=False):
            await trio.sleep(1)
            stalled.set()
            assert "new" == await handle.result()
        kinds = [type(event).__name__ for event in await handle.history()]
        nursery.cancel_scope.cancel()
    assert ["old", "attempt 2"] == begun
    assert 1 == kinds.count("ActivityCompleted")


async def node_for_ever(backend: Any, store: Any, activity: Any, *, task_status: trio.TaskStatus[wf.Engine]) -> None:
    """An engine with room for one attempt, until it is cancelled."""
    limits = wf.Limits(activities=1)
    async with backend.engine(activity, store=store, workflows=False, lease=30, grace=0, limits=limits) as engine:
        task_status.started(engine)
        await trio.sleep_forever()
