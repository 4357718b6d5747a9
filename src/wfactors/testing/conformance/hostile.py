"""Names and values as people and attackers make them: they come back as they were, and do nothing else."""

# ruff: noqa: SIM300 - what is expected comes first

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from wfactors.model.failures import Failure
from wfactors.model.messages import Message, Signal
from wfactors.model.records import CreateOutcome, InstanceFilter, Reply
from wfactors.stores.dump import TABLES
from wfactors.testing.conformance.builders import (
    NOW,
    SHOP,
    Owner,
    append,
    closed,
    header,
    node,
    payload,
    request,
    signal,
    task,
)
from wfactors.testing.conformance.suite import Suite

if TYPE_CHECKING:
    from wfactors.stores.base import Store

__all__ = ["HostileConformance", "LargeConformance"]

HOSTILE = {
    "4 KiB": "x" * 4096,
    "4 KiB of emoji": "\N{PILE OF POO}" * 1024,
    "nul": "a\x00b",
    "nul only": "\x00",
    "quotes": """' " ` '' "" \\' ; --""",
    "injection": "'); DROP TABLE headers; --",
    "slashes": "../../a/b\\c//",
    "percent": "100%_[a-z]*?",
    "right to left": "\u202eabc\u202c \u05e9\u05dc\u05d5\u05dd",
    "emoji": "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}\ufe0f",
    "combining": "e\u0301",
    "blank": " ",
    "newlines": "\r\n\t\v\f",
    "control": "\x01\x1b[31m\x7f\x85\u2028\ufeff",
    "braces": "{0}{{%s%d}}${x}{id}",
    "colon": "0:shop:1",
    "number": "007",
    "none": "None",
    "beyond the plane": "\U0010ffff",
}
LOOK_ALIKES = (
    *("A", "a", "\u0430", "\u00e1", "a\u0301", "a ", " a", "a\x00", "\uff41"),
    *("ss", "\u00df", "SS", "\u0131", "i", "I", "\u0130", "1", "1.0", "01"),
)
MEGABYTE = 1024 * 1024


