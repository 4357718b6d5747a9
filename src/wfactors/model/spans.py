"""How the spans of a trace are named: every id derives from the run, so that a replay and any node find the same.

A *path* names one span: ``instance/run`` that of a run, ``instance/run/3`` that of its call 3, ``instance/run/3/2`` the
second attempt of it, ``instance/run/timer/0`` a timer, and so on. The id of the span is a hash of the path.

The id of the trace is what came with the start (a W3C ``traceparent`` in the context). Without one it is the key of the
root instance, with which the key of every instance below begins.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import attrs

__all__ = ["Lineage", "run_path", "span_id"]

_ROOT_DIGITS = 32
_KEY = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?:-.*)?"
)


@attrs.frozen
class Lineage:
    """The trace that a run belongs to.

    Attributes:
        trace_id: The same for a workflow, its children and whoever started it.
        sender: The id of the span that was current where the workflow was started; None if there was none.
        flags: The flags that came with it.
        state: The ``tracestate`` that came with it.
    """

    trace_id: int
    sender: int | None = None
    flags: int = 0
    state: str = ""

    @classmethod
    def of(cls, instance: str, context: Mapping[str, str]) -> Lineage:
        """The trace of an instance, from its key and the context it was started with."""
        return cls.sent(context) or cls(_trace_id(instance))

    @classmethod
    def sent(cls, context: Mapping[str, str]) -> Lineage | None:
        """What the sender of ``context`` said of its trace; None if it said nothing, or nothing that can be read."""
        found = _TRACEPARENT.fullmatch(context.get("traceparent", ""))
        if found is None:
            return None
        trace, sender, flags = (int(found[part], 16) for part in ("trace", "span", "flags"))
        return cls(trace, sender, flags, context.get("tracestate", ""))


def run_path(instance: str, run: int) -> str:
    """The path of a run's own span."""
    return f"{instance}/{run}"


def span_id(path: str) -> int:
    """The id of the span that ``path`` names: never 0, which no span may have."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "big") or 1


def _trace_id(instance: str) -> int:
    root = instance[:_ROOT_DIGITS]
    if _KEY.fullmatch(root):
        return int(root, 16) or 1
    return int.from_bytes(hashlib.blake2b(root.encode(), digest_size=16).digest(), "big") or 1
