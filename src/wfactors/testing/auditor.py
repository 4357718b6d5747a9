"""Look at what a store holds after the faults and say, in words, which promises were broken.

The auditor stands outside of the engine. It reads a dump of the store and an *effect log*: a file to which activities
and clients append one line for each thing they did or were promised::

    log = EffectLog(path)

    @wf.activity
    async def charge(cents: int) -> None:
        log.effect()                                   # this attempt did its work

    log.note("signal?", instance=handle.instance, name="go", payload="1", sender="me")
    await handle.signal("go", 1)
    log.note("signal", instance=handle.instance, name="go", payload="1", sender="me")

    violations = audit(await store.dump(), log.read(), application)

A line whose kind ends in a question mark says that something is about to be asked, the same kind without it that it
was acknowledged. The kinds: ``effect``, ``start``, ``signal``, ``cancel``, ``terminate``, ``remove``, ``result`` and
``owner``.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wfactors.activity import activity_info
from wfactors.errors import StoreCorrupt
from wfactors.model import events
from wfactors.model.events import DECISIONS, FINAL, Event
from wfactors.model.status import Status
from wfactors.model.wire import decode_events
from wfactors.workflow import Application, open_run

__all__ = ["EffectLog", "Entry", "Violation", "audit", "results"]

Dump = Mapping[str, Sequence[Mapping[str, Any]]]
RunKey = tuple[str, int]

_OUTCOMES: dict[type, str] = {
    events.ActivityCompleted: "activity",
    events.ActivityFailed: "activity",
    events.ActivityCancelled: "activity",
    events.ChildCompleted: "child",
    events.ChildFailed: "child",
    events.RequestCompleted: "request",
    events.RequestFailed: "request",
}
_CALLS: dict[type, str] = {
    events.ActivityScheduled: "activity",
    events.ChildScheduled: "child",
    events.SignalSent: "request",
    events.CancelSent: "request",
}


@attrs.frozen
class Violation:
    """A promise that was broken: which invariant of the list, and what was seen."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


# --- The effect log --------------------------------------------------------------------------------------------------


@attrs.frozen
class Entry:
    """One line of an effect log."""

    kind: str
    pid: int
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


