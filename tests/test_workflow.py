"""What an author uses inside a workflow, and what it says outside of one."""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import wfactors as wf
import wfactors.workflow
from tests.kernel.story import BEGIN, Story, close_all, payload
from wfactors.errors import WorkflowMisuseError
from wfactors.model.events import AttributesSet, ChildScheduled, Parent, RunCompleted, RunContinued, SideEffectRecorded

# The name wfactors.workflow is the decorator; the module behind it is found by its full name.
module = sys.modules["wfactors.workflow"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


@wf.activity
async def step(n: int) -> int:
    return n


class Payments:
    @wf.activity(raises=(KeyError,))
    async def charge(self, cents: int) -> str:
        return str(cents)


@wf.workflow
async def child(n: int = 0, *, loud: bool = False) -> int:
    return n


# --- Outside ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("now", wf.now),
        ("uuid4", wf.uuid4),
        ("random", wf.random),
        ("random.choice", lambda: wf.random.choice([1])),
        ("info", wf.info),
        ("context", wf.context),
        ("patched", lambda: wf.patched("x")),
        ("set_attributes", wf.set_attributes),
        ("continue_as_new", wf.continue_as_new),
        ("signals", lambda: wf.signals("x")),
        ("@query", lambda: wf.query(lambda: 1)),
        ("@update", lambda: wf.update(lambda: 1)),
    ],
)
def test_outside_of_a_workflow(name, call):
    """The name and what to do are told."""
    with pytest.raises(WorkflowMisuseError) as caught:
        call()
    assert str(caught.value).startswith(name)
    assert "works inside a workflow only" in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: wf.signal("id", "name"),
        lambda: wf.cancel("id"),
        lambda: wf.start_child(child),
        lambda: wf.side_effect(len, "x"),
    ],
)
async def test_awaited_outside_of_a_workflow(call):
    """The same for what is awaited."""
    with pytest.raises(WorkflowMisuseError, match="works inside a workflow only"):
        await call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: wf.sleep(1),
        lambda: wf.sleep(0),
        lambda: wf.sleep_until(0),
        wf.sleep_forever,
        wf.checkpoint,
        lambda: wf.gather(wf.sleep(1)),
        lambda: wf.race(wf.sleep(1)),
        lambda: wf.wait_until(lambda: True),
        lambda: wf.open_nursery().__aenter__(),
        lambda: wf.Event().wait(),
        lambda: wf.Lock().acquire(),
        lambda: wf.Semaphore(1).acquire(),
        lambda: wf.CapacityLimiter(1).acquire(),
        lambda: wf.open_memory_channel(0)[0].send(1),
        wf.open_memory_channel(0)[1].receive,
    ],
)
async def test_trios_vocabulary_awaited_outside_of_a_workflow(call):
    """It says where it works, and where else to look."""
    with pytest.raises(WorkflowMisuseError, match=r"inside a workflow only: .* trio has what goes by the same name"):
        await call()


@pytest.mark.parametrize(
    "enter",
    [
        wf.CancelScope,
        lambda: wf.move_on_after(1),
        lambda: wf.move_on_at(1),
        lambda: wf.fail_after(1),
        lambda: wf.fail_at(1),
    ],
)
def test_scopes_entered_outside_of_a_workflow(enter):
    """The same for cancel scopes."""
    with pytest.raises(WorkflowMisuseError, match="inside a workflow only"), enter():
        pass


@pytest.mark.parametrize("call", [wf.current_time, wf.current_effective_deadline])
def test_the_time_outside_of_a_workflow(call):
    """And for what tells the time."""
    with pytest.raises(WorkflowMisuseError, match="inside a workflow only"):
        call()


def test_everything_is_exported_from_the_package():
    """An author needs one import."""
    internal = {"Application", "open_run", "MemoryChannelStatistics", "SignalStatistics", "Update"}
    assert [name for name in module.__all__ if not hasattr(wf, name) and name not in internal] == []


