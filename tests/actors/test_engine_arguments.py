"""What ``open_engine`` and ``open_client`` say of arguments that make no sense, before anything is opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import wfactors as wf
from tests.stores.sqlite_kit import names_in

if TYPE_CHECKING:
    from pathlib import Path


@wf.workflow
async def checkout() -> str:
    return "done"


STORE = "store must be a URL, such as 'sqlite:///shop.db', or a store, such as wf.MemoryStore()"
REGISTER = "register must be a list of workflows and activities, such as [checkout, charge]"
CONVERTER = "converter must be an object with encode() and decode(), such as wf.CattrsConverter()"
WRONG: list[tuple[str, Any, str]] = [
    ("store", None, f"{STORE}, not None"),
    ("store", 5, f"{STORE}, not 5"),
    ("store", wf.MemoryStore, f"{STORE}, not <class "),
    ("register", checkout, f"{REGISTER}, not <Workflow 'checkout'>"),
    ("register", "abc", f"{REGISTER}, not 'abc'"),
    ("register", None, f"{REGISTER}, not None"),
    ("register", {"checkout": checkout}, f"{REGISTER}, not {{'checkout'"),
    ("queues", "default", "queues must be a list of names, such as ['default'], not 'default'"),
    ("queues", 5, "queues must be a list of names, such as ['default'], not 5"),
    ("queues", [5], "a queue name must be a str, not int"),
    ("limits", 5, "limits must be wf.Limits(...), not 5"),
    ("limits", 0, "limits must be wf.Limits(...), not 0"),
    ("limits", {"activities": 5}, "limits must be wf.Limits(...), not {'activities': 5}"),
    ("converter", 5, f"{CONVERTER}, not 5"),
    ("converter", wf.CattrsConverter, f"{CONVERTER}, not <class "),
    ("codecs", 5, "codecs must be a list, such as [ZlibCodec()], not 5"),
    ("codecs", [5], "a codec has a name, encode() and decode()"),
    ("retired_codecs", 5, "retired_codecs must be a list, such as [ZlibCodec()], not 5"),
    ("lease", "10", "lease must be seconds or a timedelta, not str"),
    ("grace", "", "grace must be seconds or a timedelta, not ''"),
    ("grace", None, "grace must be seconds or a timedelta, not None"),
    ("grace", False, "grace must be seconds or a timedelta, not False"),
    ("retention", "1", "retention must be seconds or a timedelta, not str"),
    ("partitions", "1", "partitions must be a whole number, not '1'"),
    ("workflows", "x", "workflows must be True or False, not 'x'"),
    ("workflows", None, "workflows must be True or False, not None"),
    ("clock", 5, "clock must be an object with now() and sleep_until(), not 5"),
    ("clock", wf.TrioClock, "clock must be an object with now() and sleep_until(), not <class "),
    ("code_version", 5, "code_version must be text, such as '1.4.2', not 5"),
    ("hold", 5, "hold must be an object with acquire() and release(), not 5"),
    ("replay_check", "bogus", "replay_check must be 'always', a share from 0 to 1, or None, not 'bogus'"),
    ("telemetry", 5, "telemetry must be wf.Telemetry(...), not 5"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
async def test_an_engine_says_what_is_wrong_with_an_argument(tmp_path: Path, name: str, value: Any, words: str) -> None:
    """TypeError: which one it is, what it should be and what it is; no file is made."""
    arguments: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/shop.db", "register": [checkout], name: value}
    with pytest.raises(TypeError, match=re.escape(words)):
        async with wf.open_engine(**arguments):
            pass
    assert [] == names_in(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *(wrong for wrong in WRONG if wrong[0] in ("store", "converter", "codecs", "retired_codecs", "partitions")),
        ("payload_bytes", "1", "Limits(payload_bytes=...) must be an int, not str"),
        ("telemetry", 5, "telemetry must be wf.Telemetry(...), not 5"),
    ],
)
async def test_a_client_says_the_same(tmp_path: Path, name: str, value: Any, words: str) -> None:
    """Of the arguments that it shares with an engine."""
    arguments: dict[str, Any] = {"store": f"sqlite:///{tmp_path}/shop.db", name: value}
    with pytest.raises(TypeError, match=re.escape(words)):
        async with wf.open_client(**arguments):
            pass
    assert [] == names_in(tmp_path)


async def test_arguments_of_any_fitting_kind_serve() -> None:
    """Iterables that are no lists, and a clock of one's own."""

    class Clock:
        def __init__(self) -> None:
            self.clock = wf.TrioClock()

        def now(self) -> float:
            return self.clock.now()

        async def sleep_until(self, at: float) -> None:
            await self.clock.sleep_until(at)

    engine = wf.open_engine(
        wf.MemoryStore(),
        register=iter([checkout]),  # type: ignore[arg-type]
        queues=("default",),
        clock=Clock(),
        codecs=(),
        grace=0,
    )
    async with engine as client:
        assert "done" == await client.run(checkout)
