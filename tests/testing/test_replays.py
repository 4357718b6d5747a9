"""Recorded histories against the code as it is now, and what a difference looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

import wfactors as wf
from tests.testing.codecs import secret
from wfactors.model.events import Event, RunStarted
from wfactors.testing import (
    assert_replays,
    assert_store_replays,
    histories_in,
    open_tester,
    read_history,
    run_in_virtual_time,
    save_history,
)
from wfactors.testing.replays import encode_history, explain

pytest_plugins = ["pytester"]


@wf.activity
async def count(n: int) -> int:
    return n


@wf.workflow(name="trip")
async def trip(n: int) -> int:
    with wf.move_on_after(10):
        await wf.sleep(1)
    return await count(n)


@wf.workflow(name="trip")
async def trip_without_sleep(n: int) -> int:
    return await count(n)


@wf.workflow(name="trip")
async def trip_with_more(n: int) -> int:
    with wf.move_on_after(10):
        await wf.sleep(1)
    return await count(n + 1)


@wf.workflow(name="relay")
async def relay(left: int) -> int:
    await wf.sleep(1)
    if left:
        wf.continue_as_new(left - 1)
    return left


@pytest.fixture(scope="module")
def recorded() -> list[Event]:
    """A history of ``trip``."""

    async def main() -> list[Event]:
        async with open_tester(register=[count]) as tester:
            handle = await tester.start(trip, 7, id="t")
            await tester.result(handle)
            return await handle.history()

    return run_in_virtual_time(main)


def test_a_history_replays_in_every_form(recorded, tmp_path):
    path = tmp_path / "trip.json"
    save_history(recorded, path)
    for history in (recorded, encode_history(recorded), path, str(path), *histories_in(tmp_path)):
        assert read_history(history) == recorded
        assert_replays(history, trip)
        assert_replays(history, [trip], strict=True)


def test_a_file_has_one_event_a_line(recorded):
    assert len(encode_history(recorded).splitlines()) == len(recorded) + 2


def test_a_difference_shows_both_sides_and_the_way_there(recorded):
    """The events around it, and the line of the source."""
    with pytest.raises(AssertionError) as caught:
        assert_replays(recorded, trip_without_sleep)
    message = str(caught.value)
    assert "history has:  timer 0 set to" in message
    assert "the code did: call 0: activity 'count'" in message
    assert '>    1 ["TimerSet"' in message
    assert "return await count(n)" in message
    assert f"{Path(__file__).name}:" in message
    assert isinstance(caught.value.__cause__, wf.NonDeterminismError)


def test_a_strict_replay_compares_arguments(recorded):
    assert_replays(recorded, trip_with_more)
    with pytest.raises(AssertionError, match=r"with \[8\]"):
        assert_replays(recorded, trip_with_more, strict=True)


def test_what_is_no_history_is_refused():
    with pytest.raises(ValueError, match="it is empty"):
        assert_replays([], trip)
    with pytest.raises(wf.StoreCorrupt):
        assert_replays(b"{}", trip)


def test_a_history_that_begins_in_the_middle_is_refused(recorded):
    with pytest.raises(ValueError, match="RunStarted"):
        assert_replays(recorded[1:], trip)


def test_an_unknown_workflow_is_told(recorded):
    with pytest.raises(wf.UnknownWorkflow):
        assert_replays(recorded, relay)


def test_an_empty_folder_replays_nothing_and_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no history"):
        histories_in(tmp_path)


def test_pytest_names_the_files(pytester):
    """``histories_in`` parametrises a test, with the names of the files as ids."""
    pytester.path.joinpath("first.json").write_text("{}")
    pytester.makepyfile(
        """
        import pytest
        from wfactors.testing import histories_in

        @pytest.mark.parametrize("history", histories_in("."))
        def test_it(history):
            assert str(history) == "first.json"
        """
    )
    result = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_it?first?*"])


async def test_a_handle_replays_with_all_its_runs(tester):
    handle = await tester.start(relay, 2)
    assert await tester.result(handle) == 0
    assert handle.run == 3
    await assert_replays(handle, relay, strict=True)


async def test_a_store_replays(tester):
    """Every run of every instance; what differs is named, all of it."""
    tester.register(count)
    await tester.run(trip, 1, id="one")
    await tester.run(trip, 2, id="two")
    await tester.run(relay, 1)
    assert await assert_store_replays(tester.store, [trip, relay]) == 4
    assert await assert_store_replays(await tester.engine(), [trip, relay], status="completed") == 3
    with pytest.raises(AssertionError, match="2 of 4 runs do not replay") as caught:
        await assert_store_replays(tester.store, [trip_without_sleep, relay])
    assert "'one', run 1" in str(caught.value)
    assert "'two', run 1" in str(caught.value)


async def test_encrypted_payloads_are_compared_decrypted(autojump_clock):
    """No two encryptions are equal; what they hold is."""
    codecs = [secret()]
    async with open_tester(register=[count], codecs=codecs, replay_check="always") as tester:
        handle = await tester.start(trip, 3)
        assert await tester.result(handle) == 3
        history = await handle.history()
    started = history[0]
    assert isinstance(started, RunStarted)
    assert b"3" != bytes(started.input)
    assert_replays(history, trip, strict=True, codecs=codecs)
    with pytest.raises(AssertionError, match=r"with \[4\]"):
        assert_replays(history, trip_with_more, strict=True, codecs=codecs)


async def test_what_has_not_begun_is_no_history(tester):
    """Started for later, or cancelled before it began: there is nothing to compare."""
    tester.register(count)
    await tester.run(trip, 1, id="done")
    waiting = await tester.start(trip, 2, id="later", delay=3600)
    refused = await tester.start(trip, 3, id="never", delay=3600)
    await refused.cancel()
    with pytest.raises(wf.WorkflowCancelled):
        await tester.result(refused)
    assert [] == await waiting.history()
    await assert_replays(waiting, trip)
    assert await assert_store_replays(tester.store, trip) == 1


def test_a_difference_of_which_little_is_known():
    """Without the history and the place there are still both sides."""
    error = wf.NonDeterminismError(4, "call 0: activity 'a'", None, "")
    assert (
        "  at event 4 the history and the code differ:\n"
        "    history has:  call 0: activity 'a'\n"
        "    the code did: nothing more"
    ) == explain(error)
