"""start, signal, query, update, result, cancel, terminate, resume, remove: with a node in another process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.cli_kit import data, run
from tests.cli.leftovers import leave


def test_start_and_wait_prints_the_result(store: str) -> None:
    """The result is JSON on standard output."""
    result = run("start", "total", "[1, 2, 3]", "--wait", "--store", store)
    assert (0, "6\n") == (result.exit_code, result.stdout)


def test_start_prints_the_id_alone(store: str) -> None:
    """So that a script can keep it."""
    assert "alone\n" == run("start", "total", "[1]", "--id", "alone", "-s", store).stdout


def test_the_store_comes_from_the_environment(store: str) -> None:
    """WFACTORS_STORE serves where --store is left out, and --store may stand before the command."""
    started = data("start", "total", "[4]", WFACTORS_STORE=store)
    assert 4 == data("result", started["id"], WFACTORS_STORE=store)["result"]
    assert "4\n" == run("--store", store, "result", started["id"]).stdout


def test_a_failed_workflow_is_code_1(store: str) -> None:
    """Its error is one sentence on standard error, and whole in JSON."""
    result = run("start", "broken", "--wait", "--id", "broken", "-s", store)
    assert (1, "") == (result.exit_code, result.stdout)
    assert "no luck" in result.stderr
    assert "Traceback" not in result.stderr
    as_json = run("result", "broken", "--json", "-s", store)
    answer = json.loads(as_json.stdout)
    assert (1, "failed", "wfactors.errors.ActivityError") == (
        as_json.exit_code,
        answer["status"],
        answer["error"]["type"],
    )
    assert "builtins.ValueError" == answer["error"]["cause"]["type"]


def test_a_conversation(store: str) -> None:
    """Update, query and signal reach a workflow of another process."""
    run("start", "chat", "--id", "chat", "-s", store)
    assert 1 == data("update", "chat", "write", '"hello"', "-s", store)["result"]
    assert ["hello"] == data("query", "chat", "read", "-s", store)["result"]
    assert data("signal", "chat", "end", "true", "-s", store)["accepted"]
    assert ["hello"] == data("result", "chat", "-s", store)["result"]


def test_what_a_workflow_refuses_is_code_6(store: str) -> None:
    """An unknown query, and an update that raises."""
    run("start", "chat", "--id", "strict", "-s", store)
    assert 6 == run("query", "strict", "nothing", "-s", store).exit_code
    refused = run("update", "strict", "write", '""', "-s", store)
    assert 6 == refused.exit_code
    assert "an empty note" in refused.stderr
    run("terminate", "strict", "-s", store)


def test_cancel_and_terminate(store: str) -> None:
    """Both end a workflow, and its result is code 1."""
    for action, status in (("cancel", "cancelled"), ("terminate", "terminated")):
        run("start", "nap", "1000", "--id", action, "-s", store)
        assert 0 == run(action, action, "--reason", "enough", "-s", store).exit_code
        result = run("result", action, "--json", "-s", store)
        assert (1, status) == (result.exit_code, json.loads(result.stdout)["status"])


def test_time_is_up_is_code_124(store: str) -> None:
    """As timeout(1) has it."""
    run("start", "nap", "1000", "--id", "long", "-s", store)
    result = run("result", "long", "--timeout", "10ms", "-s", store)
    assert 124 == result.exit_code
    assert "did not end within 10 ms" in result.stderr
    run("terminate", "long", "-s", store)


def test_not_found_is_code_3(store: str) -> None:
    """For every command that names a workflow."""
    for arguments in (
        ["signal", "nobody", "x"],
        ["query", "nobody", "x"],
        ["update", "nobody", "x"],
        ["cancel", "nobody"],
        ["terminate", "nobody"],
        ["result", "nobody"],
        ["resume", "nobody"],
        ["remove", "nobody"],
        ["show", "nobody"],
        ["export", "nobody"],
    ):
        result = run(*arguments, "-s", store)
        assert (3, "") == (result.exit_code, result.stdout)
        assert "there is no workflow nobody" in result.stderr


def test_conflicts_are_code_4(store: str) -> None:
    """An id in use, a closed workflow signalled, an open one removed."""
    run("start", "nap", "1000", "--id", "busy", "-s", store)
    assert 4 == run("start", "nap", "1000", "--id", "busy", "-s", store).exit_code
    assert 0 == run("start", "nap", "1", "--id", "busy", "--on-conflict", "use_existing", "-s", store).exit_code
    assert 4 == run("remove", "busy", "-s", store).exit_code
    run("terminate", "busy", "-s", store)
    run("result", "busy", "-s", store)
    assert 4 == run("signal", "busy", "x", "-s", store).exit_code
    assert {"removed": 1} == data("remove", "busy", "-s", store)
    assert 3 == run("result", "busy", "-s", store).exit_code


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "total", "oops"],
        ["start", "total", "[1]", "--delay", "soon"],
        ["start", "total", "[1]", "--attribute", "novalue"],
        ["start", "total", "[1]", "--on-conflict", "shrug"],
        ["start", "total", "[1]", "--id", ""],
        ["start", "total", "[1]", "--quue", "x"],
        ["remove"],
        ["list", "--status", "strange"],
        ["frobnicate"],
        ["run", "no_such_module"],
        ["run", "no_such_file.py"],
        ["run", "os.path"],
    ],
)
def test_wrong_usage_is_code_2(store: str, arguments: list[str]) -> None:
    """With a sentence, never with a traceback."""
    result = run(*arguments, WFACTORS_STORE=store)
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_a_negative_number_is_an_argument(store: str) -> None:
    """Not an option."""
    assert "3\n" == run("start", "negate", "-3", "--wait", "-s", store).stdout


def test_an_unknown_workflow_is_noted(store: str) -> None:
    """It is started all the same, for a node that knows it may come."""
    result = run("start", "toal", "[1]", "--id", "typo", "-s", store)
    assert 0 == result.exit_code
    assert "no running node knows the workflow 'toal'" in result.stderr
    run("terminate", "typo", "-s", store)


@pytest.mark.parametrize("id", ["a/b", "🙂", "\u202eabc", "tab\there", "back\\slash", "\x1b[31mred", "line\nend", " "])
def test_any_id_round_trips(store: str, id: str) -> None:
    """What list shows can be pasted, and nothing that a terminal would obey is shown."""
    shown = run("start", "total", "[1]", "--id", id, "--wait", "-s", store)
    assert 0 == shown.exit_code, shown.stderr
    listed = data("list", "--limit", "1", "-s", store)["workflows"][0]
    assert id == listed["id"]
    printed = run("start", "total", "[1]", "--id", id, "-s", store).stdout.removesuffix("\n")
    assert printed.isprintable()
    assert id == data("result", printed, "-s", store)["id"]
    assert id == data("show", listed["instance"], "-s", store)["id"]


# --- Without a node --------------------------------------------------------------------------------------------------


def test_what_is_asked_of_a_store_without_a_node_is_kept(left: str) -> None:
    """It is durable, and the note says who will take it in."""
    started = run("start", "listener", "--id", "patient", "-s", left)
    assert (0, "patient\n") == (started.exit_code, started.stdout)
    assert "no node runs on this store yet" in started.stderr
    told = run("signal", "patient", "go", "true", "-s", left)
    assert (0, "signal 'go' sent to patient\n") == (told.exit_code, told.stdout)
    assert "no node runs on this store now" in told.stderr


def test_a_query_that_no_node_answers_is_code_124(left: str) -> None:
    """With the reason: there is none."""
    result = run("query", "listener", "anything", "--timeout", "1ms", "-s", left)
    assert 124 == result.exit_code
    assert "no node runs on this store" in result.stderr


def test_a_queue_that_no_node_serves_is_noted(store: str) -> None:
    """The workflow waits for one that does."""
    result = run("start", "total", "[1]", "--queue", "far", "--id", "distant", "-s", store)
    assert 0 == result.exit_code
    assert "no running node serves the queue 'far'" in result.stderr


def test_closed_ones_are_removed_by_age(tmp_path: Path) -> None:
    """How many is told; the open ones stay."""
    url = f"sqlite:///{tmp_path}/old.db"
    leave(url)
    before = {item["instance"] for item in data("list", "-s", url)["workflows"]}
    assert "removed 0 workflows\n" == run("remove", "--older-than", "1d", "-s", url).stdout
    output = run("remove", "--older-than", "0", "-s", url).stdout
    stayed = data("list", "-s", url)["workflows"]
    assert {"open"} == {item["status"] for item in stayed}
    assert f"removed {len(before) - len(stayed)} workflows\n" == output


# --- Words -----------------------------------------------------------------------------------------------------------


def test_answers_are_json_lines(store: str) -> None:
    """A query's answer on one line, for a pipe."""
    run("start", "chat", "--id", "wordy", "-s", store)
    assert "1\n" == run("update", "wordy", "write", '"hello"', "-s", store).stdout
    assert '["hello"]\n' == run("query", "wordy", "read", "-s", store).stdout
    run("terminate", "wordy", "-s", store)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["signal", "listener", ""], "the name of a signal must not be empty"),
        (["query", "listener", ""], "the name of a query must not be empty"),
        (["cancel", "listener", "--reason", "\ud800"], "the reason must be valid Unicode text"),
    ],
)
def test_what_cannot_be_sent_is_code_2(left: str, command: list[str], words: str) -> None:
    """With a sentence, not with a traceback."""
    result = run(*command, "-s", left)
    assert 2 == result.exit_code
    assert f"error: {words}" in result.stderr
