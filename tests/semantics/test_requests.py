"""What a client asks: starts, handles, races for an id, waiting, and what it is refused."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

import pytest
import trio

import wfactors as wf


@wf.workflow
async def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@wf.workflow
async def waits() -> str:
    return await wf.signals("go", str).receive()


@wf.workflow
async def asked() -> str:
    @wf.query
    def current() -> int:
        return 0

    @wf.update
    async def add(number: int) -> int:
        return number

    return await wf.signals("go", str).receive()


@wf.activity
async def slow() -> None:
    await trio.sleep(100)


@wf.workflow
async def shows() -> None:
    async with wf.open_nursery() as nursery:
        nursery.start_soon(slow)
        nursery.start_soon(wf.sleep, 50)
        nursery.start_soon(waits.options(id="kid"))


@wf.workflow
async def chatters(count: int) -> None:
    for _ in range(count):
        await wf.sleep(1)


async def test_start_takes_names_keywords_and_options(backend, autojump_clock) -> None:
    """A decorated function, one with options, or the name of one."""
    async with backend.engine(greet, queues=["default", "other"]) as engine:
        assert "ada" == await engine.run(greet, "ada")
        assert "ADA" == await engine.run(greet, "ada", keywords={"loud": True})
        assert "ada" == await engine.run("greet", "ada")
        handle = await engine.start(greet.options(id="g", queue="other", attributes={"a": 1}), "ada")
        assert "ada" == await handle.result()
        description = await handle.describe()
        assert ("g", "other", {"a": 1}) == (description.id, description.queue, description.attributes)


async def test_ids_are_made_up_if_none_is_given(backend, autojump_clock) -> None:
    """Each is new, and finds its instance."""
    async with backend.engine(greet) as engine:
        handles = [await engine.start(greet, str(number)) for number in range(5)]
        assert 5 == len({handle.id for handle in handles})
        assert "3" == await (await engine.get(handles[3].id)).result()


@pytest.mark.parametrize("rounds", [10])
async def test_of_many_starts_of_one_id_at_once_one_wins(backend, autojump_clock, rounds) -> None:
    """From several clients; the others get a handle to the one that won."""
    async with backend.shared() as store, backend.engine(waits, store=store) as engine:
        clients = [engine, *(wf.Client(store, engine.data, now=backend.clock.now) for _ in range(3))]
        for number in range(rounds):
            instances: list[str] = []
            refused: list[str] = []

            async def start(client: wf.Client, id: str, instances: list[str], refused: list[str]) -> None:
                try:
                    instances.append((await client.start(waits, id=id)).instance)
                except wf.WorkflowAlreadyStarted as error:
                    refused.append(error.handle.instance)

            async with trio.open_nursery() as nursery:
                for client in clients * 3:
                    nursery.start_soon(start, client, f"w{number}", instances, refused)
            assert (1, 11) == (len(instances), len(refused))
            assert set(instances) == set(refused)
        assert rounds == await engine.count()


async def test_unknown_and_closed_instances_refuse_everything_with_a_typed_error(backend, autojump_clock) -> None:
    """By id, and by a handle to one that was removed."""
    async with backend.engine(greet) as engine:
        with pytest.raises(wf.WorkflowNotFound):
            await engine.get("nobody")
        handle = await engine.start(greet, "ada")
        await handle.result()
        said = [
            partial(handle.signal, "x"),
            handle.cancel,
            handle.terminate,
            partial(handle.update, "x"),
            handle.resume,
        ]
        for request in said:
            with pytest.raises(wf.WorkflowClosed):
                await request()
        await handle.remove()
        for request in [*said, partial(handle.query, "x"), handle.describe, handle.history, handle.result]:
            with pytest.raises(wf.WorkflowNotFound):
                await request()


async def test_describe_tells_status_times_queue_parent_and_what_it_waits_for(backend, autojump_clock) -> None:
    """While it waits, and when it has ended."""
    async with backend.engine(shows, waits, slow) as engine:
        start = backend.clock.now()
        handle = await engine.start(shows, id="s", delay=timedelta(seconds=10))
        await trio.sleep(5)
        assert ("open", None) == ((await handle.describe()).status, (await handle.describe()).started_at)
        at = (await handle.describe()).wake_at.isoformat(timespec="milliseconds")
        assert [f"its start at {at}, by a node that serves queue 'default'"] == (await handle.describe()).waits_for
        unserved = await engine.start(shows, queue="other")
        assert ["a node that serves queue 'other' to start it"] == (await unserved.describe()).waits_for
        await trio.sleep(10)
        description = await handle.describe()
        assert 10 <= description.started_at.timestamp() - start < 11
        activity, timer, child = description.waits_for
        assert activity.startswith("activity slow (attempt 1, on ")
        assert timer.startswith("a timer at ")
        assert "workflow waits ('kid')" == child
        kid = await engine.get("kid")
        assert (None, "s") == (description.parent, (await kid.describe()).parent)
        await kid.signal("go", "x")
        await handle.result()
        description = await handle.describe()
        assert 110 <= description.closed_at.timestamp() - start < 111
        assert ("completed", []) == (description.status, description.waits_for)


async def test_a_client_counts_its_requests(backend, autojump_clock) -> None:
    """Those that wait for their answer too."""
    async with backend.shared() as store, backend.engine(waits, store=store) as engine:
        client = wf.Client(store, engine.data, now=backend.clock.now)
        handle = await client.start(waits)
        await handle.signal("other")
        assert wf.ClientStatistics(requests=1, waiting=0) == client.statistics()
        await (await engine.get(handle.id)).signal("go", "x")
        assert (1, 0) == (engine.statistics().requests, engine.statistics().waiting)


async def test_waiting_for_a_result_with_a_timeout(backend, autojump_clock) -> None:
    """Trio's own scopes do it."""
    async with backend.engine(waits) as engine:
        handle = await engine.start(waits)
        with pytest.raises(trio.TooSlowError), trio.fail_after(10):
            await handle.result()
        await handle.signal("go", "on")
        assert "on" == await handle.result()


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_delayed_start_can_be_withdrawn(backend, autojump_clock, how) -> None:
    """Terminated, it never starts; cancelled, it never waits."""
    async with backend.engine(waits) as engine:
        handle = await engine.start(waits, delay=1000)
        await trio.sleep(10)
        await getattr(handle, how)("changed my mind")
        with trio.fail_after(5), pytest.raises((wf.WorkflowCancelled, wf.WorkflowTerminated), match="changed my mind"):
            await handle.result()


