"""Spans: one trace for each workflow, over its calls, children and restarts; each span told of once, when durable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any

import attrs
import pytest
import trio
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode

import wfactors as wf
from tests.telemetry.kit import Watched
from wfactors.model.events import SignalReceived
from wfactors.model.wire import encode_events
from wfactors.testing import assert_survives_crashes

# Its ids are where an activity can find the tracer of the test that runs.
_tracer: trace.Tracer = trace.NoOpTracer()


@pytest.fixture
def watched() -> Watched:
    global _tracer  # noqa: PLW0603  Activities are functions of the module.
    watched = Watched()
    _tracer = watched.tracer
    return watched


# --- Workflows -------------------------------------------------------------------------------------------------------


@wf.activity(retry=wf.Retry(attempts=3, first=1))
async def charge(cents: int, failures: int = 0) -> str:
    if wf.activity_info().attempt <= failures:
        raise ConnectionError("the bank does not answer")
    with _tracer.start_as_current_span("POST /charges"):
        await trio.sleep(0.5)
    return f"receipt-{cents}"


@wf.activity
def pack(item: str) -> str:
    with _tracer.start_as_current_span("SELECT shelf"):
        return item.upper()


@wf.activity
async def hang() -> None:
    await trio.sleep_forever()


@wf.workflow
async def ship(item: str) -> str:
    return await pack(item)


@wf.workflow
async def checkout(failures: int = 0) -> str:
    with wf.span("payment", {"cents": 4200}) as span:
        receipt = await charge(4200, failures)
        span.set_attribute("receipt", receipt)
    await wf.sleep(60)
    await ship("book")
    answer = await wf.signals("approve", str).receive()
    return f"{receipt} {answer}"


@wf.workflow
async def continues() -> int:
    await wf.sleep(1)
    if wf.info().run < 3:
        wf.continue_as_new()
    return wf.info().run


async def run_checkout(engine: wf.Engine, watched: Watched, failures: int = 0) -> wf.Handle[str]:
    """Start it under a span, and approve it under another."""
    with watched.tracer.start_as_current_span("POST /orders"):
        handle = await engine.start(checkout, failures, id="order")
    await trio.sleep(120)
    with watched.tracer.start_as_current_span("POST /approvals"):
        await handle.signal("approve", "yes")
    assert "receipt-4200 yes" == await handle.result()
    return handle


CHECKOUT_TREE = [
    "workflow checkout",
    "  payment",
    "    activity charge",
    "      attempt charge",
    "        POST /charges",
    "  timer",
    "  child ship",
    "    workflow ship",
    "      activity pack",
    "        attempt pack",
    "          SELECT shelf",
    "  signal approve",
]


# --- Parents ---------------------------------------------------------------------------------------------------------


async def test_the_workflow_hangs_under_the_span_that_created_it(backend, autojump_clock, watched) -> None:
    """And everything that it does under the workflow: attempts with what their own code reports, timers, children."""
    async with backend.engine(checkout, ship, charge, pack, telemetry=watched.telemetry) as engine:
        await run_checkout(engine, watched)
    tree = watched.tree()
    assert ["POST /orders", *(f"  {line}" for line in CHECKOUT_TREE)] == [
        line for line in tree if line != "POST /approvals"
    ]
    assert "POST /approvals" in tree
    # What hangs under it at once came from elsewhere, as the sampler is told.
    assert [True, False] == [watched.span(name).parent.is_remote for name in ("workflow checkout", "payment")]


async def test_a_workflow_that_nobody_started_under_a_span_is_a_root(backend, autojump_clock, watched) -> None:
    """The id of its trace is the key of the instance; that of its child too."""
    async with backend.engine(checkout, ship, charge, pack, telemetry=watched.telemetry) as engine:
        handle = await engine.start(checkout)
        await handle.signal("approve", "yes")
        await handle.result()
    assert sorted(CHECKOUT_TREE) == sorted(watched.tree())
    assert {int(handle.instance, 16)} == {span.context.trace_id for span in watched.spans}


async def test_attributes_say_what_a_span_is_about(backend, autojump_clock, watched) -> None:
    """The id of the instance on each; more where there is more."""
    async with backend.engine(checkout, ship, charge, pack, telemetry=watched.telemetry) as engine:
        await run_checkout(engine, watched)

    def about(name: str) -> dict[str, Any]:
        return {key.removeprefix("wfactors."): value for key, value in watched.span(name).attributes.items()}

    common = {"id": "order", "run": 1}
    ran = {"workflow": "checkout", "queue": "default", "status": "completed"}
    assert {**common, **ran} == about("workflow checkout")
    assert {**common, "cents": 4200, "receipt": "receipt-4200"} == about("payment")
    call = {"activity": "charge", "queue": "default", "call": 0}
    assert {**common, **call, "outcome": "completed"} == about("activity charge")
    attempt = {"workflow": "checkout", "attempt": 1, "outcome": "returned"}
    assert {**common, **call, **attempt} == about("attempt charge")
    assert {**common, "timer": 0, "outcome": "fired"} == about("timer")
    child_id = about("child ship")["child.id"]
    assert (child_id, "ship") == (about("workflow ship")["id"], about("child ship")["child.workflow"])
    assert {**common, "outcome": "received"} == about("signal approve")


async def test_times_are_those_of_the_workflow(backend, autojump_clock, watched) -> None:
    """A call lasts until its outcome, a timer until it fired, a run from its first fact to its last."""
    async with backend.engine(checkout, ship, charge, pack, telemetry=watched.telemetry) as engine:
        await run_checkout(engine, watched)

    def seconds(name: str) -> float:
        span = watched.span(name)
        return (span.end_time - span.start_time) / 1e9

    assert [0.5, 0.5, 0.5, 60.0, 0.0, 120.0] == [
        pytest.approx(seconds(name), abs=0.1)
        for name in ["attempt charge", "activity charge", "payment", "timer", "signal approve", "workflow checkout"]
    ]


async def test_tasks_of_a_workflow_nest_by_themselves(backend, autojump_clock, watched) -> None:
    """Each has its own innermost span; one started inside a span is inside it; an own span ends with its block."""

    @wf.workflow
    async def tasks() -> None:
        async def packs(item: str) -> None:
            with wf.span(f"item {item}"):
                await wf.sleep(1)
                await pack(item)

        async with wf.open_nursery() as nursery:
            nursery.start_soon(packs, "outside")
            with wf.span("around"):
                nursery.start_soon(packs, "inside")
                await wf.sleep(0.5)
            await wf.sleep(0.2)

    async with backend.engine(tasks, pack, telemetry=watched.telemetry) as engine:
        await engine.run(tasks)
    packing = ["activity pack", "  attempt pack", "    SELECT shelf"]
    expected = [
        "workflow tasks",
        "  around",
        "    item inside",
        "      timer",
        *(f"      {line}" for line in packing),
        "    timer",
        "  item outside",
        "    timer",
        *(f"    {line}" for line in packing),
        "  timer",
    ]
    assert sorted(expected) == sorted(watched.tree())


async def test_a_deadline_belongs_where_it_was_set(backend, autojump_clock, watched) -> None:
    """Not to the span that is open when it is first needed; and one that does not fire is no span."""

    @wf.workflow
    async def hurries() -> None:
        with wf.span("outer"):
            with wf.move_on_after(10), wf.span("too slow"):
                await wf.sleep_forever()
            with wf.move_on_after(10), wf.span("in time"):
                await wf.sleep(1)
        await wf.sleep(100)

    async with backend.engine(hurries, telemetry=watched.telemetry) as engine:
        await engine.run(hurries)
    assert [
        "workflow hurries",
        "  outer",
        "    timer",
        "    too slow",
        "    in time",
        "      timer",
        "  timer",
    ] == watched.tree()


async def test_a_very_large_turn(backend, autojump_clock, watched) -> None:
    """What is carried out in parts is told of like the rest."""

    @wf.workflow
    async def many() -> None:
        with wf.span("all"):
            await wf.gather(*(pack(str(number)) for number in range(200)))

    async with backend.engine(many, pack, telemetry=watched.telemetry) as engine:
        await engine.run(many)
    tree = watched.tree()
    assert (602, 200) == (len(tree), tree.count("    activity pack"))


# --- Signals, updates, requests --------------------------------------------------------------------------------------


def linked(watched: Watched, name: str) -> list[str]:
    """The names of the spans that a span is linked to."""
    by_id = {span.context.span_id: span for span in watched.spans}
    return [by_id[link.context.span_id].name for link in watched.span(name).links]


async def test_a_signal_is_linked_to_its_sender(backend, autojump_clock, watched) -> None:
    """To the client's span, or to the call of the workflow that sent it, which has a span of its own."""

    @wf.workflow
    async def hears() -> None:
        await wf.signals("from client").receive()
        await wf.signals("from workflow").receive()
        await wf.signals("from nowhere").receive()

    @wf.workflow
    async def says(id: str) -> None:
        await wf.signal(id, "from workflow")

    async with backend.engine(hears, says, telemetry=watched.telemetry) as engine:
        with watched.tracer.start_as_current_span("client"):
            handle = await engine.signal_with_start(hears, id="hears", signal="from client")
        await engine.run(says, "hears")
        await handle.signal("from nowhere")
        await handle.result()
    assert [["client"], ["send signal from workflow"], []] == [
        linked(watched, f"signal from {where}") for where in ("client", "workflow", "nowhere")
    ]
    sent = watched.span("send signal from workflow")
    assert ("hears", "completed") == (sent.attributes["wfactors.to"], sent.attributes["wfactors.outcome"])


