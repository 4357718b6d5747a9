"""The auditor notices: a store that was tampered with is found out, promise by promise."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import wfactors as wf
from tests.faults import workload
from wfactors.testing.auditor import Entry, audit

Dump = dict[str, list[dict[str, Any]]]


async def _run(folder: Path) -> Any:
    log = workload.use_log(folder / "effects")
    store = wf.MemoryStore()
    async with wf.open_engine(store, register=workload.REGISTER, queues=workload.QUEUES) as engine:
        await workload.tell_stories(engine)
        await workload.settle(engine)
    async with store.open():
        return await store.dump(), log.read()


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dump, list[Entry]]:
    return trio.run(_run, tmp_path_factory.mktemp("audited"))


def lose_history(dump: Dump, entries: list[Entry]) -> None:
    del dump["events"][0]


def double_history(dump: Dump, entries: list[Entry]) -> None:
    dump["events"].insert(1, dump["events"][0])


def lose_effect(dump: Dump, entries: list[Entry]) -> None:
    entries.remove(next(entry for entry in entries if entry.kind == "effect" and _is_there(dump, entry)))


def double_effect(dump: Dump, entries: list[Entry]) -> None:
    entries.append(next(entry for entry in entries if entry.kind == "effect"))


def lose_instance(dump: Dump, entries: list[Entry]) -> None:
    lost = next(entry for entry in entries if entry.kind == "start" and _is_there(dump, entry))["instance"]
    for table in ("headers", "events"):
        dump[table] = [row for row in dump[table] if row["instance"] != lost]


def lose_signal(dump: Dump, entries: list[Entry]) -> None:
    entries.append(_signal(entries, payload='"never"'))


def swap_signals(dump: Dump, entries: list[Entry]) -> None:
    places = [number for number, entry in enumerate(entries) if entry.kind == "signal"]
    first, second = places[0], places[1]
    entries[first], entries[second] = entries[second], entries[first]


def change_result(dump: Dump, entries: list[Entry]) -> None:
    row = next(row for row in dump["headers"] if row["workflow"] == "sequential" and row["result"] == "3")
    row["result"] = "4"


def leave_task(dump: Dump, entries: list[Entry]) -> None:
    dump["tasks"].append({"key": "left", "activity": "add"})


def leave_open(dump: Dump, entries: list[Entry]) -> None:
    dump["headers"][0]["status"] = "open"


def change_decision(dump: Dump, entries: list[Entry]) -> None:
    row = next(row for row in dump["events"] if '"ActivityScheduled"' in row["data"])
    row["data"] = row["data"].replace('"activity":"add"', '"activity":"odd"')


def go_back(dump: Dump, entries: list[Entry]) -> None:
    for epoch, node in ((3, "a"), (2, "b")):
        entries.append(Entry("owner", 1, {"partition": "p", "epoch": epoch, "node": node}))


def _is_there(dump: Dump, entry: Entry) -> bool:
    return any(row["instance"] == entry["instance"] for row in dump["headers"])


def _signal(entries: list[Entry], **changes: str) -> Entry:
    entry = next(entry for entry in entries if entry.kind == "signal")
    return Entry("signal", entry.pid, {**entry.fields, **changes})


TAMPERINGS = {
    lose_history: "I2",
    double_history: "I2",
    lose_effect: "I4",
    double_effect: "I4",
    lose_instance: "I1",
    lose_signal: "I6",
    swap_signals: "I6",
    change_result: "I3",
    leave_task: "I10",
    leave_open: "I1",
    change_decision: "I7",
    go_back: "I2",
}


def test_an_undisturbed_run_breaks_no_promise(audited: tuple[Dump, list[Entry]]) -> None:
    """Nothing is found where nothing is wrong."""
    assert [] == audit(*audited, workload.application())


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_the_auditor_notices(tamper: Callable[[Dump, list[Entry]], None], audited: tuple[Dump, list[Entry]]) -> None:
    """Each kind of harm is found under the name of the promise that it breaks."""
    dump, entries = copy.deepcopy(audited[0]), list(audited[1])
    tamper(dump, entries)
    found = audit(dump, entries, workload.application())
    assert TAMPERINGS[tamper] in {violation.invariant for violation in found}
