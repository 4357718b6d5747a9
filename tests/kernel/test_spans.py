"""Spans of the author's own, as the kernel keeps them."""

from __future__ import annotations

import gc
import math
import weakref
from contextlib import suppress
from typing import Any

import pytest

import wfactors as wf
from tests.kernel.story import Story, close_all
from wfactors.errors import QueryError, WorkflowMisuseError
from wfactors.registry import Registry
from wfactors.workflow import Application


@pytest.fixture(autouse=True)
def _close() -> Any:
    yield
    close_all()


@wf.activity
async def step(number: int) -> int:
    raise AssertionError("runs nowhere here")


def ended(story: Story) -> list[str]:
    """The names of the spans that ended in the last turn."""
    spans = story.run.calls.spans
    return [] if spans is None else [span.name for span in spans.ended]


def test_what_ended_in_a_turn_is_kept_until_the_next():
    """With its times, and where it was."""

    @wf.workflow
    async def main() -> None:
        with wf.span("outer"):
            with wf.span("inner", {"a": 1}) as inner:
                await step(1)
                inner.set_attribute("b", 2)
            await step(2)

    story = Story(main).start()
    assert [] == ended(story)
    story.completed(0, 0)
    (inner,) = story.run.calls.spans.ended
    assert ("inner", {"a": 1, "b": 2}, 1.0) == (inner.name, inner.attributes, inner.ended_at - inner.started_at)
    assert ("outer", None) == (inner.parent.name, inner.parent.parent)
    story.completed(1, 0)
    assert ["outer"] == ended(story)


def test_calls_know_their_span_in_the_turn_that_makes_them():
    """Those outside of any have none."""

    @wf.workflow
    async def main() -> None:
        await step(0)
        with wf.span("one"):
            await wf.gather(step(1), step(2))

    story = Story(main).start().completed(0, 0)
    assert {1: "one", 2: "one"} == {call: span.name for call, span in story.run.calls.spans.calls.items()}
    story.completed(1, 0)
    assert {} == story.run.calls.spans.calls


def test_timers_know_their_span_in_the_turn_that_sets_them():
    """The innermost around their scope; one outside of any has none, nor has a deadline that moves without a timer."""

    @wf.workflow
    async def main() -> None:
        with wf.move_on_after(50):
            with wf.span("outer"), wf.move_on_after(20), wf.span("inner"), wf.move_on_after(10):
                pass
            with wf.span("later"), wf.move_on_after(30), wf.span("within"):
                with wf.move_on_after(60) as scope:
                    scope.deadline = math.inf
                with wf.move_on_after(1):
                    await step(1)
            await step(2)

    story = Story(main).start()
    spans = story.run.calls.spans
    assert ["later", "within"] == sorted(span.name for span in spans.timers.values())
    story.completed(0, 0)
    assert {} == spans.timers


def test_a_span_tells_its_ids():
    """As OpenTelemetry writes them, and as it takes them; all spans of a workflow are of one trace."""
    seen: list[wf.Span] = []

    @wf.workflow
    async def main() -> None:
        seen.extend((wf.span("one"), wf.span("two")))

    Story(main).start()
    one, two = seen
    assert one.trace_id == two.trace_id
    assert (32, 16, one.number) == (len(one.trace_id), len(one.span_id), int(one.span_id, 16))
    assert f"<wfactors.Span 'one' {one.span_id}>" == repr(one)


def test_ids_are_counted_by_name():
    """So a span that is new in the code leaves the ids of the others what they were."""
    ids: list[list[str]] = []

    def workflow(*names: str) -> Any:
        @wf.workflow(name="main")
        async def main() -> None:
            ids.append([wf.span(name).span_id for name in names])

        return main

    Story(workflow("a", "a", "b")).start()
    Story(workflow("new", "a", "a", "b")).start()
    assert ids[0] == ids[1][1:]
    assert 4 == len(set(ids[1]))


def test_spans_are_the_same_in_a_replay():
    """Also their times; what an exception says is not asked for again."""

    @wf.workflow
    async def main() -> None:
        with wf.span("outer"):
            try:
                with wf.span("inner"):
                    await step(1)
            except wf.ActivityError:
                await step(2)

    story = Story(main, Application(Registry([main]), is_traced=True)).start().failed(0)
    (live,) = story.run.calls.spans.ended
    replayed = story.replay()
    (again,) = replayed.calls.spans.ended
    assert (live.span_id, live.started_at, live.ended_at) == (again.span_id, again.started_at, again.ended_at)
    assert (True, None) == (live.failure is not None, again.failure)
    assert ["outer"] == [span.name for span in replayed.calls.spans.open]