async def test_what_a_workflow_asks_of_others_fails_in_its_span(backend, autojump_clock, watched) -> None:
    """A cancel of a workflow that is not there; a cancel that is taken."""

    @wf.workflow
    async def sleeps() -> None:
        await wf.sleep_forever()

    @wf.workflow
    async def asks() -> None:
        await wf.cancel("there")
        with suppress(wf.WorkflowNotFound):
            await wf.cancel("nowhere")

    async with backend.engine(sleeps, asks, telemetry=watched.telemetry) as engine:
        await engine.start(sleeps, id="there")
        await engine.run(asks)
    sent = [span for span in watched.spans if span.name == "send cancel"]
    found = [(span.attributes["wfactors.to"], span.status.status_code, span.status.description) for span in sent]
    assert [
        ("there", StatusCode.UNSET, None),
        ("nowhere", StatusCode.ERROR, "RequestError: not_found"),
    ] == found


async def test_an_update_has_a_span_around_what_it_does(backend, autojump_clock, watched) -> None:
    """Linked to who asked; failed if it raised."""

    @wf.workflow
    async def serves() -> None:
        @wf.update
        async def add(item: str) -> str:
            if not item:
                raise ValueError("no item")
            return await pack(item)

        await wf.sleep(100)

    async with backend.engine(serves, pack, telemetry=watched.telemetry) as engine:
        handle = await engine.start(serves)
        with watched.tracer.start_as_current_span("client"):
            assert "BOOK" == await handle.update("add", "book")
        with pytest.raises(wf.UpdateRejected):
            await handle.update("add", "")
        await handle.result()
    good, bad = sorted((span for span in watched.spans if span.name == "update add"), key=lambda span: span.start_time)
    assert [("UNSET", "completed"), ("ERROR", "failed")] == [
        (span.status.status_code.name, span.attributes["wfactors.outcome"]) for span in (good, bad)
    ]
    assert (good.context.span_id, 1, 0) == (
        watched.span("activity pack").parent.span_id,
        len(good.links),
        len(bad.links),
    )