class HostileConformance(Suite):
    """Text that people chose, wherever it is kept."""

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_as_an_id(self, opened: Store, text: str) -> None:
        """Any text of up to 4 KiB is an id like any other: created, found, listed, refused, removed."""
        owner = await Owner.take(opened)
        row = header("i1", id=text, root_id=text)
        assert [CreateOutcome(True, row)] == await opened.create([request(row)])
        assert [CreateOutcome(False, row, True)] == await opened.create([request(header("i2", id=text))])
        assert row == await opened.find(text)
        assert [row] == await opened.headers(InstanceFilter(id=text, root_id=text), 10)
        assert 1 == await opened.count(InstanceFilter(root_id=text))
        await owner.commit(headers=[closed(row)])
        assert await opened.remove("i1")
        assert None is await opened.find(text)

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_as_everything_else(self, opened: Store, text: str) -> None:
        """The same text in every other place where people's names go comes back as it was."""
        name = text[:60]
        partition = f"0:{name}"
        owner = await Owner.take(opened, partition)
        context = {name: text}
        row = header(
            partition=partition,
            workflow=name,
            parked=text,
            context=context,
            attributes=payload(json.dumps({name: text})),
            failure=Failure(name, text, text, details=payload(json.dumps(text))),
        )
        call = task(partition=partition, activity=name, id=text, workflow=name, context=context)
        message = Message(f"m-{name}", partition, "i1", Signal(name, payload(json.dumps(text))))
        await owner.commit(headers=[row], tasks=[call], messages=[message], replies=[Reply(name, "i1", b"x", NOW + 60)])
        assert row == await opened.header("i1")
        wanted = InstanceFilter(workflow=name, queue=name, attributes={name: text})
        assert [row] == await opened.headers(wanted, 10)
        assert [attrs.evolve(call, node="node-1")] == await opened.claim("node-1", {name: [name]}, NOW, 10)
        assert [message] == [item.message for item in await opened.inbox(partition, 0, 10)]
        assert b"x" == await opened.take_reply(name)
        assert [name] == [statistics.queue for statistics in await opened.queues()]
        assert [partition] == [known.partition for known in await opened.partitions()]
        assert set(TABLES) == set(await opened.dump())

    async def test_look_alikes_are_different(self, opened: Store) -> None:
        """Ids are equal when their characters are: no folding of case, accents, width or blanks."""
        for number, text in enumerate(LOOK_ALIKES):
            [outcome] = await opened.create([request(header(f"i{number:02}", id=text))])
            assert outcome.created, text
        found = [await opened.find(text) for text in LOOK_ALIKES]
        assert list(LOOK_ALIKES) == [row.id if row else None for row in found]
        assert [1] * len(LOOK_ALIKES) == [await opened.count(InstanceFilter(id=text)) for text in LOOK_ALIKES]

    async def test_look_alike_queues_and_activities(self, opened: Store) -> None:
        """Queues and activities are equal when their characters are, too."""
        owner = await Owner.take(opened)
        names = ["a", "A", "\u00e1", "a "]
        await owner.commit(tasks=[task(call=number, activity=name) for number, name in enumerate(names)])
        for number, name in enumerate(names):
            assert [number] == [row.key.call for row in await opened.claim("node-1", {"shop": [name]}, NOW, 10)]

    async def test_hostile_node(self, opened: Store) -> None:
        """What a node says of itself comes back as it was."""
        texts = tuple(HOSTILE.values())
        row = await opened.join(
            node("node '1\x00", queues=texts, activities=texts, workflows=texts, code_version=texts[4]), 10.0
        )
        assert [row] == await opened.nodes()
        assert (texts, texts, texts, texts[4]) == (row.queues, row.activities, row.workflows, row.code_version)

    @pytest.mark.parametrize("at", [0.0, 0.001, NOW + 0.123456, 4102444800.5, 1e11 + 0.25])
    async def test_times_are_exact(self, opened: Store, at: float) -> None:
        """Times come back to the last digit, so that timers and order do not shift."""
        owner = await Owner.take(opened)
        row = header("i1", created_at=at, started_at=at, wake_at=at)
        await owner.commit(headers=[row, closed(header("i2"), at=at)], tasks=[task(available_at=at, scheduled_at=at)])
        assert row == await opened.header("i1")
        assert [at] == [wake.at for wake in await opened.wakes(SHOP, at, 10)]
        assert at == await opened.next_task_at({"shop": ["charge"]})

    async def test_payloads_are_exact(self, opened: Store) -> None:
        """Payloads come back byte for byte: no number is read, no key sorted, no escape undone."""
        owner = await Owner.take(opened)
        text = '{"b":1,"a":12345678901234567890123,"c":1.10,"d":"\\u00e4\\ud83d\\ude00","e":1e400,"a":2}'
        await owner.commit(
            headers=[header(start=payload(text))], messages=[signal(text=text)], tasks=[task(input=payload(text))]
        )
        row = await opened.header("i1")
        assert row is not None
        assert row.start is not None
        assert text == bytes(row.start).decode()
        assert [signal(text=text)] == [item.message for item in await opened.inbox(SHOP, 0, 1)]
        assert [payload(text)] == [each.input for each in await opened.tasks("i1", 1)]


class LargeConformance(Suite):
    """Sizes at the edge."""

    @pytest.mark.parametrize("megabytes", [1, 8])
    async def test_large_payloads(self, opened: Store, megabytes: int) -> None:
        """Values of several megabytes are kept like small ones."""
        owner = await Owner.take(opened)
        text = f'"{"ä" * (megabytes * MEGABYTE // 2)}"'
        row = header(start=payload(text))
        events = append(size=megabytes * MEGABYTE)
        call = task(input=payload(text))
        await owner.commit(
            headers=[row],
            appends=[events],
            tasks=[call],
            messages=[signal(text=text)],
            replies=[Reply("r1", "i1", text.encode(), NOW + 60)],
        )
        assert row == await opened.header("i1")
        assert [events] == await opened.history("i1", 1)
        assert [call] == await opened.tasks("i1", 1)
        assert [signal(text=text)] == [item.message for item in await opened.inbox(SHOP, 0, 1)]
        assert text.encode() == await opened.take_reply("r1")

    async def test_long_history(self, opened: Store) -> None:
        """A history of thousands of rows is read in pages, from anywhere."""
        owner = await Owner.take(opened)
        rows = [append(first=number * 3, count=3) for number in range(2000)]
        await owner.commit(appends=rows)
        assert rows == await opened.history("i1", 1)
        assert rows[1234:1244] == await opened.history("i1", 1, 1234 * 3 + 2, 10)