@pytest.mark.parametrize("how", ["local", "remote"])
async def test_a_delayed_start_answers_no_question(backend, autojump_clock, how) -> None:
    """It says which one has not started, and once it was withdrawn that it never did."""
    async with backend.shared() as store, backend.engine(asked, store=store) as engine:
        handle = await engine.start(asked, delay=1000, id="w")
        if how == "remote":
            handle = await wf.Client(store, engine.data, now=backend.clock.now).get("w")
        with pytest.raises(wf.QueryError, match=r"^workflow 'w' has not started yet$"):
            await handle.query("current")
        with pytest.raises(wf.UpdateRejected, match=r"workflow 'w' has not started yet$"):
            await handle.update("add", 1)
        await handle.cancel()
        with pytest.raises(wf.WorkflowCancelled):
            await handle.result()
        with pytest.raises(wf.QueryError, match=r"^workflow 'w' ended before it had started$"):
            await handle.query("current")
        with pytest.raises(wf.WorkflowClosed):
            await handle.update("add", 1)


async def test_a_question_behind_a_start_is_answered(backend, autojump_clock) -> None:
    """By the workflow, however soon it comes, and after a delay."""
    async with backend.engine(asked) as engine:
        assert 0 == await (await engine.start(asked)).query("current")
        handle = await engine.start(asked, delay=10)
        await trio.sleep(11)
        assert 0 == await handle.query("current")


async def test_signals_to_a_delayed_start_are_kept(backend, autojump_clock) -> None:
    """It starts at its time all the same."""
    async with backend.engine(waits) as engine:
        start = trio.current_time()
        handle = await engine.start(waits, delay=1000, id="w")
        await handle.signal("go", "early")
    async with backend.engine(waits) as engine:
        assert "early" == await (await engine.get("w")).result()
        assert 1000 <= trio.current_time() - start < 1001


async def test_signal_with_start_follows_the_reuse_policy(backend, autojump_clock) -> None:
    """A closed instance is not signalled; another one is started, unless that is refused."""
    async with backend.engine(waits) as engine:
        first = await engine.signal_with_start(waits, id="w", signal="go", value="one")
        assert "one" == await first.result()
        second = await engine.signal_with_start(waits, id="w", signal="go", value="two")
        assert "two" == await second.result()
        with pytest.raises(wf.WorkflowAlreadyStarted):
            await engine.signal_with_start(waits, id="w", signal="go", value="three", reuse="reject")
        assert 2 == await engine.count()


async def test_a_long_history_is_warned_of_once(backend, autojump_clock, caplog) -> None:
    """Before it fails: the log says what to do."""
    limits = wf.Limits(history_events_warning=20, history_events_max=1000)
    with caplog.at_level(logging.WARNING, logger="wfactors"):
        async with backend.engine(chatters, limits=limits) as engine:
            await engine.run(chatters, 30, id="c")
    told = [record.getMessage() for record in caplog.records if "events" in record.getMessage()]
    assert ["workflow c has 22 events; it fails at 1000: use wf.continue_as_new()"] == told


@pytest.mark.parametrize(
    "options",
    [{"on_conflict": "x"}, {"reuse": "x"}, {"delay": -1}, {"delay": "x"}, {"queue": "x" * 300}, {"id": 3}],
)
async def test_nonsense_is_refused(backend, autojump_clock, options) -> None:
    """TypeError or ValueError, and nothing is started."""
    async with backend.engine(greet) as engine:
        with pytest.raises((TypeError, ValueError)):
            await engine.start(greet, "x", **options)
        with pytest.raises(TypeError, match="decorated"):
            await engine.start(print)
        assert 0 == await engine.count()


class Nameless:
    def encode(self, data: bytes) -> bytes:
        return data

    decode = encode


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"partitions": 10**6}, ValueError),
        ({"partitions": 0}, ValueError),
        ({"partitions": 1.5}, TypeError),
        ({"partitions": True}, TypeError),
        ({"codecs": [3]}, TypeError),
        ({"codecs": [Nameless()]}, TypeError),
        ({"retired_codecs": ["zlib"]}, TypeError),
        ({"code_version": 3}, TypeError),
    ],
)
async def test_an_engine_or_client_of_nonsense_is_not_opened(backend, options, error) -> None:
    """The argument is named, before anything is opened."""
    words = "codec" if "codecs" in next(iter(options)) else next(iter(options))
    with pytest.raises(error, match=words):
        async with backend.engine(greet, **options):
            pass
    if "code_version" not in options:
        with pytest.raises(error, match=words):
            async with wf.open_client(backend.store(), **options):
                pass