# --- Failures, retries, cancellation ---------------------------------------------------------------------------------


async def test_retries_are_attempts_under_one_call(backend, autojump_clock, watched) -> None:
    """Each failed one with its exception; the call is not failed by them."""
    async with backend.engine(checkout, ship, charge, pack, telemetry=watched.telemetry) as engine:
        await run_checkout(engine, watched, 2)
    attempts = [span for span in watched.spans if span.name == "attempt charge"]
    call = watched.span("activity charge")
    assert {call.context.span_id} == {span.parent.span_id for span in attempts}
    assert StatusCode.UNSET is call.status.status_code
    assert [("ERROR", "retried"), ("ERROR", "retried"), ("UNSET", "returned")] == [
        (span.status.status_code.name, span.attributes["wfactors.outcome"]) for span in attempts
    ]
    (event,) = attempts[0].events
    assert ("exception", "builtins.ConnectionError", "the bank does not answer") == (
        event.name,
        event.attributes["exception.type"],
        event.attributes["exception.message"],
    )
    assert "in charge" in event.attributes["exception.stacktrace"]


async def test_failures_are_failed_spans(backend, autojump_clock, watched) -> None:
    """Of the activity, of the author's own around it, of the child and of the parent's call."""

    @wf.workflow
    async def child() -> None:
        with wf.span("trying"):
            await charge(1, 5)

    @wf.workflow
    async def parent() -> None:
        with wf.move_on_after(1000):
            await child()

    async with backend.engine(parent, child, charge, telemetry=watched.telemetry) as engine:
        with pytest.raises(wf.WorkflowFailed):
            await engine.run(parent)
    failed = ["activity charge", "trying", "workflow child", "child child", "workflow parent"]
    assert [StatusCode.ERROR] * 5 == [watched.span(name).status.status_code for name in failed]
    assert "ActivityError" in watched.span("trying").status.description


