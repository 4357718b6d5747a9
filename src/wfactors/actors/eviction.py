"""Which instances leave memory: the least recently used, when there are too many or their histories are too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wfactors.actors.instance import Instance
    from wfactors.actors.partition import Partition

__all__ = ["Eviction"]

# Of instances at the front that are busy: beyond it, the search is left to the next time.
_BUSY_MAX = 64


class Eviction:
    """Keeps the residents of one partition within the limits.

    Attributes:
        count: How many have left because of them.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._bytes = 0
        self.count = 0

    def weigh(self, instance: Instance) -> None:
        """Take note of the size of a history, which may have grown."""
        self._bytes += instance.history_bytes - instance.weight
        instance.weight = instance.history_bytes

    def left(self, instance: Instance) -> None:
        """The instance is no longer in memory."""
        self._bytes -= instance.weight
        instance.weight = 0

    def make_room(self) -> None:
        """Let idle instances go until the limits are kept, as far as there are any.

        The one used last stays whatever its size: it would have to be replayed for the next thing that happens to it.
        """
        if not self._is_over:
            return
        partition = self._partition
        leaving: list[Instance] = []
        residents, size, busy = len(partition.residents), self._bytes, 0
        for instance in partition.residents.values():
            if residents <= 1 or busy > _BUSY_MAX or not self._exceeds(residents, size):
                break
            if instance.is_idle:
                leaving.append(instance)
                residents -= 1
                size -= instance.weight
            else:
                busy += 1
        for instance in leaving:
            partition.forget(instance)
        self.count += len(leaving)

    @property
    def _is_over(self) -> bool:
        return self._exceeds(len(self._partition.residents), self._bytes)

    def _exceeds(self, residents: int, size: int) -> bool:
        limits = self._partition.limits
        return residents > limits.resident_instances or size > limits.resident_history_bytes
