"""What malformed input is fed to: the reader and replay of histories, the converter and its codecs, the rows' readers.

A target makes the input of a case from the case's own random numbers and reads it. What the documentation names as an
error is an outcome like others; whatever else is raised is a find.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import functools
import json
import random
import uuid
import zlib
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, ClassVar, Literal, Protocol, TypedDict

import attrs

from tests.faults import fresh
from tests.faults.fresh_workflows import Grade, Stall
from tests.faults.malformed import break_bytes, break_events, break_tree, paths_of, rename_event
from tests.histories.workflows import Declined
from wfactors.actors.ledger import Ledger
from wfactors.actors.loader import turns_of
from wfactors.convert import DataPort, EncryptionCodec, GzipCodec, ZlibCodec
from wfactors.convert.signature import CallSignature
from wfactors.errors import CodecError, NonDeterminismError, PayloadError, QueryError, StoreCorrupt
from wfactors.kernel.run import Run
from wfactors.model import events, messages, records
from wfactors.model.failures import Failure
from wfactors.model.options import ActivityOptions
from wfactors.model.payloads import Payload
from wfactors.model.status import ParentClose
from wfactors.model.wire import decode_body, decode_events, decode_value, encode_body, encode_events, encode_value
from wfactors.stores.sql import rows
from wfactors.workflow import open_run

_LIMIT_BYTES = 1_000_000


class Target(Protocol):
    """What a fuzzer needs."""

    expected: tuple[type[Exception], ...]

    def make(self, rng: random.Random) -> tuple[Any, ...]:
        """The arguments of ``read`` for one case."""
        ...

    def read(self, *made: Any) -> str | None:
        """Read what was made; return the outcome, if there are several. Raises one of ``expected``, or it is a find."""
        ...

    def check(self) -> None:
        """See that whatever was read has left everybody else as it was."""


def _encoded(tree: Any) -> bytes:
    return encode_value(tree)


# --- Histories -------------------------------------------------------------------------------------------------------


class Histories:
    """Histories as the store holds them, replayed as the engine replays them, then used as it uses them."""

    expected: ClassVar = (StoreCorrupt, NonDeterminismError, CodecError)

    def __init__(self, seed: str) -> None:
        told = fresh.histories(seed, 2)
        self._names = [history[0].workflow for history in told]  # type: ignore[union-attr]
        self._data = [encode_events(history) for history in told]
        self._trees = [json.loads(data)["events"] for data in self._data]
        self._paths = [list(paths_of({"v": 1, "events": tree})) for tree in self._trees]
        self._application = fresh.application(DataPort(limit_bytes=_LIMIT_BYTES))
        self._decided = self._decide_all()

    def make(self, rng: random.Random) -> tuple[str, bytes]:
        which = rng.randrange(len(self._names))
        name = self._names[which] if rng.random() < 0.98 else rng.choice(self._names)
        kind = rng.random()
        if kind < 0.2:
            return name, break_bytes(self._data[which], rng)
        if kind < 0.7:
            return name, _encoded(break_tree({"v": 1, "events": self._trees[which]}, self._paths[which], rng))
        broken = break_events(self._trees[which], self._trees, rng)
        while broken and rng.random() < 0.3:
            broken = break_events(broken, self._trees, rng) if rng.random() < 0.7 else rename_event(broken, rng)
        if broken and rng.random() < 0.2:
            tree = {"v": 1, "events": broken}
            return name, _encoded(break_tree(tree, list(paths_of(tree)), rng))
        return name, _encoded({"v": 1, "events": broken})

    def read(self, name: str, data: bytes) -> None:
        told = decode_events(data)
        Ledger("key", 1).note(told)
        run = self._open(name, "key")
        try:
            self._feed(run, told)
            self._use(run)
        finally:
            run.close()

    def check(self) -> None:
        assert self._decided == self._decide_all(), "a neighbour decides otherwise now"

    def _decide_all(self) -> list[list[Any]]:
        decided = []
        for name, data in zip(self._names, self._data, strict=True):
            run = self._open(name, "key", is_strict=True)
            decided.append(self._feed(run, decode_events(data)))
            run.close()
        return decided

    def _open(self, name: str, key: str, *, is_strict: bool = False) -> Run:
        definition = self._application.registry.workflow(name)
        return open_run(self._application, definition, instance=key, run=1, queue="home", is_strict=is_strict)

    @staticmethod
    def _feed(run: Run, told: list[events.Event]) -> list[Any]:
        return [run.feed(fact, decisions) for fact, decisions in turns_of(told)]

    @staticmethod
    def _use(run: Run) -> None:
        """What the engine does with a run that it has replayed."""
        assert run.next_deadline > 0
        run.stuck_reason()
        assert all(isinstance(words, str) for words in run.waiting())
        run.stacks()
        now = run.scheduler.now
        for name in ("list_guests", "nope"):
            with contextlib.suppress(QueryError):
                run.query(name, Payload(b"[]"))
        encode_events(run.feed(events.SignalReceived(now, "arrive", Payload(b'"zoe"'), "message")))
        encode_events(run.feed(events.CancelRequested(now + 1, "enough")))


# --- Payloads --------------------------------------------------------------------------------------------------------


class Keys(TypedDict, total=False):
    a: int
    b: list[str]


@attrs.frozen
class Node:
    stall: Stall | None
    nodes: dict[int, Node]


def called(
    node: Node, count: int = 1, *rest: str, at: datetime.datetime | None = None, **more: decimal.Decimal
) -> None: ...


_NODE = Node(
    Stall("a", decimal.Decimal("1.50"), Grade.BAD, frozenset({"x", "y"})), {1: Node(None, {}), 2: Node(None, {})}
)
_NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
_ID = uuid.UUID(int=7)
VALUES: Sequence[tuple[Any, Any]] = (
    (Any, {"a": [1, 2.5, None, True, "x", {"b": {}}]}),
    (int, 12),
    (float, 1.5),
    (str, "wörter"),
    (bool, True),
    (NoneType, None),
    (bytes, b"\x00\xff" * 9),
    (complex, 1 + 2j),
    (Grade, Grade.GOOD),
    (Stall, _NODE.stall),
    (Node, _NODE),
    (Node | Stall | None, _NODE),
    (int | str | list[int], [1, 2]),
    (datetime.date | datetime.datetime | str, _NOW),
    (Keys, {"a": 1, "b": ["x"]}),
    (list[Stall], [_NODE.stall, _NODE.stall]),
    (tuple[int, str, float], (1, "x", 2.0)),
    (tuple[int, ...], (1, 2, 3)),
    (set[str], {"x", "y"}),
    (frozenset[int], frozenset({1, 2})),
    (dict[uuid.UUID, datetime.datetime], {_ID: _NOW}),
    (dict[str, Any], {"x": [1], "y": None}),
    (dict[tuple[int, str], Grade], {(1, "a"): Grade.BAD}),
    (datetime.timedelta, datetime.timedelta(days=3, microseconds=5)),
    (datetime.time, _NOW.time()),
    (decimal.Decimal, decimal.Decimal("1E+5")),
    (Literal["a", 1] | None, "a"),
    (Node | None, None),
)


class Payloads:
    """Payloads of many types, through codecs or not; arguments; failures; what was read must be writable again."""

    expected: ClassVar = (PayloadError,)

    def __init__(self, seed: str) -> None:
        codecs = [ZlibCodec(limit_bytes=_LIMIT_BYTES), GzipCodec(limit_bytes=_LIMIT_BYTES), EncryptionCodec(b"k" * 16)]
        self._port = DataPort(retired_codecs=codecs, limit_bytes=2 * _LIMIT_BYTES)
        self._codecs = codecs
        self._signature = CallSignature.of(called)
        self._readers: list[tuple[bytes, Callable[[bytes], object]]] = [
            (self._port.to_payload(value, type), functools.partial(self._value, type)) for type, value in VALUES
        ]
        arguments = self._port.args_to_payload(self._signature, (_NODE, 3, "x"), {"at": _NOW, "z": decimal.Decimal(1)})
        self._readers += [(arguments, self._arguments), (b'[{"stall":null,"nodes":{}},2]', self._arguments)] * 3
        self._readers += [(b'{"stage":"paying","stalls":3,"tags":["a"]}', self._attributes)]
        error = Declined("no funds")
        error.__cause__ = ExceptionGroup("both", [ValueError("x"), OSError(2, "y")])
        failure = encode_value(self._port.failure_from_exception(error, (Declined, Exception)))
        self._readers += [(failure, self._failure)] * 3
        self._trees = [json.loads(data) for data, _ in self._readers]
        self._paths = [list(paths_of(tree)) for tree in self._trees]
        self._values = self._all_values()

    def make(self, rng: random.Random) -> tuple[int, bytes]:
        which = rng.randrange(len(self._readers))
        data = self._readers[which][0]
        if rng.random() < 0.15:
            return which, break_bytes(self._wrapped(data, rng), rng)
        if rng.random() < 0.2:
            broken = break_bytes(data, rng)
        else:
            broken = _encoded(break_tree(self._trees[which], self._paths[which], rng))
            if rng.random() < 0.2:
                tree = self._trees[which]
                broken = _encoded(break_tree([tree, broken.decode("utf-8", "replace")], [(0,), (1,)], rng))
        return which, self._wrapped(broken, rng) if rng.random() < 0.2 else broken

    def read(self, which: int, data: bytes) -> None:
        self._readers[which][1](data)

    def check(self) -> None:
        assert self._values == self._all_values(), "what is well-formed reads otherwise now"

    def _wrapped(self, data: bytes, rng: random.Random) -> bytes:
        names = []
        for codec in self._codecs:
            if rng.random() < 0.5:
                data = _encoded_by(codec, data, rng)
                names.append(codec.name)
        return b'{"$codecs":%b,"data":"%b"}' % (_encoded(names), base64.b64encode(data)) if names else data

    def _all_values(self) -> list[object]:
        return [
            self._port.from_payload(data, type) for (data, _), (type, _) in zip(self._readers, VALUES, strict=False)
        ]

    def _value(self, type: Any, data: bytes) -> None:
        value = self._port.from_payload(data, type)
        again = self._port.from_payload(self._port.to_payload(value, type), type)
        assert value == again, f"{value!r:.200} is written and read as {again!r:.200}"

    def _arguments(self, data: bytes) -> None:
        args, kwargs = self._port.args_from_payload(self._signature, data)
        called(*args, **kwargs)

    def _attributes(self, data: bytes) -> None:
        self._port.attributes_to_payload(self._port.attributes_from_payload(Payload(data)))

    def _failure(self, data: bytes) -> None:
        try:
            failure = decode_value(data, Failure)
        except StoreCorrupt:
            return
        failure.summary()
        revealed = self._port.reveal(failure)
        encode_value(revealed)
        self._port.exception_from_failure(failure, (Declined, OSError, ExceptionGroup))


def _encoded_by(codec: Any, data: bytes, rng: random.Random) -> bytes:
    """What the codec makes of any bytes, compressible or not; with a nonce that is the same each time."""
    if isinstance(codec, EncryptionCodec):
        nonce = rng.randbytes(12)
        return codec._header + nonce + codec._cipher.encrypt(nonce, data, codec._header)
    return zlib.compress(data, wbits={"zlib": 15, "gzip": 31}[codec.name])


# --- Rows ------------------------------------------------------------------------------------------------------------

_PARENT = events.Parent("home/0", "key", 1, 2, "id")
_SENDER = messages.Sender("home/0", "key", 1, 2)
_FAILURE = Failure("builtins.ValueError", "boom", "traceback", cause=Failure("a.B", "c"), group=(Failure("a.C", ""),))
_INPUT = Payload(b'[1,{"a":2}]')
BODIES: Sequence[messages.Body] = (
    messages.Signal("go", _INPUT, _SENDER),
    messages.Cancel("why", _SENDER),
    messages.Terminate("why"),
    messages.Resume(),
    messages.Query("look", _INPUT, "reply"),
    messages.Update("add", _INPUT),
    messages.ActivityOutcome(1, 2, 3, failure=_FAILURE, deadline="heartbeat"),
    messages.StartChild("job", "id", "home", _INPUT, _PARENT, ParentClose.CANCEL, "root", context={"a": "b"}),
    messages.ChildAccepted(1, 2),
    messages.ChildOutcome(1, 2, _INPUT),
    messages.RequestOutcome(1, 2, "not_found"),
    messages.Forward("id", _SENDER, signal=messages.Signal("go", _INPUT)),
    messages.ParentClosed(ParentClose.TERMINATE),
)


class Rows:
    """The columns of each table, read as a store reads them."""

    expected: ClassVar = (StoreCorrupt,)

    def __init__(self, seed: str) -> None:
        header = records.HeaderRow(
            *("key", 1, "id", "job", "home", "home/0", "root", 1.5),
            failure=_FAILURE, parent=_PARENT, attributes=_INPUT, context={"a": "b"}, start=_INPUT, wake_at=2.5,
            awaited=("go", "stop"),
        )  # fmt: skip
        task = records.TaskRow(
            *(records.TaskKey("key", 1, 2), "home/0", "home", "add", _INPUT, ActivityOptions(), "id", "job", 1.5),
            failure=_FAILURE, context={"a": "b"}, details=_INPUT,
        )  # fmt: skip
        append = records.Append("key", 1, 0, 1, b'{"v":1,"events":[]}')
        node = records.NodeRow("node", ["home"], 1.5, 1.0, activities=["add"], workflows=["job"])
        self._readers: list[tuple[Sequence[Any], Callable[[Sequence[Any]], object]]] = [
            (rows.header_values(header), lambda values: rows.header_values(rows.header_of(values))),
            (rows.task_values(task), lambda values: rows.task_values(rows.task_of(values))),
            (rows.append_values(append), lambda values: rows.append_values(rows.append_of(values))),
            (rows.node_values(node), lambda values: rows.node_values(rows.node_of(values, is_alive=True))),
            *[
                (
                    rows.message_values(messages.Message(f"m{number}", "home/0", "key", body)),
                    lambda values: rows.message_values(rows.inbox_item_of(1, values).message),
                )
                for number, body in enumerate(BODIES)
            ],
        ]
        self._read = self._read_all()

    def make(self, rng: random.Random) -> tuple[int, list[Any]]:
        which = rng.randrange(len(self._readers))
        values = list(self._readers[which][0])
        for column in rng.sample(range(len(values)), rng.choice((1, 1, 2))):
            values[column] = self._broken(values[column], rng)
        return which, values

    def read(self, which: int, values: list[Any]) -> None:
        self._readers[which][1](values)

    def check(self) -> None:
        assert self._read == self._read_all(), "what is well-formed reads otherwise now"

    def _read_all(self) -> list[object]:
        return [read(values) for values, read in self._readers]

    @staticmethod
    def _broken(value: Any, rng: random.Random) -> Any:
        if isinstance(value, bytes) and rng.random() < 0.9:
            if rng.random() < 0.3:
                return break_bytes(value, rng)
            tree = json.loads(value)
            return _encoded(break_tree(tree, list(paths_of(tree)), rng))
        # What SQLite can hold, whatever the column was declared as.
        return rng.choice((None, "", "open", "\x00", "x" * 5000, b"", b"\xff", b"null", 0, -1, 2**62, -1.5, 1e300, "1"))


def _check_bodies_complete() -> None:
    assert {type(body) for body in BODIES} == set(messages.Body.__args__)
    assert all(decode_body(encode_body(body)) == body for body in BODIES)


_check_bodies_complete()