async def test_cancellation_is_no_failure(backend, autojump_clock, watched) -> None:
    """Of the workflow, of what it waited for, and of the block that it left."""

    @wf.workflow
    async def waits() -> None:
        with wf.span("waiting"):
            await hang()

    async with backend.engine(waits, hang, telemetry=watched.telemetry) as engine:
        handle = await engine.start(waits)
        await trio.sleep(1)
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()
    assert ["workflow waits", "  waiting", "    activity hang", "      attempt hang"] == watched.tree()
    assert {StatusCode.UNSET} == {span.status.status_code for span in watched.spans}
    assert ["cancelled", "cancelled", "cancelled"] == [
        watched.span("workflow waits").attributes["wfactors.status"],
        watched.span("activity hang").attributes["wfactors.outcome"],
        watched.span("attempt hang").attributes["wfactors.outcome"],
    ]


async def test_a_child_that_is_cancelled_has_not_failed(backend, autojump_clock, watched) -> None:
    """Whoever cancels it: its parent's call says so too."""

    @wf.workflow
    async def child() -> None:
        await wf.sleep_forever()

    @wf.workflow
    async def parent() -> str:
        handle = await wf.start_child(child, id="child")
        try:
            await handle.result()
        except wf.ChildWorkflowError:
            return "noticed"

    async with backend.engine(parent, child, telemetry=watched.telemetry) as engine:
        handle = await engine.start(parent)
        await trio.sleep(1)
        await (await engine.get("child")).cancel()
        assert "noticed" == await handle.result()
    assert ["workflow parent", "  child child", "    workflow child"] == watched.tree()
    call = watched.span("child child")
    assert ("cancelled", StatusCode.UNSET) == (call.attributes["wfactors.outcome"], call.status.status_code)


async def test_a_workflow_that_is_cancelled_before_it_starts(backend, autojump_clock, watched) -> None:
    """It has a span of no length, which says so."""
    async with backend.engine(ship, pack, telemetry=watched.telemetry) as engine:
        handle = await engine.start(ship, "book", delay=1000)
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()
    span = watched.span("workflow ship")
    assert (span.end_time, "cancelled") == (span.start_time, span.attributes["wfactors.status"])


@pytest.mark.parametrize("is_parked", [False, True])
async def test_what_is_open_when_a_run_is_terminated(backend, autojump_clock, watched, is_parked) -> None:
    """Its calls end with it, and so do its own spans, as far as its code can still tell of them."""

    @wf.workflow(name="stuck")
    async def stuck() -> None:
        with wf.span("holding"):
            await hang()

    @wf.workflow(name="stuck")
    async def changed() -> None:
        await pack("something else")

    async with backend.engine(stuck, hang, telemetry=watched.telemetry, grace=0) as engine:
        handle = await engine.start(stuck, id="stuck")
        await trio.sleep(1)
        if not is_parked:
            await handle.terminate("enough")
            await handle.wait_closed()
            await trio.sleep(1)
    if is_parked:
        async with backend.engine(changed, pack, telemetry=watched.telemetry) as engine:
            handle = await engine.get("stuck")
            await trio.sleep(1)
            await handle.terminate("enough")
            await handle.wait_closed()
            await trio.sleep(1)
    own = set() if is_parked else {"holding"}
    assert own | {"workflow stuck", "activity hang", "attempt hang"} == {span.name for span in watched.spans}
    assert ("abandoned", "terminated") == (
        watched.span("activity hang").attributes["wfactors.outcome"],
        watched.span("workflow stuck").attributes["wfactors.status"],
    )
    assert "WorkflowTerminated: enough" == watched.span("workflow stuck").status.description


