"""wfactors show: of a store that no node serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

import wfactors as wf
from tests.cli.cli_kit import SHOP, data, node, read_until, run
from tests.cli.leftovers import CHILDREN, listener

FAMILY = """
@wf.workflow
async def family() -> None:
    await wf.start_child(nap, 1000, id="kid")
    await wf.gather(nap(1000), block())
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a node said that was killed while it ran a workflow with two children and an activity."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "shop.py").write_text(SHOP + FAMILY)
    with node(folder) as (started, ready):
        run("start", "family", "--id", "family", "-s", ready["store"])
        read_until(started.stdout, "blocking")
        started.kill()
        started.wait()
    run("start", "nap", "1", "--id", "late", "-s", ready["store"])
    run("start", "nap", "1", "--id", "delayed", "--delay", "1h", "-s", ready["store"])
    run("start", "nap", "1", "--id", "overdue", "--delay", "1ms", "-s", ready["store"])
    return ready


def shown(*arguments: str) -> str:
    """What it writes for people."""
    result = run("show", *arguments)
    assert 0 == result.exit_code, result.output
    return result.stdout


def test_many_children_are_counted(left: str) -> None:
    """The first dozen by name, with what they can be found by."""
    output = shown("crowd", "-s", left)
    assert "✓ completed  leaf" in output
    assert '{"number":0}' in output
    assert "\nand 2 more\n" in output
    children = data("show", "crowd", "-s", left)["children"]
    assert 12 == len(children) == CHILDREN - 2


def test_a_deep_tree_is_cut(left: str) -> None:
    """Six generations; what is below is counted."""
    output = shown("nest", "-s", left)
    assert 7 - 1 == output.count("✓ completed  nest")
    assert "and 1 more" in output


def test_a_child_names_its_parent(left: str) -> None:
    """So one can go up as well as down."""
    (child,) = data("show", "nest", "-s", left)["children"]
    output = shown(child["id"], "-s", left)
    assert ["parent", "nest"] == next(line.split() for line in output.splitlines() if line.startswith("parent"))


def test_a_run_before_the_last(left: str) -> None:
    """Which run it is stands beside the workflow; a number that never was is code 3."""
    assert "again, run 2" in shown("again", "-s", left)
    assert "→ continued" in shown("again", "--run", "1", "-s", left)
    result = run("show", "again", "--run", "9", "-s", left)
    assert 3 == result.exit_code
    assert "workflow again has no run 9" in result.stderr


def test_a_signal_that_is_waited_for_is_named(left: str) -> None:
    """Nothing in its history tells so; and no node runs that could be asked."""
    output = shown("listener", "-s", left)
    assert "waits for\n  signal 'go'\n" in output
    assert "being cancelled" not in output
    assert "owned by no node now" in output
    answer = data("show", "listener", "-s", left)
    assert (["go"], ["signal 'go'"]) == (answer["signals"], answer["waits_for"])


def test_an_open_one_without_a_clock_waits_for_messages(left: str) -> None:
    """What it waits for in memory nobody knows but its code; and nobody owns it now."""
    output = shown("idle", "-s", left)
    assert "a signal, an update, or being cancelled" in output
    assert "owned by no node now" in output


def test_many_waits_are_counted(left: str) -> None:
    """A dozen timers, and the number of the others; lines of history beyond the limit too."""
    output = shown("sleepers", "--limit", "3", "-s", left)
    assert 12 == output.count("  timer 1h 0m, since")
    assert "and 2 more\n" in output
    assert f"and {CHILDREN - 3} more: --limit {CHILDREN}" in output


def test_a_parked_one_says_what_to_do(left: str) -> None:
    """The reason, and the command that lets it go on."""
    output = shown("stuck", "-s", left)
    assert "‖ parked" in output
    assert "stuck waits for event" in output
    assert "wfactors resume stuck" in output


def test_children_are_told_apart(killed: Mapping[str, Any]) -> None:
    """By their ids, also those that the engine made; in JSON as in words."""
    answer = data("show", "family", "-s", killed["store"])
    made = f"{answer['instance']}.1"
    assert [f"workflow nap ('{id}')" for id in ("kid", made)] == answer["waits_for"][1:]
    output = shown("family", "-s", killed["store"])
    waits = [line.split(", since ")[0] + line[line.index(" (") :] for line in output.splitlines() if "since" in line]
    assert ["  child nap (kid)", f"  child nap ({made})"] == waits[:2]


def test_a_node_that_was_killed(killed: Mapping[str, Any]) -> None:
    """It owns nothing and runs nothing any more, whatever the store still says."""
    name, store = killed["node"], killed["store"]
    output = shown("family", "-s", store)
    assert f"owned by {name} (gone)\n" in "".join(f"{line.rstrip()}\n" for line in output.splitlines())
    assert f"(attempt 1, was on {name} (gone))" in output
    assert "runs on" not in output
    answer = data("show", "family", "-s", store)
    assert f"activity block (attempt 1, was on {name} (gone))" == answer["waits_for"][0]
    assert (name, False) == (answer["owner"], answer["owner_is_alive"])
    assert [(name, False)] == [(task["node"], task["node_is_alive"]) for task in answer["pending_activities"]]


