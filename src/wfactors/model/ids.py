"""How things are named.

* An **instance id** is chosen by people (or made for them): any text of 1 to 4,096 bytes. At most one *open* instance
  of a store has it.
* An **instance key** is made by the engine and never used twice: it orders by time of creation, so rows of one time
  lie together. A child's key derives from its parent's key, run and call, so it needs no look-up to be unique.
* A **run** counts from 1 and grows by ``continue_as_new``; (key, run) names one history.
* A **call** counts from 0 within a run and names one durable call.
"""

from __future__ import annotations

import hashlib
import re

import attrs

__all__ = [
    "ID_BYTES_MAX",
    "PARTITIONS_MAX",
    "PartitionId",
    "checked_partitions",
    "child_key",
    "chosen_id",
    "partition_of",
    "validated_id",
    "validated_name",
    "validated_queue",
    "validated_signal",
    "validated_text",
]

ID_BYTES_MAX = 4096
QUEUE_BYTES_MAX = 255
PARTITIONS_MAX = 1024
_KEY_LENGTH_MAX = 96
_CHILD_KEY = re.compile(r"[0-9a-f]{32}[.~]")


@attrs.frozen(order=True)
class PartitionId:
    """One partition of a queue: the unit of ownership."""

    queue: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.number}:{self.queue}"

    @classmethod
    def parse(cls, text: str) -> PartitionId:
        """The reverse of ``str()``; raises ValueError for anything else."""
        number, separator, queue = text.partition(":")
        if not separator:
            raise ValueError(f"not a partition id: {text!r}")
        return cls(queue, int(number))


def checked_partitions(partitions: int) -> int:
    """How many partitions a queue has; TypeError or ValueError if it cannot have so many."""
    if isinstance(partitions, bool) or not isinstance(partitions, int):
        raise TypeError(f"partitions must be a whole number, not {partitions!r}")
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise ValueError(
            f"partitions must be from 1 to {PARTITIONS_MAX:,}, not {partitions!r}: each is owned by one "
            "node, so a few for each node there will ever be are enough"
        )
    return partitions


def partition_of(queue: str, root_id: str, partitions: int) -> PartitionId:
    """The partition of ``queue`` in which the tree of the instance ``root_id`` lives; stable for ever."""
    if partitions == 1:
        return PartitionId(queue, 0)
    digest = hashlib.blake2b(root_id.encode(), digest_size=8).digest()
    return PartitionId(queue, int.from_bytes(digest, "big") % partitions)


def child_key(parent_key: str, run: int, call: int) -> str:
    """The key (and, if nobody chose one, the id) of the child that ``call`` of a run starts."""
    key = f"{parent_key}.{call}" if run == 1 else f"{parent_key}.{run}-{call}"
    if len(key) <= _KEY_LENGTH_MAX:
        return key
    # A deep tree: keep the time prefix, so that rows still lie together, and fold the path.
    digest = hashlib.blake2b(key.encode(), digest_size=20).hexdigest()
    return f"{key[:32]}~{digest}"


def validated_id(id: str) -> str:
    """Return ``id`` if it can name an instance, else raise ValueError or TypeError saying why."""
    return _validated("a workflow id", id, ID_BYTES_MAX)


def chosen_id(id: str) -> str:
    """Return ``id`` if people may call an instance so: not as the engine will call the child of one."""
    if _CHILD_KEY.match(validated_id(id)):
        raise ValueError(f"a workflow id of this form is the engine's own, for children: {id!r}")
    return id


def validated_name(name: str) -> str:
    """Return ``name`` if it can name a workflow or an activity, else raise ValueError or TypeError saying why."""
    return _validated("a name", name, ID_BYTES_MAX)


def validated_queue(queue: str) -> str:
    """Return ``queue`` if it can name a queue, else raise ValueError or TypeError saying why."""
    return _validated("a queue name", queue, QUEUE_BYTES_MAX)


def validated_signal(name: str) -> str:
    """Return ``name`` if it can name a signal, else raise ValueError or TypeError saying why."""
    return _validated("the name of a signal", name, ID_BYTES_MAX)


def validated_text(what: str, text: str) -> str:
    """Return ``text`` if it can be stored: a str of valid Unicode; else raise ValueError or TypeError saying why."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} must be valid Unicode text: {error}") from None
    return text


def _validated(what: str, text: str, bytes_max: int) -> str:
    size = len(validated_text(what, text).encode())
    if not size:
        raise ValueError(f"{what} must not be empty")
    if size > bytes_max:
        raise ValueError(f"{what} has {size:,} bytes, the limit is {bytes_max:,}")
    return text