async def test_a_run_that_the_engine_ends_has_failed(backend, autojump_clock, watched) -> None:
    """For its history is too long, which its code takes no part in."""

    @wf.workflow
    async def endless() -> None:
        while True:
            await wf.sleep(1)

    limits = wf.Limits(history_events_warning=10, history_events_max=20)
    async with backend.engine(endless, telemetry=watched.telemetry, limits=limits) as engine:
        with pytest.raises(wf.WorkflowFailed):
            await engine.run(endless)
        await trio.sleep(1)
    span = watched.span("workflow endless")
    assert ("failed", StatusCode.ERROR) == (span.attributes["wfactors.status"], span.status.status_code)
    assert {("endless", "failed"): 1} == watched.metrics()["wfactors.workflow.ends"]


# --- Restarts, replays, nodes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("instances", [1, 1000])
async def test_one_trace_over_restarts(backend, autojump_clock, watched, instances) -> None:
    """Whoever goes on with a workflow goes on with its trace; no span is told of twice, none is lost."""
    limits = wf.Limits(resident_instances=instances)
    options = {"telemetry": watched.telemetry, "limits": limits}
    async with backend.engine(checkout, ship, charge, pack, **options) as engine:
        with watched.tracer.start_as_current_span("POST /orders"):
            await engine.start(checkout, 1, id="order")
        await trio.sleep(10)
    for seconds in (10, 100):
        async with backend.engine(checkout, ship, charge, pack, **options) as engine:
            await trio.sleep(seconds)
    async with backend.engine(checkout, ship, charge, pack, **options) as engine:
        handle = await engine.get("order")
        await handle.signal("approve", "yes")
        await handle.result()
    tree = ["POST /orders", *(f"  {line}" for line in CHECKOUT_TREE)]
    tree.insert(tree.index("        attempt charge"), "        attempt charge")
    assert tree == watched.tree()
    assert 1 == len({span.context.trace_id for span in watched.spans})
    timer = watched.span("timer")
    assert 60 == pytest.approx((timer.end_time - timer.start_time) / 1e9, abs=0.1)


async def test_replays_are_silent(backend, autojump_clock, watched) -> None:
    """Every turn runs on a run that was just replayed, and the trace is what it is without."""
    options = {"telemetry": watched.telemetry, "replay_check": "always"}
    async with backend.engine(checkout, ship, charge, pack, **options) as engine:
        await run_checkout(engine, watched)
        await engine.replay_check.wait_idle()
        assert 0 == engine.statistics().replay_check.differences
    expected = ["POST /orders", *(f"  {line}" for line in CHECKOUT_TREE), "POST /approvals"]
    assert sorted(expected) == sorted(watched.tree())


def test_no_crash_makes_a_span_twice(watched) -> None:
    """Killed before and after each call of the store: what was told of once may be lost, and is never told of again."""

    async def orders(tester: Any) -> str:
        # Under a span, so that each run of the application has a trace of its own.
        try:
            with watched.tracer.start_as_current_span("client"):
                handle = await tester.start(checkout, 1, id="order", reuse="reject")
        except wf.WorkflowAlreadyStarted as error:
            handle = error.handle
        await trio.sleep(100)
        if not [event for event in await handle.history() if type(event) is SignalReceived]:
            await handle.signal("approve", "yes")
        return str(await tester.result(handle))

    report = assert_survives_crashes(orders, register=[checkout, ship, charge, pack], telemetry=watched.telemetry)
    assert report.crashes > 20
    ids = [(span.context.trace_id, span.context.span_id) for span in watched.spans]
    assert len(ids) == len(set(ids))
    assert report.crashes < len({trace_id for trace_id, _ in ids})


async def test_a_query_of_a_closed_workflow_tells_of_nothing(backend, autojump_clock, watched) -> None:
    """It replays all of it."""

    @wf.workflow
    async def closes() -> str:
        with wf.span("own"):
            item = await pack("book")
        wf.query(lambda: item, name="item")
        return item

    async with backend.engine(closes, pack, telemetry=watched.telemetry) as engine:
        handle = await engine.start(closes)
        await handle.result()
        await trio.sleep(1)
        before = len(watched.spans)
        assert "BOOK" == await handle.query("item")
        await trio.sleep(1)
    assert (5, before) == (before, len(watched.spans))


async def test_attempts_on_another_node_are_in_the_trace(backend, autojump_clock, watched) -> None:
    """One node runs the workflow, one its activities."""
    async with backend.shared() as store:
        limits = wf.Limits(activities=0)
        workflows = backend.engine(checkout, ship, limits=limits, store=store, telemetry=watched.telemetry)
        activities = backend.engine(charge, pack, workflows=False, store=store, telemetry=watched.telemetry)
        async with workflows as engine, activities:
            await run_checkout(engine, watched)
    expected = ["POST /orders", *(f"  {line}" for line in CHECKOUT_TREE), "POST /approvals"]
    assert sorted(expected) == sorted(watched.tree())


