"""Stores whose values went through codecs, as the command sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import wfactors as wf
from tests.cli.cli_kit import data, run

KEY = "00112233445566778899aabbccddeeff"
CODE = f"""
import wfactors as wf

codecs = [wf.EncryptionCodec(bytes.fromhex("{KEY}"))]
as_dict = {{"codecs": codecs}}

def as_function() -> dict[str, object]:
    return as_dict

def broken() -> None:
    raise LookupError("no key")

@wf.workflow
async def keep(word: str) -> str:
    return word

@wf.workflow
async def fail(word: str) -> None:
    raise wf.PermanentError(f"not {{word}}")

@wf.workflow
async def wait() -> str:
    return await wf.signals("word", str).receive()

wrong = {{"codec": codecs}}
twice = {{"codecs": codecs * 2}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with code, and a store on which it ran."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "sealed.py").write_text(CODE)
    names: dict[str, object] = {"__name__": "sealed"}
    exec(CODE, names)  # The same code as in the file.

    async def fill() -> None:
        register = [names["keep"], names["fail"], names["wait"]]
        codecs = [wf.EncryptionCodec(bytes.fromhex(KEY))]
        async with wf.open_engine(f"sqlite:///{folder}/sealed.db", register=register, codecs=codecs) as engine:
            assert await engine.run("keep", "secret", id="kept") == "secret"
            with pytest.raises(wf.WorkflowFailed):
                await engine.run("fail", "secret", id="failed")
            await engine.start("wait", id="waiting")

    trio.run(fill)
    return folder


@pytest.fixture
def sealed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of the store; its folder is the current one."""
    monkeypatch.chdir(folder)
    return f"sqlite:///{folder}/sealed.db"


def test_without_the_codecs_it_is_said_what_is_missing(sealed: str) -> None:
    """And what does not need them is shown."""
    result = run("result", "kept", "-s", sealed)
    assert 2 == result.exit_code
    assert "aes-gcm" in result.stderr
    assert "--payloads MODULE:ATTRIBUTE" in result.stderr
    assert "cannot be read here" in data("show", "kept", "-s", sealed)["result"]
    errors = {item["id"]: item["error"] for item in data("list", "-s", sealed)["workflows"]}
    assert "PermanentError" in errors["failed"]["type"]
    assert "secret" not in str(errors)


@pytest.mark.parametrize("attribute", ["as_dict", "as_function"])
def test_with_the_codecs_values_are_shown(sealed: str, attribute: str) -> None:
    """Results, arguments, and what failures say."""
    option = ("--payloads", f"sealed:{attribute}")
    assert '"secret"\n' == run(*option, "result", "kept", "-s", sealed).stdout
    assert ["secret"] == data(*option, "show", "kept", "-s", sealed)["input"]
    assert "not secret" == data(*option, "show", "failed", "-s", sealed)["error"]["message"]
    assert 'input=["secret"]' in run(*option, "show", "kept", "--events", "-s", sealed).stdout


def test_the_variable(sealed: str) -> None:
    """Does what the option does."""
    assert '"secret"\n' == run("result", "kept", "-s", sealed, WFACTORS_PAYLOADS="sealed:as_dict").stdout


def test_what_is_sent_is_sealed(sealed: str, folder: Path) -> None:
    """The store never sees it."""
    assert 0 == run("--payloads", "sealed:as_dict", "signal", "waiting", "word", '"whisper"', "-s", sealed).exit_code
    stored = b"".join(path.read_bytes() for path in folder.glob("sealed.db*"))
    assert b"aes-gcm" in stored
    assert b"whisper" not in stored


def test_replay(sealed: str) -> None:
    """Needs the codecs for the arguments."""
    arguments = ("replay", "sealed.py", "--id", "kept", "-s", sealed)
    assert 1 == run(*arguments).exit_code
    assert 0 == run("--payloads", "sealed:as_dict", *arguments).exit_code


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("sealed", "not written MODULE:ATTRIBUTE"),
        ("nowhere:x", "there is no module nowhere"),
        ("sealed:nothing", "sealed has no nothing"),
        ("sealed:codecs", "does not say how values are stored"),
        ("sealed:wrong", "does not say how values are stored"),
        ("sealed:twice", "aes-gcm"),
        ("sealed:broken", "raised LookupError: no key"),
    ],
)
def test_what_is_no_such_thing(sealed: str, target: str, words: str) -> None:
    """Wrong usage, in one sentence."""
    result = run("--payloads", target, "list", "-s", sealed)
    assert 2 == result.exit_code
    assert words in result.stderr
