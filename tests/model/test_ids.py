"""Names: what may be one, and which partition and which child they lead to, for ever."""

from __future__ import annotations

import pytest

from wfactors.model.ids import (
    ID_BYTES_MAX,
    PARTITIONS_MAX,
    PartitionId,
    checked_partitions,
    child_key,
    chosen_id,
    partition_of,
    validated_id,
    validated_queue,
    validated_signal,
    validated_text,
)

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("partition", [PartitionId("orders", 3), PartitionId("a:b", 0), PartitionId("", 12)])
def test_a_partition_id_is_text_and_back(partition: PartitionId) -> None:
    """The number comes first, so a queue may have any name."""
    assert PartitionId.parse(str(partition)) == partition


def test_partition_ids_as_they_stand_in_stores() -> None:
    """Stores of older releases hold them like this."""
    assert (str(PartitionId("orders", 3)), str(PartitionId("a:b"))) == ("3:orders", "0:a:b")


@pytest.mark.parametrize("text", ["", "orders", "x:orders", ":orders"])
def test_what_is_no_partition_id(text: str) -> None:
    """It is refused rather than guessed at."""
    with pytest.raises(ValueError, match="not a partition id|invalid literal"):
        PartitionId.parse(text)


@pytest.mark.parametrize(("root", "number"), [("order-1", 5), ("order-2", 3), ("ä", 1)])
def test_an_id_stays_in_its_partition(root: str, number: int) -> None:
    """These are the numbers of the first release; other ones would lose every instance that is stored."""
    assert partition_of("orders", root, 8) == PartitionId("orders", number)
    assert partition_of("orders", root, 1) == PartitionId("orders", 0)


def test_a_child_s_key_derives_from_its_parent() -> None:
    """From the key, the run unless it is the first, and the call."""
    assert child_key(KEY, 1, 0) == f"{KEY}.0"
    assert child_key(KEY, 2, 0) == f"{KEY}.2-0"
    assert child_key(f"{KEY}.0", 1, 7) == f"{KEY}.0.7"


def test_the_key_of_a_deep_child_is_folded() -> None:
    """It keeps the beginning, has a bounded length, and differs from call to call."""
    key = KEY
    keys = set()
    for _ in range(100):
        keys |= {child_key(key, 1, 0), child_key(key, 1, 1), child_key(key, 2, 1)}
        key = child_key(key, 1, 0)
    assert len(keys) == 300
    assert {key[:32] for key in keys} == {KEY}
    assert max(map(len, keys)) <= 96


@pytest.mark.parametrize("id", [f"{KEY}.0", f"{KEY}~0f"])
def test_people_may_not_choose_the_id_of_a_child(id: str) -> None:
    """The engine will give it to one."""
    with pytest.raises(ValueError, match="the engine's own"):
        chosen_id(id)


@pytest.mark.parametrize("id", ["order 7", KEY, "ä" * (ID_BYTES_MAX // 2), "a\nb", "a.0"])
def test_people_may_choose_any_other_id(id: str) -> None:
    """It is text, so it may hold anything that text can."""
    assert chosen_id(id) == id


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("", "a workflow id must not be empty"),
        ("ä" * (ID_BYTES_MAX // 2) + "a", "a workflow id has 4,097 bytes, the limit is 4,096"),
        ("\ud800", "a workflow id must be valid Unicode text"),
    ],
)
def test_what_names_no_instance(id: str, words: str) -> None:
    """The reason is told."""
    with pytest.raises(ValueError, match=words):
        validated_id(id)


def test_a_queue_has_a_shorter_name() -> None:
    """255 bytes are the most."""
    assert validated_queue("q" * 255) == "q" * 255
    with pytest.raises(ValueError, match="a queue name has 256 bytes"):
        validated_queue("q" * 256)


def test_a_signal_has_a_name() -> None:
    """As long a one as a workflow may have: those that are awaited are written with each batch."""
    assert validated_signal("s" * ID_BYTES_MAX) == "s" * ID_BYTES_MAX
    for name, words in (("", "must not be empty"), ("s" * (ID_BYTES_MAX + 1), "has 4,097 bytes, the limit is 4,096")):
        with pytest.raises(ValueError, match=f"the name of a signal {words}"):
            validated_signal(name)


@pytest.mark.parametrize("wrong", [None, 5, b"bytes"])
def test_what_is_no_text(wrong: object) -> None:
    """A wrong type is a TypeError, naming what it was to be."""
    with pytest.raises(TypeError, match=f"a tag must be a str, not {type(wrong).__name__}"):
        validated_text("a tag", wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 7, PARTITIONS_MAX])
def test_a_queue_has_some_partitions(number: int) -> None:
    """From 1 to as many as there may ever be nodes."""
    assert number == checked_partitions(number)


@pytest.mark.parametrize("wrong", [0, -1, PARTITIONS_MAX + 1, 10**6])
def test_too_few_or_too_many_partitions_are_refused(wrong: int) -> None:
    """The error names the number and the limits."""
    with pytest.raises(ValueError, match=f"partitions must be from 1 to 1,024, not {wrong}"):
        checked_partitions(wrong)


@pytest.mark.parametrize("wrong", [True, 1.5, "2", None])
def test_partitions_are_counted_in_whole_numbers(wrong: object) -> None:
    """Anything else is a TypeError."""
    with pytest.raises(TypeError, match="partitions must be a whole number, not"):
        checked_partitions(wrong)  # type: ignore[arg-type]