def test_everything_public_is_documented():
    """Functions and classes alike."""
    public = [getattr(module, name) for name in module.__all__]
    assert [item for item in public if (inspect.isroutine(item) or inspect.isclass(item)) and not item.__doc__] == []


# --- Time, chance, itself --------------------------------------------------------------------------------------------


def returning(function: Any, **more: Any) -> Any:
    """What a workflow returns that calls ``function``."""

    @wf.workflow
    async def caller() -> Any:
        result = function()
        return await result if inspect.isawaitable(result) else result

    return Story(caller).start(**more).result


def test_now_is_an_aware_time():
    """In UTC, and the time of the turn."""
    assert returning(lambda: wf.now() == datetime.fromtimestamp(BEGIN, UTC)) is True


def test_chance_is_seeded_by_the_run():
    """Every run of the same number draws the same; all methods of random.Random are there."""

    def draw() -> list[Any]:
        numbers = [1, 2, 3, 4, 5]
        wf.random.shuffle(numbers)
        return [wf.random(), wf.random.random(), wf.random.randrange(10**9), numbers, str(wf.uuid4())]

    first, second = returning(draw), returning(draw)
    assert first == second
    assert first[0] != first[1]
    assert first[4][14] == "4"
    with pytest.raises(AttributeError, match=r"wfactors.random has no attribute 'missing'"):
        wf.random.missing()  # type: ignore[attr-defined]


def test_info():
    """What the start said, and what has become since."""
    seen = []

    @wf.workflow
    async def curious() -> None:
        wf.set_attributes(stage=1)
        seen.append(wf.info())
        await wf.sleep_forever()

    parent = Parent("0:q", "mother", 1, 0, "mother-id")
    story = Story(curious).start(parent=parent, attributes=payload({"user": "ada"}))
    assert seen == [
        wf.WorkflowInfo(
            id="id",
            instance="key",
            run=1,
            workflow="curious",
            queue="home",
            parent_id="mother-id",
            started_at=datetime.fromtimestamp(BEGIN, UTC),
            events=0,
            attributes={"user": "ada", "stage": 1},
            cancel_reason=None,
        )
    ]
    assert story.decisions == [AttributesSet(payload({"user": "ada", "stage": 1}))]


def test_the_logger_writes_each_line_once(caplog):
    """Live, with the ids of the run; not in a replay, and not on the way out of memory."""
    caplog.set_level(logging.INFO)

    @wf.workflow
    async def talking() -> None:
        wf.logger.info("hello %s", "you", extra={"mood": "fine"})
        try:
            await step(1)
        finally:
            wf.logger.info("bye")

    story = Story(talking).start()
    story.replay().close()
    (record,) = caplog.records
    assert record.getMessage() == "hello you"
    fields = ("workflow", "workflow_id", "workflow_run", "mood")
    assert [getattr(record, name) for name in fields] == ["talking", "id", 1, "fine"]
    wf.logger.info("outside")
    assert caplog.records[1].getMessage() == "outside"


