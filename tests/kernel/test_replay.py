"""Replay: the same facts make the same decisions, and other code is found out at its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wfactors as wf
from tests.kernel.story import Story, boom, close_all, payload, replay
from wfactors.errors import NonDeterminismError, StoreCorrupt
from wfactors.kernel import run as kernel_run
from wfactors.kernel.decisions import describe
from wfactors.model import events
from wfactors.model.events import ActivityScheduled, PatchApplied, RunCompleted, SideEffectRecorded


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


@wf.activity
async def step(n: int) -> int:
    return n


@wf.activity
async def other(n: int) -> int:
    return n


@wf.workflow
async def child(n: int) -> int:
    return n


@wf.workflow(name="other_child")
async def other_child(n: int) -> int:
    return n


def coded(function: Callable[[], Any]) -> Any:
    """A version of the code of one workflow."""
    return wf.workflow(name="versioned")(function)


def difference(story: Story, code: Any, *, is_strict: bool = False) -> NonDeterminismError:
    """Replay on other code, which must be found out."""
    run = story.open(code, is_strict=is_strict)
    with pytest.raises(NonDeterminismError) as caught:
        replay(run, story.turns)
    return caught.value


# --- The same --------------------------------------------------------------------------------------------------------


@wf.workflow
async def everything(n: int) -> list[object]:
    seen: list[object] = [await wf.side_effect(lambda: n + 1), wf.random(), str(wf.uuid4()), wf.patched("new")]
    wf.set_attributes(stage="begun")

    @wf.update
    async def double(x: int) -> int:
        return x * 2

    with wf.move_on_after(30):
        seen.append(await step(n))
    handle = await wf.start_child(child, 1, id="c")
    await handle.signal("hello", n)
    await handle.cancel()
    seen.append(await handle.result())
    seen.append(await wf.signals("go", int).receive())
    with wf.move_on_after(5):
        await step(2)
    try:
        await wf.side_effect(int, "text")
    except wf.SideEffectError as error:
        seen.append(error.type)
    await wf.cancel("another", "why")
    seen.append(wf.random.randrange(1000))
    return seen


def told() -> Story:
    story = Story(everything).start(4).completed(1, 40).child_started(2).accepted(3).signal("go", 9)
    return story.child_completed(2, 1).update("double", 21).after(10).timer(1).stopped(4).accepted(6)


@pytest.mark.parametrize("is_strict", [False, True])
def test_a_replay_makes_the_recorded_decisions(is_strict):
    """Twice over, and the result is the same to the last random number."""
    story = told()
    assert isinstance(story.run.final, RunCompleted)
    for _ in range(2):
        run = story.replay(is_strict=is_strict)
        assert run.final == story.run.final
        assert run.events == story.run.events
        assert run.is_replaying


def test_a_replay_can_stop_anywhere_and_go_on_live():
    """That is what an instance does that comes back into memory."""
    turns = told().turns
    for length in range(1, len(turns)):
        story = Story(everything)
        replay(story.run, turns[:length])
        live = [story.run.feed(fact) for fact, _ in turns[length:]]
        assert live == [decisions for _, decisions in turns[length:]]


def test_turns_in_parts_are_the_same(monkeypatch):
    """Live and replayed, however small the parts."""
    whole = told()
    monkeypatch.setattr(kernel_run, "_STEPS_AT_ONCE", 1)
    parts = told()
    assert whole.turns == parts.turns
    assert whole.run.final == whole.replay(is_strict=True).final


def test_a_side_effect_runs_once():
    """A replay takes what is recorded."""
    calls = []

    def draw() -> int:
        calls.append(1)
        return len(calls)

    @wf.workflow
    async def drawing() -> list[int]:
        return [await wf.side_effect(draw), await wf.side_effect(draw)]

    story = Story(drawing).start()
    assert story.decisions[:2] == [
        SideEffectRecorded(0, "draw", payload(1)),
        SideEffectRecorded(1, "draw", payload(2)),
    ]
    assert story.replay(is_strict=True).final == RunCompleted(payload([1, 2]))
    assert len(calls) == 2


def test_arguments_are_not_encoded_in_a_replay():
    """Unless it is strict, which then finds them changed."""
    value = 1

    @wf.workflow
    async def moody() -> int:
        return await step(value)

    story = Story(moody).start().completed(0, 5)
    value = 2
    assert story.replay().final == RunCompleted(payload(5))
    error = difference(story, moody, is_strict=True)
    assert (error.position, error.recorded) == (1, "call 0: activity 'step' with [1]")
    assert error.issued == "call 0: activity 'step' with [2]"


def test_an_error_of_conversion_is_raised_again():
    """It left no decision, and its number is not that of the call that follows."""

    @wf.workflow
    async def careless() -> int:
        try:
            return await step("text")
        except wf.ConversionError:
            return await step(1)

    story = Story(careless).start().completed(1, 5)
    assert story.turns[0][1] == [ActivityScheduled(1, "step", "home", payload([1]))]
    assert story.replay().final == RunCompleted(payload(5))


def test_wrong_arguments_are_a_type_error_in_a_replay_too():
    """They are refused before anything is recorded."""

    @wf.workflow
    async def careless() -> int:
        try:
            return await step(1, 2, 3)
        except TypeError:
            return await step(1)

    story = Story(careless).start().completed(0, 5)
    assert story.replay().final == RunCompleted(payload(5))


# --- Differences -----------------------------------------------------------------------------------------------------


def base(story_of: Callable[[Story], Story], function: Callable[[], Any]) -> Story:
    return story_of(Story(coded(function)))


async def _nothing() -> None:
    return None


async def _step() -> int:
    return await step(1)


async def _other() -> int:
    return await other(1)


async def _child() -> int:
    return await child(1)


async def _other_child() -> int:
    return await other_child(1)


async def _child_with_id() -> int:
    return await child.options(id="x")(1)


async def _sleep() -> None:
    await wf.sleep(60)


async def _sleep_longer() -> None:
    await wf.sleep(61)


async def _sleep_a_little_longer() -> None:
    await wf.sleep(60.0001)


async def _forever() -> None:
    await wf.sleep_forever()


async def _signal() -> None:
    await wf.signal("a", "hello")


async def _signal_other() -> None:
    await wf.signal("a", "bye")


async def _cancel() -> None:
    await wf.cancel("a")


async def _cancel_other() -> None:
    await wf.cancel("b")


async def _effect() -> int:
    return await wf.side_effect(len, "abc")


async def _effect_other() -> int:
    return await wf.side_effect(max, 1, 2)


async def _attributes() -> None:
    wf.set_attributes(a=1)


async def _fail() -> None:
    raise ValueError("no")


async def _fail_otherwise() -> None:
    raise KeyError("no")


async def _continue() -> None:
    wf.continue_as_new()


async def _impatient() -> None:
    with wf.move_on_after(5):
        await step(1)


async def _patient() -> None:
    await step(1)
    await wf.sleep_forever()


async def _impatient_child() -> None:
    with wf.move_on_after(5):
        await child(1)


async def _patient_child() -> None:
    with wf.move_on_after(5), wf.CancelScope(shield=True):
        await child(1)


def _update_of(outcome: str) -> Callable[[], Any]:
    async def updated() -> None:
        @wf.update
        def change() -> str:
            if outcome == "fail":
                raise ValueError("no")
            return outcome

        if outcome == "signal":
            await wf.signal("a", "b")
        await wf.sleep_forever()

    return updated


CASES = [
    ("activity", _step, _other, "call 0: activity 'step'", "call 0: activity 'other'"),
    ("nothing more", _nothing, _step, "the workflow returned", "call 0: activity 'step'"),
    ("nothing less", _step, _forever, "call 0: activity 'step'", None),
    ("child", _child, _other_child, "call 0: child workflow 'child'", "call 0: child workflow 'other_child'"),
    ("id", _child, _child_with_id, "call 0: child workflow 'child'", "call 0: child workflow 'child' with the id 'x'"),
    ("kind", _step, _child, "call 0: activity 'step'", "call 0: child workflow 'child'"),
    (
        "timer",
        _sleep,
        _sleep_longer,
        "timer 0 set to 2023-11-14T22:14:20.000+00:00",
        "timer 0 set to 2023-11-14T22:14:21",
    ),
    ("timer by less", _sleep, _sleep_a_little_longer, "with 1700000060.0", "with 1700000060.0001"),
    ("no timer", _sleep, _forever, "timer 0 set to 2023-11-14T22:14:20.000+00:00", None),
    (
        "signal",
        _signal,
        _signal_other,
        "call 0: signal 'hello' to workflow 'a'",
        "call 0: signal 'bye' to workflow 'a'",
    ),
    ("cancel", _cancel, _cancel_other, "call 0: cancel workflow 'a'", "call 0: cancel workflow 'b'"),
    ("side effect", _effect, _effect_other, "call 0: side effect 'len'", "call 0: side effect 'max'"),
    ("attributes", _attributes, _nothing, "attributes set", "the workflow returned"),
    ("failed", _fail, _nothing, "the workflow failed with builtins.ValueError", "the workflow returned"),
    ("failure", _fail, _fail_otherwise, "failed with builtins.ValueError", "failed with builtins.KeyError"),
    ("continued", _continue, _nothing, "the workflow continued as new ('versioned')", "the workflow returned"),
    ("returned", _nothing, _continue, "the workflow returned", "the workflow continued as new ('versioned')"),
]


@pytest.mark.parametrize(("name", "old", "new", "recorded", "issued"), CASES, ids=[case[0] for case in CASES])
def test_changed_code_is_found_out(name, old, new, recorded, issued):
    """Whatever kind of decision differs, both sides are told, and where in the history."""
    error = difference(base(Story.start, old), coded(new))
    assert error.position == 1
    assert recorded in error.recorded
    assert error.issued == issued or (issued is not None and issued in error.issued)


@pytest.mark.parametrize(
    ("old", "new", "recorded", "position"),
    [
        (_impatient, _patient, "timer 0 set", 2),
        (_impatient_child, _patient_child, "cancel the child workflow of call 0", 4),
    ],
)
def test_a_missing_cancellation_is_found_out(old, new, recorded, position):
    """The scope around the call is gone, or shielded now."""
    error = difference(base(lambda story: story.start().after(10).timer(0), old), coded(new))
    assert (recorded in error.recorded, error.position) == (True, position)


def test_an_additional_cancellation_is_found_out():
    """In the abort function, of which the author's code sees nothing."""
    story = base(lambda story: story.start().after(10).timer(0), _patient_child)
    error = difference(story, coded(_impatient_child))
    assert (error.recorded, error.issued) == (None, "cancel the child workflow of call 0")
    assert "_impatient_child (waiting)" in error.where


