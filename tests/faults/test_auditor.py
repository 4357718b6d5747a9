"""The auditor notices: a store that was tampered with is found out, promise by promise."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def orphan_history(dump: Dump, entries: list[Entry]) -> None:
    dump["events"].append({**dump["events"][0], "instance": "nobody's"})


def damage_history(dump: Dump, entries: list[Entry]) -> None:
    dump["events"][0]["data"] = "{"


def miscount_a_row(dump: Dump, entries: list[Entry]) -> None:
    dump["events"][0]["count"] += 1


def start_twice(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "sequential") as events:
        events.insert(1, events[0])


def turn_time_back(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "sequential") as events:
        events[-2][1]["time"] = 1.0


def answer_twice(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "sequential") as events:
        place = next(number for number, (kind, _) in enumerate(events) if kind == "ActivityCompleted")
        events.insert(place, events[place])


def fire_unarmed(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "naps") as events:
        place = next(number for number, (kind, _) in enumerate(events) if kind == "TimerFired")
        events.insert(place, events[place])


def go_on_after_the_end(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "sequential") as events:
        events.append(events[1])


def end_twice(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "sequential") as events:
        events.append(events[-1])


def lose_next_run(dump: Dump, entries: list[Entry]) -> None:
    last = max((row for row in dump["headers"] if row["workflow"] == "again"), key=lambda row: row["run"])
    key = (last["instance"], last["run"])
    for table in ("headers", "events"):
        dump[table] = [row for row in dump[table] if (row["instance"], row["run"]) != key]


def act_unasked(dump: Dump, entries: list[Entry]) -> None:
    effect = next(entry for entry in entries if entry.kind == "effect" and _is_there(dump, entry))
    entries.append(Entry("effect", 1, {**effect.fields, "call": 999, "key": "unasked"}))


def come_back(dump: Dump, entries: list[Entry]) -> None:
    entries.append(Entry("remove", 1, {"instance": dump["headers"][0]["instance"]}))


def lose_cancel(dump: Dump, entries: list[Entry]) -> None:
    done = next(row for row in dump["headers"] if row["workflow"] == "sequential")
    entries.append(Entry("cancel", 1, {"instance": done["instance"]}))


def receive_twice(dump: Dump, entries: list[Entry]) -> None:
    with events_of(dump, "receiver") as events:
        place = next(number for number, (kind, _) in enumerate(events) if kind == "SignalReceived")
        events.insert(place, events[place])


def receive_unsent(dump: Dump, entries: list[Entry]) -> None:
    # One of those that the client sent; what a workflow sends is in no log.
    word = json.loads(_signal(entries)["payload"])
    with events_of(dump, "receiver") as events:
        kind, fields = next(event for event in events if event[0] == "SignalReceived" and event[1]["payload"] == word)
        events.insert(len(events) - 1, [kind, {**fields, "message": "another", "time": events[-2][1]["time"]}])


def leave_message(dump: Dump, entries: list[Entry]) -> None:
    dump["inbox"].append({"id": "left", "instance": "somebody's", "body": "{}"})


@contextmanager
def events_of(dump: Dump, workflow: str) -> Iterator[list[Any]]:
    """The longest history of a workflow, to be changed; the rows and the header then say the same."""
    headers = (row for row in dump["headers"] if row["workflow"] == workflow)
    header = max(headers, key=lambda row: row["events"])
    rows = [row for row in dump["events"] if (row["instance"], row["run"]) == (header["instance"], header["run"])]
    events = [event for row in rows for event in json.loads(row["data"])["events"]]
    yield events
    data = json.dumps({"v": 1, "events": events}, separators=(",", ":"))
    whole = {**rows[0], "first": 0, "count": len(events), "data": data}
    dump["events"] = [whole, *(row for row in dump["events"] if row not in rows)]
    header["events"] = len(events)


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
    orphan_history: "I10",
    damage_history: "I2",
    miscount_a_row: "I2",
    start_twice: "I2",
    turn_time_back: "I2",
    answer_twice: "I3",
    fire_unarmed: "I8",
    go_on_after_the_end: "I3",
    end_twice: "I3",
    lose_next_run: "I1",
    act_unasked: "I4",
    come_back: "I10",
    lose_cancel: "I1",
    receive_twice: "I6",
    receive_unsent: "I6",
    leave_message: "I10",
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


def test_while_faults_go_on_something_may_be_open(audited: tuple[Dump, list[Entry]]) -> None:
    """What is left over is a finding only once everybody has waited."""
    dump, entries = copy.deepcopy(audited[0]), list(audited[1])
    leave_task(dump, entries)
    assert [] == audit(dump, entries, is_finished=False)
    assert ["I10: the task left of add is left over"] == [str(found) for found in audit(dump, entries)]