@pytest.mark.parametrize("trace", ["", "00-1-2-01", "00-" + "g" * 32 + "-" + "0" * 16 + "-01", "\n"])
def test_the_logger_tells_the_trace(caplog, trace):
    """Both ids of a W3C traceparent; nothing of what is none, nor without one."""
    caplog.set_level(logging.INFO)

    @wf.workflow
    async def talking() -> None:
        wf.logger.info("traced")
        wf.context()["traceparent"] = trace
        wf.logger.info("garbled")
        wf.context().clear()
        wf.logger.info("alone")

    Story(talking).start(context={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    ids = [(getattr(record, "trace_id", None), getattr(record, "span_id", None)) for record in caplog.records]
    assert ids == [("ab" * 16, "cd" * 8), (None, None), (None, None)]


def test_the_context_goes_on_as_it_was_at_the_call():
    """A change touches the calls after it."""

    @wf.workflow
    async def caller() -> None:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(step, 1)
            await wf.checkpoint()
            wf.context()["user"] = "bob"
            nursery.start_soon(step, 2)
            await wf.checkpoint()
            del wf.context()["trace"]
            nursery.start_soon(step, 3)

    story = Story(caller).start(context={"trace": "1", "user": "ada"})
    assert [dict(story.run.context_of(call)) for call in range(3)] == [
        {"trace": "1", "user": "ada"},
        {"trace": "1", "user": "bob"},
        {"user": "bob"},
    ]
    assert dict(story.run.calls.context) == {"user": "bob"}


def test_the_context_holds_strings():
    """Nothing else travels."""

    def change() -> str:
        with pytest.raises(TypeError, match="must be a str"):
            wf.context()["n"] = 5  # type: ignore[assignment]
        return repr(wf.context())

    assert returning(change, context={"a": "b"}) == "<context {'a': 'b'}>"


# --- What goes into the history --------------------------------------------------------------------------------------


def test_attributes_are_merged_and_removed():
    """Each change records all of them."""

    @wf.workflow
    async def tagging() -> None:
        wf.set_attributes({"a": 1, "with space": "x"}, b=2)
        wf.set_attributes(a=None)
        with pytest.raises(wf.ConversionError):
            wf.set_attributes(a=object())
        with pytest.raises(TypeError, match="names of attributes are strings"):
            wf.set_attributes({5: 1})  # type: ignore[dict-item]

    story = Story(tagging).start()
    assert story.decisions[:-1] == [
        AttributesSet(payload({"a": 1, "with space": "x", "b": 2})),
        AttributesSet(payload({"with space": "x", "b": 2})),
    ]
    assert story.replay().final == RunCompleted(payload(None))


def test_a_side_effect_gives_what_the_history_holds():
    """By the annotation of the function; and its failure is recorded too."""

    def moment() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def fail() -> int:
        raise ValueError("no")

    def unfit() -> object:
        return object()

    @wf.workflow
    async def effects() -> list[str]:
        seen = [str(type(await wf.side_effect(moment)).__name__)]
        for function in (fail, unfit):
            try:
                await wf.side_effect(function)
            except wf.SideEffectError as error:
                seen.append(error.failure.type_name)
        return seen

    story = Story(effects).start()
    assert story.result[:2] == ["datetime", "ValueError"]
    first, second, third, _ = story.decisions
    assert first == SideEffectRecorded(0, "moment", payload("2026-01-01T00:00:00+00:00"))
    assert (second.failure.message, third.call) == ("no", 2)
    assert story.replay(is_strict=True).final == story.run.final


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (step, "takes a plain function"),
        (child, "takes a plain function"),
        (Story, None),
        (5, "takes a plain function"),
        (test_awaited_outside_of_a_workflow, "takes a plain function"),
    ],
)
def test_what_a_side_effect_cannot_be(function, words):
    """Whatever would have to be awaited."""

    async def attempt() -> str:
        try:
            await wf.side_effect(function)
        except (TypeError, wf.SideEffectError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    assert (words or "SideEffectError") in returning(attempt)


@pytest.mark.parametrize(
    "command",
    [
        lambda: step(1),
        lambda: child(1),
        lambda: wf.patched("x"),
        lambda: wf.set_attributes(a=1),
        wf.random,
        wf.uuid4,
        wf.continue_as_new,
        lambda: wf.context().update(a="b"),
        lambda: wf.query(len),
        lambda: wf.update(len),
        lambda: wf.signals("x").receive_nowait(),
    ],
)
def test_a_side_effect_may_only_look(command):
    """What it did would be missing in a replay."""

    def sly() -> int:
        try:
            command()
        except WorkflowMisuseError:
            return 1
        return 2

    async def attempt() -> str:
        try:
            await wf.side_effect(sly)
        except wf.SideEffectError as error:
            return error.message
        return ""

    assert "side effect 'sly' may only look, so it cannot call" in returning(attempt)


async def test_a_side_effect_that_returns_a_coroutine():
    """It is closed, and the mistake is told."""

    async def attempt() -> str:
        try:
            await wf.side_effect(lambda: wf.sleep(1))
        except wf.SideEffectError as error:
            return error.message
        return ""

    assert "returned a coroutine" in returning(attempt)


def test_continue_as_new_checks_its_arguments():
    """They are those of the workflow, by position or name."""

    @wf.workflow
    async def again(n: int, label: str = "") -> None:
        with pytest.raises(TypeError):
            wf.continue_as_new()
        with pytest.raises(wf.ConversionError):
            wf.continue_as_new("text")
        wf.continue_as_new(n + 1, label="x")

    story = Story(again).start(1)
    assert story.decisions == [RunContinued("again", payload([2, "x"]))]
    assert story.replay().final == story.decisions[0]


# --- Calls -----------------------------------------------------------------------------------------------------------


def test_activities_of_a_class_are_called_by_name():
    """On whatever instance the engine has; and on an instance in hand it is the same call."""

    @wf.workflow
    async def paying() -> list[str]:
        return [await wf.activities(Payments).charge(5), await Payments().charge.options(queue="x")(cents=6)]

    story = Story(paying).start()
    (decision,) = story.decisions
    assert (decision.activity, decision.queue, decision.input) == ("Payments.charge", "home", payload([5]))
    (decision,) = story.completed(0, "a").decisions
    assert (decision.activity, decision.queue, decision.input) == ("Payments.charge", "x", payload([6]))
    assert story.completed(1, "b").result == ["a", "b"]


def test_child_options():
    """Queue and id of the call go before those of the decorator."""

    @wf.workflow
    async def mother() -> list[int]:
        calls = [child.options(id="a", queue="far")(1, loud=True), child(2)]
        return list(await wf.gather(*calls))

    story = Story(mother).start()
    assert [(decision.id, decision.queue) for decision in story.decisions] == [("a", "far"), (None, "home")]
    assert bytes(story.decisions[0].input) == b'{"args":[1],"kwargs":{"loud":true}}'


def test_starting_a_child_of_the_wrong_kind():
    """Only workflows can be children, and their arguments must fit."""

    async def attempt() -> list[str]:
        seen = []
        for target, args in ((step, (1,)), (child, (1, 2, 3))):
            try:
                await wf.start_child(target, *args)
            except TypeError as error:
                seen.append(str(error))
        return seen

    first, second = returning(attempt)
    assert "takes a function decorated with @workflow" in first
    assert "too many positional arguments" in second


def test_a_handle_says_what_it_is_of():
    """Workflow and id; and what a started child waits for is told."""

    @wf.workflow
    async def mother() -> str:
        first = await wf.start_child(child, 1)
        await wf.start_child(child, 2, id="slow")
        return repr(first)

    story = Story(mother).start()
    assert "start of child workflow child (call 1)" in story.run.waiting()
    assert story.child_started(1).result == "<ChildHandle 'child' 'key.0'>"


def test_a_validator_may_let_an_update_pass():
    """It returns nothing, and says nothing."""

    @wf.workflow
    async def guarded() -> int:
        total = 0

        def check(n: int) -> None:
            if n < 0:
                raise ValueError("only up")

        @wf.update(validator=check)
        def add(n: int) -> None:
            nonlocal total
            total += n

        await wf.wait_until(lambda: total > 3)
        return total + len(wf.context())

    story = Story(guarded).start(context={"a": "b"})
    story.run.check_update("add", payload([5]))
    assert story.update("add", 5).result == 6


def test_a_child_in_a_nursery():
    """Wrappers can be started like functions."""

    @wf.workflow
    async def mother() -> None:
        async with wf.open_nursery() as nursery:
            nursery.start_soon(child, 1)
            nursery.start_soon(child.options(id="x"), 2)

    story = Story(mother).start()
    assert story.run.waiting()[0] == "child workflow child (call 0)"
    first, second = story.decisions
    assert isinstance(first, ChildScheduled)
    assert (first.id, second.id) == (None, "x")


def test_an_activity_that_nobody_awaits_is_warned_of_by_its_name():
    """Python's own warning, naming the activity."""

    @wf.workflow
    async def forgetful() -> None:
        step(1)

    with pytest.warns(RuntimeWarning, match="coroutine 'step' was never awaited"):
        Story(forgetful).start()


def test_signal_channels():
    """Iterated, and named in what they say of themselves."""

    @wf.workflow
    async def listener() -> list[Any]:
        seen: list[Any] = [repr(wf.signals("n"))]
        async for value in wf.signals("n", int):
            seen.append(value)
            if value == 2:
                return seen
        return []

    assert Story(listener).start().signal("n", 1).signal("n", 2).result == ["<SignalChannel 'n'>", 1, 2]


@pytest.mark.parametrize(
    "call",
    [lambda: wf.signals(5), lambda: wf.patched(5), lambda: wf.signal("a", 5), lambda: wf.signal(5, "a")],
)
def test_names_are_strings(call):
    """Also those of signals and patches."""

    async def attempt() -> str:
        try:
            result = call()
            if inspect.isawaitable(result):
                await result
        except TypeError as error:
            return str(error)
        return ""

    assert "str" in returning(attempt)


# --- Queries and updates ---------------------------------------------------------------------------------------------


def define(decorate: Any) -> str:
    def attempt() -> str:
        try:
            decorate()
        except TypeError as error:
            return str(error)
        return ""

    return returning(attempt)


async def coroutine_function() -> None: ...


def generator_function() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("decorate", "words"),
    [
        (lambda: wf.query(coroutine_function), "write def coroutine_function, not async def"),
        (lambda: wf.query(generator_function), "is a generator"),
        (lambda: wf.query(5), "a query is a function, not 5"),
        (lambda: wf.update(generator_function), "is a generator"),
        (lambda: wf.update(5), "an update is a function"),
        (lambda: wf.update(validator=coroutine_function)(len), "a validator only looks"),
    ],
)
def test_functions_that_cannot_answer(decorate, words):
    """The message says what to write."""
    assert words in define(decorate)