def test_a_node_that_is_alive(store: str) -> None:
    """Then nothing of it is gone."""
    run("start", "blocked", "--id", "blocked", "-s", store)
    assert 6 == run("query", "blocked", "nothing", "-s", store).exit_code
    output = shown("blocked", "-s", store)
    assert "runs on " in output
    assert "gone" not in output
    answer = data("show", "blocked", "-s", store)
    assert [True, True] == [answer["owner_is_alive"], answer["pending_activities"][0]["node_is_alive"]]
    run("cancel", "blocked", "-s", store)
    assert 1 == run("result", "blocked", "-s", store).exit_code


def test_one_that_has_not_started(left: str) -> None:
    """Its input, no history, and who would start it; its clock has nothing to do with it."""
    output = shown("waiting", "-s", left)
    assert "0 events" in output
    assert "waits for\n  a node that serves queue 'default' to start it\n" in output
    assert "clock" not in output
    assert ["a node that serves queue 'default' to start it"] == data("show", "waiting", "-s", left)["waits_for"]
    assert "history over" not in output


def test_a_start_that_was_put_off(killed: Mapping[str, Any]) -> None:
    """When it is to start, and once that is past that a node is missing; also in the list."""
    store = killed["store"]
    assert "waits for\n  its start at " in shown("delayed", "-s", store)
    assert "waits for\n  a node that serves queue 'default' to start it: due since " in shown("overdue", "-s", store)
    answer = data("show", "delayed", "-s", store)
    at = answer["wake_at"].replace("Z", "+00:00")
    assert [f"its start at {at}, by a node that serves queue 'default'"] == answer["waits_for"]
    lines = {line.split()[2]: line for line in run("list", "-s", store).stdout.splitlines()}
    assert "starts in 59m" in lines["delayed"]
    assert "has to start" in lines["overdue"]
    assert "has to start" in lines["late"]


def test_a_payload_that_cannot_be_read_here(tmp_path: Path) -> None:
    """Encrypted, say: what can be shown is shown."""
    url = f"sqlite:///{tmp_path}/hidden.db"

    class Backwards:
        name = "backwards"
        conceals = True

        def encode(self, data: bytes) -> bytes:
            return data[::-1]

        def decode(self, data: bytes) -> bytes:
            return data[::-1]

    @wf.workflow
    async def secretive(secret: str) -> str:
        return secret

    async def main() -> None:
        async with wf.open_engine(url, register=[secretive], codecs=[Backwards()]) as engine:
            await engine.run(secretive, "swordfish", id="hidden")

    trio.run(main)
    output = shown("hidden", "-s", url)
    assert 2 == output.count("(cannot be read here: ")
    assert "swordfish" not in output


def test_a_child_is_named_as_it_can_be_pasted(tmp_path: Path) -> None:
    """Its id is escaped once, wherever it stands: in what is waited for, in the timeline, among the children."""
    url, id = f"sqlite:///{tmp_path}/odd.db", "a\\b\nc"

    async def main() -> None:
        reached = trio.Event()

        @wf.activity
        async def tell() -> None:
            reached.set()

        @wf.workflow
        async def younger() -> None:
            await wf.sleep_forever()

        @wf.workflow
        async def elder() -> None:
            child = await wf.start_child(younger, id=id)
            await tell()
            await child.result()

        async with wf.open_engine(url, register=[elder, younger, tell]) as engine:
            await engine.start(elder, id="elder")
            await reached.wait()

    trio.run(main)
    lines = [line for line in shown("elder", "-s", url).splitlines() if "younger" in line or "x0a" in line]
    assert 3 == len(lines)
    assert all(r" a\\b\x0ac" in line or r"(a\\b\x0ac)" in line for line in lines)
    assert id in [item["detail"] for item in data("show", "elder", "-s", url)["history"]]


@pytest.mark.parametrize("id", ["a\nb", "a\\x0ab"])
def test_an_id_that_may_be_read_in_two_ways(left: str, id: str) -> None:
    """One workflow is called as another one is shown: the keys tell them apart."""
    result = run("show", "a\\x0ab", "-s", left)
    assert 2 == result.exit_code
    assert "may be read in two ways" in result.stderr
    keys = [item["instance"] for item in data("list", "-s", left)["workflows"] if item["id"] == id]
    assert keys[0] in result.stderr
    assert id == data("show", keys[0], "-s", left)["id"]
    assert listener.name == data("show", keys[0], "-s", left)["workflow"]


def test_an_id_that_cannot_be_one(left: str) -> None:
    """Code 2, and why."""
    result = run("show", "", "-s", left)
    assert 2 == result.exit_code
    assert "must not be empty" in result.stderr
