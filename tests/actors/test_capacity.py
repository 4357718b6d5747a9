"""Places in lanes."""

from __future__ import annotations

from wfactors.actors.capacity import Capacity, Offer


def capacity(places: int = 10, threads: int = 3, **concurrency: int) -> Capacity:
    return Capacity(places, threads, {"fetch": False, "count": True, "charge": False}, concurrency)


def test_a_place_is_taken_and_given_back() -> None:
    """What is taken is not free, what is given back is."""
    lanes = capacity(places=1)
    assert lanes.take("fetch")
    assert not lanes.take("charge")
    lanes.put_back("fetch")
    assert lanes.take("charge")


def test_a_refusal_takes_nothing() -> None:
    """No place in one lane means none in the others either."""
    lanes = capacity(threads=1)
    assert lanes.take("count")
    assert not lanes.take("count")
    assert (lanes.all.taken, lanes.threads.taken) == (1, 1)


def test_a_thread_that_lives_on_keeps_its_place() -> None:
    """The attempt's place is free at once, the thread's when it ends."""
    lanes = capacity(threads=1)
    assert lanes.take("count")
    lanes.put_back("count", is_thread_alive=True)
    assert (lanes.all.taken, lanes.threads.taken) == (0, 1)
    assert not lanes.take("count")
    lanes.thread_ended()
    assert lanes.take("count")


def test_an_activity_with_a_limit_of_its_own() -> None:
    """It is limited, the others are not."""
    lanes = capacity(charge=1)
    assert lanes.take("charge")
    assert not lanes.take("charge")
    assert lanes.take("fetch")


def test_one_offer_while_nothing_is_scarce() -> None:
    """All activities are claimed at once as long as no lane has fewer places than all together."""
    lanes = capacity(places=3)
    assert list(lanes.offers()) == [Offer(frozenset({"fetch", "count", "charge"}), 3)]


def test_scarce_lanes_are_offered_apart() -> None:
    """A claim never brings more than a lane can take."""
    lanes = capacity(charge=2)
    assert list(lanes.offers()) == [
        Offer(frozenset({"fetch"}), 10),
        Offer(frozenset({"count"}), 3),
        Offer(frozenset({"charge"}), 2),
    ]


def test_offers_go_down_while_they_are_asked_for() -> None:
    """What the first claim brought is counted in the limit of the next."""
    lanes = capacity(places=4)
    offers = lanes.offers()
    assert next(offers) == Offer(frozenset({"fetch", "charge"}), 4)
    for _ in range(3):
        assert lanes.take("fetch")
    assert next(offers) == Offer(frozenset({"count"}), 1)


def test_no_offer_without_a_place() -> None:
    """Full lanes and full nodes offer nothing."""
    lanes = capacity(places=4, threads=1)
    assert lanes.take("count")
    assert list(lanes.offers()) == [Offer(frozenset({"fetch", "charge"}), 3)]
    for _ in range(3):
        assert lanes.take("fetch")
    assert list(lanes.offers()) == []
