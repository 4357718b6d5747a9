"""wfactors list: what it says besides the table."""

from __future__ import annotations

from tests.cli.cli_kit import data, run
from tests.cli.leftovers import CHILDREN, DEPTH

ALL = (1 + CHILDREN) + (1 + DEPTH) + 2 + 8


def test_what_the_limit_cuts_is_counted(left: str) -> None:
    """The number of all that match."""
    assert f"3 of {ALL} workflows; --limit shows more" in run("list", "--limit", "3", "-s", left).stdout


def test_roots_beyond_the_limit_are_not_counted(left: str) -> None:
    """The store has no number of them, so none is made up."""
    assert "3 of more; --limit shows more" in run("list", "--roots", "--limit", "3", "-s", left).stdout
    assert None is data("list", "--roots", "--limit", "3", "-s", left)["total"]


def test_roots_leave_out_children(left: str) -> None:
    """However many there are between them."""
    listed = data("list", "--roots", "-s", left)
    assert {None} == {item["parent"] for item in listed["workflows"]}
    assert ALL - CHILDREN - DEPTH == listed["total"]


def test_nothing_matches(left: str) -> None:
    """A sentence instead of an empty table."""
    assert "no workflows match\n" == run("list", "--workflow", "unheard_of", "-s", left).stdout


def test_parked_ones(left: str) -> None:
    """As a status, which it is for people."""
    assert ["stuck"] == [item["id"] for item in data("list", "--status", "parked", "-s", left)["workflows"]]
    assert "‖ parked" in run("list", "--status", "parked", "-s", left).stdout


def test_long_ids_of_children_keep_their_ends(left: str) -> None:
    """The middle gives way, since the end tells children of one parent apart."""
    deepest = max((item["id"] for item in data("list", "-s", left)["workflows"]), key=len)
    output = run("list", "-s", left, COLUMNS="60").stdout
    assert deepest not in output
    assert any("…" in line and deepest[-3:] in line for line in output.splitlines())
