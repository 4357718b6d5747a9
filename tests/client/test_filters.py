"""What a client says of filters, names and options that make no sense; it is the same with every store."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import wfactors as wf

if TYPE_CHECKING:
    from pathlib import Path

WRONG: list[tuple[str, Any, type[Exception], str]] = [
    ("status", 5, TypeError, "status must be a status such as 'open', or a list of them, not 5"),
    ("status", "nope", ValueError, "status must be one of 'open', "),
    ("status", ["open", 5], ValueError, ", not 5"),
    ("workflow", 5, TypeError, "workflow must be a workflow, or the name of one, not 5"),
    ("queue", 5, TypeError, "queue must be a str, not 5"),
    ("queue", "\ud800", ValueError, "queue must be valid Unicode text"),
    ("attributes", 5, TypeError, "attributes must be a mapping, such as {'customer': 'ada'}, not 5"),
    ("parked", "yes", TypeError, "parked must be True or False, not 'yes'"),
]
WRONG_TIMES: list[tuple[str, Any, type[Exception], str]] = [
    (name, value, TypeError, f"{name} must be a datetime with a time zone, not {value!r}")
    for name in ("started_after", "started_before")
    for value in ("2020", 5.0, date(2020, 1, 1))
]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A store with a file, and one without: the same is expected of both."""
    return wf.MemoryStore() if request.param == "memory" else wf.SqliteStore(tmp_path / "store.db")


@pytest.mark.parametrize(("name", "value", "error", "words"), [*WRONG, *WRONG_TIMES])
async def test_a_filter_that_makes_no_sense_is_refused(
    store: Any, name: str, value: Any, error: type[Exception], words: str
) -> None:
    """A list or a count that matches nothing, or everything, would pass for an answer."""
    wrong: dict[str, Any] = {name: value}
    async with wf.open_client(store) as client:
        await client.start("w", id="there")
        with pytest.raises(error, match=re.escape(words)):
            [item async for item in client.list(**wrong)]
        if (name, value, error, words) in WRONG:
            with pytest.raises(error, match=re.escape(words)):
                await client.count(**wrong)
        assert ["there"] == [item.id async for item in client.list(queue="default", workflow="w", status=["open"])]


async def test_a_removal_needs_a_time(store: Any) -> None:
    """Text is none, though it may look like a number."""
    async with wf.open_client(store) as client:
        for before, error in (("9999999999", TypeError), (date(2100, 1, 1), TypeError), (math.nan, ValueError)):
            with pytest.raises(error, match="before must be a datetime with a time zone, or seconds since 1970, not "):
                await client.remove_finished(before)  # type: ignore[arg-type]
        assert 0 == await client.remove_finished(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("option", "value", "error", "words"),
    [
        ("queue", "", ValueError, "a queue name must not be empty"),
        ("reuse", "no", ValueError, "reuse must be one of 'allow', 'if_failed', 'reject', not 'no'"),
        ("queue", 5, TypeError, "a queue name must be a str, not int"),
        ("attributes", 5, TypeError, "attributes must be a mapping, such as {'customer': 'ada'}, not 5"),
        ("context", 5, TypeError, "context must be a mapping of strings, not 5"),
        ("context", "", TypeError, "context must be a mapping of strings, not ''"),
    ],
)
async def test_an_option_of_a_start_that_makes_no_sense_is_refused(
    option: str, value: Any, error: type[Exception], words: str
) -> None:
    """Also with a signal; and nothing is started, in the default queue or elsewhere."""
    options: dict[str, Any] = {option: value}
    async with wf.open_client(wf.MemoryStore()) as client:
        with pytest.raises(error, match=re.escape(words)):
            await client.start("w", **options)
        with pytest.raises(error, match=re.escape(words)):
            await client.signal_with_start("w", id="x", signal="s", **options)
        assert 0 == await client.count()


async def test_options_that_a_signal_does_not_start_with() -> None:
    """Those that only ``start`` and ``run`` take."""
    async with wf.open_client(wf.MemoryStore()) as client:
        with pytest.raises(ValueError, match="on_conflict must be one of 'fail', .*, not 'no'"):
            await client.run("w", on_conflict="no")
        with pytest.raises(TypeError, match="keywords must be a mapping of names to values, not 5"):
            await client.run("w", keywords=5)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("delay", "error"),
    [(-1, ValueError), (math.inf, ValueError), (math.nan, ValueError), ("", TypeError), (False, TypeError)],
)
async def test_a_delay_is_a_time(delay: Any, error: type[Exception]) -> None:
    """One without end would be a start that never comes, not one at once."""
    async with wf.open_client(wf.MemoryStore()) as client:
        with pytest.raises(error, match="delay must be"):
            await client.start("w", delay=delay)
        for nothing in (0, 0.0, timedelta(0), None):
            handle = await client.start("w", delay=nothing)
            assert (await handle.describe()).wake_at is None