def test_a_timer_that_is_no_longer_cancelled_is_found_out():
    """The scope now ends later than it did."""

    async def old() -> None:
        with wf.move_on_after(60):
            await step(1)
        await wf.sleep_forever()

    async def new() -> None:
        with wf.move_on_after(60):
            await step(1)
            await wf.sleep_forever()

    error = difference(base(lambda story: story.start().completed(0, 1), old), coded(new))
    assert (error.recorded, error.issued, error.position) == ("timer 0 cancelled", None, 4)


def test_the_first_difference_of_a_turn_is_told():
    """The run has ended too early as well, but its timer went first."""

    async def old() -> None:
        with wf.move_on_after(60):
            await step(1)
            await step(2)

    async def new() -> None:
        with wf.move_on_after(60):
            await step(1)

    error = difference(base(lambda story: story.start().completed(0, 1), old), coded(new))
    assert (error.recorded, error.issued) == ("call 1: activity 'step'", "timer 0 cancelled")


@pytest.mark.parametrize(
    ("old", "new", "recorded", "issued"),
    [
        ("done", "fail", "update 'update-1' completed", "update 'update-1' completed with builtins.ValueError"),
        ("fail", "done", "update 'update-1' completed with builtins.ValueError", "update 'update-1' completed"),
    ],
)
def test_an_update_that_ends_otherwise_is_found_out(old, new, recorded, issued):
    """Found after the handler has returned, outside of the author's code."""
    story = base(lambda story: story.start().update("change"), _update_of(old))
    error = difference(story, coded(_update_of(new)))
    assert (error.recorded, error.issued) == (recorded, issued)