async def test_a_workflow_that_continues_as_new_stays_in_its_trace(backend, autojump_clock, watched) -> None:
    """Its runs lie beside each other, each linked to the one before."""
    async with backend.engine(continues, telemetry=watched.telemetry) as engine:
        with watched.tracer.start_as_current_span("client"):
            handle = await engine.start(continues)
        assert 3 == await handle.result()
    assert ["client", *(["  workflow continues", "    timer"] * 3)] == watched.tree()
    runs = sorted(
        (span for span in watched.spans if span.name == "workflow continues"), key=lambda span: span.start_time
    )
    ids = [span.context.span_id for span in runs]
    assert [[], ids[:1], ids[1:2]] == [[link.context.span_id for link in span.links] for span in runs]
    assert ["continued", "continued", "completed"] == [span.attributes["wfactors.status"] for span in runs]


async def test_nothing_is_told_of_before_it_is_durable(autojump_clock, watched, monkeypatch) -> None:
    """The engine runs ahead of its commits; its reports do not. Attempts start after the commit in any case."""
    store = wf.MemoryStore()
    may_commit = trio.Event()
    commit = store.commit

    async def slow(batch: Any) -> None:
        await may_commit.wait()
        await commit(batch)

    monkeypatch.setattr(store, "commit", slow)

    @wf.workflow
    async def quick() -> None:
        with wf.span("own"):
            await wf.checkpoint()

    async with wf.open_engine(store, register=[quick], clock=wf.TrioClock(), telemetry=watched.telemetry) as engine:
        handle = await engine.start(quick)
        await trio.sleep(10)
        assert [] == watched.tree()
        assert {} == watched.metrics().get("wfactors.workflow.ends", {})
        may_commit.set()
        await handle.result()
    assert ["workflow quick", "  own"] == watched.tree()
    assert {("quick", "completed"): 1} == watched.metrics()["wfactors.workflow.ends"]


# --- Ids -------------------------------------------------------------------------------------------------------------


@wf.workflow
async def reads_ids() -> list[str]:
    with wf.span("one") as one:
        await wf.sleep(1)
        with wf.span("one") as two, wf.span("three") as three:
            await wf.sleep(1)
            assert "<wfactors.Span 'three' " in repr(three)
            return [one.trace_id, one.span_id, two.span_id, three.span_id]


@pytest.mark.parametrize("is_on", [True, False])
async def test_ids_can_be_read_in_the_workflow(backend, autojump_clock, watched, is_on) -> None:
    """The same in every replay, with telemetry and without; they are those of the spans that are told of."""
    telemetry = watched.telemetry if is_on else None
    async with backend.engine(reads_ids, telemetry=telemetry, replay_check="always") as engine:
        handle = await engine.start(reads_ids)
        trace_id, *ids = await handle.result()
    assert (handle.instance, 3) == (trace_id, len(set(ids)))
    own = [span for span in watched.spans if span.name in {"one", "three"}]
    own.sort(key=lambda span: (-span.end_time + span.start_time, span.name))
    assert (ids if is_on else []) == [f"{span.context.span_id:016x}" for span in own]


async def test_the_logger_names_the_span_that_it_is_in(backend, autojump_clock, watched, caplog) -> None:
    """The workflow's or the author's own; without telemetry the sender's."""
    caplog.set_level(logging.INFO, "wfactors.workflow")

    @wf.workflow
    async def talks() -> None:
        wf.logger.info("outside")
        with wf.span("own"):
            wf.logger.info("inside")

    with watched.tracer.start_as_current_span("client") as client:
        async with backend.engine(talks, telemetry=watched.telemetry) as engine:
            await engine.run(talks)
    spans = [watched.span("workflow talks"), watched.span("own")]
    trace_id = f"{client.get_span_context().trace_id:032x}"
    assert [(trace_id, f"{span.context.span_id:016x}") for span in spans] == [
        (record.trace_id, record.span_id) for record in caplog.records if record.name == "wfactors.workflow"
    ]


# --- With and without ------------------------------------------------------------------------------------------------


