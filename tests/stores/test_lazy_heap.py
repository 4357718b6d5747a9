"""A heap whose entries die inside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wfactors.stores.lazy_heap import LazyHeap


class Entries:
    """A heap of numbers, the set of those that are live, and how often it was asked about one."""

    def __init__(self) -> None:
        self.live: set[int] = set()
        self.asked = 0
        self.heap: LazyHeap[tuple[int]] = LazyHeap(self._is_live)

    def _is_live(self, entry: tuple[int]) -> bool:
        self.asked += 1
        return entry[0] in self.live

    def push(self, number: int) -> None:
        self.live.add(number)
        self.heap.push((number,))

    def kill(self, number: int) -> None:
        self.live.discard(number)
        self.heap.forget()

    def numbers(self) -> list[int]:
        return [number for (number,) in self.heap.in_order()]


def test_in_order_without_removing():
    """Reading gives every entry in order, as often as one reads."""
    entries = Entries()
    for number in (5, 1, 4, 2, 3):
        entries.push(number)
    assert entries.numbers() == [1, 2, 3, 4, 5]
    assert entries.numbers() == [1, 2, 3, 4, 5]


def test_empty():
    """An empty heap has no first entry and none to read."""
    entries = Entries()
    assert entries.heap.first() is None
    assert entries.numbers() == []


def test_dead_entries_are_passed_over():
    """Dead entries are neither first nor read, wherever they are."""
    entries = Entries()
    for number in range(10):
        entries.push(number)
    for number in (0, 1, 5, 9):
        entries.kill(number)
    assert entries.heap.first() == (2,)
    assert entries.numbers() == [2, 3, 4, 6, 7, 8]


def test_all_dead():
    """A heap of nothing but dead entries is empty."""
    entries = Entries()
    for number in range(3):
        entries.push(number)
    for number in range(3):
        entries.kill(number)
    assert entries.heap.first() is None
    assert entries.numbers() == []


def test_entry_that_comes_back_counts_once():
    """An entry that died, lived again and was pushed again is read once."""
    entries = Entries()
    entries.push(1)
    entries.push(2)
    entries.kill(1)
    entries.push(1)
    assert entries.numbers() == [1, 2]


def test_a_few_of_many_cost_a_few():
    """Reading the least of many asks about those alone."""
    entries = Entries()
    for number in range(10_000):
        entries.push(number)
    heads = [entry for entry, _ in zip(entries.heap.in_order(), range(10), strict=False)]
    assert heads == [(number,) for number in range(10)]
    assert entries.asked < 20


def test_the_dead_do_not_pile_up():
    """However often entries are replaced, the dead are never more than the living by much."""
    entries = Entries()
    for number in range(100):
        entries.push(number)
    for number in range(100, 10_000):
        entries.kill(number - 50)
        entries.push(number)
    entries.asked = 0
    assert len(entries.numbers()) == 100
    assert entries.asked < 500


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=300))
def test_same_as_a_sorted_set(actions: list[tuple[bool, int]]):
    """Whatever is pushed and killed, what is read is the sorted set of the living."""
    entries = Entries()
    for is_push, number in actions:
        if is_push:
            entries.push(number)
        elif number in entries.live:
            entries.kill(number)
        first = entries.heap.first()
        assert first == ((min(entries.live),) if entries.live else None)
    assert entries.numbers() == sorted(entries.live)
