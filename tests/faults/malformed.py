"""Ways in which stored bytes can be wrong: below their structure, in it, and in what it means.

A tree here is JSON as Python has it, what ``json.loads`` returns; what JSON has not stands in it as ``msgspec.Raw``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from wfactors.model.events import DECISIONS, FACTS

Path: TypeAlias = tuple[Any, ...]

DEPTH = 100_000
HUGE: tuple[Raw, ...] = (
    Raw(b"[" * DEPTH),
    Raw(b"[" * DEPTH + b"]" * DEPTH),
    Raw(b'{"cause":' * DEPTH + b"null" + b"}" * DEPTH),
    Raw(b"9" * DEPTH),
    Raw(b"0." + b"9" * DEPTH),
    Raw(b'"' + b"x" * DEPTH + b'"'),
)
# As deep as msgspec still reads.
_DEEP = [Raw(b"[" * depth + b"]" * depth) for depth in (100, 500, 900, 1100)]
_FAILURES = [
    Raw(b'{"type":"a.B","message":"m","cause":' * depth + b"null" + b"}" * depth) for depth in (10, 300, 900, 1100)
]
_GROUPS = [Raw(b'{"type":"a.B","message":"m","group":[' * depth + b"]}" * depth) for depth in (10, 300, 450, 600)]
WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, -(2**70), 10**30, 1.5, -0.5, 5e-324, 1e308, -1e308),
    *("", "text", "\x00", "é\u202e\U0001f642", "2026-01-01", "x" * 5000, [], {}, [[]], [None], {"": 0}, {"type": "x"}),
    *map(Raw, (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"00", b"0x1", b"1_0", b"+1", b"nul", b"", b" ")),
    *map(Raw, (b'"\\ud800"', b'{"\\udfff":1}', b'"\xff\xfe"', b'"\x01"', b'"\\u0000"', b'"', b"[1,]", b"1 2", b"]")),
    *map(Raw, (b'{"a":1,"a":2}', b'{"call":0,"call":1}', b'{"$codecs":["zlib"],"data":"AAAA"}', b'{"$codecs":[]}')),
    *map(Raw, (b'{"$codecs":["nope"],"data":""}', b'{"$codecs":[],"json":[1]}', b'{"$type":"Stall"}', b"9" * 400)),
    *_DEEP,
    *_FAILURES,
    *_GROUPS,
)
KINDS = [kind.__name__ for kind in (*FACTS, *DECISIONS)]

_encode = msgspec.json.Encoder().encode


# --- Bytes -----------------------------------------------------------------------------------------------------------


def break_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, drop, double, swap, insert or overwrite, once to three times."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(_ON_BYTES)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\x00"
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] if rng.random() < 0.7 else data[place:]


def _drop(data: bytes, rng: random.Random) -> bytes:
    first, last = _slice(data, rng)
    return data[:first] + data[last:]


def _double(data: bytes, rng: random.Random) -> bytes:
    first, last = _slice(data, rng)
    return data[:last] + data[first:]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    first, last = _slice(data, rng)
    return data[:first] + rng.randbytes(last - first) + data[last:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    wrong = rng.choice(WRONG)
    return data[:place] + (bytes(wrong) if isinstance(wrong, Raw) else _encode(wrong)) + data[place:]


def _change_digit(data: bytes, rng: random.Random) -> bytes:
    """The JSON stays one, most often."""
    places = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        return data
    place = rng.choice(places)
    return data[:place] + b"%d" % rng.randrange(10) + data[place + 1 :]


def _slice(data: bytes, rng: random.Random) -> tuple[int, int]:
    first = rng.randrange(len(data) + 1)
    return first, min(len(data), first + rng.choice((1, 2, 3, 8, 40, 400)))


_ON_BYTES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    *(_flip, _cut, _drop, _double, _overwrite, _insert, _change_digit, _change_digit),
)


# --- Trees -----------------------------------------------------------------------------------------------------------


def paths_of(tree: Any, prefix: Path = ()) -> Iterator[Path]:
    """Where something stands in a tree, below its root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths_of(value, (*prefix, key))


def break_tree(tree: Any, paths: Sequence[Path], rng: random.Random) -> Any:
    """A copy of the tree with something wrong in it at one of ``paths``, which are those of the tree."""
    if not paths or rng.random() < 0.02:
        return rng.choice(WRONG)
    return _changed(tree, rng.choice(paths), rng.choice(_ON_ITEMS), rng)