def test_a_run_that_is_not_cancelled_any_more_is_found_out():
    """It returns instead of passing Cancelled on."""

    async def old() -> None:
        await wf.sleep_forever()

    async def new() -> None:
        with wf.CancelScope(shield=True):
            await wf.sleep_forever()

    error = difference(base(lambda story: story.start().cancel(), old), coded(new))
    assert (error.recorded, error.issued) == ("the workflow was cancelled", None)


def test_a_cancellation_recorded_with_another_failure_is_found_out():
    """Where the words of both sides are the same, the types of the failures are told."""

    async def idle() -> None:
        await wf.sleep_forever()

    story = Story(coded(idle)).start().cancel()
    run = story.open()
    run.feed(story.turns[0][0], [])
    with pytest.raises(NonDeterminismError) as caught:
        run.feed(story.turns[1][0], [events.RunCancelled(boom())])
    words = "the workflow was cancelled with "
    assert words + "builtins.ValueError" == caught.value.recorded
    assert words + "wfactors.errors.Cancelled" == caught.value.issued


def test_a_second_start_is_no_history():
    """Nor does the author's code run twice."""
    story = Story(coded(_step)).start()
    run = story.replay()
    with pytest.raises(StoreCorrupt, match="^event 2 is a second RunStarted: a run starts once$"):
        run.feed(*story.turns[0])


