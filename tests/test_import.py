"""What ``import wfactors`` brings along, and what it leaves for later."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wfactors as wf


def output_of(*arguments: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


LOADED = "import sys; print(*sorted({'rich', 'trio', 'typer'} & set(sys.modules)))"


def test_what_workflow_code_needs_comes_without_trio() -> None:
    """Decorators and everything that is used inside a workflow."""
    uses = "@wf.activity\nasync def step() -> None: ...\n@wf.workflow\nasync def main() -> None: await wf.sleep(1)"
    assert output_of("-c", f"import wfactors as wf\n{uses}\n{LOADED}").split() == []


def test_the_engine_comes_when_it_is_named() -> None:
    """With Trio, and without anything that paints."""
    assert output_of("-c", f"import wfactors as wf; wf.open_engine; {LOADED}").split() == ["trio"]


def test_help_and_completion_wait_for_neither_trio_nor_a_store() -> None:
    """It is what people meet first, and what each press of the tab key runs."""
    code = f"from wfactors.cli.app import app\ntry: app(['--help'])\nexcept SystemExit: {LOADED}"
    assert output_of("-c", code).splitlines()[-1].split() == ["rich", "typer"]


def test_decorators_stay_what_they_are_whatever_is_imported_later() -> None:
    """The modules of the same names do not take their place."""
    code = "import wfactors as wf\nwf.Engine\nimport wfactors.workflow, wfactors.activity"
    assert output_of("-c", f"{code}\nprint(wf.workflow, wf.activity)").count("<function") == 2


def test_names_that_come_later_are_listed() -> None:
    """By ``dir()``, as all the others are."""
    assert set(wf.__all__) <= set(output_of("-c", "import wfactors; print(*dir(wfactors))").split())


def test_a_name_that_does_not_exist() -> None:
    """It is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="module 'wfactors' has no attribute 'open_motor'"):
        wf.open_motor  # noqa: B018
