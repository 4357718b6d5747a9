"""wfactors show: of a store that no node serves."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import wfactors as wf
from tests.cli.cli_kit import data, run
from tests.cli.leftovers import CHILDREN, listener


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


def test_one_that_has_not_started(left: str) -> None:
    """Its input, and no history."""
    output = shown("waiting", "-s", left)
    assert "0 events" in output
    assert "history over" not in output


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