def at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _changed(tree: Any, path: Path, change: Callable[[Any, Any, random.Random], Any], rng: random.Random) -> Any:
    """Copies what is on the way alone."""
    if not isinstance(tree, dict | list) or (path[0] not in tree if isinstance(tree, dict) else path[0] >= len(tree)):
        return rng.choice(WRONG)  # An earlier change has taken the place away.
    copy = tree.copy()
    if len(path) == 1:
        return change(copy, path[0], rng)
    copy[path[0]] = _changed(tree[path[0]], path[1:], change, rng)
    return copy


def _wrong(parent: Any, key: Any, rng: random.Random) -> Any:
    parent[key] = rng.choice(HUGE) if rng.random() < 0.01 else rng.choice(WRONG)
    return parent


def _nudge(parent: Any, key: Any, rng: random.Random) -> Any:
    """Near what it was, so that more depends on it than the reader's first look."""
    value = parent[key]
    if isinstance(value, bool) or value is None:
        parent[key] = rng.choice((None, True, False, 0, ""))
    elif isinstance(value, int | float):
        parent[key] = value + rng.choice((-1, 1, -2, 2, 0.001, -100, 100))
    elif isinstance(value, str):
        parent[key] = rng.choice((value + "x", value[1:], value.upper(), value * 2, [value], rng.choice(KINDS)))
    else:
        parent[key] = rng.choice(([value], [value, value], {"a": value}, list(value)))
    return parent


def _without(parent: Any, key: Any, rng: random.Random) -> Any:
    del parent[key]
    return parent


def _twice(parent: Any, key: Any, rng: random.Random) -> Any:
    if isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), parent[key])
        return parent
    # The same key a second time, with the same or another value.
    again = _bytes_of(parent[key] if rng.random() < 0.5 else rng.choice(WRONG))
    pairs = [b"%b:%b" % (_encode(name), _bytes_of(value)) for name, value in parent.items()]
    pairs.insert(rng.randrange(len(pairs) + 1), b"%b:%b" % (_encode(key), again))
    return Raw(b"{%b}" % b",".join(pairs))


def _swap(parent: Any, key: Any, rng: random.Random) -> Any:
    other = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
    parent[key], parent[other] = parent[other], parent[key]
    return parent


def _rename(parent: Any, key: Any, rng: random.Random) -> Any:
    if isinstance(parent, list):
        parent.insert(key, rng.choice(WRONG))
        return parent
    parent[rng.choice(("", "x", "$type", "call", f"{key}x", key.upper() if isinstance(key, str) else key))] = (
        parent.pop(key)
    )
    return parent


_ON_ITEMS: Sequence[Callable[[Any, Any, random.Random], Any]] = (
    *(_wrong, _wrong, _wrong, _nudge, _nudge, _nudge, _without, _twice, _swap, _rename),
)


def _bytes_of(tree: Any) -> bytes:
    return bytes(tree) if isinstance(tree, Raw) else _encode(tree)


# --- Histories -------------------------------------------------------------------------------------------------------


def break_events(events: list[Any], others: Sequence[list[Any]], rng: random.Random) -> list[Any]:
    """Well-formed events that never stood so: dropped, doubled, moved, cut off, taken from elsewhere."""
    events = events.copy()
    place = rng.randrange(len(events))
    match rng.randrange(8):
        case 0:
            del events[place]
        case 1:
            events.insert(rng.randrange(len(events) + 1), events[place])
        case 2:
            other = rng.randrange(len(events))
            events[place], events[other] = events[other], events[place]
        case 3:
            events.insert(rng.randrange(len(events)), events.pop(place))
        case 4:
            del events[place:]
        case 5:
            other = rng.randrange(len(events) + 1)
            del events[min(place, other) : max(place, other)]
        case 6:
            events.insert(place, rng.choice(rng.choice(others)))
        case _:
            foreign = rng.choice(others)
            events[place:] = foreign[rng.randrange(len(foreign)) :]
    return events


def rename_event(events: list[Any], rng: random.Random) -> list[Any]:
    """One event under the name of another kind, or of none."""
    events = events.copy()
    place = rng.randrange(len(events))
    if isinstance(events[place], list) and events[place]:
        events[place] = [rng.choice((*KINDS, "", "Unknown", "_Row", "RunStarted ")), *events[place][1:]]
    return events