def comparable(events: Sequence[Any]) -> bytes:
    """The bytes of a history, without what no two runs have in common."""
    begin = events[0].time
    same = []
    for event in events:
        fields = {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
        changes = {name: round(fields[name] - begin, 3) for name in ("time", "at") if name in fields}
        changes |= {name: "" for name in ("instance", "message", "update") if name in fields}
        same.append(attrs.evolve(event, **changes))
    return encode_events(same)


async def test_telemetry_changes_no_history(backend, autojump_clock, watched) -> None:
    """Not one byte of it: not of the events, and not of the context that came with the start."""
    histories = []
    for telemetry in (watched.telemetry, None):
        async with backend.engine(checkout, ship, charge, pack, telemetry=telemetry) as engine:
            handle = await engine.start(checkout, 1, id="order")
            await trio.sleep(100)
            await handle.signal("approve", "yes")
            await handle.result()
            histories.append(comparable(await handle.history()))
    assert histories[0] == histories[1]


@pytest.mark.parametrize("order", [(True, False, True), (False, True, False)])
async def test_telemetry_can_come_and_go(backend, autojump_clock, watched, order) -> None:
    """A history recorded with it is replayed without it, and the reverse."""
    for is_on, seconds in zip(order, (10, 100, 1), strict=True):
        telemetry = watched.telemetry if is_on else None
        options = {"telemetry": telemetry, "replay_check": "always"}
        async with backend.engine(checkout, ship, charge, pack, **options) as engine:
            if seconds == 10:
                await engine.start(checkout, id="order")
            handle = await engine.get("order")
            await trio.sleep(seconds)
            if seconds == 1:
                await handle.signal("approve", "yes")
                await handle.result()
            await engine.replay_check.wait_idle()
            assert 0 == engine.statistics().replay_check.differences
    assert order[0] == ("workflow checkout" in {span.name for span in watched.spans})


# --- Context ---------------------------------------------------------------------------------------------------------


@wf.activity
async def who() -> list[str | None]:
    current = trace.get_current_span().get_span_context()
    user = baggage.get_baggage("user")
    return [None if user is None else str(user), f"{current.trace_id:032x}", f"{current.span_id:016x}"]


@wf.workflow
async def asks_who() -> tuple[dict[str, str], list[str | None]]:
    return dict(wf.context()), await who()


async def test_the_span_of_an_attempt_is_current_in_it(backend, autojump_clock, watched) -> None:
    """With the baggage of the client, and without what was current where the engine was opened."""
    with watched.tracer.start_as_current_span("opening"):
        token = context.attach(baggage.set_baggage("user", "the operator"))
        opening = backend.engine(asks_who, who, telemetry=watched.telemetry)
        engine = await opening.__aenter__()
        context.detach(token)
    try:
        token = context.attach(baggage.set_baggage("user", "ada"))
        _, with_baggage = await engine.run(asks_who)
        context.detach(token)
        _, without = await engine.run(asks_who)
    finally:
        await opening.__aexit__(None, None, None)
    assert ("ada", None) == (with_baggage[0], without[0])
    attempts = [span.context for span in watched.spans if span.name == "attempt who"]
    assert [[f"{it.trace_id:032x}", f"{it.span_id:016x}"] for it in attempts] == [with_baggage[1:], without[1:]]


async def test_a_client_sends_along_where_it_is(backend, autojump_clock, watched) -> None:
    """One without an engine too. What the caller says itself goes first."""
    given = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tenant": "a"}
    async with backend.shared() as store, backend.engine(asks_who, who, store=store, telemetry=watched.telemetry):
        async with wf.open_client(store, telemetry=wf.Telemetry()) as client:
            with watched.tracer.start_as_current_span("client") as span:
                seen, _ = await client.run(asks_who, context={"tenant": "a"})
                token = context.attach(baggage.set_baggage("user", "ada", context.get_current()))
                seen_given, _ = await client.run(asks_who, context=given)
                context.detach(token)
        async with wf.open_client(store) as client:
            with watched.tracer.start_as_current_span("silent"):
                silent, _ = await client.run(asks_who)
    ids = span.get_span_context()
    assert {"tenant", "traceparent"} == set(seen)
    assert seen["traceparent"].startswith(f"00-{ids.trace_id:032x}-{ids.span_id:016x}-")
    assert (given, {}) == (seen_given, silent)


async def test_what_is_not_sampled_is_not_told_of(backend, autojump_clock) -> None:
    """A client's decision holds for the whole trace; and so does ours where there is none."""
    watched = Watched(sampler=ParentBased(TraceIdRatioBased(0.5)))
    unsampled = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00"}
    sampled = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": "vendor=1"}
    async with backend.engine(ship, pack, telemetry=watched.telemetry) as engine:
        await engine.run(ship, "book", context=unsampled)
        await trio.sleep(1)
        assert () == watched.spans
        await engine.run(ship, "book", context=sampled)
        await trio.sleep(1)
        assert {"vendor": "1"} == dict(watched.span("attempt pack").context.trace_state)
        watched.exporter.clear()
        handles = [await engine.start(ship, "book") for _ in range(64)]
        for handle in handles:
            await handle.result()
        await trio.sleep(1)
    told = {f"{span.context.trace_id:032x}" for span in watched.spans}
    assert 3 * len(told) == len(watched.spans)
    assert 0 < len(told) < 64


# --- Trouble ---------------------------------------------------------------------------------------------------------


class Raises(SpanProcessor):
    """Fails at every turn, in one way and then in another."""

    def __init__(self) -> None:
        self._errors = cycle([OSError("no collector"), ValueError("no span")])

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise next(self._errors)


async def test_a_processor_that_raises_harms_nobody(backend, autojump_clock, caplog) -> None:
    """Each type of error is said once."""
    watched = Watched(processors=[Raises()])
    async with backend.engine(ship, pack, telemetry=watched.telemetry) as engine:
        for _ in range(2):
            assert "BOOK" == await engine.run(ship, "book")
    records = [record for record in caplog.records if record.name == "wfactors.telemetry"]
    assert [OSError, ValueError] == [record.exc_info[0] for record in records]
    assert all("telemetry failed" in record.getMessage() for record in records)
    assert () == watched.spans


class Dislikes(SpanProcessor):
    """Fails at spans of one name."""

    def on_end(self, span: Any) -> None:
        if span.name == "bad":
            raise OSError("not this one")


async def test_a_processor_that_raises_at_one_span_keeps_no_other_back(backend, autojump_clock, caplog) -> None:
    """Those that ended in the same turn are told of."""

    @wf.workflow
    async def main() -> None:
        for name in ("good", "bad", "better"):
            with wf.span(name):
                pass

    watched = Watched(processors=[Dislikes()])
    async with backend.engine(main, telemetry=watched.telemetry) as engine:
        await engine.run(main)
    assert {"good", "better", "workflow main"} == {span.name for span in watched.spans}
    assert ["wfactors.telemetry"] == [record.name for record in caplog.records if record.exc_info]


async def test_an_exporter_that_raises_harms_nobody(backend, autojump_clock, watched, monkeypatch, caplog) -> None:
    """OpenTelemetry itself catches that, and logs it."""

    def fail(spans: object) -> None:
        raise OSError("no collector")

    monkeypatch.setattr(watched.exporter, "export", fail)
    async with backend.engine(ship, pack, telemetry=watched.telemetry) as engine:
        assert "BOOK" == await engine.run(ship, "book")
    assert {"no collector"} == {str(record.exc_info[1]) for record in caplog.records if record.exc_info}


async def test_a_span_that_raises_harms_nobody(backend, autojump_clock, watched, monkeypatch, caplog) -> None:
    """Spans of attempts run, so somebody else's code is asked again when they end."""

    def fail(span: object, key: str, value: object) -> None:
        raise OSError("no collector")

    monkeypatch.setattr("opentelemetry.sdk.trace.Span.set_attribute", fail)
    async with backend.engine(ship, pack, telemetry=watched.telemetry) as engine:
        assert "BOOK" == await engine.run(ship, "book")
    assert ["wfactors.telemetry"] == [record.name for record in caplog.records if record.exc_info]
    assert watched.span("attempt pack").end_time


async def test_an_engine_that_is_cancelled_ends_the_spans_of_its_attempts(backend, autojump_clock, watched) -> None:
    """They say that they were dropped; the next attempt has another id."""

    @wf.workflow
    async def waits() -> None:
        await hang()

    for _ in range(2):
        with trio.move_on_after(5):
            async with backend.engine(waits, hang, telemetry=watched.telemetry, grace=0) as engine:
                await engine.start(waits, id="waits", on_conflict="use_existing")
                await trio.sleep_forever()
    assert [(1, "dropped"), (2, "dropped")] == [
        (span.attributes["wfactors.attempt"], span.attributes["wfactors.outcome"]) for span in watched.spans
    ]
