"""Search attributes and lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import trio

import wfactors as wf


@wf.workflow
async def order(customer: str, cents: int) -> str:
    wf.set_attributes(customer=customer, cents=cents)
    await wf.signals("paid").receive()
    wf.set_attributes({"state": "paid", "cents": None})
    await wf.signals("sent").receive()
    return str(dict(wf.info().attributes))


@wf.workflow
async def quick() -> None:
    pass


@wf.workflow
async def continues() -> dict[str, object]:
    if wf.info().run == 1:
        wf.set_attributes(stage=2)
        wf.continue_as_new()
    return dict(wf.info().attributes)


class Mirrored:
    """A codec that makes everything unreadable."""

    name = "mirrored"

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


async def ids(engine: wf.Client, **filters: object) -> list[str]:
    """The ids that a list finds."""
    return [item.id async for item in engine.list(**filters)]


@pytest.mark.parametrize("codecs", [[], [Mirrored()]], ids=["plain", "codec"])
@pytest.mark.parametrize("instances", [1, 1000])
async def test_attributes_are_set_changed_removed_and_searched(backend, autojump_clock, instances, codecs) -> None:
    """Set at the start and by the workflow; a codec does not hide them, or nobody could search."""
    limits = wf.Limits(resident_instances=instances)
    async with backend.engine(order, limits=limits, codecs=codecs) as engine:
        first = await engine.start(order, "ada", 100, id="a", attributes={"channel": "web"})
        await trio.sleep(1)
        await engine.start(order, "bob", 200, id="b", attributes={"channel": "web"})
        await trio.sleep(1)
        assert ["b", "a"] == await ids(engine, attributes={"channel": "web"})
        assert ["a"] == await ids(engine, attributes={"channel": "web", "customer": "ada"})
        assert ["b"] == await ids(engine, attributes={"cents": 200})
        assert [] == await ids(engine, attributes={"state": "paid"})
        await first.signal("paid")
        await trio.sleep(1)
        assert ["a"] == await ids(engine, attributes={"state": "paid"})
        assert [] == await ids(engine, attributes={"cents": 100})
        assert {"channel": "web", "customer": "ada", "state": "paid"} == (await first.describe()).attributes
    async with backend.engine(order, codecs=codecs) as engine:
        handle = await engine.get("a")
        await handle.signal("sent")
        assert "{'channel': 'web', 'customer': 'ada', 'state': 'paid'}" == await handle.result()
        assert ["a"] == await ids(engine, attributes={"state": "paid"}, status="completed")


async def test_attributes_of_children_and_of_the_next_run(backend, autojump_clock) -> None:
    """Given with the call; kept over continue_as_new."""

    @wf.workflow
    async def parent() -> None:
        await wf.start_child(order, "kid", 5, id="c", attributes={"channel": "child"}, parent_close="abandon")

    async with backend.engine(parent, order, continues) as engine:
        await engine.run(parent)
        await trio.sleep(1)
        assert ["c"] == await ids(engine, attributes={"channel": "child", "customer": "kid"})
        assert {"stage": 2, "a": 1} == await engine.run(continues, attributes={"a": 1})


async def test_attributes_that_cannot_be_stored_are_refused(backend, autojump_clock) -> None:
    """At the call, and nothing is set."""

    @wf.workflow
    async def tries() -> list[object]:
        wf.set_attributes(good=1)
        try:
            wf.set_attributes(good=2, bad=object())
        except wf.ConversionError:
            return [dict(wf.info().attributes)]
        return []

    async with backend.engine(tries) as engine:
        assert [{"good": 1}] == await engine.run(tries)
        with pytest.raises(wf.ConversionError):
            await engine.start(tries, attributes={"bad": object()})


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "1", [1], {"a": 1}, 2**70, Decimal("1.50"), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=7)],
)
async def test_an_attribute_is_found_by_the_value_it_was_given(backend, autojump_clock, value) -> None:
    """Also by one that JSON has no type for; and by nothing else."""
    async with backend.engine(quick) as engine:
        await engine.run(quick, id="found", attributes={"a": value})
        await engine.run(quick, id="another", attributes={"a": "another"})
        await engine.run(quick, id="none")
        assert (["found"], 1) == (
            await ids(engine, attributes={"a": value}),
            await engine.count(attributes={"a": value}),
        )
        with pytest.raises(wf.ConversionError):
            await ids(engine, attributes={"a": object()})


@pytest.mark.parametrize("name", ["a.b", 'a"b', "a'b", "$", "", "[0]", "\\", "a\x00b", "é🙂"])
async def test_any_name_of_an_attribute_works(backend, autojump_clock, name) -> None:
    """Nothing in it means anything to the store."""
    async with backend.engine(quick) as engine:
        await engine.run(quick, id="found", attributes={name: 1})
        assert ["found"] == await ids(engine, attributes={name: 1})
        assert [] == await ids(engine, attributes={name: 2})


async def test_times_without_a_zone_and_negative_limits_are_refused(backend, autojump_clock) -> None:
    """What they mean would depend on the machine, or is nonsense; nothing is removed."""
    async with backend.engine(quick) as engine:
        await engine.run(quick)
        naive = datetime(2100, 1, 1)  # noqa: DTZ001 - the mistake under test
        for request in (
            lambda: engine.remove_finished(before=naive),
            lambda: ids(engine, started_after=naive),
            lambda: ids(engine, started_before=naive),
            lambda: ids(engine, limit=-1),
            lambda: engine.remove_finished(9e9, limit=-1),
        ):
            with pytest.raises(ValueError, match="time zone|negative"):
                await request()
        for limit in (1.5, "1", True):
            for request in (lambda: ids(engine, limit=limit), lambda: engine.remove_finished(9e9, limit=limit)):  # noqa: B023
                with pytest.raises(TypeError, match="limit must be a whole number"):
                    await request()
        assert 1 == await engine.count()


async def test_lists_are_filtered_by_everything_there_is(backend, autojump_clock) -> None:
    """Newest first, with a limit."""
    async with backend.engine(order, quick, queues=["default", "other"]) as engine:
        for number in range(5):
            await engine.run(quick, id=f"q{number}")
            await trio.sleep(10)
        middle = datetime.fromtimestamp(backend.clock.now(), UTC)
        await engine.start(order, "ada", 1, id="o", queue="other")
        assert ["o", "q4", "q3", "q2", "q1", "q0"] == await ids(engine)
        assert ["o", "q4"] == await ids(engine, limit=2)
        assert [] == await ids(engine, limit=0)
        assert ["o"] == await ids(engine, status="open")
        assert ["o"] == await ids(engine, status=[wf.Status.OPEN, wf.Status.FAILED])
        assert ["o"] == await ids(engine, workflow=order)
        assert ["o"] == await ids(engine, workflow="order", queue="other")
        assert ["o"] == await ids(engine, started_after=middle)
        assert ["q4", "q3"] == await ids(
            engine, started_after=middle - timedelta(seconds=25), started_before=middle, workflow=quick
        )
        assert [] == await ids(engine, parked=True)
        with pytest.raises(ValueError, match="nonsense"):
            await ids(engine, status="nonsense")


async def test_long_lists_come_in_pages(backend, autojump_clock) -> None:
    """Each instance once, although more are started meanwhile."""
    async with backend.engine(quick) as engine:
        for number in range(450):
            await engine.start(quick, id=f"q{number}")
        await trio.sleep(1)
        found: list[str] = []
        async for item in engine.list():
            found.append(item.id)
            if len(found) == 10:
                await engine.start(quick, id="late")
        assert sorted(f"q{number}" for number in range(450)) == sorted(found)