def test_the_author_s_code_cannot_go_on():
    """It is stopped at the line, whatever it catches; the line is told."""
    after = []

    async def swallowing() -> None:
        for _ in range(3):
            try:
                await other(1)
            except BaseException:  # noqa: BLE001  The point of the test.
                after.append("caught")
            await wf.checkpoint()
            after.append("went on")

    error = difference(base(Story.start, _step), coded(swallowing))
    assert after == ["caught"]
    assert f"{__file__}:" in error.where
    assert error.where.endswith("swallowing")


def test_the_position_is_that_in_the_whole_history():
    """Facts and decisions of the turns before it count."""

    async def old() -> None:
        await step(1)
        await step(2)

    async def new() -> None:
        await step(1)
        await other(2)

    error = difference(base(lambda story: story.start().completed(0, 1).completed(1, 1), old), coded(new))
    assert error.position == 3


def test_a_broken_run_stays_broken():
    """It has to be built again."""
    story = base(Story.start, _step)
    run = story.open(coded(_other))
    with pytest.raises(NonDeterminismError):
        run.feed(*story.turns[0])
    with pytest.raises(NonDeterminismError):
        run.feed(events.SignalReceived(story.time, "x", payload(1), "m"))


def test_a_fact_that_the_code_does_not_wait_for():
    """The outcome of a call that was never made is told as what the history has."""

    async def idle() -> None:
        await wf.sleep_forever()

    story = Story(coded(_step)).start().completed(0, 1)
    run = story.open(coded(idle))
    run.feed(story.turns[0][0], [])
    with pytest.raises(NonDeterminismError) as caught:
        run.feed(*story.turns[1])
    assert (caught.value.recorded, caught.value.issued) == ("ActivityCompleted of call 0", "no call 0 was made")


def test_a_handle_that_is_not_cancelled_any_more_is_found_out():
    """Or is cancelled now: at that line."""

    async def old() -> None:
        handle = await wf.start_child(child, 1)
        await handle.cancel()
        await handle.cancel()
        await handle.result()

    async def new() -> None:
        handle = await wf.start_child(child, 1)
        await handle.result()

    assert difference(base(Story.start, old), coded(new)).recorded == "cancel the child workflow of call 0"
    assert difference(base(Story.start, new), coded(old)).issued == "cancel the child workflow of call 0"


def test_a_missing_cancellation_of_an_activity_is_found_out():
    """The timer is set in both, and only the old code cancels by it."""

    async def old() -> None:
        with wf.move_on_after(5):
            await step(1)

    async def new() -> None:
        with wf.move_on_after(5), wf.CancelScope(shield=True):
            await step(1)

    error = difference(base(lambda story: story.start().after(10).timer(0), old), coded(new))
    assert error.recorded == "cancel the activity of call 0"


