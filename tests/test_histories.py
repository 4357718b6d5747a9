"""Histories recorded by past releases are replayed by this one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.histories import workflows
from tests.histories.stories import FOLDER, STORIES
from tests.kernel.story import Story, close_all
from wfactors.model.events import DECISIONS, FACTS, FINAL, Event
from wfactors.model.wire import decode_events
from wfactors.registry import Registry
from wfactors.workflow import Application, open_run

PATHS = sorted(FOLDER.glob("*.json"))
NAMES = [path.stem for path in PATHS]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def read(path: Path) -> tuple[str, list[Event]]:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return stored["workflow"], decode_events(json.dumps(stored["history"], separators=(",", ":")).encode())


def turns_of(events: list[Event]) -> list[tuple[Event, list[Event]]]:
    turns: list[tuple[Event, list[Event]]] = []
    for event in events:
        if isinstance(event, DECISIONS):
            turns[-1][1].append(event)
        else:
            turns.append((event, []))
    return turns


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_recorded_histories_replay(path, is_strict):
    """Every decision is made again, up to the recorded end."""
    name, events = read(path)
    application = Application(Registry(workflows.ALL))
    definition = application.registry.workflow(name)
    run = open_run(application, definition, instance="key", run=1, queue="home", is_strict=is_strict)
    for fact, decisions in turns_of(events):
        run.feed(fact, decisions)
    assert run.final == events[-1]
    assert run.events == len(events)
    run.close()


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_recorded_histories_run_live(path):
    """The recorded facts lead to the recorded kinds of decisions when nothing is compared."""
    name, events = read(path)
    story = Story(next(workflow for workflow in workflows.ALL if workflow.name == name))
    for fact, decisions in turns_of(events):
        story.feed(fact)
        assert [type(decision) for decision in story.decisions] == [type(decision) for decision in decisions]
    assert isinstance(story.run.final, FINAL)


def test_every_kind_of_event_is_in_a_recorded_history():
    """A kind that nobody recorded could change its form unnoticed."""
    recorded = {type(event) for path in PATHS for event in read(path)[1]}
    assert sorted(kind.__name__ for kind in {*FACTS, *DECISIONS} - recorded) == []


def test_every_story_is_recorded():
    """And every history has its story."""
    assert sorted(tell.__name__ for tell in STORIES) == sorted(NAMES)
