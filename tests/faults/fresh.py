"""Fresh histories: a workflow told a story by chance, every fact of it one that the world could have sent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tests.faults.fresh_workflows import ACTIVITIES, ALL, ARGUMENTS
from tests.histories.stories import STORIES
from tests.kernel.story import Story, boom
from wfactors.convert import DataPort
from wfactors.model import events
from wfactors.model.events import Event
from wfactors.model.status import Status
from wfactors.registry import Registry
from wfactors.workflow import Application

EXAMPLES: dict[Any, Any] = {str: "words", int: 3, bool: True, type(None): None}
TURNS_MAX = 40


def application(data: DataPort | None = None) -> Application:
    """All the workflows, in one."""
    return Application(Registry([*ALL, *ACTIVITIES]), data or DataPort())


def histories(seed: str, count: int = 1) -> list[list[Event]]:
    """The recorded stories, told anew, and ``count`` by chance of each workflow."""
    rng = random.Random(f"{seed} histories")
    app = application()
    told = [tell() for tell in STORIES]
    told += [by_chance(name, rng, app) for name in ARGUMENTS for _ in range(count)]
    for story in told:
        story.run.close()
    return [events_of(story) for story in told]


def events_of(story: Story) -> list[Event]:
    return [event for fact, decisions in story.turns for event in (fact, *decisions)]


def by_chance(name: str, rng: random.Random, app: Application) -> Story:
    """Start a workflow and answer what it asks for in any order, until it has ended or the time is up."""
    story = Story(next(workflow for workflow in ALL if workflow.name == name), app)
    teller = _Teller(story, rng)
    teller.hear(story.start(*ARGUMENTS[name]).decisions)
    for _ in range(TURNS_MAX):
        if story.run.final is not None:
            break
        teller.tell()
    return story


class _Teller:
    """What the run waits for, and an answer to one of it at a time."""

    def __init__(self, story: Story, rng: random.Random) -> None:
        self.story = story
        self.rng = rng
        self.open: dict[tuple[str, int], Any] = {}
        self.unwanted: set[int] = set()
        self.accepted: set[int] = set()
        self.updates = 0

    def hear(self, decisions: Sequence[Event]) -> None:
        for decision in decisions:
            match decision:
                case events.ActivityScheduled(call):
                    self.open["activity", call] = decision
                case events.ChildScheduled(call):
                    self.open["child", call] = decision
                case events.SignalSent(call) | events.CancelSent(call):
                    self.open["request", call] = decision
                case events.TimerSet(timer):
                    self.open["timer", timer] = decision
                case events.TimerCancelled(timer):
                    self.open.pop(("timer", timer), None)
                case events.ActivityCancelAsked(call) | events.ChildCancelAsked(call):
                    self.unwanted.add(call)
                case _:
                    pass

    def tell(self) -> None:
        """Send one more fact."""
        story, rng = self.story, self.rng
        if not self.open or rng.random() < 0.25:
            self.hear(self._unasked().decisions)
            return
        key = rng.choice(list(self.open))
        kind, number = key
        asked = self.open.pop(key)
        if kind == "timer":
            story.time = max(story.time, asked.at)
            story.timer(number)
        elif kind == "request":
            story.accepted(number) if rng.random() < 0.7 else story.refused(
                number, rng.choice(["not_found", *[status.value for status in Status]])
            )
        elif number not in story.run.calls.pending:
            return  # Abandoned: nobody listens, so the engine would not record it.
        elif kind == "activity":
            self._end_activity(number, asked)
        else:
            self._end_child(number, asked)
        self.hear(story.decisions)

    def _end_activity(self, number: int, asked: events.ActivityScheduled) -> None:
        story, rng = self.story, self.rng
        if number in self.unwanted and rng.random() < 0.7:
            story.stopped(number)
        elif rng.random() < 0.93:
            returns = story.application.registry.activity(asked.activity).definition.signature.return_type
            story.completed(number, EXAMPLES[returns])
        else:
            story.failed(number, boom(rng.choice(["late", "no", ""]), kind=rng.choice(["error", "timeout"])))

    def _end_child(self, number: int, asked: events.ChildScheduled) -> None:
        story, rng = self.story, self.rng
        if number not in self.accepted:
            self.accepted.add(number)
            self.open["child", number] = asked
            story.child_started(number)
        elif rng.random() < 0.8:
            story.child_completed(number, "words")
        else:
            story.child_failed(number, boom("child", kind=rng.choice(["error", "cancelled", "terminated"])))

    def _unasked(self) -> Story:
        """What nobody waits for: signals, updates, a request to cancel."""
        story, rng = self.story, self.rng
        choice = rng.random()
        if choice < 0.6:
            return story.signal(rng.choice(["approve", "arrive", "other"]), rng.choice([True, "ada", "bob", {"x": 1}]))
        if choice < 0.95:
            self.updates += 1
            name, value = rng.choice([("add", 4), ("add", -1), ("book", "eve"), ("nope", None)])
            return story.update(name, value, id=f"update-{self.updates}")
        return story.cancel("by chance")
