"""From a command to its store and back: names, errors, readers that have gone."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.cli.cli_kit import process, run
from wfactors.cli import running
from wfactors.cli.exits import Exit
from wfactors.cli.options import Globals
from wfactors.cli.running import reporting, store_option, this_command
from wfactors.errors import WorkflowNotFound


def test_an_error_that_nobody_expects_goes_on_as_it_is() -> None:
    """Its traceback is what mends it; groups of one are only in the way."""
    bug = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError) as caught, reporting():
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [bug])])
    assert bug is caught.value


def test_an_expected_error_in_groups_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """However many nurseries it came through."""
    with pytest.raises(typer.Exit) as caught, reporting():
        raise BaseExceptionGroup("outer", [ExceptionGroup("inner", [WorkflowNotFound("order-7")])])
    assert Exit.NOT_FOUND == caught.value.exit_code
    assert "there is no workflow order-7" in capsys.readouterr().err


def test_several_errors_at_once_are_not_summed_up() -> None:
    """No single sentence would be the truth."""
    group = ExceptionGroup("both", [WorkflowNotFound("a"), WorkflowNotFound("b")])
    with pytest.raises(ExceptionGroup) as caught, reporting():
        raise group
    assert group is caught.value


def test_an_interrupt_is_code_130() -> None:
    """As shells have it."""
    with pytest.raises(typer.Exit) as caught, reporting():
        raise KeyboardInterrupt
    assert Exit.INTERRUPTED == caught.value.exit_code


def test_a_reader_that_has_gone_is_no_error(left: str, tmp_path: Path) -> None:
    """``wfactors list | head -1`` ends quietly, with code 0."""
    with process("list", "--json", "-s", left, cwd=tmp_path) as started:
        started.stdout.close()
        assert (0, "") == (started.wait(timeout=30), started.stderr.read())


def test_a_terminal_that_is_not_utf_8_gets_question_marks(left: str, tmp_path: Path) -> None:
    """For the signs; the words beside them say the same."""
    with process("list", "-s", left, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}) as started:
        output, error = started.communicate(timeout=60)
    assert (0, "") == (started.returncode, error)
    assert "? completed" in output


def test_a_mistake_in_the_code_is_not_taken_for_a_wrong_url(left: str) -> None:
    """A ValueError that says nothing of a store is shown with its traceback."""

    async def body(options: Globals) -> None:
        async with running.with_client(options):
            raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        running.run(body, Globals(left))


def test_a_store_is_named_as_a_shell_reads_it() -> None:
    """A line that is shown can be pasted, whatever the URL has in it."""
    url = "sqlite:///my shop.db?synchronous=normal&busy_seconds=2"
    assert ["--store", url] == shlex.split(store_option(url))
    assert "--store sqlite:////tmp/x/demo.db" == store_option("sqlite:////tmp/x/demo.db")


@pytest.mark.parametrize(
    ("called", "found", "words"),
    [
        ("/usr/bin/wfactors", "/usr/bin/wfactors", "wfactors"),
        ("/opt/venv/bin/wfactors", "/usr/bin/wfactors", "/opt/venv/bin/wfactors"),
        ("/opt/venv/bin/wfactors", None, "/opt/venv/bin/wfactors"),
        ("/lib/wfactors/__main__.py", "/usr/bin/wfactors", "python -m wfactors"),
        ("/usr/bin/pytest", None, "wfactors"),
    ],
)
def test_how_to_call_this_again(monkeypatch: pytest.MonkeyPatch, called: str, found: str | None, words: str) -> None:
    """By its name where the shell would find this one, else by its path."""
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr(shutil, "which", lambda _: found)
    assert words == this_command()


def test_the_module_is_the_command() -> None:
    """``python -m wfactors`` does what ``wfactors`` does; importing it does nothing."""
    told = subprocess.run([sys.executable, "-m", "wfactors", "--version"], check=True, capture_output=True, text=True)
    assert run("--version").stdout == told.stdout
    subprocess.run([sys.executable, "-c", "import wfactors.__main__"], check=True)