class Fickle(Exception):
    """Its words come from the workflow."""

    asked = 0

    def __str__(self) -> str:
        Fickle.asked += 1
        return f"number {wf.random()}"


@pytest.mark.parametrize("is_traced", [False, True])
def test_the_words_of_an_exception_leave_the_workflow_alone(is_traced: bool):
    """A replay does not ask for them, and without telemetry nobody does."""

    @wf.workflow
    async def main() -> None:
        with suppress(Fickle), wf.span("tried"):
            raise Fickle
        await step(int(wf.random() * 1e9))

    Fickle.asked = 0
    story = Story(main, Application(Registry([main]), is_traced=is_traced)).start()
    assert (is_traced, is_traced) == (Fickle.asked > 0, story.run.calls.spans.ended[0].failure is not None)
    story.replay(is_strict=True)


def test_what_leaves_a_block_as_control_flow_is_no_failure():
    """Cancellation, and the next run."""

    @wf.workflow
    async def main() -> None:
        with wf.span("cancelled"), wf.move_on_after(1), wf.span("inside"):
            await wf.sleep_forever()
        with wf.span("continued"):
            wf.continue_as_new()

    story = Story(main, Application(Registry([main]), is_traced=True)).start().after(5).timer(0)
    assert [("inside", None), ("cancelled", None), ("continued", None)] == [
        (span.name, span.failure) for span in story.run.calls.spans.ended
    ]


def test_a_run_that_leaves_memory_ends_no_span():
    """Its blocks are left, but that is not part of the run: nobody asks what went wrong on the way."""
    left: list[str] = []

    @wf.workflow
    async def main() -> None:
        with suppress(Fickle), wf.span("open"):
            try:
                await wf.sleep_forever()
            finally:
                left.append("left")
                raise Fickle

    Fickle.asked = 0
    story = Story(main, Application(Registry([main]), is_traced=True)).start()
    spans = story.run.calls.spans
    story.run.close()
    assert (["left"], [], 0) == (left, spans.ended, Fickle.asked)


def test_a_run_that_has_ended_is_freed_at_once():
    """No garbage collection has to find it, which would look at every workflow in memory."""

    @wf.workflow
    async def main() -> None:
        with wf.span("outer"), wf.span("inner"):
            await wf.sleep(1)

    story = Story(main).start().timer(0)
    gc.collect()
    gc.disable()
    try:
        scheduler = weakref.ref(story.run.scheduler)
        story.run.close()
        close_all()
        del story
        assert scheduler() is None
    finally:
        gc.enable()


def test_a_span_is_used_once():
    """As a cancel scope is."""

    @wf.workflow
    async def main() -> str:
        span = wf.span("once")
        with span:
            pass
        with pytest.raises(RuntimeError, match="only be used for a single 'with' block"), span:
            pass
        return "done"

    assert "RunCompleted" in str(Story(main).start().decisions[-1])


def test_a_span_that_is_not_open_cannot_be_closed():
    """Whoever calls ``__exit__`` by hand is told."""

    @wf.workflow
    async def main() -> None:
        with pytest.raises(RuntimeError, match="leaving the 'with' block that opened it"):
            wf.span("never opened").__exit__(None, None, None)

    assert "RunCompleted" in str(Story(main).start().decisions[-1])


def test_a_span_needs_a_name():
    """One that can be a name."""

    @wf.workflow
    async def main() -> None:
        with pytest.raises(ValueError, match="must not be empty"):
            wf.span("")

    assert "RunCompleted" in str(Story(main).start().decisions[-1])


def test_only_a_workflow_has_spans():
    """Not what may only look, since its spans would count; not code outside."""

    @wf.workflow
    async def main() -> None:
        @wf.query
        def look() -> None:
            wf.span("looking")

        await wf.sleep_forever()

    story = Story(main).start()
    with pytest.raises(QueryError, match=r"may only look, so it cannot call span\(\)"):
        story.run.query("look", b"[]")
    with pytest.raises(WorkflowMisuseError, match=r"span\(\) works inside a workflow only"):
        wf.span("outside")