class EffectLog:
    """An append-only file that survives its writers: each line is one write, so lines of many processes do not mix.

    Args:
        path: Of the file; made if it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def note(self, kind: str, **fields: object) -> None:
        """Append a line."""
        line = json.dumps({"kind": kind, "pid": os.getpid(), **fields}) + "\n"
        os.write(self._descriptor, line.encode())

    def effect(self, **fields: object) -> None:
        """Append the effect of the attempt of an activity that calls this."""
        info = activity_info()
        self.note(
            "effect",
            instance=info.instance,
            run=info.run,
            call=info.call,
            attempt=info.attempt,
            key=info.idempotency_key,
            **fields,
        )

    def read(self) -> list[Entry]:
        """All lines, in the order in which they were written."""
        entries = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            entries.append(Entry(fields.pop("kind"), fields.pop("pid"), fields))
        return entries


# --- The audit -------------------------------------------------------------------------------------------------------


def audit(
    dump: Dump, entries: Sequence[Entry] = (), application: Application | None = None, *, is_finished: bool = True
) -> list[Violation]:
    """Check a store against the invariants.

    Args:
        dump: What ``store.dump()`` gave.
        entries: The lines of the effect log.
        application: With it every history of its workflows is replayed, twice, and compared payload by payload.
        is_finished: Faults have stopped and everybody waited: nothing may be open or left over.
    """
    return _Audit(dump, entries, application, is_finished=is_finished).run()


def results(dump: Dump) -> list[tuple[str, str, str]]:
    """How each instance ended, as (workflow, status, result or failure), sorted: for comparing stores."""
    last: dict[str, Mapping[str, Any]] = {}
    for row in dump["headers"]:
        last[row["instance"]] = row
    return sorted(
        (row["workflow"], row["status"], str(row["result"] if row["failure"] is None else row["failure"]["type"]))
        for row in last.values()
    )


class _Audit:
    def __init__(
        self, dump: Dump, entries: Sequence[Entry], application: Application | None, *, is_finished: bool
    ) -> None:
        self._dump = dump
        self._entries = entries
        self._application = application
        self._is_finished = is_finished
        self._found: list[Violation] = []
        self._headers: dict[RunKey, Mapping[str, Any]] = {(row["instance"], row["run"]): row for row in dump["headers"]}
        self._instances = {instance for instance, _ in self._headers}
        self._removed = {entry["instance"] for entry in entries if entry.kind == "remove?"}
        self._histories: dict[RunKey, list[Event]] = {}

    def run(self) -> list[Violation]:
        self._read_histories()
        for key, history in self._histories.items():
            self._check_history(key, history)
        self._check_effects()
        self._check_owners()
        self._check_acknowledged()
        self._check_signals()
        if self._is_finished:
            self._check_finished()
        if self._application is not None:
            for key, history in self._histories.items():
                for _ in range(2):
                    self._replay(self._application, key, history)
        return self._found

    def _broken(self, invariant: str, text: str) -> None:
        self._found.append(Violation(invariant, text))

    # --- Histories: I2, I3, I8 ---

    def _read_histories(self) -> None:
        rows: dict[RunKey, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._dump["events"]:
            rows[row["instance"], row["run"]].append(row)
        for key in rows.keys() - self._headers.keys():
            self._broken("I10", f"history of run {key} has no header")
        for key, header in self._headers.items():
            history: list[Event] = []
            for row in rows[key]:
                if row["first"] != len(history):
                    self._broken("I2", f"run {key}: event {len(history)} expected, {row['first']} found")
                try:
                    part = decode_events(row["data"].encode())
                except StoreCorrupt as error:
                    self._broken("I2", f"run {key}: {error}")
                    continue
                if len(part) != row["count"]:
                    self._broken("I2", f"run {key}: a row of {row['count']} events holds {len(part)}")
                history += part
            if len(history) != header["events"]:
                self._broken("I2", f"run {key}: the header says {header['events']} events, there are {len(history)}")
            self._histories[key] = history

    def _check_history(self, key: RunKey, history: list[Event]) -> None:
        calls: dict[tuple[str, int], int] = {}
        timers: dict[int, float] = {}
        time = 0.0
        for number, event in enumerate(history):
            where = f"run {key}, event {number} ({type(event).__name__})"
            if (number == _start_of(history)) != isinstance(event, events.RunStarted) and not _never_started(history):
                self._broken("I2", f"{where}: a history has RunStarted once, with nothing but signals before it")
            at = getattr(event, "time", time)
            if at < time:
                self._broken("I2", f"{where}: time goes back")
            time = at
            if (kind := _CALLS.get(type(event))) is not None:
                calls[kind, event.call] = 0  # type: ignore[union-attr]
            elif (kind := _OUTCOMES.get(type(event))) is not None:
                call = (kind, event.call)  # type: ignore[union-attr]
                if calls.get(call) != 0:
                    self._broken("I3", f"{where}: the {kind} {call[1]} has {calls.get(call, 'no')} outcomes before it")
                calls[call] = calls.get(call, 0) + 1
            self._check_timer(where, event, timers)
        self._check_end(key, history)

    def _check_timer(self, where: str, event: Event, timers: dict[int, float]) -> None:
        if isinstance(event, events.TimerSet):
            timers[event.timer] = event.at
        elif isinstance(event, events.TimerCancelled):
            timers.pop(event.timer, None)
        elif isinstance(event, events.TimerFired):
            due = [timer for timer, at in timers.items() if at <= event.time]
            if not due:
                self._broken("I8", f"{where}: fired at {event.time}, armed are {timers}")
            for timer in due:
                del timers[timer]

    def _check_end(self, key: RunKey, history: list[Event]) -> None:
        ends = [number for number, event in enumerate(history) if isinstance(event, FINAL)]
        status = self._headers[key]["status"]
        if (status != Status.OPEN) != (len(ends) == 1):
            self._broken("I3", f"run {key} is {status} and its history has {len(ends)} ends")
        if ends:
            late = [event for event in history[ends[0] + 1 :] if not isinstance(event, events.SignalReceived)]
            if late:
                self._broken("I3", f"run {key}: after its end there is {type(late[0]).__name__}")
            if status == Status.CONTINUED and (key[0], key[1] + 1) not in self._headers:
                self._broken("I1", f"run {key} continued as new, and there is no next run")

    # --- Effects: I4, and "commit, then act" ---

    def _check_effects(self) -> None:
        effects = [entry for entry in self._entries if entry.kind == "effect"]
        attempts = Counter((entry["key"], entry["attempt"]) for entry in effects)
        for (key, attempt), count in attempts.items():
            if count > 1:
                self._broken("I4", f"attempt {attempt} of call {key} ran {count} times")
        done = {(entry["instance"], entry["run"], entry["call"]) for entry in effects}
        scheduled = set()
        for (instance, run), history in self._histories.items():
            for event in history:
                if isinstance(event, events.ActivityScheduled):
                    scheduled.add((instance, run, event.call))
                elif (
                    self._entries
                    and isinstance(event, events.ActivityCompleted)
                    and (instance, run, event.call) not in done
                ):
                    self._broken("I4", f"call {event.call} of run {(instance, run)} has a result and no effect")
        for effect in sorted(done - scheduled):
            if effect[0] not in self._removed:
                self._broken("I4", f"call {effect} had an effect that no history asked for")

    # --- Owners: I2, I5 ---

    def _check_owners(self) -> None:
        highest: dict[str, tuple[int, str]] = {}
        for entry in self._entries:
            if entry.kind == "owner":
                epoch, node = highest.get(entry["partition"], (0, ""))
                if entry["epoch"] < epoch or (entry["epoch"] == epoch and entry["node"] != node):
                    self._broken("I2", f"{entry['node']} owned under epoch {entry['epoch']} after {node} under {epoch}")
                highest[entry["partition"]] = max((epoch, node), (entry["epoch"], entry["node"]))

    # --- What was acknowledged: I1, I3 ---

    def _check_acknowledged(self) -> None:
        for entry in self._entries:
            if entry.kind == "start" and entry["instance"] not in self._instances | self._removed:
                self._broken("I1", f"the accepted start of {entry['id']!r} is lost")
            elif entry.kind == "remove" and entry["instance"] in self._instances:
                self._broken("I10", f"{entry['instance']} was removed and is there")
            elif entry.kind == "result" and entry["instance"] not in self._removed:
                self._check_result(entry)
            elif entry.kind in ("cancel", "terminate") and entry["instance"] not in self._removed:
                self._check_ended(entry)

    def _check_result(self, entry: Entry) -> None:
        rows = [row for (instance, _), row in self._headers.items() if instance == entry["instance"]]
        if not rows or rows[-1]["result"] != entry["payload"]:
            found = rows[-1]["result"] if rows else "nothing"
            self._broken("I3", f"the result {entry['payload']} of {entry['instance']} was told, there is {found}")

    def _check_ended(self, entry: Entry) -> None:
        kinds = (events.CancelRequested,) if entry.kind == "cancel" else (events.RunTerminated,)
        history = self._all_events(entry["instance"])
        if not any(isinstance(event, kinds) for event in history):
            self._broken("I1", f"the accepted {entry.kind} of {entry['instance']} is lost")

    def _all_events(self, instance: str) -> list[Event]:
        keys = sorted(key for key in self._histories if key[0] == instance)
        return [event for key in keys for event in self._histories[key]]

    # --- Signals: I6 ---

    def _check_signals(self) -> None:
        asked: Counter[tuple[str, str, str]] = Counter()
        told: dict[tuple[str, str], list[str]] = defaultdict(list)
        for entry in self._entries:
            if entry.kind == "signal?":
                asked[entry["instance"], entry["name"], entry["payload"]] += 1
            elif entry.kind == "signal":
                told[entry["instance"], entry["sender"]].append(f"{entry['name']} {entry['payload']}")
        for instance in {instance for instance, _, _ in asked} - self._removed:
            received = [event for event in self._all_events(instance) if isinstance(event, events.SignalReceived)]
            ids = Counter(event.message for event in received)
            for message, count in ids.items():
                if count > 1:
                    self._broken("I6", f"message {message} is {count} times in the history of {instance}")
            self._check_received(instance, received, asked, told)

    def _check_received(
        self,
        instance: str,
        received: Iterable[events.SignalReceived],
        asked: Mapping[tuple[str, str, str], int],
        told: Mapping[tuple[str, str], list[str]],
    ) -> None:
        texts = [(event.name, bytes(event.payload).decode()) for event in received]
        for (name, payload), count in Counter(texts).items():
            sent = asked.get((instance, name, payload))
            if sent is not None and count > sent:
                self._broken("I6", f"{instance} has {name} {payload} {count} times, sent {sent} times")
        words = [f"{name} {payload}" for name, payload in texts]
        for (target, sender), acknowledged in told.items():
            if target != instance:
                continue
            lost = [word for word in acknowledged if word not in words]
            if lost:
                self._broken("I6", f"{instance} never got what was acknowledged to {sender}: {lost}")
            places = [words.index(word) for word in acknowledged if word in words]
            if places != sorted(places):
                self._broken("I6", f"{instance} got what {sender} sent in another order: {words}")

    # --- When all is done: I1, I10 ---

    def _check_finished(self) -> None:
        for key, header in self._headers.items():
            if header["status"] == Status.OPEN:
                state = f"parked: {header['parked']}" if header["parked"] else "open"
                self._broken("I1", f"{header['workflow']} {header['id']!r}, run {key}, is still {state}")
        for row in self._dump["tasks"]:
            self._broken("I10", f"the task {row['key']} of {row['activity']} is left over")
        for row in self._dump["inbox"]:
            self._broken("I10", f"the message {row['id']} for {row['instance']} is left over: {row['body']}")

    # --- Replay: I7 ---

    def _replay(self, application: Application, key: RunKey, history: list[Event]) -> None:
        header = self._headers[key]
        if header["workflow"] not in application.registry.workflows:
            return
        definition = application.registry.workflow(header["workflow"])
        run = open_run(application, definition, instance=key[0], run=key[1], queue=header["queue"], is_strict=True)
        try:
            for fact, decisions in turns_of(history):
                run.feed(fact, decisions)
        except Exception as error:  # noqa: BLE001 - whatever it is, the history does not replay
            self._broken("I7", f"run {key} of {header['workflow']} does not replay: {error!r}")
        finally:
            run.close()


def turns_of(history: Iterable[Event]) -> Iterable[tuple[Any, list[Any]]]:
    """Group a history into turns: each fact with the decisions behind it. Not the engine's own, on purpose."""
    turns: list[tuple[Any, list[Any]]] = []
    for event in history:
        if not isinstance(event, DECISIONS):
            turns.append((event, []))
        elif turns:
            turns[-1][1].append(event)
    return turns


def _start_of(history: Sequence[Event]) -> int:
    """Where a run starts: what is sent to one that is to start later, or whose node's clock is behind, comes before."""
    return next((number for number, event in enumerate(history) if not isinstance(event, events.SignalReceived)), 0)


def _never_started(history: Sequence[Event]) -> bool:
    return isinstance(history[_start_of(history)], events.CancelRequested | events.RunTerminated)