def test_an_update_is_still_a_function():
    """The workflow itself may call it."""

    def use() -> int:
        @wf.update(name="plus")
        def add(n: int) -> int:
            return n + 1

        return add(1)

    assert returning(use) == 2


def test_a_validator_may_only_look():
    """It is not recorded, so it must leave no trace."""

    @wf.workflow
    async def guarded() -> None:
        @wf.update
        def change(n: int) -> None: ...

        @change.validator
        def check(n: int) -> None:
            wf.set_attributes(n=n)

        await wf.sleep_forever()

    with pytest.raises(wf.UpdateRejected, match="may only look, so it cannot call set_attributes"):
        Story(guarded).start().run.check_update("change", payload([1]))


def test_a_validator_cannot_hide_what_it_did():
    """Also where it catches the error."""

    @wf.workflow
    async def guarded() -> None:
        @wf.update
        def change(n: int) -> None: ...

        @change.validator
        def check(n: int) -> None:
            with contextlib.suppress(WorkflowMisuseError):
                wf.random()

        await wf.sleep_forever()

    with pytest.raises(wf.UpdateRejected, match="may only look"):
        Story(guarded).start().run.check_update("change", payload([1]))


def test_handlers_read_their_signature_once():
    """A run defines them anew, which must not cost the reading of annotations each time."""
    inside = sys.modules["wfactors.workflow.inside"]

    @wf.workflow
    async def asked() -> None:
        @wf.query
        def answer() -> int:
            return 1

        await wf.sleep_forever()

    for _ in range(3):
        story = Story(asked).start()
        assert story.query("answer") == 1
    names = [code.co_qualname for code, _ in inside._signatures.values()]
    assert names.count("test_handlers_read_their_signature_once.<locals>.asked.<locals>.answer") == 1
