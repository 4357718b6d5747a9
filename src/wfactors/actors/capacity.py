"""How many attempts a node may run at once, as bookkeeping without waiting.

Every attempt takes a place in each *lane* it belongs to: one for all attempts, one for those that need a thread, one
for each activity with a limit of its own. A place in the thread lane is given back when the thread has ended, which
may be long after the attempt was given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

__all__ = ["Capacity", "Lane", "Offer"]


class Lane:
    """A number of places, some taken."""

    __slots__ = ("places", "taken")

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0

    @property
    def free(self) -> int:
        """Places that are not taken."""
        return self.places - self.taken


@attrs.frozen
class Offer:
    """Activities of which up to ``limit`` more attempts may run, together."""

    activities: frozenset[str]
    limit: int


class Capacity:
    """The lanes of one node.

    Args:
        places: Attempts at once.
        threads: Attempts at once that need a thread.
        activities: Every activity registered here, and whether it needs a thread.
        concurrency: Limits of single activities, by name.
    """

    def __init__(
        self, places: int, threads: int, activities: Mapping[str, bool], concurrency: Mapping[str, int]
    ) -> None:
        self.all = Lane(places)
        self.threads = Lane(threads)
        self.activities = frozenset(activities)
        self._lanes: dict[str, tuple[Lane, ...]] = {}
        for name, needs_thread in activities.items():
            lanes = [self.all]
            if needs_thread:
                lanes.append(self.threads)
            if name in concurrency:
                lanes.append(Lane(concurrency[name]))
            self._lanes[name] = tuple(lanes)
        self._groups: dict[tuple[Lane, ...], frozenset[str]] = {}
        for name, group in self._lanes.items():
            self._groups[group] = self._groups.get(group, frozenset()) | {name}

    def take(self, activity: str) -> bool:
        """Take a place in every lane of the activity, or none and return False."""
        lanes = self._lanes[activity]
        for lane in lanes:
            if lane.taken >= lane.places:
                return False
        for lane in lanes:
            lane.taken += 1
        return True

    def put_back(self, activity: str, *, is_thread_alive: bool = False) -> None:
        """Give the places back; with ``is_thread_alive`` all but that of the thread (see ``thread_ended``)."""
        for lane in self._lanes[activity]:
            if not (is_thread_alive and lane is self.threads):
                lane.taken -= 1
                assert lane.taken >= 0, "a place was given back twice"

    def thread_ended(self) -> None:
        """Give back the place of a thread that outlived its attempt."""
        self.threads.taken -= 1
        assert self.threads.taken >= 0, "a thread ended twice"

    def offers(self) -> Iterator[Offer]:
        """What may be claimed: groups of activities that share their lanes, the limit as it is when each is asked for.

        Activities that nothing but the number of all places restricts just now are one group, so that most of the time
        one claim serves all.
        """
        unrestricted: set[str] = set()
        restricted: list[tuple[int, tuple[Lane, ...]]] = []
        for lanes in self._groups:
            places = min((lane.free for lane in lanes[1:]), default=self.all.free)
            if places >= self.all.free:
                unrestricted |= self._groups[lanes]
            elif places > 0:
                restricted.append((places, lanes))
        if unrestricted and self.all.free > 0:
            yield Offer(frozenset(unrestricted), self.all.free)
        for _, lanes in restricted:
            limit = min(lane.free for lane in lanes)
            if limit > 0:
                yield Offer(self._groups[lanes], limit)
