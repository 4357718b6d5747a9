"""The instruments of an engine: counters and histograms that are added to, gauges that are asked for when read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from wfactors.__about__ import __version__
from wfactors.telemetry.records import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Histogram

__all__ = ["OBSERVED", "Meters", "Source", "meters_of"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 1800, 7200)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


class Source(Protocol):
    """A running engine, as the instruments see it."""

    @property
    def node(self) -> str:
        """Its name in the cluster."""
        ...

    def figures(self, instrument: str) -> Iterable[Figure]:
        """What an instrument is to show now. From any thread."""
        ...


OBSERVED = {
    "wfactors.instances.resident": ("{instance}", "Instances in memory"),
    "wfactors.instances.open": ("{instance}", "Open instances in the store, by queue"),
    "wfactors.instances.parked": ("{instance}", "Of those, the ones that are parked"),
    "wfactors.activities.running": ("{attempt}", "Attempts that run"),
    "wfactors.activities.waiting": ("{task}", "Tasks held here that wait for a place"),
    "wfactors.activities.places": ("{attempt}", "How many attempts may run at once"),
    "wfactors.queue.tasks": ("{task}", "Tasks in the store that no node holds, by queue"),
    "wfactors.queue.age": ("s", "How long the oldest of these has been due, by queue"),
    "wfactors.queue.messages": ("{message}", "Messages in the inboxes, by queue"),
    "wfactors.partitions.owned": ("{partition}", "Partitions that the engine owns"),
    "wfactors.lease.remaining": ("s", "Until the lease ends, if it is not renewed"),
    "wfactors.replay_check.replays": ("{replay}", "Runs that the replay check has replayed"),
    "wfactors.replay_check.differences": ("{replay}", "Of those, how many made other decisions"),
    "wfactors.replay_check.skipped": ("{replay}", "Runs that were to be replayed and were not"),
}
"""Name to unit and description. What ``replay_check`` counts is a counter, the rest are gauges."""


class Meters:
    """The instruments of a meter provider, for all engines that report to it."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("wfactors", __version__)
        self.sources: dict[Source, None] = {}
        self.turns = meter.create_counter("wfactors.turns", "{turn}", "Items that mailboxes of workflows took in")
        self.events = meter.create_counter("wfactors.events", "{event}", "Events written to histories")
        self.attempts = meter.create_counter(
            "wfactors.activity.attempts", "{attempt}", "Attempts of activities that ended, by outcome"
        )
        self.ends = meter.create_counter("wfactors.workflow.ends", "{run}", "Runs of workflows that ended, by status")
        self.commit_seconds = _histogram(meter, "wfactors.commit.duration", "s", "Time of a commit", _SECONDS)
        self.commit_events = _histogram(meter, "wfactors.commit.events", "{event}", "Events in a commit", _COUNTS)
        self.attempt_seconds = _histogram(
            meter, "wfactors.activity.duration", "s", "Time of an attempt of an activity, by outcome", _SECONDS
        )
        self.turn_seconds = _histogram(
            meter, "wfactors.turn.duration", "s", "Time of the longest turn between two commits", _SECONDS
        )
        for name, (unit, description) in OBSERVED.items():
            if name.startswith("wfactors.replay_check"):
                meter.create_observable_counter(name, [self._reader(name)], unit, description)
            else:
                meter.create_observable_gauge(name, [self._reader(name)], unit, description)

    def _reader(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            for source in list(self.sources):
                for figure in source.figures(name):
                    attributes: Mapping[str, str] = {"wfactors.node": source.node}
                    if figure.queue is not None:
                        attributes = {**attributes, "wfactors.queue": figure.queue}
                    yield Observation(figure.value, attributes)

        return read


# A provider has each instrument once, with the callbacks of the first time: engines that come later are told to those.
_known: WeakKeyDictionary[MeterProvider, Meters] = WeakKeyDictionary()


def meters_of(provider: MeterProvider) -> Meters:
    """The instruments of a meter provider."""
    meters = _known.get(provider)
    if meters is None:
        meters = _known[provider] = Meters(provider)
    return meters


def _histogram(meter: Meter, name: str, unit: str, description: str, boundaries: tuple[float, ...]) -> Histogram:
    return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=boundaries)