def test_an_update_that_is_stopped_by_a_difference_records_nothing():
    """Its step ends by the halt, which is nobody's outcome."""

    def updated(call: Any) -> Any:
        async def versioned() -> None:
            @wf.update
            async def change() -> int:
                return await call(1)

            await wf.sleep_forever()

        return versioned

    story = base(lambda story: story.start().update("change"), updated(step))
    assert difference(story, coded(updated(other))).issued == "call 0: activity 'other'"


def test_the_mark_of_a_patch_in_words():
    """It is passed by rather than missed, so no error shows it."""
    assert describe(PatchApplied("x")) == "patch 'x' applied"


def test_of_many_waiting_tasks_a_few_are_told():
    """The place is for people."""

    async def old() -> None:
        async with wf.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(wf.sleep_forever)
            nursery.start_soon(step, 1)

    async def new() -> None:
        async with wf.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(_forever)

    assert "and 5 more tasks" in difference(base(Story.start, old), coded(new)).where


def test_of_a_waiting_task_all_lines_that_led_there_are_told():
    """Also where the difference only shows when all tasks wait: the timer that the history does not have."""

    async def outer() -> None:
        await inner()

    async def inner() -> None:
        await wf.sleep(60)

    error = difference(base(Story.start, _step), coded(outer))
    functions = [line.rpartition("<locals>.")[2] for line in error.where.splitlines()]
    assert functions == ["outer", "inner (waiting)"]


def test_of_a_task_without_the_author_s_code_no_line_is_told():
    """It sleeps in a function of the engine, which the author cannot change."""

    async def new() -> None:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(wf.sleep_forever)

    error = difference(base(Story.start, _step), coded(new))
    (line,) = error.where.splitlines()
    assert line.endswith("new (waiting)")


# --- Patches ---------------------------------------------------------------------------------------------------------


async def _patched() -> int:
    if wf.patched("change"):
        first = await other(1)
    else:
        first = await step(1)
    return first + (100 if wf.patched("change") else 0)


def test_a_new_run_takes_the_new_branch():
    """The mark is recorded once."""
    story = Story(coded(_patched)).start()
    assert story.decisions == [PatchApplied("change"), ActivityScheduled(0, "other", "home", payload([1]))]
    assert story.completed(0, 1).result == 101
    assert story.replay(is_strict=True).final == RunCompleted(payload(101))


def test_an_old_run_takes_the_old_branch():
    """Also where it asks again in a live turn."""
    story = Story(coded(_step)).start()
    run = story.open(coded(_patched))
    run.feed(*story.turns[0])
    assert run.feed(events.ActivityCompleted(story.time, 0, payload(1))) == [RunCompleted(payload(1))]


def test_the_question_may_go_when_no_old_run_is_left():
    """Its mark is passed by, wherever it stands."""

    async def settled() -> int:
        return await other(1) + 100

    story = Story(coded(_patched)).start().completed(0, 1)
    assert story.replay(coded(settled)).final == RunCompleted(payload(101))


def test_a_mark_at_the_end_of_a_turn_is_passed_by():
    """The code asked before it waited, and no longer does."""

    async def old() -> None:
        wf.patched("x")
        wf.patched("y")
        await wf.sleep_forever()

    story = base(Story.start, old)
    assert story.decisions == [PatchApplied("x"), PatchApplied("y")]
    story.replay(coded(_forever))


def test_questions_may_change_their_order():
    """Marks that stand together are found in any order."""

    async def old() -> list[bool]:
        return [wf.patched("x"), wf.patched("y")]

    async def new() -> list[bool]:
        return [wf.patched("y"), wf.patched("x")]

    story = base(Story.start, old)
    assert story.replay(coded(new)).final == RunCompleted(payload([True, True]))


def test_failures_are_compared_by_type():
    """The message may say something else."""

    async def reworded() -> None:
        raise ValueError("certainly not")

    story = base(Story.start, _fail)
    assert story.failure.message == "no"
    assert story.replay(coded(reworded)).final == story.run.final


def test_a_failed_call_replays():
    """The failure is raised again at the call."""

    async def caught() -> str:
        try:
            await step(1)
        except wf.ActivityError as error:
            return error.message
        return ""

    story = base(lambda story: story.start().failed(0, boom("x")), caught)
    assert story.replay(is_strict=True).final == RunCompleted(payload("x"))
